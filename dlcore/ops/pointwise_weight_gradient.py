"""The weight gradient of convolution with a kernel of one pixel that leaves none out, a product of matrices."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import pointwise_weight_gradient as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor

LEAST_ROWS, MOST_ROWS = 64, 128  # of dw in a task: it reads all of dy


def is_pointwise(x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]) -> bool:
    """Whether a convolution of x, whose output is like dy, has a kernel of one pixel and leaves no pixel out."""
    one = w_shape[:2] == geometry["strides"] == (1, 1) and geometry["groups"] == 1
    return one and x.shape[1:3] == dy.shape[1:3]  # a stride may bring padding back to the size of x


class PointwiseWeightGradient(Op):
    """The sum over the batch, rows of weights by rows of weights."""

    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...]):
        ic, oc = w_shape[2:]
        self.rows = max(LEAST_ROWS, min(MOST_ROWS, ic // 4))
        self.block = self.rows * oc
        super().__init__([x, dy], w_shape)

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return kernels.conv2d_weight_gradient(x, dy, dw, self.rows)

    def grain(self, tasks):
        return 1
