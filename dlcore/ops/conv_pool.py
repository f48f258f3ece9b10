"""Convolution, bias, ReLU and max pooling as one op: what `graph.fuse` makes of a Conv2D and the MaxPool2D that reads
it."""

from __future__ import annotations

from dlcore.kernels import conv_pool as kernels
from dlcore.kernels import winograd_conv as winograd
from dlcore.ops.base import CHUNKS, Op, Tensor, split_evenly
from dlcore.ops.conv import Conv2D, Conv2DInputGradient, split_tiles
from dlcore.ops.conv_algorithm import TILES, WEIGHT_GRADIENT, algorithm
from dlcore.ops.conv_weight_gradient import weight_gradient
from dlcore.ops.elementwise import bias_gradient, reduce_chunks
from dlcore.ops.pooling import MaxPool2D, MaxPool2DGradient
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import image_kernel


def fits(conv: Conv2D, pool: MaxPool2D) -> bool:
    """Whether the two can be one op: windows of up to nine pixels that neither overlap nor are padded, of 2x2 pixels in
    Winograd's domain."""
    window, strides, padding = pool.window
    return (
        conv.activation in ("linear", "relu")
        and not conv.adds
        and conv.geometry["groups"] == 1
        and window == strides
        and padding == ((0, 0), (0, 0))
        and (window == (2, 2) if conv.algorithm in TILES else window[0] * window[1] <= 9)
    )


class ConvPool2D(Op):
    """Outputs the pooled maxima and the winners' positions."""

    def __init__(self, conv: Conv2D, pool: MaxPool2D):
        self.w, self.kernel, self.pool = conv.w, conv.kernel, pool.window[0]
        self.relu, self.algorithm, self.work = conv.activation == "relu", conv.algorithm, conv.work
        self.conv_shape, self.conv_geometry = conv.output.shape, conv.geometry
        self.geometry = {key: conv.geometry[key] for key in ("strides", "padding", "dilation")}
        super().__init__(conv.inputs, *((tensor.shape, tensor.dtype) for tensor in pool.outputs))

    def splits(self, batch):
        rows = self.output.shape[1]
        if self.algorithm in TILES:
            return split_tiles(batch, self.work, TILES[self.algorithm], self.conv_shape, self.inputs[1].shape[0])
        return split_evenly(batch, self.work, rows)

    def gradient(self, grads, wanted):
        x, (dy, index) = self.inputs[0], (grads[0], self.outputs[1])
        dz = MaxPool2DGradient(dy, index, self.conv_shape, (self.pool, self.pool, ((0, 0), (0, 0)))).output
        dx = None
        if wanted[0]:
            dx = Conv2DInputGradient(dz, self.w, x.shape, self.conv_geometry).output
        shape = image_kernel(self.w)
        if algorithm(WEIGHT_GRADIENT, x.shape, shape, self.conv_shape, self.conv_geometry) != "direct":
            dw = weight_gradient(x, dz, self.w, self.conv_geometry) if wanted[1] else None
            return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)
        dw, db = ConvPool2DWeightGradient(x, dy, index, shape, self.pool, self.geometry).outputs
        parts = (dw if self.w.ndim == 4 else Reshape(dw, (CHUNKS, *self.w.shape)).output, db)
        found = [reduce_chunks(part) if wish else None for part, wish in zip(parts, wanted[1:], strict=False)]
        return [dx, *found]

    def bind(self, at):
        x, weights, *bias = (at.buffer(tensor) for tensor in self.inputs)
        operands = x, weights, bias[0] if bias else None, at.buffer(self.output), at.optional(self.outputs[1])
        if self.algorithm in TILES:
            return winograd.conv_pool2d_forward(*operands, self.geometry["padding"], self.relu, at.splits)
        more = {**self.geometry, "relu": self.relu, "splits": at.splits}
        return kernels.conv_pool2d_forward(*operands, self.kernel, self.pool, **more)


class ConvPool2DWeightGradient(Op):
    """Outputs partial sums of the gradients of kernel and bias."""

    def __init__(self, x: Tensor, dy: Tensor, index: Tensor, w_shape: tuple[int, ...], pool: tuple[int, int], geometry):
        self.geometry, self.pool = geometry, pool
        super().__init__([x, dy, index], (CHUNKS, *w_shape), (CHUNKS, w_shape[-1]))

    def bind(self, at):
        x, dy, index = (at.buffer(tensor) for tensor in self.inputs)
        dw, db = (at.buffer(tensor) for tensor in self.outputs)
        return kernels.conv_pool2d_weight_gradient(x, dy, index, dw, db, at.grain, **self.geometry, pool=self.pool)
