"""2-D convolution in NHWC with HWIO weights, and its transpose."""

from __future__ import annotations

from math import prod
from typing import Any

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import conv as kernels
from dlcore.kernels import conv_narrow as narrow_kernels
from dlcore.kernels import winograd_conv as winograd
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import Op, Shape, Tensor, split_evenly
from dlcore.ops.conv_algorithm import FORWARD, INPUT_GRADIENT, TILES, algorithm
from dlcore.ops.conv_weight_gradient import weight_gradient
from dlcore.ops.dense import pack
from dlcore.ops.depthwise import DepthwiseConv2D
from dlcore.ops.elementwise import bias_gradient
from dlcore.ops.windows import UNPADDED, Padding, Pair, image_kernel, output_size
from dlcore.ops.winograd_conv import transform_weights

TASK_PIXELS = 12  # of a task at least, when a sample is split: rows of the register tile
TILED_PIXELS = 48  # likewise, by Winograd: 6 or 12 tiles
TASKS = 4  # of a sample are enough where more would do some work twice


def split_tiles(batch: int, work: float, form: Pair, shape: Shape, panels: int) -> int:
    """For `Op.splits`, by rows of Winograd's tiles, and where these are few, by pairs of panels."""
    rows = min(shape[1] // form[0], prod(shape[1:3]) // TILED_PIXELS)
    return split_evenly(batch, work, rows if rows >= TASKS else max(rows, 1) * -(-panels // 2))


class _Product(Op):
    """An image by weights that are prepared for it, forward or back. Of the convolution, `x_shape` is what it reads and
    `y_shape` what it gives, whichever of them is an input here.

    `graph.fuse` may append a bias to the inputs, and set an activation; for a Conv2D it may also append a tensor of the
    output's shape, which is added before that, and say so (`adds`)."""

    adds = False

    def __init__(self, direction, image: Tensor, w: Tensor, x_shape, y_shape, geometry):
        shape, back = image_kernel(w), direction == INPUT_GRADIENT
        self.w, self.activation = w, "linear"
        self.algorithm = algorithm(direction, x_shape, shape, y_shape, geometry)
        if self.algorithm in TILES:
            weights = transform_weights(w, TILES[self.algorithm], back)
        else:
            weights = pack(w, back, geometry["groups"], self.algorithm == "overlap")
        self.work = prod(y_shape[1:]) * prod(shape[:3])
        self.kernel, self.geometry = shape[:2], geometry
        super().__init__([image, weights], x_shape if back else y_shape)

    def splits(self, batch):
        if self.algorithm == "overlap":
            return 1
        pixels = prod(self.output.shape[1:3])
        if self.algorithm in TILES:
            return split_tiles(batch, self.work, TILES[self.algorithm], self.output.shape, self.inputs[1].shape[0])
        panels = self.inputs[1].shape[1]
        return split_evenly(batch, self.work, max(1, pixels // TASK_PIXELS) * panels)

    def operands(self, at):
        """Image, weights, bias or None, output, and the kernels' other arguments."""
        image, weights, *bias = (at.buffer(tensor) for tensor in self.inputs[: -1 if self.adds else None])
        b, output = bias[0] if bias else None, at.buffer(self.output)
        return image, weights, b, output, activation_kernels.KINDS[self.activation]


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
        bias = [bias_gradient(dz)] * (len(self.inputs) - 2 - self.adds)
        return [dx, dw, *bias] + [dz] * self.adds

    def bind(self, at):
        x, weights, b, y, activation = self.operands(at)
        more = {"activation": activation, "splits": at.splits}
        if self.adds:
            more["residual"] = at.buffer(self.inputs[-1])
        if self.algorithm in TILES:
            return winograd.conv2d_forward(x, weights, b, y, self.geometry["padding"], **more)
        more.update(self.geometry)
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
