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
        ("sparse_top_k_categorical_accuracy", labels, ref.sparse_top_k_categorical_accuracy(labels, p)),
        ("top_k_categorical_accuracy", y, ref.top_k_categorical_accuracy(y, p)),
    ):
        got = results(lambda out, name=name, target=target: getattr(metrics, name)(target, p, out), blank(shape[0]))
        assert_near(got, mean(expected))
        each = results(lambda out, name=name, target=target: getattr(metrics, name)(target, p, out), blank(*shape[:-1]))
        assert_near(each, expected)
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
    step = metrics.accumulate(x, total)  # one entry a sample
    assert step.tasks == 1
    step.run()
    step.run(threads=3)
    np.testing.assert_allclose(total, [3 + 2 * x.sum(dtype=np.float64), 5 + 2 * n], rtol=1e-14)
    with pytest.raises(ValueError, match=r"expected total of shape \(2,\)"):
        metrics.accumulate(x, np.zeros(3))


def test_totals_of_many_entries():
    x, total = uniform(5, 3, 2), np.arange(7.0)
    metrics.accumulate(x, total).run()
    np.testing.assert_allclose(total, np.append(x.sum(axis=0, dtype=np.float64), 5) + np.arange(7), rtol=1e-14)


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_top_k(k):
    p, labels = whole(40, 5) / 4, np.arange(40, dtype=np.int32) % 5
    p[3, 3], p[4, 0], p[5, 1] = np.nan, np.nan, np.inf
    got = results(lambda out: metrics.sparse_top_k_categorical_accuracy(labels, p, out, k=k), blank(40))
    np.testing.assert_array_equal(got, ref.sparse_top_k_categorical_accuracy(labels, p, k))


THRESHOLDS = F32([0.1, 0.25, 0.5, 0.5, 0.9])


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("top_k", [None, 1, 2, 9])
@pytest.mark.parametrize("per", [None, (11,), (11, 4)])
def test_threshold_counts(columns, top_k, per):
    p, y = (whole(11, 4) + 4) / 8, (whole(11, 4, seed=2) > 1).astype(F32)
    weight = None if per is None else uniform(*per)
    each = np.ones(p.shape) if per is None else np.broadcast_to(weight.reshape(11, -1), p.shape)
    total = np.ones((columns, 2, 6))
    metrics.threshold_counts(y, p, weight, THRESHOLDS, total, top_k=top_k).run()
    expected = ref.threshold_counts(y, p, each, THRESHOLDS, top_k)
    np.testing.assert_allclose(total - 1, expected if columns > 1 else expected.sum(axis=0, keepdims=True), atol=1e-12)
    total = np.zeros((1, 2, 6))
    metrics.threshold_counts(y, p, weight, THRESHOLDS, total, column=2, top_k=top_k).run()
    np.testing.assert_allclose(total[0], expected[2], atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 11, 200])
@pytest.mark.parametrize("wider", [0, 1e-7])
def test_even_thresholds_are_found_by_arithmetic(count, wider):
    thresholds = np.linspace(0, 1, count)
    thresholds[[0, -1]] += -wider, wider
    thresholds = thresholds.astype(F32)
    p = abs(uniform(50, 6))
    p[:3, 0] = 0, 1, 1.5
    y, each, total = (uniform(50, 6, seed=1) > 0).astype(F32), np.ones((50, 6)), np.zeros((1, 2, count + 1))
    metrics.threshold_counts(y, p, None, thresholds, total, even=True).run()
    expected = ref.threshold_counts(y, np.minimum(p, 1), each, thresholds).sum(axis=0, keepdims=True)
    np.testing.assert_array_equal(total, expected)


def test_a_nan_spoils_the_counts():
    total = np.zeros((2, 2, 6))
    metrics.threshold_counts(F32([[1, 0]]), F32([[np.nan, 0.7]]), None, THRESHOLDS, total).run()
    assert np.isnan(total[0, 1, 5]) and total[1, 0, 4] == 1 and np.nansum(total) == 1
    for wrong in (dict(column=2), dict(column=-2), dict(top_k=-1)):
        with pytest.raises(ValueError, match=r"no column .* of 2, or top_k="):
            metrics.threshold_counts(F32([[1, 0]]), F32([[1, 0]]), None, THRESHOLDS, total, **wrong)


@pytest.mark.parametrize("weighted", [False, True])
def test_confusion(weighted):
    y, p = whole(300) + 1, whole(300, seed=1) + F32(1.5)
    weight = uniform(300) if weighted else None
    total = np.zeros((4, 4))
    metrics.confusion(y, p, weight, total).run()
    p = np.where(p > -1, p, -1)
    expected = ref.confusion(y, p, weight if weighted else np.ones(300), 4)
    np.testing.assert_allclose(total, expected, atol=1e-12)
    total[...] = 0
    metrics.confusion(y, p, weight, total, ignore=2).run()
    expected[2] = 0
    np.testing.assert_allclose(total, expected, atol=1e-12)
