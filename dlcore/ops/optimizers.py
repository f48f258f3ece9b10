"""Optimizer steps, one op for each parameter."""

from __future__ import annotations

from collections.abc import Sequence

from dlcore.kernels import optimizers as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Parameter, Tensor


class Update(Op):
    """One step of an optimizer for one parameter, by the name of its kernel.

    Args:
        name: "sgd" or "adam".
        parameter: what changes.
        gradient: of the parameter, in its shape.
        slots: tensors of the same shape in the order of the kernel's arguments; None where it needs none.
        learning_rate: (1,) float64.
        options: the kernel's keyword arguments.
    """

    axis = BATCH_WIDE
    commits = True

    def __init__(
        self,
        name: str,
        parameter: Parameter,
        gradient: Tensor,
        slots: Sequence[Tensor | None],
        learning_rate: Tensor,
        **options: float,
    ):
        self.name, self.updates, self.slots = name, parameter, list(slots)
        self.learning_rate, self.options = learning_rate, options
        super().__init__([gradient])

    def bind(self, at):
        state = [tensor and at.buffer(tensor) for tensor in (self.updates, self.inputs[0], *self.slots)]
        options = dict(self.options)
        if self.name == "adam":
            options["clock"] = at.clock
        if at.block:
            options["block"] = at.block
        return getattr(kernels, self.name)(*state, at.buffer(self.learning_rate), **options)

    def grain(self, tasks):
        return 1
