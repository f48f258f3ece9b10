"""Penalties on weights and activations, and projections of weights onto norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from dlcore.kernels import norms as kernels
from dlcore.ops.base import BATCH, BATCH_WIDE, Op, Parameter, Tensor


class Total(Op):
    """The sum of a vector of float64 numbers, as one float32."""

    def __init__(self, parts: Tensor):
        super().__init__([parts], (1,))

    def gradient(self, grads, wanted):
        return [grads[0]]  # what made the parts wants the gradient of their sum

    def bind(self, at):
        return kernels.total(at.buffer(self.inputs[0]), at.buffer(self.output))


class WeightPenaltyParts(Op):
    def __init__(self, x: Tensor, l1: float, l2: float):
        self.l1, self.l2 = l1, l2
        super().__init__([x], ((-(-prod(x.shape) // kernels.PARTS_BLOCK),), "d"))

    def gradient(self, grads, wanted):
        return [grads[0] and WeightPenaltyGradient(grads[0], self.inputs[0], self.l1, self.l2).output]

    def bind(self, at):
        return kernels.penalty_parts(at.buffer(self.inputs[0]), at.buffer(self.output), self.l1, self.l2)


class WeightPenaltyGradient(Op):
    def __init__(self, dy: Tensor, x: Tensor, l1: float, l2: float):
        self.l1, self.l2 = l1, l2
        super().__init__([dy, x], x.shape)

    def bind(self, at):
        dy, x, dx = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.weight_penalty_gradient(dy, x, dx, self.l1, self.l2)


class Penalty(Op):
    def __init__(self, x: Tensor, l1: float, l2: float):
        self.l1, self.l2 = l1, l2
        super().__init__([x], (BATCH,))

    def gradient(self, grads, wanted):
        return [grads[0] and PenaltyGradient(grads[0], self.inputs[0], self.l1, self.l2).output]

    def bind(self, at):
        return kernels.penalty(at.buffer(self.inputs[0]), at.buffer(self.output), self.l1, self.l2)


class PenaltyGradient(Op):
    def __init__(self, dy: Tensor, x: Tensor, l1: float, l2: float):
        self.l1, self.l2 = l1, l2
        super().__init__([dy, x], x.shape)

    def bind(self, at):
        dy, x, dx = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.penalty_gradient(dy, x, dx, self.l1, self.l2)


def penalty(x: Tensor, l1: float, l2: float) -> Tensor:
    """l1 sum |x| + l2 sum x^2: over all of a weight, giving (1,), or over each sample of an activation (batch, ...),
    giving (batch,), the mean of which is the sum over the batch divided by its size."""
    if x.shape[:1] == (BATCH,):
        return Penalty(x, l1, l2).output
    return Total(WeightPenaltyParts(x, l1, l2).output).output


class OrthogonalParts(Op):
    def __init__(self, x: Tensor, factor: float, rows: bool):
        self.factor, self.rows = factor, rows
        super().__init__([x], ((x.shape[0 if rows else 1],), "d"))

    def gradient(self, grads, wanted):
        return [grads[0] and OrthogonalGradient(grads[0], self.inputs[0], self.factor, self.rows).output]

    def bind(self, at):
        return kernels.orthogonal_parts(at.buffer(self.inputs[0]), at.buffer(self.output), self.factor, self.rows)


class OrthogonalGradient(Op):
    def __init__(self, dy: Tensor, x: Tensor, factor: float, rows: bool):
        self.factor, self.rows = factor, rows
        super().__init__([dy, x], x.shape)

    def bind(self, at):
        dy, x, dx = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.orthogonal_gradient(dy, x, dx, self.factor, self.rows)


def orthogonal(x: Tensor, factor: float, rows: bool = True) -> Tensor:
    """(1,): factor times the mean of |n_i . n_j| over pairs of different rows (or columns) of a matrix, divided by
    their norms."""
    return Total(OrthogonalParts(x, factor, rows).output).output


# -- what follows an update


class Project(Op):
    """A projection; into the parameter that it reads where `into` says so."""

    axis = BATCH_WIDE
    into: Parameter | None = None

    def __init__(self, x: Tensor):
        super().__init__([x], x.shape)

    def bind(self, at):
        return self.kernel(at.buffer(self.inputs[0]), at.buffer(self.into or self.output))

    def kernel(self, x: Any, y: Any) -> Any:
        raise TypeError(f"{type(self).__name__} must define kernel(x, y)")

    def grain(self, tasks):
        return 1


class NonNegative(Project):
    def kernel(self, x, y):
        return kernels.non_negative(x, y)


class ProjectNorm(Project):
    def __init__(self, x: Tensor, axes: Sequence[int], low: float, high: float, rate: float):
        self.options = list(axes), low, high, rate
        super().__init__(x)

    def kernel(self, x, y):
        return kernels.project(x, y, *self.options)


class Assign(Project):
    """Copies a tensor into a parameter."""

    def __init__(self, x: Tensor, parameter: Parameter):
        super().__init__(x)
        self.into = parameter

    def kernel(self, x, y):
        return kernels.copy(x, y)


def non_negative(x: Tensor) -> Tensor:
    """max(x, 0) of a weight."""
    return NonNegative(x).output


def project_norm(x: Tensor, axes: Sequence[int], low: float, high: float, rate: float = 1.0) -> Tensor:
    """A weight scaled so that its norms along `axes` lie in [low, high], or come nearer by `rate`."""
    return ProjectNorm(x, axes, low, high, rate).output


def constrain(parameter: Parameter, function: Callable[[Tensor], Tensor]) -> Op | None:
    """The op that puts function(parameter) into the parameter after each update. It, and what it needs, run with the
    update. None where the function gives the parameter itself.

    Raises:
        TypeError: the function does not give a tensor made by ops.
        ValueError: the tensor has another shape.
    """
    y = function(parameter)
    if y is parameter:
        return None
    if not isinstance(y, Tensor) or y.op is None:
        raise TypeError(f"{parameter.name}: a constraint must return a tensor made by dlcore.ops. Received: {y!r}")
    if y.shape != parameter.shape:
        raise ValueError(f"{parameter.name}: a constraint must keep the shape {parameter.shape}. Received: {y.shape}")
    last = y.op
    if isinstance(last, Project) and last.inputs[0] is parameter:
        last.into = parameter
    else:
        last = Assign(y, parameter)
    pending: list[Op] = [last]
    while pending:
        op = pending.pop()
        op.commits, op.follows = True, parameter
        pending += [tensor.op for tensor in op.inputs if tensor.op is not None]
    return last
