"""Softmax, and cross-entropy on logits with its gradient."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import softmax

CASES = pytest.mark.parametrize("n, classes", shapes.CLASSES.values(), ids=shapes.CLASSES)


def labels(n, classes):
    return np.random.default_rng(0).integers(0, classes, n, np.int32)


@CASES
def bench_forward(n, classes, measure, random):
    measure(softmax.forward(random(n, classes), random(n, classes)), nbytes=8 * n * classes)


@CASES
def bench_crossentropy(n, classes, measure, random):
    step = softmax.crossentropy(random(n, classes), labels(n, classes), random(n), random(n, classes))
    measure(step, nbytes=8 * n * classes)


@CASES
def bench_crossentropy_gradient(n, classes, measure, random):
    step = softmax.crossentropy_gradient(random(n), labels(n, classes), random(n, classes), random(n, classes))
    measure(step, nbytes=8 * n * classes)
