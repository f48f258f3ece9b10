"""Metrics: functions of targets and predictions with one value per sample, averaged over the samples of an epoch.

https://keras.io/api/metrics/accuracy_metrics/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcore.losses import BinaryCrossentropy, Loss
from dlcore.ops import Tensor, binary_accuracy, categorical_accuracy, mean_squared_error, sparse_categorical_accuracy

__all__ = ["binary_accuracy", "categorical_accuracy", "get", "mean_squared_error", "sparse_categorical_accuracy"]

Metric = Callable[[Tensor, Tensor], Tensor]

_BY_NAME: dict[str, Metric] = {
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "mean_squared_error": mean_squared_error,
    "mse": mean_squared_error,
}


def get(identifier: Any, loss: Loss, output_shape: tuple[Any, ...]) -> tuple[str, Metric]:
    """(name in logs, function) of a metric; "accuracy" and "acc" mean the one that goes with the loss.

    Raises:
        ValueError: an unknown name.
    """
    if identifier in ("accuracy", "acc"):
        if loss.sparse:
            return identifier, sparse_categorical_accuracy
        binary = isinstance(loss, BinaryCrossentropy) or output_shape[-1] == 1
        return identifier, binary_accuracy if binary else categorical_accuracy
    if isinstance(identifier, str) and identifier in _BY_NAME:
        if identifier.startswith("sparse") != loss.sparse:
            kind = "class numbers" if loss.sparse else "targets of the predictions' shape"
            raise ValueError(
                f"metrics: {identifier!r} does not go with the loss {loss.name!r}, whose targets are {kind}; "
                "'accuracy' chooses the one that does"
            )
        return identifier, _BY_NAME[identifier]
    if callable(identifier):
        return getattr(identifier, "__name__", "metric"), identifier
    raise ValueError(
        f"metrics: expected 'accuracy' or one of {sorted(_BY_NAME)}, or a function. Received: {identifier!r}"
    )
