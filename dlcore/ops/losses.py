"""Losses: one value per sample, the mean over whatever positions it has, or one value for each position."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import losses as kernels
from dlcore.ops.base import Op, Tensor


class Loss(Op):
    """A loss by the name of its kernel; `<name>_gradient` is its gradient. One value per sample, or with `positions`
    one for each of its positions."""

    def __init__(self, name: str, y: Tensor, p: Tensor, positions: bool = False, ignore: int | None = None):
        self.name = name
        self.options: dict[str, Any] = {} if ignore is None else {"ignore": ignore}
        super().__init__([y, p], p.shape[:-1] if positions else p.shape[:1])

    def gradient(self, grads, wanted):
        y, p = self.inputs
        return [None, grads[0] and LossGradient(self.name, grads[0], y, p, self.options).output]

    def bind(self, at):
        y, p = (at.buffer(tensor) for tensor in self.inputs)
        return getattr(kernels, self.name)(y, p, at.buffer(self.output), **self.options)

    def averaged(self) -> Tensor:
        """The same with one value per sample."""
        y, p = self.inputs
        return Loss(self.name, y, p, **self.options).output


class LossGradient(Op):
    def __init__(self, name: str, dloss: Tensor, y: Tensor, p: Tensor, options: dict[str, Any]):
        self.name, self.options = name, options
        super().__init__([dloss, y, p], p.shape)

    def bind(self, at):
        gradient = getattr(kernels, f"{self.name}_gradient")
        return gradient(*(at.buffer(tensor) for tensor in self.inputs), at.buffer(self.output), **self.options)


def sparse_categorical_crossentropy(y: Tensor, p: Tensor, positions: bool = False, ignore: int | None = None) -> Tensor:
    """-log of the probability of class y: y (batch, ...) int32, p (batch, ..., c). The mean over the positions of a
    sample, or with `positions` one value for each. Those of class `ignore` count as 0."""
    return Loss("sparse_categorical_crossentropy", y, p, positions, ignore).output


def categorical_crossentropy(y: Tensor, p: Tensor, positions: bool = False) -> Tensor:
    """-sum y log p over the last axis: y and p (batch, ..., c)."""
    return Loss("categorical_crossentropy", y, p, positions).output


def binary_crossentropy(y: Tensor, p: Tensor, positions: bool = False) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)): y and p (batch, ..., c)."""
    return Loss("binary_crossentropy", y, p, positions).output


def binary_crossentropy_logits(y: Tensor, z: Tensor, positions: bool = False) -> Tensor:
    """Binary cross-entropy of sigmoid(z): y and z (batch, ..., c)."""
    return Loss("binary_crossentropy_logits", y, z, positions).output


def mean_squared_error(y: Tensor, p: Tensor, positions: bool = False) -> Tensor:
    """(p - y)^2: y and p (batch, ..., c)."""
    return Loss("mean_squared_error", y, p, positions).output
