"""The plan: which stage and slab each op runs in, and where each tensor lies. Decided from shapes only.

Stages. An op comes after the stage of what it reads if either side is batch-wide; sample-wise ops that follow each
other share a stage and run depth-first, slab by slab. Where a batch is too small to feed threads, large ops cut its
samples into several tasks each, in stages of their own. Sample-wise ops are placed as late as their readers allow, so
that the gather of a batch meets its first layer in one slab. Ops that change parameters or totals come last, together,
and bring along what can follow or precede them block by block, while it is in cache: the op that computes the gradient,
and those that prepare the new weights for the next step. So prepared, weights need no stage but for the first step of a
run.

Memory. A tensor that lives only between sample-wise ops of one stage lies in each thread's slot, as large as one
slab, and shares that room with others by lifetime in op order. Every other tensor is as large as the batch and shares
one arena by lifetime in stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from dlcore.graph.graph import consumers, topological
from dlcore.ops.base import BATCH, BATCH_WIDE, CHUNKS, SAMPLE, SLAB_IMAGES, SLAB_SAMPLES, Op, Parameter, Tensor

ALIGN = 64  # of tensors
APART = 320  # bytes between tensors at least, and not a power of two; see `room`
ITEMSIZE = {"f": 4, "i": 4, "B": 1, "d": 8}
SLAB_BYTES = 1 << 20  # that an op may touch in a slab: what L2 holds besides weights
SLAB_WEIGHTS = 1 << 20  # bytes of weights that stay in L2 from slab to slab
LARGE_SLABS = 8  # of a batch at least, where they do not
WHOLE_FLOATS = 1024  # of a parameter: up to here its update, and what goes with it, is one task
LACKING = 0.01  # of a batch, that its last slab may be shorter
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
        splits: tasks per sample of the ops that cut samples.
        wide: ops that begin a new stage: the batch-wide ones, and those that cut samples.
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
        self.splits: dict[Op, int] = {}
        self.wide: set[Op] = set()
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
    p.splits = {op: n for op in ops if op.axis == SAMPLE and batch > 0 and (n := op.splits(batch)) > 1}
    p.wide = {op for op in ops if op.axis == BATCH_WIDE or op in p.splits}
    leads = _leads(ops, readers, p.wide)
    chains = _chains(ops, leads)
    once = _once(ops, chains)
    p.level = _levels(ops, readers, p.wide, leads, once)
    p.prologue = len({p.level[op] for op in once})
    p.unread = {tensor for op in ops for tensor in op.outputs if tensor not in readers and tensor not in placed}
    count = max(p.level.values(), default=-1) + 1
    p.stages = [_groups([op for op in ops if p.level[op] == i], p.wide, chains) for i in range(count)]
    p.commit = min([p.level[op] for op in ops if op.commits], default=count)
    p.roots = _roots(ops, readers, p, placed)
    local = _local(ops, readers, p, placed)
    p.grains = [_grain(stage, p, batch) for stage in p.stages]
    _place(ops, readers, p, local, placed)
    return p


def levels(ops: list[Op]) -> dict[Op, int]:
    """The stage of each op, in the order of `topological`, in batches that are not small."""
    readers, wide = consumers(ops), {op for op in ops if op.axis == BATCH_WIDE}
    leads = _leads(ops, readers, wide)
    return _levels(ops, readers, wide, leads, _once(ops, _chains(ops, leads)))


def _earliest(ops: list[Op], wide: set[Op]) -> dict[Op, int]:
    level: dict[Op, int] = {}
    for op in ops:
        level[op] = max([level[t.op] + (t.op in wide or op in wide) for t in op.inputs if t.op is not None], default=0)
    return level


def _leads(ops: list[Op], readers: dict[Tensor, list[Op]], wide: set[Op]) -> dict[Op, Op]:
    """By update: the op that computes its gradient, where the two may run block by block. That op must be one of those
    that would run last before the updates, or what it reads would have to be kept for longer; and it must not read
    weights, which others change meanwhile."""
    level = _earliest(ops, wide)
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


def _levels(
    ops: list[Op], readers: dict[Tensor, list[Op]], wide: set[Op], leads: Mapping[Op, Op], once: set[Op]
) -> dict[Op, int]:
    level = _earliest(ops, wide)
    with_update = set(leads.values())
    # after everything that reads what they change
    commit = 1 + max([n for op, n in level.items() if not op.commits and op not in with_update], default=-1)
    commit = max([commit, *(level[op] for op in with_update)])
    for op in reversed(ops):
        if op.commits or op in with_update:
            level[op] = commit
        elif op in once:  # before all others, and before those that prepare more of what it prepared
            level[op] = min([level[o] for t in op.outputs for o in readers.get(t, []) if o in once], default=0) - 1
        elif op not in wide:
            limits = [level[reader] - (reader in wide) for tensor in op.outputs for reader in readers.get(tensor, [])]
            level[op] = min(limits, default=level[op])
    used = sorted(set(level.values()))
    return {op: used.index(n) for op, n in level.items()}


def _groups(ops: list[Op], wide: set[Op], chains: Mapping[Op, Group]) -> list[Group]:
    """The sample-wise ops of a stage run as one group, an update with what goes with it, other wide ops alone."""
    ops = [op for op in ops if not op.alias]
    slab = [op for op in ops if op not in wide]
    found = list(dict.fromkeys(chains[op] for op in ops if op in chains))
    chained = {op for group in found for op in group.ops}
    alone = [Group([op]) for op in ops if op in wide and op not in chained]
    return ([Group(slab)] if slab else []) + found + alone


def _roots(
    ops: list[Op], readers: dict[Tensor, list[Op]], p: Plan, placed: Mapping[Tensor, object]
) -> dict[Tensor, Tensor]:
    """Aliases and in-place outputs use the memory of their input's root. An input may have had other readers, in stages
    that are over, if the output is kept for later stages anyway."""
    roots: dict[Tensor, Tensor] = {}
    shared: set[Tensor] = set()  # roots that some alias shows under another name
    for op in ops:
        for tensor in op.outputs:
            roots[tensor] = tensor
        if op.alias or op.in_place is None or op.output in placed:
            source = op.inputs[0] if op.alias else None
        else:
            source = op.inputs[op.in_place]
            stage, others = p.level[op], [reader for reader in readers[source] if reader is not op]
            kept = any(p.level[reader] > stage for reader in readers.get(op.output, []))
            free = not others or (kept and all(p.level[reader] < stage and not reader.alias for reader in others))
            once = len(readers[source]) == len(others) + 1
            if source.op is None or source in placed or not (once and free) or roots[source] in shared:
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
            if any(o in p.wide for o in touching) or tensor in placed or tensor.shape[:1] != (BATCH,):
                barred.add(root)
    return {root for root, levels in stages.items() if len(levels) == 1 and root not in barred}


def _row_bytes(tensor: Tensor) -> int:
    return prod(tensor.shape[1:]) * ITEMSIZE[tensor.dtype]


def _grain(groups: list[Group], p: Plan, batch: int) -> int:
    """Samples per slab: so many that few bytes come from beyond L2. Larger slabs read weights, and write partial sums,
    for more samples at a time; smaller ones find in cache what the op before left. At most as many as suit the ops that
    have samples for the rows of a tile, or more where weights are large, and few enough that a small batch still feeds
    several threads."""
    ops = [op for group in groups for op in group.ops if op not in p.wide]
    weights = {t for op in ops for t in op.inputs if t.shape[:1] not in ((BATCH,), (CHUNKS,))}
    partial = sum(_row_bytes(t) for op in ops for t in op.outputs if t.shape[:1] == (CHUNKS,))
    once = sum(prod(t.shape) * ITEMSIZE[t.dtype] for t in weights)
    rows = [
        {p.roots.get(t, t): _row_bytes(t) for t in (*op.inputs, *op.outputs) if t.shape[:1] == (BATCH,)} for op in ops
    ]
    # Nothing is passed on where each op alone touches what it touches: that comes from beyond the caches anyway.
    passed = len({root for row in rows for root in row}) < sum(map(len, rows))
    touched = [sum(row.values()) for row in rows] if passed else []

    def traffic(grain: int) -> float:
        return (once + partial) / grain + sum(row for row in touched if grain * row > SLAB_BYTES)

    most = max([op.slab for op in ops if op.slab and not weights.isdisjoint(op.inputs)], default=SLAB_IMAGES)
    sizes = [min(-(-batch // 4), size) for size in range(most, 0, -1)]
    if most == SLAB_IMAGES and batch >= 2 * SLAB_IMAGES:  # the last slab is as long to wait for: little may lack
        sizes = [size for size in sizes if -batch % size < batch * LACKING]
    if once > SLAB_WEIGHTS:  # slabs of one size, if large, keep all threads busy to the end
        sizes = [size for n in range(LARGE_SLABS, batch, 4) if (size := -(-batch // n)) > SLAB_SAMPLES] + sizes
    best = max(1, min(sizes, key=traffic))
    return max(best, -(-batch * partial // CHUNK_BYTES))


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
        spans = [(births[root], deaths[root], room(sizes[root])) for root in roots]
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


def room(nbytes: int) -> int:
    """Bytes that a tensor takes in an arena. Most sizes are multiples of 4 KB: without some lines between them, what a
    kernel reads and what it writes would lie at one place of a page, and throw each other out of the first cache."""
    return -(-nbytes // ALIGN) * ALIGN + APART


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
