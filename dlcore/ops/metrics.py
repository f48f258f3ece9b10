"""Accuracies of one value per sample, and running totals."""

from __future__ import annotations

from dlcore.kernels import metrics as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor


class Accuracy(Op):
    """An accuracy by the name of its kernel."""

    def __init__(self, name: str, y: Tensor, p: Tensor, **options: float):
        self.name, self.options = name, options
        super().__init__([y, p], (p.shape[0],))

    def bind(self, at):
        y, p = (at.buffer(tensor) for tensor in self.inputs)
        return getattr(kernels, self.name)(y, p, at.buffer(self.output), **self.options)


def sparse_categorical_accuracy(y: Tensor, p: Tensor) -> Tensor:
    """Share of rows with argmax p = y: y (batch, ...) int32, p (batch, ..., c)."""
    return Accuracy("sparse_categorical_accuracy", y, p).output


def categorical_accuracy(y: Tensor, p: Tensor) -> Tensor:
    """Share of rows with argmax p = argmax y: y and p (batch, ..., c)."""
    return Accuracy("categorical_accuracy", y, p).output


def binary_accuracy(y: Tensor, p: Tensor, threshold: float = 0.5) -> Tensor:
    """Share of entries with (p > threshold) = y: y and p (batch, ..., c)."""
    return Accuracy("binary_accuracy", y, p, threshold=threshold).output


class Accumulate(Op):
    """Adds the sum and the count of one value per sample to a total (2,) of float64."""

    axis = BATCH_WIDE
    commits = True

    def __init__(self, x: Tensor, total: Tensor):
        self.total = total
        super().__init__([x])

    def bind(self, at):
        return kernels.accumulate(at.buffer(self.inputs[0]), at.buffer(self.total))
