"""Weighted sums of pixels, and their gradient."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, uniform

from dlcore.kernels import resize

pytestmark = pytest.mark.usefixtures("isa")


def taps(size, out, count, seed=0):
    rng = np.random.default_rng([size, out, count, seed])
    return rng.integers(0, size, (out, count)), rng.uniform(-1, 1, (out, count))


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize(
    "size, out, counts", [((1, 1), (3, 2), (1, 1)), ((5, 4), (3, 7), (2, 2)), ((3, 6), (6, 4), (4, 1))]
)
def test_resize(c, size, out, counts):
    x, dy = uniform(3, *size, c), uniform(3, *out, c)
    rows, cols = taps(size[0], out[0], counts[0]), taps(size[1], out[1], counts[1], 1)
    bound = dict(roundings=4 * sum(counts) + 40)
    got = results(lambda y: resize.resize_forward(x, y, rows, cols), blank(3, *out, c))
    magnitude = [(index, abs(weight)) for index, weight in (rows, cols)]
    assert_near(got, ref.resample(x, rows, cols), ref.resample(abs(x), *magnitude), **bound)
    got = results(lambda dx: resize.resize_gradient(dy, dx, rows, cols), blank(*x.shape))
    expected = ref.resample_gradient(dy, x.shape, rows, cols)
    assert_near(got, expected, ref.resample_gradient(abs(dy), x.shape, *magnitude), **bound)


def test_a_weight_of_zero_does_not_read():
    x = F32([[np.nan, 2, np.inf]]).reshape(1, 1, 3, 1)
    cols = np.array([[1, 0], [1, 2]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    y = results(lambda y: resize.resize_forward(x, y, (np.zeros((1, 1)), np.ones((1, 1))), cols), blank(1, 1, 2, 1))
    np.testing.assert_array_equal(y.ravel(), [2, 2])


def test_refuses_what_does_not_fit():
    x, y, good = blank(2, 3, 4, 1), blank(2, 3, 4, 1), (np.zeros((4, 1)), np.ones((4, 1)))
    for rows in (good, (np.full((3, 1), 3), np.ones((3, 1))), (np.full((3, 1), -1), np.ones((3, 1))),
                 (np.zeros((3, 1)), np.ones((3, 2))), (np.zeros((3, 0)), np.ones((3, 0)))):  # fmt: skip
        with pytest.raises(ValueError, match=r"resize: rows of shapes .* do not lead from 3 to 3"):
            resize.resize_forward(x, y, rows, good)
    with pytest.raises(ValueError, match=r"resize: dx \(2, 3, 4, 1\) and dy \(2, 3, 4, 2\) do not fit"):
        resize.resize_gradient(blank(2, 3, 4, 2), x, good, good)
