"""conv2d_forward, conv2d_input_gradient."""

import numpy as np
import pytest
import reference as ref
from geometries import GEOMETRIES, P0, P1, S1, channels, padding, small
from harness import assert_near, blank, packed, results, uniform, whole
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcore.kernels import activations, conv, simd
from dlcore.kernels.memory import slot_buffer

CASES = [
    *GEOMETRIES,
    ((2, 28, 28, 1), (3, 3), 16, S1, P1, S1, 1),  # the first layer of MNIST
    ((3, 9, 8, 17), (3, 3), 15, S1, P1, S1, 1),
]


def forward(x, w, b, how, activation=0, splits=1, residual=None):
    n, ih, iw, _ = x.shape
    size = [ref.out_size(d, k, s, p, dil) for d, k, s, p, dil in zip((ih, iw), w.shape, *how[:3], strict=False)]
    p, groups = packed(w, groups=how[3]), how[3]
    y = blank(n, *size, w.shape[3])
    geometry = w.shape[:2], *how[:3], groups, activation, splits, residual
    return results(lambda y: conv.conv2d_forward(x, p, b, y, *geometry), y)


def input_gradient(dy, w, x_shape, how, splits=1):
    p, dx = packed(w, transpose=True, groups=how[3]), blank(*x_shape)
    return results(lambda dx: conv.conv2d_input_gradient(dy, p, dx, w.shape[:2], *how, splits=splits), dx)


def arrays(make, x_shape, kernel, oc, *how):
    x, w, b = make(*x_shape), make(*kernel, x_shape[3] // how[3], oc, seed=1), make(oc, seed=2)
    return x, w, b, make(*ref.conv2d(x, w, None, *how).shape, seed=3)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, kernel, oc, strides, padding, dilation, groups", CASES)
def test_against_reference(x_shape, kernel, oc, strides, padding, dilation, groups):
    how = strides, padding, dilation, groups
    x, w, b, dy = arrays(uniform, x_shape, kernel, oc, *how)
    assert_near(forward(x, w, b, how), ref.conv2d(x, w, b, *how), ref.conv2d(abs(x), abs(w), abs(b), *how))
    expected, magnitude = (ref.conv2d_input_gradient(g, v, x_shape, *how) for g, v in ((dy, w), (abs(dy), abs(w))))
    assert_near(input_gradient(dy, w, x_shape, how), expected, magnitude)


@given(
    st.sampled_from(simd.usable()),
    st.integers(0, 5),
    *(st.tuples(st.integers(1, 8), st.integers(1, 8)), small, channels, channels),
    *(small, st.tuples(padding, padding), small, st.integers(1, 3), st.integers(1, 5)),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_integers_are_exact_in_any_geometry(isa, n, size, kernel, icg, ocg, strides, padding, dilation, groups, splits):
    for axis in (0, 1):
        assume(size[axis] + sum(padding[axis]) > (kernel[axis] - 1) * dilation[axis])
    how = strides, padding, dilation, groups
    x, w, b, dy = arrays(whole, (n, *size, icg * groups), kernel, ocg * groups, *how)
    with simd.use(isa):
        np.testing.assert_array_equal(forward(x, w, b, how, splits=splits), ref.conv2d(x, w, b, *how))
        dx = input_gradient(dy, w, x.shape, how, splits)
        np.testing.assert_array_equal(dx, ref.conv2d_input_gradient(dy, w, x.shape, *how))


LARGE = [  # weights that no cache holds: sums in several passes, splits by output channels
    ((2, 3, 2, 200), (3, 3), 130, S1, P1, S1, 1),
    ((13, 1, 1, 1600), (1, 1), 100, S1, P0, S1, 1),
    ((3, 4, 5, 96), (3, 3), 192, (2, 1), P1, S1, 1),
    ((1, 2, 3, 1031), (1, 1), 128, S1, ((0, 1), (0, 0)), S1, 1),  # no cut of a prime number of channels
]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, kernel, oc, strides, padding, dilation, groups", LARGE)
def test_large_weights_and_any_number_of_splits(x_shape, kernel, oc, strides, padding, dilation, groups):
    how = strides, padding, dilation, groups
    x, w, b, dy = arrays(whole, x_shape, kernel, oc, *how)
    y, dx = ref.conv2d(x, w, b, *how), ref.conv2d_input_gradient(dy, w, x_shape, *how)
    for splits in (1, 2, 3, 4, 5, 16):
        np.testing.assert_array_equal(forward(x, w, b, how, splits=splits), y)
        np.testing.assert_array_equal(input_gradient(dy, w, x_shape, how, splits), dx)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5)])
def test_samples_share_tiles(n, size):
    """A sample has the same bits alone and among others, in whatever slab."""
    how = S1, P1, S1, 1
    x, w, b, dy = arrays(uniform, (n, *size, 9), (3, 3), 17, *how)
    y, dx = forward(x, w, b, how), input_gradient(dy, w, x.shape, how)
    for i in range(n):
        one = np.s_[i : i + 1]
        np.testing.assert_array_equal(forward(x[one], w, b, how), y[one])
        np.testing.assert_array_equal(input_gradient(dy[one], w, (1, *size, 9), how), dx[one])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("oc", [1, 7, 33])
def test_fused_activation_equals_its_unfused_twin(kind, oc):
    how = S1, P1, S1, 1
    x, w, b, dy = arrays(uniform, (2, 5, 4, 3), (3, 3), oc, *how)
    twin = blank(*dy.shape)
    activations.forward(forward(x, w, b, how), twin, kind).run()
    np.testing.assert_array_equal(forward(x, w, b, how, activations.KINDS[kind]), twin)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("x_shape, kernel, oc, strides, padding, dilation, groups", [*CASES, LARGE[0]])
def test_a_residual_is_added_before_the_activation(kind, x_shape, kernel, oc, strides, padding, dilation, groups):
    how = strides, padding, dilation, groups
    x, w, b, residual = arrays(uniform, x_shape, kernel, oc, *how)
    twin = blank(*residual.shape)
    activations.forward(forward(x, w, b, how) + residual, twin, kind).run()
    for splits in (1, 2, 4):
        np.testing.assert_array_equal(forward(x, w, b, how, activations.KINDS[kind], splits, residual), twin)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("c", [1, 7, 33])
def test_transposed_convolution_is_the_input_gradient_with_bias_and_activation(kind, c):
    x_shape, how = (2, 9, 8, c), ((2, 3), ((1, 0), (0, 2)), S1, 1)  # some pixels see no tap: they get act(b)
    _, w, b, dy = arrays(uniform, x_shape, (1, 2), 5, *how)[:4]
    b, p, twin = uniform(c, seed=4), packed(w, transpose=True), blank(*x_shape)
    fused = results(
        lambda y: conv.conv2d_input_gradient(dy, p, y, (1, 2), *how, b, activations.KINDS[kind]), blank(*x_shape)
    )
    activations.forward(input_gradient(dy, w, x_shape, how) + b, twin, kind).run()
    np.testing.assert_array_equal(fused, twin)
    with pytest.raises(ValueError, match=rf"conv2d_input_gradient: expected b of shape \({c},\)"):
        conv.conv2d_input_gradient(dy, p, blank(*x_shape), (1, 2), *how, blank(c + 1))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("c", [1, 7, 17])
def test_nan_reaches_its_window_only(c):
    how = S1, P1, S1, 1
    x, w, _, dy = arrays(whole, (2, 5, 6, c), (3, 2), c, *how)
    for lane in range(c):
        bad, bad_dy = x.copy(), dy.copy()
        bad[1, 2, 3, lane] = bad_dy[1, 3, 2, lane] = np.nan
        np.testing.assert_array_equal(forward(bad, w, None, how), ref.conv2d(bad, w, None, *how))
        dx = input_gradient(bad_dy, w, x.shape, how)
        np.testing.assert_array_equal(dx, ref.conv2d_input_gradient(bad_dy, w, x.shape, *how))
    w[..., c // 2] = np.nan
    np.testing.assert_array_equal(forward(x, w, None, how), ref.conv2d(x, w, None, *how))


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
    dict(groups=0),
    dict(groups=-1),
    dict(groups=3),
    dict(kernel=(8, 8), y=(2, 0, 1, 8)),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses_shapes_that_do_not_fit(bad):
    case = dict(x=(2, 5, 6, 4), y=(2, 5, 6, 8), kernel=(3, 3), strides=S1, padding=P1, dilation=S1, groups=1) | bad
    x, y = blank(*case.pop("x")), blank(*case.pop("y"))
    how = (case[name] for name in ("kernel", "strides", "padding", "dilation", "groups"))
    kernel, *how = how
    p = packed(whole(3, 3, 4, 8))
    with pytest.raises(ValueError, match=r"conv2d_forward: x \(.*w \(.*y \(.*do not fit together"):
        conv.conv2d_forward(x, p, None, y, kernel, *how)
    with pytest.raises(ValueError, match=r"conv2d_input_gradient: x \(.*do not fit together"):
        conv.conv2d_input_gradient(y, p, x, kernel, *how)


def test_refuses_other_packed_weights():
    x, y, b = blank(2, 5, 6, 4), blank(2, 5, 6, 8), blank(8)
    for p in packed(whole(3, 3, 4, 8), transpose=True), packed(whole(3, 3, 2, 8), groups=2):
        with pytest.raises(ValueError, match=r"packed \(.* is not that of w \(3, 3, 4, 8\) in 1 groups"):
            conv.conv2d_forward(x, p, b, y, (3, 3), padding=P1)
    with pytest.raises(ValueError, match=r"packed \(.* is not the transpose of w \(3, 3, 4, 8\)"):
        conv.conv2d_input_gradient(y, packed(whole(3, 3, 4, 8)), x, (3, 3), padding=P1)
    with pytest.raises(ValueError, match=r"expected b of shape \(8,\)"):
        conv.conv2d_forward(x, packed(whole(3, 3, 4, 8)), blank(7), y, (3, 3), padding=P1)
    with pytest.raises(ValueError, match=r"expected residual of shape \(2, 5, 6, 8\)"):
        conv.conv2d_forward(x, packed(whole(3, 3, 4, 8)), b, y, (3, 3), padding=P1, residual=x)
    slab = slot_buffer(-x.nbytes, x.shape, "f")
    for a, splits in ((x, 0), (slab, 2)):
        with pytest.raises(ValueError, match=f"splits of 1 or more, and of 1 on slab tensors. Received: {splits}"):
            conv.conv2d_forward(a, packed(whole(3, 3, 4, 8)), b, y, (3, 3), padding=P1, splits=splits)
