"""Layers that draw random numbers while training."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from dlcore import _random, ops
from dlcore._arguments import is_number
from dlcore.layers.base import Layer
from dlcore.layers.checks import channels_last, expect_rank
from dlcore.ops.base import Tensor


class _Noise(Layer):
    """Does nothing outside training. `_stream` names the random numbers: they are Philox of (stream, number of the use
    of the layer in the graph, training step, element), so they do not depend on threads."""

    def __init__(self, seed: int | None, **kwargs: Any):
        super().__init__(**kwargs)
        self._stream = _random.stream(seed, self.name)
        self.seed = None if seed is None else int(seed)

    def _share(self, rate: Any) -> float:
        if not is_number(rate) or not 0 <= rate < 1:
            raise ValueError(f"{self.name}: rate must be a number in [0, 1). Received: rate={rate!r}")
        return float(rate)


class Dropout(_Noise):
    """Sets a share of the elements to 0 while training and scales the others up; does nothing otherwise. Any shape.

    https://keras.io/api/layers/regularization_layers/dropout/

    Args:
        rate: share of elements dropped, 0 <= rate < 1.
        noise_shape: shape of the mask, batch included: None or the size of the input for an axis along which each
            element is drawn, 1 for one that shares a number. Default: each element is drawn.
        seed: of the random numbers; None draws one from `utils.set_random_seed`'s stream, or the system.

    Raises:
        ValueError: an argument out of range, or an input that noise_shape does not suit.

    Source: Srivastava et al., JMLR 15 (2014). The numbers are Philox of (seed, use of the layer, training step,
    element), so they do not depend on threads.
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(seed, **kwargs)
        self.rate = self._share(rate)
        self.noise_shape = None if noise_shape is None else self._sizes(noise_shape)

    def _sizes(self, noise_shape: Any) -> tuple[int | None, ...]:
        whole = isinstance(noise_shape, (tuple, list)) and all(
            size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0) for size in noise_shape
        )
        if not whole:
            raise ValueError(
                f"{self.name}: noise_shape must hold positive whole numbers or None, one for each axis. "
                f"Received: noise_shape={noise_shape!r}"
            )
        return tuple(noise_shape)

    def _noise_shape(self, x: Tensor) -> tuple[int | None, ...] | None:
        noise = self.noise_shape
        if noise is not None and (
            len(noise) != x.ndim or any(m not in (None, 1, n) for m, n in zip(noise[1:], x.shape[1:], strict=False))
        ):
            raise ValueError(
                f"{self.name}: expected an input that noise_shape={noise} suits, each size of it None, 1 or the "
                f"input's. Received: {x.shape}"
            )
        return noise

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        noise = self._noise_shape(x)
        return ops.dropout(x, self.rate, self._stream, self._draw(), noise) if training and self.rate else x

    def get_config(self) -> dict[str, Any]:
        noise = None if self.noise_shape is None else list(self.noise_shape)
        return {**super().get_config(), "rate": self.rate, "seed": self.seed, "noise_shape": noise}


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks with SELU activations: dropped elements take SELU's lowest
    value, and a linear function brings mean and variance back. Does nothing outside training. Any shape.

    https://keras.io/api/layers/regularization_layers/alpha_dropout/

    Args: those of `Dropout`.

    Source: Klambauer et al., Self-Normalizing Neural Networks (arXiv 1706.02515).
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        noise = self._noise_shape(x)
        return ops.alpha_dropout(x, self.rate, self._stream, self._draw(), noise) if training and self.rate else x


class _SpatialDropout(_Noise):
    rank: int
    layout: str

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        self.rate = self._share(rate)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, self.rank, self, self.layout)
        noise = (None, *(1,) * (self.rank - 2), None)
        return ops.dropout(x, self.rate, self._stream, self._draw(), noise) if training and self.rate else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of (batch, steps, channels), as neighbouring steps say much the same.

    https://keras.io/api/layers/regularization_layers/spatial_dropout1d/

    Args:
        rate: share of channels dropped, 0 <= rate < 1.
        seed: as for `Dropout`.

    Raises:
        ValueError: an argument out of range, or an input of another rank.

    Source: Tompson et al., arXiv 1411.4280.
    """

    rank, layout = 3, "(batch, steps, channels)"


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of (batch, height, width, channels), as neighbouring pixels say much the same.

    https://keras.io/api/layers/regularization_layers/spatial_dropout2d/

    Args:
        rate: share of channels dropped, 0 <= rate < 1.
        data_format: "channels_last".
        seed: as for `Dropout`.

    Raises:
        ValueError: an argument out of range, or an input of another rank.

    Source: Tompson et al., arXiv 1411.4280.
    """

    rank, layout = 4, "(batch, height, width, channels)"

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any):
        super().__init__(rate, seed, **kwargs)
        channels_last(data_format, self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": "channels_last"}


class GaussianNoise(_Noise):
    """Adds normal numbers of mean 0 while training; does nothing otherwise. Any shape.

    https://keras.io/api/layers/regularization_layers/gaussian_noise/

    Args:
        stddev: their standard deviation, not negative. (Keras refuses more than 1.)
        seed: as for `Dropout`.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        if not is_number(stddev) or not isfinite(stddev) or stddev < 0:
            raise ValueError(f"{self.name}: stddev must be a number of at least 0. Received: stddev={stddev!r}")
        self.stddev = float(stddev)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.gaussian_noise(x, self.stddev, self._stream, self._draw()) if training and self.stddev else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(_Noise):
    """Multiplies by normal numbers of mean 1 and deviation sqrt(rate / (1 - rate)) while training, the variance that
    Dropout has; does nothing otherwise. Any shape.

    https://keras.io/api/layers/regularization_layers/gaussian_dropout/

    Args:
        rate: 0 <= rate < 1.
        seed: as for `Dropout`.

    Raises:
        ValueError: an argument out of range.

    Source: Srivastava et al., JMLR 15 (2014).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        self.rate = self._share(rate)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.gaussian_dropout(x, self.rate, self._stream, self._draw()) if training and self.rate else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
