"""All weights of a model in one block of memory: the trainable ones first, so that an optimizer walks over them
once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from dlcore.kernels.memory import Arena
from dlcore.ops.base import Parameter

BORDER = 16  # floats: every parameter starts on a 64-byte line


class WeightArena:
    """Moves the values of the parameters into one array; each `Parameter.value` becomes a view of it.

    Args:
        trainable, frozen: parameters without repetition.
    """

    def __init__(self, trainable: Sequence[Parameter], frozen: Sequence[Parameter]):
        self.trainable, self.frozen = list(trainable), list(frozen)
        self.offsets: dict[Parameter, int] = {}
        end = 0
        for parameter in [*self.trainable, *self.frozen]:
            self.offsets[parameter] = end
            end += -(-prod(parameter.shape) // BORDER) * BORDER
        self.trainable_size = self.offsets[self.frozen[0]] if self.frozen else end
        self.memory = Arena(4 * end)
        self.flat = np.frombuffer(memoryview(self.memory), np.float32, end) if end else np.zeros(0, np.float32)
        for parameter in self.offsets:
            view = self.view(self.flat, parameter)
            view[...] = parameter.value
            parameter.place(view, self)

    def layout(self) -> dict[Parameter, slice]:
        """Where each trainable parameter lies in a flat array."""
        return {p: slice(self.offsets[p], self.offsets[p] + prod(p.shape)) for p in self.trainable}

    def view(self, flat: np.ndarray, parameter: Parameter) -> np.ndarray:
        """The part of a flat array, laid out as the weights are, that belongs to a parameter."""
        offset = self.offsets[parameter]
        return flat[offset : offset + prod(parameter.shape)].reshape(parameter.shape)

    def holds(self, trainable: Sequence[Parameter], frozen: Sequence[Parameter]) -> bool:
        """Whether these are still the parameters, in this split, and nobody moved them elsewhere."""
        return (
            self.trainable == list(trainable)
            and self.frozen == list(frozen)
            and all(parameter.arena is self for parameter in self.offsets)
        )
