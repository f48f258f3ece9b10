"""Convolution of one channel, tanh and average pooling: the first layer of LeNet-5, forward and its weight gradient."""

import pytest

from dlcore.kernels import activations
from dlcore.kernels import lanes_pool as kernels

HOW = {"padding": ((2, 2), (2, 2)), "activation": activations.KINDS["tanh"]}
FLOP = 2 * 28 * 28 * 25 * 6


@pytest.mark.parametrize("n", [1, 64])
def bench_forward(n, measure, random):
    x, w, b, y = random(n, 28, 28, 1), random(5, 5, 1, 6), random(6), random(n, 14, 14, 6)
    measure(kernels.conv2d_forward(x, w, b, y, None, **HOW), n * FLOP)


def bench_weight_gradient(measure, random, n=64):
    x, dy, planes = random(n, 28, 28, 1), random(n, 14, 14, 6), random(n, 6, 28, kernels.row_floats(14))
    measure(kernels.conv2d_weight_gradient(x, dy, planes, random(1, 5, 5, 1, 6), random(1, 6), n, **HOW), n * FLOP)
