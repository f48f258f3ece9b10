"""Convolution with pixels in the lanes, activation and average pooling as one op: what `graph.fuse` makes of a
LanesConv2D and the AveragePool2D that reads it."""

from __future__ import annotations

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import lanes_pool as kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import CHUNKS, Op, Tensor, split_evenly
from dlcore.ops.conv import Conv2DInputGradient
from dlcore.ops.conv_narrow import LanesConv2D
from dlcore.ops.elementwise import reduce_chunks
from dlcore.ops.pooling import AveragePool2D, AveragePool2DGradient
from dlcore.ops.shape import Copy


def averages(pool: AveragePool2D) -> bool:
    """Whether its windows have 2x2 pixels, side by side, without padding."""
    return pool.window == ((2, 2), (2, 2), ((0, 0), (0, 0)))


class LanesPool2D(Op):
    """Outputs the means, and the convolution's output as planes, for the gradient."""

    def __init__(self, conv: LanesConv2D, pool: AveragePool2D):
        self.w, self.activation, self.window, self.conv_shape = conv.w, conv.activation, pool.window, conv.output.shape
        self.conv_geometry, self.work = conv.geometry, conv.work
        self.geometry = {name: conv.geometry[name] for name in ("strides", "padding", "dilation")}
        batch, rows, cols, oc = pool.output.shape
        super().__init__(conv.inputs, pool.output.shape, (batch, oc, 2 * rows, kernels.row_floats(cols)))

    def splits(self, batch):
        return split_evenly(batch, self.work, self.output.shape[1])

    def gradient(self, grads, wanted):
        x, w, *_ = self.inputs
        dy, planes = grads[0], self.outputs[1]
        dw, db = LanesPool2DWeightGradient(x, dy, planes, w.shape, self.geometry, self.activation).outputs
        found = [reduce_chunks(part) if wish else None for part, wish in zip((dw, db), wanted[1:], strict=False)]
        return [self._input_gradient(x, dy, planes) if wanted[0] else None, *found]

    def _input_gradient(self, x: Tensor, dy: Tensor, planes: Tensor) -> Tensor:
        _, _, ow, oc = self.conv_shape
        rows, row = planes.shape[2:]
        dims = [(rows, row, ow * oc), (min(ow, row), 1, oc), (oc, rows * row, 1)]
        y = Copy(planes, self.conv_shape, dims).output  # what fills no window has no gradient
        dz = activation_gradient(AveragePool2DGradient(dy, y.shape, self.window).output, y, self.activation)
        return Conv2DInputGradient(dz, self.w, x.shape, self.conv_geometry).output

    def bind(self, at):
        x, w, *bias = (at.buffer(tensor) for tensor in self.inputs)
        y, planes = at.buffer(self.output), at.optional(self.outputs[1])
        activation = activation_kernels.KINDS[self.activation]
        b = bias[0] if bias else None
        return kernels.conv2d_forward(x, w, b, y, planes, **self.geometry, activation=activation, splits=at.splits)


class LanesPool2DWeightGradient(Op):
    """Outputs partial sums of the gradients of kernel and bias."""

    def __init__(self, x: Tensor, dy: Tensor, planes: Tensor, w_shape: tuple[int, ...], geometry, activation: str):
        self.geometry, self.activation = geometry, activation
        super().__init__([x, dy, planes], (CHUNKS, *w_shape), (CHUNKS, w_shape[-1]))

    def bind(self, at):
        x, dy, planes, dw, db = (at.buffer(tensor) for tensor in (*self.inputs, *self.outputs))
        activation = activation_kernels.KINDS[self.activation]
        return kernels.conv2d_weight_gradient(x, dy, planes, dw, db, at.grain, **self.geometry, activation=activation)
