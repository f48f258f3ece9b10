"""Accuracies of one value per sample or position, and running totals."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore.kernels import metrics as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor


class Accuracy(Op):
    """An accuracy by the name of its kernel: one value per sample, or with `positions` one for each position."""

    def __init__(self, name: str, y: Tensor, p: Tensor, positions: bool = False, **options: Any):
        self.name, self.options = name, options
        super().__init__([y, p], p.shape[:-1] if positions else p.shape[:1])

    def bind(self, at):
        y, p = (at.buffer(tensor) for tensor in self.inputs)
        return getattr(kernels, self.name)(y, p, at.buffer(self.output), **self.options)

    def averaged(self) -> Tensor:
        """The same with one value per sample."""
        y, p = self.inputs
        return Accuracy(self.name, y, p, **self.options).output


def sparse_categorical_accuracy(y: Tensor, p: Tensor, positions: bool = False) -> Tensor:
    """Share of rows with argmax p = y: y (batch, ...) int32, p (batch, ..., c). One value per sample, or with
    `positions` one for each of its positions, here and below."""
    return Accuracy("sparse_categorical_accuracy", y, p, positions).output


def categorical_accuracy(y: Tensor, p: Tensor, positions: bool = False) -> Tensor:
    """Share of rows with argmax p = argmax y: y and p (batch, ..., c)."""
    return Accuracy("categorical_accuracy", y, p, positions).output


def binary_accuracy(y: Tensor, p: Tensor, threshold: float = 0.5, positions: bool = False) -> Tensor:
    """Share of entries with (p > threshold) = y: y and p (batch, ..., c)."""
    return Accuracy("binary_accuracy", y, p, positions, threshold=threshold).output


def top_k_categorical_accuracy(y: Tensor, p: Tensor, k: int = 5, positions: bool = False) -> Tensor:
    """Share of rows where argmax y is among the k greatest of p: y and p (batch, ..., c)."""
    return Accuracy("top_k_categorical_accuracy", y, p, positions, k=k).output


def sparse_top_k_categorical_accuracy(y: Tensor, p: Tensor, k: int = 5, positions: bool = False) -> Tensor:
    """Share of rows where y is among the k greatest of p: y (batch, ...) int32, p (batch, ..., c)."""
    return Accuracy("sparse_top_k_categorical_accuracy", y, p, positions, k=k).output


class Accumulate(Op):
    """Adds the sum over the batch of x (batch, *s), and the number of samples, to a total (size of s + 1,), float64."""

    axis = BATCH_WIDE
    commits = True

    def __init__(self, x: Tensor, total: Tensor):
        self.total = total
        super().__init__([x])

    def bind(self, at):
        return kernels.accumulate(at.buffer(self.inputs[0]), at.buffer(self.total))


class ThresholdCounts(Op):
    """Adds the weights of the entries of y and p to a total (1 or c, 2, thresholds + 1) of float64, by truth and by how
    many thresholds are less than p."""

    axis = BATCH_WIDE
    commits = True

    def __init__(self, y: Tensor, p: Tensor, weight: Tensor | None, thresholds: Any, total: Tensor, **options: Any):
        self.thresholds, self.total, self.options = np.array(thresholds, np.float32), total, options
        super().__init__([y, p] if weight is None else [y, p, weight])

    def bind(self, at):
        y, p, *weight = (at.buffer(tensor) for tensor in self.inputs)
        weights = weight[0] if weight else None
        return kernels.threshold_counts(y, p, weights, self.thresholds, at.buffer(self.total), **self.options)


class Confusion(Op):
    """Adds the weights of pairs of class numbers y and p, float32, to a total (classes, classes) of float64."""

    axis = BATCH_WIDE
    commits = True

    def __init__(self, y: Tensor, p: Tensor, weight: Tensor | None, total: Tensor, ignore: int | None = None):
        self.total, self.ignore = total, ignore
        super().__init__([y, p] if weight is None else [y, p, weight])

    def bind(self, at):
        y, p, *weight = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.confusion(y, p, weight[0] if weight else None, at.buffer(self.total), self.ignore)
