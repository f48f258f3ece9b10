"""Depthwise convolution by 3x3: forward with bias and ReLU, input gradient, weight gradient."""

import pytest
import shapes

from dlcore.kernels import depthwise

CASES = pytest.mark.parametrize("shape", shapes.DEPTHWISE.values(), ids=shapes.DEPTHWISE)
KERNEL, PADDING, RELU = (3, 3), ((1, 1), (1, 1)), 1


def sizes(shape):
    """x's shape, the weights', y's, how, and the floating-point operations."""
    (n, h, w, c), s = shape
    y = n, (h - 1) // s + 1, (w - 1) // s + 1, c
    return (n, h, w, c), (*KERNEL, c, 1), y, dict(strides=(s, s), padding=PADDING), 18 * y[0] * y[1] * y[2] * c


@CASES
def bench_forward(shape, measure, random):
    x, w, y, how, flop = sizes(shape)
    step = depthwise.depthwise_forward(random(*x), random(*w), random(w[2]), random(*y), KERNEL, **how, activation=RELU)
    measure(step, flop)


@CASES
def bench_input_gradient(shape, measure, random):
    x, w, y, how, flop = sizes(shape)
    measure(depthwise.depthwise_input_gradient(random(*y), random(*w), random(*x), KERNEL, **how), flop)


@CASES
def bench_weight_gradient(shape, measure, random):
    x, w, y, how, flop = sizes(shape)
    measure(depthwise.depthwise_weight_gradient(random(*x), random(*y), random(1, *w), x[0], **how), flop)
