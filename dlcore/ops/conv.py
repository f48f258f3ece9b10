"""2-D convolution in NHWC with HWIO weights, and its transpose. `algorithm` says which kernels do it.

Environment:
    DLCORE_CONV=auto|direct|winograd|winograd4     auto (default) lets the shape decide; the others take that algorithm
        wherever it can do the convolution: winograd is F(2x2, 3x3), winograd4 F(4x4, 3x3) where there is one
"""

from __future__ import annotations

import os
from typing import Any

from dlcore import config
from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv as kernels
from dlcore.kernels import winograd_conv as winograd
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import CHUNKS, Op, Tensor
from dlcore.ops.dense import pack
from dlcore.ops.depthwise import DepthwiseConv2D
from dlcore.ops.elementwise import bias_gradient, reduce_chunks
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import UNPADDED, Padding, Pair, image_kernel, output_size
from dlcore.ops.winograd_conv import transform_weights

# by what DLCORE_CONV may say: outputs of a Winograd tile, one side; 0 for the direct way
ALGORITHMS = {"auto": None, "direct": 0, "winograd": 2, "winograd4": 4}
FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "input gradient", "weight gradient"

_forced = os.environ.get("DLCORE_CONV", "") or "auto"
if _forced not in ALGORITHMS:
    raise ImportError(f"DLCORE_CONV must be one of {', '.join(ALGORITHMS)}. Received: {_forced!r}")


def algorithm(direction: str, w: Tensor, size: Pair, geometry: dict[str, Any]) -> int:
    """How to convolve in one direction: 0 directly, 2 or 4 by Winograd's tiles of 2x2 or 4x4 outputs (pixels of dy for
    the weight gradient, which has only 2).

    Winograd needs 2.25 times fewer multiplications (4: four times), but transforms each channel of each tile: there
    must be enough channels on the other side to pay for it. 4 also has some ten times the rounding errors, so that
    `config.set_precision("fast")` has to allow it.

    Args:
        direction: FORWARD, INPUT_GRADIENT or WEIGHT_GRADIENT.
        w: the weights.
        size: of the image that is written, or of dy.
        geometry: of the convolution.
    """
    plain = geometry["strides"] == geometry["dilation"] == (1, 1) and geometry["groups"] == 1
    if w.ndim != 4 or w.shape[:2] != (3, 3) or not plain:
        return 0
    forced = ALGORITHMS[_forced]
    if forced is not None:
        return 2 if forced and direction == WEIGHT_GRADIENT else forced
    if min(w.shape[2:]) < 16:
        return 0
    fast = config.get_precision() == "fast" and direction != WEIGHT_GRADIENT
    return 4 if fast and min(size) >= 4 else 2


class _Geometry(Op):
    """What forward and both gradients share.

    Attributes:
        m: outputs of a Winograd tile, one side, or 0; see `algorithm`.
    """

    def __init__(self, inputs, output, kernel, geometry, m=0):
        self.kernel, self.geometry, self.m = kernel, geometry, m
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
        m = algorithm(FORWARD, w, (oh, ow), geometry)
        weights = transform_weights(w, m) if m else pack(w, groups=groups)
        super().__init__([x, weights], (x.shape[0], oh, ow, oc), (kh, kw), geometry, m)

    def gradient(self, grads, wanted):
        x = self.inputs[0]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2DInputGradient(dz, self.w, x.shape, self.kernel, self.geometry).output if wanted[0] else None
        dw = weight_gradient(x, dz, self.w, self.geometry) if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, weights, *bias = (at.buffer(tensor) for tensor in self.inputs)
        operands, kind = (x, weights, bias[0] if bias else None, at.buffer(self.output)), self.activation
        if self.m:
            return winograd.conv2d_forward(*operands, self.geometry["padding"], activation_kernels.KINDS[kind])
        return kernels.conv2d_forward(
            *operands, self.kernel, **self.geometry, activation=activation_kernels.KINDS[kind]
        )


class Conv2DInputGradient(_Geometry):
    def __init__(self, dy: Tensor, w: Tensor, x_shape: tuple[Any, ...], kernel: Pair, geometry: dict[str, Any]):
        m = algorithm(INPUT_GRADIENT, w, x_shape[1:3], geometry)
        weights = transform_weights(w, m, True) if m else pack(w, transpose=True, groups=geometry["groups"])
        super().__init__([dy, weights], x_shape, kernel, geometry, m)

    def bind(self, at):
        dy, packed = (at.buffer(tensor) for tensor in self.inputs)
        if self.m:
            return winograd.conv2d_input_gradient(dy, packed, at.buffer(self.output), self.geometry["padding"])
        return kernels.conv2d_input_gradient(dy, packed, at.buffer(self.output), self.kernel, **self.geometry)


class Conv2DWeightGradient(_Geometry):
    def __init__(self, x: Tensor, dy: Tensor, w: Tensor, geometry: dict[str, Any]):
        shape, m = image_kernel(w), algorithm(WEIGHT_GRADIENT, w, dy.shape[1:3], geometry)
        super().__init__([x, dy], (CHUNKS, *shape), shape[:2], geometry, m)

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        if self.m:
            return winograd.conv2d_weight_gradient(x, dy, at.buffer(self.output), at.grain, self.geometry["padding"])
        return kernels.conv2d_weight_gradient(x, dy, at.buffer(self.output), at.grain, **self.geometry)


def weight_gradient(x: Tensor, dy: Tensor, w: Tensor, geometry: dict[str, Any]) -> Tensor:
    """The gradient of the weights of a convolution of x, from that of its output."""
    parts = Conv2DWeightGradient(x, dy, w, geometry).output
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
        dw = weight_gradient(dz, self.inputs[0], self.w, self.geometry) if wanted[1] else None
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
