"""Convolution with few output channels: neighbouring pixels of a row as the channels of one, or in the lanes. What
`graph.fuse` makes of a Conv2D where that pays."""

from __future__ import annotations

from dlcore.kernels import conv_narrow as kernels
from dlcore.kernels import dense as dense_kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, Op, Tensor, split_evenly
from dlcore.ops.conv import Conv2D, Conv2DInputGradient
from dlcore.ops.conv_weight_gradient import weight_gradient
from dlcore.ops.elementwise import bias_gradient
from dlcore.ops.shape import Copy, Reshape


def merged_pixels(conv: Conv2D) -> int:
    """How many neighbours to make one pixel: what takes the fewest multiply-adds of a vector, 1 where it saves little.

    With p of them, a vector of p*oc channels stands for p pixels, but the kernel is (p-1)*sw pixels wider.
    """
    cost = _costs(conv)
    best = min(cost, key=cost.__getitem__, default=1)
    return best if best > 1 and cost[best] < 0.8 * cost[1] else 1


def suits_lanes(conv: Conv2D) -> bool:
    """Whether pixels in the lanes take fewer multiply-adds of a vector than channels do, those of merged pixels too."""
    (_, kw), (_, ow, oc) = conv.kernel, conv.output.shape[1:]
    if conv.inputs[0].shape[3] > 1 or conv.geometry["strides"][1] > 1 or len(conv.w.shape) < 4:
        return False
    return kw * oc * kernels.vectors(ow) < 0.9 * ow * min(_costs(conv).values(), default=kw * kernels.vectors(oc))


def _costs(conv: Conv2D) -> dict[int, float]:
    """Multiply-adds of a vector for a pixel and a row of the kernel, by the number of pixels that are merged."""
    (_, kw), (_, step), ow, oc = conv.kernel, conv.geometry["strides"], conv.output.shape[2], conv.output.shape[3]
    if conv.geometry["groups"] > 1 or conv.geometry["dilation"][1] > 1 or len(conv.w.shape) < 4:
        return {}
    return {p: (kw + (p - 1) * step) * kernels.vectors(p * oc) / p for p in range(1, ow + 1)
            if ow % p == 0 and kernels.vectors(p * oc) <= 2}  # fmt: skip


class LanesConv2D(Conv2D):
    """`conv`, which reads `w` packed, with pixels in the lanes: it reads `w` as it is."""

    def __init__(self, conv: Conv2D, w: Tensor):
        x, _, *bias = conv.inputs
        self.w, self.activation, self.kernel, self.geometry = conv.w, conv.activation, conv.kernel, conv.geometry
        self.algorithm, self.work = conv.algorithm, conv.work
        Op.__init__(self, [x, w, *bias], conv.output.shape)

    def splits(self, batch):
        return split_evenly(batch, self.work, self.output.shape[1])

    def bind(self, at):
        x, w, b, y, activation = self.operands(at)
        how = {name: self.geometry[name] for name in ("strides", "padding", "dilation")}
        return kernels.conv2d_lanes(x, w, b, y, **how, activation=activation, splits=at.splits)


class Merge(Op):
    """Packed weights of the convolution that gives `pixels` neighbours at once. Its gradient is that of the weights, in
    their own layout."""

    axis = BATCH_WIDE
    prepares = True

    def __init__(self, w: Tensor, pixels: int, step: int):
        self.pixels, self.step = pixels, step
        kh, kw, ic, oc = w.shape
        rows = kh * (kw + (pixels - 1) * step) * ic
        super().__init__([w], dense_kernels.packed_shape(rows, pixels * oc))

    def gradient(self, grads, wanted):
        return [grads[0]]

    def bind(self, at):
        return kernels.merge(at.buffer(self.inputs[0]), at.buffer(self.output), self.pixels, self.step)


class Repeat(Copy):
    """A bias, once for each of `pixels`. Its gradient is that of the bias."""

    prepares = True

    def __init__(self, b: Tensor, pixels: int):
        super().__init__(b, (pixels * b.shape[0],), [(pixels, 0, b.shape[0]), (b.shape[0], 1, 1)])

    def gradient(self, grads, wanted):
        return [grads[0]]


class MergedConv2D(Conv2D):
    """`conv`, which reads `w` packed, with `pixels` neighbours of a row at once: its output has the same numbers in the
    same places, seen as (batch, oh, ow / pixels, pixels * oc)."""

    def __init__(self, conv: Conv2D, w: Tensor, pixels: int):
        x, _, *bias = conv.inputs
        self.conv, self.activation, self.pixels = conv, conv.activation, pixels
        self.algorithm, self.work = conv.algorithm, conv.work
        (sh, sw), (kh, kw), (batch, oh, ow, oc) = conv.geometry["strides"], conv.kernel, conv.output.shape
        inputs = [x, Merge(w, pixels, sw).output, *(Repeat(b, pixels).output for b in bias)]
        Op.__init__(self, inputs, (batch, oh, ow // pixels, pixels * oc))
        self.kernel = kh, kw + (pixels - 1) * sw
        self.geometry = {**conv.geometry, "strides": (sh, sw * pixels)}

    def gradient(self, grads, wanted):
        x, conv = self.inputs[0], self.conv
        dz = activation_gradient(grads[0], self.output, self.activation)
        dy = Reshape(dz, conv.output.shape).output
        dx = Conv2DInputGradient(dy, conv.w, x.shape, conv.geometry).output if wanted[0] else None
        dw = weight_gradient(x, dy, conv.w, conv.geometry) if wanted[1] else None
        return [dx, dw] + [bias_gradient(dy)] * (len(self.inputs) - 2)
