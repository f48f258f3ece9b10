"""Elementwise work on the maps of a layer: activation and its gradient, sums, bias gradient."""

import pytest
import shapes

from dlcore.kernels import activations, elementwise

CASES = pytest.mark.parametrize("shape", shapes.MAPS.values(), ids=shapes.MAPS)


@CASES
@pytest.mark.parametrize("kind", sorted(activations.KINDS))
def bench_activation(shape, kind, measure, random):
    x = random(*shape)
    measure(activations.forward(x, random(*shape), kind), nbytes=2 * x.nbytes)


@CASES
def bench_relu_gradient(shape, measure, random):
    x = random(*shape)
    measure(activations.gradient(x, x, random(*shape), "relu"), nbytes=3 * x.nbytes)


@CASES
def bench_add(shape, measure, random):
    x = random(*shape)
    measure(elementwise.add(x, x.copy(), random(*shape)), nbytes=3 * x.nbytes)


@CASES
def bench_bias_gradient(shape, measure, random):
    x = random(*shape)
    measure(elementwise.bias_gradient(x, random(1, shape[3]), shape[0]), nbytes=x.nbytes)
