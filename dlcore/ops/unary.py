"""Functions of one variable: a vocabulary of mathematics, and activations that no tile has in its epilogue."""

from __future__ import annotations

from dlcore.kernels import unary as kernels
from dlcore.ops.base import Op, Tensor


class Unary(Op):
    """A function by the name of its kernel, and its parameters there."""

    in_place = 0

    def __init__(self, x: Tensor, kind: str, *parameters: float):
        if not isinstance(x, Tensor) or x.dtype != "f":
            raise TypeError(f"{kind}: expected a float32 tensor. Received: {x!r}")
        self.kind, self.parameters = kind, tuple(float(value) for value in parameters)
        self.reads = kernels.KINDS[kind][2]
        self.constant = self.reads is None
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        v = self.inputs[0] if self.reads == "x" else self.output
        return [grads[0] and UnaryGradient(grads[0], v, self.kind, self.parameters).output]

    def bind(self, at):
        return kernels.forward(at.buffer(self.inputs[0]), at.buffer(self.output), self.kind, self.parameters)


class UnaryGradient(Op):
    in_place = 0

    def __init__(self, dy: Tensor, v: Tensor, kind: str, parameters: tuple[float, ...]):
        self.kind, self.parameters = kind, parameters
        super().__init__([dy, v], dy.shape)

    def bind(self, at):
        dy, v = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.gradient(dy, v, at.buffer(self.output), self.kind, self.parameters)


def abs(x: Tensor) -> Tensor:
    """|x|; its gradient at 0 is 0."""
    return Unary(x, "abs").output


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; no gradient passes."""
    return Unary(x, "sign").output


def square(x: Tensor) -> Tensor:
    """x * x."""
    return Unary(x, "square").output


def sqrt(x: Tensor) -> Tensor:
    """Square root; NaN below 0."""
    return Unary(x, "sqrt").output


def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return Unary(x, "rsqrt").output


def reciprocal(x: Tensor) -> Tensor:
    """1 / x."""
    return Unary(x, "reciprocal").output


def exp(x: Tensor) -> Tensor:
    """e^x; infinite above 88.72, 0 below -87.34."""
    return Unary(x, "exp").output


def expm1(x: Tensor) -> Tensor:
    """e^x - 1, exact near 0."""
    return Unary(x, "expm1").output


def log(x: Tensor) -> Tensor:
    """Natural logarithm; -inf at 0, NaN below."""
    return Unary(x, "log").output


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact near 0."""
    return Unary(x, "log1p").output


def clip(x: Tensor, x_min: float, x_max: float) -> Tensor:
    """x, but at least x_min and at most x_max; the gradient passes where x lies in the bounds or on them.

    Raises:
        ValueError: x_min > x_max.
    """
    if x_min > x_max:
        raise ValueError(f"clip: x_min must not be more than x_max. Received: x_min={x_min}, x_max={x_max}")
    return Unary(x, "clip", x_min, x_max).output


def floor(x: Tensor) -> Tensor:
    """The next whole number below; no gradient passes."""
    return Unary(x, "floor").output


def ceil(x: Tensor) -> Tensor:
    """The next whole number above; no gradient passes."""
    return Unary(x, "ceil").output


def round(x: Tensor) -> Tensor:
    """The nearest whole number, halves to the even one; no gradient passes."""
    return Unary(x, "round").output


def sin(x: Tensor) -> Tensor:
    """Sine."""
    return Unary(x, "sin").output


def cos(x: Tensor) -> Tensor:
    """Cosine."""
    return Unary(x, "cos").output


def erf(x: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return Unary(x, "erf").output


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x), without overflow."""
    return Unary(x, "softplus").output


def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return Unary(x, "log_sigmoid").output
