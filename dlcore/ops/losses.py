"""Losses of one value per sample: the mean over whatever axes a sample has."""

from __future__ import annotations

from dlcore.kernels import losses as kernels
from dlcore.ops.base import Op, Tensor


class Loss(Op):
    """A loss by the name of its kernel; `<name>_gradient` is its gradient."""

    def __init__(self, name: str, y: Tensor, p: Tensor):
        self.name = name
        super().__init__([y, p], (p.shape[0],))

    def gradient(self, grads, wanted):
        return [None, grads[0] and LossGradient(self.name, grads[0], *self.inputs).output]

    def bind(self, at):
        y, p = (at.buffer(tensor) for tensor in self.inputs)
        return getattr(kernels, self.name)(y, p, at.buffer(self.output))


class LossGradient(Op):
    def __init__(self, name: str, dloss: Tensor, y: Tensor, p: Tensor):
        self.name = name
        super().__init__([dloss, y, p], p.shape)

    def bind(self, at):
        gradient = getattr(kernels, f"{self.name}_gradient")
        return gradient(*(at.buffer(tensor) for tensor in self.inputs), at.buffer(self.output))


def sparse_categorical_crossentropy(y: Tensor, p: Tensor) -> Tensor:
    """-log of the probability of class y: y (batch, ...) int32, p (batch, ..., c)."""
    return Loss("sparse_categorical_crossentropy", y, p).output


def categorical_crossentropy(y: Tensor, p: Tensor) -> Tensor:
    """-sum y log p over the last axis: y and p (batch, ..., c)."""
    return Loss("categorical_crossentropy", y, p).output


def binary_crossentropy(y: Tensor, p: Tensor) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)): y and p (batch, ..., c)."""
    return Loss("binary_crossentropy", y, p).output


def binary_crossentropy_logits(y: Tensor, z: Tensor) -> Tensor:
    """Binary cross-entropy of sigmoid(z): y and z (batch, ..., c)."""
    return Loss("binary_crossentropy_logits", y, z).output


def mean_squared_error(y: Tensor, p: Tensor) -> Tensor:
    """(p - y)^2: y and p (batch, ..., c)."""
    return Loss("mean_squared_error", y, p).output
