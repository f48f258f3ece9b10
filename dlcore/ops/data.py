"""Where data enters and leaves a graph."""

from __future__ import annotations

from dlcore.kernels import data as kernels
from dlcore.ops.base import BATCH, Op, Tensor


class Gather(Op):
    """The rows of a batch from the feed `name`."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str = "f"):
        self.name, self.scale = name, 1.0
        super().__init__([], ((BATCH, *shape), dtype))
        self.output.name = name

    def bind(self, at):
        return kernels.gather(at.feed(self.name), at.cursor, at.buffer(self.output), self.scale)


def gather(name: str, shape: tuple[int, ...], dtype: str = "f") -> Tensor:
    """A batch (batch, *shape) of what the feed `name` is set to at run time: "f" float32 or "i" int32."""
    return Gather(name, shape, dtype).output


class Store(Op):
    """Puts the rows of a batch where the feed `name` points."""

    def __init__(self, x: Tensor, name: str):
        self.name = name
        super().__init__([x])

    def bind(self, at):
        return kernels.store(at.buffer(self.inputs[0]), at.feed(self.name), at.cursor)
