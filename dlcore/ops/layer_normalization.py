"""Normalisation inside a sample: of its last axes, or of groups of channels."""

from __future__ import annotations

from math import prod
from typing import Any

from dlcore.kernels import layer_normalization as kernels
from dlcore.ops.base import CHUNKS, Op, Tensor
from dlcore.ops.elementwise import reduce_chunks


class _Normalize(Op):
    """Outputs y and what the gradient needs, three numbers for each mean."""

    in_place = 0
    forward: Any
    backward: Any

    def __init__(self, x: Tensor, gamma: Tensor | None, beta: Tensor | None, means: int, epsilon: float, how: dict):
        self.gamma, self.beta, self.epsilon, self.how = gamma, beta, epsilon, how
        super().__init__([x, *(t for t in (gamma, beta) if t is not None)], x.shape, (x.shape[0], means, 3))

    def gradient(self, grads, wanted):
        x, stats = self.inputs[0], self.outputs[1]
        dx, *sums = _Gradient(self, grads[0], x, stats).outputs
        found = [reduce_chunks(part) if wish else None for part, wish in zip(sums, wanted[1:], strict=True)]
        return [dx if wanted[0] else None, *found]

    def bind(self, at):
        gamma, beta = (None if tensor is None else at.buffer(tensor) for tensor in (self.gamma, self.beta))
        x, (y, stats) = at.buffer(self.inputs[0]), self.outputs
        return self.forward(x, gamma, beta, at.buffer(y), at.optional(stats), **self.how, epsilon=self.epsilon)


class _Gradient(Op):
    """Outputs dx and partial sums for those of gamma and beta that there are."""

    in_place = 0

    def __init__(self, forward: _Normalize, dy: Tensor, x: Tensor, stats: Tensor):
        self.forward, affine = forward, [t for t in (forward.gamma, forward.beta) if t is not None]
        gamma = [forward.gamma] if forward.gamma is not None else []
        super().__init__([dy, x, stats, *gamma], x.shape, *((CHUNKS, *tensor.shape) for tensor in affine))

    def bind(self, at):
        dy, x, stats, *given = (at.buffer(tensor) for tensor in self.inputs)
        dx, *sums = (at.optional(tensor) for tensor in self.outputs)
        gamma = given[0] if given else None
        dgamma = sums.pop(0) if given else None
        dbeta = sums.pop(0) if sums else None
        return self.forward.backward(dy, x, stats, gamma, dx, dgamma, dbeta, **self.forward.how, grain=at.grain)


class RowNormalize(_Normalize):
    forward = staticmethod(kernels.rows_forward)
    backward = staticmethod(kernels.rows_gradient)


class GroupNormalize(_Normalize):
    forward = staticmethod(kernels.groups_forward)
    backward = staticmethod(kernels.groups_gradient)


def layer_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    axes: int = 1,
    epsilon: float = 1e-3,
    kind: str = "layer",
) -> Tensor:
    """The last `axes` axes of x, each row by its own mean and variance, times gamma plus beta (of the shape of these
    axes, or None); "rms" and "unit" as in `kernels.layer_normalization.rows_forward`."""
    rows = prod(x.shape[1 : x.ndim - axes])
    return RowNormalize(x, gamma, beta, rows, epsilon, {"axes": axes, "kind": kind}).outputs[0]


def group_normalization(
    x: Tensor, groups: int, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-3
) -> Tensor:
    """x (batch, ..., c), each of `groups` groups of channels of a sample by its own mean and variance; gamma and beta
    (c,) or None."""
    return GroupNormalize(x, gamma, beta, groups, epsilon, {"groups": groups}).outputs[0]
