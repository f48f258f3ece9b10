"""copy between strided regions, concatenate."""

import numpy as np
import pytest
from harness import F32, SIZES, blank, results, uniform

from dlcore.kernels import shape

pytestmark = pytest.mark.usefixtures("isa")


def slow_copy(x, y_shape, dims, x_offset=0, y_offset=0, value=0, accumulate=False):
    """Index by index, as the kernel's docstring says."""
    n = x.shape[0]
    flat, y = x.reshape(n, -1), np.full((n, int(np.prod(y_shape))), value, np.float64)
    for i in np.ndindex(*(dim[0] for dim in dims)):
        p = x_offset + sum(k * dim[1] for k, dim in zip(i, dims, strict=True))
        q = y_offset + sum(k * dim[2] for k, dim in zip(i, dims, strict=True))
        y[:, q] = flat[:, p] + (y[:, q] if accumulate else 0)
    return y.reshape(n, *y_shape)


REGIONS = [  # shapes of a sample of x and y, dims, keywords
    ((6,), (6,), [(6, 1, 1)], {}),  # all of it
    ((4, 5), (2, 3), [(2, 5, 3), (3, 1, 1)], dict(x_offset=6)),  # a slice
    ((4, 33), (4, 40), [(4, 33, 40), (33, 1, 1)], dict(y_offset=3, value=2.5)),  # padding at the end of rows
    ((3, 4, 2), (5, 7, 2), [(3, 8, 14), (4, 2, 2), (2, 1, 1)], dict(y_offset=16)),  # a border of zeros
    ((9,), (5,), [(5, 2, 1)], {}),  # every other
    ((5,), (9,), [(5, 1, 2)], dict(value=-1)),  # and back
    ((7,), (7,), [(7, 1, -1)], dict(y_offset=6)),  # flips
    ((3, 5), (3, 5), [(3, -5, 5), (5, -1, 1)], dict(x_offset=14)),
    ((3, 4), (6, 5), [(3, -4, 5), (4, 1, 1)], dict(x_offset=8, y_offset=10, value=1)),
    ((3, 4), (6, 5), [(3, 4, -5), (4, 1, 1)], dict(y_offset=20)),
    ((3, 4, 5), (5, 3, 4), [(5, 1, 12), (3, 20, 4), (4, 5, 1)], {}),  # permutation
    ((3, 2), (3, 6), [(3, 2, 6), (3, 0, 2), (2, 1, 1)], {}),  # repetition
    ((3,), (12,), [(3, 1, 4), (4, 0, 1)], {}),
    ((3, 6), (3, 2), [(3, 6, 2), (3, 2, 0), (2, 1, 1)], dict(accumulate=True)),  # sums
    ((12,), (3,), [(3, 4, 1), (4, 1, 0)], dict(accumulate=True)),
    ((12,), (4,), [(3, 4, 0), (4, 1, 1)], dict(accumulate=True)),
    ((6,), (9,), [(2, 3, 0), (3, 1, 2)], dict(accumulate=True)),
    ((1,), (1,), [], {}),
    ((4,), (3,), [(0, 1, 1)], dict(value=7)),  # an empty region
    ((2, 3, 2, 2, 2), (2, 3, 4, 2, 5), [(2, 24, 120), (3, 8, 40), (2, 4, 10), (2, 2, 5), (2, 1, 2)], {}),
]


@pytest.mark.parametrize("x_shape, y_shape, dims, options", REGIONS)
def test_copy(x_shape, y_shape, dims, options):
    x = np.random.default_rng(0).integers(-50, 50, (5, *x_shape)).astype(F32)
    expected = slow_copy(x, y_shape, dims, **options)
    got = results(lambda y: shape.copy(x, y, dims, **options), blank(5, *y_shape))
    np.testing.assert_array_equal(got, expected)
    one = results(lambda y: shape.copy(x[:1], y, dims, whole=True, **options), blank(1, *y_shape))
    np.testing.assert_array_equal(one, expected[:1])
    if not options.get("accumulate"):
        ids = x.astype(np.int32)
        whole = {**options, "value": int(options.get("value", 0))}
        got = results(lambda y: shape.copy(ids, y, dims, **whole, dtype="i"), blank(5, *y_shape, dtype=np.int32))
        np.testing.assert_array_equal(got, slow_copy(ids, y_shape, dims, **whole))


@pytest.mark.parametrize("c", SIZES)
def test_copy_of_any_width(c):
    x = uniform(3, 4, 5, c)
    dims = [(4, 5 * c, 7 * c), (5, c, c), (c, 1, 1)]
    padded = results(lambda y: shape.copy(x, y, dims, y_offset=8 * c), blank(3, 6, 7, c))
    np.testing.assert_array_equal(padded, np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
    back = [(size, ys, xs) for size, xs, ys in dims]
    np.testing.assert_array_equal(results(lambda y: shape.copy(padded, y, back, x_offset=8 * c), blank(*x.shape)), x)


def test_nan_and_infinity_pass():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0, 1e-45]], F32)
    y = results(lambda y: shape.copy(x, y, [(5, 1, 1)]), blank(1, 5))
    assert y.tobytes() == x.tobytes()


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concatenate(c, axis):
    shapes = [[3, 4, 2, c] for _ in range(3)]
    for i, sizes in enumerate(shapes):
        sizes[axis] += i
    xs = [uniform(*sizes, seed=i) for i, sizes in enumerate(shapes)]
    expected = np.concatenate(xs, axis)
    got = results(lambda y: shape.concatenate(xs, y, axis), blank(*expected.shape))
    np.testing.assert_array_equal(got, expected)
    expected = np.concatenate([x[:1] for x in xs], axis)
    got = results(lambda y: shape.concatenate([x[:1].copy() for x in xs], y, axis, whole=True), blank(*expected.shape))
    np.testing.assert_array_equal(got, expected)


def test_concatenate_whole_numbers_and_axis_0_without_a_batch():
    xs = [np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(3, dtype=np.int32).reshape(1, 3)]
    y = np.zeros((3, 3), np.int32)
    shape.concatenate(xs, y, 0, whole=True, dtype="i").run()
    np.testing.assert_array_equal(y, np.concatenate(xs))


def test_refuses_what_does_not_fit():
    x, y = blank(3, 4), blank(3, 4)
    for dims, options in [
        ([(4, 1, 1)], dict(x_offset=1)), ([(4, 1, 1)], dict(y_offset=1)), ([(4, -1, 1)], {}), ([(5, 1, 1)], {}),
        ([(4, 1, 2)], {}), ([(-1, 1, 1)], {}), ([(4, 1, 1)], dict(accumulate=True, value=1)),
        ([(2, 0, 0), (2, 0, 1)] * 7, {}),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=r"shape.copy: x \(3, 4\), y \(3, 4\) and dims"):
            shape.copy(x, y, dims, **options)
    with pytest.raises(ValueError, match=r"do not fit together"):
        shape.copy(x, blank(2, 4), [(4, 1, 1)])
    for xs, axis in [([x, x], 1), ([x], 0), ([x], 2), ([], 1), ([x[:2].copy()], 1)]:
        with pytest.raises(ValueError, match=r"shape.concatenate: arrays .* do not fit into y"):
            shape.concatenate(xs, y, axis)
