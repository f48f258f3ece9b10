"""2-D convolution in NHWC with HWIO weights, and its transpose."""

from __future__ import annotations

from math import prod
from typing import Any

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv as kernels
from dlcore.kernels import conv_weight_gradient as weight_kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, CHUNKS, Op, Tensor
from dlcore.ops.dense import pack
from dlcore.ops.depthwise import DepthwiseConv2D
from dlcore.ops.elementwise import bias_gradient, reduce_chunks
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import UNPADDED, Padding, Pair, image_kernel, output_size

SLAB_SAMPLES = 6  # in a slab of most networks


class _Geometry(Op):
    """What forward and both gradients share."""

    def __init__(self, inputs, output, kernel, geometry):
        self.kernel, self.geometry = kernel, geometry
        super().__init__(inputs, output)


class Conv2D(_Geometry):
    def __init__(self, x: Tensor, w: Tensor, strides: Pair, padding: Padding, dilation: Pair, groups: int):
        kh, kw, icg, oc = image_kernel(w)
        _, ih, iw, _ = x.shape
        oh = output_size(ih, kh, strides[0], padding[0], dilation[0])
        ow = output_size(iw, kw, strides[1], padding[1], dilation[1])
        shapes = (0, *x.shape[1:]), (kh, kw, icg, oc), (0, oh, ow, oc)
        kernels.check("conv2d", *shapes, strides, padding, dilation, groups)
        self.w, self.activation = w, "linear"
        geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
        super().__init__([x, pack(w, groups=groups)], (x.shape[0], oh, ow, oc), (kh, kw), geometry)

    def gradient(self, grads, wanted):
        x = self.inputs[0]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2DInputGradient(dz, self.w, x.shape, self.kernel, self.geometry).output if wanted[0] else None
        dw = _weight_gradient(x, dz, self.w, self.geometry) if wanted[1] else None
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
    """Partial sums, one for each slab."""

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], kernel: Pair, geometry: dict[str, Any]):
        super().__init__([x, dy], (CHUNKS, *w_shape), kernel, geometry)

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return weight_kernels.conv2d_weight_gradient(x, dy, at.buffer(self.output), at.grain, **self.geometry)


class Conv2DBatchWeightGradient(_Geometry):
    """The sum over the batch, rows of weights by rows of weights."""

    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], kernel: Pair, geometry: dict[str, Any]):
        self.block = weight_kernels.weight_rows() * w_shape[3]
        super().__init__([x, dy], w_shape, kernel, geometry)

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return weight_kernels.conv2d_batch_weight_gradient(x, dy, at.buffer(self.output), **self.geometry)

    def grain(self, tasks):
        return max(1, min(weight_kernels.SHARING_ROWS // weight_kernels.weight_rows(), tasks // 8))


def _few_pixels(x: Tensor, dy: Tensor, w_shape: tuple[int, ...]) -> bool:
    """Whether a partial sum of weight gradients is larger than what it is made from, x and dy of a slab: writing it and
    adding it up would then cost more than keeping x and dy until the whole batch is there."""
    return prod(w_shape) > SLAB_SAMPLES * (prod(x.shape[1:]) + prod(dy.shape[1:]))


def _weight_gradient(x: Tensor, dy: Tensor, w: Tensor, geometry: dict[str, Any]) -> Tensor:
    shape = image_kernel(w)
    if _few_pixels(x, dy, shape):
        dw = Conv2DBatchWeightGradient(x, dy, shape, shape[:2], geometry).output
        return dw if w.ndim == 4 else Reshape(dw, w.shape).output
    parts = Conv2DWeightGradient(x, dy, shape, shape[:2], geometry).output
    return reduce_chunks(parts if w.ndim == 4 else Reshape(parts, (CHUNKS, *w.shape)).output)


class Conv2DTranspose(_Geometry):
    """The input gradient of a convolution, as a layer of its own: its input is that convolution's dy, its output dx."""

    def __init__(self, x: Tensor, w: Tensor, size: Pair, strides: Pair, padding: Padding, dilation: Pair):
        kh, kw, oc, ic = image_kernel(w)
        shape = (x.shape[0], *size, oc)
        shapes = (0, *size, oc), (kh, kw, oc, ic), (0, *x.shape[1:])
        kernels.check("conv2d_transpose", *shapes, strides, padding, dilation, 1)
        self.w, self.activation = w, "linear"
        geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": 1}
        super().__init__([x, pack(w, transpose=True)], shape, (kh, kw), geometry)

    def gradient(self, grads, wanted):
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2D(dz, self.w, **self.geometry).output if wanted[0] else None
        dw = _weight_gradient(dz, self.inputs[0], self.w, self.geometry) if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, packed, *bias = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.conv2d_input_gradient(
            x,
            packed,
            at.buffer(self.output),
            self.kernel,
            **self.geometry,
            b=bias[0] if bias else None,
            activation=activation_kernels.KINDS[self.activation],
        )


def conv2d(
    x: Tensor,
    w: Tensor,
    strides: Pair = (1, 1),
    padding: Padding = UNPADDED,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolution of x (batch, ih, iw, ic) with w (kh, kw, ic / groups, oc); see `kernels.conv.conv2d_forward`. w may
    also be (kw, ic / groups, oc), for a kernel of height 1, or (ic / groups, oc), for one pixel.

    Raises:
        ValueError: the shapes do not fit together, or the output would be empty.
    """
    if groups > 1 and x.shape[-1] == groups and w.shape[-2] == 1 and w.shape[-1] % groups == 0:
        return DepthwiseConv2D(x, w, strides, padding, dilation).output
    return Conv2D(x, w, strides, padding, dilation, groups).output


def conv2d_transpose(
    x: Tensor,
    w: Tensor,
    size: Pair,
    strides: Pair = (1, 1),
    padding: Padding = UNPADDED,
    dilation: Pair = (1, 1),
) -> Tensor:
    """The transpose of the convolution that takes images (height, width) = `size` with `oc` channels to the shape of
    x (batch, ih, iw, ic), with w (kh, kw, oc, ic), or (kw, oc, ic) for height 1; see
    `kernels.conv.conv2d_input_gradient`.

    Raises:
        ValueError: that convolution does not give the shape of x.
    """
    return Conv2DTranspose(x, w, size, strides, padding, dilation).output
