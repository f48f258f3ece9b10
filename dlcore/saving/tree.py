"""What a model holds, by path: weights, and the layers that draw random numbers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from dlcore.layers.base import Layer, name_stem
from dlcore.models.functional import Functional
from dlcore.models.sequential import Sequential
from dlcore.ops.base import Parameter

MAX_LAYERS = 1000  # in one file, so that a small file cannot ask for much work


class Tree:
    """The weights of a model and its random layers, by path: "conv2d/kernel", or "encoder/conv2d/kernel" in a model
    inside the model. Layers that a layer or model of the user holds go by their attributes: "block/first/kernel".

    Args:
        model: a model.
        numbered: give layers with a default name one that counts from the beginning of their model, so that the same
            model made again, whose layers are called conv2d_1 instead of conv2d, has the same paths.

    Raises:
        ValueError: a name taken twice, or too many layers; unless `numbered`, a layer in two places.
    """

    def __init__(self, model: Layer, numbered: bool = False):
        self.model, self.numbered = model, numbered
        self.weights: dict[str, Parameter] = {}
        self.streams: dict[str, Any] = {}
        self._holders: dict[Layer, Layer] = {}
        self._walk(model, "", model)
        self.paths = {weight: path for path, weight in self.weights.items()}

    def _walk(self, layer: Layer, path: str, holder: Layer) -> None:
        if layer in self._holders:
            if self.numbered or (self._holders[layer] is holder and not is_container(holder)):
                return
            raise ValueError(f"{layer.name}: a layer that is used twice, in two models, cannot be saved")
        self._holders[layer] = holder
        if len(self._holders) > MAX_LAYERS + 1:
            raise ValueError(f"{self.model.name}: at most {MAX_LAYERS} layers can be saved")
        if "_stream" in vars(layer):
            self._put(self.streams, f"{path}stream", layer, layer)
        for weight in layer._weights:  # without the layer's name, which may have changed since
            self._put(self.weights, path + weight.name.rsplit("/", 1)[-1], weight, layer)
        for key, inner in self._parts(layer):
            self._walk(inner, f"{path}{key}/", layer)

    def _put(self, found: dict[str, Any], path: str, value: Any, layer: Layer) -> None:
        if path in found:
            raise ValueError(f"{layer.name}: two weights would be called {path!r} in the file; rename a layer")
        found[path] = value

    def _parts(self, layer: Layer) -> list[tuple[str, Layer]]:
        if not is_container(layer):
            return attributes(layer)
        inner: list[Layer] = list(dict.fromkeys(layer._layers))  # type: ignore[attr-defined]
        return list(zip(numbered(inner), inner, strict=True)) if self.numbered else [(one.name, one) for one in inner]


def is_container(layer: Any) -> bool:
    """Whether its layers go by their names."""
    return isinstance(layer, (Sequential, Functional))


def attributes(layer: Layer) -> list[tuple[str, Layer]]:
    """Layers that another holds, by attribute: "dense", "blocks/0", "heads/left"."""
    found: dict[str, Any] = {}
    for name, value in vars(layer).items():
        if isinstance(value, (list, tuple)):
            found.update((f"{name}/{i}", part) for i, part in enumerate(value))
        elif type(value) is dict:
            found.update((f"{name}/{key}", part) for key, part in value.items())
        else:
            found[name] = value
    return [(name, value) for name, value in found.items() if isinstance(value, Layer)]


def numbered(layers: list[Layer]) -> list[str]:
    """Names that do not depend on how many layers were made before."""
    counts: Counter[str] = Counter()
    found = []
    for layer in layers:
        stem = name_stem(type(layer).__name__)
        if not re.fullmatch(rf"{re.escape(stem)}(_\d+)?", layer.name):
            found.append(layer.name)
            continue
        found.append(f"{stem}_{counts[stem]}" if counts[stem] else stem)
        counts[stem] += 1
    return found
