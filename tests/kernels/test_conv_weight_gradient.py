"""The weight gradients of convolution: by samples, by rows of weights, and of a kernel of one pixel."""

import numpy as np
import pytest
import reference as ref
from geometries import GEOMETRIES, P0, P1, S1, channels, padding, small
from harness import assert_near, blank, results, uniform, whole
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcore.kernels import conv_weight_gradient as kernels
from dlcore.kernels import simd

CASES = [
    *GEOMETRIES,
    ((5, 1, 1, 40), (1, 1), 70, S1, P0, S1, 1),
    ((7, 2, 3, 32), (1, 1), 32, S1, P0, S1, 2),
    ((3, 5, 4, 9), (1, 1), 16, (2, 2), P0, S1, 1),
    ((5, 28, 28, 1), (3, 3), 16, S1, P1, S1, 1),  # the first layer of MNIST
    ((4, 14, 14, 1), (5, 5), 6, S1, ((2, 2), (2, 2)), S1, 1),  # that of LeNet
    ((4, 14, 13, 6), (5, 5), 16, S1, P0, S1, 1),
    ((5, 9, 31, 3), (3, 3), 3, S1, P1, (2, 3), 1),  # few outputs: pixels in the lanes
    ((5, 12, 16, 1), (1, 2), 2, S1, ((0, 0), (0, 1)), S1, 1),
    ((3, 6, 17, 5), (2, 3), 1, S1, P0, S1, 1),
    ((9, 6, 48, 2), (3, 2), 7, S1, P1, S1, 1),
    ((2, 45, 44, 3), (3, 3), 15, S1, P1, S1, 1),  # several blocks of rows
    ((7, 9, 8, 17), (3, 3), 15, S1, P1, S1, 1),  # several samples to a block
    ((9, 4, 4, 33), (3, 3), 48, S1, P1, S1, 1),
    ((3, 1, 600, 2), (1, 3), 17, S1, P0, S1, 1),  # a row longer than a block
    ((5, 7, 9, 16), (3, 3), 32, (2, 2), ((0, 1), (1, 0)), S1, 1),  # tap by tap, without what lies outside
    ((3, 2, 3, 9), (5, 3), 33, (1, 2), ((2, 3), (1, 2)), S1, 1),
    ((2, 2, 2, 8), (3, 3), 40, S1, ((2, 2), (2, 2)), (2, 2), 1),  # some taps see nothing
    ((2, 20, 33, 8), (3, 2), 17, S1, P1, S1, 1),  # several blocks of rows
]
CASES += [((2, 4, 4, n), (1, 1), 40 - n, S1, P0, S1, 1) for n in range(1, 40)]  # every height of the tile


def by_samples(x, dy, w_shape, how, grain=2):
    chunks = blank(-(-len(x) // grain), *w_shape)
    runs = [(threads, grain) for threads in (1, 2, 3, 4)]
    return results(lambda dw: kernels.conv2d_weight_gradient(x, dy, dw, grain, *how), chunks, runs=runs)


def by_rows(x, dy, w_shape, how):
    return results(lambda dw: kernels.conv2d_batch_weight_gradient(x, dy, dw, *how), blank(*w_shape))


def arrays(make, x_shape, kernel, oc, *how):
    x, w_shape = make(*x_shape), (*kernel, x_shape[3] // how[3], oc)
    return x, make(*ref.conv2d(x, np.zeros(w_shape, np.float32), None, *how).shape, seed=1), w_shape


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, kernel, oc, strides, padding, dilation, groups", CASES)
def test_against_reference(x_shape, kernel, oc, strides, padding, dilation, groups):
    how = strides, padding, dilation, groups
    x, dy, w_shape = arrays(uniform, x_shape, kernel, oc, *how)
    for i, got in enumerate(by_samples(x, dy, w_shape, how, grain=4)):
        part = np.s_[4 * i : 4 * i + 4]
        expected = ref.conv2d_weight_gradient(x[part], dy[part], w_shape, *how)
        assert_near(got, expected, ref.conv2d_weight_gradient(abs(x[part]), abs(dy[part]), w_shape, *how))
    expected, magnitude = (ref.conv2d_weight_gradient(*both, w_shape, *how) for both in ((x, dy), (abs(x), abs(dy))))
    assert_near(by_rows(x, dy, w_shape, how), expected, magnitude)


@given(
    st.sampled_from(simd.usable()),
    st.integers(0, 5),
    *(st.tuples(st.integers(1, 8), st.integers(1, 8)), small, channels, channels),
    *(small, st.tuples(padding, padding), small, st.integers(1, 3)),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_integers_are_exact_in_any_geometry(isa, n, size, kernel, icg, ocg, strides, padding, dilation, groups):
    for axis in (0, 1):
        assume(size[axis] + sum(padding[axis]) > (kernel[axis] - 1) * dilation[axis])
    how = strides, padding, dilation, groups
    x, dy, w_shape = arrays(whole, (n, *size, icg * groups), kernel, ocg * groups, *how)
    expected = ref.conv2d_weight_gradient(x, dy, w_shape, *how)
    with simd.use(isa):
        np.testing.assert_array_equal(by_samples(x, dy, w_shape, how, grain=3).sum(axis=0), expected)
        np.testing.assert_array_equal(by_rows(x, dy, w_shape, how), expected)


@pytest.mark.usefixtures("isa")
def test_a_large_batch_is_exact():
    """More pixels than a block, more rows of dw than the strips of one pass."""
    how = (2, 1), P1, S1, 1
    x, dy, w_shape = arrays(whole, (40, 5, 4, 31), (3, 3), 37, *how)
    expected = ref.conv2d_weight_gradient(x, dy, w_shape, *how)
    np.testing.assert_array_equal(by_rows(x, dy, w_shape, how), expected)
    np.testing.assert_array_equal(by_samples(x, dy, w_shape, how, grain=17).sum(axis=0), expected)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("c, oc, column", [(1, 1, 3), (7, 7, 3), (17, 17, 3), (3, 1, 0), (3, 2, 5)])
def test_nan_reaches_its_window_only(c, oc, column):
    how = S1, P1, S1, 1
    x, dy, w_shape = arrays(whole, (2, 5, 6 if oc == c else 29, c), (3, 2), oc, *how)
    for lane in range(c):
        bad, bad_dy = x.copy(), dy.copy()
        bad[1, 2, column, lane] = bad_dy[1, 3, -column, lane % oc] = np.nan
        for both in ((bad, dy), (x, bad_dy)):
            expected = ref.conv2d_weight_gradient(*both, w_shape, *how)
            np.testing.assert_array_equal(by_samples(*both, w_shape, how)[0], expected)
            np.testing.assert_array_equal(by_rows(*both, w_shape, how), expected)


BAD = [  # what is wrong with a 3x3 convolution of (2, 5, 6, 4) to (2, 5, 6, 8), padding 1
    dict(y=(2, 5, 5, 8)),
    dict(y=(1, 5, 6, 8)),
    dict(x=(2, 5, 6, 3), groups=2),
    dict(x=(2, 0, 6, 4), y=(2, 0, 6, 8)),
    dict(strides=(0, 1)),
    dict(strides=(1, -1)),
    dict(dilation=(1, 0)),
    dict(padding=((-1, 3), (1, 1))),
    dict(padding=P0),
    dict(kernel=(0, 3)),
    dict(groups=-1),
    dict(groups=3),
    dict(kernel=(8, 8), y=(2, 0, 1, 8)),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses_shapes_that_do_not_fit(bad):
    case = dict(x=(2, 5, 6, 4), y=(2, 5, 6, 8), kernel=(3, 3), strides=S1, padding=P1, dilation=S1, groups=1) | bad
    x, dy = blank(*case.pop("x")), blank(*case.pop("y"))
    kernel, *how = (case[name] for name in ("kernel", "strides", "padding", "dilation", "groups"))
    w_shape = *kernel, x.shape[3] // abs(case["groups"]), 8
    with pytest.raises(ValueError, match=r"conv2d_weight_gradient: x \(.*do not fit together"):
        kernels.conv2d_weight_gradient(x, dy, blank(1, *w_shape), 2, *how)
    with pytest.raises(ValueError, match=r"conv2d_batch_weight_gradient: x \(.*do not fit together"):
        kernels.conv2d_batch_weight_gradient(x, dy, blank(*w_shape), *how)


def test_refuses_other_chunks():
    x, dy = blank(2, 5, 6, 4), blank(2, 5, 6, 8)
    for grain, chunks in ((0, 1), (1, 1), (2, 2)):
        with pytest.raises(ValueError, match=f"dw has {chunks} chunks for 2 samples in chunks of {grain}"):
            kernels.conv2d_weight_gradient(x, dy, blank(chunks, 3, 3, 4, 8), grain, padding=P1)
