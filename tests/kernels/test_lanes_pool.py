"""Convolution of one channel, activation and average pooling in one pass, and its weight gradient."""

import numpy as np
import pytest
import reference as ref
from geometries import P0, S1, padding, small
from harness import assert_near, blank, results, uniform, whole
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcore.kernels import activations, conv_narrow, lanes_pool, pooling, simd

WINDOW = (2, 2), (2, 2), P0
CASES = [  # image, kernel, oc, strides, padding, dilation
    ((28, 28), (5, 5), 6, S1, ((2, 2), (2, 2)), S1),  # the first layer of LeNet-5
    ((2, 2), (1, 1), 1, S1, P0, S1),
    ((7, 15), (3, 3), 4, S1, ((1, 1), (1, 1)), S1),  # a row and a column that fill no window
    ((9, 18), (2, 3), 13, (2, 1), ((1, 0), (0, 2)), (3, 1)),
    ((9, 127), (3, 2), 7, (3, 1), ((0, 2), (1, 1)), (1, 4)),
    ((9, 45), (1, 1), 33, S1, P0, S1),
]


def output_shape(x, w, how):
    n, oh, ow, oc = ref.conv2d(x, w, None, *how, 1).shape
    return n, oh // 2, ow // 2, oc


def planes_of(y_shape):
    n, rows, cols, oc = y_shape
    return blank(n, oc, 2 * rows, lanes_pool.row_floats(cols))


def forward(x, w, b, how, activation=0, splits=1, planes=None):
    def make(y):
        return lanes_pool.conv2d_forward(x, w, b, y, planes, *how, activation, splits)

    return results(make, blank(*output_shape(x, w, how)))


def weight_gradient(x, dy, planes, w, how, activation=0, grain=2):
    chunks = -(-len(x) // grain)
    dw, db = blank(chunks, *w.shape), blank(chunks, w.shape[3])
    lanes_pool.conv2d_weight_gradient(x, dy, planes, dw, db, grain, *how, activation).run()
    return dw.sum(0), db.sum(0)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("size, kernel, oc, strides, padding, dilation", CASES)
@pytest.mark.parametrize("kind", activations.KINDS)
def test_forward_against_its_parts(size, kernel, oc, strides, padding, dilation, kind):
    how, number = (strides, padding, dilation), activations.KINDS[kind]
    x, w, b = uniform(3, *size, 1), uniform(*kernel, 1, oc, seed=1), uniform(oc, seed=2)
    whole_image = blank(*ref.conv2d(x, w, b, *how, 1).shape)
    conv_narrow.conv2d_lanes(x, w, b, whole_image, *how, number).run()
    y, expected = forward(x, w, b, how, number), blank(*output_shape(x, w, how))
    pooling.average_pool2d_forward(whole_image, expected, *WINDOW).run()
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)
    for splits in (2, 3):
        if splits <= y.shape[1]:
            np.testing.assert_array_equal(forward(x, w, b, how, number, splits), y)
    planes = planes_of(y.shape)
    np.testing.assert_array_equal(forward(x, w, b, how, number, planes=planes), y)
    kept = whole_image[:, : 2 * y.shape[1], : 2 * y.shape[2]].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(planes[..., : 2 * y.shape[2]], kept, rtol=2e-6, atol=2e-6)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("size, kernel, oc, strides, padding, dilation", CASES)
@pytest.mark.parametrize("kind", activations.KINDS)
def test_weight_gradient_against_reference(size, kernel, oc, strides, padding, dilation, kind):
    how, number = (strides, padding, dilation), activations.KINDS[kind]
    x, w, b = uniform(3, *size, 1), uniform(*kernel, 1, oc, seed=1), uniform(oc, seed=2)
    y_shape = output_shape(x, w, how)
    planes, dy = planes_of(y_shape), uniform(*y_shape, seed=3)
    forward(x, w, b, how, number, planes=planes)
    image = ref.conv2d(x, w, b, *how, 1)
    image[:, : 2 * y_shape[1], : 2 * y_shape[2]] = planes[..., : 2 * y_shape[2]].transpose(0, 2, 3, 1)
    dz = blank(*image.shape)
    gradient = ref.avg_pool2d_gradient(dy, image.shape, *WINDOW)
    activations.gradient(gradient.astype(np.float32), image.astype(np.float32), dz, kind).run()
    dw, db = weight_gradient(x, dy, planes, w, how, number)
    of = [ref.conv2d_weight_gradient(*pair, w.shape, *how, 1) for pair in ((x, dz), (abs(x), abs(dz)))]
    assert_near(dw, *of)
    assert_near(db, dz.sum((0, 1, 2), dtype=float), abs(dz).sum((0, 1, 2), dtype=float))


@given(
    st.sampled_from(simd.usable()),
    st.integers(0, 5),
    st.tuples(st.integers(2, 8), st.integers(2, 40)),
    *(small, st.integers(1, 20), st.integers(1, 3), st.tuples(padding, padding), small),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_integers_are_exact(isa, n, size, kernel, oc, stride, padding, dilation):
    how, x, w = ((stride, 1), padding, dilation), whole(n, *size, 1), whole(*kernel, 1, oc, seed=1)
    for axis in (0, 1):
        free = size[axis] + sum(padding[axis]) - (kernel[axis] - 1) * dilation[axis] - 1
        assume(free // how[0][axis] + 1 >= 2)
    image = ref.conv2d(x, w, None, *how, 1)
    with simd.use(isa):
        planes = planes_of(output_shape(x, w, how))
        y = forward(x, w, None, how, planes=planes)
        dy = 4 * whole(*y.shape, seed=2)
        dw, db = weight_gradient(x, dy, planes, w, how)
    np.testing.assert_array_equal(y, ref.avg_pool2d(image, *WINDOW))
    dz = ref.avg_pool2d_gradient(dy, image.shape, *WINDOW)
    np.testing.assert_array_equal(dw, ref.conv2d_weight_gradient(x, dz, w.shape, *how, 1))
    np.testing.assert_array_equal(db, dy.sum((0, 1, 2)))


@pytest.mark.usefixtures("isa")
def test_nan_reaches_the_windows_that_see_it():
    x, w = uniform(2, 6, 21, 1), uniform(3, 3, 1, 5, seed=1)
    x[0, 3, 17] = np.nan
    expected = np.zeros((2, 2, 9, 5), bool)
    expected[0, :2, 7:9] = True
    y_shape = expected.shape
    planes = planes_of(y_shape)
    np.testing.assert_array_equal(np.isnan(forward(x, w, None, (S1, P0, S1), planes=planes)), expected)
    planes, dy = np.zeros_like(planes), np.zeros(y_shape, np.float32)
    dw, db = weight_gradient(x, dy, planes, w, (S1, P0, S1))
    assert np.isnan(dw).all() and not db.any()  # 0 * NaN


@pytest.mark.parametrize("x, y, planes, strides", [
    ((2, 6, 7, 2), (2, 3, 3, 5), None, S1), ((2, 6, 7, 1), (2, 3, 3, 5), None, (1, 2)),
    ((2, 6, 7, 1), (2, 3, 2, 5), None, S1), ((2, 6, 7, 1), (2, 3, 3, 5), (2, 5, 6, 1), S1),
])  # fmt: skip
def test_what_does_not_fit_is_refused(x, y, planes, strides):
    with pytest.raises(ValueError, match="do not fit together"):
        lanes_pool.conv2d_forward(
            blank(*x), blank(1, 1, x[3], 5), None, blank(*y), planes and blank(*planes), strides=strides
        )
