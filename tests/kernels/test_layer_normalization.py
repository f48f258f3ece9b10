"""Normalisation of rows and of groups of channels of one sample."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, run, same_bits, uniform, whole

from dlcore.kernels import layer_normalization as kernels

pytestmark = pytest.mark.usefixtures("isa")

ROWS = [*[((3, n), 1) for n in SIZES], ((2, 4, 3, 17), 1), ((3, 4, 3, 5), 3), ((2, 5, 40, 50), 3), ((2, 9000), 1)]
GROUPS = [((3, c), g) for c, g in ((1, 1), (8, 2), (7, 7), (33, 3))]
GROUPS += [((4, 5, 3, 12), 4), ((2, 9, 17), 1), ((2, 9, 17), 17), ((2, 30, 31, 64), 32)]


def rows(x, axes, gamma=None, beta=None, kind="layer"):
    """(y, stats)"""
    stats = blank(len(x), int(np.prod(x.shape[1 : x.ndim - axes])), 3)
    return results(lambda y, s: kernels.rows_forward(x, gamma, beta, y, s, axes, kind), blank(*x.shape), stats)


def groups(x, g, gamma=None, beta=None):
    stats = blank(len(x), g, 3)
    return results(lambda y, s: kernels.groups_forward(x, gamma, beta, y, s, g), blank(*x.shape), stats)


def gradient(factory, dy, x, stats, gamma, shape, **how):
    """(dx, dgamma, dbeta), the last two summed over chunks of 2 samples."""
    outputs = [blank(*x.shape), *[blank(-(-len(x) // 2), *shape) for _ in range(2)]]
    runs = [(threads, 2) for threads in (1, 2, 3, 4)]
    dx, *sums = results(lambda *out: factory(dy, x, stats, gamma, *out, **how, grain=2), *outputs, runs=runs)
    alone = blank(*x.shape)  # the same without the sums
    run(factory(dy, x, stats, gamma, alone, **how))
    assert same_bits(alone, dx)
    for i in range(2):  # and each sum alone
        wanted = [None, None, None]
        wanted[1 + i] = blank(*outputs[1 + i].shape)
        run(factory(dy, x, stats, gamma, *wanted, **how, grain=2))
        assert same_bits(wanted[1 + i], sums[i])
    return dx, sums[0].astype(float).sum(axis=0), sums[1].astype(float).sum(axis=0)


@pytest.mark.parametrize("shape, axes", ROWS)
@pytest.mark.parametrize("affine", [True, False])
def test_layer(shape, axes, affine):
    x, dy, sizes = 2 * uniform(*shape) + 1, uniform(*shape, seed=1), shape[-axes:]
    gamma, beta = (uniform(*sizes, seed=i) for i in (2, 3)) if affine else (None, None)
    last, lead = tuple(range(-axes, 0)), tuple(range(len(shape) - axes))
    y, stats = rows(x, axes, gamma, beta)
    factor, term = (gamma, beta) if affine else (1.0, 0.0)
    assert_near(y, ref.normalize(x, last, factor, term), 3 + np.zeros(shape), roundings=20)
    dx, dgamma, dbeta = gradient(kernels.rows_gradient, dy, x, stats, gamma, sizes, axes=axes)
    by_x, by_gamma = ref.normalize_gradient(dy, x, last, factor)
    scale = 1 / np.sqrt(ref.moments(x, last)[1] + 1e-3)
    assert_near(dx.astype(F32), by_x, 3 * scale + np.zeros(shape), roundings=40)
    assert_near(dgamma, by_gamma.sum(axis=lead), (1 + abs(by_gamma)).sum(axis=lead), roundings=20)
    assert_near(dbeta, dy.astype(float).sum(axis=lead), 1 + abs(dy).sum(axis=lead))


@pytest.mark.parametrize("shape, axes", ROWS)
@pytest.mark.parametrize("kind", ["rms", "unit"])
def test_rms_and_unit(shape, axes, kind):
    x, dy, sizes = 2 * uniform(*shape) + 1, uniform(*shape, seed=1), shape[-axes:]
    gamma = uniform(*sizes, seed=2)
    last, lead = tuple(range(-axes, 0)), tuple(range(len(shape) - axes))
    y, stats = rows(x, axes, gamma, None, kind)
    square = (x.astype(float) ** 2).sum(axis=last, keepdims=True)
    n = int(np.prod(sizes)) if kind == "rms" else 1
    root = np.sqrt(square / n + (1e-3 if kind == "rms" else 0))
    assert_near(y, x / root * gamma, abs(x) / root + np.zeros(shape), roundings=20)
    dx, dgamma, _ = gradient(kernels.rows_gradient, dy, x, stats, gamma, sizes, axes=axes, kind=kind)
    g, hat = dy.astype(float) * gamma, x / root
    expected = (g - hat * (g * hat).sum(axis=last, keepdims=True) / n) / root
    assert_near(dx.astype(F32), expected, 3 / root + np.zeros(shape), roundings=40)
    assert_near(dgamma, (dy * hat).sum(axis=lead), (1 + abs(dy * hat)).sum(axis=lead), roundings=20)


@pytest.mark.parametrize("shape, g", GROUPS)
@pytest.mark.parametrize("affine", [True, False])
def test_groups(shape, g, affine):
    x, dy, c = 2 * uniform(*shape) + 1, uniform(*shape, seed=1), shape[-1]
    gamma, beta = (uniform(c, seed=i) for i in (2, 3)) if affine else (None, None)
    factor, term = (gamma.reshape(g, -1), beta.reshape(g, -1)) if affine else (1.0, 0.0)
    apart, axes = (*shape[:-1], g, c // g), (*range(1, len(shape) - 1), len(shape))
    y, stats = groups(x, g, gamma, beta)
    expected = ref.normalize(x.reshape(apart), axes, factor, term).reshape(shape)
    assert_near(y, expected, 3 + np.zeros(shape), roundings=20)
    dx, dgamma, dbeta = gradient(kernels.groups_gradient, dy, x, stats, gamma, (c,), groups=g)
    by_x, by_gamma = ref.normalize_gradient(dy.reshape(apart), x.reshape(apart), axes, factor)
    by_x, by_gamma, lead = by_x.reshape(shape), by_gamma.reshape(shape), tuple(range(len(shape) - 1))
    assert_near(dx.astype(F32), by_x, 100 + np.zeros(shape), roundings=40)
    assert_near(dgamma, by_gamma.sum(axis=lead), (1 + abs(by_gamma)).sum(axis=lead), roundings=20)
    assert_near(dbeta, dy.astype(float).sum(axis=lead), 1 + abs(dy).sum(axis=lead))


def test_nothing_cancels_where_the_mean_is_large():
    x = (1000 + 1e-2 * np.random.default_rng(0).standard_normal((3, 70, 32))).astype(F32)
    y = blank(*x.shape)
    run(kernels.rows_forward(x, None, None, y, None, 2, "layer", 1e-7))
    assert_near(y, ref.normalize(x, (1, 2), epsilon=1e-7), 3 + abs(y), roundings=20)
    run(kernels.groups_forward(x, None, None, y, None, 4, 1e-7))
    apart = x.reshape(3, 70, 4, 8)
    assert_near(y, ref.normalize(apart, (1, 3), epsilon=1e-7).reshape(x.shape), 3 + abs(y), roundings=20)


def test_zeros():
    x, dy = np.zeros((2, 3, 5), F32), whole(2, 3, 5)
    for kind, slope in (("layer", None), ("rms", 1e-3**-0.5), ("unit", 1e12)):
        y, stats = rows(x, 1, kind=kind)
        assert (y == 0).all()
        dx = blank(2, 3, 5)
        run(kernels.rows_gradient(dy, x, stats, None, dx, kind=kind))
        if slope:
            np.testing.assert_allclose(dx, dy * slope, rtol=1e-6)


@pytest.mark.parametrize("n", [2, 7, 17])
def test_nan_stays_in_its_row_or_group(n):
    for lane in range(n):
        x = whole(2, 3, n)
        x[1, 1, lane] = np.nan
        bad = np.zeros((2, 3, n), bool)
        bad[1, 1] = True
        for kind in ("layer", "rms", "unit"):
            y, stats = rows(x, 1, kind=kind)
            np.testing.assert_array_equal(np.isnan(y), bad)
            dx = blank(2, 3, n)
            run(kernels.rows_gradient(x * 0 + 1, x, stats, None, dx, kind=kind))
            np.testing.assert_array_equal(np.isnan(dx), bad)
        bad[...] = False
        bad[1, :, lane] = True
        np.testing.assert_array_equal(np.isnan(groups(x, n)[0]), bad)
        bad[1] = True
        np.testing.assert_array_equal(np.isnan(groups(x, 1)[0]), bad)


def test_refuses_what_does_not_fit():
    x, stats = blank(6, 4, 3), blank(6, 4, 3)
    with pytest.raises(ValueError, match=r"rows_forward: cannot take 3 axes of x \(6, 4, 3\) in the way of 'layer'"):
        kernels.rows_forward(x, None, None, x, stats, 3)
    with pytest.raises(ValueError, match=r"rows_forward: cannot take 1 axes .* in the way of 'l2'"):
        kernels.rows_forward(x, None, None, x, stats, 1, "l2")
    with pytest.raises(ValueError, match=r"groups_forward: x \(6, 4, 3\) cannot have 2 groups of channels"):
        kernels.groups_forward(x, None, None, x, stats, 2)
    with pytest.raises(ValueError, match=r"rows_gradient: expected a grain of at least 1. Received: 0"):
        kernels.rows_gradient(x, x, stats, None, x, blank(1, 3), None)
    with pytest.raises(ValueError, match=r"rows_forward: expected x of shape \(n, ..., c\). Received: \(3,\)"):
        kernels.rows_forward(blank(3), None, None, blank(3), None)
