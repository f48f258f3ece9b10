"""Accuracies and scores of classes: how often the prediction is right, F-scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import ops
from dlcore.metrics import functions
from dlcore.metrics.base import MeanMetricWrapper, Metric, plain
from dlcore.ops import Tensor


class Accuracy(MeanMetricWrapper):
    """How often prediction equals target.

    https://keras.io/api/metrics/accuracy_metrics/#accuracy-class
    """

    elementwise = True

    def __init__(self, name: str = "accuracy", dtype: str | None = None):
        super().__init__(ops.equal, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often (prediction > threshold) equals a target of 0 or 1.

    https://keras.io/api/metrics/accuracy_metrics/#binaryaccuracy-class

    Args:
        threshold: in (0, 1) for probabilities.
    """

    elementwise = True

    def __init__(self, name: str = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5):
        super().__init__(functions.binary_accuracy, name, dtype, threshold=threshold)

    def values(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> Tensor:
        if weight is not None and weight.ndim == p.ndim:  # one for each entry
            y, p = (ops.reshape(x, (*x.shape, 1)) for x in (y, p))
        return super().values(y, p)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the greatest prediction is that of the one-hot target.

    https://keras.io/api/metrics/accuracy_metrics/#categoricalaccuracy-class
    """

    def __init__(self, name: str = "categorical_accuracy", dtype: str | None = None):
        super().__init__(functions.categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the greatest prediction is that of the class that the target numbers.

    https://keras.io/api/metrics/accuracy_metrics/#sparsecategoricalaccuracy-class
    """

    sparse = True

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: str | None = None):
        super().__init__(functions.sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the prediction of the one-hot target is among the k greatest.

    https://keras.io/api/metrics/accuracy_metrics/#topkcategoricalaccuracy-class

    Args:
        k: how many count, default 5.
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: str | None = None):
        super().__init__(functions.top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the prediction of the class that the target numbers is among the k greatest.

    https://keras.io/api/metrics/accuracy_metrics/#sparsetopkcategoricalaccuracy-class

    Args:
        k: how many count.
        from_sorted_ids: predictions are class numbers, the best first, instead of one score a class.
    """

    sparse = True

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ):
        self.from_sorted_ids = from_sorted_ids
        options = dict(k=k, from_sorted_ids=from_sorted_ids)
        super().__init__(functions.sparse_top_k_categorical_accuracy, name, dtype, **options)


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), for each class of (batch, classes).

    https://keras.io/api/metrics/classification_metrics/#fbetascore-class

    Args:
        average: None for an array with one score a class; "micro" over all entries; "macro" the mean of the classes;
            "weighted" by how many samples a class has.
        beta: weight of recall against precision.
        threshold: predictions above it are positive; None for the greatest of a row.

    Raises:
        ValueError: an unknown average, a beta or threshold that cannot be.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: str | None = None,
    ):
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"{self.name}: average must be None, 'micro', 'macro' or 'weighted'. Received: average={average!r}"
            )
        if not isinstance(beta, float) or not beta > 0:
            raise ValueError(f"{self.name}: beta must be a float > 0. Received: beta={beta!r}")
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ValueError(f"{self.name}: threshold must be a float in (0, 1]. Received: threshold={threshold!r}")
        self.average, self.beta, self.threshold = average, beta, threshold

    def contributions(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        if p.ndim != 2:
            raise ValueError(f"{self.name}: expected predictions (batch, classes). Received: rank {p.ndim}")
        if self.threshold is None:
            found = ops.greater_equal(p, ops.max(p, axis=-1, keepdims=True))
            found = ops.multiply(found, ops.greater(ops.abs(p), 1e-9))
        else:
            found = ops.greater(p, self.threshold)
        hit = ops.multiply(found, y)
        parts = {"hits": hit, "found": found, "true": y}
        if weight is not None:
            column = ops.reshape(weight, (None, 1))
            parts = {key: ops.multiply(value, column) for key, value in parts.items()}
        return {key: ops.sum(value) for key, value in parts.items()} if self.average == "micro" else parts

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        hits, found, true = totals["hits"], totals["found"], totals["true"]
        precision, recall = hits / (found + 1e-7), hits / (true + 1e-7)
        squared = self.beta**2
        score = (1 + squared) * precision * recall / (squared * precision + recall + 1e-7)
        if self.average == "weighted":
            score = (score * true).sum() / (true.sum() + 1e-7)
        elif self.average is not None:
            score = score.mean()
        return plain(score)

    def get_config(self) -> dict[str, Any]:
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), for each class of (batch, classes).

    https://keras.io/api/metrics/classification_metrics/#f1score-class

    Args:
        average, threshold: as for `FBetaScore`.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: str | None = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "beta"}
