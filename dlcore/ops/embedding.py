"""Rows of a table by number, and one-hot vectors."""

from __future__ import annotations

from dlcore.kernels import embedding as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor

TASKS = 16  # of the gradient of a table: each looks at all numbers, so not many


class Embedding(Op):
    def __init__(self, table: Tensor, ids: Tensor):
        super().__init__([table, ids], (*ids.shape, table.shape[1]))

    def gradient(self, grads, wanted):
        table, ids = self.inputs
        if wanted[1] and ids.dtype == "f":
            raise TypeError("embedding has no gradient with respect to the numbers")
        return [grads[0] and EmbeddingGradient(grads[0], ids, table.shape).output if wanted[0] else None, None]

    def bind(self, at):
        table, ids = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.lookup(ids, table, at.buffer(self.output))


class EmbeddingGradient(Op):
    """Of the table: a task owns some of its rows and sums, in the order of the batch, what belongs to them."""

    axis = BATCH_WIDE

    def __init__(self, dy: Tensor, ids: Tensor, shape):
        self.rows = -(-shape[0] // TASKS)
        self.block = self.rows * shape[1]
        super().__init__([dy, ids], shape)

    def bind(self, at):
        dy, ids = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.gradient(dy, ids, at.buffer(self.output), self.rows)

    def grain(self, tasks):
        return 1


def embedding(table: Tensor, ids: Tensor) -> Tensor:
    """table[ids]: table (v, d), ids (batch, ...) of 0 to v - 1 -> (batch, ..., d). Ids are int32, or float32 cut to
    their whole part; one that is out of range gives NaN.

    Raises:
        ValueError: a table of another rank.
    """
    if table.ndim != 2:
        raise ValueError(f"embedding: expected a table of shape (numbers, features). Received: {table.shape}")
    return Embedding(table, ids).output


class OneHot(Op):
    def __init__(self, x: Tensor, num_classes: int):
        super().__init__([x], (*x.shape, num_classes))

    def gradient(self, grads, wanted):
        raise TypeError("one_hot has no gradient")

    def bind(self, at):
        return kernels.one_hot(at.buffer(self.inputs[0]), at.buffer(self.output))


def one_hot(x: Tensor, num_classes: int) -> Tensor:
    """1 at the class number, 0 elsewhere: (batch, ...) -> (batch, ..., num_classes). A number out of range gives zeros.

    Raises:
        ValueError: num_classes below 1.
    """
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes must be a positive whole number. Received: num_classes={num_classes}")
    return OneHot(x, int(num_classes)).output
