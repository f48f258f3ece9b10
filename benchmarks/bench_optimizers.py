"""Optimizers on all parameters of a network at once."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import optimizers
from dlcore.kernels.executor import Clock

CASES = pytest.mark.parametrize("n", shapes.PARAMETERS.values(), ids=shapes.PARAMETERS)
RATE = np.array([1e-3])


@CASES
def bench_sgd(n, measure, random):
    measure(optimizers.sgd(random(n), random(n), None, RATE), nbytes=12 * n)


@CASES
def bench_momentum(n, measure, random):
    measure(optimizers.sgd(random(n), random(n), random(n), RATE, momentum=0.9), nbytes=20 * n)


@CASES
def bench_adam(n, measure, random):
    measure(optimizers.adam(random(n), random(n), random(n), abs(random(n)), RATE, Clock()), nbytes=28 * n)
