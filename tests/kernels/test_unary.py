"""Functions of one variable and their gradients; how exact exp, log, erf and their kin are."""

import numpy as np
import pytest
from harness import F32, HALF_ULP, SIZES, assert_near, blank, results, ulps, uniform
from reference_unary import UNARY

from dlcore.kernels import unary

pytestmark = pytest.mark.usefixtures("isa")


def forward(x, kind, parameters, **options):
    return results(lambda y: unary.forward(x, y, kind, parameters), blank(*x.shape), **options)


def slope(x, kind, dy, parameters):
    """dx, from what the kernel wants to read."""
    v = x if unary.KINDS[kind][2] == "x" else forward(x, kind, parameters, runs=[(1, None)])
    return results(lambda dx: unary.gradient(dy, v, dx, kind, parameters), blank(*x.shape))


def test_the_table_of_references_is_whole():
    assert set(UNARY) == set(unary.KINDS)
    for kind, (parameters, _, derivative, _) in UNARY.items():
        assert len(parameters) == unary.KINDS[kind][1]
        assert (derivative is None) == (unary.KINDS[kind][2] is None)


@pytest.mark.parametrize("kind", [kind for kind in UNARY if UNARY[kind][2]])
def test_slopes_of_the_reference_against_differences(kind):
    parameters, f, derivative, (low, high) = UNARY[kind]
    x = np.linspace(max(low, -6), min(high, 6), 997)[1:-1]  # meets no corner
    h = 1e-6
    numeric = (f(x + h, *parameters) - f(x - h, *parameters)) / (2 * h)
    smooth = abs(f(x + h, *parameters) + f(x - h, *parameters) - 2 * f(x, *parameters)) < 1e-8  # no corner within h
    np.testing.assert_allclose(derivative(x, *parameters)[smooth], numeric[smooth], rtol=1e-4, atol=1e-6)
    assert smooth.mean() > 0.9


@pytest.mark.parametrize("kind", UNARY)
@pytest.mark.parametrize("shape", [*[(n,) for n in SIZES], (5, 3, 2, 11), (0, 3), (3, 0)])
def test_against_reference(kind, shape):
    parameters, f, derivative, (low, high) = UNARY[kind]
    low, high = max(low, -6), min(high, 6)
    x = (low + (high - low) * (uniform(*shape) + 1) / 2).astype(F32)
    x64, dy = x.astype(np.float64), uniform(*shape, seed=1)
    # near its zeros a function is as exact as the larger of x and y allow
    assert_near(forward(x, kind, parameters), f(x64, *parameters), abs(f(x64, *parameters)) + abs(x64), roundings=8)
    if derivative:
        expected = derivative(x64, *parameters) * dy
        assert_near(slope(x, kind, dy, parameters), expected, abs(expected) + abs(dy), roundings=16)


# kind: largest error in units of the last place over the interval of UNARY, documented in csrc/README.md
EXACT = {"exp": 2, "expm1": 2.5, "log": 2, "log1p": 3, "erf": 2.5, "softplus": 3, "log_sigmoid": 3, "sqrt": 0.6,
         "rsqrt": 2, "softsign": 2, "silu": 4, "mish": 4, "elu": 4, "celu": 4}  # fmt: skip


@pytest.mark.parametrize("kind, most", EXACT.items())
def test_ulps(kind, most):
    parameters, f, _, (low, high) = UNARY[kind]
    x = np.linspace(low, high, 200001)
    small = np.geomspace(1e-30, 1, 100001)
    x = np.concatenate([x, small[small > low], -small[-small > low]]).astype(F32)
    assert ulps(forward(x, kind, parameters, runs=[(1, None)]), f(x.astype(np.float64), *parameters)) <= most


@pytest.mark.parametrize("kind", ["gelu", "gelu_tanh"])
def test_gelu_is_exact_to_the_size_of_x(kind):
    """0.5 x (1 + erf): far on the left the sum cancels; what is left is below x's own rounding."""
    x = np.linspace(-30, 30, 200001).astype(F32)
    error = abs(forward(x, kind, (), runs=[(1, None)]) - UNARY[kind][1](x.astype(np.float64)))
    assert (error <= 3 * HALF_ULP * abs(x) + 1e-38).all()


LIMITS = {  # kind: {x: f(x)} at the ends and outside of where a function is defined
    "exp": {np.inf: np.inf, -np.inf: 0, 89: np.inf, -90: 0, 0: 1, 88.7: np.exp(F32(88.7).astype(np.float64))},
    "expm1": {np.inf: np.inf, -np.inf: -1, 0: 0, 100: np.inf},
    "log": {np.inf: np.inf, 0: -np.inf, -1: np.nan, -np.inf: np.nan, 1: 0},
    "log1p": {np.inf: np.inf, -1: -np.inf, -2: np.nan, 0: 0},
    "sqrt": {np.inf: np.inf, 0: 0, -1: np.nan},
    "erf": {np.inf: 1, -np.inf: -1, 0: 0, 5: 1},
    "softplus": {np.inf: np.inf, -np.inf: 0, 1000: 1000},
    "log_sigmoid": {np.inf: 0, -np.inf: -np.inf, -1000: -1000},
    "ramp": {np.inf: 4, 4.5: 4, 0.5: 0},
    "elu": {np.inf: np.inf},
    "mish": {np.inf: np.inf, 1e30: 1e30},
    "gelu": {np.inf: np.inf, -50: 0},
    "silu": {np.inf: np.inf, -200: 0},
    "round": {0.5: 0, 1.5: 2, -2.5: -2, 1e30: 1e30},
    "floor": {-0.5: -1, 1e30: 1e30},
    "power": {0: 0, np.inf: np.inf, -1: np.nan},
}


@pytest.mark.parametrize("kind", LIMITS)
def test_limits(kind):
    x = np.array(list(LIMITS[kind]), F32)
    assert_near(forward(x, kind, UNARY[kind][0]), np.array(list(LIMITS[kind].values())), roundings=4)


@pytest.mark.parametrize("kind", UNARY)
@pytest.mark.parametrize("n", [1, 7, 17])
def test_nan_stays_in_its_lane(kind, n):
    parameters, _, derivative, _ = UNARY[kind]
    x, dy = np.full((n, n), 1.25, F32), np.full((n, n), 0.5, F32)  # a row for each lane
    np.fill_diagonal(x, np.nan)
    y = forward(x, kind, parameters, runs=[(1, 1)])
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    if derivative:
        assert np.isfinite(slope(x, kind, dy, parameters)[~np.eye(n, dtype=bool)]).all()
        np.testing.assert_array_equal(np.isnan(slope(abs(dy), kind, x, parameters)), np.isnan(x))  # from dy


@pytest.mark.parametrize("kind", UNARY)
def test_in_place(kind):
    parameters = UNARY[kind][0]
    x = abs(uniform(5, 13))
    y = x.copy()
    unary.forward(y, y, kind, parameters).run(grain=2)
    np.testing.assert_array_equal(y, forward(x, kind, parameters))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"unary.clip: expected 2 parameters. Received: \(1,\)"):
        unary.forward(blank(3), blank(3), "clip", (1,))
    with pytest.raises(ValueError, match=r"expected y of shape \(3,\). Received: \(4,\)"):
        unary.forward(blank(3), blank(4), "exp")
