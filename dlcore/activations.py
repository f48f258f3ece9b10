"""Activation functions of Keras, by name: relu, sigmoid, tanh, softmax, linear. They take and give symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcore.ops import Tensor, relu, sigmoid, softmax, tanh

__all__ = ["get", "linear", "relu", "sigmoid", "softmax", "tanh"]


def linear(x: Tensor) -> Tensor:
    """x."""
    return x


_BY_NAME: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": linear, "relu": relu, "sigmoid": sigmoid, "softmax": softmax, "tanh": tanh,
}  # fmt: skip


def get(identifier: Any) -> Callable[[Tensor], Tensor]:
    """An activation from its name (None: linear) or any function of a tensor.

    Raises:
        ValueError: an unknown name.
    """
    if identifier is None:
        return linear
    if callable(identifier):
        function: Callable[[Tensor], Tensor] = identifier
        return function
    if identifier not in _BY_NAME:
        raise ValueError(f"activation: expected one of {sorted(_BY_NAME)}. Received: {identifier!r}")
    return _BY_NAME[identifier]


def serialize(activation: Callable[[Tensor], Tensor]) -> str:
    """The name that `get` understands.

    Raises:
        ValueError: not one of this module's functions.
    """
    for name, function in _BY_NAME.items():
        if function is activation:
            return name
    raise ValueError(f"activation: {activation!r} cannot be saved: it is not one of {sorted(_BY_NAME)}")
