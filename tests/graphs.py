"""Running a piece of graph on arrays: what the tests of graph, ops and layers share."""

import numpy as np

from dlcore import ops
from dlcore.graph.fuse import fuse
from dlcore.graph.gradient import gradients
from dlcore.graph.graph import topological
from dlcore.graph.program import build
from dlcore.kernels import elementwise
from dlcore.kernels.data import Feed
from dlcore.kernels.executor import Clock
from dlcore.ops.base import BATCH
from dlcore.ops.data import Store, gather
from dlcore.ops.elementwise import mean_gradient


class Constant(ops.Op):
    """A batch of one value: a target that has no gradient to pass on."""

    def __init__(self, like, value):
        self.value = value
        super().__init__([], like.shape)

    def bind(self, at):
        return elementwise.fill(at.buffer(self.output), self.value)


def gathers(**arrays):
    """A symbolic batch of each array."""
    return [gather(name, a.shape[1:], "i" if a.dtype.kind == "i" else "f") for name, a in arrays.items()]


def run(tensors, feeds, threads=1, clock=None):
    """The values of `tensors`, each with the batch in front or a gradient of a parameter, for arrays by feed name."""
    batch = len(next(iter(feeds.values())))
    sources, sinks, placed, values = {}, [], {}, []
    for name, array in feeds.items():
        sources[name] = Feed({"f": "f", "i": "i", "u": "B"}[array.dtype.kind], array[0].size)
        sources[name].set(array)
    for i, tensor in enumerate(tensors):
        if tensor.shape[:1] == (BATCH,):
            value = np.full((batch, *tensor.shape[1:]), np.nan, np.float32)
            sources[f"out{i}"] = Feed("f", value[0].size)
            sources[f"out{i}"].set(value, write=True)
            sinks.append(Store(tensor, f"out{i}"))
        else:
            value = placed[tensor] = np.full(tensor.shape, np.nan, np.float32)
            sinks.append(tensor.op)
        values.append(value)
    build(sinks, batch, clock or Clock(), sources, placed).run(threads=threads)
    return values


def names(tensors):
    """Names of the ops that the tensors need, in order."""
    return [type(op).__name__ for op in topological([tensor.op for tensor in tensors])]


def differentiate(loss, wanted):
    """Gradients of the mean over the batch of `loss`."""
    return gradients(loss, mean_gradient(), wanted, ops.add)


def loss_and_gradients(build_loss, wanted, feeds, patterns=None, threads=1):
    """[loss per sample, outputs that build_loss adds..., gradients of `wanted`...], after fusing with `patterns`."""
    outputs = list(build_loss())
    fuse(outputs) if patterns is None else fuse(outputs, patterns)
    found = differentiate(outputs[0], wanted() if callable(wanted) else wanted)
    return run([*outputs, *found], feeds, threads)
