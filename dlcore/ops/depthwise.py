"""Depthwise convolution in NHWC: a kernel of its own for every channel."""

from __future__ import annotations

from math import prod
from typing import Any

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv, depthwise
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import CHUNKS, Op, Tensor, split_evenly
from dlcore.ops.elementwise import bias_gradient, reduce_chunks
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import UNPADDED, Padding, Pair, image_kernel, output_size

TASK_ROWS = 3  # of a task at least, when a sample is split: it reads others above and below
TASK_COST = 8  # times as long as that of a matrix product a multiply-add takes


class DepthwiseConv2D(Op):
    def __init__(self, x: Tensor, w: Tensor, strides: Pair, padding: Padding, dilation: Pair):
        kh, kw, *last = image_kernel(w)
        _, ih, iw, c = x.shape
        oh = output_size(ih, kh, strides[0], padding[0], dilation[0])
        ow = output_size(iw, kw, strides[1], padding[1], dilation[1])
        # weights of a convolution in c groups are (kh, kw, 1, c*m), which lie like (kh, kw, c, m)
        groups, oc = last[0] if last[0] > 1 else c, last[0] * last[1]
        shapes = (0, ih, iw, c), (kh, kw, 1, oc), (0, oh, ow, oc)
        conv.check("depthwise_conv2d", *shapes, strides, padding, dilation, groups)
        self.kernel, self.activation = (kh, kw), "linear"
        self.geometry: dict[str, Any] = {"strides": strides, "padding": padding, "dilation": dilation}
        self.multiplier = oc // c
        super().__init__([x, w], (x.shape[0], oh, ow, oc))

    def splits(self, batch):
        if self.multiplier > 1:
            return 1
        work = TASK_COST * prod(self.output.shape[1:]) * prod(self.kernel)
        return split_evenly(batch, work, self.output.shape[1] // TASK_ROWS)

    def gradient(self, grads, wanted):
        x, w, *bias = self.inputs
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = DepthwiseInputGradient(dz, w, x.shape, self.kernel, self.geometry).output if wanted[0] else None
        dw = None
        if wanted[1]:
            parts = DepthwiseWeightGradient(x, dz, self.kernel, self.geometry).output
            dw = reduce_chunks(Reshape(parts, (CHUNKS, *w.shape)).output)
        return [dx, dw] + [bias_gradient(dz)] * len(bias)

    def bind(self, at):
        x, w, *bias = (at.buffer(tensor) for tensor in self.inputs)
        return depthwise.depthwise_forward(
            x,
            w,
            bias[0] if bias else None,
            at.buffer(self.output),
            self.kernel,
            **self.geometry,
            activation=activation_kernels.KINDS[self.activation],
            splits=at.splits,
        )


class DepthwiseInputGradient(Op):
    cheap = True  # where a stride makes dx larger than dy

    def __init__(self, dy: Tensor, w: Tensor, x_shape: tuple[Any, ...], kernel: Pair, geometry: dict[str, Any]):
        self.kernel, self.geometry = kernel, geometry
        super().__init__([dy, w], x_shape)

    def bind(self, at):
        dy, w = (at.buffer(tensor) for tensor in self.inputs)
        return depthwise.depthwise_input_gradient(dy, w, at.buffer(self.output), self.kernel, **self.geometry)


class DepthwiseWeightGradient(Op):
    """Outputs partial sums (chunks, kh, kw, c, m)."""

    def __init__(self, x: Tensor, dy: Tensor, kernel: Pair, geometry: dict[str, Any]):
        self.geometry = geometry
        c = x.shape[-1]
        super().__init__([x, dy], (CHUNKS, *kernel, c, dy.shape[-1] // c))

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return depthwise.depthwise_weight_gradient(x, dy, at.buffer(self.output), at.grain, **self.geometry)


def depthwise_conv2d(
    x: Tensor, w: Tensor, strides: Pair = (1, 1), padding: Padding = UNPADDED, dilation: Pair = (1, 1)
) -> Tensor:
    """Convolution of x (batch, ih, iw, c) channel by channel with w (kh, kw, c, m), giving c * m channels; see
    `kernels.depthwise.depthwise_forward`. w may also be (kw, c, m), for a kernel of height 1.

    Raises:
        ValueError: the shapes do not fit together, or the output would be empty.
    """
    return DepthwiseConv2D(x, w, strides, padding, dilation).output
