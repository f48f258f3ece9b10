"""2-D convolution in NHWC with HWIO weights, and its transpose.

Environment:
    DLCORE_CONV=auto|direct|winograd|winograd4   the algorithm of all convolutions that it fits; see `algorithm`
"""

from __future__ import annotations

import os
from math import prod
from typing import Any

from dlcore import config
from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv as kernels
from dlcore.kernels import conv_narrow as narrow_kernels
from dlcore.kernels import conv_weight_gradient as weight_kernels
from dlcore.kernels import simd
from dlcore.kernels import winograd_conv as winograd
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, CHUNKS, Op, Tensor, split_evenly
from dlcore.ops.dense import pack
from dlcore.ops.depthwise import DepthwiseConv2D
from dlcore.ops.elementwise import bias_gradient, reduce_chunks
from dlcore.ops.shape import Reshape
from dlcore.ops.windows import UNPADDED, Padding, Pair, image_kernel, output_size
from dlcore.ops.winograd_conv import transform_weights

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "input gradient", "weight gradient"
TILES = {"winograd": 2, "winograd4": 4}  # outputs of a Winograd tile, one side
SLAB_SAMPLES = 6  # in a slab of most networks
TASK_PIXELS = 12  # of a task at least, when a sample is split: rows of the register tile

_forced = os.environ.get("DLCORE_CONV", "") or "auto"
if _forced not in ("auto", "direct", *TILES):
    raise ImportError(f"DLCORE_CONV must be auto, direct, winograd or winograd4. Received: {_forced!r}")


def algorithm(
    direction: str,
    x_shape: tuple[Any, ...],
    w_shape: tuple[int, ...],
    y_shape: tuple[Any, ...],
    geometry: dict[str, Any],
) -> str:
    """How to convolve in one direction, for a convolution of x with w that gives y.

    "winograd" needs 2.25 times fewer multiplications, "winograd4" four times (but not for the weight gradient). Each
    channel of each tile is transformed for it, a vector of channels at a time: a vector of them on either side pays for
    that, with AVX2 and AVX-512.
    "winograd4" also has some ten times the rounding errors: `config.set_precision("fast")` has to allow it.
    "overlap", an input gradient, has sums for the pixels under each window and adds them up where windows overlap: with
    few input channels these fill vectors better than sums for each pixel do.
    "batch", a weight gradient, sums over the whole batch at once. Partial sums for each slab would be larger than what
    they are made from, x and dy of the slab.
    "direct" is none of them: sums over the taps for each pixel, or over the pixels of a slab for each weight.

    Args:
        direction: FORWARD, INPUT_GRADIENT or WEIGHT_GRADIENT.
        w_shape: (kh, kw, ic / groups, oc).
    """
    kh, kw, ic, oc = w_shape
    (sh, sw), groups = geometry["strides"], geometry["groups"]
    if (kh, kw) == (3, 3) and geometry["strides"] == geometry["dilation"] == (1, 1) and groups == 1:
        if _forced in TILES:
            return "winograd" if direction == WEIGHT_GRADIENT else _forced
        size = x_shape[1:3] if direction == INPUT_GRADIENT else y_shape[1:3]
        missed = direction == INPUT_GRADIENT and min(size) < 2  # by most taps, which "direct" never visits
        if _forced == "auto" and min(ic, oc) >= max(8, simd.nr() // 2) and not missed:
            fast = config.get_precision() == "fast" and direction != WEIGHT_GRADIENT and min(size) > 4
            return "winograd4" if fast and _products(4, size) < 0.75 * _products(2, size) else "winograd"
    if direction == INPUT_GRADIENT and groups == 1:  # count multiply-adds of a vector
        windows = prod(y_shape[1:3]) * kh * (oc + 1) * narrow_kernels.vectors(kw * ic)
        pixels = prod(x_shape[1:3]) * kh * kw / (sh * sw) * oc * narrow_kernels.vectors(ic)
        return "overlap" if windows < 0.8 * pixels else "direct"
    if direction == WEIGHT_GRADIENT and prod(w_shape) > SLAB_SAMPLES * (prod(x_shape[1:]) + prod(y_shape[1:])):
        return "batch"
    return "direct"


def _products(m: int, size: tuple[int, ...]) -> int:
    """Multiplications of Winograd from one channel to one channel, with what hangs over of tiles of m x m outputs."""
    return int((m + 2) ** 2 * -(-size[0] // m) * -(-size[1] // m))


class _Geometry(Op):
    """What forward and both gradients share."""

    def __init__(self, inputs, output, kernel, geometry):
        self.kernel, self.geometry = kernel, geometry
        super().__init__(inputs, output)


class _Product(_Geometry):
    """An image by weights that are prepared for it, forward or back. Of the convolution, `x_shape` is what it reads and
    `y_shape` what it gives, whichever of them is an input here."""

    def __init__(self, direction, image: Tensor, w: Tensor, x_shape, y_shape, geometry):
        shape, back = image_kernel(w), direction == INPUT_GRADIENT
        self.w, self.activation = w, "linear"
        self.algorithm = algorithm(direction, x_shape, shape, y_shape, geometry)
        if self.algorithm in TILES:
            weights = transform_weights(w, TILES[self.algorithm], back)
        else:
            weights = pack(w, back, geometry["groups"], self.algorithm == "overlap")
        self.work = prod(y_shape[1:]) * prod(shape[:3])
        super().__init__([image, weights], x_shape if back else y_shape, shape[:2], geometry)

    def splits(self, batch):
        if self.algorithm == "overlap":
            return 1
        pixels = prod(self.output.shape[1:3])
        if self.algorithm in TILES:
            m = TILES[self.algorithm]
            return split_evenly(batch, self.work, min(self.output.shape[1] // m, pixels // (m * m * TASK_PIXELS)))
        panels = self.inputs[1].shape[1]
        return split_evenly(batch, self.work, max(1, pixels // TASK_PIXELS) * panels)

    def operands(self, at):
        """Image, weights, bias or None, output, and the kernels' other arguments."""
        image, weights, *bias = (at.buffer(tensor) for tensor in self.inputs)
        return (
            image,
            weights,
            bias[0] if bias else None,
            at.buffer(self.output),
            activation_kernels.KINDS[self.activation],
        )


class Conv2D(_Product):
    def __init__(self, x: Tensor, w: Tensor, strides: Pair, padding: Padding, dilation: Pair, groups: int):
        kh, kw, icg, oc = image_kernel(w)
        _, ih, iw, _ = x.shape
        oh = output_size(ih, kh, strides[0], padding[0], dilation[0])
        ow = output_size(iw, kw, strides[1], padding[1], dilation[1])
        shapes = (0, *x.shape[1:]), (kh, kw, icg, oc), (0, oh, ow, oc)
        kernels.check("conv2d", *shapes, strides, padding, dilation, groups)
        geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
        super().__init__(FORWARD, x, w, x.shape, (x.shape[0], oh, ow, oc), geometry)

    def gradient(self, grads, wanted):
        x = self.inputs[0]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2DInputGradient(dz, self.w, x.shape, self.geometry).output if wanted[0] else None
        dw = weight_gradient(x, dz, self.w, self.geometry) if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, weights, b, y, activation = self.operands(at)
        if self.algorithm in TILES:
            return winograd.conv2d_forward(x, weights, b, y, self.geometry["padding"], activation, at.splits)
        more = {**self.geometry, "activation": activation, "splits": at.splits}
        return kernels.conv2d_forward(x, weights, b, y, self.kernel, **more)


class Conv2DInputGradient(_Product):
    """dx (`x_shape`) from dy."""

    def __init__(self, dy: Tensor, w: Tensor, x_shape: tuple[Any, ...], geometry: dict[str, Any]):
        super().__init__(INPUT_GRADIENT, dy, w, x_shape, dy.shape, geometry)

    def bind(self, at):
        dy, weights, b, dx, activation = self.operands(at)
        if self.algorithm in TILES:
            return winograd.conv2d_input_gradient(dy, weights, dx, self.geometry["padding"], b, activation, at.splits)
        more = {**self.geometry, "b": b, "activation": activation}
        if self.algorithm == "overlap":
            return narrow_kernels.conv2d_input_gradient(dy, weights, dx, self.kernel, **more)
        return kernels.conv2d_input_gradient(dy, weights, dx, self.kernel, **more, splits=at.splits)


class Conv2DTranspose(Conv2DInputGradient):
    """The input gradient of a convolution, as a layer of its own: its input is that convolution's dy, its output dx."""

    def __init__(self, x: Tensor, w: Tensor, size: Pair, strides: Pair, padding: Padding, dilation: Pair):
        kh, kw, oc, ic = image_kernel(w)
        shapes = (0, *size, oc), (kh, kw, oc, ic), (0, *x.shape[1:])
        kernels.check("conv2d_transpose", *shapes, strides, padding, dilation, 1)
        geometry = {"strides": strides, "padding": padding, "dilation": dilation, "groups": 1}
        super().__init__(x, w, (x.shape[0], *size, oc), geometry)

    def gradient(self, grads, wanted):
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Conv2D(dz, self.w, **self.geometry).output if wanted[0] else None
        dw = weight_gradient(dz, self.inputs[0], self.w, self.geometry) if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)


class Conv2DWeightGradient(_Geometry):
    """Partial sums, one for each slab."""

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]):
        self.algorithm = algorithm(WEIGHT_GRADIENT, x.shape, w_shape, dy.shape, geometry)
        super().__init__([x, dy], (CHUNKS, *w_shape), w_shape[:2], geometry)

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        if self.algorithm in TILES:
            return winograd.conv2d_weight_gradient(x, dy, dw, at.grain, self.geometry["padding"])
        return weight_kernels.conv2d_weight_gradient(x, dy, dw, at.grain, **self.geometry)


class Conv2DBatchWeightGradient(_Geometry):
    """The sum over the batch, rows of weights by rows of weights."""

    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor, w_shape: tuple[int, ...], geometry: dict[str, Any]):
        self.block = weight_kernels.weight_rows() * w_shape[3]
        super().__init__([x, dy], w_shape, w_shape[:2], geometry)

    def bind(self, at):
        x, dy, dw = (at.buffer(tensor) for tensor in (*self.inputs, self.output))
        return weight_kernels.conv2d_batch_weight_gradient(x, dy, dw, **self.geometry)

    def grain(self, tasks):
        return max(1, min(weight_kernels.STRIPS, tasks // 16))


def weight_gradient(x: Tensor, dy: Tensor, w: Tensor, geometry: dict[str, Any]) -> Tensor:
    """The gradient of the weights of a convolution of x, from that of its output."""
    shape = image_kernel(w)
    if algorithm(WEIGHT_GRADIENT, x.shape, shape, dy.shape, geometry) == "batch":
        dw = Conv2DBatchWeightGradient(x, dy, shape, geometry).output
        return dw if w.ndim == 4 else Reshape(dw, w.shape).output
    parts = Conv2DWeightGradient(x, dy, shape, geometry).output
    return reduce_chunks(parts if w.ndim == 4 else Reshape(parts, (CHUNKS, *w.shape)).output)


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
