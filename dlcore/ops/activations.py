"""Elementwise activations.

`Activation` is one that a tile may apply before it stores its sums (`graph.fuse`): its gradient reads the output, so
the input need not be kept. The others are functions of one variable like any else, one pass forward and one back.
"""

from __future__ import annotations

from math import inf

from dlcore.kernels import activations as kernels
from dlcore.ops.base import Op, Tensor
from dlcore.ops.elementwise import rescale
from dlcore.ops.unary import Unary, clip


class Activation(Op):
    in_place = 0
    cheap = True

    def __init__(self, x: Tensor, kind: str):
        self.kind = kind
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and activation_gradient(grads[0], self.output, self.kind)]

    def bind(self, at):
        return kernels.forward(at.buffer(self.inputs[0]), at.buffer(self.output), self.kind)


class ActivationGradient(Op):
    """Of dy, or of the sum of dy and a third input (`graph.fuse`)."""

    in_place = 0

    def __init__(self, dy: Tensor, y: Tensor, kind: str):
        self.kind = kind
        super().__init__([dy, y], dy.shape)

    def bind(self, at):
        dy, y, *more = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.gradient(dy, y, at.buffer(self.output), self.kind, *more)


def activation_gradient(dy: Tensor, y: Tensor, kind: str) -> Tensor:
    """dy times the derivative of the activation, from its output y."""
    return dy if kind == "linear" else ActivationGradient(dy, y, kind).output


def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x above the threshold, but at most max_value; negative_slope * (x - threshold) elsewhere. A NaN stays one.

    https://keras.io/api/layers/activations/#relu-function
    """
    if negative_slope == threshold == 0 and max_value in (None, 6):
        return Activation(x, "relu" if max_value is None else "relu6").output
    return Unary(x, "ramp", negative_slope, threshold, inf if max_value is None else max_value).output


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return relu(x, max_value=6.0)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where it is positive, negative_slope * x elsewhere."""
    return relu(x, negative_slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, alpha * (e^x - 1) elsewhere. Clevert et al., arXiv 1511.07289."""
    return Unary(x, "elu", alpha, 1.0).output


def selu(x: Tensor) -> Tensor:
    """1.0507 * elu(x, 1.6733). Klambauer et al., arXiv 1706.02515."""
    return Unary(x, "elu", 1.6732632423543772, 1.0507009873554805).output


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, alpha * (e^(x / alpha) - 1) elsewhere. Barron, arXiv 1704.07483.

    Raises:
        ValueError: alpha is not positive.
    """
    if not alpha > 0:
        raise ValueError(f"celu: alpha must be positive. Received: alpha={alpha!r}")
    return Unary(x, "celu", alpha).output


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x times the normal distribution's P(X <= x), exactly (erf) or by tanh. Hendrycks & Gimpel, arXiv 1606.08415."""
    return Unary(x, "gelu_tanh" if approximate else "gelu").output


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also known as swish. Ramachandran et al., arXiv 1710.05941."""
    return Unary(x, "silu").output


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)). Misra, arXiv 1908.08681."""
    return Unary(x, "mish").output


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return Unary(x, "softsign").output


def hard_sigmoid(x: Tensor) -> Tensor:
    """x / 6 + 0.5 between 0 and 1."""
    return Unary(x, "hard_sigmoid").output


def hard_silu(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x), also known as hard swish. Howard et al., arXiv 1905.02244."""
    return Unary(x, "hard_silu").output


def hard_tanh(x: Tensor) -> Tensor:
    """x between -1 and 1."""
    return clip(x, -1.0, 1.0)


def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x without `threshold` of its magnitude, 0 where that is less."""
    return Unary(x, "soft_shrink", threshold).output


def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x where its magnitude is more than `threshold`, 0 elsewhere."""
    return Unary(x, "hard_shrink", threshold).output


def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return Unary(x, "tanh_shrink").output


def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x where it is more than `threshold`, default_value elsewhere."""
    return Unary(x, "threshold", threshold, default_value).output


def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2. Barron, arXiv 2112.11687."""
    return Unary(x, "squareplus", b).output


def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, x from 1 on, (x + 1)^2 / 4 between."""
    return Unary(x, "sparse_plus").output


def sparse_sigmoid(x: Tensor) -> Tensor:
    """x / 2 + 0.5 between 0 and 1."""
    return clip(rescale(x, 0.5, 0.5), 0.0, 1.0)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return Activation(x, "sigmoid").output


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return Activation(x, "tanh").output
