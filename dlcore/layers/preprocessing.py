"""Layers that prepare data as part of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import shown
from dlcore.ops.base import Parameter, Tensor
from dlcore.ops.normalization import affine, standardize

ADAPT_BYTES = 1 << 24  # of an array that `adapt` turns into float64 at a time


def _numbers(value: Any, layer: str, argument: str) -> np.ndarray:
    """`value` as a float64 array of finite numbers, of any rank."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if not np.isfinite(array).all():
        raise ValueError(f"{layer}: {argument} must be a number or an array of them. Received: {argument}={value!r}")
    return array


def _plain(value: np.ndarray) -> Any:
    """For a configuration."""
    return float(value) if value.ndim == 0 else value.tolist()


class Rescaling(Layer):
    """x * scale + offset, any shape; `Rescaling(1 / 255)` in front of a model lets it take uint8 images as they are.

    https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/

    Args:
        scale: a number, or an array that fits the last axes of the input, as one number for each channel does.
        offset: likewise; default 0.

    Raises:
        ValueError: these are no numbers, or they do not fit the input.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self._scale, self._offset = _numbers(scale, self.name, "scale"), _numbers(offset, self.name, "offset")
        self.scale, self.offset = _plain(self._scale), _plain(self._offset)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if self._scale.ndim == self._offset.ndim == 0:
            return ops.rescale(inputs, self.scale, self.offset)
        scale, offset = np.broadcast_arrays(self._scale, self._offset)
        while scale.ndim >= inputs.ndim and scale.shape[0] == 1:
            scale, offset = scale[0], offset[0]
        last = inputs.shape[inputs.ndim - scale.ndim :]
        if scale.ndim >= inputs.ndim or any(a not in (1, b) for a, b in zip(scale.shape, last, strict=True)):
            raise ValueError(
                f"{self.name}: scale and offset must fit the last axes of the input. Received: shapes "
                f"{self._scale.shape} and {self._offset.shape} for an input of shape {shown(inputs.shape)}"
            )
        scale, offset = (np.broadcast_to(array, last) for array in (scale, offset))
        return affine(inputs, scale, offset)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Normalization(Layer):
    """(x - mean) / sqrt(variance), with numbers that `adapt` takes from data or that are given.

    https://keras.io/api/layers/preprocessing_layers/numerical/normalization/

    Args:
        axis: axis or axes with a mean and a variance for each position, all others share them; default -1. None for one
            mean and one variance.
        mean, variance: numbers, or arrays that fit these axes; both or neither.
        invert: multiply by the deviation and add the mean instead.

    Weights: mean, variance and count, none of them trainable; no weights where mean and variance are given. A deviation
    below 1e-7 counts as that.

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        axes = () if axis is None else tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise ValueError(f"{self.name}: axis must be whole numbers or None. Received: axis={axis!r}")
        if (mean is None) != (variance is None):
            raise ValueError(
                f"{self.name}: mean and variance must be given both or not at all. "
                f"Received: mean={mean!r}, variance={variance!r}"
            )
        self.axis, self.invert = axes, bool(invert)
        self.given: tuple[np.ndarray, np.ndarray] | None = None
        if mean is not None:
            self.given = _numbers(mean, self.name, "mean"), _numbers(variance, self.name, "variance")
            if self.given[0].shape != self.given[1].shape or self.given[0].ndim > len(axes):
                raise ValueError(
                    f"{self.name}: mean and variance must have one shape, with no more axes than axis={axis!r} names. "
                    f"Received: shapes {self.given[0].shape} and {self.given[1].shape}"
                )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        sizes = self._sizes(input_shape)
        if self.given is None:
            self.mean = self.add_weight(shape=sizes, name="mean", initializer="zeros", trainable=False)
            self.variance = self.add_weight(shape=sizes, name="variance", initializer="ones", trainable=False)
            self.count = self.add_weight(shape=(), name="count", initializer="zeros", trainable=False)
            return
        try:
            mean, variance = (np.broadcast_to(array, sizes) for array in self.given)
        except ValueError:
            raise ValueError(
                f"{self.name}: mean and variance must fit axes of sizes {sizes}. Received: shape {self.given[0].shape}"
            ) from None
        self.mean = Parameter(sizes, mean, f"{self.name}/mean", trainable=False)
        self.variance = Parameter(sizes, variance, f"{self.name}/variance", trainable=False)

    def _axes(self, shape: tuple[Any, ...]) -> tuple[int, ...]:
        """Axes with means of their own, positive and rising."""
        axes = tuple(sorted({a + len(shape) if a < 0 else a for a in self.axis}))
        if (axes and not 1 <= axes[0] <= axes[-1] < len(shape)) or len(axes) != len(self.axis) or len(shape) < 2:
            raise ValueError(
                f"{self.name}: axis must name axes of the input other than the batch, each once. "
                f"Received: axis={self.axis} for an input of shape {shown(shape)}"
            )
        return axes

    def _sizes(self, shape: tuple[Any, ...]) -> tuple[int, ...]:
        return tuple(int(shape[a]) for a in self._axes(shape))

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of `data`: an array (batch, ...), or an iterable of such batches, where a
        tuple stands for its first entry, as in (x, y). Computed in float64; the variance divides by the number.

        Raises:
            ValueError: mean and variance were given, there is no data, or its shape does not fit.
        """
        if self.given is not None:
            raise ValueError(f"{self.name}: adapt cannot change the mean and variance that were given")
        count, mean, square = 0, np.zeros(()), np.zeros(())
        for x in self._batches(data):
            if not self.built:
                self.build((None, *x.shape[1:]))
                self.built = True
            if x.ndim < 2 or self._sizes(x.shape) != self.mean.shape:
                raise ValueError(
                    f"{self.name}: expected data of sizes {self.mean.shape} along axes {self.axis}. "
                    f"Received: shape {x.shape}"
                )
            shared = tuple(a for a in range(x.ndim) if a not in self._axes(x.shape))
            more = prod(x.shape[a] for a in shared)
            if more == 0:
                continue
            here = x.mean(axis=shared, keepdims=True)
            deviations = ((x - here) ** 2).sum(axis=shared)
            here = here.reshape(self.mean.shape)
            share, delta = more / (count + more), here - mean  # Chan's formula
            square = square + deviations + delta**2 * share * count
            mean, count = mean + delta * share, count + more
        if count == 0:
            raise ValueError(f"{self.name}: adapt needs at least one sample. Received: none")
        self.mean.assign(mean)
        self.variance.assign(square / count)

    def _batches(self, data: Any) -> Iterator[np.ndarray]:
        """Parts of the data, in float64."""
        if not hasattr(data, "shape") and not isinstance(data, Iterable):
            raise TypeError(
                f"{self.name}: adapt takes an array or an iterable of batches. Received: {type(data).__name__}"
            )
        for batch in [data] if hasattr(data, "shape") else data:
            x = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
            rows = max(1, ADAPT_BYTES // max(8 * prod(x.shape[1:]), 1))
            for first in range(0, len(x) if x.ndim else 0, rows):
                yield x[first : first + rows].astype(np.float64)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if self._sizes(inputs.shape) != self.mean.shape:
            raise ValueError(
                f"{self.name}: expected an input of sizes {self.mean.shape} along axes {self.axis}. "
                f"Received: {shown(inputs.shape)}"
            )
        return standardize(inputs, self.mean, self.variance, self._axes(inputs.shape), self.invert)

    def get_config(self) -> dict[str, Any]:
        mean, variance = (None, None) if self.given is None else map(_plain, self.given)
        return {
            **super().get_config(), "axis": list(self.axis), "mean": mean, "variance": variance, "invert": self.invert,
        }  # fmt: skip
