"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcore.layers.base import Layer
from dlcore.layers.checks import shown
from dlcore.layers.shape import Input, InputLayer
from dlcore.layers.trace import Call, current, flat
from dlcore.models.data import Spec
from dlcore.models.model import Model
from dlcore.models.structure import Structure, stack
from dlcore.ops.base import Tensor


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

    def structure(self) -> Structure:
        return stack(self.layers, connected=True)

    @property
    def specs(self) -> list[Spec]:
        if self._sample_shape is None:
            raise ValueError(
                f"{self.name}: the shape of its input is not known yet. Begin with an Input, give the first "
                "layer an input_shape, or call build or fit"
            )
        first = self._layers[0] if self._layers else None
        name = first.name if isinstance(first, InputLayer) else "input_layer"
        return [Spec(name, self._sample_shape, self._kind())]

    def _kind(self) -> str:
        first: Any = self._layers[0] if self._layers else None
        while isinstance(first, Sequential):
            first = first._layers[0] if first._layers else None
        return "i" if getattr(first, "integer_inputs", False) or getattr(first, "kind", "f") == "i" else "f"

    def add(self, layer: Any) -> None:
        """Put a layer on top.

        Raises:
            TypeError: not a layer.
            ValueError: its name is taken, or the layers below do not fit under it.
        """
        if isinstance(layer, Tensor) and layer.call is not None and isinstance(layer.call.layer, InputLayer):
            layer = layer.call.layer  # of what Input gives
        if not isinstance(layer, Layer) or layer is self:
            raise TypeError(f"{self.name}: expected a layer. Received: {layer!r}")
        self._idle("add")
        if isinstance(layer, InputLayer) and self._layers and isinstance(self._layers[0], InputLayer):
            raise ValueError(f"{self.name}: its input has already been configured. Received a second {layer!r}")
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
            self._connect(layer(self.output), self.input)
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

    def _connect(self, top: Tensor, bottom: Tensor) -> None:
        """The model's own symbolic tensors, which other models may start from."""
        self.output_shape = top.shape
        self._last_call = Call(self, (bottom, (), {}), top, own=False)  # the top layer made it

    def _changed(self) -> None:
        self._forget()
        self.output_shape = self._last_call = None
        first = self._layers[0].given_input_shape if self._layers else None
        if first is None and self._layers and isinstance(self._layers[0], Model) and self._layers[0].built:
            first = self._layers[0].sample_shape
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
            bottom = Input(shape, name="x", dtype="int32" if self._kind() == "i" else None)
            top = self.call(bottom)
        except ValueError:
            for layer in fresh:  # built for a shape that is not the model's
                layer._weights.clear()
                layer.built = False
            self._sample_shape = before
            raise
        self._forget()
        self._sample_shape = shape
        self.built = True
        if current() is None:
            self._connect(top, bottom)

    def _notes_changes(self) -> bool:
        inner = self._inner()
        return inner == list(dict.fromkeys(self._layers)) and all(layer._notes_changes() for layer in inner)

    @property
    def output_names(self) -> list[str]:
        return [self._layers[-1].name] if self._layers else []

    def _unbuilt(self) -> list[Layer]:
        inner = [deep for layer in self._layers if isinstance(layer, Sequential) for deep in layer._unbuilt()]
        return [layer for layer in self._layers if not layer.built] + inner

    def call(self, x: Any, training: bool = False) -> Tensor:
        if isinstance(x, (list, tuple)) and len(x) == 1:
            x = x[0]
        if not isinstance(x, Tensor):
            raise ValueError(f"{self.name}: expected one input. Received: a {type(x).__name__} of {len(flat(x))}")
        if self._sample_shape is not None and x.shape[1:] != self._sample_shape:
            raise ValueError(
                f"{self.name}: expected an input of shape {shown((None, *self._sample_shape))}. "
                f"Received: {shown(x.shape)}"
            )
        for layer in self._layers:
            if not isinstance(layer, InputLayer):
                x = layer(x, training=training)
        top: Tensor = x
        self.output_shape = top.shape
        return top

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        from dlcore.saving import serialize_layer

        config["layers"] = [serialize_layer(layer) for layer in self._layers]
        if self._sample_shape is not None:
            config["build_input_shape"] = list(self._sample_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Sequential:
        """A new model with the layers of `get_config`, their weights initialised anew.

        Args:
            config: of `get_config`.
            custom_objects: classes and functions of the user by name.

        Raises:
            ValueError: an unknown layer.
        """
        from dlcore.saving import deserialize_layer

        inner = [deserialize_layer(layer, custom_objects) for layer in config["layers"]]
        model = cls(inner, config.get("trainable", True), config.get("name"))
        if model._sample_shape is None and config.get("build_input_shape"):
            model.build((None, *config["build_input_shape"]))
        return model
