"""Softmax, and softmax with cross-entropy as one op."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from dlcore.kernels import softmax as kernels
from dlcore.ops.base import Op, Tensor
from dlcore.ops.broadcast import add, stop_gradient, where
from dlcore.ops.reduction import Axis, axes_of, max, sum
from dlcore.ops.unary import abs, exp, log


class Softmax(Op):
    in_place = 0

    def __init__(self, x: Tensor):
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and SoftmaxGradient(grads[0], self.output).output]

    def bind(self, at):
        return kernels.forward(at.buffer(self.inputs[0]), at.buffer(self.output))


class SoftmaxGradient(Op):
    in_place = 0

    def __init__(self, dy: Tensor, y: Tensor):
        super().__init__([dy, y], dy.shape)

    def bind(self, at):
        return kernels.gradient(at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output))


def softmax(x: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """exp(x) / sum exp(x) over an axis of a sample of x (batch, ...), or several.

    Raises:
        ValueError: there is no such axis, or it is the batch.
    """
    if axes_of("softmax", x, axis) == (x.ndim - 1,):
        return Softmax(x).output
    e = exp(x - _largest(x, axis))
    return e / sum(e, axis, keepdims=True)


def _largest(x: Tensor, axis: Axis) -> Tensor:
    """The maximum, as a constant; 0 where it is infinite, so that inf - inf is not met."""
    top = stop_gradient(max(x, axis, keepdims=True))
    return where(abs(top) < inf, top, 0.0)


def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log sum exp(x) over axes of a sample (None: all), without overflow."""
    top = _largest(x, axis)
    axes = axes_of("logsumexp", x, axis)
    y = log(sum(exp(x - top), axis, keepdims=True)) + top
    return y if keepdims else sum(y, axes)  # over axes of one element: the shape changes, nothing else


def log_softmax(x: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """log(softmax(x)) over an axis of a sample, or several, without its rounding.

    Raises:
        ValueError: there is no such axis, or it is the batch.
    """
    axes_of("log_softmax", x, axis)
    shifted = x - _largest(x, axis)
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


class SoftmaxCrossentropy(Op):
    """Outputs one loss per sample (or for each of its `positions`) and the probabilities, which the gradient needs and
    metrics may use; a third output, the gradient, where `fuse.crossentropy_gradient` found that it is that of the mean.
    """

    def __init__(self, labels: Tensor, logits: Tensor, positions: bool = False, ignore: int | None = None):
        self.options: dict[str, Any] = {} if ignore is None else {"ignore": ignore}
        super().__init__([labels, logits], logits.shape[:-1] if positions else logits.shape[:1], logits.shape)

    def gradient(self, grads, wanted):
        labels, p = self.inputs[0], self.outputs[1]
        by_loss = grads[0] and SoftmaxCrossentropyGradient(grads[0], labels, p, self.options).output
        by_p = grads[1] and SoftmaxGradient(grads[1], p).output  # a second loss reads the probabilities
        return [None, add(by_loss, by_p) if by_loss and by_p else by_loss or by_p]

    def bind(self, at):
        labels, logits = (at.buffer(tensor) for tensor in self.inputs)
        loss, p, *dlogits = (at.buffer(tensor) for tensor in self.outputs)
        return kernels.crossentropy(logits, labels, loss, p, *dlogits, *[1.0 / at.batch] * len(dlogits), **self.options)

    def averaged(self) -> Tensor:
        """The same loss with one value per sample."""
        labels, logits = self.inputs
        return SoftmaxCrossentropy(labels, logits, **self.options).output


class SoftmaxCrossentropyGradient(Op):
    def __init__(self, dloss: Tensor, labels: Tensor, p: Tensor, options: dict[str, Any]):
        self.options = options
        super().__init__([dloss, labels, p], p.shape)

    def bind(self, at):
        dloss, labels, p = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.crossentropy_gradient(dloss, labels, p, at.buffer(self.output), **self.options)


def softmax_crossentropy(labels: Tensor, logits: Tensor, positions: bool = False, ignore: int | None = None) -> Tensor:
    """Cross-entropy of softmax(logits), one value per sample or with `positions` for each of its positions: labels are
    class numbers (batch, ...) int32, of which `ignore` counts as 0, or a distribution of the shape of logits
    (batch, ..., c)."""
    return SoftmaxCrossentropy(labels, logits, positions, ignore).outputs[0]
