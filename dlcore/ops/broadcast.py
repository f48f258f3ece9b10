"""Elementwise operations on two tensors or a tensor and a number, whose shapes broadcast as NumPy's do.

Operands are tensors with a batch (batch, ...), tensors without (parameters, and what is made of them: the same for all
samples), arrays (constants) and numbers; int32 tensors become float32. Shapes are compared from the last axis on, a 1
or a missing axis is repeated, and the batch must meet the batch, a 1 or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import frexp
from typing import Any

import numpy as np

from dlcore.kernels import broadcast as kernels
from dlcore.ops import elementwise, unary
from dlcore.ops.base import BATCH, Op, Parameter, Tensor, operators
from dlcore.ops.elementwise import bias_add, rescale
from dlcore.ops.reduction import batched, reduced_to

Operand = Any  # Tensor | float after `operand`


class Cast(Op):
    constant = True

    def __init__(self, x: Tensor, dtype: str):
        super().__init__([x], (x.shape, dtype))

    def bind(self, at):
        x, y = self.inputs[0], self.output
        return kernels.cast(at.buffer(x), at.buffer(y), x.dtype, y.dtype)


def cast(x: Tensor, dtype: str) -> Tensor:
    """x as "float32" or "int32" (towards zero); no gradient passes where the dtype changes.

    Raises:
        ValueError: another dtype.
    """
    names = {"float32": "f", "int32": "i"}
    if dtype not in names:
        raise ValueError(f"cast: dtype must be one of {tuple(names)}. Received: dtype={dtype!r}")
    return x if x.dtype == names[dtype] else Cast(x, names[dtype]).output


def operand(what: str, x: Any) -> Operand:
    """x as a float32 tensor or a float.

    Raises:
        TypeError: neither a tensor nor a number nor an array of numbers.
    """
    if isinstance(x, Tensor):
        return cast(x, "float32")
    if isinstance(x, (int, float, np.number, np.bool_)):
        return float(x)
    try:
        array = np.asarray(x, np.float32, order="C")
    except (TypeError, ValueError):
        raise TypeError(f"{what}: expected tensors, arrays or numbers. Received: {x!r}") from None
    return Parameter(array.shape, array, "constant", trainable=False) if array.ndim else float(array)


def operands(what: str, *given: Any) -> list[Operand]:
    """All as float32 tensors or floats, at least one a tensor."""
    found = [operand(what, x) for x in given]
    if not any(isinstance(x, Tensor) for x in found):
        raise TypeError(f"{what}: expected at least one tensor. Received: {', '.join(map(repr, given))}")
    return found


def broadcast_shape(what: str, shapes: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The shape that `shapes` broadcast to.

    Raises:
        ValueError: they do not.
    """
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for i, sizes in enumerate(zip(*padded, strict=True)):
        found = {size for size in sizes if size != 1} or {1}
        if len(found) > 1 or (BATCH in found and i > 0):
            raise ValueError(f"{what}: the shapes do not broadcast. Received: {', '.join(map(str, shapes))}")
        result.append(found.pop())
    return tuple(result)


class _Map(Op):
    """An op on operands that broadcast; numbers among them are no inputs."""

    def __init__(self, what: str, given: list[Operand]):
        self.operands = given
        inputs = [x for x in given if isinstance(x, Tensor)]
        shape = broadcast_shape(what, [x.shape for x in inputs])
        self.in_place = next((i for i, x in enumerate(inputs) if x.shape == shape), None)
        super().__init__(inputs, shape)

    def buffers(self, at):
        tensors = iter(self.inputs)  # what others put in place of an input counts
        return [
            at.buffer(next(tensors)) if isinstance(x, Tensor) else np.full((), x, np.float32) for x in self.operands
        ]

    def current(self) -> list[Operand]:
        tensors = iter(self.inputs)
        return [next(tensors) if isinstance(x, Tensor) else x for x in self.operands]


class Binary(_Map):
    """An op of two operands by the name of its kernel."""

    def __init__(self, kind: str, a: Operand, b: Operand):
        self.kind = kind
        self.constant = kind not in SLOPES
        super().__init__(kind, [a, b])

    def gradient(self, grads, wanted):
        a, b = self.current()
        slopes = [slope for x, slope in zip((a, b), SLOPES[self.kind], strict=True) if isinstance(x, Tensor)]
        return [
            reduced_to(slope(grads[0], a, b, self.output), x.shape) if wish else None
            for x, slope, wish in zip(self.inputs, slopes, wanted, strict=True)
        ]

    def bind(self, at):
        a, b = self.buffers(at)
        return kernels.binary(a, b, at.buffer(self.output), self.kind)


class Select(_Map):
    def __init__(self, condition: Operand, a: Operand, b: Operand):
        super().__init__("where", [condition, a, b])

    def gradient(self, grads, wanted):
        condition, *_ = self.current()
        found = [None, lambda: where(condition, grads[0], 0.0), lambda: where(condition, 0.0, grads[0])]
        found = [slope for x, slope in zip(self.operands, found, strict=True) if isinstance(x, Tensor)]
        return [
            reduced_to(slope(), x.shape) if wish and slope else None
            for x, slope, wish in zip(self.inputs, found, wanted, strict=True)
        ]

    def bind(self, at):
        condition, a, b = self.buffers(at)
        return kernels.select(condition, a, b, at.buffer(self.output))


# d/da and d/db of kind(a, b) = y, times g. Where a and b are the maximum both, a has the gradient.
Slope = Callable[[Tensor, Operand, Operand, Tensor], Tensor]
SLOPES: dict[str, tuple[Slope, Slope]] = {
    "add": (lambda g, a, b, y: g, lambda g, a, b, y: g),
    "subtract": (lambda g, a, b, y: g, lambda g, a, b, y: negative(g)),
    "multiply": (lambda g, a, b, y: multiply(g, b), lambda g, a, b, y: multiply(g, a)),
    "divide": (lambda g, a, b, y: divide(g, b), lambda g, a, b, y: negative(divide(multiply(g, y), b))),
    "maximum": (
        lambda g, a, b, y: where(greater_equal(a, b), g, 0.0),
        lambda g, a, b, y: where(greater_equal(a, b), 0.0, g),
    ),
    "minimum": (
        lambda g, a, b, y: where(less_equal(a, b), g, 0.0),
        lambda g, a, b, y: where(less_equal(a, b), 0.0, g),
    ),
    "prelu": (
        lambda g, a, b, y: where(greater(a, 0.0), g, multiply(g, b)),
        lambda g, a, b, y: multiply(g, minimum(a, 0.0)),
    ),
    "power": (
        lambda g, a, b, y: multiply(g, multiply(b, power(a, subtract(b, 1.0)))),
        lambda g, a, b, y: multiply(g, multiply(y, _log_or_zero(a))),
    ),
}


def _log_or_zero(a: Operand) -> Operand:
    if isinstance(a, Tensor):
        return where(greater(a, 0.0), unary.log(a), 0.0)
    return float(np.log(a)) if a > 0 else 0.0


def add(a: Any, b: Any) -> Tensor:
    """a + b.

    Raises:
        ValueError: the shapes do not broadcast.
        TypeError: neither is a tensor.
    """
    a, b = operands("add", a, b)
    if not isinstance(a, Tensor):
        a, b = b, a
    if not isinstance(b, Tensor):
        return rescale(a, 1.0, b)
    if a.shape == b.shape:
        return elementwise.add(a, b)
    if isinstance(b, Parameter) and b.ndim == 1 and a.ndim > 1 and batched(a) and a.shape[-1] == b.shape[0]:
        return bias_add(a, b)
    return Binary("add", a, b).output


def subtract(a: Any, b: Any) -> Tensor:
    """a - b; raises as `add`."""
    a, b = operands("subtract", a, b)
    if not isinstance(b, Tensor):
        return rescale(a, 1.0, -b)
    return Binary("subtract", a, b).output if isinstance(a, Tensor) else rescale(b, -1.0, a)


def multiply(a: Any, b: Any) -> Tensor:
    """a * b; raises as `add`."""
    a, b = operands("multiply", a, b)
    if not isinstance(a, Tensor):
        a, b = b, a
    return Binary("multiply", a, b).output if isinstance(b, Tensor) else rescale(a, b)


def divide(a: Any, b: Any) -> Tensor:
    """a / b; raises as `add`."""
    a, b = operands("divide", a, b)
    if not isinstance(b, Tensor) and abs(frexp(b)[0]) == 0.5:  # 1 / b has no rounding
        return rescale(a, 1.0 / b)
    return Binary("divide", a, b).output


def power(x: Any, y: Any) -> Tensor:
    """x ** y; raises as `add`. A negative x needs a y that is a whole number, or the result is NaN."""
    x, y = operands("power", x, y)
    if isinstance(y, Tensor):
        return Binary("power", x, y).output
    simple = {2.0: unary.square, 0.5: unary.sqrt, -0.5: unary.rsqrt, -1.0: unary.reciprocal}
    if y in simple:
        return simple[y](x)
    if y in (0.0, 1.0):
        return rescale(x, 0.0, 1.0) if y == 0 else x
    return unary.Unary(x, "power", y).output


def negative(x: Any) -> Tensor:
    """-x."""
    return rescale(operands("negative", x)[0], -1.0)


def maximum(a: Any, b: Any) -> Tensor:
    """The greater of the two, NaN where one of them is; raises as `add`. Where they are equal, a has the gradient."""
    return Binary("maximum", *operands("maximum", a, b)).output


def minimum(a: Any, b: Any) -> Tensor:
    """The lesser of the two, NaN where one of them is; raises as `add`. Where they are equal, a has the gradient."""
    return Binary("minimum", *operands("minimum", a, b)).output


def prelu(x: Any, alpha: Any) -> Tensor:
    """x where it is positive, alpha * x elsewhere; raises as `add`. He et al., arXiv 1502.01852."""
    return Binary("prelu", *operands("prelu", x, alpha)).output


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition is not 0, b elsewhere; raises as `add`. No gradient passes through the condition."""
    condition, a, b = operands("where", condition, a, b)
    return Select(stop_gradient(condition) if isinstance(condition, Tensor) else condition, a, b).output


def equal(a: Any, b: Any) -> Tensor:
    """1.0 where a = b, else 0.0; raises as `add`. No gradient passes."""
    return Binary("equal", *operands("equal", a, b)).output


def not_equal(a: Any, b: Any) -> Tensor:
    """1.0 where a != b, else 0.0; raises as `add`. No gradient passes."""
    return Binary("not_equal", *operands("not_equal", a, b)).output


def greater(a: Any, b: Any) -> Tensor:
    """1.0 where a > b, else 0.0; raises as `add`. No gradient passes."""
    return Binary("greater", *operands("greater", a, b)).output


def greater_equal(a: Any, b: Any) -> Tensor:
    """1.0 where a >= b, else 0.0; raises as `add`. No gradient passes."""
    return Binary("greater_equal", *operands("greater_equal", a, b)).output


def less(a: Any, b: Any) -> Tensor:
    """1.0 where a < b, else 0.0; raises as `add`. No gradient passes."""
    return Binary("greater", *operands("less", b, a)).output


def less_equal(a: Any, b: Any) -> Tensor:
    """1.0 where a <= b, else 0.0; raises as `add`. No gradient passes."""
    return Binary("greater_equal", *operands("less_equal", b, a)).output


def logical_not(x: Any) -> Tensor:
    """1.0 where x = 0, else 0.0. No gradient passes."""
    return equal(x, 0.0)


def logical_and(a: Any, b: Any) -> Tensor:
    """1.0 where neither is 0, else 0.0; raises as `add`. No gradient passes."""
    return multiply(not_equal(a, 0.0), not_equal(b, 0.0))


def logical_or(a: Any, b: Any) -> Tensor:
    """0.0 where both are 0, else 1.0; raises as `add`. No gradient passes."""
    return maximum(not_equal(a, 0.0), not_equal(b, 0.0))


class StopGradient(Op):
    """The input under another name, which gradients do not pass."""

    constant = True
    alias = True

    def __init__(self, x: Tensor):
        super().__init__([x], (x.shape, x.dtype))


def stop_gradient(x: Tensor) -> Tensor:
    """x, which counts as a constant from here on."""
    if x.op is None:  # a parameter, whose memory is not the graph's
        copy = rescale(x, 1.0)
        assert copy.op is not None
        copy.op.constant = True
        return copy
    return x if x.op.constant else StopGradient(x).output


operators.update(
    add=add, subtract=subtract, multiply=multiply, divide=divide, power=power, negative=negative, abs=unary.abs,
    less=less, less_equal=less_equal, greater=greater, greater_equal=greater_equal,
)  # fmt: skip
