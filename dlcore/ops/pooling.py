"""Max and average pooling in NHWC."""

from __future__ import annotations

from dlcore.kernels import pooling as kernels
from dlcore.ops.base import Op, Tensor
from dlcore.ops.windows import UNPADDED, Pair, output_size


class _Pool(Op):
    def __init__(self, inputs, outputs, window):
        self.window = window  # (pool, strides, padding)
        super().__init__(inputs, *outputs)


def _pooled(x: Tensor, pool: Pair, strides: Pair, padding: tuple[Pair, Pair]):
    oh, ow = (output_size(x.shape[1 + i], pool[i], strides[i], padding[i]) for i in (0, 1))
    if min(oh, ow) < 1:
        raise ValueError(f"pooling: a window of {pool} does not fit x of shape {x.shape} with padding {padding}")
    return x.shape[0], oh, ow, x.shape[3]


class MaxPool2D(_Pool):
    """Outputs the maxima and the position of each in its window, a byte where that is enough, for the gradient."""

    def __init__(self, x: Tensor, *window):
        shape = _pooled(x, *window)
        kh, kw = window[0]
        super().__init__([x], [shape, (shape, "B" if kh * kw <= kernels.MOST_OF_A_BYTE else "f")], window)

    def gradient(self, grads, wanted):
        return [grads[0] and MaxPool2DGradient(grads[0], self.outputs[1], self.inputs[0].shape, self.window).output]

    def bind(self, at):
        return kernels.max_pool2d_forward(
            at.buffer(self.inputs[0]), at.buffer(self.output), at.optional(self.outputs[1]), *self.window
        )


class MaxPool2DGradient(_Pool):
    def __init__(self, dy: Tensor, index: Tensor, x_shape, window):
        super().__init__([dy, index], [x_shape], window)

    def bind(self, at):
        dy, index = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.max_pool2d_gradient(dy, index, at.buffer(self.output), *self.window)


class AveragePool2D(_Pool):
    def __init__(self, x: Tensor, *window):
        super().__init__([x], [_pooled(x, *window)], window)

    def gradient(self, grads, wanted):
        return [grads[0] and AveragePool2DGradient(grads[0], self.inputs[0].shape, self.window).output]

    def bind(self, at):
        return kernels.average_pool2d_forward(at.buffer(self.inputs[0]), at.buffer(self.output), *self.window)


class AveragePool2DGradient(_Pool):
    def __init__(self, dy: Tensor, x_shape, window):
        super().__init__([dy], [x_shape], window)

    def bind(self, at):
        return kernels.average_pool2d_gradient(at.buffer(self.inputs[0]), at.buffer(self.output), *self.window)


def _pixels(x: Tensor, pool: Pair, strides: Pair, padding: tuple[Pair, Pair]) -> Tensor | None:
    """What windows of one pixel make of x: every stride-th pixel. None for other windows."""
    return x[:, :: strides[0], :: strides[1]] if pool == (1, 1) and padding == UNPADDED else None


def max_pool2d(x: Tensor, pool: Pair, strides: Pair, padding: tuple[Pair, Pair] = UNPADDED) -> Tensor:
    """Maximum over windows of x (batch, ih, iw, c); padding never wins, a NaN always does."""
    pixels = _pixels(x, pool, strides, padding)
    return pixels if pixels is not None else MaxPool2D(x, pool, strides, padding).output


def average_pool2d(x: Tensor, pool: Pair, strides: Pair, padding: tuple[Pair, Pair] = UNPADDED) -> Tensor:
    """Mean over windows of x (batch, ih, iw, c); padding does not count."""
    pixels = _pixels(x, pool, strides, padding)
    return pixels if pixels is not None else AveragePool2D(x, pool, strides, padding).output
