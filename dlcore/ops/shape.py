"""Reshape: another view of the same memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from dlcore.ops.base import BATCH, Op, Tensor


class Reshape(Op):
    alias = True

    def __init__(self, x: Tensor, shape: Sequence[Any]):
        self.x_shape = x.shape
        super().__init__([x], tuple(shape))

    def gradient(self, grads, wanted):
        return [grads[0] and reshape(grads[0], self.x_shape)]


def reshape(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """x with another shape of the same size; axis 0 stays the batch.

    Raises:
        ValueError: the sizes differ.
    """
    if x.shape[0] is not BATCH or shape[0] is not BATCH or prod(x.shape[1:]) != prod(shape[1:]):
        raise ValueError(f"reshape: cannot give {x.shape} the shape {tuple(shape)}")
    return Reshape(x, shape).output
