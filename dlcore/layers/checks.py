"""Checking the arguments of layers and the shapes of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcore.ops.base import BATCH, Tensor

if TYPE_CHECKING:
    from dlcore.layers.base import Layer

Pair = tuple[int, int]


def sample_shape(shape: Any, layer: str, argument: str) -> tuple[int, ...]:
    """`shape` as a tuple of positive ints, without the batch."""
    try:
        sizes = tuple(shape)
    except TypeError:  # one number
        sizes = (shape,)
    if not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
        raise ValueError(
            f"{layer}: {argument} must hold positive whole numbers, without the batch. Received: {argument}={shape!r}"
        )
    return tuple(int(size) for size in sizes)


def positive(value: Any, layer: str, argument: str) -> int:
    """`value` as an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{layer}: {argument} must be a positive whole number. Received: {argument}={value!r}")
    return int(value)


def pair(value: Any, layer: str, argument: str) -> Pair:
    """A positive int, or two, as (height, width)."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{layer}: {argument} must be one whole number or two. Received: {argument}={value!r}")
    return positive(values[0], layer, argument), positive(values[1], layer, argument)


def choice(value: Any, allowed: Sequence[str], layer: str, argument: str) -> str:
    """`value`, in lower case, if it is one of `allowed`."""
    if not isinstance(value, str) or value.lower() not in allowed:
        raise ValueError(f"{layer}: {argument} must be one of {tuple(allowed)}. Received: {argument}={value!r}")
    return value.lower()


def expect_rank(x: Tensor, rank: int, layer: Layer, layout: str) -> None:
    """Refuse an input of another rank, in the words of the layer."""
    if x.ndim != rank:
        raise ValueError(f"{layer.name}: expected an input of shape {layout}. Received: {shown(x.shape)}")


def shown(shape: Sequence[Any]) -> str:
    """A shape as Keras prints it: None for the batch."""
    return str(tuple(None if size is BATCH else size for size in shape))


def only(value: Any, allowed: Sequence[Any], layer: str, argument: str) -> None:
    """Refuse other values of an argument of Keras' that has no meaning here."""
    if not any(value is one or (type(value) is type(one) and value == one) for one in allowed):
        raise ValueError(
            f"{layer}: {argument} must be {' or '.join(map(repr, allowed))}. Received: {argument}={value!r}"
        )


def is_float32(dtype: Any) -> bool:
    """Whether `dtype` means float32, in the words of NumPy or Keras."""
    if isinstance(dtype, dict):  # of a policy
        dtype = dtype.get("config", {}).get("name") if isinstance(dtype.get("config"), dict) else dtype
    return dtype is None or dtype is np.float32 or (isinstance(dtype, (str, np.dtype)) and dtype == "float32")


def channels_last(data_format: Any, layer: str) -> None:
    """dlcore has one layout."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{layer}: data_format must be 'channels_last', the one layout of dlcore (transpose the data "
            f"once instead). Received: data_format={data_format!r}"
        )
