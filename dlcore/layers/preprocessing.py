"""Layers that prepare data as part of the model."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.ops.base import Tensor


class Rescaling(Layer):
    """x * scale + offset, any shape; `Rescaling(1 / 255)` in front of a model lets it take uint8 images as they are.

    https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale, self.offset = float(scale), float(offset)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.rescale(x, self.scale, self.offset)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}
