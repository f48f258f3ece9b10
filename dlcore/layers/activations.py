"""Activations as layers."""

from __future__ import annotations

from typing import Any

from dlcore import activations, ops
from dlcore.layers.base import Layer
from dlcore.ops.base import Tensor


class Activation(Layer):
    """An activation by name or function, any shape.

    https://keras.io/api/layers/core_layers/activation/
    """

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(Layer):
    """max(x, 0), any shape.

    https://keras.io/api/layers/activation_layers/relu/
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.relu(x)


class Softmax(Layer):
    """exp(x) / sum exp(x) over the last axis.

    https://keras.io/api/layers/activation_layers/softmax/

    Args:
        axis: -1, the channels.
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        if axis != -1:
            raise ValueError(f"{self.name}: axis must be -1. Received: axis={axis!r}")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.softmax(x)
