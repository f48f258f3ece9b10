"""The plan: which stage and slab each op runs in, and where each tensor lies. Decided from shapes only.

Stages. An op comes after the stage of what it reads if either side is batch-wide; sample-wise ops that follow each
other share a stage and run depth-first, slab by slab. They are placed as late as their readers allow, so that the
gather of a batch meets its first layer in one slab. Ops that change parameters or totals come last, together.

Memory. A tensor that lives only between sample-wise ops of one stage lies in each thread's slot, as large as one
slab, and shares that room with others by lifetime in op order. Every other tensor is as large as the batch and shares
one arena by lifetime in stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from dlcore.graph.graph import consumers, topological
from dlcore.ops.base import BATCH, BATCH_WIDE, CHUNKS, SAMPLE, Op, Tensor

ALIGN = 64
ITEMSIZE = {"f": 4, "i": 4, "B": 1, "d": 8}
SLAB_BYTES = 1 << 20  # of slot tensors in a slab: what L2 holds besides weights
SLAB_SAMPLES = 6  # rows of the register tile, so that a dense layer on one slab fills it
CHUNK_BYTES = 1 << 25  # of partial sums, one per slab: large weights get fewer, longer slabs


class Place:
    """Where a tensor lies: bytes from the arena, or from the slots if `slot`."""

    def __init__(self, offset: int, slot: bool):
        self.offset, self.slot = offset, slot


class Plan:
    """The plan for one batch size.

    Attributes:
        stages: of groups of ops.
        grains: samples per slab, one number per stage.
        places: of tensors that are the root of their memory.
        roots: whose memory each tensor uses.
        unread: tensors that nobody reads.
        level: the stage of each op.
        commit: the first stage that changes parameters or totals.
    """

    def __init__(self, batch: int):
        self.batch = batch
        self.stages: list[list[list[Op]]] = []
        self.grains: list[int] = []
        self.places: dict[Tensor, Place] = {}
        self.roots: dict[Tensor, Tensor] = {}
        self.unread: set[Tensor] = set()
        self.level: dict[Op, int] = {}
        self.arena_bytes = self.slot_bytes = self.commit = 0

    def shape(self, tensor: Tensor, level: int) -> tuple[int, ...]:
        """Sizes of a tensor; chunks are those of the stage that writes it."""
        chunks = -(-self.batch // self.grains[level])
        return tuple(self.batch if size is BATCH else chunks if size == CHUNKS else size for size in tensor.shape)


def plan(sinks: Sequence[Op], batch: int, placed: Mapping[Tensor, object] | None = None) -> Plan:
    """Plan the ops that `sinks` need for one batch size.

    Args:
        sinks: ops that must run.
        batch: samples.
        placed: tensors whose memory the caller gives; the plan leaves them alone.
    """
    placed = placed or {}
    ops = topological(sinks)
    readers = consumers(ops)
    p = Plan(batch)
    p.level = _levels(ops, readers)
    p.unread = {tensor for op in ops for tensor in op.outputs if tensor not in readers and tensor not in placed}
    count = max(p.level.values(), default=-1) + 1
    p.stages = [_groups([op for op in ops if p.level[op] == i]) for i in range(count)]
    p.commit = min([p.level[op] for op in ops if op.commits], default=count)
    p.roots = _roots(ops, readers, placed)
    local = _local(ops, readers, p, placed)
    p.grains = [_grain(stage, local, batch) for stage in p.stages]
    _place(ops, readers, p, local, placed)
    return p


def _levels(ops: list[Op], readers: dict[Tensor, list[Op]]) -> dict[Op, int]:
    def gap(a: Op, b: Op) -> int:
        return int(a.axis == BATCH_WIDE or b.axis == BATCH_WIDE)

    level: dict[Op, int] = {}
    for op in ops:
        level[op] = max([level[t.op] + gap(t.op, op) for t in op.inputs if t.op is not None], default=0)
    last = max([n for op, n in level.items() if not op.commits], default=-1)
    for op in ops:
        if op.commits:  # after everything that reads what they change
            level[op] = max(level[op], last + 1)
    commit = max([n for op, n in level.items() if op.commits], default=0)
    for op in reversed(ops):
        if op.commits:
            level[op] = commit
        elif op.axis == SAMPLE:
            limits = [level[reader] - gap(op, reader) for tensor in op.outputs for reader in readers.get(tensor, [])]
            level[op] = min(limits, default=level[op])
    used = sorted(set(level.values()))
    return {op: used.index(n) for op, n in level.items()}


def _groups(ops: list[Op]) -> list[list[Op]]:
    """The sample-wise ops of a stage run as one group, each batch-wide op as its own."""
    ops = [op for op in ops if not op.alias]
    slab = [op for op in ops if op.axis == SAMPLE]
    return ([slab] if slab else []) + [[op] for op in ops if op.axis == BATCH_WIDE]


def _roots(ops: list[Op], readers: dict[Tensor, list[Op]], placed: Mapping[Tensor, object]) -> dict[Tensor, Tensor]:
    """Aliases and in-place outputs use the memory of their input's root."""
    roots: dict[Tensor, Tensor] = {}
    shared: set[Tensor] = set()  # roots that some alias shows under another name
    for op in ops:
        for tensor in op.outputs:
            roots[tensor] = tensor
        if op.alias or op.in_place is None or op.output in placed:
            source = op.inputs[0] if op.alias else None
        else:
            source = op.inputs[op.in_place]
            if source.op is None or source in placed or len(readers[source]) > 1 or roots[source] in shared:
                source = None
        if source is not None and source.op is not None:
            roots[op.output] = roots[source]
            if op.alias and len(readers[source]) > 1:
                shared.add(roots[source])
    return roots


def _local(ops: list[Op], readers: dict[Tensor, list[Op]], p: Plan, placed: Mapping[Tensor, object]) -> set[Tensor]:
    """Roots that live in slots: every op that touches them is sample-wise and of one stage."""
    stages: dict[Tensor, set[int]] = {}
    barred: set[Tensor] = set()
    for op in ops:
        for tensor in op.outputs:
            root = p.roots[tensor]
            touching = [op, *readers.get(tensor, [])]
            stages.setdefault(root, set()).update(p.level[o] for o in touching)
            if any(o.axis == BATCH_WIDE for o in touching) or tensor in placed or tensor.shape[:1] != (BATCH,):
                barred.add(root)
    return {root for root, levels in stages.items() if len(levels) == 1 and root not in barred}


def _row_bytes(tensor: Tensor) -> int:
    return prod(tensor.shape[1:]) * ITEMSIZE[tensor.dtype]


def _grain(groups: list[list[Op]], local: set[Tensor], batch: int) -> int:
    """Samples per slab: as many rows as the register tile has, fewer where they would not stay in L2, and few enough
    that a small batch still feeds several threads."""
    tensors = {tensor for group in groups for op in group for tensor in op.outputs}
    row = sum(_row_bytes(tensor) for tensor in tensors & local)
    fits = SLAB_BYTES // row if row else SLAB_SAMPLES
    partial = sum(_row_bytes(tensor) for tensor in tensors if tensor.shape[:1] == (CHUNKS,))
    return max(1, min(SLAB_SAMPLES, fits, -(-batch // 4)), -(-batch * partial // CHUNK_BYTES))


def _place(
    ops: list[Op], readers: dict[Tensor, list[Op]], p: Plan, local: set[Tensor], placed: Mapping[Tensor, object]
) -> None:
    order = {op: i for i, op in enumerate(ops)}
    sizes: dict[Tensor, int] = {}
    births: dict[Tensor, int] = {}
    deaths: dict[Tensor, int] = {}
    for op in ops:
        for tensor in op.outputs:
            root = p.roots[tensor]
            if root in placed:
                continue
            clock = order if root in local else p.level
            births.setdefault(root, clock[op])
            deaths[root] = max([deaths.get(root, 0), clock[op], *(clock[o] for o in readers.get(tensor, []))])
            rows = p.grains[p.level[op]] if root in local else p.shape(tensor, p.level[op])[0]
            sizes[root] = max(sizes.get(root, 0), rows * _row_bytes(tensor))
    for in_slot in (True, False):
        roots = [root for root in sizes if (root in local) == in_slot]
        spans = [(births[root], deaths[root], -(-max(sizes[root], 1) // ALIGN) * ALIGN) for root in roots]
        offsets, total = pack_intervals(spans)
        for root, offset in zip(roots, offsets, strict=True):
            p.places[root] = Place(offset, in_slot)
        if in_slot:
            p.slot_bytes = total
        else:
            p.arena_bytes = total
    for place in p.places.values():
        if place.slot:
            place.offset -= p.slot_bytes  # slot tensors lie below the slot, scratch above


def pack_intervals(spans: Sequence[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Offsets for (birth, death, size) blocks so that no two that live at one time overlap, and the room they need.

    Greedy by size, each at the lowest free place (Pisarchyk & Lee, arXiv 2001.03288, section 5).
    """
    offsets = [0] * len(spans)
    done: list[int] = []
    for i in sorted(range(len(spans)), key=lambda i: -spans[i][2]):
        birth, death, size = spans[i]
        busy = sorted((offsets[j], spans[j][2]) for j in done if spans[j][0] <= death and birth <= spans[j][1])
        offset = 0
        for start, length in busy:
            if start - offset >= size:
                break
            offset = max(offset, start + length)
        offsets[i] = offset
        done.append(i)
    return offsets, max((offset + span[2] for offset, span in zip(offsets, spans, strict=True)), default=0)
