"""Batch normalisation: statistics over the batch or moving ones, and the moving averages themselves."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from dlcore.kernels import normalization as kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, CHUNKS, Op, Parameter, Tensor
from dlcore.ops.shape import reshape

LINES = 5  # rows of the coefficients
ACTIVATIONS = tuple(kernels.ACTIVATIONS)  # that `Normalize` may apply


class _Coefficients(Op):
    """What brings gamma and beta, either of which may be missing, into the coefficients (5, c)."""

    constant = True  # `Normalize` has the gradient of all of it
    axis = BATCH_WIDE

    def __init__(self, inputs: list[Tensor], gamma: Tensor | None, beta: Tensor | None, epsilon: float, *outputs):
        self.gamma, self.beta, self.epsilon = gamma, beta, epsilon
        super().__init__([*inputs, *(t for t in (gamma, beta) if t is not None)], *outputs)

    def affine(self, at):
        """gamma and beta, bound."""
        return [None if tensor is None else at.buffer(tensor) for tensor in (self.gamma, self.beta)]


class BatchMoments(Op):
    constant = True

    def __init__(self, x: Tensor):
        super().__init__([x], ((CHUNKS, 2 * x.shape[-1] + 1), "d"))

    def bind(self, at):
        return kernels.batch_moments(at.buffer(self.inputs[0]), at.buffer(self.output), at.grain)


class BatchCoefficients(_Coefficients):
    """Outputs coefficients, mean and variance of the batch. Destroys the moments."""

    def __init__(self, parts: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float):
        c = parts.shape[1] // 2
        super().__init__([parts], gamma, beta, epsilon, (LINES, c), (c,), (c,))

    def bind(self, at):
        parts, (gamma, beta), coefficients = at.buffer(self.inputs[0]), self.affine(at), at.buffer(self.output)
        mean, variance = (at.optional(tensor) for tensor in self.outputs[1:])
        return kernels.batch_coefficients(parts, gamma, beta, coefficients, mean, variance, self.epsilon)


class MovingCoefficients(_Coefficients):
    prepares = True

    def __init__(self, mean: Tensor, variance: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float):
        super().__init__([mean, variance], gamma, beta, epsilon, (LINES, mean.shape[0]))

    def bind(self, at):
        mean, variance = (at.buffer(tensor) for tensor in self.inputs[:2])
        gamma, beta = self.affine(at)
        return kernels.moving_coefficients(mean, variance, gamma, beta, at.buffer(self.output), self.epsilon)


class AdaptedCoefficients(Op):
    """Of given means and variances, flat, spread by `index` over the numbers of a row."""

    constant = prepares = True

    def __init__(self, mean: Tensor, variance: Tensor, index: Sequence[int], invert: bool):
        self.index, self.invert = index, invert
        super().__init__([mean, variance], (LINES, len(index)))

    def bind(self, at):
        mean, variance = (at.buffer(tensor).reshape(-1) for tensor in self.inputs)
        return kernels.adapted_coefficients(mean, variance, at.buffer(self.output), self.index, self.invert)


class Normalize(Op):
    """x by its coefficients, and what `graph.fuse` lets follow in the same pass. gamma and beta are inputs for the sake
    of their gradients.

    Attributes:
        activation: applied last, one of ACTIVATIONS: the gradients compute its argument again, so that nobody keeps y.
        adds: whether the last input is added before that.
    """

    in_place = 0
    cheap = True

    def __init__(self, x: Tensor, coefficients: Tensor, gamma: Tensor | None, beta: Tensor | None):
        self.activation, self.adds = "linear", False
        self.of_batch = isinstance(coefficients.op, BatchCoefficients)
        self.names = [name for name, tensor in (("gamma", gamma), ("beta", beta)) if tensor is not None]
        super().__init__([x, coefficients, *(t for t in (gamma, beta) if t is not None)], x.shape)

    def gradient(self, grads, wanted):
        dy, kind = grads[0], self.activation
        if self.adds or not self.of_batch:
            dy, kind = activation_gradient(dy, self.output, kind), "linear"
        x, coefficients = self.inputs[:2]
        found = {}
        if self.of_batch or any(wanted[2 : 2 + len(self.names)]):
            sums = GradientSums(dy, x, coefficients, kind).output
            lines, found["gamma"], found["beta"] = GradientReduce(sums, coefficients, prod(x.shape[1:-1])).outputs
        dx = None
        if wanted[0]:
            dx = (InputGradient(dy, x, coefficients, lines, kind) if self.of_batch else Scale(dy, coefficients)).output
        return [dx, None, *(found.get(name) for name in self.names), *([dy] if self.adds else [])]

    def bind(self, at):
        x, coefficients, y = at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output)
        add = at.buffer(self.inputs[-1]) if self.adds else None
        return kernels.normalize(x, coefficients, y, add=add, activation=self.activation)


class Scale(Op):
    """dy by the scale alone: the gradient where the statistics do not depend on x."""

    in_place = 0

    def __init__(self, dy: Tensor, coefficients: Tensor):
        super().__init__([dy, coefficients], dy.shape)

    def bind(self, at):
        return kernels.normalize(
            at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output), linear=True
        )


class GradientSums(Op):
    def __init__(self, dy: Tensor, x: Tensor, coefficients: Tensor, activation: str):
        self.activation = activation
        super().__init__([dy, x, coefficients], (CHUNKS, 2, x.shape[-1]))

    def bind(self, at):
        dy, x, coefficients = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.batch_gradient_sums(dy, x, coefficients, at.buffer(self.output), at.grain, self.activation)


class GradientAndSums(Op):
    """The gradient g that the sums are of, made in the same pass (`graph.fuse`): dy, or dy + more, through the
    activation that gave y, or that is part of the normalisation. Outputs g and the sums."""

    in_place = 0

    def __init__(self, sums: GradientSums, dy: Tensor, more: Tensor | None, y: Tensor | None, activation: str):
        self.activation, self.adds, self.sees = activation, more is not None, y is not None
        _, x, coefficients = sums.inputs
        inputs = [dy, x, coefficients, *(t for t in (more, y) if t is not None)]
        super().__init__(inputs, x.shape, sums.output.shape)

    def bind(self, at):
        dy, x, coefficients, *rest = (at.buffer(tensor) for tensor in self.inputs)
        g, sums = (at.buffer(tensor) for tensor in self.outputs)
        more = rest.pop(0) if self.adds else None
        y = rest.pop(0) if self.sees else None
        return kernels.batch_gradient_sums(dy, x, coefficients, sums, at.grain, self.activation, more, y, g)


class GradientReduce(Op):
    """Outputs the lines of `InputGradient`, dgamma and dbeta. Destroys the sums."""

    axis = BATCH_WIDE

    def __init__(self, sums: Tensor, coefficients: Tensor, rows: int):
        self.rows, c = rows, sums.shape[2]
        super().__init__([sums, coefficients], (3, c), (c,), (c,))

    def bind(self, at):
        lines, dgamma, dbeta = (at.optional(tensor) for tensor in self.outputs)
        sums, coefficients = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.batch_gradient_reduce(sums, coefficients, dgamma, dbeta, lines, float(at.batch * self.rows))


class InputGradient(Op):
    in_place = 0

    def __init__(self, dy: Tensor, x: Tensor, coefficients: Tensor, lines: Tensor, activation: str):
        self.activation = activation
        super().__init__([dy, x, coefficients, lines], x.shape)

    def bind(self, at):
        dy, x, coefficients, lines = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.batch_input_gradient(dy, x, coefficients, lines, at.buffer(self.output), self.activation)


class Normalized(NamedTuple):
    """What `batch_normalization` gives: y, and the mean and variance (c,) of the batch."""

    y: Tensor
    mean: Tensor
    variance: Tensor


def batch_normalization(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-3
) -> Normalized:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta by channel of x (batch, ..., c), with the mean and the
    variance of the batch (which divides by the number of values). gamma and beta (c,) or None."""
    coefficients, mean, variance = BatchCoefficients(BatchMoments(x).output, gamma, beta, epsilon).outputs
    return Normalized(Normalize(x, coefficients, gamma, beta).output, mean, variance)


def normalize_by(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """The same with a given mean and variance (c,), which have no gradient."""
    coefficients = MovingCoefficients(mean, variance, gamma, beta, epsilon).output
    return Normalize(x, coefficients, gamma, beta).output


class FoldKernel(Op):
    """The kernel of a linear layer, each output's part by the scale of its channel. The outputs of a depthwise
    convolution are the last two axes of a parameter; they become one."""

    axis = BATCH_WIDE
    prepares = constant = True

    def __init__(self, w: Tensor, coefficients: Tensor):
        outputs = coefficients.shape[1]
        super().__init__([w, coefficients], w.shape if w.shape[-1] == outputs else (*w.shape[:-2], 1, outputs))

    def bind(self, at):
        w, coefficients = (at.buffer(tensor) for tensor in self.inputs)
        if isinstance(self.inputs[0], Parameter):
            w = w.reshape(self.output.shape)
        return kernels.normalize(w, coefficients, at.buffer(self.output), linear=True)


class FoldBias(Op):
    """The bias that goes with it."""

    axis = BATCH_WIDE
    prepares = constant = True

    def __init__(self, coefficients: Tensor, b: Tensor | None):
        super().__init__([coefficients, *([] if b is None else [b])], (coefficients.shape[1],))

    def bind(self, at):
        coefficients, *b = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.fold_bias(b[0] if b else None, coefficients, at.buffer(self.output))


def _rows(x: Tensor, n: int) -> Tensor:
    """x as rows of n numbers."""
    return reshape(x, (x.shape[0], prod(x.shape[1:]) // n, n))


def standardize(
    x: Tensor, mean: Parameter, variance: Parameter, axes: Sequence[int], invert: bool = False, least: int = 64
) -> Tensor:
    """(x - mean) / max(sqrt(variance), 1e-7), or x * max(sqrt(variance), 1e-7) + mean if `invert`.

    Args:
        x: (batch, ...).
        mean, variance: of the sizes of `axes` of x, in rising order.
        axes: positive ones, rising; all others share a mean.
        least: rows of x are at least that long, where a sample is: which is faster.
    """
    first = min(axes, default=x.ndim - 1)
    while first > 1 and prod(x.shape[first:]) < least:
        first -= 1
    row = x.shape[first:]
    of = np.arange(prod(mean.shape)).reshape([x.shape[a] if a in axes else 1 for a in range(first, x.ndim)])
    index = np.broadcast_to(of, row).reshape(-1).tolist()
    coefficients = AdaptedCoefficients(mean, variance, index, invert).output
    return reshape(Normalize(_rows(x, prod(row)), coefficients, None, None).output, x.shape)


def affine(x: Tensor, scale: np.ndarray, offset: np.ndarray) -> Tensor:
    """x * scale + offset, arrays of one shape: that of the last axes of x."""
    table = np.zeros((LINES, scale.size), np.float32)
    table[1], table[2] = scale.reshape(-1), offset.reshape(-1)
    coefficients = Parameter(table.shape, table, "affine", trainable=False)
    return reshape(Normalize(_rows(x, scale.size), coefficients, None, None).output, x.shape)


class MovingAverage(Op):
    """parameter = parameter * momentum + statistic * (1 - momentum), once in a step; for `Layer.add_update`."""

    axis = BATCH_WIDE
    commits = True

    def __init__(self, parameter: Parameter, statistic: Tensor, momentum: float):
        self.updates, self.momentum = parameter, momentum
        super().__init__([statistic])

    def bind(self, at):
        return kernels.moving_average(at.buffer(self.updates), at.buffer(self.inputs[0]), self.momentum)

    def grain(self, tasks):
        return max(1, tasks)
