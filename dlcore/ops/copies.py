"""Copies of copies as one, for `graph.fuse`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from dlcore.ops.base import Tensor
from dlcore.ops.shape import Copy, Dim, first_axis, strides_of


def joined(first: Copy, second: Copy) -> Copy | None:
    """What `second` makes of the output of `first`, in one copy; None where one of them does not move all of that, in
    steps along its axes, or they fill in different values around it."""
    between, x, y = first.output, first.inputs[0], second.output
    if first.accumulate or second.accumulate:
        return None
    written = [(size, ys, xs) for size, xs, ys in first.dims]
    if (found := _through(between, written, first.y_offset, second.dims, second.x_offset)) is not None:
        steps, offset = found
        dims = [(size, step, ys) for (size, _, ys), step in zip(second.dims, steps, strict=True)]
        return Copy(x, y.shape, dims, first.x_offset + offset, second.y_offset, second.value)
    if first.value != second.value and prod(between.shape[first_axis(y) :]) != prod(y.shape[first_axis(y) :]):
        return None
    if (found := _through(between, second.dims, second.x_offset, written, first.y_offset)) is not None:
        steps, offset = found
        dims = [(size, xs, step) for (size, xs, _), step in zip(first.dims, steps, strict=True)]
        return Copy(x, y.shape, dims, first.x_offset, second.y_offset + offset, first.value)
    return None


def _through(
    t: Tensor, whole: Sequence[Dim], first: int, walk: Sequence[Dim], offset: int
) -> tuple[list[int], int] | None:
    """For a walk from `offset` on through t, and a copy that moves all of t from its element `first` on: the steps of
    that walk on the other side of the copy, and where it begins there. None if these are not the same all the way.

    Args:
        whole, walk: (size, stride in t, ...) of each dimension; the last number of `whole` is the stride on the other
            side.
    """
    axes = [i for i in range(first_axis(t), t.ndim) if t.shape[i] > 1]
    unit = strides_of(t.shape)
    moved = {stride: (size, other) for size, stride, other in whole if size > 1}
    if first != 0 or len(axes) != sum(size > 1 for size, *_ in whole):
        return None
    if any(moved.get(unit[i], (0, 0))[0] != t.shape[i] for i in axes):
        return None
    low = {i: offset // unit[i] % t.shape[i] for i in axes}
    start, high, steps = sum(low[i] * moved[unit[i]][1] for i in axes), dict(low), []
    for size, stride, *_ in walk:
        i = next((i for i in axes if unit[i] <= abs(stride)), None)
        if size == 1 or stride == 0:
            steps.append(0)
            continue
        if i is None or stride % unit[i]:
            return None
        count = stride // unit[i]
        low[i] += min(0, count * (size - 1))
        high[i] += max(0, count * (size - 1))
        steps.append(count * moved[unit[i]][1])
    return (steps, start) if all(low[i] >= 0 and high[i] < t.shape[i] for i in axes) else None
