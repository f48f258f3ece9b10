"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcore import ops
from dlcore.layers.checks import channels_last, choice, shown
from dlcore.layers.spatial import Spatial
from dlcore.ops.base import Tensor

MOST_PIXELS = 1 << 24  # of a window


class _Pooling(Spatial):
    pool: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.pool_size = self.sizes(pool_size, "pool_size")
        height, width = self.plane(self.pool_size)
        if height * width > MOST_PIXELS:
            raise ValueError(
                f"{self.name}: pool_size must not hold more than {MOST_PIXELS} pixels. Received: pool_size={pool_size}"
            )
        self.strides = self.pool_size if strides is None else self.sizes(strides, "strides")
        self.padding = choice(padding, ("valid", "same"), self.name, "padding")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        self.expect(x.shape)
        image = self.image(x)
        padding = self.padding_of(image, self.padding, self.pool_size, self.strides, (1,) * self.rank)
        try:
            y = type(self).pool(image, self.plane(self.pool_size), self.plane(self.strides), padding)
        except ValueError:
            raise ValueError(
                f"{self.name}: expected an input that a window of {self.pool_size} fits into. "
                f"Received: {shown(x.shape)}"
            ) from None
        return self.from_image(y)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "pool_size": list(self.pool_size), "strides": list(self.strides),
            "padding": self.padding, "data_format": "channels_last",
        }  # fmt: skip


class _GlobalPooling(Spatial):
    pool: Callable[..., Tensor]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.keepdims = bool(keepdims)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        self.expect(x.shape)
        image = self.image(x)
        size = image.shape[1:3]
        y = type(self).pool(image, size, size)
        return self.from_image(y) if self.keepdims else ops.reshape(y, (y.shape[0], y.shape[3]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": "channels_last", "keepdims": self.keepdims}


class MaxPooling1D(_Pooling):
    """Maximum over windows: (batch, steps, channels) -> (batch, new steps, channels).

    https://keras.io/api/layers/pooling_layers/max_pooling1d/

    Args:
        pool_size: int, default 2.
        strides: int, default pool_size.
        padding: "valid", or "same" for ceil(steps / stride) steps; padding never wins. A NaN always does.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1
    pool = staticmethod(ops.max_pool2d)


class MaxPooling2D(_Pooling):
    """Maximum over windows: (batch, height, width, channels) -> (batch, new height, new width, channels).

    https://keras.io/api/layers/pooling_layers/max_pooling2d/

    Args:
        pool_size: int or (height, width), default 2.
        strides: int or pair, default pool_size.
        padding: "valid", or "same" for ceil(size / stride) positions; padding never wins. A NaN always does.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    pool = staticmethod(ops.max_pool2d)


class AveragePooling1D(_Pooling):
    """Mean over windows: (batch, steps, channels) -> (batch, new steps, channels).

    https://keras.io/api/layers/pooling_layers/average_pooling1d/

    Args:
        pool_size: int, default 2.
        strides: int, default pool_size.
        padding: "valid", or "same" for ceil(steps / stride) steps; padding does not count.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1
    pool = staticmethod(ops.average_pool2d)


class AveragePooling2D(_Pooling):
    """Mean over windows: (batch, height, width, channels) -> (batch, new height, new width, channels).

    https://keras.io/api/layers/pooling_layers/average_pooling2d/

    Args:
        pool_size: int or (height, width), default 2.
        strides: int or pair, default pool_size.
        padding: "valid", or "same" for ceil(size / stride) positions; padding does not count.
        data_format: None or "channels_last".

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    pool = staticmethod(ops.average_pool2d)


class GlobalMaxPooling1D(_GlobalPooling):
    """Maximum over all steps: (batch, steps, channels) -> (batch, channels).

    https://keras.io/api/layers/pooling_layers/global_max_pooling1d/

    Args:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, channels), default False.

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1
    pool = staticmethod(ops.max_pool2d)


class GlobalMaxPooling2D(_GlobalPooling):
    """Maximum over all pixels: (batch, height, width, channels) -> (batch, channels).

    https://keras.io/api/layers/pooling_layers/global_max_pooling2d/

    Args:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, 1, channels), default False.

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    pool = staticmethod(ops.max_pool2d)


class GlobalAveragePooling1D(_GlobalPooling):
    """Mean over all steps: (batch, steps, channels) -> (batch, channels).

    https://keras.io/api/layers/pooling_layers/global_average_pooling1d/

    Args:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, channels), default False.

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1
    pool = staticmethod(ops.average_pool2d)


class GlobalAveragePooling2D(_GlobalPooling):
    """Mean over all pixels: (batch, height, width, channels) -> (batch, channels).

    https://keras.io/api/layers/pooling_layers/global_average_pooling2d/

    Args:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, 1, channels), default False.

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    pool = staticmethod(ops.average_pool2d)


MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
