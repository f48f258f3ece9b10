"""The weight gradients of 3x3 convolution in Winograd's domain."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import winograd_weight_gradient as kernels
from dlcore.ops.base import BATCH_WIDE, CHUNKS, Op, Tensor


class WinogradWeightGradient(Op):
    """Partial sums, one for each slab."""

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]):
        self.padding = geometry["padding"]
        super().__init__([x, dy], (CHUNKS, *w_shape))

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.conv2d_weight_gradient(x, dy, dw, at.grain, self.padding)


class WinogradBatchWeightGradient(Op):
    """The sum over the batch, block of weights by block of weights."""

    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]):
        self.padding = geometry["padding"]
        super().__init__([x, dy], w_shape)

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.conv2d_batch_weight_gradient(x, dy, dw, self.padding)

    def grain(self, tasks):
        return 1
