"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.layers.base import Layer, shown
from dlcore.layers.shape import InputLayer
from dlcore.models.model import Model
from dlcore.ops.base import Tensor
from dlcore.ops.data import Gather, gather


class Sequential(Model):
    """A stack of layers.

    https://keras.io/api/models/sequential/

    Args:
        layers: layers, the first of which may be an `Input`; more are added with `add`. The shape of a sample comes
            from an Input, from `input_shape=` of the first layer, or from the first data.
        name: default "sequential".
    """

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None):
        super().__init__(name=name, trainable=trainable)
        self._layers: list[Layer] = []
        self._sample_shape: tuple[int, ...] | None = None
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        if self._sample_shape is None:
            raise ValueError(
                f"{self.name}: the shape of its input is not known yet. Begin with an Input, give the first "
                "layer an input_shape, or call build or fit"
            )
        return self._sample_shape

    def add(self, layer: Any) -> None:
        """Put a layer on top.

        Raises:
            TypeError: not a layer.
            ValueError: its name is taken, or the layers below do not fit under it.
        """
        if isinstance(layer, Tensor) and isinstance(layer.op, Gather):  # what Input gives
            layer = InputLayer(layer.shape[1:], name=layer.name)
        if not isinstance(layer, Layer) or layer is self:
            raise TypeError(f"{self.name}: expected a layer. Received: {layer!r}")
        self._idle("add")
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(f"{self.name}: layer names must differ. Received a second {layer.name!r}")
        self._layers.append(layer)
        try:
            if self._sample_shape is None or self.output_shape is None:
                self._changed()
            else:
                self._grow(layer)
        except ValueError:
            self._layers.pop()
            raise

    def _grow(self, layer: Layer) -> None:
        """Build a new top layer; those below stay as they are."""
        self._forget()
        fresh = not layer.built
        try:
            self.output_shape = layer(Tensor(self.output_shape or ())).shape
        except ValueError:
            if fresh:
                layer._weights.clear()
                layer.built = False
            raise

    def pop(self) -> Layer:
        """Take the top layer off and return it.

        Raises:
            TypeError: there is none.
        """
        if not self.layers:
            raise TypeError(f"{self.name}: there is no layer to pop")
        self._idle("pop")
        layer = self._layers.pop()
        self._changed()
        return layer

    def _changed(self) -> None:
        self._forget()
        self.output_shape = None
        first = self._layers[0].given_input_shape if self._layers else None
        if first is None and self._layers and isinstance(self._layers[0], Sequential):
            first = self._layers[0]._sample_shape
        if first is not None:
            self.build((None, *first))

    def build(self, input_shape: Any = None) -> None:
        """Create the weights for inputs of `input_shape`, batch included.

        Raises:
            ValueError: a layer does not fit on the one below.
        """
        if input_shape is None:
            input_shape = self.input_shape
        shape = tuple(int(size) for size in tuple(input_shape)[1:])
        before, self._sample_shape = self._sample_shape, None
        fresh = self._unbuilt()
        try:
            self.call(gather("x", shape))
        except ValueError:
            for layer in fresh:  # built for a shape that is not the model's
                layer._weights.clear()
                layer.built = False
            self._sample_shape = before
            raise
        self._forget()
        self._sample_shape = shape
        self.built = True

    def _notes_changes(self) -> bool:
        inner = self._inner()
        return inner == list(dict.fromkeys(self._layers)) and all(layer._notes_changes() for layer in inner)

    def _unbuilt(self) -> list[Layer]:
        inner = [deep for layer in self._layers if isinstance(layer, Sequential) for deep in layer._unbuilt()]
        return [layer for layer in self._layers if not layer.built] + inner

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if self._sample_shape is not None and x.shape[1:] != self._sample_shape:
            raise ValueError(
                f"{self.name}: expected an input of shape {shown((None, *self._sample_shape))}. "
                f"Received: {shown(x.shape)}"
            )
        for layer in self._layers:
            x = layer(x, training)
        self.output_shape = x.shape
        return x

    def _build_for(self, x: Any) -> None:
        if self._sample_shape is None:
            shape = np.shape(x)
            if len(shape) < 2:
                raise ValueError(f"{self.name}: expected samples with the batch in front. Received: shape {shape}")
            with self._lock.write():
                if self._sample_shape is None:  # another thread may have been first
                    self.build((None, *shape[1:]))

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        config["layers"] = [
            {"class_name": type(layer).__name__, "config": layer.get_config()} for layer in self._layers
        ]
        if self._sample_shape is not None:
            config["build_input_shape"] = list(self._sample_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A new model with the layers of `get_config`, their weights initialised anew.

        Raises:
            ValueError: an unknown layer.
        """
        from dlcore.saving import deserialize_layer

        model = cls(
            [deserialize_layer(layer) for layer in config["layers"]], config.get("trainable", True), config.get("name")
        )
        if model._sample_shape is None and config.get("build_input_shape"):
            model.build((None, *config["build_input_shape"]))
        return model
