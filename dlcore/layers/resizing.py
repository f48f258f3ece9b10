"""Images of any size to images of one size."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import channels_last, choice, expect_rank, positive
from dlcore.ops.base import Tensor
from dlcore.ops.resize import INTERPOLATIONS, center_crop, crop_to_aspect

IMAGES = "(batch, height, width, channels)"


def _pad_to_aspect(x: Tensor, height: int, width: int, value: float) -> Tensor:
    """x in the middle of a field that has the shape of (height, width), or is one short of it."""
    ih, iw = x.shape[1:3]
    top, left = (max(ih, iw * height // width) - ih) // 2, (max(iw, ih * width // height) - iw) // 2
    return ops.pad(x, ((top, top), (left, left)), value)


class Resizing(Layer):
    """(batch, any height, any width, channels) -> (batch, height, width, channels).

    https://keras.io/api/layers/preprocessing_layers/image_preprocessing/resizing/

    Args:
        height, width: of the output.
        interpolation: "bilinear", "nearest" or "bicubic", default "bilinear"; pixel centres lie at halves.
        crop_to_aspect_ratio: cut off what would be distorted, default False.
        pad_to_aspect_ratio: add a border so that nothing is distorted, default False; not both.
        fill_mode: "constant".
        fill_value: of that border, default 0.
        antialias: False.
        data_format: None or "channels_last".

    Raises:
        ValueError: another value of an argument, or the input is not a batch of images.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.height = positive(height, self.name, "height")
        self.width = positive(width, self.name, "width")
        self.interpolation = choice(interpolation, tuple(INTERPOLATIONS), self.name, "interpolation")
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(
                f"{self.name}: crop_to_aspect_ratio and pad_to_aspect_ratio must not both be set. Received: True, True"
            )
        self.fill_mode = choice(fill_mode, ("constant",), self.name, "fill_mode")
        self.fill_value = float(fill_value)
        if antialias:
            raise ValueError(f"{self.name}: antialias must be False. Received: antialias={antialias!r}")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, IMAGES)
        if self.crop_to_aspect_ratio:
            x = crop_to_aspect(x, (self.height, self.width))
        elif self.pad_to_aspect_ratio:
            x = _pad_to_aspect(x, self.height, self.width, self.fill_value)
        return ops.resize(x, (self.height, self.width), self.interpolation)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "height": self.height, "width": self.width, "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio, "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode, "fill_value": self.fill_value, "antialias": False,
            "data_format": "channels_last",
        }  # fmt: skip


class CenterCrop(Layer):
    """The middle (height, width) of images; where they are smaller on a side, the largest middle part of that shape,
    resized bilinearly.

    https://keras.io/api/layers/preprocessing_layers/image_preprocessing/center_crop/

    Args:
        height, width: of the output.
        data_format: None or "channels_last".

    Raises:
        ValueError: not positive whole numbers, or the input is not a batch of images.
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.height = positive(height, self.name, "height")
        self.width = positive(width, self.name, "width")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, IMAGES)
        return center_crop(x, (self.height, self.width))

    def get_config(self) -> dict[str, Any]:
        config = {"height": self.height, "width": self.width, "data_format": "channels_last"}
        return {**super().get_config(), **config}
