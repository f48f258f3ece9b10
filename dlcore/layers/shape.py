"""Layers that change the shape only, and the input."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from dlcore import ops
from dlcore._arguments import checked
from dlcore.layers.base import Layer
from dlcore.layers.checks import channels_last, only, positive
from dlcore.layers.trace import Call
from dlcore.ops.base import Tensor
from dlcore.ops.data import gather


class Flatten(Layer):
    """(batch, ...) -> (batch, product of the rest), last axis fastest.

    https://keras.io/api/layers/reshaping_layers/flatten/

    Args:
        data_format: None or "channels_last".
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.reshape(x, (x.shape[0], prod(x.shape[1:])))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": "channels_last"}


class Identity(Layer):
    """Gives what it gets.

    https://keras.io/api/layers/core_layers/identity/
    """

    def call(self, x: Any, training: bool = False) -> Any:
        return x


class InputLayer(Layer):
    """Says the shape of one sample; holds nothing.

    https://keras.io/api/layers/core_layers/input/

    Args:
        shape: of one sample (`input_shape` is the same).
        batch_size: not used: a model takes batches of any size.
        dtype: None, "float32" or "uint8", which layers see as float32; "int32" for whole numbers, as Embedding wants.
        sparse, ragged, optional: only False (or None).
        batch_shape: shape with the batch in front, instead of `shape`.
        input_tensor: only None.

    Raises:
        ValueError: no shape, or two; another value of an argument.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        if shape is not None:
            kwargs["input_shape"] = shape
        if batch_shape is not None:
            kwargs["batch_input_shape"] = batch_shape
        try:
            given = np.dtype(dtype or "float32")
        except TypeError:  # refused below, by the layer's name
            given = np.dtype("float32")
        self.kind = "i" if given.kind in "iu" and given.itemsize > 1 else "f"
        super().__init__(dtype=None if given.kind in "iu" else dtype, name=name, **kwargs)
        if batch_size is not None:
            positive(batch_size, self.name, "batch_size")
        if shape is not None and batch_shape is not None:
            raise ValueError(f"{self.name}: expected shape or batch_shape. Received both")
        only(sparse, (None, False), self.name, "sparse")
        only(ragged, (None, False), self.name, "ragged")
        only(input_tensor, (None,), self.name, "input_tensor")
        only(optional, (False,), self.name, "optional")
        if self.given_input_shape is None:
            raise ValueError(f"{self.name}: expected a shape. Received: shape=None")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({"dtype": "int32"} if self.kind == "i" else {})}


@checked
def Input(
    shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: None = None,
    optional: bool = False,
) -> Tensor:
    """A symbolic batch of samples of `shape`, the start of a model.

    https://keras.io/api/layers/core_layers/input/

    Args: those of `InputLayer`, `tensor` being its `input_tensor`.

    Raises:
        ValueError: as InputLayer.
    """
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)
    x = gather(layer.name, layer.given_input_shape or (), layer.kind)
    Call(layer, (None, (), {}), x)
    return x
