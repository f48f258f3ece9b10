"""Optimizer steps over one flat arena."""

from __future__ import annotations

from collections.abc import Sequence

from dlcore.kernels import optimizers as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor


class Update(Op):
    """One step of an optimizer, by the name of its kernel.

    Args:
        name: "sgd" or "adam".
        gradients: tensors that the planner places inside the flat gradient `g`.
        state: flat tensors in the order of the kernel's arguments: w, g, slots...
        learning_rate: (1,) float64.
        options: the kernel's keyword arguments.
    """

    axis = BATCH_WIDE
    commits = True

    def __init__(
        self,
        name: str,
        gradients: Sequence[Tensor],
        state: Sequence[Tensor | None],
        learning_rate: Tensor,
        **options: float,
    ):
        self.name, self.state, self.learning_rate, self.options = name, state, learning_rate, options
        super().__init__(gradients)

    def bind(self, at):
        state = [tensor and at.buffer(tensor) for tensor in self.state]
        options = dict(self.options)
        if self.name == "adam":
            options["clock"] = at.clock
        return getattr(kernels, self.name)(*state, at.buffer(self.learning_rate), **options)

    def grain(self, tasks):
        return 1
