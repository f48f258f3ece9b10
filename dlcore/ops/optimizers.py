"""Optimizer steps, one op for each parameter, and the norms of gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from dlcore.kernels import optimizers as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Parameter, Tensor


class Update(Op):
    """One step of an optimizer for one parameter, by the name of its kernel.

    Args:
        name: of the kernel.
        parameter: what changes.
        gradient: of the parameter, in its shape.
        slots: tensors of the same shape by the kernel's argument; None where it needs none.
        learning_rate: (r,) float64, as the kernel wants it.
        scale: (1,) float64 factor of the gradient, or None.
        options: the kernel's other keyword arguments.
    """

    axis = BATCH_WIDE
    commits = True

    def __init__(
        self,
        name: str,
        parameter: Parameter,
        gradient: Tensor,
        slots: Mapping[str, Tensor | None],
        learning_rate: Tensor,
        scale: Tensor | None = None,
        **options: float,
    ):
        self.name, self.updates, self.slots = name, parameter, dict(slots)
        self.learning_rate, self.options = learning_rate, options
        super().__init__([gradient] if scale is None else [gradient, scale])

    def bind(self, at):
        options = dict(self.options)
        if at.block:
            options["block"] = at.block
        if len(self.inputs) > 1:
            options["scale"] = at.buffer(self.inputs[1])
        return getattr(kernels, self.name)(
            at.buffer(self.updates),
            at.buffer(self.inputs[0]),
            learning_rate=at.buffer(self.learning_rate),
            clock=at.clock,
            **{name: slot and at.buffer(slot) for name, slot in self.slots.items()},
            **options,
        )

    def grain(self, tasks):
        return 1


class Squares(Op):
    """Sums of squares of a gradient, and of what accumulated before it, block by block."""

    axis = BATCH_WIDE

    def __init__(self, gradient: Tensor, accumulated: Tensor | None):
        self.accumulated = accumulated
        super().__init__([gradient], ((-(-prod(gradient.shape) // kernels.NORM_BLOCK),), "d"))

    def bind(self, at):
        accumulated = None if self.accumulated is None else at.buffer(self.accumulated)
        return kernels.squares(at.buffer(self.inputs[0]), at.buffer(self.output), accumulated)


class ClipNorm(Op):
    """The factor that brings a norm down to `limit`.

    Args:
        squares: outputs of `Squares`.
        all_squares: the memory of all of them, one after the other.
        limit, factor, whole: as the kernel wants them.
    """

    axis = BATCH_WIDE

    def __init__(self, squares: Sequence[Tensor], all_squares: Tensor, limit: float, factor: float, whole: bool):
        self.all_squares, self.options = all_squares, (limit, factor, whole)
        super().__init__(squares, ((1,), "d"))

    def bind(self, at):
        return kernels.clip_norm(at.buffer(self.all_squares), at.buffer(self.output), *self.options)
