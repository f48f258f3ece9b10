"""Layer: parameters, and a recipe of ops."""

from __future__ import annotations

import copy
import functools
import re
import threading
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np

from dlcore import activations, constraints, initializers, regularizers
from dlcore._arguments import Described, checked
from dlcore.layers.checks import is_float32, only, sample_shape
from dlcore.layers.trace import Call, count_call, current, flat, identity, mapped, tracing
from dlcore.ops.base import Op, Parameter, Tensor, changes, values

# What an argument is, by the end of its name: each of these modules has `get` and `serialize`.
KINDS: dict[str, Any] = {
    "activation": activations, "constraint": constraints, "initializer": initializers, "regularizer": regularizers,
}  # fmt: skip


class _Names:
    """Gives layers their default names, as Keras does: conv2d, conv2d_1, ..."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}

    def next(self, cls: str) -> str:
        stem = name_stem(cls)
        with self.lock:
            count = self.counts.get(stem, 0)
            self.counts[stem] = count + 1
        return f"{stem}_{count}" if count else stem


def name_stem(cls: str) -> str:
    """max_pooling2d for MaxPooling2D."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()


names = _Names()


class Layer(Described):
    """Base of all layers. A subclass creates weights in `build(input_shape)` and composes ops in `call(x, training)`.

    https://keras.io/api/layers/base_layer/

    Args:
        activity_regularizer: a penalty on the output, one value per sample (a name, a Regularizer, or a function of
            the output), whose mean over the batch is added to the loss.
        trainable: whether training changes the weights.
        dtype: None or "float32", the one dtype of dlcore, also as Keras' configurations spell it.
        autocast: True or False, which are the same where there is one dtype.
        name: default is the class's name, numbered.
        input_shape: shape of one sample, for the first layer of a Sequential.
        batch_input_shape: the same with the batch in front.
        input_dim: the same as input_shape=(input_dim,).

    Attributes:
        built: whether the weights exist.
        weights, trainable_weights, non_trainable_weights: of this layer and of those that it holds as attributes.
        input, output: symbolic tensors of its last call on some, for models that end in the middle of another.
        integer_inputs: True in a subclass whose inputs are whole numbers, int32.
    """

    integer_inputs = False

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
    ):
        self.name = names.next(type(self).__name__) if name is None else str(name)
        if not is_float32(dtype):
            raise ValueError(
                f"{self.name}: dtype must be 'float32', the one dtype of dlcore. Received: dtype={dtype!r}"
            )
        only(autocast, (True, False), self.name, "autocast")
        self.activity_regularizer: Any = None
        self._kept: list[str] = []
        if activity_regularizer is not None:
            self._keep(activity_regularizer=activity_regularizer)
        self._trainable = bool(trainable)
        self._weights: list[Parameter] = []
        self._reader: Callable[[str, tuple[int, ...]], np.ndarray] | None = None
        self._last_call: Call | None = None
        self._drawn = 0  # calls on arrays that drew random numbers
        self.built = False
        self.output_shape: Any = None
        if batch_input_shape is not None and input_shape is None:
            given: Any = tuple(batch_input_shape)[1:]
        else:
            given = input_shape
        self.given_input_shape = None if given is None else sample_shape(given, self.name, "input_shape")
        if input_dim is not None and given is None:
            self.given_input_shape = sample_shape(input_dim, self.name, "input_dim")

    # -- to be defined by subclasses

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape, batch included; of several inputs, a list of shapes."""

    def call(self, x: Any, training: bool = False) -> Any:
        raise TypeError(f"{type(self).__name__} must define call(x, training)")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same layer. A subclass whose constructor takes others than
        numbers, texts, and lists and dicts of them, must define this.

        Raises:
            ValueError: it does not.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.given_input_shape is not None:
            config["input_shape"] = list(self.given_input_shape)
        config.update((name, KINDS[name.rsplit("_", 1)[-1]].serialize(getattr(self, name))) for name in self._kept)
        return {**self._plain_arguments(self.name), **config}

    # -- weights

    def _keep(self, **given: Any) -> None:
        """Make attributes of activations, initializers, regularizers and constraints, and list them in the
        configuration; `name_initializer` and so on belong to the weight that `_weight(name, ...)` adds."""
        for argument, value in given.items():
            kind = argument.rsplit("_", 1)[-1]
            try:
                setattr(self, argument, KINDS[kind].get(value))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{self.name}: {argument}: {str(error).removeprefix(f'{kind}: ')}") from None
            if argument not in self._kept:
                self._kept.append(argument)

    def _weight(self, name: str, shape: Sequence[int], of: str | None = None, trainable: bool = True) -> Parameter:
        """A new parameter by the kept `of_initializer`, `of_regularizer` and `of_constraint`; `of` is its name by
        default."""
        rules = {
            kind: getattr(self, f"{of or name}_{kind}", None) for kind in ("initializer", "regularizer", "constraint")
        }
        return self.add_weight(name=name, shape=shape, trainable=trainable, **rules)

    @checked
    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Parameter:
        """A new parameter.

        Args:
            shape: its sizes, all known; at least one.
            initializer: name, instance or function of the shape, default "glorot_uniform".
            dtype: None or "float32".
            trainable: whether training changes it.
            regularizer: a penalty, added to the loss while the weight is trained: a name, a Regularizer, or a
                function of the parameter that gives (1,).
            constraint: what is done to it after each update: a name, a Constraint, or a function of the parameter.
            name: default "weight", numbered.

        Raises:
            ValueError: no shape, or another dtype.
        """
        if shape is None or isinstance(shape, str) or (trainable and not tuple(shape)) or not is_float32(dtype):
            raise ValueError(
                f"{self.name}: add_weight expects a shape, (1,) for one number that is trained, and dtype 'float32'. "
                f"Received: shape={shape!r}, dtype={dtype!r}"
            )
        shape = tuple(int(size) for size in shape)
        name = name or (f"weight_{len(self._weights)}" if self._weights else "weight")
        if self._reader is not None:
            value = self._reader(name, shape)
        else:
            value = initializers.get("glorot_uniform" if initializer is None else initializer)(shape)
        parameter = Parameter(shape, value, f"{self.name}/{name}", trainable)
        parameter.regularizer, parameter.constraint = regularizers.get(regularizer), constraints.get(constraint)
        self._weights.append(parameter)
        return parameter

    def add_loss(self, loss: Tensor) -> None:
        """Within `call`: a penalty that training adds to the loss, one value per sample (batch,) or one in all (1,)."""
        trace = current()
        if trace is not None:
            trace.losses.append(loss)

    def add_update(self, op: Op) -> None:
        """Within `call`: an op that changes a weight at the end of each training step."""
        trace = current()
        if trace is not None and trace.training:
            trace.updates.append(op)

    def _draw(self) -> int:
        """Within `call`: the number of this use among those of this layer in the graph, each of which draws random
        numbers of its own."""
        trace = current()
        if trace is None:
            return 0
        trace.draws[self] = trace.draws.get(self, -1) + 1
        return trace.draws[self]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._deep():
            layer._trainable = bool(value)
        changes.note()

    def _inner(self) -> list[Layer]:
        """Layers that this one holds as attributes, alone, in lists or in dicts; their weights are its own too."""
        found = []
        for value in list(vars(self).values()):  # another thread may set attributes
            held = value if isinstance(value, (list, tuple)) else [value]
            if type(value) is dict:
                held = list(value.values())
            found += [layer for layer in held if isinstance(layer, Layer)]
        return list(dict.fromkeys(found))

    def _deep(self) -> list[Layer]:
        """This layer and all inside it."""
        return list(dict.fromkeys([self, *(deep for layer in self._inner() for deep in layer._deep())]))

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
        trainable = set(self.trainable_weights)
        return [w for w in self.weights if w not in trainable]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

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

    def __call__(self, x: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Add the layer's ops to the graph of symbolic tensors; arrays are computed at once.

        Args:
            x, args, kwargs: as `call` has them. `x` may be a list or dict of tensors.
            training: whether layers such as Dropout do what they do in training; default as the layer or model around
                this one, else False.

        Raises:
            ValueError: a shape does not suit the layer.
        """
        given = flat((x, args, kwargs))
        cls: Any = type(self)
        if isinstance(x, (list, tuple, dict)) and _takes_one(cls) and any(isinstance(t, Tensor) for t in flat(x)):
            raise ValueError(f"{self.name}: expected one input. Received: a {type(x).__name__} of {len(flat(x))}")
        if not any(isinstance(value, Tensor) for value in given):
            return self._compute(x, args, kwargs, bool(training))
        count_call()
        outer = current()
        said = {} if training is None else {"training": training}
        if training is None:
            training = outer.training if outer is not None else False
        with tracing(bool(training), outer):
            if not self.built:
                self.build(mapped(lambda t: t.shape, x))
                self.built = True
            y = self._called(x, args, kwargs, bool(training))
        if outer is None:
            y = mapped(lambda t: identity(t) if any(t is value for value in given) else t, y)
            self._last_call = Call(self, (x, args, {**kwargs, **said}), y)
        return y

    def _called(self, x: Any, args: Any, kwargs: Any, training: bool) -> Any:
        cls: Any = type(self)
        if _takes_training(cls):
            kwargs = {**kwargs, "training": training}
        y = self.call(x, *args, **kwargs)
        outputs = flat(y)
        if not outputs or not all(isinstance(t, Tensor) for t in outputs):
            raise TypeError(f"{self.name}: call must return a tensor made by dlcore.ops. Received: {y!r}")
        self.output_shape = mapped(lambda t: t.shape, y)
        if self.activity_regularizer is not None:
            for t in outputs:
                self.add_loss(self.activity_regularizer(t))
        return y

    def _compute(self, x: Any, args: Any, kwargs: Any, training: bool) -> Any:
        from dlcore.graph.eager import evaluate

        single = not isinstance(x, dict) and not (
            isinstance(x, (list, tuple)) and any(hasattr(part, "ndim") for part in x)
        )
        given = [x] if single else flat(x)
        arrays = [self._array(*pair) for pair in zip(given, self._reads(len(given)), strict=True)]
        more = [value for value in flat((args, kwargs)) if getattr(value, "ndim", 0)]
        arrays += [self._array(value, np.float32) for value in more]
        shape: Any = None

        def function(*tensors: Tensor) -> list[Tensor]:
            nonlocal shape
            rest = iter(tensors)
            first = next(rest) if single else mapped(lambda _: next(rest), x, leaf=True)
            others = mapped(lambda value: next(rest) if getattr(value, "ndim", 0) else value, (args, kwargs), leaf=True)
            shape = self(first, *others[0], training=training, **others[1])
            return flat(shape)

        with tracing(training) as trace:
            results = iter(evaluate(function, arrays, self._drawn, trace.updates))
        self._drawn += training  # the next call draws other random numbers
        if trace.updates:
            values.note()
        return mapped(lambda _: next(results), shape)

    def _array(self, value: Any, dtype: Any) -> np.ndarray:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            hint = ". Call that layer to have its output" if isinstance(value, Layer) else ""
            raise ValueError(
                f"{self.name}: expected a tensor, or an array of numbers with the batch in front. "
                f"Received: {value!r:.100}{hint}"
            )
        return np.ascontiguousarray(array, dtype)

    def _reads(self, count: int) -> list[Any]:
        """Dtypes of `count` arrays that are computed."""
        return [np.int32 if self.integer_inputs else np.float32] * count

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output for inputs of this shape, batch included."""
        layer = self if self.built else copy.deepcopy(self)
        several = isinstance(input_shape, list) or (input_shape and isinstance(input_shape[0], (list, tuple)))
        with tracing(False, None):
            x = [Tensor(shape) for shape in input_shape] if several else Tensor(tuple(input_shape))
            return mapped(lambda t: t.shape, layer(x))

    @property
    def input(self) -> Any:
        return self._call_on_tensors("input").inputs

    @property
    def output(self) -> Any:
        return self._call_on_tensors("output").outputs

    def _call_on_tensors(self, what: str) -> Call:
        if self._last_call is None:
            raise AttributeError(f"{self.name}: it has no {what} yet: it was not called on a symbolic tensor")
        return self._last_call

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_last_call": None, "_reader": None}  # the former holds the graph of a whole model

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


@functools.cache
def _takes_training(cls: type[Layer]) -> bool:
    parameters = signature(cls.call).parameters.values()
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


@functools.cache
def _takes_one(cls: type[Layer]) -> bool:
    """Whether `call` says that its first argument is one tensor."""
    first = list(signature(cls.call).parameters.values())[1:2]
    return bool(first) and first[0].annotation in (Tensor, "Tensor")
