"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer, channels_last, choice, expect_rank, pair, shown
from dlcore.ops.base import Tensor
from dlcore.ops.windows import same_padding


class _Pooling2D(Layer):
    """(batch, height, width, channels) -> (batch, new height, new width, channels)."""

    pool: Callable[..., Tensor]
    most_pixels = 1 << 24

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.pool_size = pair(pool_size, self.name, "pool_size")
        if self.pool_size[0] * self.pool_size[1] > self.most_pixels:
            raise ValueError(
                f"{self.name}: pool_size must not hold more than {self.most_pixels} pixels. "
                f"Received: pool_size={pool_size}"
            )
        self.strides = self.pool_size if strides is None else pair(strides, self.name, "strides")
        self.padding = choice(padding, ("valid", "same"), self.name, "padding")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 4, self, "(batch, height, width, channels)")
        padding = ((0, 0), (0, 0))
        if self.padding == "same":
            sizes = zip(x.shape[1:3], self.pool_size, self.strides, strict=True)
            vertical, horizontal = (same_padding(*axis) for axis in sizes)
            padding = (vertical, horizontal)
        try:
            return type(self).pool(x, self.pool_size, self.strides, padding)
        except ValueError:
            raise ValueError(
                f"{self.name}: expected an input that a window of {self.pool_size} fits into. "
                f"Received: {shown(x.shape)}"
            ) from None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
        }


class MaxPooling2D(_Pooling2D):
    """Maximum over windows: (batch, height, width, channels) -> (batch, new height, new width, channels).

    https://keras.io/api/layers/pooling_layers/max_pooling2d/

    Args:
        pool_size: int or (height, width), default 2; at most 256 pixels.
        strides: int or pair, default pool_size.
        padding: "valid", or "same" for ceil(size / stride) positions; padding never wins. A NaN always does.
        data_format: None or "channels_last".
    """

    pool = staticmethod(ops.max_pool2d)
    most_pixels = 256  # the winner's position is kept in a byte


class AveragePooling2D(_Pooling2D):
    """Mean over windows: (batch, height, width, channels) -> (batch, new height, new width, channels).

    https://keras.io/api/layers/pooling_layers/average_pooling2d/

    Args:
        pool_size: int or (height, width), default 2.
        strides: int or pair, default pool_size.
        padding: "valid", or "same" for ceil(size / stride) positions; padding does not count.
        data_format: None or "channels_last".
    """

    pool = staticmethod(ops.average_pool2d)


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
