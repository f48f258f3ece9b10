"""Accuracies as functions of targets and predictions: of arrays an array with one value for each position, of symbolic
tensors a tensor."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.losses.functions import either


@either
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Share of the entries of the last axis with (p > threshold) = y."""
    return ops.binary_accuracy(y_true, y_pred, threshold, positions=True)


@either
def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the greatest p is where the greatest y is."""
    return ops.categorical_accuracy(y_true, y_pred, positions=True)


@either
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the greatest p is that of class y."""
    return ops.sparse_categorical_accuracy(y_true, y_pred, positions=True)


@either
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the p of the greatest y is among the k greatest."""
    return ops.top_k_categorical_accuracy(y_true, y_pred, k, positions=True)


@either
def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """1 where the p of class y is among the k greatest. With from_sorted_ids, p holds class numbers instead, the best
    first."""
    if from_sorted_ids:
        y = ops.expand_dims(ops.cast(y_true, "float32"), -1)
        return ops.max(ops.equal(y, y_pred[..., :k]), axis=-1)
    return ops.sparse_top_k_categorical_accuracy(y_true, y_pred, k, positions=True)
