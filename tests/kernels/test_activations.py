"""relu, relu6, sigmoid, tanh and their gradients; how exact exp, sigmoid and tanh are."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, ulps, uniform

from dlcore.kernels import activations, elementwise, softmax

pytestmark = pytest.mark.usefixtures("isa")

KINDS = list(activations.KINDS)
FORWARD = {"linear": ref.f64, "relu": ref.relu, "sigmoid": ref.sigmoid, "tanh": ref.tanh, "relu6": ref.relu6}
GRADIENT = {
    "linear": lambda dy, y: ref.f64(dy),
    "relu": ref.relu_gradient,
    "sigmoid": ref.sigmoid_gradient,
    "tanh": ref.tanh_gradient,
    "relu6": ref.relu6_gradient,
}
# Every float32 of [-100, 100] is too many: all magnitudes, and densely where tanh bends
SWEEP = np.concatenate([np.geomspace(1e-30, 100, 150001), np.linspace(0, 100, 150001), np.linspace(0, 2, 50001)])
SWEEP = np.concatenate([SWEEP, -SWEEP]).astype(F32)


def forward(x, kind):
    return results(lambda y: activations.forward(x, y, kind), blank(*x.shape))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [*[(n,) for n in SIZES], (5, 3, 2, 11), (0, 3), (3, 0)])
def test_against_reference(kind, shape):
    x, dy = 8 * uniform(*shape), uniform(*shape, seed=1)
    y = forward(x, kind)
    assert_near(y, FORWARD[kind](x), np.abs(FORWARD[kind](x)), roundings=8)
    dx = results(lambda dx: activations.gradient(dy, y, dx, kind), blank(*shape))
    assert_near(dx, GRADIENT[kind](dy, y), abs(dy))


@pytest.mark.parametrize("kind, most", [("sigmoid", 2.5), ("tanh", 2.6)])
def test_ulps(kind, most):
    """Documented in csrc/README.md. Of all numbers tanh is worst near 1/16, by 2.56."""
    worst = np.arange(*np.float32([0.062, 0.063]).view(np.uint32), dtype=np.uint32).view(np.float32)
    x = np.concatenate([SWEEP, worst])
    assert ulps(forward(x, kind), FORWARD[kind](x)) <= most


def test_exp_ulps():
    """exp as softmax uses it: from entries x <= 0 and 0, y[0] / y[1] = exp(x) up to one rounding of each product."""
    x = np.stack([-abs(SWEEP), np.zeros_like(SWEEP)], axis=1)
    y = results(lambda y: softmax.forward(x, y), blank(*x.shape), runs=[(1, None)]).astype(np.float64)
    got, expected = y[:, 0] / y[:, 1], np.exp(x[:, 0].astype(np.float64))
    seen = expected > 1e-37
    error = ulps(got[seen], expected[seen])
    assert error <= 4
    assert (y[expected < 1e-38, 0] == 0).all()  # no denormal numbers


SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 6, 3e38, -3e38, 2e-38, -2e-38]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 7, 17])
def test_special_values_in_every_lane(kind, n):
    x, lane = np.full((len(SPECIAL), n, n), 0.25, F32), np.arange(n)
    dy = np.full_like(x, 0.5)
    x[:, lane, lane] = np.array(SPECIAL)[:, None]
    dy[0, lane, (lane + 1) % n] = np.nan
    y, dx = blank(*x.shape), blank(*x.shape)
    activations.forward(x, y, kind).run(grain=1)
    assert_near(y, FORWARD[kind](x), roundings=8)
    activations.gradient(dy, y, dx, kind).run(grain=1)
    assert_near(dx, GRADIENT[kind](dy, y), abs(dy))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 15), (5, 4096 + 33)])
def test_of_sums(kind, shape):
    """In one pass, the bits of two."""
    a, b, s, y, dx = 3 * uniform(*shape), uniform(*shape, seed=1), blank(*shape), blank(*shape), blank(*shape)
    elementwise.add(a, b, s).run()
    activations.forward(s, y, kind).run()
    code = activations.KINDS[kind]
    np.testing.assert_array_equal(results(lambda y: elementwise.add(a, b, y, code), blank(*shape)), y)
    activations.gradient(s, y, dx, kind).run()
    got = results(lambda dx: activations.gradient(a, y, dx, kind, b), blank(*shape))
    np.testing.assert_array_equal(got, dx)
    with pytest.raises(ValueError, match="gradient: expected more of shape"):
        activations.gradient(a, y, dx, kind, blank(1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_in_place(kind):
    x, dy = 3 * uniform(5, 13), uniform(5, 13, seed=1)
    y = x.copy()
    activations.forward(y, y, kind).run(grain=2)
    np.testing.assert_array_equal(y, forward(x, kind))
    dx = dy.copy()
    activations.gradient(dx, y, dx, kind).run(grain=2)
    np.testing.assert_array_equal(dx, results(lambda dx: activations.gradient(dy, y, dx, kind), blank(5, 13)))
