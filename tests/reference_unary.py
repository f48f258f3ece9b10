"""Functions of one variable in float64 NumPy, and their slopes, by the names of kernels.unary: the slow twin of
csrc/unary.inc. `tests/kernels/test_unary.py` checks the slopes against differences."""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # of selu


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def softplus(x):
    return np.logaddexp(x, 0)


def step(inside, x):
    return np.where(np.isnan(x), x, inside * 1.0)


def density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def normal(x):
    return 0.5 * (1 + erf(x / math.sqrt(2)))


def gelu_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def gelu_tanh_slope(x):
    t = np.tanh(gelu_inner(x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def mish_slope(x):
    t = np.tanh(softplus(x))
    return t + x * (1 - t * t) * sigmoid(x)


def hard_sigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def shrunk(x, t):
    return np.sign(x) * np.maximum(abs(x) - t, 0)


def ramp(x, slope, threshold, most):
    return np.minimum(most, np.where(x > threshold, x, slope * (x - threshold)))


def ramp_slope(x, slope, threshold, most):
    return np.where(np.isnan(x), x, np.where(x > threshold, (x < most) * 1.0, slope))


# name: (parameters to test with, f, slope of x or None, interval where f is tested)
UNARY = {
    "abs": ((), np.abs, np.sign, (-9, 9)),
    "sign": ((), np.sign, None, (-9, 9)),
    "square": ((), np.square, lambda x: 2 * x, (-9, 9)),
    "sqrt": ((), np.sqrt, lambda x: 0.5 / np.sqrt(x), (1e-9, 9)),
    "rsqrt": ((), lambda x: 1 / np.sqrt(x), lambda x: -0.5 * x**-1.5, (0.01, 9)),
    "reciprocal": ((), lambda x: 1 / x, lambda x: -1 / x**2, (0.01, 9)),
    "exp": ((), np.exp, np.exp, (-87, 88.7)),
    "expm1": ((), np.expm1, np.exp, (-87, 88.7)),
    "log": ((), np.log, lambda x: 1 / x, (1e-9, 1e9)),
    "log1p": ((), np.log1p, lambda x: 1 / (1 + x), (-0.99, 1e9)),
    "power": ((2.5,), np.power, lambda x, p: p * x ** (p - 1), (0.01, 9)),
    "clip": ((-1.5, 2.0), np.clip, lambda x, lo, hi: step((x >= lo) & (x <= hi), x), (-9, 9)),
    "floor": ((), np.floor, None, (-9, 9)),
    "ceil": ((), np.ceil, None, (-9, 9)),
    "round": ((), np.rint, None, (-9, 9)),
    "sin": ((), np.sin, np.cos, (-99, 99)),
    "cos": ((), np.cos, lambda x: -np.sin(x), (-99, 99)),
    "erf": ((), erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x), (-9, 9)),
    "softplus": ((), softplus, sigmoid, (-80, 99)),
    "log_sigmoid": ((), lambda x: -softplus(-x), lambda x: sigmoid(-x), (-99, 80)),
    "ramp": ((0.25, 0.5, 4.0), ramp, ramp_slope, (-9, 9)),
    "elu": (
        (ALPHA, SCALE),
        lambda x, a, s: s * np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
        lambda x, a, s: s * np.where(x > 0, 1, a * np.exp(np.minimum(x, 0))),
        (-30, 30),
    ),
    "celu": (
        (2.0,),
        lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0) / a)),
        lambda x, a: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / a)),
        (-30, 30),
    ),
    "gelu": ((), lambda x: x * normal(x), lambda x: normal(x) + x * density(x), (-9, 30)),
    "gelu_tanh": ((), lambda x: 0.5 * x * (1 + np.tanh(gelu_inner(x))), gelu_tanh_slope, (-9, 30)),
    "silu": ((), lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))), (-30, 30)),
    "mish": ((), lambda x: x * np.tanh(softplus(x)), mish_slope, (-30, 30)),
    "softsign": ((), lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, (-30, 30)),
    "hard_sigmoid": ((), hard_sigmoid, lambda x: step(abs(x) < 3, x) / 6, (-9, 9)),
    "hard_silu": ((), lambda x: x * hard_sigmoid(x), lambda x: hard_sigmoid(x) + (abs(x) < 3) * x / 6, (-9, 9)),
    "soft_shrink": ((0.5,), shrunk, lambda x, t: step(abs(x) > t, x), (-9, 9)),
    "hard_shrink": ((0.5,), lambda x, t: x * step(abs(x) > t, x), lambda x, t: step(abs(x) > t, x), (-9, 9)),
    "tanh_shrink": ((), lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2, (-9, 9)),
    "threshold": (
        (0.5, -2.0),
        lambda x, t, v: np.where(np.isnan(x) | (x > t), x, v),
        lambda x, t, v: step(x > t, x),
        (-9, 9),
    ),
    "squareplus": (
        (4.0,),
        lambda x, b: 0.5 * (x + np.sqrt(x * x + b)),
        lambda x, b: 0.5 * (1 + x / np.sqrt(x * x + b)),
        (-9, 9),
    ),
    "sparse_plus": (
        (),
        lambda x: np.where(x > 1, x, 0.25 * np.maximum(x + 1, 0) ** 2),
        lambda x: np.clip(0.5 * (x + 1), 0, 1),
        (-9, 9),
    ),
}
