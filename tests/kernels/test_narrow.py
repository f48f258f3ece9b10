"""Dense layers of few outputs: transpose, narrow_forward, narrow_input_gradient, narrow_weight_gradient."""

import numpy as np
import pytest
import reference as ref
from harness import SIZES, assert_near, blank, results, uniform, whole

from dlcore.kernels import activations, narrow

pytestmark = pytest.mark.usefixtures("isa")

# rows, k, units: all numbers of units; rows around tiles of 2 and 6, k around vectors, tasks of 128, cuts at 512
KS = [*SIZES, 64, 128, 129, 160, 511, 512, 513, 1100]
SHAPES = [(1 + 5 * i % 19, KS[i % len(KS)], i + 1) for i in range(32)]
SHAPES += [(8, 5, 10), (9, 130, 10), (0, 5, 3), (3, 0, 4), (16, 600, 16), (17, 784, 10), (7, 1100, 32)]


def transpose(w):
    return results(lambda wt: narrow.transpose(w, wt), blank(*w.shape[::-1]))


def forward(x, w, b, activation=0):
    wt = transpose(w)
    return results(lambda y: narrow.narrow_forward(x, wt, b, y, activation), blank(len(x), len(wt)))


def input_gradient(dy, w):
    wt = transpose(w)
    return results(lambda dx: narrow.narrow_input_gradient(dy, wt, dx), blank(len(dy), len(w)))


def weight_gradient(x, dy):
    return results(lambda dw: narrow.narrow_weight_gradient(x, dy, dw), blank(x.shape[1], dy.shape[1]))


@pytest.mark.parametrize("n, k, units", SHAPES)
def test_against_reference(n, k, units):
    for make in whole, uniform:
        x, w, b, dy = make(n, k), make(k, units, seed=1), make(units, seed=2), make(n, units, seed=3)
        scale = 0 if make is whole else 1  # integers are exact
        np.testing.assert_array_equal(transpose(w), w.T)
        assert_near(forward(x, w, b), ref.dense(x, w, b), scale * ref.dense(abs(x), abs(w), abs(b)))
        assert_near(forward(x, w, None), ref.dense(x, w), scale * ref.dense(abs(x), abs(w)))
        expected, magnitude = ref.dense_input_gradient(dy, w), ref.dense_input_gradient(abs(dy), abs(w))
        assert_near(input_gradient(dy, w), expected, scale * magnitude)
        expected, magnitude = ref.dense_weight_gradient(x, dy), ref.dense_weight_gradient(abs(x), abs(dy))
        assert_near(weight_gradient(x, dy), expected, scale * magnitude)


@pytest.mark.parametrize("kind", activations.KINDS)
def test_fused_activation_equals_its_unfused_twin(kind):
    x, w, b = uniform(7, 33), uniform(33, 10, seed=1), uniform(10, seed=2)
    twin = blank(7, 10)
    activations.forward(forward(x, w, b), twin, kind).run()
    np.testing.assert_array_equal(forward(x, w, b, activations.KINDS[kind]), twin)


@pytest.mark.parametrize("units", [1, 7, 16, 32])
def test_nan_spoils_its_row_or_column_only(units):
    x, w, dy = whole(9, 37), whole(37, units, seed=1), whole(9, units, seed=2)
    for j in range(units):
        bad, bad_dy = w.copy(), dy.copy()
        bad[36 - j, j] = bad_dy[8, j] = np.nan
        np.testing.assert_array_equal(forward(x, bad, None), ref.dense(x, bad))
        np.testing.assert_array_equal(input_gradient(bad_dy, w), ref.dense_input_gradient(bad_dy, w))
        np.testing.assert_array_equal(weight_gradient(x, bad_dy), ref.dense_weight_gradient(x, bad_dy))


@pytest.mark.parametrize("units", [0, 33])
def test_refuses_other_numbers_of_units(units):
    w, wt, x, y = blank(5, units), blank(units, 5), blank(3, 5), blank(3, units)
    for bind in (
        lambda: narrow.transpose(w, wt),
        lambda: narrow.narrow_forward(x, wt, None, y),
        lambda: narrow.narrow_input_gradient(y, wt, x),
        lambda: narrow.narrow_weight_gradient(x, y, w),
    ):
        with pytest.raises(ValueError, match=r"do not fit together, with 1 to 32 units"):
            bind()


@pytest.mark.parametrize("units", [1, 2, 3, 5, 10, 11, 32])
def test_a_row_has_the_same_bits_whatever_rows_run_with_it(units):
    x, w, dy = uniform(13, 1100), uniform(1100, units, seed=1), uniform(13, units, seed=2)
    y, dx = forward(x, w, None), input_gradient(dy, w)
    for first, last in ((0, 1), (3, 5), (1, 7), (12, 13)):
        np.testing.assert_array_equal(forward(x[first:last], w, None), y[first:last])
        np.testing.assert_array_equal(input_gradient(dy[first:last], w), dx[first:last])
