"""Pooling by 2x2 on its own: forward and gradient."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import pooling

CASES = pytest.mark.parametrize("shape", shapes.MAPS.values(), ids=shapes.MAPS)
POOL = 2, 2


def half(shape):
    n, h, w, c = shape
    return n, h // 2, w // 2, c


@CASES
def bench_max_forward(shape, measure, random):
    x, y, index = random(*shape), random(*half(shape)), np.empty(half(shape), np.uint8)
    measure(pooling.max_pool2d_forward(x, y, index, POOL, POOL), nbytes=x.nbytes + y.nbytes + index.nbytes)


@CASES
def bench_max_gradient(shape, measure, random):
    dx, dy, index = random(*shape), random(*half(shape)), np.random.default_rng(0).integers(0, 4, half(shape), np.uint8)
    measure(pooling.max_pool2d_gradient(dy, index, dx, POOL, POOL), nbytes=dx.nbytes + dy.nbytes + index.nbytes)


@CASES
def bench_average_forward(shape, measure, random):
    x, y = random(*shape), random(*half(shape))
    measure(pooling.average_pool2d_forward(x, y, POOL, POOL), nbytes=x.nbytes + y.nbytes)


@CASES
def bench_average_gradient(shape, measure, random):
    dx, dy = random(*shape), random(*half(shape))
    measure(pooling.average_pool2d_gradient(dy, dx, POOL, POOL), nbytes=dx.nbytes + dy.nbytes)
