"""Binding: a plan and its ops become a Program of the executor, with every pointer fixed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

from dlcore.graph.fuse import merge_packs
from dlcore.graph.plan import Plan, plan
from dlcore.kernels.data import Feed
from dlcore.kernels.executor import Clock, Program, Step
from dlcore.kernels.memory import Arena, Buffer, slot_buffer
from dlcore.ops.base import Op, Parameter, Tensor


class Binder:
    """What ops see while they are bound (`ops.base.Binding`)."""

    def __init__(
        self, plan: Plan, clock: Clock, cursor: Clock, feeds: Mapping[str, Feed], placed: Mapping[Tensor, Buffer]
    ):
        self.plan, self.clock, self.cursor, self.feeds, self.placed = plan, clock, cursor, feeds, placed
        self.batch = plan.batch
        self.grain = self.splits = 1
        self.block: int | None = None
        self.arena = Arena(plan.arena_bytes)

    def buffer(self, tensor: Tensor):
        if tensor in self.placed:
            return self.placed[tensor]
        if isinstance(tensor, Parameter):
            return tensor.memory
        if tensor.op is None:
            raise ValueError(f"{tensor!r} has no memory: neither computed, nor a parameter, nor placed")
        shape = self.plan.shape(tensor, self.plan.level[tensor.op])
        root = self.plan.roots[tensor]
        if root in self.placed:
            raise ValueError(f"{tensor!r} shares placed memory under another shape")
        place = self.plan.places[root]
        if place.slot:
            return slot_buffer(place.offset, shape, tensor.dtype)
        return self.arena.buffer(place.offset, shape, tensor.dtype)

    def optional(self, tensor: Tensor):
        return None if tensor in self.plan.unread else self.buffer(tensor)

    def feed(self, name: str) -> Feed:
        return self.feeds[name]


def build(
    sinks: Sequence[Op],
    batch: int,
    clock: Clock,
    feeds: Mapping[str, Feed],
    placed: Mapping[Tensor, Buffer] | None = None,
    training: bool = False,
    cursor: Clock | None = None,
) -> Program:
    """Plan and bind the graph of `sinks` for one batch size.

    Args:
        sinks: ops that must run: stores, totals, optimizer updates.
        batch: samples of a batch.
        clock: advanced by one optimizer step a step if `training`; several programs may share it.
        feeds: by name, for the graph's gathers and stores.
        placed: memory for totals, flat optimizer state, and the gradients inside it.
        cursor: advanced by `batch` rows a step; default a new one.
    """
    cursor = cursor or Clock()
    placed = dict(placed or {})
    merge_packs(sinks)
    p = plan(sinks, batch, placed)
    binder = Binder(p, clock, cursor, feeds, placed)
    stages: list[list[tuple[list[Step], int | None]]] = []
    for groups, grain in zip(p.stages, p.grains, strict=True):
        binder.grain = grain
        bound: list[tuple[list[Step], int | None]] = []
        for group in groups:
            binder.block = group.block
            steps = []
            for op in group.ops:
                binder.splits = p.splits.get(op, 1)
                steps.append(op.bind(binder))
            first = group.ops[0]
            if group.whole:
                bound.append((steps, None))
            else:
                bound.append((steps, first.grain(steps[0].tasks) if first in p.wide else grain))
        stages.append(bound)
    program = Program(
        stages,
        clock=clock,
        cursor=cursor,
        cursor_increment=batch,
        step_increment=int(training),
        slot_bytes=p.slot_bytes,
        commit=p.commit,
        prologue=p.prologue,
        keep=(binder.arena, placed),
    )
    program.ops = [op for groups in p.stages for group in groups for op in group.ops]
    return program


class Function:
    """A graph bound for the batch sizes in use: run it over the rows that its feeds are set to.

    Args:
        sinks, clock, feeds, placed, training: as for `build`.
    """

    KEPT = 8  # batch sizes whose programs are kept; memory stays bounded whatever sizes arrive

    def __init__(
        self,
        sinks: Sequence[Op],
        feeds: Mapping[str, Feed],
        clock: Clock | None = None,
        placed: Mapping[Tensor, Buffer] | None = None,
        training: bool = False,
    ):
        self.sinks, self.feeds, self.placed, self.training = list(sinks), feeds, dict(placed or {}), training
        self.clock, self.cursor = clock or Clock(), Clock()
        self.programs: OrderedDict[int, Program] = OrderedDict()

    def program(self, batch: int) -> Program:
        """The program for one batch size."""
        program = self.programs.get(batch)
        if program is None:
            program = build(self.sinks, batch, self.clock, self.feeds, self.placed, self.training, self.cursor)
            self.programs[batch] = program
            while len(self.programs) > self.KEPT:
                self.programs.popitem(last=False)
        else:
            self.programs.move_to_end(batch)
        return program

    def runs(self, rows: int, batch: int, first: int = 0) -> Iterator[tuple[Program, int]]:
        """(program, steps) that cover rows first..rows-1: whole batches, then the rest. Sets the cursor."""
        self.cursor.cursor = first
        whole, rest = divmod(rows - first, batch)
        if whole:
            yield self.program(batch), whole
        if rest:
            yield self.program(rest), 1

    def release(self) -> None:
        """Give back the memory of all programs; they are bound again when they are needed."""
        self.programs.clear()

    def clear(self) -> None:
        """Let go of the arrays that the feeds point at."""
        for feed in self.feeds.values():
            feed.clear()
