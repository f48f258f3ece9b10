"""Data moved and not changed: reshape, slices, padding, permutation, repetition, concatenation.

All but reshape and concatenate are one op, a copy between strided regions; its gradient is the copy back. Axes count as
in NumPy, the batch is axis 0 and stays where it is. Tensors without a batch, such as parameters, may be given too:
their axis 0 is one like the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from operator import index
from typing import Any

from dlcore.kernels import shape as kernels
from dlcore.ops.base import BATCH, Op, Tensor

Dim = tuple[int, int, int]  # size, and strides in x and in y
Pair = tuple[int, int]


class Reshape(Op):
    alias = True

    def __init__(self, x: Tensor, shape: Sequence[Any]):
        self.x_shape = x.shape
        super().__init__([x], (tuple(shape), x.dtype))

    def gradient(self, grads, wanted):
        return [grads[0] and reshape(grads[0], self.x_shape)]


class Copy(Op):
    """See `kernels.shape.copy`. In a gradient, `graph.fuse` may append a tensor of the output's shape, to which the
    copy is added (`accumulate`)."""

    def __init__(self, x: Tensor, shape, dims: Sequence[Dim], x_offset=0, y_offset=0, value=0.0, accumulate=False):
        self.dims, self.x_offset, self.y_offset, self.value = list(dims), x_offset, y_offset, value
        self.accumulate = accumulate
        super().__init__([x], (tuple(shape), x.dtype))

    def gradient(self, grads, wanted):
        if grads[0] is None:
            return [None]
        back = [(size, ys, xs) for size, xs, ys in self.dims]
        meets = any(size > 1 and ys == 0 for size, _, ys in back)
        return [Copy(grads[0], self.inputs[0].shape, back, self.y_offset, self.x_offset, accumulate=meets).output]

    def bind(self, at):
        x, onto = self.inputs[0], [at.buffer(tensor) for tensor in self.inputs[1:]]
        return kernels.copy(
            at.buffer(x), at.buffer(self.output), self.dims, self.x_offset, self.y_offset,
            int(self.value) if x.dtype == "i" else self.value, self.accumulate, first_axis(x) == 0, x.dtype, *onto,
        )  # fmt: skip


class Pad(Copy):
    """`border` is ((top, bottom), (left, right)) where that much of zeros around images is all there is."""

    border: tuple[Pair, Pair] | None = None


class Concatenate(Op):
    def __init__(self, tensors: Sequence[Tensor], axis: int):
        self.axis_ = axis
        shape = list(tensors[0].shape)
        shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
        super().__init__(tensors, (tuple(shape), tensors[0].dtype))

    def gradient(self, grads, wanted):
        found: list[Tensor | None] = []
        first = 0
        for tensor, wish in zip(self.inputs, wanted, strict=True):
            size = tensor.shape[self.axis_]
            found.append(_range(grads[0], self.axis_, first, size) if wish and grads[0] else None)
            first += size
        return found

    def bind(self, at):
        xs = [at.buffer(tensor) for tensor in self.inputs]
        whole, dtype = first_axis(self.output) == 0, self.output.dtype
        return kernels.concatenate(xs, at.buffer(self.output), self.axis_, whole, dtype)


# ---------------------------------------------------------------------------------------------------------------------
# axes and strides


def first_axis(x: Tensor) -> int:
    """The first axis that may be touched: 1 behind a batch."""
    return int(x.shape[0] is BATCH)


def _axis(x: Tensor, axis: int, name: str, ndim: int | None = None) -> int:
    """`axis` counted from 0 on; refuses the batch."""
    ndim = x.ndim if ndim is None else ndim
    found = index(axis) + (ndim if axis < 0 else 0)
    if not first_axis(x) <= found < ndim:
        raise ValueError(
            f"{name}: axis must be one of {first_axis(x)} to {ndim - 1} (the batch stays), or count from the end. "
            f"Received: axis={axis} for a tensor of shape {x.shape}"
        )
    return found


def _axes(x: Tensor, axis: int | Sequence[int], name: str) -> tuple[int, ...]:
    return tuple(_axis(x, a, name) for a in ([axis] if isinstance(axis, int) else axis))


def strides_of(shape: Sequence[Any]) -> list[int]:
    """Elements from one entry to the next along each axis; that of the batch is not used."""
    found = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        found[i] = found[i + 1] * shape[i + 1]
    return found


def _region(x: Tensor, shape, starts: Sequence[int], steps: Sequence[int]) -> Tensor:
    """x[start + i * step] for i < size on every axis."""
    xs, ys, lead = strides_of(x.shape), strides_of(shape), first_axis(x)
    axes = range(lead, x.ndim)
    dims = [(shape[i], xs[i] * steps[i], ys[i]) for i in axes]
    return Copy(x, shape, dims, sum(starts[i] * xs[i] for i in axes)).output


def _range(x: Tensor, axis: int, first: int, size: int) -> Tensor:
    """`size` entries from `first` on along one axis."""
    shape = tuple(size if i == axis else n for i, n in enumerate(x.shape))
    return _region(x, shape, [first if i == axis else 0 for i in range(x.ndim)], [1] * x.ndim)


# ---------------------------------------------------------------------------------------------------------------------
# the same elements in another shape


def reshape(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """x with another shape of the same size. One entry may be -1: what is left, or, in front, the batch.

    Raises:
        ValueError: the sizes differ.
    """
    wished: list[Any] = [size if size is BATCH else index(size) for size in shape]
    if x.shape[0] is BATCH and wished[:1] == [-1] and -1 not in wished[1:] and prod(wished[1:]) == prod(x.shape[1:]):
        wished[0] = BATCH
    rest = wished[first_axis(x) :]
    if rest.count(-1) == 1:
        known = prod(size for size in rest if size != -1 and size is not BATCH)
        if known > 0 and prod(x.shape[first_axis(x) :]) % known == 0:
            rest[rest.index(-1)] = prod(x.shape[first_axis(x) :]) // known
    fits = BATCH not in rest and min(rest, default=1) >= 0 and prod(rest) == prod(x.shape[first_axis(x) :])
    if not fits or (first_axis(x) and wished[:1] != [BATCH]):
        raise ValueError(f"reshape: cannot give {x.shape} the shape {tuple(shape)}")
    result = (*x.shape[: first_axis(x)], *rest)
    if first_axis(x):
        return Reshape(x, result).output
    return Copy(x, result, [(prod(result), 1, 1)]).output  # a parameter shows its memory in one shape only


def expand_dims(x: Tensor, axis: int) -> Tensor:
    """x with an axis of size 1 that becomes axis `axis` of the result.

    Raises:
        ValueError: an axis that is not there, or in front of the batch.
    """
    at = _axis(x, axis, "expand_dims", x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def squeeze(x: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """x without the given axes, default all but the batch, of size 1.

    Raises:
        ValueError: an axis of another size.
    """
    given = range(first_axis(x), x.ndim) if axis is None else _axes(x, axis, "squeeze")
    axes = [a for a in given if axis is not None or x.shape[a] == 1]
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"squeeze: expected axes of size 1. Received: axis={axis} for a tensor of shape {x.shape}")
    return reshape(x, tuple(size for i, size in enumerate(x.shape) if i not in axes))


# ---------------------------------------------------------------------------------------------------------------------
# parts


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key] of whole numbers, slices, `...` and None, as in NumPy; the batch must be taken whole.

    Raises:
        TypeError: another kind of index.
        IndexError: too many indices, or a number out of range.
        ValueError: part of the batch, or nothing left.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    given = [k for k in keys if k is not None and k is not Ellipsis]
    if sum(k is Ellipsis for k in keys) > 1 or len(given) > x.ndim:
        raise IndexError(f"too many indices for a tensor of shape {x.shape}. Received: {key!r}")
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[at : at + 1] = [slice(None)] * (x.ndim - len(given))
    if first_axis(x) and (not isinstance(keys[0], slice) or keys[0] != slice(None)):
        raise ValueError(f"the batch, axis 0, must be taken whole, as in x[:, ...]. Received: {key!r}")
    starts: list[int] = []
    steps: list[int] = []
    shape: list[Any] = []
    result: list[Any] = []
    for k in keys:
        if k is None:
            result.append(1)
            continue
        size = x.shape[len(shape)]
        if size is BATCH:
            chosen = (0, 1, BATCH)
        elif isinstance(k, slice):
            first, last, step = k.indices(size)
            chosen = (first, step, len(range(first, last, step)))
        else:
            try:
                number = index(k)
            except TypeError:
                raise TypeError(f"an index must be a whole number, a slice, ... or None. Received: {k!r}") from None
            if not -size <= number < size:
                raise IndexError(f"index {number} is out of range for axis {len(shape)} of a tensor of {x.shape}")
            chosen = (number % size, 1, 1)
        starts.append(chosen[0])
        steps.append(chosen[1])
        shape.append(chosen[2])
        if isinstance(k, slice):
            result.append(chosen[2])
    if 0 in shape:
        raise ValueError(f"nothing is left of a tensor of shape {x.shape}. Received: {key!r}")
    y = x if tuple(shape) == x.shape and set(steps) == {1} else _region(x, tuple(shape), starts, steps)
    return y if y.shape == tuple(result) else reshape(y, result)


def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = -1) -> list[Tensor]:
    """x in so many equal parts along `axis`, or cut at the given places.

    Raises:
        ValueError: the axis cannot be divided so.
    """
    axis = _axis(x, axis, "split")
    size = x.shape[axis]
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections < 1 or size % sections:
            raise ValueError(f"split: an axis of size {size} cannot be cut into {sections} equal parts")
        cuts = [i * size // sections for i in range(sections + 1)]
    else:
        cuts = [0, *(index(cut) for cut in indices_or_sections), size]
    if any(a >= b for a, b in pairwise(cuts)):
        raise ValueError(f"split: cuts must rise, between 0 and {size}. Received: {indices_or_sections}")
    return [_range(x, axis, a, b - a) for a, b in pairwise(cuts)]


def _widths(x: Tensor, widths: Any, name: str) -> list[Pair]:
    """(before, after) for every axis."""
    pairs = [(index(before), index(after)) for before, after in widths]
    if len(pairs) < x.ndim:  # from the first axis behind the batch on
        pairs = [(0, 0)] * first_axis(x) + pairs
    pairs += [(0, 0)] * (x.ndim - len(pairs))
    if len(pairs) > x.ndim or any(min(pair) < 0 for pair in pairs) or (first_axis(x) and pairs[0] != (0, 0)):
        raise ValueError(
            f"{name}: expected (before, after), not negative, for axes from 1 on. "
            f"Received: {widths} for a tensor of shape {x.shape}"
        )
    return pairs


def crop(x: Tensor, cropping: Sequence[Pair]) -> Tensor:
    """x without so many entries (before, after) of its axes: ((top, bottom), (left, right)) crops axes 1 and 2; with
    one pair for each axis, the first is that of axis 0.

    Raises:
        ValueError: negative numbers, or nothing left.
    """
    pairs = _widths(x, cropping, "crop")
    shape = [n if n is BATCH else n - sum(pair) for n, pair in zip(x.shape, pairs, strict=True)]
    if any(n is not BATCH and n < 1 for n in shape):
        raise ValueError(f"crop: nothing is left of a tensor of shape {x.shape}. Received: {cropping}")
    return _region(x, tuple(shape), [before for before, _ in pairs], [1] * x.ndim)


def pad(x: Tensor, pad_width: Sequence[Pair], constant_values: float = 0.0) -> Tensor:
    """x between so many entries (before, after) of a constant: ((top, bottom), (left, right)) pads axes 1 and 2; with
    one pair for each axis, as in keras.ops.pad, the first is that of axis 0.

    Raises:
        ValueError: negative numbers, or part of the batch.
    """
    pairs = _widths(x, pad_width, "pad")
    shape = tuple(n if n is BATCH else n + sum(pair) for n, pair in zip(x.shape, pairs, strict=True))
    xs, ys, axes = strides_of(x.shape), strides_of(shape), range(first_axis(x), x.ndim)
    offset = sum(pairs[i][0] * ys[i] for i in axes)
    op = Pad(x, shape, [(x.shape[i], xs[i], ys[i]) for i in axes], 0, offset, constant_values)
    if x.ndim == 4 and first_axis(x) and constant_values == 0 and pairs[3] == (0, 0):
        op.border = (pairs[1], pairs[2])
    return op.output


# ---------------------------------------------------------------------------------------------------------------------
# another order, more of the same


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes in another order: axis i of the result is axis axes[i] of x, default all but the batch reversed.

    Raises:
        ValueError: not an order of all axes, or the batch moves.
    """
    if axes is None:
        axes = [*range(first_axis(x)), *range(x.ndim - 1, first_axis(x) - 1, -1)]
    order = [index(a) + (x.ndim if a < 0 else 0) for a in axes]
    if sorted(order) != list(range(x.ndim)) or (first_axis(x) and order[0] != 0):
        raise ValueError(
            f"transpose: expected each axis once, the batch first. Received: axes={tuple(axes)}, {x.shape}"
        )
    shape = tuple(x.shape[a] for a in order)
    xs, ys = strides_of(x.shape), strides_of(shape)
    return Copy(x, shape, [(x.shape[a], xs[a], ys[i]) for i, a in enumerate(order) if x.shape[a] is not BATCH]).output


def permute(x: Tensor, dims: Sequence[int]) -> Tensor:
    """x (batch, ...) with the axes behind the batch in the order `dims`, which count from 1, as in Keras' Permute."""
    return transpose(x, (0, *dims))


def flip(x: Tensor, axis: int | Sequence[int]) -> Tensor:
    """x backwards along one axis or several.

    Raises:
        ValueError: an axis that is not there, or the batch.
    """
    axes = _axes(x, axis, "flip")
    starts = [x.shape[i] - 1 if i in axes else 0 for i in range(x.ndim)]
    return _region(x, x.shape, starts, [-1 if i in axes else 1 for i in range(x.ndim)])


def upsample(x: Tensor, repeats: Sequence[int]) -> Tensor:
    """Every entry so many times in a row, along axis 1, 2, and so on: nearest neighbours by whole factors.

    Raises:
        ValueError: more factors than axes, or one below 1.
    """
    times = [index(n) for n in repeats]
    if len(times) > x.ndim - first_axis(x) or min(times, default=1) < 1:
        raise ValueError(f"upsample: expected positive factors for axes of {x.shape}. Received: {tuple(repeats)}")
    times = [1] * first_axis(x) + times + [1] * (x.ndim - first_axis(x) - len(times))
    shape = tuple(n if n is BATCH else n * t for n, t in zip(x.shape, times, strict=True))
    xs, ys = strides_of(x.shape), strides_of(shape)
    dims = []
    for i in range(first_axis(x), x.ndim):
        dims += [(x.shape[i], xs[i], ys[i] * times[i]), (times[i], 0, ys[i])]
    return Copy(x, shape, dims).output


def repeat(x: Tensor, repeats: int, axis: int) -> Tensor:
    """Every entry `repeats` times in a row along `axis`.

    Raises:
        ValueError: an axis that is not there, or repeats below 1.
    """
    axis = _axis(x, axis, "repeat")
    return upsample(x, [1] * (axis - first_axis(x)) + [repeats])


def broadcast_to(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """x with its axes of size 1 repeated to `shape`, of as many axes.

    Raises:
        ValueError: another number of axes, or a size that cannot be repeated.
    """
    fits = len(shape) == x.ndim and all(n in (m, 1) for n, m in zip(x.shape, shape, strict=True))
    if not fits or (shape[0] is BATCH) != (x.shape[0] is BATCH):
        raise ValueError(f"broadcast_to: cannot repeat {x.shape} to {tuple(shape)}")
    xs, ys = strides_of(x.shape), strides_of(shape)
    axes = range(first_axis(x), x.ndim)
    return Copy(x, shape, [(shape[i], xs[i] if x.shape[i] == shape[i] else 0, ys[i]) for i in axes]).output


# ---------------------------------------------------------------------------------------------------------------------
# several in one


def concatenate(tensors: Sequence[Tensor], axis: int = -1) -> Tensor:
    """The tensors, of one shape but for `axis`, behind each other along it.

    Raises:
        ValueError: no tensors, shapes that do not fit, different dtypes, or the batch as axis.
    """
    tensors = list(tensors)
    if not tensors:
        raise ValueError("concatenate: expected at least one tensor. Received: none")
    axis = _axis(tensors[0], axis, "concatenate")
    shapes = [tensor.shape for tensor in tensors]
    if len({(*s[:axis], "", *s[axis + 1 :]) for s in shapes}) > 1 or len({len(s) for s in shapes}) > 1:
        raise ValueError(f"concatenate: expected shapes that differ in axis {axis} only. Received: {shapes}")
    if len({tensor.dtype for tensor in tensors}) > 1:
        raise ValueError(f"concatenate: expected one dtype. Received: {[tensor.dtype for tensor in tensors]}")
    return tensors[0] if len(tensors) == 1 else Concatenate(tensors, axis).output


def stack(tensors: Sequence[Tensor], axis: int = 1) -> Tensor:
    """The tensors, of one shape, along a new axis `axis` of the result.

    Raises:
        ValueError: no tensors, different shapes, or an axis in front of the batch.
    """
    tensors = list(tensors)
    if not tensors or len({tensor.shape for tensor in tensors}) > 1:
        raise ValueError(f"stack: expected tensors of one shape. Received: {[tensor.shape for tensor in tensors]}")
    axis = _axis(tensors[0], axis, "stack", tensors[0].ndim + 1)
    return concatenate([expand_dims(tensor, axis) for tensor in tensors], axis)
