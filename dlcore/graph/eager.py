"""Computing a function of tensors on arrays at once: for trying layers and losses by hand, and for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from dlcore.graph.fuse import fuse
from dlcore.graph.program import Function, build
from dlcore.kernels.data import Feed
from dlcore.kernels.executor import Clock
from dlcore.ops.base import BATCH, Op, Tensor
from dlcore.ops.data import Store, gather


class Sinks:
    """Sinks of a graph that runs on arrays: called with arrays (batch, ...) of the shapes that it was made for."""

    def __init__(self, make: Callable[..., tuple[Sequence[Op], Mapping[Tensor, Any]]], *arrays: np.ndarray):
        """`make(*tensors)` gives the sinks and the memory of their totals; int32 arrays become class numbers."""
        self.feeds = {
            f"x{i}": Feed("i" if a.dtype == np.int32 else "f", prod(a.shape[1:])) for i, a in enumerate(arrays)
        }
        tensors = [
            gather(name, array.shape[1:], self.feeds[name].dtype)
            for name, array in zip(self.feeds, arrays, strict=True)
        ]
        sinks, placed = make(*tensors)
        fuse([tensor for sink in sinks for tensor in sink.inputs])
        self.function = Function(sinks, self.feeds, placed=placed)

    def __call__(self, *arrays: np.ndarray) -> None:
        for feed, array in zip(self.feeds.values(), arrays, strict=True):
            feed.set(array)
        for program, steps in self.function.runs(len(arrays[0]), len(arrays[0])):
            program.run(steps)
        self.function.clear()


def compute(function: Callable[..., Tensor], *arrays: Any) -> np.ndarray:
    """function(*tensors) for arrays (batch, ...) of one batch size: float32, but int32 where whole numbers
    are given before the last array (labels come first).

    Raises:
        ValueError: no samples, or different batch sizes.
    """
    given = [np.asarray(array) for array in arrays]
    given = [
        np.ascontiguousarray(a, np.int32 if a.dtype.kind in "iu" and i < len(given) - 1 else np.float32)
        for i, a in enumerate(given)
    ]
    return evaluate(lambda *tensors: [function(*tensors)], given)[0]


def evaluate(
    function: Callable[..., Sequence[Tensor]],
    arrays: Sequence[np.ndarray],
    step: int = 0,
    updates: Sequence[Op] = (),
) -> list[np.ndarray]:
    """The tensors that function(*tensors) gives, as arrays: (batch, ...), or of the tensor's own shape where it has no
    batch.

    Args:
        arrays: (batch, ...) of one batch size, C-contiguous float32 or int32.
        step: which training step's random numbers are drawn.
        updates: ops that run at the end; the function may add to them.

    Raises:
        ValueError: no samples, or different batch sizes.
    """
    batch = arrays[0].shape[0] if arrays[0].ndim else 0
    if batch == 0 or any(a.shape[:1] != (batch,) for a in arrays):
        raise ValueError(
            f"expected arrays with the same number of samples, at least one. "
            f"Received: shapes {[a.shape for a in arrays]}"
        )
    feeds, tensors = {}, []
    for i, array in enumerate(arrays):
        dtype = "i" if array.dtype == np.int32 else "f"
        feeds[f"x{i}"] = Feed(dtype, prod(array.shape[1:]))
        feeds[f"x{i}"].set(array)
        tensors.append(gather(f"x{i}", array.shape[1:], dtype))
    results = list(function(*tensors))
    fuse([*results, *(tensor for op in updates for tensor in op.inputs)])
    sinks: list[Op] = []
    placed: dict[Tensor, Any] = {}
    values: list[np.ndarray] = []
    for i, tensor in enumerate(results):
        sampled = tensor.shape[:1] == (BATCH,)
        value = np.empty((batch, *tensor.shape[1:]) if sampled else tensor.shape, np.float32)
        values.append(value)
        if sampled:
            feeds[f"y{i}"] = Feed("f", prod(tensor.shape[1:]))
            feeds[f"y{i}"].set(value, write=True)
            sinks.append(Store(tensor, f"y{i}"))
        elif tensor.op is not None:
            placed[tensor] = value
            sinks.append(tensor.op)
    clock = Clock()
    clock.step = step
    build([*sinks, *updates], batch, clock, feeds, placed).run()
    return values
