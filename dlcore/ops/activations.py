"""Elementwise activations. Their gradients read the output, so the input need not be kept."""

from __future__ import annotations

from dlcore.kernels import activations as kernels
from dlcore.ops.base import Op, Tensor


class Activation(Op):
    in_place = 0

    def __init__(self, x: Tensor, kind: str):
        self.kind = kind
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and activation_gradient(grads[0], self.output, self.kind)]

    def bind(self, at):
        return kernels.forward(at.buffer(self.inputs[0]), at.buffer(self.output), self.kind)


class ActivationGradient(Op):
    in_place = 0

    def __init__(self, dy: Tensor, y: Tensor, kind: str):
        self.kind = kind
        super().__init__([dy, y], dy.shape)

    def bind(self, at):
        return kernels.gradient(at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output), self.kind)


def activation_gradient(dy: Tensor, y: Tensor, kind: str) -> Tensor:
    """dy times the derivative of the activation, from its output y."""
    return dy if kind == "linear" else ActivationGradient(dy, y, kind).output


def relu(x: Tensor) -> Tensor:
    """max(x, 0); a NaN stays one."""
    return Activation(x, "relu").output


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return Activation(x, "sigmoid").output


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return Activation(x, "tanh").output
