"""conv2d_lanes, merge and the input gradient by overlapping rows: convolutions with few channels."""

import numpy as np
import pytest
import reference as ref
from geometries import P0, S1, channels, padding, small
from harness import assert_near, blank, packed, results, uniform, whole
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcore.kernels import activations, conv, conv_narrow, dense, simd

CASES = [  # x shape, kernel, oc, strides, padding, dilation
    ((1, 1, 1, 1), (1, 1), 1, S1, P0, S1),
    ((2, 14, 14, 6), (5, 5), 16, S1, P0, S1),  # the second layer of LeNet-5
    ((2, 28, 28, 1), (3, 3), 16, S1, ((1, 1), (1, 1)), S1),
    ((3, 9, 8, 3), (3, 3), 15, S1, ((1, 1), (1, 1)), S1),
    ((2, 9, 11, 3), (4, 4), 7, (2, 2), ((1, 1), (1, 2)), S1),  # the last layer of a generator
    ((2, 9, 10, 13), (3, 3), 127, (2, 1), ((2, 0), (0, 1)), S1),  # more than one panel and vector
    ((2, 10, 9, 2), (2, 2), 8, (3, 4), P0, S1),  # gaps: pixels and rows that no window touches
    ((2, 9, 10, 3), (3, 2), 16, (1, 2), ((1, 1), (1, 1)), (2, 1)),
    ((2, 8, 8, 2), (2, 2), 5, (3, 2), ((1, 0), (0, 2)), (3, 1)),
    ((1, 2, 2, 3), (5, 5), 2, S1, ((2, 2), (3, 1)), S1),  # kernel larger than image
    ((2, 3, 4, 2), (2, 3), 3, S1, ((4, 3), (2, 5)), S1),  # windows wholly in the padding
    ((5, 1, 127, 2), (1, 5), 4, (1, 2), ((0, 0), (4, 0)), S1),
    ((1, 90, 70, 1), (3, 3), 2, S1, P0, S1),  # several bands
]


def input_gradient(dy, w, x_shape, how, b=None, activation=0):
    p = packed(w, transpose=True, joined=True)
    return results(
        lambda dx: conv_narrow.conv2d_input_gradient(dy, p, dx, w.shape[:2], *how, 1, b, activation), blank(*x_shape)
    )


def gradients(make, x_shape, kernel, oc, *how):
    w = make(*kernel, x_shape[3], oc, seed=1)
    return w, make(*ref.conv2d(np.zeros(x_shape), w, None, *how, 1).shape, seed=3)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, kernel, oc, strides, padding, dilation", CASES)
def test_input_gradient_against_reference(x_shape, kernel, oc, strides, padding, dilation):
    how = strides, padding, dilation
    w, dy = gradients(uniform, x_shape, kernel, oc, *how)
    expected, magnitude = (ref.conv2d_input_gradient(g, v, x_shape, *how, 1) for g, v in ((dy, w), (abs(dy), abs(w))))
    assert_near(input_gradient(dy, w, x_shape, how), expected, magnitude)


@given(
    st.sampled_from(simd.usable()),
    st.integers(0, 5),
    *(st.tuples(st.integers(1, 8), st.integers(1, 8)), small, channels, channels),
    *(small, st.tuples(padding, padding), st.integers(1, 3)),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_integers_are_exact_in_any_geometry(isa, n, size, kernel, ic, oc, strides, padding, dilation):
    dilation = dilation, 1
    for axis in (0, 1):
        assume(size[axis] + sum(padding[axis]) > (kernel[axis] - 1) * dilation[axis])
    x_shape, how = (n, *size, ic), (strides, padding, dilation)
    w, dy = gradients(whole, x_shape, kernel, oc, *how)
    with simd.use(isa):
        dx = input_gradient(dy, w, x_shape, how)
    np.testing.assert_array_equal(dx, ref.conv2d_input_gradient(dy, w, x_shape, *how, 1))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("c", [1, 7, 33])
def test_bias_and_activation_make_a_transposed_convolution(kind, c):
    x_shape, how = (2, 9, 8, c), ((2, 3), ((1, 0), (0, 2)), S1)  # some pixels see no tap: they get act(b)
    w, dy = gradients(uniform, x_shape, (1, 2), 5, *how)
    b, twin = uniform(c, seed=4), blank(*x_shape)
    activations.forward(input_gradient(dy, w, x_shape, how, b), twin, kind).run()
    np.testing.assert_array_equal(input_gradient(dy, w, x_shape, how, b, activations.KINDS[kind]), twin)
    plain = input_gradient(dy, w, x_shape, how)
    np.testing.assert_allclose(input_gradient(dy, w, x_shape, how, b), plain + b, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=rf"conv2d_input_gradient: expected b of shape \({c},\)"):
        conv_narrow.conv2d_input_gradient(
            dy, packed(w, True, joined=True), blank(*x_shape), (1, 2), *how, 1, blank(c + 1)
        )


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("c", [1, 7, 17])
def test_nan_in_dy_reaches_its_window_only(c):
    x_shape, how = (1, 7, 8, c), (S1, P0, S1)
    w, dy = gradients(uniform, x_shape, (3, 3), 5, *how)
    dy[0, 2, 3, 1] = np.nan
    expected = np.zeros(x_shape, bool)
    expected[0, 2:5, 3:6] = True
    np.testing.assert_array_equal(np.isnan(input_gradient(dy, w, x_shape, how)), expected)


def test_input_gradient_refuses_pixels_of_a_window_that_are_apart():
    x_shape, how = (2, 9, 8, 2), (S1, P0, (1, 2))
    w, dy = gradients(uniform, x_shape, (3, 3), 4, *how)
    with pytest.raises(ValueError, match=r"conv2d_input_gradient: .* not the joined transpose .* or dilation"):
        input_gradient(dy, w, x_shape, how)


def lanes(x, w, b, how, activation=0, splits=1):
    y = blank(*ref.conv2d(x, w, None, *how, 1).shape)
    return results(lambda y: conv_narrow.conv2d_lanes(x, w, b, y, *how, activation, splits), y)


LANES = [  # image, kernel, oc, strides, padding, dilation
    ((28, 28), (5, 5), 6, S1, ((2, 2), (2, 2)), S1),  # the first layer of LeNet-5
    ((1, 1), (1, 1), 1, S1, P0, S1),
    ((7, 15), (3, 3), 4, S1, ((1, 1), (1, 1)), S1),
    ((5, 18), (2, 3), 13, (2, 1), ((1, 0), (0, 2)), (3, 1)),
    ((3, 127), (3, 2), 7, (3, 1), ((0, 2), (1, 1)), (1, 4)),
    ((9, 45), (1, 1), 33, S1, P0, S1),
]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("size, kernel, oc, strides, padding, dilation", LANES)
def test_lanes_against_reference(size, kernel, oc, strides, padding, dilation):
    how = strides, padding, dilation
    x, w, b = uniform(3, *size, 1), uniform(*kernel, 1, oc, seed=1), uniform(oc, seed=2)
    expected, magnitude = (ref.conv2d(*of, *how, 1) for of in ((x, w, b), (abs(x), abs(w), abs(b))))
    y = lanes(x, w, b, how)
    assert_near(y, expected, magnitude)
    for splits in (2, 3):
        if splits <= y.shape[1]:
            np.testing.assert_array_equal(lanes(x, w, b, how, 0, splits), y)
    for kind, number in activations.KINDS.items():
        twin = blank(*y.shape)
        activations.forward(y, twin, kind).run()
        np.testing.assert_array_equal(lanes(x, w, b, how, number), twin)


@given(
    st.sampled_from(simd.usable()),
    st.integers(0, 5),
    st.tuples(st.integers(1, 8), st.integers(1, 40)),
    *(small, st.integers(1, 20), st.integers(1, 3), st.tuples(padding, padding), small),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_integers_are_exact_with_pixels_in_the_lanes(isa, n, size, kernel, oc, stride, padding, dilation):
    for axis in (0, 1):
        assume(size[axis] + sum(padding[axis]) > (kernel[axis] - 1) * dilation[axis])
    how, x, w = ((stride, 1), padding, dilation), whole(n, *size, 1), whole(*kernel, 1, oc, seed=1)
    with simd.use(isa):
        y = lanes(x, w, None, how)
    np.testing.assert_array_equal(y, ref.conv2d(x, w, None, *how, 1))


@pytest.mark.usefixtures("isa")
def test_nan_reaches_the_windows_that_see_it():
    x, w = uniform(2, 6, 21, 1), uniform(3, 3, 1, 5, seed=1)
    x[0, 3, 17] = np.nan
    expected = np.zeros((2, 4, 19, 5), bool)
    expected[0, 1:4, 15:18] = True
    np.testing.assert_array_equal(np.isnan(lanes(x, w, None, (S1, P0, S1))), expected)


def test_lanes_refuse_what_does_not_fit():
    w, y = blank(3, 3, 1, 4), blank(2, 6, 6, 4)
    with pytest.raises(ValueError, match=r"conv2d_lanes: .*do not fit together"):
        conv_narrow.conv2d_lanes(blank(2, 8, 9, 1), w, None, y)
    with pytest.raises(ValueError, match="conv2d_lanes: expected one input channel and strides"):
        conv_narrow.conv2d_lanes(blank(2, 8, 8, 2), blank(3, 3, 2, 4), None, y)
    with pytest.raises(ValueError, match="conv2d_lanes: expected one input channel and strides"):
        conv_narrow.conv2d_lanes(blank(2, 8, 13, 1), w, None, y, (1, 2))
    with pytest.raises(ValueError, match=r"conv2d_lanes: expected b of shape \(4,\)"):
        conv_narrow.conv2d_lanes(blank(2, 8, 8, 1), w, blank(5), y)
    with pytest.raises(ValueError, match="conv2d_lanes: expected splits of 1 to 6"):
        conv_narrow.conv2d_lanes(blank(2, 8, 8, 1), w, None, y, splits=7)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("pixels, step, shape", [(1, 1, (3, 2, 4, 5)), (2, 1, (5, 5, 1, 3)), (3, 2, (2, 3, 3, 1))])
def test_merged_pixels(pixels, step, shape):
    """A convolution with the merged kernel gives the same pixels."""
    pixels = min(pixels, packed(uniform(1, 1)).shape[3] // shape[3])
    (kh, kw, ic, oc), n, ow = shape, 3, 6 * pixels
    how = {"strides": (2, step), "padding": ((1, 0), (1, 1)), "dilation": (2, 1)}
    iw = (ow - 1) * step + kw - 2
    x, w = whole(n, 11, iw, ic), whole(*shape, seed=1)
    expected = ref.conv2d(x, w, None, *how.values(), 1)
    wide = kw + (pixels - 1) * step
    v = np.zeros((kh, wide, ic, pixels, oc), np.float32)
    for p in range(pixels):
        v[:, p * step : p * step + kw, :, p] = w
    v = v.reshape(kh, wide, ic, pixels * oc)
    merged = results(lambda p: conv_narrow.merge(w, p, pixels, step), blank(*packed(v).shape))
    np.testing.assert_array_equal(merged, packed(v))
    y = blank(n, expected.shape[1], ow // pixels, pixels * oc)
    how["strides"] = (2, step * pixels)
    conv.conv2d_forward(x, merged, None, y, (kh, wide), **how).run()
    np.testing.assert_array_equal(y.reshape(expected.shape), expected)


@pytest.mark.usefixtures("isa")
def test_joined_packing_is_that_of_the_rows_of_the_kernel():
    w = uniform(2, 3, 5, 7)
    got = results(lambda p: dense.pack(w, p, transpose=True, joined=True), blank(*packed(w, True, joined=True).shape))
    np.testing.assert_array_equal(got, packed(w, True, joined=True))


def test_merge_refuses_what_does_not_fit():
    w = blank(2, 3, 1, 4)
    with pytest.raises(ValueError, match="merge: 99 pixels 1 apart of 4 channels: expected at most"):
        conv_narrow.merge(w, blank(1, 1, 8, 8), 99, 1)
    with pytest.raises(ValueError, match="merge: expected packed of shape"):
        conv_narrow.merge(w, blank(1, 1, 6, 9), 1, 1)
