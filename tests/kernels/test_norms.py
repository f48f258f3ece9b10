"""Penalties, and projections onto norms."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, results, same_bits, uniform

from dlcore.kernels import norms

pytestmark = pytest.mark.usefixtures("isa")

FACTORS = [(0.5, 0.0), (0.0, 2.0), (0.5, 2.0)]


@pytest.mark.parametrize("n", [0, *SIZES, 4095, 4096, 4097, 9001])
@pytest.mark.parametrize("l1, l2", FACTORS)
def test_penalty_of_a_weight(n, l1, l2):
    x, dy = uniform(n), np.array([0.5], F32)
    parts = results(lambda y: norms.penalty_parts(x, y, l1, l2), np.empty(-(-n // 4096)))
    y = results(lambda y: norms.total(parts, y), np.empty(1, F32))
    expected = ref.penalty(x[None], l1, l2)
    assert_near(y, expected, roundings=20)
    dx = results(lambda y: norms.weight_penalty_gradient(dy, x, y, l1, l2), x)
    assert_near(dx, ref.penalty_gradient(dy, x[None], l1, l2)[0], np.ones(n) * (l1 + l2))


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("l1, l2", FACTORS)
def test_penalty_of_samples(c, l1, l2):
    x, dy = uniform(5, 3, c), uniform(5, seed=1)
    x[0] = 0
    assert_near(results(lambda y: norms.penalty(x, y, l1, l2), dy), ref.penalty(x, l1, l2), roundings=20)
    got = results(lambda y: norms.penalty_gradient(dy, x, y, l1, l2), x)
    assert_near(got, ref.penalty_gradient(dy, x, l1, l2), np.ones(x.shape) * (l1 + l2))
    assert (got[0] == 0).all()


def test_a_penalty_that_is_not_asked_for_cannot_overflow():
    x = np.full((1, 5), 1e30, F32)
    assert np.isfinite(results(lambda y: norms.penalty(x, y, 1.0, 0.0), np.empty(1, F32))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 13), (17, 4)])
@pytest.mark.parametrize("rows", [True, False])
def test_orthogonality(shape, rows):
    x, dy = uniform(*shape), np.array([1.5], F32)
    parts = results(lambda y: norms.orthogonal_parts(x, y, 0.25, rows), np.empty(shape[0 if rows else 1]))
    np.testing.assert_allclose(parts.sum(), ref.orthogonal(x, 0.25, rows), rtol=1e-12)
    got = results(lambda y: norms.orthogonal_gradient(dy, x, y, 0.25, rows), x)
    twin, e = np.zeros(shape), 1e-6
    for i in np.ndindex(shape):
        d = np.zeros(shape)
        d[i] = e
        twin[i] = 1.5 * (ref.orthogonal(x + d, 0.25, rows) - ref.orthogonal(x - d, 0.25, rows)) / (2 * e)
    np.testing.assert_allclose(got, twin, atol=1e-6)


@pytest.mark.parametrize("shape, axes", [
    ((7,), [0]), ((13, 5), [0]), ((5, 37), [0]), ((5, 37), [1]), ((5, 37), [0, 1]), ((3, 3, 4, 17), [0, 1, 2]),
    ((3, 3, 4, 17), [2]), ((3, 3, 4, 17), [0, 3]), ((3, 3, 4, 17), []), ((2, 3, 2, 3, 2), [1, 3]),
])  # fmt: skip
@pytest.mark.parametrize("low, high, rate", [(0.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.5, 1.0, 0.25)])
def test_projection(shape, axes, low, high, rate):
    x = uniform(*shape)
    got = results(lambda y: norms.project(x, y, axes, low, high, rate), x)
    assert_near(got, ref.project(x, tuple(axes), low, high, rate), roundings=6)
    inside = x.copy()
    norms.project(inside, inside, axes, low, high, rate).run()
    assert same_bits(inside, got)


@pytest.mark.parametrize("n", [0, *SIZES, 9001])
def test_blocks(n):
    x = uniform(n)
    np.testing.assert_array_equal(results(lambda y: norms.non_negative(x, y), x), np.maximum(x, 0))
    assert same_bits(results(lambda y: norms.copy(x, y), x), x)


def test_nan_stays():
    x = uniform(5, 33)
    x[2, 3] = np.nan
    for bind, where in (
        (lambda y: norms.non_negative(x, y), np.isnan(x)),
        (lambda y: norms.project(x, y, [0], 0.0, 1.0, 1.0), np.isnan(x).any(0, keepdims=True) & np.ones((5, 1), bool)),
        (lambda y: norms.weight_penalty_gradient(np.ones(1, F32), x, y, 1.0, 0.0), np.isnan(x)),
    ):
        np.testing.assert_array_equal(np.isnan(results(bind, x)), where)
    assert np.isnan(results(lambda y: norms.penalty(x, y, 1.0, 0.0), np.empty(5, F32))[2])
    assert np.isnan(results(lambda y: norms.orthogonal_parts(x, y, 1.0, True), np.empty(5))).all()
    assert np.isnan(results(lambda y: norms.orthogonal_gradient(np.ones(1, F32), x, y, 1.0, True), x)).all()


def test_refuses_what_does_not_fit():
    x = np.zeros((4, 3), F32)
    with pytest.raises(ValueError, match=r"norms.project: x \(4, 3\), y \(4, 3\) and axes \[2\] do not fit together"):
        norms.project(x, x, [2], 0.0, 1.0, 1.0)
