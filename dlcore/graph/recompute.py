"""Recomputation: what is cheap to compute again is not kept from the forward pass for the backward one.

In training, the output of a layer waits for the backward pass in memory as large as the batch, and comes back from
there. Where its inputs wait as well, as those of a batch normalisation do, a second copy of the op computes it in the
slab where it is read, and the first copy's output need not outlive its slab: neither is ever written to memory. Where
they are much smaller than it, as those of the input gradient of a depthwise convolution with strides are, they are kept
in its place. The bits are the same.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174; Bulo et al., arXiv 1712.02616.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from dlcore.graph.graph import clone, consumers, topological
from dlcore.graph.plan import ITEMSIZE, levels
from dlcore.ops.base import BATCH, SAMPLE, Op, Tensor

LEAST_BYTES = 1 << 12  # of a sample: less stays in cache anyway


def recompute(sinks: Sequence[Op]) -> None:
    """Let later stages compute again what is cheap, in the graph of `sinks`.

    An op that says it is cheap, and reads no more of a sample than it writes, is computed again in each later stage
    that reads it, if its inputs wait until then for others, or take half its room at most. Ops that only show its
    output in another shape follow those that read them.
    """
    ops = topological(sinks)
    readers, level = consumers(ops), levels(ops)
    for op in reversed(ops):  # a copy reads inputs in its stage, which may now be computed again as well
        found = readers.get(op.output, []) if op.outputs else []
        late: dict[int, list[Op]] = {}
        for reader in found:
            if level[reader] > level[op]:
                late.setdefault(level[reader], []).append(reader)
        source = op
        while source.alias and source.inputs[0].op is not None:
            source = source.inputs[0].op
        if (
            not late
            or not _cheap(source)
            or 2 * _kept(source, max(late), level, readers) > _bytes(source.output)
            or any(one.axis != SAMPLE for one in (op, *found))
        ):
            continue
        for stage, reading in late.items():
            copy = clone(op, op.inputs)
            level[copy] = stage
            readers[copy.output] = reading
            for tensor in copy.inputs:
                readers[tensor].append(copy)
            for reader in reading:
                reader.inputs = [copy.output if tensor is op.output else tensor for tensor in reader.inputs]
        readers[op.output] = [reader for reader in found if level[reader] == level[op]]


def _cheap(op: Op) -> bool:
    read = sum(_bytes(tensor) for tensor in op.inputs if tensor.shape[:1] == (BATCH,))
    return op.cheap and op.axis == SAMPLE and LEAST_BYTES <= _bytes(op.output) >= read


def _kept(op: Op, stage: int, level: dict[Op, int], readers: dict[Tensor, list[Op]]) -> int:
    """Bytes of the inputs, of those as large as the batch, that would be kept until `stage` for a copy alone."""
    return sum(
        _bytes(tensor)
        for tensor in op.inputs
        if tensor.shape[:1] == (BATCH,) and not any(level[reader] >= stage for reader in readers[tensor])
    )


def _bytes(tensor: Tensor) -> int:
    """Of a sample."""
    return prod(tensor.shape[1:]) * ITEMSIZE[tensor.dtype]
