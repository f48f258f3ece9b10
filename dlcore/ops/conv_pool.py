"""Convolution, bias, ReLU and max pooling as one op: what `graph.fuse` makes of a Conv2D and the MaxPool2D that reads
it."""

from __future__ import annotations

from dlcore.kernels import conv_pool as kernels
from dlcore.ops.base import CHUNKS, Op, Tensor, split_evenly
from dlcore.ops.conv import Conv2D, Conv2DInputGradient
from dlcore.ops.elementwise import reduce_chunks
from dlcore.ops.pooling import MaxPool2D, MaxPool2DGradient
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import image_kernel


def fits(conv: Conv2D, pool: MaxPool2D) -> bool:
    """Whether the two can be one op: windows of up to nine pixels that neither overlap nor are padded."""
    window, strides, padding = pool.window
    return (
        conv.activation in ("linear", "relu")
        and conv.geometry["groups"] == 1
        and window == strides
        and padding == ((0, 0), (0, 0))
        and window[0] * window[1] <= 9
    )


class ConvPool2D(Op):
    """Outputs the pooled maxima and the winners' positions."""

    def __init__(self, conv: Conv2D, pool: MaxPool2D):
        self.w, self.kernel, self.pool = conv.w, conv.kernel, pool.window[0]
        self.relu = conv.activation == "relu"
        self.conv_shape, self.conv_geometry = conv.output.shape, conv.geometry
        self.geometry = {key: conv.geometry[key] for key in ("strides", "padding", "dilation")}
        super().__init__(conv.inputs, *((tensor.shape, tensor.dtype) for tensor in pool.outputs))

    def splits(self, batch):
        _, rows, cols, n = self.output.shape
        work = rows * cols * n * self.inputs[1].shape[2] * self.pool[0] * self.pool[1]
        return split_evenly(batch, work, rows)

    def gradient(self, grads, wanted):
        x, (dy, index) = self.inputs[0], (grads[0], self.outputs[1])
        dx = None
        if wanted[0]:
            dz = MaxPool2DGradient(dy, index, self.conv_shape, (self.pool, self.pool, ((0, 0), (0, 0)))).output
            dx = Conv2DInputGradient(dz, self.w, x.shape, self.kernel, self.conv_geometry).output
        dw, db = ConvPool2DWeightGradient(x, dy, index, image_kernel(self.w), self.pool, self.geometry).outputs
        parts = (dw if self.w.ndim == 4 else Reshape(dw, (CHUNKS, *self.w.shape)).output, db)
        found = [reduce_chunks(part) if wish else None for part, wish in zip(parts, wanted[1:], strict=False)]
        return [dx, *found]

    def bind(self, at):
        x, packed, *bias = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.conv_pool2d_forward(
            x,
            packed,
            bias[0] if bias else None,
            at.buffer(self.output),
            at.optional(self.outputs[1]),
            self.kernel,
            self.pool,
            **self.geometry,
            relu=self.relu,
            splits=at.splits,
        )


class ConvPool2DWeightGradient(Op):
    """Outputs partial sums of the gradients of kernel and bias."""

    def __init__(self, x: Tensor, dy: Tensor, index: Tensor, w_shape: tuple[int, ...], pool: tuple[int, int], geometry):
        self.geometry, self.pool = geometry, pool
        super().__init__([x, dy, index], (CHUNKS, *w_shape), (CHUNKS, w_shape[-1]))

    def bind(self, at):
        x, dy, index = (at.buffer(tensor) for tensor in self.inputs)
        dw, db = (at.buffer(tensor) for tensor in self.outputs)
        return kernels.conv_pool2d_weight_gradient(x, dy, index, dw, db, at.grain, **self.geometry, pool=self.pool)
