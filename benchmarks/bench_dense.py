"""Dense layers: forward with bias and ReLU, input gradient, packing."""

import pytest
import shapes

from dlcore.kernels import dense

CASES = pytest.mark.parametrize("n, k, units", shapes.DENSE.values(), ids=shapes.DENSE)
RELU = 1


@CASES
def bench_forward(n, k, units, measure, random, pack):
    step = dense.dense_forward(random(n, k), pack(k, units), random(units), random(n, units), RELU)
    measure(step, flop=2 * n * k * units)


@CASES
def bench_input_gradient(n, k, units, measure, random, pack):
    step = dense.dense_input_gradient(random(n, units), pack(k, units, transpose=True), random(n, k))
    measure(step, flop=2 * n * k * units)


@CASES
def bench_pack(n, k, units, measure, random, pack):
    measure(dense.pack(random(k, units), pack(k, units)), nbytes=8 * k * units)
