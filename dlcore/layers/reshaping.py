"""Layers that move, repeat or leave out what is there: no weights, no arithmetic but in interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import Pair, channels_last, choice, expect_rank, pair, positive, shown
from dlcore.ops.base import Tensor
from dlcore.ops.resize import INTERPOLATIONS

SEQUENCE, IMAGES = "(batch, steps, features)", "(batch, height, width, channels)"


class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape), of the same size.

    https://keras.io/api/layers/reshaping_layers/reshape/

    Args:
        target_shape: of one sample; one entry may be -1, for what is left.

    Raises:
        ValueError: not such a shape, or the input has another size.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        sizes = tuple(target_shape) if isinstance(target_shape, Sequence) else (target_shape,)
        whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and (n > 0 or n == -1) for n in sizes)
        if not whole or sizes.count(-1) > 1:
            raise ValueError(
                f"{self.name}: target_shape must hold positive whole numbers, one of which may be -1. "
                f"Received: target_shape={target_shape}"
            )
        self.target_shape = tuple(int(n) for n in sizes)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        try:
            return ops.reshape(x, (x.shape[0], *self.target_shape))
        except ValueError:
            raise ValueError(
                f"{self.name}: expected an input of the size of target_shape={self.target_shape}. "
                f"Received: {shown(x.shape)}"
            ) from None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


class Permute(Layer):
    """The axes behind the batch in another order: axis i of the output is axis dims[i - 1] of the input.

    https://keras.io/api/layers/reshaping_layers/permute/

    Args:
        dims: the numbers from 1 on, each once, as many as a sample has axes.

    Raises:
        ValueError: not such numbers, or the input has another rank.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims) if isinstance(dims, Sequence) else (dims,)
        if sorted(self.dims, key=str) != sorted(range(1, len(self.dims) + 1), key=str):
            raise ValueError(f"{self.name}: dims must be the numbers from 1 on, each once. Received: dims={dims}")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if x.ndim != len(self.dims) + 1:
            raise ValueError(
                f"{self.name}: expected an input of rank {len(self.dims) + 1} for dims={self.dims}. "
                f"Received: {shown(x.shape)}"
            )
        return ops.permute(x, self.dims)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": list(self.dims)}


class RepeatVector(Layer):
    """(batch, features) -> (batch, n, features).

    https://keras.io/api/layers/reshaping_layers/repeat_vector/

    Raises:
        ValueError: n is not a positive whole number, or the input has another rank.
    """

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = positive(n, self.name, "n")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 2, self, "(batch, features)")
        return ops.repeat(ops.expand_dims(x, 1), self.n, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


# ---------------------------------------------------------------------------------------------------------------------
# borders


def amounts(value: Any, layer: str, argument: str) -> Pair:
    """A whole number that is not negative, or two of them: (before, after)."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0 for n in values):
        raise ValueError(
            f"{layer}: {argument} must hold whole numbers that are not negative, one or two for an axis. "
            f"Received: {argument}={value!r}"
        )
    return int(values[0]), int(values[1])


def two_amounts(value: Any, layer: str, argument: str) -> tuple[Pair, Pair]:
    """One number for all four sides, (vertical, horizontal), or ((top, bottom), (left, right))."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(
            f"{layer}: {argument} must be one whole number, two, or two pairs. Received: {argument}={value!r}"
        )
    return amounts(values[0], layer, argument), amounts(values[1], layer, argument)


class ZeroPadding1D(Layer):
    """Zeros in front and behind: (batch, steps, features) -> (batch, before + steps + after, features).

    https://keras.io/api/layers/reshaping_layers/zero_padding1d/

    Args:
        padding: int, or (before, after), default 1.
        data_format: None or "channels_last".
    """

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.padding = amounts(padding, self.name, "padding")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 3, self, SEQUENCE)
        return ops.pad(x, (self.padding,))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": list(self.padding), "data_format": "channels_last"}


class ZeroPadding2D(Layer):
    """A border of zeros: (batch, height, width, channels) -> (batch, top + height + bottom, left + width + right,
    channels).

    https://keras.io/api/layers/reshaping_layers/zero_padding2d/

    Args:
        padding: int, (vertical, horizontal), or ((top, bottom), (left, right)), default 1.
        data_format: None or "channels_last".
    """

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.padding = two_amounts(padding, self.name, "padding")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, IMAGES)
        return ops.pad(x, self.padding)

    def get_config(self) -> dict[str, Any]:
        padding = [list(side) for side in self.padding]
        return {**super().get_config(), "padding": padding, "data_format": "channels_last"}


def _cropped(x: Tensor, cropping: tuple[Pair, ...], layer: Layer) -> Tensor:
    try:
        return ops.crop(x, cropping)
    except ValueError:
        raise ValueError(
            f"{layer.name}: cropping must leave something of the input. "
            f"Received: cropping={cropping if len(cropping) > 1 else cropping[0]}, input {shown(x.shape)}"
        ) from None


class Cropping1D(Layer):
    """(batch, steps, features) without the first and the last steps.

    https://keras.io/api/layers/reshaping_layers/cropping1d/

    Args:
        cropping: int, or (before, after), default (1, 1).

    Raises:
        ValueError: negative, or nothing of the input is left.
    """

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any):
        super().__init__(**kwargs)
        self.cropping = amounts(cropping, self.name, "cropping")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 3, self, SEQUENCE)
        return _cropped(x, (self.cropping,), self)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": list(self.cropping)}


class Cropping2D(Layer):
    """(batch, height, width, channels) without a border.

    https://keras.io/api/layers/reshaping_layers/cropping2d/

    Args:
        cropping: int, (vertical, horizontal), or ((top, bottom), (left, right)), default 0.
        data_format: None or "channels_last".

    Raises:
        ValueError: negative, or nothing of the input is left.
    """

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.cropping = two_amounts(cropping, self.name, "cropping")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, IMAGES)
        return _cropped(x, self.cropping, self)

    def get_config(self) -> dict[str, Any]:
        cropping = [list(side) for side in self.cropping]
        return {**super().get_config(), "cropping": cropping, "data_format": "channels_last"}


# ---------------------------------------------------------------------------------------------------------------------
# larger


class UpSampling1D(Layer):
    """Every step `size` times in a row: (batch, steps, features) -> (batch, steps * size, features).

    https://keras.io/api/layers/reshaping_layers/up_sampling1d/

    Args:
        size: default 2.
    """

    def __init__(self, size: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = positive(size, self.name, "size")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 3, self, SEQUENCE)
        return ops.repeat(x, self.size, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class UpSampling2D(Layer):
    """Images by a whole factor larger: (batch, height, width, channels) -> (batch, height * size[0], width * size[1],
    channels).

    https://keras.io/api/layers/reshaping_layers/up_sampling2d/

    Args:
        size: int or (height, width), default 2.
        data_format: None or "channels_last".
        interpolation: "nearest", "bilinear" or "bicubic", default "nearest".
    """

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.size = pair(size, self.name, "size")
        self.interpolation = choice(interpolation, tuple(INTERPOLATIONS), self.name, "interpolation")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, IMAGES)
        if self.interpolation == "nearest":
            return ops.upsample(x, self.size)
        return ops.resize(x, (x.shape[1] * self.size[0], x.shape[2] * self.size[1]), self.interpolation)

    def get_config(self) -> dict[str, Any]:
        config = {"size": list(self.size), "data_format": "channels_last", "interpolation": self.interpolation}
        return {**super().get_config(), **config}
