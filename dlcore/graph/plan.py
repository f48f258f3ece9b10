"""The plan: which stage and slab each op runs in, and where each tensor lies. Decided from shapes only.

Stages. An op comes after the stage of what it reads if either side is batch-wide; sample-wise ops that follow each
other share a stage and run depth-first, slab by slab. They are placed as late as their readers allow, so that the
gather of a batch meets its first layer in one slab. Ops that change parameters or totals come last, together, and bring
along what can follow or precede them block by block, while it is in cache: the op that computes the gradient, and those
that prepare the new weights for the next step. So prepared, weights need no stage but for the first step of a run.

Memory. A tensor that lives only between sample-wise ops of one stage lies in each thread's slot, as large as one
slab, and shares that room with others by lifetime in op order. Every other tensor is as large as the batch and shares
one arena by lifetime in stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from dlcore.graph.graph import consumers, topological
from dlcore.ops.base import BATCH, BATCH_WIDE, CHUNKS, SAMPLE, Op, Parameter, Tensor

ALIGN = 64
ITEMSIZE = {"f": 4, "i": 4, "B": 1, "d": 8}
SLAB_BYTES = 1 << 20  # of slot tensors in a slab: what L2 holds besides weights
SLAB_SAMPLES = 6  # rows of the register tile, so that a dense layer on one slab fills it
WHOLE_FLOATS = 1024  # of a parameter: up to here its update, and what goes with it, is one task
CHUNK_BYTES = 1 << 25  # of partial sums, one per slab: large weights get fewer, longer slabs


class Place:
    """Where a tensor lies: bytes from the arena, or from the slots if `slot`."""

    def __init__(self, offset: int, slot: bool):
        self.offset, self.slot = offset, slot


class Group:
    """Ops of one stage that run depth-first over the same tasks.

    Attributes:
        ops: in order.
        block: floats of a parameter to a task, None where tasks are not that.
        whole: whether all of it is one task.
    """

    def __init__(self, ops: list[Op], block: int | None = None, whole: bool = False):
        self.ops, self.block, self.whole = ops, block, whole


class Plan:
    """The plan for one batch size.

    Attributes:
        stages: of groups of ops.
        prologue: number of stages, from the first, that run once for all steps of a run.
        grains: samples per slab, one number per stage.
        places: of tensors that are the root of their memory.
        roots: whose memory each tensor uses.
        unread: tensors that nobody reads.
        level: the stage of each op, the first one of an op that prepares weights in two.
        commit: the first stage that changes parameters or totals.
    """

    def __init__(self, batch: int):
        self.batch = batch
        self.stages: list[list[Group]] = []
        self.grains: list[int] = []
        self.places: dict[Tensor, Place] = {}
        self.roots: dict[Tensor, Tensor] = {}
        self.unread: set[Tensor] = set()
        self.level: dict[Op, int] = {}
        self.arena_bytes = self.slot_bytes = self.commit = self.prologue = 0

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
    leads = _leads(ops, readers)
    chains = _chains(ops, leads)
    once = _once(ops, chains)
    p.level = _levels(ops, readers, leads, once)
    p.prologue = len({p.level[op] for op in once})
    p.unread = {tensor for op in ops for tensor in op.outputs if tensor not in readers and tensor not in placed}
    count = max(p.level.values(), default=-1) + 1
    p.stages = [_groups([op for op in ops if p.level[op] == i], chains) for i in range(count)]
    p.commit = min([p.level[op] for op in ops if op.commits], default=count)
    p.roots = _roots(ops, readers, placed)
    local = _local(ops, readers, p, placed)
    p.grains = [_grain(stage, local, batch) for stage in p.stages]
    _place(ops, readers, p, local, placed)
    return p


def levels(ops: list[Op]) -> dict[Op, int]:
    """The stage of each op, in the order of `topological`."""
    readers = consumers(ops)
    leads = _leads(ops, readers)
    return _levels(ops, readers, leads, _once(ops, _chains(ops, leads)))


def _gap(a: Op, b: Op) -> int:
    return int(a.axis == BATCH_WIDE or b.axis == BATCH_WIDE)


def _earliest(ops: list[Op]) -> dict[Op, int]:
    level: dict[Op, int] = {}
    for op in ops:
        level[op] = max([level[t.op] + _gap(t.op, op) for t in op.inputs if t.op is not None], default=0)
    return level


def _leads(ops: list[Op], readers: dict[Tensor, list[Op]]) -> dict[Op, Op]:
    """By update: the op that computes its gradient, where the two may run block by block. That op must be one of those
    that would run last before the updates, or what it reads would have to be kept for longer; and it must not read
    weights, which others change meanwhile."""
    level = _earliest(ops)
    last = max([n for op, n in level.items() if not op.commits], default=-1)
    leads: dict[Op, Op] = {}
    for op in ops:
        lead = op.inputs[0].op if op.updates is not None else None
        if (
            lead is not None
            and lead.axis == BATCH_WIDE
            and lead.block is not None
            and level[lead] == last
            and len(lead.outputs) == len(readers[op.inputs[0]]) == 1
            and not any(isinstance(t, Parameter) or (t.op is not None and t.op.prepares) for t in lead.inputs)
        ):
            leads[op] = lead
    return leads


def _chains(ops: list[Op], leads: Mapping[Op, Op]) -> dict[Op, Group]:
    """By update: what runs with it: the op in front, the update itself, those that follow it, and those that prepare
    the weights."""
    preparing: dict[Tensor, list[Op]] = {}
    following: dict[Tensor, list[Op]] = {}
    for op in ops:
        if op.prepares and len(op.inputs) == 1:
            preparing.setdefault(op.inputs[0], []).append(op)
        if op.follows is not None:
            following.setdefault(op.follows, []).append(op)
    chains: dict[Op, Group] = {}
    last: dict[Parameter, Op] = {}  # a shared layer updates a parameter several times, one after the other
    for op in ops:
        if op.updates is None:
            continue
        if op.updates in last:
            group = chains[op] = chains[last[op.updates]]
            group.ops.insert(group.ops.index(last[op.updates]) + 1, op)
            group.whole = True
            last[op.updates] = op
            continue
        last[op.updates] = op
        lead, after = leads.get(op), preparing.get(op.updates, [])
        followers = following.get(op.updates, [])
        whole = bool(followers) or prod(op.updates.shape) <= WHOLE_FLOATS
        block = lead.block if lead else next((o.block for o in after if o.block), None)
        after = [o for o in after if whole or (o.block and o.block == block)]
        chains[op] = Group([*([lead] if lead else []), op, *followers, *after], block, whole)
    return chains


def _once(ops: list[Op], chains: Mapping[Op, Group]) -> set[Op]:
    """Ops that prepare weights, but not at each step: nothing changes these, or who does prepares them again."""
    changed = {op.updates for op in chains}
    again = {op for group in chains.values() for op in group.ops}
    once: set[Op] = set()
    for op in ops:
        kept = (t not in changed if isinstance(t, Parameter) else t.op in once - again for t in op.inputs)
        if op.prepares and (op in again or all(kept)):
            once.add(op)
    return once if len(once) < len(ops) else set()


def _levels(ops: list[Op], readers: dict[Tensor, list[Op]], leads: Mapping[Op, Op], once: set[Op]) -> dict[Op, int]:
    level = _earliest(ops)
    with_update = set(leads.values())
    # after everything that reads what they change
    commit = 1 + max([n for op, n in level.items() if not op.commits and op not in with_update], default=-1)
    commit = max([commit, *(level[op] for op in with_update)])
    for op in reversed(ops):
        if op.commits or op in with_update:
            level[op] = commit
        elif op in once:  # before all others, and before those that prepare more of what it prepared
            level[op] = min([level[o] for t in op.outputs for o in readers.get(t, []) if o in once], default=0) - 1
        elif op.axis == SAMPLE:
            limits = [level[reader] - _gap(op, reader) for tensor in op.outputs for reader in readers.get(tensor, [])]
            level[op] = min(limits, default=level[op])
    used = sorted(set(level.values()))
    return {op: used.index(n) for op, n in level.items()}


def _groups(ops: list[Op], chains: Mapping[Op, Group]) -> list[Group]:
    """The sample-wise ops of a stage run as one group, an update with what goes with it, other batch-wide ops alone."""
    ops = [op for op in ops if not op.alias]
    slab = [op for op in ops if op.axis == SAMPLE]
    found = list(dict.fromkeys(chains[op] for op in ops if op in chains))
    chained = {op for group in found for op in group.ops}
    alone = [Group([op]) for op in ops if op.axis == BATCH_WIDE and op not in chained]
    return ([Group(slab)] if slab else []) + found + alone


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


def _grain(groups: list[Group], local: set[Tensor], batch: int) -> int:
    """Samples per slab: as many rows as the register tile has, fewer where they would not stay in L2, and few enough
    that a small batch still feeds several threads."""
    tensors = {tensor for group in groups for op in group.ops for tensor in op.outputs}
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
            if p.level[op] < p.prologue:  # for all steps of a run
                deaths[root] = max(len(p.stages), len(ops))
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
