"""Layers that change the shape only, and the input."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from dlcore import ops
from dlcore._arguments import checked
from dlcore.layers.base import Layer
from dlcore.layers.trace import Call
from dlcore.ops.base import Tensor
from dlcore.ops.data import gather


class Flatten(Layer):
    """(batch, ...) -> (batch, product of the rest), last axis fastest.

    https://keras.io/api/layers/reshaping_layers/flatten/
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.reshape(x, (x.shape[0], prod(x.shape[1:])))


class InputLayer(Layer):
    """Says the shape of one sample; holds nothing.

    https://keras.io/api/layers/core_layers/input/

    Args:
        shape: of one sample (`input_shape` is the same).
        dtype: None, "float32" or "uint8", which layers see as float32; "int32" for whole numbers, as Embedding wants.
    """

    def __init__(self, shape: Sequence[int] | None = None, dtype: Any = None, **kwargs: Any):
        if shape is not None:
            kwargs["input_shape"] = shape
        given = np.dtype(dtype or "float32")
        self.kind = "i" if given.kind in "iu" and given.itemsize > 1 else "f"
        super().__init__(dtype=None if given.kind in "iu" else dtype, **kwargs)
        if self.given_input_shape is None:
            raise ValueError(f"{self.name}: expected a shape. Received: shape=None")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({"dtype": "int32"} if self.kind == "i" else {})}


@checked
def Input(shape: Sequence[int], *, name: str | None = None, dtype: Any = None) -> Tensor:
    """A symbolic batch of samples of `shape`, the start of a model.

    https://keras.io/api/layers/core_layers/input/
    """
    layer = InputLayer(shape, name=name, dtype=dtype)
    x = gather(layer.name, layer.given_input_shape or (), layer.kind)
    Call(layer, (None, (), {}), x)
    return x
