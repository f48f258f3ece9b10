"""Images of another size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcore.kernels import resize as kernels
from dlcore.ops.base import Op, Tensor
from dlcore.ops.windows import Pair

Taps = tuple[np.ndarray, np.ndarray]  # which input pixels an output pixel reads, and their weights: (out, taps) each


class Resize(Op):
    def __init__(self, x: Tensor, rows: Taps, cols: Taps):
        self.rows, self.cols = rows, cols
        super().__init__([x], (x.shape[0], len(rows[0]), len(cols[0]), x.shape[3]))

    def gradient(self, grads, wanted):
        return [grads[0] and ResizeGradient(grads[0], self.inputs[0].shape, self.rows, self.cols).output]

    def bind(self, at):
        return kernels.resize_forward(at.buffer(self.inputs[0]), at.buffer(self.output), self.rows, self.cols)


class ResizeGradient(Op):
    def __init__(self, dy: Tensor, shape, rows: Taps, cols: Taps):
        self.rows, self.cols = rows, cols
        super().__init__([dy], shape)

    def gradient(self, grads, wanted):
        return [grads[0] and Resize(grads[0], self.rows, self.cols).output]

    def bind(self, at):
        return kernels.resize_gradient(at.buffer(self.inputs[0]), at.buffer(self.output), self.rows, self.cols)


def nearest(size: int, out: int) -> Taps:
    """The pixel in which the centre of an output pixel lies: floor((i + 1/2) size / out), in whole numbers."""
    index = (2 * np.arange(out, dtype=np.int64) + 1) * size // (2 * out)
    return index[:, None], np.ones((out, 1))


def _kernel(size: int, out: int, reach: int, weight_of) -> Taps:
    """Weights by distance from the centre of the output pixel, none outside the image; they sum to 1."""
    centre = (np.arange(out) + 0.5) * (size / out) - 0.5
    index = np.floor(centre).astype(np.int64)[:, None] + np.arange(1 - reach, 1 + reach)
    weight = np.where((index >= 0) & (index < size), weight_of(abs(centre[:, None] - index)), 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    order = np.argsort(-abs(weight), axis=1, kind="stable")  # the kernel always reads the first
    index, weight = np.take_along_axis(index, order, 1), np.take_along_axis(weight, order, 1)
    return np.where(weight != 0, index, index[:, :1]), weight


def bilinear(size: int, out: int) -> Taps:
    """Weights 1 - distance, pixel centres at halves."""
    return _kernel(size, out, 1, lambda d: np.maximum(1 - d, 0))


def bicubic(size: int, out: int) -> Taps:
    """Keys' cubic kernel with a = -1/2 (IEEE Trans. ASSP 29, 1981), pixel centres at halves."""
    return _kernel(
        size, out, 2,
        lambda d: np.where(d <= 1, (1.5 * d - 2.5) * d * d + 1, np.where(d < 2, ((2.5 - 0.5 * d) * d - 4) * d + 2, 0)),
    )  # fmt: skip


INTERPOLATIONS = {"nearest": nearest, "bilinear": bilinear, "bicubic": bicubic}


def resize(x: Tensor, size: Sequence[int], interpolation: str = "bilinear") -> Tensor:
    """x (batch, height, width, c) as (batch, *size, c), without anti-aliasing, as keras.ops.image.resize does it.

    Args:
        size: (height, width).
        interpolation: "nearest", "bilinear" or "bicubic".

    Raises:
        ValueError: x is not a batch of images, a size below 1, or another interpolation.
    """
    if x.ndim != 4:
        raise ValueError(f"resize: expected images (batch, height, width, channels). Received: {x.shape}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"resize: expected a size (height, width) of positive whole numbers. Received: {tuple(size)}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"resize: expected one of {tuple(INTERPOLATIONS)}. Received: interpolation={interpolation!r}")
    taps_of = INTERPOLATIONS[interpolation]
    return Resize(x, taps_of(x.shape[1], int(size[0])), taps_of(x.shape[2], int(size[1]))).output


def middle(x: Tensor, size: Pair) -> Tensor:
    """The part of `size` (height, width) around the centre of images that are at least as large."""
    top, left = (x.shape[1] - size[0]) // 2, (x.shape[2] - size[1]) // 2
    return x[:, top : top + size[0], left : left + size[1]]


def crop_to_aspect(x: Tensor, size: Pair) -> Tensor:
    """The largest part around the centre of images that has the proportions of `size` (height, width)."""
    ih, iw = x.shape[1:3]
    return middle(x, (max(min(ih, iw * size[0] // size[1]), 1), max(min(iw, ih * size[1] // size[0]), 1)))


def center_crop(x: Tensor, size: Pair) -> Tensor:
    """The middle `size` (height, width) of images; where they are smaller on a side, `crop_to_aspect` of that size,
    resized bilinearly."""
    if x.shape[1] >= size[0] and x.shape[2] >= size[1]:
        return middle(x, size)
    return resize(crop_to_aspect(x, size), size)
