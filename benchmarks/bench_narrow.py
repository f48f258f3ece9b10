"""Dense layers of few outputs: forward, input gradient, weight gradient, transpose."""

import pytest
import shapes

from dlcore.kernels import narrow

CASES = pytest.mark.parametrize("n, k, units", shapes.NARROW.values(), ids=shapes.NARROW)


@CASES
def bench_forward(n, k, units, measure, random):
    step = narrow.narrow_forward(random(n, k), random(units, k), random(units), random(n, units))
    measure(step, flop=2 * n * k * units)


@CASES
def bench_input_gradient(n, k, units, measure, random):
    step = narrow.narrow_input_gradient(random(n, units), random(units, k), random(n, k))
    measure(step, flop=2 * n * k * units)


@CASES
def bench_weight_gradient(n, k, units, measure, random):
    step = narrow.narrow_weight_gradient(random(n, k), random(n, units), random(k, units))
    measure(step, flop=2 * n * k * units)


@CASES
def bench_transpose(n, k, units, measure, random):
    measure(narrow.transpose(random(k, units), random(units, k)), nbytes=8 * k * units)
