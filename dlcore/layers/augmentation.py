"""Layers that change images at random while training. Each sample is changed in its own way at every step: its numbers
are Philox of (seed, training step, sample), so they do not depend on threads. Outside training the images pass as they
are, but for RandomCrop.
"""

from __future__ import annotations

from typing import Any

from dlcore import _random
from dlcore._arguments import is_number
from dlcore.layers.base import Layer
from dlcore.layers.checks import channels_last, choice, expect_rank, positive
from dlcore.ops import augmentation as ops
from dlcore.ops.base import Tensor
from dlcore.ops.resize import center_crop

Bounds = tuple[float, float]
FILL_MODES, INTERPOLATIONS = ("reflect", "wrap", "constant", "nearest"), ("nearest", "bilinear")


def _plain(value: Any) -> Any:
    """A number or a pair of them, for a configuration."""
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else getattr(value, "item", lambda: value)()


class _Augmentation(Layer):
    def __init__(self, seed: int | None, data_format: str | None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self._stream = _random.stream(seed, self.name)
        self.seed = None if seed is None else int(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, "(batch, height, width, channels)")
        return self.change(x) if training else self.keep(x)

    def _numbers(self) -> int:
        """The stream of this use of the layer in the graph."""
        return (self._stream + self._draw() * 0x9E3779B97F4A7C15) % 2**64

    def change(self, x: Tensor) -> Tensor:
        """The images of a training step."""
        raise TypeError(f"{type(self).__name__} must define change(x)")

    def keep(self, x: Tensor) -> Tensor:
        """The images outside training."""
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "data_format": "channels_last"}

    def _bounds(self, value: Any, argument: str, low: float = -1.0, open_low: bool = False) -> Bounds:
        """The bounds that a number f (-|f|, |f|) or a pair stands for; within [low, 1]."""
        values = value if isinstance(value, (tuple, list)) else (value,)
        numbers = len(values) == (2 if values is value else 1) and all(is_number(v) for v in values)
        if not numbers or not all(low <= v <= 1 and not (open_low and v == low) for v in values):
            raise ValueError(
                f"{self.name}: {argument} must be a number in {'(' if open_low else '['}{low:g}, 1], or two. "
                f"Received: {argument}={value!r}"
            )
        if values is value:
            return float(min(values)), float(max(values))
        return -abs(float(value)), abs(float(value))

    def _value_range(self, value: Any) -> Bounds:
        pair = isinstance(value, (tuple, list)) and len(value) == 2
        if not pair or not all(is_number(v) for v in value):
            raise ValueError(f"{self.name}: value_range must be two numbers. Received: value_range={value!r}")
        return float(min(value)), float(max(value))


class _Sampling(_Augmentation):
    """What the layers that read between the pixels share."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        self.fill_mode = choice(fill_mode, FILL_MODES, self.name, "fill_mode")
        self.interpolation = choice(interpolation, INTERPOLATIONS, self.name, "interpolation")
        if not is_number(fill_value):
            raise ValueError(f"{self.name}: fill_value must be a number. Received: fill_value={fill_value!r}")
        self.fill_value = float(fill_value)
        self._fill = self.fill_mode, self.interpolation, self.fill_value

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


class RandomFlip(_Augmentation):
    """Flips half of the images while training: (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_flip/

    Args:
        mode: "horizontal" (left to right), "vertical" (upside down) or "horizontal_and_vertical" (both at once, which
            turns the image by a half, as in Keras 3).
        seed: of the random numbers; None draws one from `utils.set_random_seed`'s stream, or the system.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument out of range, or an input of another rank.
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        self.mode = choice(mode, ("horizontal", "vertical", "horizontal_and_vertical"), self.name, "mode")

    def change(self, x: Tensor) -> Tensor:
        return ops.random_flip(x, self._numbers(), "vertical" in self.mode, "horizontal" in self.mode)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class RandomTranslation(_Sampling):
    """Moves images while training: (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_translation/

    Args:
        height_factor: a share of the height, or lower and upper bound of it, in [-1, 1]; above 0 is down. One number f
            stands for [-f, f].
        width_factor: the same of the width; above 0 is to the right.
        fill_mode: of what comes in from outside: "reflect" (dcba|abcd|dcba), "wrap" (abcd|abcd|abcd), "nearest"
            (aaaa|abcd|dddd) or "constant" (fill_value).
        interpolation: "bilinear" or "nearest".
        seed: as for `RandomFlip`.
        fill_value: for fill_mode "constant".
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument out of range, or an input of another rank.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._height = self._bounds(height_factor, "height_factor")
        self._width = self._bounds(width_factor, "width_factor")
        self.height_factor, self.width_factor = _plain(height_factor), _plain(width_factor)

    def change(self, x: Tensor) -> Tensor:
        return ops.random_translation(x, self._numbers(), self._height, self._width, *self._fill)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomRotation(_Sampling):
    """Turns images about their middle while training: (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_rotation/

    Args:
        factor: a share of a full turn, or lower and upper bound of it, in [-1, 1]; above 0 is counter-clockwise. One
            number f stands for [-f, f].
        fill_mode, interpolation, seed, fill_value, data_format: as for `RandomTranslation`.

    Raises:
        ValueError: an argument out of range, or an input of another rank.
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = self._bounds(factor, "factor")

    def change(self, x: Tensor) -> Tensor:
        return ops.random_rotation(x, self._numbers(), self.factor, *self._fill)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor)}


class RandomZoom(_Sampling):
    """Zooms images about their middle while training: (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_zoom/

    Args:
        height_factor: p, or lower and upper bound of it, in (-1, 1]: the image gets 1 / (1 + p) of its height, so
            above 0 is out and below 0 is in. One number f stands for [-f, f].
        width_factor: the same of the width; None takes that of the height, which keeps the shape of things.
        fill_mode, interpolation, seed, fill_value, data_format: as for `RandomTranslation`.

    Raises:
        ValueError: an argument out of range, or an input of another rank.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._height = self._bounds(height_factor, "height_factor", open_low=True)
        self._width = None if width_factor is None else self._bounds(width_factor, "width_factor", open_low=True)
        self.height_factor, self.width_factor = _plain(height_factor), _plain(width_factor)

    def change(self, x: Tensor) -> Tensor:
        return ops.random_zoom(x, self._numbers(), self._height, self._width, *self._fill)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomContrast(_Augmentation):
    """Changes the contrast of images while training, (x - mean) * f + mean with the mean of each channel of each image,
    clipped to value_range: (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_contrast/

    Args:
        factor: lower and upper bound, in [0, 1]: f is drawn from [1 - lower, 1 + upper]. One number stands for both, as
            Keras' page says (its code takes 0 for the lower one).
        value_range: of the images.
        seed: as for `RandomFlip`.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument out of range, or an input of another rank.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        lower, upper = self._bounds(factor, "factor", low=0.0)
        self._range = 1 - abs(lower), 1 + upper
        self.factor, self.value_range = _plain(factor), self._value_range(value_range)

    def change(self, x: Tensor) -> Tensor:
        return ops.random_contrast(x, self._numbers(), self._range, self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": list(self.value_range)}


class RandomBrightness(_Augmentation):
    """Adds a number to each image while training, clipped to value_range: (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_brightness/

    Args:
        factor: a share of the range of values, or lower and upper bound of it, in [-1, 1]: at -1 all is black, at 1 all
            is white. One number f stands for [-f, f].
        value_range: of the images.
        seed: as for `RandomFlip`.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument out of range, or an input of another rank.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.value_range = self._bounds(factor, "factor"), self._value_range(value_range)

    def change(self, x: Tensor) -> Tensor:
        size = self.value_range[1] - self.value_range[0]
        return ops.random_brightness(
            x, self._numbers(), (self.factor[0] * size, self.factor[1] * size), self.value_range
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor), "value_range": list(self.value_range)}


class RandomCrop(_Augmentation):
    """A part of each image, from anywhere while training and from the middle otherwise: (batch, any height, any width,
    channels) -> (batch, height, width, channels). Of images that are smaller, the largest middle part of that shape is
    resized, always.

    https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_crop/

    Args:
        height, width: of the part.
        seed: as for `RandomFlip`.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument out of range, or an input of another rank.

    Each image of a batch has a place of its own (in Keras, a batch shares one), and outside training larger images are
    cropped (Keras 3.15 lets them pass as they are).
    """

    def __init__(self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any):
        super().__init__(seed, data_format, **kwargs)
        self.height, self.width = positive(height, self.name, "height"), positive(width, self.name, "width")

    def change(self, x: Tensor) -> Tensor:
        if x.shape[1] >= self.height and x.shape[2] >= self.width:
            return ops.random_crop(x, self._numbers(), (self.height, self.width))
        return self.keep(x)

    def keep(self, x: Tensor) -> Tensor:
        return center_crop(x, (self.height, self.width))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}
