"""Sums, means, maxima over axes of a sample, and over the batch.

`axis` counts the axes of the tensor, the batch being 0: it is a number, several, or None for all but the batch. A
tensor without a batch, made of parameters, has all its axes to give; without any left its result has the shape (1,).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from dlcore.kernels import reduction as kernels
from dlcore.kernels.elementwise import rescale as rescale_kernel
from dlcore.ops.base import BATCH, CHUNKS, Op, Tensor
from dlcore.ops.elementwise import reduce_chunks, rescale

Axis = int | Sequence[int] | None


def batched(x: Tensor) -> bool:
    """Whether axis 0 is the batch."""
    return x.ndim > 0 and x.shape[0] is BATCH


def axes_of(what: str, x: Tensor, axis: Axis) -> tuple[int, ...]:
    """`axis` as numbers of axes, in order.

    Raises:
        ValueError: there is no such axis, it is given twice, or it is the batch.
    """
    first = 1 if batched(x) else 0
    if axis is None:
        return tuple(range(first, x.ndim))
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    found = sorted(a + x.ndim if a < 0 else a for a in given)
    if len(set(found)) != len(found) or any(not 0 <= a < x.ndim for a in found):
        raise ValueError(f"{what}: axis must name axes of the shape {x.shape}, each once. Received: axis={axis!r}")
    if first and 0 in found:
        raise ValueError(f"{what}: axis 0 is the batch, see batch_sum and batch_mean. Received: axis={axis!r}")
    return tuple(found)


def shape_without(x: Tensor, axes: Sequence[int], keepdims: bool) -> tuple[Any, ...]:
    """The shape of x without `axes`, or with ones there."""
    kept = tuple(1 if i in axes else size for i, size in enumerate(x.shape) if keepdims or i not in axes)
    return kept or (1,)


class _OverAxes(Op):
    """What sums and their gradients share: axes of a sample, and whether all of the tensor is one."""

    def __init__(self, inputs, shape, of: Tensor, axes: Sequence[int]):
        self.whole = not batched(of)
        self.axes = [axis - (not self.whole) for axis in axes]
        self.tensor_axes = tuple(axes)
        super().__init__(inputs, shape)


class Reduce(_OverAxes):
    """ "sum", "max" or "min" over axes, times a scale."""

    def __init__(self, x: Tensor, kind: str, axes: Sequence[int], shape: Sequence[Any], scale: float = 1.0):
        self.kind, self.scale = kind, scale
        super().__init__([x], shape, x, axes)

    def gradient(self, grads, wanted):
        x, dy = self.inputs[0], grads[0]
        if self.kind == "sum":
            return [dy and expand(dy, x, self.tensor_axes, self.scale)]
        best = expand(self.output, x, self.tensor_axes)  # all that are the maximum share the gradient
        hit = x >= best if self.kind == "max" else x <= best
        count = Reduce(hit, "sum", self.tensor_axes, self.output.shape).output
        return [expand(dy / count, x, self.tensor_axes) * hit]

    def bind(self, at):
        x, y = at.buffer(self.inputs[0]), at.buffer(self.output)
        return kernels.reduce(x, y, self.kind, self.axes, self.scale, self.whole)


class Expand(_OverAxes):
    """The way back: y repeated along the axes of a tensor of `shape`, times a scale."""

    def __init__(self, y: Tensor, like: Tensor, axes: Sequence[int], scale: float):
        self.scale, self.shared = scale, batched(like) and not batched(y)
        super().__init__([y], like.shape, like, axes)

    def gradient(self, grads, wanted):
        y, g = self.inputs[0], grads[0]
        if self.shared:
            return [rescale(total_over_batch(g, self.tensor_axes, y.shape), self.scale)]
        return [Reduce(g, "sum", self.tensor_axes, y.shape, self.scale).output]

    def bind(self, at):
        y, x = at.buffer(self.inputs[0]), at.buffer(self.output)
        return kernels.expand(y, x, self.axes, self.scale, self.shared, self.whole)


def expand(y: Tensor, like: Tensor, axes: Sequence[int], scale: float = 1.0) -> Tensor:
    """scale * y in the shape of `like`, repeated along its `axes`; y may have ones there or not, and no batch."""
    return Expand(y, like, axes, scale).output


class BatchSum(_OverAxes):
    """Sums over axes and the samples of a slab, one for each slab."""

    def __init__(self, x: Tensor, axes: Sequence[int], shape: Sequence[int]):
        super().__init__([x], (CHUNKS, *shape), x, axes)

    def gradient(self, grads, wanted):  # those of the sum over all slabs
        return [grads[0] and expand(grads[0], self.inputs[0], self.tensor_axes)]

    def bind(self, at):
        return kernels.batch_sum(at.buffer(self.inputs[0]), at.buffer(self.output), self.axes, at.grain)


def total_over_batch(x: Tensor, axes: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The sum of x over the batch and `axes`, in `shape`, by a fixed tree."""
    return reduce_chunks(BatchSum(x, axes, shape).output)


def reduced_to(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """The sum of x over the axes along which something of `shape` was repeated to give x: what the gradient of
    broadcasting is."""
    shape = tuple(shape)
    if shape == x.shape:
        return x
    padded = (1,) * (x.ndim - len(shape)) + shape
    axes = [i for i, (one, size) in enumerate(zip(padded, x.shape, strict=True)) if one == 1 and size != 1]
    if not batched(x) or padded[0] is BATCH:
        return Reduce(x, "sum", axes, shape).output
    return total_over_batch(x, [axis for axis in axes if axis], shape)


def _reduce(x: Tensor, kind: str, axis: Axis, keepdims: bool, scale: float = 1.0) -> Tensor:
    axes = axes_of(kind, x, axis)
    return Reduce(x, kind, axes, shape_without(x, axes, keepdims), scale).output if axes else x


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes of a sample; see the head of this module."""
    return _reduce(x, "sum", axis, keepdims)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over axes of a sample; see the head of this module."""
    count = prod(x.shape[i] for i in axes_of("mean", x, axis))
    return _reduce(x, "sum", axis, keepdims, 1.0 / (count or 1))


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Maximum over axes of a sample, NaN if there is one; all elements that are the maximum share its gradient."""
    return _reduce(x, "max", axis, keepdims)


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Minimum over axes of a sample, NaN if there is one; all elements that are the minimum share its gradient."""
    return _reduce(x, "min", axis, keepdims)


def variance(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean of (x - mean(x))^2 over axes of a sample."""
    difference = x - mean(x, axis, keepdims=True)
    return mean(difference * difference, axis, keepdims)


class ArgMax(Op):
    constant = True

    def __init__(self, x: Tensor, axis: int):
        (self.along,) = axes_of("argmax", x, axis)
        super().__init__([x], shape_without(x, [self.along], keepdims=False))

    def bind(self, at):
        return kernels.argmax(at.buffer(self.inputs[0]), at.buffer(self.output), self.along - 1)


def argmax(x: Tensor, axis: int = -1) -> Tensor:
    """Number of the first maximum along an axis of a sample, as float32; no gradient passes.

    Raises:
        ValueError: x has no batch.
    """
    if not batched(x):
        raise ValueError(f"argmax: expected a tensor with a batch. Received: shape {x.shape}")
    return ArgMax(x, axis).output


# ---------------------------------------------------------------------------------------------------------------------
# over the batch


def batch_sum(x: Tensor) -> Tensor:
    """Sum over the batch: x (batch, ...) -> (1, ...), the same bits for any number of threads.

    Raises:
        ValueError: x has no batch.
    """
    if not batched(x):
        raise ValueError(f"batch_sum: expected a tensor with a batch. Received: shape {x.shape}")
    return total_over_batch(x, [], (1, *x.shape[1:]))


def batch_mean(x: Tensor) -> Tensor:
    """Mean over the batch: x (batch, ...) -> (1, ...).

    Raises:
        ValueError: x has no batch.
    """
    return scale_by_batch(batch_sum(x), power=-1)


class ScaleByBatch(Op):
    in_place = 0

    def __init__(self, x: Tensor, power: int):
        self.power = power
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and scale_by_batch(grads[0], self.power)]

    def bind(self, at):
        return rescale_kernel(at.buffer(self.inputs[0]), at.buffer(self.output), float(at.batch) ** self.power)


def scale_by_batch(x: Tensor, power: int = 1) -> Tensor:
    """x times the number of samples in the batch, or divided by it with power = -1."""
    return ScaleByBatch(x, power).output
