"""Layers by name, and the weights they take from a file while they are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from dlcore import activations, initializers, layers
from dlcore.layers.base import Layer
from dlcore.models.sequential import Sequential
from dlcore.ops.base import Parameter

MAX_LAYERS = 1000  # in one file, so that a small file cannot ask for much work

# Every class that a file may name. Closed: no import paths, no functions.
_BY_NAME: dict[str, type[Layer]] = {
    cls.__name__: cls for cls in map(vars(layers).get, layers.__all__) if isinstance(cls, type) and cls is not Layer
} | {"Sequential": Sequential}

Read = Callable[[str, tuple[int, ...]], np.ndarray]


class _Reading:
    """One loading: `read(path, shape)` gives a weight; `names` leads to the layer being made."""

    def __init__(self, read: Read):
        self.read = read
        self.names: list[str] = []
        self.made: list[Layer] = []


_reading: ContextVar[_Reading | None] = ContextVar("reading", default=None)


def deserialize_layer(config: dict[str, Any]) -> Layer:
    """A new layer from {"class_name": ..., "config": ...}, as `Sequential.get_config` lists them.

    Raises:
        ValueError: not such a dict, or not a class of `dlcore.layers`.
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise ValueError(f"layer: expected a dict with class_name and config. Received: {config!r:.200}")
    name = config.get("class_name")
    cls = _BY_NAME.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"layer: expected one of the classes {sorted(_BY_NAME)}. Received: {name!r:.200}")
    reading = _reading.get()
    return cls.from_config(config["config"]) if reading is None else _made(cls, config["config"], reading)


def _made(cls: type[Layer], config: dict[str, Any], reading: _Reading) -> Layer:
    """A layer that will take its weights from the file instead of initialising them."""
    if not isinstance(config.get("name"), str):
        raise ValueError(f"{cls.__name__}: expected a name. Received: name={config.get('name')!r:.200}")
    if len(reading.made) == MAX_LAYERS:
        raise ValueError(f"expected at most {MAX_LAYERS} layers")
    reading.names.append(config["name"])
    path = "/".join(reading.names)
    layer = cls.from_config(config)
    reading.names.pop()
    reading.made.append(layer)

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
        yield
    finally:
        _reading.reset(token)
        for layer in reading.made:
            layer._reader = None


def named_weights(model: Sequential) -> dict[str, Parameter]:
    """The weights of a model by their path.

    Raises:
        ValueError: a layer that a file cannot name, a name taken twice, or too many layers.
    """
    found: dict[str, Parameter] = {}
    seen: set[int] = set()

    def walk(layer: Layer, path: str) -> None:
        if len(seen) > MAX_LAYERS:
            raise ValueError(f"{model.name}: at most {MAX_LAYERS} layers can be saved")
        if type(layer) is not _BY_NAME.get(type(layer).__name__):
            raise ValueError(
                f"{layer.name}: a {type(layer).__name__} of your own cannot be saved: expected layers of "
                f"dlcore, {sorted(_BY_NAME)}"
            )
        if id(layer) in seen:
            raise ValueError(f"{layer.name}: a layer that is used twice cannot be saved")
        seen.add(id(layer))
        if isinstance(layer, Sequential):
            for inner in layer._layers:
                walk(inner, f"{path}{inner.name}/")
            return
        _check_functions(layer)
        for weight in layer.weights:
            name = path + weight.name.rsplit("/", 1)[-1]  # without the layer's name, which may have changed since
            if name in found:
                raise ValueError(f"{layer.name}: two weights would be called {name!r} in the file; rename a layer")
            found[name] = weight

    walk(model, "")
    return found


def _check_functions(layer: Layer) -> None:
    """Refuse functions of the user, which have no name in a file."""
    for argument, value in vars(layer).items():
        try:
            if argument == "activation":
                activations.serialize(value)
            elif argument.endswith("_initializer"):
                initializers.serialize(value)
        except ValueError as error:
            cure = (
                ""
                if argument == "activation"
                else (f". Its weights need it no more: set layer.{argument} = dlcore.initializers.Zeros() to save them")
            )
            raise ValueError(f"{layer.name}: argument {argument}: {error}{cure}") from None
