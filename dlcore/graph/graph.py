"""Walking a graph. It has no container of its own: it is what can be reached from the ops that must run."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

from dlcore.ops.base import Op, Tensor


def topological(sinks: Iterable[Op]) -> list[Op]:
    """All ops that the sinks need, each after the ops it reads from."""
    order: list[Op] = []
    seen: set[Op] = set()
    stack = [(op, False) for op in reversed(list(sinks))]
    while stack:  # no recursion: a deep network must not meet Python's limit
        op, ready = stack.pop()
        if ready:
            order.append(op)
        elif op not in seen:
            seen.add(op)
            stack.append((op, True))
            stack.extend((tensor.op, False) for tensor in reversed(op.inputs) if tensor.op is not None)
    return order


def consumers(ops: Iterable[Op]) -> dict[Tensor, list[Op]]:
    """Who reads each tensor; an op that reads it twice stands there twice."""
    readers: dict[Tensor, list[Op]] = {}
    for op in ops:
        for tensor in op.inputs:
            readers.setdefault(tensor, []).append(op)
    return readers


def take_output(op: Op, tensor: Tensor, number: int = 0) -> None:
    """Let `op` compute `tensor` as its output `number`, instead of the op that did: how a fused op replaces another."""
    tensor.op = op
    op.outputs[number] = tensor


def clone(op: Op, inputs: Sequence[Tensor]) -> Op:
    """The same op on other inputs of the same shapes, with outputs of its own."""
    other = copy.copy(op)
    other.inputs = list(inputs)
    other.outputs = [Tensor(tensor.shape, tensor.dtype, other) for tensor in op.outputs]
    return other
