"""Layers by name, and the weights they take from a file while they are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from dlcore import _objects, layers
from dlcore.layers.base import KINDS, Layer
from dlcore.layers.trace import limited
from dlcore.models.functional import Functional
from dlcore.models.sequential import Sequential
from dlcore.saving.tree import MAX_LAYERS

MAX_CALLS = 50_000  # of layers, while a file is read: a model that calls a model twice, that calls one twice, ...

# Every class of dlcore that a file may name. Closed: no import paths, no functions.
_BY_NAME: dict[str, type[Layer]] = {
    cls.__name__: cls for cls in map(vars(layers).get, layers.__all__) if isinstance(cls, type) and cls is not Layer
} | {"Sequential": Sequential, "Functional": Functional}

Read = Callable[[str, tuple[int, ...]], np.ndarray]


class _Reading:
    """One loading: `read(path, shape)` gives a weight; `names` leads to the layer being made."""

    def __init__(self, read: Read):
        self.read = read
        self.names: list[str] = []
        self.made: list[Layer] = []
        self.within_own = 0  # layers of the user's around the one being made


_reading: ContextVar[_Reading | None] = ContextVar("reading", default=None)


def is_own(layer: Layer) -> bool:
    """Whether a layer or model is of a class of the user's."""
    return type(layer) is not _BY_NAME.get(type(layer).__name__)


def serialize_layer(layer: Layer) -> dict[str, Any]:
    """{"class_name": ..., "config": ...} of a layer or model, as `deserialize_layer` understands it.

    Raises:
        ValueError: a class, or a function given as an argument, that has no name in a file.
    """
    name: str | None = type(layer).__name__
    if is_own(layer):
        name = _objects.name_of(type(layer), _BY_NAME)
        if name is None:
            raise ValueError(
                f"{layer.name}: a {type(layer).__name__} of your own cannot be saved: expected layers of dlcore, "
                f"{sorted(_BY_NAME)}, or a class that dlcore.saving.register_keras_serializable gave another name"
            )
    else:
        _check_functions(layer)
    config = layer.get_config()
    found = {"class_name": name, "config": config}
    return found if isinstance(config.get("name"), str) else {**found, "name": layer.name}


def deserialize_layer(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Layer:
    """A new layer from {"class_name": ..., "config": ...}, as `serialize_layer` gives it.

    Args:
        config: such a dict.
        custom_objects: classes and functions of the user by name.

    Raises:
        ValueError: not such a dict, or neither a class of `dlcore.layers` nor one of the user's.
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise ValueError(f"layer: expected a dict with class_name and config. Received: {config!r:.200}")
    with _objects.custom_object_scope(custom_objects):
        cls = layer_class(config.get("class_name"))
        reading = _reading.get()
        name = config["config"].get("name", config.get("name"))
        inner = config["config"]
        layer: Layer = cls.from_config(inner) if reading is None else _made(cls, name, inner, reading)
    if "name" in config and isinstance(name, str):
        layer.name = name
    return layer


def layer_class(name: Any) -> type[Layer]:
    """The class that a file means.

    Raises:
        ValueError: an unknown name.
    """
    cls = _BY_NAME.get(name) if isinstance(name, str) else None
    if cls is None:
        cls = _objects.find(name, Layer)
    if not isinstance(cls, type):
        raise ValueError(
            f"layer: expected one of the classes {sorted(_BY_NAME)}, or one given in custom_objects={{name: class}}. "
            f"Received: {name!r:.200}"
        )
    return cls


def _made(cls: type[Layer], name: Any, config: dict[str, Any], reading: _Reading) -> Layer:
    """A layer that will take its weights from the file instead of initialising them."""
    if not isinstance(name, str):
        raise ValueError(f"{cls.__name__}: expected a name. Received: name={name!r:.200}")
    if len(reading.made) >= MAX_LAYERS:
        raise ValueError(f"expected at most {MAX_LAYERS} layers")
    own = cls is not _BY_NAME.get(cls.__name__)
    reading.names.append(name)
    reading.within_own += own
    path = "/".join(reading.names)
    layer: Layer = cls.from_config(config)
    reading.within_own -= own
    reading.names.pop()
    reading.made.append(layer)
    if not reading.within_own:  # those inside go by attributes, which nobody knows yet
        layer._reader = lambda name, shape: reading.read(f"{path}/{name}", shape)
    return layer


@contextmanager
def weights_from(read: Read) -> Iterator[None]:
    """Within the block, layers made by `deserialize_layer` take their weights from `read`.

    `read` knows the shape before any memory is allocated for it, so a file cannot ask for more than it holds.
    """
    reading = _Reading(read)
    token = _reading.set(reading)
    try:
        with limited(MAX_CALLS):
            yield
    finally:
        _reading.reset(token)
        for layer in reading.made:
            layer._reader = None


def _check_functions(layer: Layer) -> None:
    """Refuse functions of the user that have no name in a file."""
    for argument, value in vars(layer).items():
        kind = argument.rpartition("_")[2]
        if value is None or argument.startswith("_") or kind not in KINDS:
            continue
        try:
            KINDS[kind].serialize(value)
        except ValueError as error:
            cure = ""
            if kind == "initializer":
                zeros = f"layer.{argument} = dlcore.initializers.Zeros()"
                cure = f". Its weights need it no more: set {zeros} to save them"
            raise ValueError(f"{layer.name}: argument {argument}: {error}{cure}") from None
