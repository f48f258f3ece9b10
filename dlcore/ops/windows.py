"""Shapes of sliding windows: what convolution and pooling share."""

from __future__ import annotations

from dlcore.kernels import conv as kernels
from dlcore.ops.base import Tensor

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
UNPADDED: Padding = ((0, 0), (0, 0))


def output_size(size: int, kernel: int, stride: int, padding: Pair = (0, 0), dilation: int = 1) -> int:
    """Positions of a window along one axis."""
    return int(kernels.output_size(size, kernel, stride, *padding, dilation))


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Padding before and after for ceil(size / stride) positions; the odd pixel goes after, as in Keras."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def transposed_size(
    size: int, kernel: int, stride: int, same: bool, extra: int | None = None, dilation: int = 1
) -> tuple[int, Pair]:
    """One axis of a transposed convolution: (its output positions, the padding of the convolution that it transposes).

    With `extra` (Keras' output_padding) None, there are size * stride positions if `same`, else as many as all windows
    touch, but at least size * stride. A convolution of them, with this stride and padding, has `size` positions.
    """
    span = (kernel - 1) * dilation + 1
    touched = (size - 1) * stride + span
    if extra is None:
        out = size * stride if same else max(touched, size * stride)
    else:
        out = (size - 1) * stride + span % 2 + extra if same else touched + extra
    total = max(touched - out, 0) if same else 0
    return out, (total // 2, total - total // 2)


def image_kernel(w: Tensor) -> tuple[int, int, int, int]:
    """The shape of weights (kh, kw, ., .); without kh or kw, these are 1: it lies in memory alike."""
    kh, kw, m, n = (1,) * (4 - w.ndim) + w.shape
    return kh, kw, m, n
