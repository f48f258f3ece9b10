"""Batch normalisation of a batch in training, pass by pass: moments, y with ReLU, the sums of the gradient, dx."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import normalization

CASES = pytest.mark.parametrize("shape", shapes.NORMALIZATIONS.values(), ids=shapes.NORMALIZATIONS)
RELU = "relu"


@pytest.fixture
def coefficients(random):
    """coefficients(x) of the batch, in one chunk."""

    def run(x):
        c = x.shape[-1]
        parts, found = np.empty((1, 2 * c + 1)), np.empty((5, c), np.float32)
        normalization.batch_moments(x, parts, len(x)).run()
        normalization.batch_coefficients(parts, random(c), random(c), found).run()
        return found

    return run


@CASES
def bench_moments(shape, measure, random):
    x = random(*shape)
    measure(normalization.batch_moments(x, np.empty((1, 2 * shape[-1] + 1)), shape[0]), nbytes=x.nbytes)


@CASES
def bench_forward(shape, measure, random, coefficients):
    x = random(*shape)
    step = normalization.normalize(x, coefficients(x), np.empty_like(x), activation=RELU)
    measure(step, nbytes=2 * x.nbytes)


@CASES
def bench_gradient_sums(shape, measure, random, coefficients):
    x, sums = random(*shape), np.empty((1, 2, shape[-1]), np.float32)
    step = normalization.batch_gradient_sums(random(*shape), x, coefficients(x), sums, shape[0], activation=RELU)
    measure(step, nbytes=2 * x.nbytes)


@CASES
def bench_input_gradient(shape, measure, random, coefficients):
    x, lines = random(*shape), random(3, shape[-1])
    step = normalization.batch_input_gradient(
        random(*shape), x, coefficients(x), lines, np.empty_like(x), activation=RELU
    )
    measure(step, nbytes=3 * x.nbytes)
