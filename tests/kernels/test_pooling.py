"""Max and average pooling and their gradients."""

import numpy as np
import pytest
import reference as ref
from harness import SIZES, assert_near, blank, results, uniform, whole

from dlcore.kernels import pooling

pytestmark = pytest.mark.usefixtures("isa")

P0 = ref.NO_PADDING
CASES = [  # x shape, pool, strides, padding
    ((1, 1, 1, 1), (1, 1), (1, 1), P0),
    ((3, 8, 6, 16), (2, 2), (2, 2), P0),  # the common case has code of its own
    ((3, 8, 6, 22), (2, 2), (2, 2), P0),  # vectors and a rest
    ((2, 6, 6, 22), (3, 2), (3, 2), P0),
    ((2, 8, 6, 5), (3, 2), (3, 2), P0),  # a row left over
    ((2, 7, 7, 4), (2, 2), (2, 2), P0),
    ((2, 7, 8, 9), (3, 3), (1, 2), P0),  # overlapping
    ((2, 9, 9, 3), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((2, 5, 4, 2), (3, 2), (2, 1), ((1, 1), (0, 1))),
    ((2, 6, 6, 7), (2, 2), (2, 2), ((1, 1), (1, 1))),  # pads before and after, windows do not overlap
    ((2, 7, 9, 3), (2, 2), (3, 4), ((0, 1), (1, 0))),  # gaps between windows
    ((2, 3, 3, 2), (3, 3), (1, 1), ((2, 1), (1, 2))),
    ((2, 2, 3, 5), (5, 6), (1, 2), ((3, 4), (4, 3))),  # window larger than image: clipped on both sides
    ((1, 17, 16, 3), (16, 16), (1, 1), P0),  # 256 positions, what a byte can hold
    ((2, 18, 17, 5), (17, 16), (1, 1), P0),  # more: another index
    ((2, 20, 17, 3), (19, 18), (1, 1), ((3, 1), (2, 17))),
    ((2, 5, 4, 37), (300, 4), (1, 4), ((299, 295), (0, 0))),  # windows that hold one row to all of them
    ((3, 7, 7, 70), (7, 7), (7, 7), P0),  # the whole image
    ((2, 19, 17, 9), (19, 17), (19, 17), P0),
    ((2, 3, 4, 9), (6, 5), (1, 1), ((2, 1), (0, 1))),  # and clipped on all sides
    ((2, 1, 127, 1), (1, 4), (1, 3), ((0, 0), (3, 2))),
    ((0, 4, 4, 3), (2, 2), (2, 2), P0),
    ((2, 4, 4, 0), (2, 2), (2, 2), P0),
]
CASES += [((2, 4, 5, c), (2, 2), (2, 2), P0) for c in SIZES] + [((2, 4, 5, c), (3, 2), (1, 1), P0) for c in SIZES]


def outputs(x_shape, *how):
    size = [ref.out_size(d, k, s, p) for d, k, s, p in zip(x_shape[1:3], *how, strict=True)]
    index = np.uint8 if how[0][0] * how[0][1] <= 256 else np.float32
    return blank(x_shape[0], *size, x_shape[3]), blank(x_shape[0], *size, x_shape[3], dtype=index)


def max_pool(x, *how):
    y, index = results(lambda y, index: pooling.max_pool2d_forward(x, y, index, *how), *outputs(x.shape, *how))
    alone = results(lambda y: pooling.max_pool2d_forward(x, y, None, *how), blank(*y.shape), runs=[(1, None)])
    np.testing.assert_array_equal(alone, y)
    return y, index


@pytest.mark.parametrize("x_shape, pool, strides, padding", CASES)
def test_max_pool(x_shape, pool, strides, padding):
    how = pool, strides, padding
    for x in uniform(*x_shape) - 2, whole(*x_shape):  # negative: padding would win; integers: many ties
        y, index = max_pool(x, *how)
        expected, expected_index = ref.max_pool2d(x, *how)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(index, expected_index)
    dy = whole(*y.shape, seed=1)
    dx = results(lambda dx: pooling.max_pool2d_gradient(dy, index, dx, *how), blank(*x_shape))
    np.testing.assert_array_equal(dx, ref.max_pool2d_gradient(dy, index, x_shape, *how))


@pytest.mark.parametrize("x_shape, pool, strides, padding", [*CASES, ((2, 20, 30, 3), (20, 30), (1, 1), P0)])
def test_average_pool(x_shape, pool, strides, padding):
    how = pool, strides, padding
    x, y = uniform(*x_shape), outputs(x_shape, *how)[0]
    got = results(lambda y: pooling.average_pool2d_forward(x, y, *how), y)
    assert_near(got, ref.avg_pool2d(x, *how), ref.avg_pool2d(abs(x), *how))
    dy = uniform(*y.shape, seed=1)
    dx = results(lambda dx: pooling.average_pool2d_gradient(dy, dx, *how), blank(*x_shape))
    assert_near(dx, ref.avg_pool2d_gradient(dy, x_shape, *how), ref.avg_pool2d_gradient(abs(dy), x_shape, *how))


@pytest.mark.parametrize("c", [1, 33, 70])
def test_the_first_nan_wins_a_window_of_many_pixels(c):
    how = (20, 30), (20, 30), P0
    x = whole(1, 20, 30, c)
    x[0, 0, 0], x[0, 13, 7, 0], x[0, 13, 8, 0], x[0, 19, 29, -1] = np.inf, np.nan, np.nan, np.nan
    expected, expected_index = ref.max_pool2d(x, *how)
    y, index = max_pool(x, *how)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(index, expected_index)
    assert index[0, 0, 0, 0] == 13 * 30 + 7 and np.isnan(y[0, 0, 0, [0, -1]]).all()
    got = results(lambda y, x=x: pooling.average_pool2d_forward(x, y, *how), blank(*y.shape))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))


@pytest.mark.parametrize("c", [1, 7, 17])
def test_nan_wins_its_window_only_and_the_first_one_the_index(c):
    how = (2, 3), (2, 1), ((0, 0), (1, 1))
    for lane in range(c):
        x = whole(1, 4, 5, c)
        x[0, 1, 2, lane] = x[0, 1, 3, lane] = np.nan
        x[0, 2, 0, lane] = np.inf
        x[0, 2:, 3:, lane] = -np.inf
        expected, expected_index = ref.max_pool2d(x, *how)
        y, index = max_pool(x, *how)
        assert np.isnan(expected).sum() == 4
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(index, expected_index)
        got = results(lambda y, x=x: pooling.average_pool2d_forward(x, y, *how), blank(*y.shape))
        np.testing.assert_array_equal(np.isnan(got), np.isnan(ref.avg_pool2d(x, *how)))


BAD = [
    dict(pool=(0, 2)),
    dict(strides=(2, 0)),
    dict(strides=(-1, 2)),
    dict(y=(2, 3, 3, 3)),
    dict(y=(2, 2, 3, 4)),
    dict(x=(2, 1, 6, 3), y=(2, 1, 3, 3)),  # the window does not fit once
    dict(x=(2, 0, 6, 3), y=(2, 1, 3, 3), padding=((1, 1), (0, 0))),
    dict(padding=((2, 0), (0, 0)), y=(2, 3, 3, 3)),  # a window of padding only, before and after the image
    dict(padding=((0, 2), (0, 0)), y=(2, 3, 3, 3)),
    dict(padding=((0, 0), (-1, 1))),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses_windows_that_do_not_fit(bad):
    case = dict(x=(2, 4, 6, 3), y=(2, 2, 3, 3), pool=(2, 2), strides=(2, 2), padding=P0) | bad
    x, y = blank(*case.pop("x")), blank(*case.pop("y"))
    index = blank(*y.shape, dtype=np.uint8)
    how = case.values()
    with pytest.raises(ValueError, match=r"max_pool2d_forward: x \(.*y \(.*do not fit together"):
        pooling.max_pool2d_forward(x, y, index, *how)
    with pytest.raises(ValueError, match=r"max_pool2d_gradient: dx \(.*dy \(.*do not fit together"):
        pooling.max_pool2d_gradient(y, index, x, *how)
    with pytest.raises(ValueError, match=r"average_pool2d_forward: x \(.*y \(.*do not fit together"):
        pooling.average_pool2d_forward(x, y, *how)


def test_refuses_windows_of_more_positions_than_an_index_can_tell():
    x = blank(1, 4097, 4096, 0)
    with pytest.raises(ValueError, match=r"do not fit together .* at most 2\^24 of all"):
        pooling.max_pool2d_forward(x, blank(1, 1, 1, 0), None, (4097, 4096), (1, 1))


def test_gradient_needs_the_index():
    with pytest.raises(ValueError, match="max_pool2d_gradient: expected the index"):
        pooling.max_pool2d_gradient(blank(1, 1, 1, 1), None, blank(1, 2, 2, 1), (2, 2), (2, 2))
