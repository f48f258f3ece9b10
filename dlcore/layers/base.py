"""Layer: parameters, and a recipe of ops."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from inspect import signature
from typing import Any

import numpy as np

from dlcore import initializers
from dlcore.ops.base import BATCH, Op, Parameter, Tensor, changes

Pair = tuple[int, int]


class _Names:
    """Gives layers their default names, as Keras does: conv2d, conv2d_1, ..."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}

    def next(self, cls: str) -> str:
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()
        stem = stem.replace("2_d", "2d")
        with self.lock:
            count = self.counts.get(stem, 0)
            self.counts[stem] = count + 1
        return f"{stem}_{count}" if count else stem


names = _Names()
updates: ContextVar[list[Op] | None] = ContextVar("updates", default=None)  # of the training graph in work


class Layer:
    """Base of all layers. A subclass creates weights in `build(input_shape)` and composes ops in `call(x, training)`.

    Args:
        name: default is the class's name, numbered.
        trainable: whether training changes the weights.
        input_shape: shape of one sample, for the first layer of a Sequential.
        batch_input_shape: the same with the batch in front.
        dtype: None or "float32", the one dtype of dlcore.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        dtype: Any = None,
    ):
        self.name = names.next(type(self).__name__) if name is None else str(name)
        if dtype not in (None, "float32", np.float32):
            raise ValueError(
                f"{self.name}: dtype must be 'float32', the one dtype of dlcore. Received: dtype={dtype!r}"
            )
        self._trainable = bool(trainable)
        self._weights: list[Parameter] = []
        self.built = False
        self.output_shape: tuple[Any, ...] | None = None
        if batch_input_shape is not None and input_shape is None:
            given: Any = tuple(batch_input_shape)[1:]
        else:
            given = input_shape
        self.given_input_shape = None if given is None else sample_shape(given, self.name, "input_shape")

    # -- to be defined by subclasses

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Create the weights for inputs of this shape (batch included)."""

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define call(x, training)")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same layer."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.given_input_shape is not None:
            config["input_shape"] = list(self.given_input_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return cls(**config)

    # -- weights

    def add_weight(
        self, name: str, shape: Sequence[int], initializer: Any = "glorot_uniform", trainable: bool = True
    ) -> Parameter:
        """A new parameter of `shape`; `initializer` by name, instance or function of the shape."""
        value = initializers.get(initializer)(tuple(shape))
        parameter = Parameter(shape, value, f"{self.name}/{name}", trainable)
        self._weights.append(parameter)
        return parameter

    def add_update(self, op: Op) -> None:
        """Let `op`, which changes one of the layer's parameters, run once in every training step."""
        found = updates.get()
        if found is not None:
            found.append(op)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        changes.note()

    def _inner(self) -> list[Layer]:
        """Layers that this one holds as attributes, alone or in lists; their weights are its own too."""
        found = []
        for value in vars(self).values():
            held = value if isinstance(value, (list, tuple)) else [value]
            found += [layer for layer in held if isinstance(layer, Layer)]
        return list(dict.fromkeys(found))

    def _deep(self) -> list[Layer]:
        """This layer and all inside it."""
        return [self, *(deep for layer in self._inner() for deep in layer._deep())]

    def _notes_changes(self) -> bool:
        """Whether `changes` tells when other layers came into this one or left it."""
        return not self._inner()

    @property
    def weights(self) -> list[Parameter]:
        return list(dict.fromkeys([*self._weights, *(w for layer in self._inner() for w in layer.weights)]))

    @property
    def trainable_weights(self) -> list[Parameter]:
        if not self.trainable:
            return []
        inner = (w for layer in self._inner() for w in layer.trainable_weights)
        return list(dict.fromkeys([*(w for w in self._weights if w.trainable), *inner]))

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        trainable = self.trainable_weights
        return [w for w in self.weights if w not in trainable]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, kernel before bias."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy `weights` in, in the order of `get_weights`; all of them or, if one does not fit, none.

        Raises:
            ValueError: wrong number or shape.
        """
        own = self.weights
        if len(weights) != len(own):
            raise ValueError(f"{self.name}: expected {len(own)} weights. Received: {len(weights)}")
        arrays = [np.asarray(value, np.float32) for value in weights]
        for parameter, array in zip(own, arrays, strict=True):
            if array.shape != parameter.shape:
                raise ValueError(f"{parameter.name}: expected shape {parameter.shape}. Received: {array.shape}")
        for parameter, array in zip(own, arrays, strict=True):
            parameter.assign(array)

    def count_params(self) -> int:
        """Numbers in all weights."""
        return sum(w.value.size for w in self.weights)

    # -- use

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Add the layer's ops to the graph of a symbolic tensor; an array is computed at once.

        Raises:
            ValueError: the shape does not suit the layer.
        """
        if not isinstance(x, Tensor):
            from dlcore.graph.eager import compute

            return compute(lambda tensor: self(tensor, training), x)
        if not self.built:
            self.build(x.shape)
            self.built = True
        told = "training" in signature(self.call).parameters  # optional, as in Keras
        y = self.call(x, training) if told else self.call(x)
        if not isinstance(y, Tensor):
            raise TypeError(f"{self.name}: call must return a tensor made by dlcore.ops. Received: {y!r}")
        self.output_shape = y.shape
        return y

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def sample_shape(shape: Any, layer: str, argument: str) -> tuple[int, ...]:
    """`shape` as a tuple of positive ints, without the batch."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if not all(isinstance(size, (int, np.integer)) and size > 0 for size in shape):
        raise ValueError(
            f"{layer}: {argument} must hold positive whole numbers, without the batch. Received: {argument}={shape}"
        )
    return tuple(int(size) for size in shape)


def positive(value: Any, layer: str, argument: str) -> int:
    """`value` as an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{layer}: {argument} must be a positive whole number. Received: {argument}={value!r}")
    return int(value)


def pair(value: Any, layer: str, argument: str) -> Pair:
    """A positive int, or two, as (height, width)."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{layer}: {argument} must be one whole number or two. Received: {argument}={value!r}")
    return positive(values[0], layer, argument), positive(values[1], layer, argument)


def choice(value: Any, allowed: Sequence[str], layer: str, argument: str) -> str:
    """`value`, in lower case, if it is one of `allowed`."""
    if not isinstance(value, str) or value.lower() not in allowed:
        raise ValueError(f"{layer}: {argument} must be one of {tuple(allowed)}. Received: {argument}={value!r}")
    return value.lower()


def expect_rank(x: Tensor, rank: int, layer: Layer, layout: str) -> None:
    """Refuse an input of another rank, in the words of the layer."""
    if x.ndim != rank:
        raise ValueError(f"{layer.name}: expected an input of shape {layout}. Received: {shown(x.shape)}")


def shown(shape: Sequence[Any]) -> str:
    """A shape as Keras prints it: None for the batch."""
    return str(tuple(None if size is BATCH else size for size in shape))


def channels_last(data_format: Any, layer: str) -> None:
    """dlcore has one layout."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{layer}: data_format must be 'channels_last', the one layout of dlcore (transpose the data "
            f"once instead). Received: data_format={data_format!r}"
        )
