"""Dropout and noise, drawn anew at every training step."""

from __future__ import annotations

from dlcore.kernels import random as kernels
from dlcore.ops.base import BATCH, Op, Shape, Tensor


class Dropout(Op):
    in_place = 0

    def __init__(self, x: Tensor, rate: float, seed: int, layer: int):
        self.draw = (rate, seed, layer)
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and Dropout(grads[0], *self.draw).output]

    def bind(self, at):
        return kernels.dropout(at.buffer(self.inputs[0]), at.buffer(self.output), *self.draw, at.clock)


def dropout(x: Tensor, rate: float, seed: int, layer: int = 0, noise_shape: Shape | None = None) -> Tensor:
    """x / (1 - rate) where an element is kept, 0 where it is dropped; see `kernels.random.dropout`.

    Args:
        noise_shape: of the mask, with None or the size of x where each element has its own number, and 1 where an axis
            shares one; default all its own.
    """
    noise = _noise_shape(x, noise_shape)
    if noise == x.shape:
        return Dropout(x, rate, seed, layer).output
    return Masked(x, noise, (rate, seed, layer), (1 / (1 - rate), 0.0, 0.0)).output


def _noise_shape(x: Tensor, noise_shape: Shape | None) -> Shape:
    noise = (None,) * x.ndim if noise_shape is None else tuple(noise_shape)
    if len(noise) != x.ndim or any(m not in (None, 1, n) for m, n in zip(noise[1:], x.shape[1:], strict=False)):
        raise ValueError(f"dropout: noise_shape must hold the sizes of x {x.shape}, None or 1. Received: {noise}")
    return tuple(n if m is None else m for m, n in zip(noise, x.shape, strict=True))


class Masked(Op):
    in_place = 0

    def __init__(self, x: Tensor, noise: Shape, draw: tuple[float, int, int], values: tuple[float, float, float]):
        self.noise, self.draw, self.values = noise, draw, values
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and Masked(grads[0], self.noise, self.draw, (self.values[0], 0.0, 0.0)).output]

    def bind(self, at):
        x = at.buffer(self.inputs[0])
        noise = tuple(at.batch if size is BATCH else size for size in self.noise)
        return kernels.masked(x, at.buffer(self.output), noise, *self.draw, at.clock, *self.values)


def alpha_dropout(x: Tensor, rate: float, seed: int, layer: int = 0, noise_shape: Shape | None = None) -> Tensor:
    """Dropout for SELU networks, which keeps mean 0 and variance 1 (Klambauer et al., arXiv 1706.02515): dropped
    elements take SELU's lowest value, and a linear function brings mean and variance back."""
    lowest = -1.6732632423543772 * 1.0507009873554805
    scale = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5
    shift = -scale * lowest * rate
    values = (scale, shift, scale * lowest + shift)
    return Masked(x, _noise_shape(x, noise_shape), (rate, seed, layer), values).output


class Gaussian(Op):
    in_place = 0

    def __init__(self, x: Tensor, stddev: float, seed: int, layer: int, multiply: bool):
        self.draw, self.multiply = (stddev, seed, layer), multiply
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        if grads[0] is None or not self.multiply:
            return [grads[0]]
        return [Gaussian(grads[0], *self.draw, True).output]

    def bind(self, at):
        x, y = at.buffer(self.inputs[0]), at.buffer(self.output)
        return kernels.gaussian(x, y, *self.draw, at.clock, self.multiply)


def gaussian_noise(x: Tensor, stddev: float, seed: int, layer: int = 0) -> Tensor:
    """x + stddev * z, z a standard normal number for each element."""
    return Gaussian(x, stddev, seed, layer, False).output


def gaussian_dropout(x: Tensor, rate: float, seed: int, layer: int = 0) -> Tensor:
    """x * (1 + z * sqrt(rate / (1 - rate))), z a standard normal number for each element."""
    return Gaussian(x, (rate / (1 - rate)) ** 0.5, seed, layer, True).output
