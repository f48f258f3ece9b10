"""Convolution, bias, ReLU and 2x2 max pooling in one pass, and the weight gradient from the pooled gradient.

The weight gradient counts as many operations as the dense one, though three of four products are with zero."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import conv_pool

CASES = pytest.mark.parametrize("shape", shapes.CONV_POOLS.values(), ids=shapes.CONV_POOLS)
POOL = 2, 2


def sizes(shape):
    """x's shape, the weights', y's, the padding and the floating-point operations."""
    (n, ih, iw, ic), (kh, kw), oc, p = shape
    oh, ow = ih + 2 * p - kh + 1, iw + 2 * p - kw + 1
    y = n, oh // 2, ow // 2, oc
    return (n, ih, iw, ic), (kh, kw, ic, oc), y, ((p, p), (p, p)), 2 * kh * kw * ic * int(np.prod(y)) * 4


@CASES
@pytest.mark.parametrize("training", [False, True], ids=["predicting", "training"])
def bench_forward(shape, training, measure, random, pack):
    x, w, y, padding, flop = sizes(shape)
    index = np.empty(y, np.uint8) if training else None
    step = conv_pool.conv_pool2d_forward(
        random(*x), pack(*w), random(w[3]), random(*y), index, w[:2], POOL, padding=padding, relu=True
    )
    measure(step, flop)


@CASES
def bench_weight_gradient(shape, measure, random):
    x, w, y, padding, flop = sizes(shape)
    index = np.random.default_rng(0).integers(0, 5, y, np.uint8)
    step = conv_pool.conv_pool2d_weight_gradient(
        random(*x), random(*y), index, random(1, *w), random(1, w[3]), x[0], padding=padding
    )
    measure(step, flop)
