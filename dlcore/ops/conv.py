"""2-D convolution in NHWC with HWIO weights."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv as kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import CHUNKS, Op, Tensor
from dlcore.ops.dense import pack
from dlcore.ops.elementwise import bias_gradient, reduce_chunks

Pair = tuple[int, int]


def output_size(size: int, kernel: int, stride: int, padding: Pair = (0, 0), dilation: int = 1) -> int:
    """Positions of a window along one axis."""
    return int(kernels.output_size(size, kernel, stride, *padding, dilation))


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Padding before and after for ceil(size / stride) positions; the odd pixel goes after, as in Keras."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


class _Geometry(Op):
    """What forward and both gradients share."""

    def __init__(self, inputs, output, kernel, geometry):
        self.kernel, self.geometry = kernel, geometry
        super().__init__(inputs, output)


class Conv2D(_Geometry):
    def __init__(self, x: Tensor, w: Tensor, strides: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int):
        kh, kw, _, oc = w.shape
        _, ih, iw, _ = x.shape
        oh = output_size(ih, kh, strides[0], padding[0], dilation[0])
        ow = output_size(iw, kw, strides[1], padding[1], dilation[1])
        kernels.check("conv2d", (0, *x.shape[1:]), w.shape, (0, oh, ow, oc), strides, padding, dilation, groups)
        self.w, self.activation = w, "linear"
        geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
        super().__init__([x, pack(w, groups=groups)], (x.shape[0], oh, ow, oc), (kh, kw), geometry)

    def gradient(self, grads, wanted):
        x = self.inputs[0]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2DInputGradient(dz, self.w, x.shape, self.kernel, self.geometry).output if wanted[0] else None
        dw = None
        if wanted[1]:
            dw = reduce_chunks(Conv2DWeightGradient(x, dz, self.w.shape, self.kernel, self.geometry).output)
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, packed, *bias = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.conv2d_forward(
            x,
            packed,
            bias[0] if bias else None,
            at.buffer(self.output),
            self.kernel,
            **self.geometry,
            activation=activation_kernels.KINDS[self.activation],
        )


class Conv2DInputGradient(_Geometry):
    def __init__(self, dy: Tensor, w: Tensor, x_shape: tuple[Any, ...], kernel: Pair, geometry: dict[str, Any]):
        super().__init__([dy, pack(w, transpose=True, groups=geometry["groups"])], x_shape, kernel, geometry)

    def bind(self, at):
        dy, packed = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.conv2d_input_gradient(dy, packed, at.buffer(self.output), self.kernel, **self.geometry)


class Conv2DWeightGradient(_Geometry):
    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], kernel: Pair, geometry: dict[str, Any]):
        super().__init__([x, dy], (CHUNKS, *w_shape), kernel, geometry)

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.conv2d_weight_gradient(x, dy, at.buffer(self.output), at.grain, **self.geometry)


def conv2d(
    x: Tensor,
    w: Tensor,
    strides: Pair = (1, 1),
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolution of x (batch, ih, iw, ic) with w (kh, kw, ic / groups, oc); see `kernels.conv.conv2d_forward`.

    Raises:
        ValueError: the shapes do not fit together, or the output would be empty.
    """
    return Conv2D(x, w, strides, padding, dilation, groups).output
