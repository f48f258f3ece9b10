"""Random changes of images (batch, height, width, channels), drawn for each sample at every training step."""

from __future__ import annotations

from dlcore.kernels import augmentation as kernels
from dlcore.ops.base import Op, Shape, Tensor
from dlcore.ops.windows import Pair

Bounds = tuple[float, float]
Map = tuple[str, Bounds, Bounds, int]  # kind, height, width, seed
Fill = tuple[str, str, float]  # fill_mode, interpolation, fill_value
Range = tuple[Bounds, Bounds, Bounds, int]  # contrast, brightness, range of values, seed


class Affine(Op):
    def __init__(self, x: Tensor, size: Pair, how: Map, fill: Fill = ("constant", "nearest", 0.0)):
        self.how, self.fill = how, fill
        super().__init__([x], (x.shape[0], *size, x.shape[3]))

    def gradient(self, grads, wanted):
        return [grads[0] and AffineGradient(grads[0], self.inputs[0].shape, self.how, self.fill).output]

    def bind(self, at):
        return kernels.affine(at.buffer(self.inputs[0]), at.buffer(self.output), *self.how, at.clock, *self.fill)


class AffineGradient(Op):
    def __init__(self, dy: Tensor, x_shape: Shape, how: Map, fill: Fill):
        self.how, self.fill = how, fill
        super().__init__([dy], x_shape)

    def bind(self, at):
        dy, dx = at.buffer(self.inputs[0]), at.buffer(self.output)
        return kernels.affine_gradient(dy, dx, *self.how, at.clock, *self.fill[:2])


def _size(x: Tensor) -> Pair:
    return x.shape[1], x.shape[2]


def random_flip(x: Tensor, seed: int, height: bool, width: bool) -> Tensor:
    """Half of the samples, upside down where `height`, left to right where `width`."""
    how = "flip", (float(height),) * 2, (float(width),) * 2, seed
    return Affine(x, _size(x), how).output


def random_translation(
    x: Tensor,
    seed: int,
    height: Bounds,
    width: Bounds,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Each sample moved down and to the right by shares of its height and width within the bounds; the words of
    `kernels.augmentation.affine`."""
    how = "translate", height, width, seed
    return Affine(x, _size(x), how, (fill_mode, interpolation, fill_value)).output


def random_rotation(
    x: Tensor,
    seed: int,
    turns: Bounds,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Each sample turned about its middle, counter-clockwise, by a number of turns within the bounds."""
    how = "rotate", turns, (0.0, 0.0), seed
    return Affine(x, _size(x), how, (fill_mode, interpolation, fill_value)).output


def random_zoom(
    x: Tensor,
    seed: int,
    height: Bounds,
    width: Bounds | None = None,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Each sample zoomed about its middle, to 1 / (1 + p) of its size with p within the bounds, above 0 out, below 0
    in. Without `width`, the same p for both axes."""
    how = "zoom", height, (0.0, -1.0) if width is None else width, seed
    return Affine(x, _size(x), how, (fill_mode, interpolation, fill_value)).output


def random_crop(x: Tensor, seed: int, size: Pair) -> Tensor:
    """A part of `size` (height, width) from anywhere in each sample."""
    how = "crop", (0, x.shape[1] - size[0]), (0, x.shape[2] - size[1]), seed
    return Affine(x, size, how).output


class Adjust(Op):
    in_place = 0

    def __init__(self, x: Tensor, how: Range):
        self.how = how
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and AdjustGradient(grads[0], self.inputs[0], self.how).output]

    def bind(self, at):
        return kernels.adjust(at.buffer(self.inputs[0]), at.buffer(self.output), *self.how, at.clock)


class AdjustGradient(Op):
    in_place = 0

    def __init__(self, dy: Tensor, x: Tensor, how: Range):
        self.how = how
        super().__init__([dy, x], x.shape)

    def bind(self, at):
        dy, x = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.adjust_gradient(dy, x, at.buffer(self.output), *self.how, at.clock)


def random_contrast(x: Tensor, seed: int, factor: Bounds, value_range: Bounds) -> Tensor:
    """clip((x - mean) * f + mean, value_range) with the mean of each channel of each sample, f within the bounds."""
    return Adjust(x, (factor, (0.0, 0.0), value_range, seed)).output


def random_brightness(x: Tensor, seed: int, shift: Bounds, value_range: Bounds) -> Tensor:
    """clip(x + b, value_range) with b within the bounds."""
    return Adjust(x, ((1.0, 1.0), shift, value_range, seed)).output
