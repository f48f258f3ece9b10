"""Batch normalisation: statistics over the batch or moving ones, and the moving averages themselves."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from dlcore.kernels import normalization as kernels
from dlcore.ops.base import BATCH_WIDE, CHUNKS, Op, Parameter, Tensor

LINES = 5  # rows of the coefficients


class _Coefficients(Op):
    """What brings gamma and beta, either of which may be missing, into the coefficients (5, c)."""

    stops_gradient = True  # `Normalize` has the gradient of all of it
    axis = BATCH_WIDE

    def __init__(self, inputs: list[Tensor], gamma: Tensor | None, beta: Tensor | None, epsilon: float, *outputs):
        self.gamma, self.beta, self.epsilon = gamma, beta, epsilon
        super().__init__([*inputs, *(t for t in (gamma, beta) if t is not None)], *outputs)

    def affine(self, at):
        """gamma and beta, bound."""
        return [None if tensor is None else at.buffer(tensor) for tensor in (self.gamma, self.beta)]


class BatchMoments(Op):
    stops_gradient = True

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


class Normalize(Op):
    """x by its coefficients. gamma and beta are inputs for the sake of their gradients."""

    in_place = 0

    def __init__(self, x: Tensor, coefficients: Tensor, gamma: Tensor | None, beta: Tensor | None):
        self.of_batch = isinstance(coefficients.op, BatchCoefficients)
        self.names = [name for name, tensor in (("gamma", gamma), ("beta", beta)) if tensor is not None]
        super().__init__([x, coefficients, *(t for t in (gamma, beta) if t is not None)], x.shape)

    def gradient(self, grads, wanted):
        dy = grads[0]
        x, coefficients = self.inputs[:2]
        found = {}
        if self.of_batch or any(wanted[2:]):
            sums = GradientSums(dy, x, coefficients).output
            lines, found["gamma"], found["beta"] = GradientReduce(sums, coefficients, prod(x.shape[1:-1])).outputs
        dx = None
        if wanted[0]:
            dx = (InputGradient(dy, x, coefficients, lines) if self.of_batch else Scale(dy, coefficients)).output
        return [dx, None, *(found.get(name) for name in self.names)]

    def bind(self, at):
        return kernels.normalize(at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output))


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
    def __init__(self, dy: Tensor, x: Tensor, coefficients: Tensor):
        super().__init__([dy, x, coefficients], (CHUNKS, 2, x.shape[-1]))

    def bind(self, at):
        dy, x, coefficients = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.batch_gradient_sums(dy, x, coefficients, at.buffer(self.output), at.grain)


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

    def __init__(self, dy: Tensor, x: Tensor, coefficients: Tensor, lines: Tensor):
        super().__init__([dy, x, coefficients, lines], x.shape)

    def bind(self, at):
        dy, x, coefficients, lines = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.batch_input_gradient(dy, x, coefficients, lines, at.buffer(self.output))


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
