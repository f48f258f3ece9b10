"""Accuracies and running totals."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, uniform, whole

from dlcore.kernels import metrics


def mean(values):
    return values.reshape(len(values), -1).mean(axis=1)


@pytest.mark.parametrize("shape", [*[(3, c) for c in SIZES], (2, 3, 5), (5, 2, 2, 3)])
def test_accuracies(shape):
    p = whole(*shape) / 8 + F32(0.5)  # many ties, and many exactly at the threshold
    labels = np.random.default_rng(1).integers(-1, shape[-1] + 1, size=shape[:-1]).astype(np.int32)
    y, bits = whole(*shape, seed=2), (whole(*shape, seed=3) > 0).astype(F32)
    for name, target, expected in (
        ("sparse_categorical_accuracy", labels, ref.sparse_categorical_accuracy(labels, p)),
        ("categorical_accuracy", y, ref.categorical_accuracy(y, p)),
        ("binary_accuracy", bits, ref.binary_accuracy(bits, p)),
    ):
        got = results(lambda out, name=name, target=target: getattr(metrics, name)(target, p, out), blank(shape[0]))
        assert_near(got, mean(expected))
    got = results(lambda out: metrics.binary_accuracy(bits, p, out, threshold=0.75), blank(shape[0]))
    assert_near(got, mean(ref.binary_accuracy(bits, p, 0.75)))


def test_first_nan_wins():
    p, labels = np.array([[0, np.nan, np.inf, np.nan]] * 4, F32), np.arange(4, dtype=np.int32)
    got = results(lambda out: metrics.sparse_categorical_accuracy(labels, p, out), blank(4))
    np.testing.assert_array_equal(got, ref.sparse_categorical_accuracy(labels, p))
    np.testing.assert_array_equal(got, [0, 1, 0, 0])


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_totals(n):
    x, total = uniform(n) + F32(1e3), np.array([3.0, 5.0])
    step = metrics.accumulate(x, total)
    assert step.tasks == 1
    step.run()
    step.run(threads=3)
    np.testing.assert_allclose(total, [3 + 2 * x.sum(dtype=np.float64), 5 + 2 * n], rtol=1e-14)
    with pytest.raises(ValueError, match=r"expected total of shape \(2,\)"):
        metrics.accumulate(x, np.zeros(3))
