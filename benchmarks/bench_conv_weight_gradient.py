"""Weight gradients of convolution: partial sums by samples, and by rows of weights over the whole batch."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import conv_weight_gradient as kernels

CASES = pytest.mark.parametrize("shape", shapes.WEIGHT_GRADIENTS.values(), ids=shapes.WEIGHT_GRADIENTS)


def sizes(shape):
    """x's shape, dy's, dw's, the padding and the floating-point operations."""
    (n, ih, iw, ic), (kh, kw), oc, p = shape
    dy = n, ih + 2 * p - kh + 1, iw + 2 * p - kw + 1, oc
    return (n, ih, iw, ic), dy, (kh, kw, ic, oc), ((p, p), (p, p)), 2 * kh * kw * ic * int(np.prod(dy))


@CASES
def bench_by_samples(shape, measure, random):
    x, dy, dw, padding, flop = sizes(shape)
    chunks = random(-(-x[0] // 6), *dw)
    measure(kernels.conv2d_weight_gradient(random(*x), random(*dy), chunks, 6, padding=padding), flop)


@CASES
def bench_by_rows(shape, measure, random):
    x, dy, dw, padding, flop = sizes(shape)
    measure(kernels.conv2d_batch_weight_gradient(random(*x), random(*dy), random(*dw), padding=padding), flop)
