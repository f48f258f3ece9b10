"""Depthwise convolution and its gradients, against convolution with as many groups as channels."""

import numpy as np
import pytest
import reference as ref
from geometries import P0, P1, S1
from harness import SIZES, assert_near, blank, results, uniform, whole
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcore.kernels import activations, depthwise, simd

CASES = [  # x shape, kernel, multiplier, strides, padding, dilation
    ((1, 1, 1, 1), (1, 1), 1, S1, P0, S1),
    ((3, 7, 9, 16), (3, 3), 1, S1, P1, S1),  # the common case
    ((3, 9, 20, 5), (3, 3), 1, (2, 2), ((0, 1), (0, 1)), S1),
    ((2, 8, 8, 33), (5, 5), 1, S1, ((2, 2), (2, 2)), S1),
    ((2, 7, 9, 4), (3, 2), 2, (2, 3), ((0, 1), (1, 1)), S1),  # strides leave pixels unread
    ((2, 10, 9, 3), (2, 2), 3, (3, 4), P0, S1),  # gaps between windows
    ((2, 9, 10, 7), (3, 2), 1, (1, 2), P1, (2, 3)),
    ((2, 8, 8, 2), (2, 2), 5, (3, 2), ((1, 0), (0, 2)), (3, 2)),
    ((1, 2, 2, 3), (5, 5), 2, S1, ((2, 2), (3, 1)), S1),  # kernel larger than image
    ((2, 3, 4, 2), (2, 3), 1, S1, ((4, 3), (2, 5)), S1),  # more padding than any tap can use
    ((5, 1, 127, 2), (1, 5), 1, (1, 2), ((0, 0), (4, 0)), S1),  # causal, one-dimensional
    ((0, 4, 4, 3), (2, 2), 1, S1, P0, S1),
    ((1, 4, 130, 71), (3, 3), 1, S1, P1, S1),
    ((1, 5, 131, 67), (3, 3), 1, (2, 2), P1, S1),
]
CASES += [((2, 3, width, c), (2, 2), 1, S1, P0, S1) for width, c in enumerate(SIZES, 2)]  # 1 to 10 pixels in a row


def wide(w):
    """(kh, kw, c, m) -> (kh, kw, 1, c*m), as convolution with groups has it."""
    return w.reshape(*w.shape[:2], 1, -1)


def forward(x, w, b, how, activation=0, splits=1):
    y = blank(*ref.conv2d(x, wide(w), None, *how, x.shape[3]).shape)
    return results(lambda y: depthwise.depthwise_forward(x, w, b, y, w.shape[:2], *how, activation, splits), y)


def input_gradient(dy, w, x_shape, how):
    return results(lambda dx: depthwise.depthwise_input_gradient(dy, w, dx, w.shape[:2], *how), blank(*x_shape))


def weight_gradient(x, dy, w_shape, how, grain=2):
    runs = [(threads, grain) for threads in (1, 2, 3, 4)]
    chunks = blank(-(-len(x) // grain), *w_shape)
    return results(lambda dw: depthwise.depthwise_weight_gradient(x, dy, dw, grain, *how), chunks, runs=runs)


def arrays(make, x_shape, kernel, m, *how):
    c = x_shape[3]
    x, w, b = make(*x_shape), make(*kernel, c, m, seed=1), make(c * m, seed=2)
    return x, w, b, make(*ref.conv2d(x, wide(w), None, *how, c).shape, seed=3)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, kernel, m, strides, padding, dilation", CASES)
def test_against_reference(x_shape, kernel, m, strides, padding, dilation):
    how, c = (strides, padding, dilation), x_shape[3]
    x, w, b, dy = arrays(uniform, x_shape, kernel, m, *how)
    got, magnitude = forward(x, w, b, how), ref.conv2d(abs(x), wide(abs(w)), abs(b), *how, c)
    assert_near(got, ref.conv2d(x, wide(w), b, *how, c), magnitude)
    expected, magnitude = (
        ref.conv2d_input_gradient(g, wide(v), x_shape, *how, c) for g, v in ((dy, w), (abs(dy), abs(w)))
    )
    assert_near(input_gradient(dy, w, x_shape, how), expected, magnitude)
    for i, part in enumerate(weight_gradient(x, dy, w.shape, how)):
        xs, dys = x[2 * i : 2 * i + 2], dy[2 * i : 2 * i + 2]
        expected = ref.conv2d_weight_gradient(xs, dys, wide(w).shape, *how, c)
        magnitude = ref.conv2d_weight_gradient(abs(xs), abs(dys), wide(w).shape, *how, c)
        assert_near(wide(part), expected, magnitude)


small = st.tuples(st.integers(1, 3), st.integers(1, 3))
padding = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(
    st.sampled_from(simd.usable()),
    st.integers(0, 5),
    *(st.tuples(st.integers(1, 8), st.integers(1, 11)), small, st.sampled_from([1, 2, 3, 5, 9, 17])),
    *(st.integers(1, 3), small, st.tuples(padding, padding), small),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_integers_are_exact_in_any_geometry(isa, n, size, kernel, c, m, strides, padding, dilation):
    for axis in (0, 1):
        assume(size[axis] + sum(padding[axis]) > (kernel[axis] - 1) * dilation[axis])
    how = strides, padding, dilation
    x, w, b, dy = arrays(whole, (n, *size, c), kernel, m, *how)
    with simd.use(isa):
        np.testing.assert_array_equal(forward(x, w, b, how), ref.conv2d(x, wide(w), b, *how, c))
        dx = input_gradient(dy, w, x.shape, how)
        np.testing.assert_array_equal(dx, ref.conv2d_input_gradient(dy, wide(w), x.shape, *how, c))
        dw = weight_gradient(x, dy, w.shape, how, grain=3).sum(axis=0)
        np.testing.assert_array_equal(wide(dw), ref.conv2d_weight_gradient(x, dy, wide(w).shape, *how, c))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, kernel, m, strides, padding, dilation", [case for case in CASES if case[2] == 1])
def test_splits_of_a_sample_give_the_same_bits(x_shape, kernel, m, strides, padding, dilation):
    how = strides, padding, dilation
    x, w, b, _ = arrays(uniform, x_shape, kernel, m, *how)
    one = forward(x, w, b, how, 1)
    for splits in (2, 3, 8):
        np.testing.assert_array_equal(forward(x, w, b, how, 1, splits), one)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("c", [1, 7, 33])
def test_fused_activation_equals_its_unfused_twin(kind, c):
    how = S1, P1, S1
    x, w, b, dy = arrays(uniform, (2, 5, 4, c), (3, 3), 1, *how)
    twin = blank(*dy.shape)
    activations.forward(forward(x, w, b, how), twin, kind).run()
    np.testing.assert_array_equal(forward(x, w, b, how, activations.KINDS[kind]), twin)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("c, m", [(1, 1), (7, 2), (17, 1)])
def test_nan_reaches_its_windows_and_channel_only(c, m):
    how = S1, P1, S1
    x, w, _, dy = arrays(whole, (2, 5, 6, c), (3, 2), m, *how)
    for lane in range(c):
        bad, bad_dy = x.copy(), dy.copy()
        bad[1, 2, 3, lane] = bad_dy[1, 3, 2, lane * m] = np.nan
        np.testing.assert_array_equal(forward(bad, w, None, how), ref.conv2d(bad, wide(w), None, *how, c))
        dx = input_gradient(bad_dy, w, x.shape, how)
        np.testing.assert_array_equal(dx, ref.conv2d_input_gradient(bad_dy, wide(w), x.shape, *how, c))
        for both in ((bad, dy), (x, bad_dy)):
            (dw,) = weight_gradient(*both, w.shape, how)
            np.testing.assert_array_equal(wide(dw), ref.conv2d_weight_gradient(*both, wide(w).shape, *how, c))
    w[..., c // 2, 0] = np.nan
    np.testing.assert_array_equal(forward(x, w, None, how), ref.conv2d(x, wide(w), None, *how, c))


def test_weights_may_be_written_as_groups_or_without_a_height():
    x, w = whole(2, 1, 6, 4), whole(3, 4, 2, seed=1)
    expected = ref.conv2d(x, wide(w[None]), None, groups=4)
    for same in (w, w[None], wide(w[None]), wide(w[None])[0]):
        y = blank(*expected.shape)
        depthwise.depthwise_forward(x, same, None, y, (1, 3)).run()
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("bad", [
    dict(y=(2, 5, 5, 4)), dict(x=(2, 0, 6, 4)), dict(strides=(0, 1)), dict(dilation=(1, 0)),
    dict(padding=((-1, 3), (1, 1))), dict(padding=P0), dict(y=(2, 5, 6, 8)),
], ids=str)  # fmt: skip
def test_refuses_shapes_that_do_not_fit(bad):
    case = dict(x=(2, 5, 6, 4), y=(2, 5, 6, 4), strides=S1, padding=P1, dilation=S1) | bad
    x, y, w = blank(*case.pop("x")), blank(*case.pop("y")), whole(3, 3, 4, 1)
    how = case.values()
    with pytest.raises(ValueError, match=r"depthwise_forward: x \(.*w \(.*y \(.*do not fit together"):
        depthwise.depthwise_forward(x, w, None, y, (3, 3), *how)
    with pytest.raises(ValueError, match=r"depthwise_input_gradient: x \(.*do not fit together"):
        depthwise.depthwise_input_gradient(y, w, x, (3, 3), *how)
    with pytest.raises(ValueError, match=r"depthwise_weight_gradient: x \(.*do not fit together"):
        depthwise.depthwise_weight_gradient(x, y, blank(1, 3, 3, 4, 1), 2, *how)


def test_refuses_other_weights():
    x, y = blank(2, 5, 6, 4), blank(2, 5, 6, 4)
    for w in whole(3, 3, 5, 1), whole(3, 2, 4, 1), whole(3, 3, 1, 6), whole(3, 4, 1):
        with pytest.raises(ValueError, match=r"depthwise_forward: w \(.* is not a kernel of \(3, 3\) over 4 channels"):
            depthwise.depthwise_forward(x, w, None, y, (3, 3), padding=P1)
    with pytest.raises(ValueError, match=r"expected b of shape \(4,\)"):
        depthwise.depthwise_forward(x, whole(3, 3, 4, 1), blank(5), y, (3, 3), padding=P1)
    for multiplier, splits in ((1, 0), (2, 2)):
        two = blank(2, 5, 6, 4 * multiplier), (3, 3), S1, P1, S1, 0, splits
        with pytest.raises(ValueError, match=f"splits of 1 or more, and of 1 on slab tensors.*Received: {splits}"):
            depthwise.depthwise_forward(x, whole(3, 3, 4, multiplier), None, *two)
    with pytest.raises(ValueError, match=r"dw \(1, 3, 3, 3, 1\) is not that of 4 channels"):
        depthwise.depthwise_weight_gradient(x, y, blank(1, 3, 3, 3, 1), 2, padding=P1)
    for grain, chunks in ((0, 1), (1, 1), (2, 2)):
        with pytest.raises(ValueError, match=f"dw has {chunks} chunks for 2 samples in chunks of {grain}"):
            depthwise.depthwise_weight_gradient(x, y, blank(chunks, 3, 3, 4, 1), grain, padding=P1)
