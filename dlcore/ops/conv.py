"""2-D convolution in NHWC with HWIO weights, and its transpose."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv as kernels
from dlcore.kernels import conv_narrow as narrow_kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import CHUNKS, Op, Tensor
from dlcore.ops.dense import pack
from dlcore.ops.depthwise import DepthwiseConv2D
from dlcore.ops.elementwise import bias_gradient, reduce_chunks
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import UNPADDED, Padding, Pair, image_kernel, output_size


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


class _Transposed(_Geometry):
    """The input gradient of a convolution, or what is one: dx (`x_shape`) from dy. Of the two kernels for it, which
    read the weights in different forms, it takes the one with fewer multiply-adds of a vector."""

    def __init__(self, dy: Tensor, w: Tensor, x_shape: tuple[Any, ...], kernel: Pair, geometry: dict[str, Any]):
        joined = geometry["groups"] == 1 and _overlapping_pays(x_shape, dy.shape, kernel, geometry["strides"])
        self.kernels = narrow_kernels if joined else kernels
        packed = pack(w, transpose=True, groups=geometry["groups"], joined=joined)
        super().__init__([dy, packed], x_shape, kernel, geometry)


def _overlapping_pays(x_shape: tuple[Any, ...], dy_shape: tuple[Any, ...], kernel: Pair, strides: Pair) -> bool:
    """Whether sums for the pixels under each window, which overlap, take less than sums for each pixel of dx."""
    (_, ih, iw, ic), (_, oh, ow, oc), (kh, kw) = x_shape, dy_shape, kernel
    plain = ih * iw * kh * kw / (strides[0] * strides[1]) * oc * narrow_kernels.vectors(ic)
    return oh * ow * kh * (oc + 1) * narrow_kernels.vectors(kw * ic) < 0.8 * plain


class Conv2DInputGradient(_Transposed):
    def bind(self, at):
        dy, packed = (at.buffer(tensor) for tensor in self.inputs)
        return self.kernels.conv2d_input_gradient(dy, packed, at.buffer(self.output), self.kernel, **self.geometry)


class Conv2DWeightGradient(_Geometry):
    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], kernel: Pair, geometry: dict[str, Any]):
        super().__init__([x, dy], (CHUNKS, *w_shape), kernel, geometry)

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.conv2d_weight_gradient(x, dy, at.buffer(self.output), at.grain, **self.geometry)


def _weight_gradient(x: Tensor, dy: Tensor, w: Tensor, geometry: dict[str, Any]) -> Tensor:
    shape = image_kernel(w)
    parts = Conv2DWeightGradient(x, dy, shape, shape[:2], geometry).output
    return reduce_chunks(parts if w.ndim == 4 else Reshape(parts, (CHUNKS, *w.shape)).output)


class Conv2DTranspose(_Transposed):
    """The input gradient of a convolution, as a layer of its own: its input is that convolution's dy, its output dx."""

    def __init__(self, x: Tensor, w: Tensor, size: Pair, strides: Pair, padding: Padding, dilation: Pair):
        kh, kw, oc, ic = image_kernel(w)
        shape = (x.shape[0], *size, oc)
        shapes = (0, *size, oc), (kh, kw, oc, ic), (0, *x.shape[1:])
        kernels.check("conv2d_transpose", *shapes, strides, padding, dilation, 1)
        self.w, self.activation = w, "linear"
        geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": 1}
        super().__init__(x, w, shape, (kh, kw), geometry)

    def gradient(self, grads, wanted):
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2D(dz, self.w, **self.geometry).output if wanted[0] else None
        dw = _weight_gradient(dz, self.inputs[0], self.w, self.geometry) if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, packed, *bias = (at.buffer(tensor) for tensor in self.inputs)
        return self.kernels.conv2d_input_gradient(
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
