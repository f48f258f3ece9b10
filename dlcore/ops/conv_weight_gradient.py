"""The weight gradients of convolution."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import conv_weight_gradient as kernels
from dlcore.ops.base import BATCH_WIDE, CHUNKS, SLAB_SAMPLES, Op, Tensor
from dlcore.ops.conv_algorithm import TILES, WEIGHT_GRADIENT, algorithm, outgrow
from dlcore.ops.elementwise import reduce_chunks
from dlcore.ops.pointwise_weight_gradient import PointwiseWeightGradient, is_pointwise
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import image_kernel
from dlcore.ops.winograd_weight_gradient import WinogradBatchWeightGradient, WinogradWeightGradient


class Conv2DWeightGradient(Op):
    """Partial sums, one for each slab."""

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]):
        self.geometry = geometry
        super().__init__([x, dy], (CHUNKS, *w_shape))

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.conv2d_weight_gradient(x, dy, dw, at.grain, **self.geometry)


class Conv2DBatchWeightGradient(Op):
    """The sum over the batch, rows of weights by rows of weights."""

    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]):
        self.block = kernels.weight_rows() * w_shape[-1]
        self.geometry = geometry
        super().__init__([x, dy], w_shape)

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.conv2d_batch_weight_gradient(x, dy, dw, **self.geometry)

    def grain(self, tasks):
        return max(1, min(kernels.SHARING_ROWS // kernels.weight_rows(), tasks // 8))


def weight_gradient(x: Tensor, dy: Tensor, w: Tensor, geometry: dict[str, Any]) -> Tensor:
    """The gradient of the weights of a convolution of x, from that of its output. It is summed over the whole batch at
    once where partial sums for each slab would be larger than what they are made from, x and dy of the slab; a product
    of matrices, which reads both where they lie, already where those of a sample would be."""
    shape = image_kernel(w)
    winograd = algorithm(WEIGHT_GRADIENT, x.shape, shape, dy.shape, geometry) in TILES
    pointwise = is_pointwise(x, dy, shape, geometry)
    if outgrow(shape, x.shape, dy.shape, samples=1 if pointwise else SLAB_SAMPLES):
        if pointwise:
            dw = PointwiseWeightGradient(x, dy, shape).output
        else:
            dw = (WinogradBatchWeightGradient if winograd else Conv2DBatchWeightGradient)(x, dy, shape, geometry).output
        return dw if w.ndim == 4 else Reshape(dw, w.shape).output
    by_slabs = WinogradWeightGradient if winograd else Conv2DWeightGradient
    parts = by_slabs(x, dy, shape, geometry).output
    return reduce_chunks(parts if w.ndim == 4 else Reshape(parts, (CHUNKS, *w.shape)).output)
