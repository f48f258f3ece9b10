"""Activation functions of Keras, by name. They take and give symbolic tensors; most are `dlcore.ops` of that name.

https://keras.io/api/layers/activations/
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dlcore import _objects
from dlcore._arguments import nearest
from dlcore.ops import (
    Tensor,
    celu,
    elu,
    gelu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from dlcore.ops import exp as exponential

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]

swish, hard_swish = silu, hard_silu


def linear(x: Tensor) -> Tensor:
    """x."""
    return x


_BY_NAME: dict[str, Callable[..., Tensor]] = {
    "celu": celu, "elu": elu, "exponential": exponential, "gelu": gelu, "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu, "hard_swish": hard_silu, "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu, "linear": linear, "log_sigmoid": log_sigmoid, "log_softmax": log_softmax, "mish": mish,
    "relu": relu, "relu6": relu6, "selu": selu, "sigmoid": sigmoid, "silu": silu, "soft_shrink": soft_shrink,
    "softmax": softmax, "softplus": softplus, "softsign": softsign, "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid, "squareplus": squareplus, "swish": silu, "tanh": tanh,
    "tanh_shrink": tanh_shrink, "threshold": threshold,
}  # fmt: skip


def get(identifier: Any) -> Callable[[Tensor], Tensor]:
    """An activation from its name (None: linear), from what `serialize` gives, or any function of a tensor.

    Raises:
        ValueError: an unknown name.
    """
    if identifier is None:
        return linear
    if callable(identifier):
        function: Callable[[Tensor], Tensor] = identifier
        return function
    if isinstance(identifier, dict):
        name, config = identifier.get("class_name"), identifier.get("config")
        if name == "function":  # Keras' way to write a name down
            return get(config)
        return partial(_named(name), **config) if config else _named(name)
    return _named(identifier)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable[[Tensor], Tensor]:
    """The activation that `serialize` described; custom_objects holds functions of the user by name.

    Raises:
        ValueError: an unknown name.
    """
    with _objects.custom_object_scope(custom_objects):
        return get(config)


def _named(name: Any) -> Callable[..., Tensor]:
    if not isinstance(name, str) or name not in _BY_NAME:
        own: Callable[..., Tensor] | None = _objects.find(name, None)
        if own is not None:
            return own
        raise ValueError(f"activation: expected one of {sorted(_BY_NAME)}. Received: {name!r}{nearest(name, _BY_NAME)}")
    return _BY_NAME[name]


def serialize(activation: Callable[[Tensor], Tensor]) -> str | dict[str, Any]:
    """The name that `get` understands; a dict for a `functools.partial` of keyword arguments.

    Raises:
        ValueError: neither one of this module's functions, nor one of the user's that has a name.
    """
    if isinstance(activation, partial) and not activation.args:
        return {"class_name": serialize(activation.func), "config": dict(activation.keywords)}
    for name, function in _BY_NAME.items():
        if function is activation:
            return "silu" if function is silu else name
    own = _objects.name_of(activation, _BY_NAME)
    if own is None:
        raise ValueError(f"activation: {activation!r} cannot be saved: it is not one of {sorted(_BY_NAME)}")
    return own
