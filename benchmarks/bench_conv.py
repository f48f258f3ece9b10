"""Convolution: forward with bias and ReLU, input gradient."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import conv

CASES = pytest.mark.parametrize("shape", shapes.CONVOLUTIONS.values(), ids=shapes.CONVOLUTIONS)
RELU = 1


def sizes(shape):
    """x's shape, the weights', y's, the padding and the floating-point operations."""
    (n, ih, iw, ic), (kh, kw), oc, p = shape
    y = n, ih + 2 * p - kh + 1, iw + 2 * p - kw + 1, oc
    return (n, ih, iw, ic), (kh, kw, ic, oc), y, ((p, p), (p, p)), 2 * kh * kw * ic * int(np.prod(y))


@CASES
def bench_forward(shape, measure, random, pack):
    x, w, y, padding, flop = sizes(shape)
    out = random(*y)
    measure(conv.conv2d_forward(random(*x), pack(*w), random(w[3]), out, w[:2], padding=padding, activation=RELU), flop)


@CASES
def bench_input_gradient(shape, measure, random, pack):
    x, w, y, padding, flop = sizes(shape)
    dy, dx = random(*y), random(*x)
    measure(conv.conv2d_input_gradient(dy, pack(*w, transpose=True), dx, w[:2], padding=padding), flop)
