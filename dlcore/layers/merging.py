"""Layers that make one tensor of several, element by element; their shapes broadcast.

https://keras.io/api/layers/merging_layers/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import shown
from dlcore.ops.base import Tensor


class _Merge(Layer):
    """A layer of a list of inputs (batch, ...), whose shapes broadcast after the batch: `merge` joins two."""

    def build(self, input_shape: Any) -> None:
        several = isinstance(input_shape, (list, tuple)) and all(isinstance(s, tuple) for s in input_shape)
        if not several or not input_shape:
            received = input_shape if isinstance(input_shape, list) else shown(input_shape)
            raise ValueError(f"{self.name}: expected a list of inputs. Received: shapes {received}")

    def call(self, x: Any, training: bool = False) -> Tensor:
        if isinstance(x, Tensor) or not x:
            raise ValueError(f"{self.name}: expected a list of inputs. Received: {x!r}")
        rank = max(tensor.ndim for tensor in x)
        y, *others = [_with_rank(tensor, rank) for tensor in x]
        for other in others:
            try:
                y = self.merge(y, other)
            except ValueError:
                shapes = ", ".join(shown(tensor.shape) for tensor in x)
                raise ValueError(
                    f"{self.name}: expected inputs whose shapes broadcast. Received: shapes {shapes}"
                ) from None
        return y

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define merge(a, b)")


def _with_rank(x: Tensor, rank: int) -> Tensor:
    """x with ones after the batch."""
    return x if x.ndim == rank else ops.reshape(x, (x.shape[0], *[1] * (rank - x.ndim), *x.shape[1:]))


class Add(_Merge):
    """Sum of a list of inputs whose shapes broadcast.

    https://keras.io/api/layers/merging_layers/add/
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.add(a, b)


class Subtract(_Merge):
    """The first of two inputs less the second.

    https://keras.io/api/layers/merging_layers/subtract/
    """

    def call(self, x: Any, training: bool = False) -> Tensor:
        if isinstance(x, Tensor) or len(x) != 2:
            count = 1 if isinstance(x, Tensor) else len(x)
            raise ValueError(f"{self.name}: expected exactly 2 inputs. Received: {count}")
        return super().call(x)

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.subtract(a, b)


class Multiply(_Merge):
    """Product of a list of inputs whose shapes broadcast.

    https://keras.io/api/layers/merging_layers/multiply/
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.multiply(a, b)


class Average(_Merge):
    """Mean of a list of inputs whose shapes broadcast.

    https://keras.io/api/layers/merging_layers/average/
    """

    def call(self, x: Any, training: bool = False) -> Tensor:
        return ops.rescale(super().call(x), 1.0 / len(x))

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.add(a, b)


class Maximum(_Merge):
    """Greatest of a list of inputs whose shapes broadcast.

    https://keras.io/api/layers/merging_layers/maximum/
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.maximum(a, b)


class Minimum(_Merge):
    """Least of a list of inputs whose shapes broadcast.

    https://keras.io/api/layers/merging_layers/minimum/
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.minimum(a, b)


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Sum of `inputs`, by a layer made for it: https://keras.io/api/layers/merging_layers/add/"""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Difference of two, by a layer made for it: https://keras.io/api/layers/merging_layers/subtract/"""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Product of `inputs`, by a layer made for it: https://keras.io/api/layers/merging_layers/multiply/"""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Mean of `inputs`, by a layer made for it: https://keras.io/api/layers/merging_layers/average/"""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Greatest of `inputs`, by a layer made for it: https://keras.io/api/layers/merging_layers/maximum/"""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Least of `inputs`, by a layer made for it: https://keras.io/api/layers/merging_layers/minimum/"""
    return Minimum(**kwargs)(inputs)
