"""Dropout."""

from __future__ import annotations

from dlcore.kernels import random as kernels
from dlcore.ops.base import Op, Tensor


class Dropout(Op):
    in_place = 0

    def __init__(self, x: Tensor, rate: float, seed: int, layer: int):
        self.draw = (rate, seed, layer)
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and Dropout(grads[0], *self.draw).output]

    def bind(self, at):
        return kernels.dropout(at.buffer(self.inputs[0]), at.buffer(self.output), *self.draw, at.clock)


def dropout(x: Tensor, rate: float, seed: int, layer: int) -> Tensor:
    """x / (1 - rate) where an element is kept, 0 where it is dropped; see `kernels.random.dropout`."""
    return Dropout(x, rate, seed, layer).output
