"""dlcore's classes, as Keras' tests call them: eager, with arrays and Keras' variables."""

import functools
import importlib
import inspect
import types

import numpy as np
from keras.src import backend
from keras.src.backend.common.keras_tensor import KerasTensor
from keras.src.models.functional import Functional

import dlcore
from dlcore.graph.eager import compute
from dlcore.ops.base import Parameter

# NumPy asks for a dtype, too.
backend.Variable.__array__ = lambda self, dtype=None, copy=None: np.asarray(self.value, dtype)


def touched():
    """Called whenever a test comes to dlcore; the plugin replaces it."""


def reduced(what):
    """Called when a test is only true in part; the plugin replaces it."""


def array(x):
    """What the tests hand over, as NumPy's."""
    if isinstance(x, backend.Variable):
        return np.asarray(x.numpy())
    if isinstance(x, (list, tuple)):
        return type(x)(array(part) for part in x)
    if isinstance(x, dict):
        return {key: array(value) for key, value in x.items()}
    return x


def plain(x):
    """For json.dumps."""
    if isinstance(x, np.ndarray):
        return x.tolist()
    if isinstance(x, np.generic):
        return x.item()
    if hasattr(x, "get_config"):
        return x.get_config()
    if callable(x):
        return x.__name__
    raise TypeError(f"not JSON: {x!r}")


def result(x):
    return np.float32(x) if isinstance(x, float) else x


def adapted(cls, mixin, room):
    """A subclass of dlcore's class, by its name, with what a mixin adds."""
    return type(cls.__name__, (mixin, cls), {"__doc__": cls.__doc__, "__module__": cls.__module__, "_of": room})


class Touches:
    def __init__(self, *arguments, **keywords):
        touched()
        super().__init__(*arguments, **keywords)

    def __reduce_ex__(self, protocol):
        return _unpickled, (self._of,), self.__getstate__() if hasattr(type(self), "__getstate__") else vars(self)


def _unpickled(of):
    cls = adapter(importlib.import_module(of[0]), of[1])
    return cls.__new__(cls)


# -- layers and models


def spec(x):
    return any(isinstance(part, KerasTensor) for part in (x if isinstance(x, (list, tuple)) else [x]))


class LayerAdapter(Touches):
    """Takes Keras' variables and symbolic tensors."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*map(bare, arguments), **{key: bare(value) for key, value in keywords.items()})

    def __call__(self, inputs, *arguments, **keywords):
        touched()
        if spec(inputs):
            several = isinstance(inputs, (list, tuple))
            shape = [tuple(x.shape) for x in inputs] if several else tuple(inputs.shape)
            if not self.built:
                self.build(shape)
            return KerasTensor(self.compute_output_shape(shape))
        return super().__call__(array(inputs), *arguments, **keywords)

    def build(self, input_shape=None):
        super().build(input_shape)
        self.built = True

    @property
    def losses(self):
        """Penalties by which training would raise the loss."""
        return [w.regularizer for w in self.weights if w.regularizer is not None] + (
            [self.activity_regularizer] if self.activity_regularizer is not None else []
        )


def bare(value):
    """An activation without what lets it take arrays."""
    return getattr(value, "bare", value)


def train_step(layer, x):
    """One step of training of a model of this layer alone leaves finite weights."""
    several = isinstance(x, (list, tuple))
    x = [np.asarray(array(part), np.float32) for part in (x if several else [x])]
    inputs = [dlcore.layers.Input(part.shape[1:]) for part in x]
    model = dlcore.Model(inputs, layer(inputs if several else inputs[0]))
    y = model.predict(x if several else x[0], verbose=0)
    model.compile("sgd", "mse")
    model.fit(x if several else x[0], y + 1, batch_size=len(y), epochs=1, verbose=0)
    for w in model.weights:
        assert np.isfinite(w.numpy()).all(), w


class SequentialAdapter(LayerAdapter):
    @property
    def _functional(self):
        """Keras' private model within the model, which tests only ask the class of."""
        reduced("_functional")
        return Functional.__new__(Functional)


# -- optimizers


class OptimizerAdapter(Touches):
    """Steps on copies of Keras' variables and assigns the outcome."""

    def _copy(self, variable):
        if isinstance(variable, Parameter):
            return variable
        copies = self.__dict__.setdefault("_copies", {})
        if id(variable) not in copies:
            value = np.asarray(variable.numpy(), np.float32)
            copies[id(variable)] = variable, Parameter(value.shape or (1,), value, f"variables/{variable.name}")
        made = copies[id(variable)][1]
        made.constraint = getattr(variable, "constraint", None)
        return made

    def build(self, variables, size=None):
        super().build(variables if hasattr(variables, "keys") else [self._copy(v) for v in variables], size)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        super().exclude_from_weight_decay([self._copy(v) for v in var_list or []], var_names)

    def apply(self, grads, trainable_variables=None):
        variables = trainable_variables
        if all(isinstance(p, Parameter) for p in (self._layout if variables is None else variables)) and not (
            self.__dict__.get("_copies")
        ):
            super().apply(grads, variables)
            return
        if variables is None:
            variables = [next(v for v, p in self._copies.values() if p is q) for q in self._layout]
        variables = list(variables)
        copies = [self._copy(v) for v in variables]
        for variable, copy in zip(variables, copies, strict=True):
            copy.assign(np.reshape(variable.numpy(), copy.shape))
        grads = [None if g is None else np.reshape(array(g), c.shape) for g, c in zip(grads, copies, strict=False)]
        super().apply(grads, copies)
        for variable, copy in zip(variables, copies, strict=True):
            variable.assign(copy.numpy().reshape(variable.shape))

    def finalize_variable_values(self, var_list=None):
        super().finalize_variable_values(None if var_list is None else [self._copy(v) for v in var_list])
        for variable, copy in self.__dict__.get("_copies", {}).values():
            variable.assign(copy.numpy().reshape(variable.shape))

    @property
    def variables(self):
        """Keras counts the steps in, and a learning rate that is a number."""
        rate = [self.learning_rate] if self._schedule is None else []
        return [self.iterations, *rate, *super().variables]

    def set_weights(self, weights):
        if not self.built:
            raise ValueError("You are calling set_weights before build")
        names = [f"{p.name}/{name}" for p in self._layout for name in self.slots]
        own = ["iterations", *(["learning_rate"] if self._schedule is None else []), *names]
        self.load_state(dict(zip(own, weights, strict=True)))

    # Keras' private names for what dlcore has by others

    def _clip_gradients(self, grads):
        """What a step of size 1 from 0 goes."""
        step = dlcore.optimizers.SGD(
            1.0, clipnorm=self.clipnorm, clipvalue=self.clipvalue, global_clipnorm=self.global_clipnorm
        )
        weights = [Parameter(np.shape(g), np.zeros(np.shape(g)), f"clipped/{i}") for i, g in enumerate(grads)]
        step.apply(grads, weights)
        return [-w.numpy() for w in weights]

    def _slots(self, name):
        return [backend.Variable(self.slot(name, parameter)) for parameter in self._layout]

    @property
    def _model_variables_moving_average(self):
        return self._slots("average")

    @property
    def _accumulated_gradients(self):
        return self._slots("gradient_accumulator")

    @property
    def _iterations(self):
        return int(self.clock.step)


# -- losses, metrics and functions


class LossAdapter(Touches):
    def __call__(self, y_true, y_pred, sample_weight=None):
        touched()
        return result(super().__call__(array(y_true), array(y_pred), array(sample_weight)))


class MetricAdapter(Touches):
    def update_state(self, *arguments, **keywords):
        touched()
        return super().update_state(*map(array, arguments), **{k: array(v) for k, v in keywords.items()})

    def result(self):
        return result(super().result())

    @property
    def _dtype(self):
        return self.dtype

    def _decision(self, number):
        return self.decisions(self._totals or {"counts": np.zeros((1, 2, len(self.thresholds) + 1))})[number]

    true_positives = property(lambda self: self._decision(0))
    false_positives = property(lambda self: self._decision(1))
    true_negatives = property(lambda self: self._decision(2))
    false_negatives = property(lambda self: self._decision(3))

    @property
    def variables(self):
        return list(self._totals.values())


class Called(Touches):
    """Schedules: called with Keras' variables."""

    def __call__(self, *arguments, **keywords):
        touched()
        return result(super().__call__(*map(array, arguments), **keywords))


def eager(function, tensors):
    """A function of symbolic tensors, for arrays. `tensors`: how many of the first arguments are."""

    @functools.wraps(function)
    def call(*arguments, **keywords):
        touched()
        bound = inspect.signature(function).bind(*arguments, **keywords).arguments
        names = list(inspect.signature(function).parameters)[:tensors]
        arrays = [np.asarray(array(bound.pop(name))) for name in names]
        alone = arrays[0].ndim == 1  # one sample without its axis
        made = compute(lambda *given: function(*given, **bound), *(a[None] if alone else a for a in arrays))
        return made[0] if alone else made

    call.bare = function
    return call


def passed_on(function):
    @functools.wraps(function)
    def call(*arguments, **keywords):
        touched()
        return function(*map(bare, arguments), **keywords)

    return call


def made_by(function, module):
    """`get` and `deserialize`: what they make is an adapter, too."""

    @functools.wraps(function)
    def call(*arguments, **keywords):
        touched()
        made = function(*arguments, **keywords)
        cls = type(made)
        if not issubclass(cls, (Touches, type)) and getattr(module, cls.__name__, None) is cls:
            made.__class__ = adapter(module, cls.__name__)
        if inspect.isfunction(made) and getattr(module, made.__name__, None) is made:
            return adapter(module, made.__name__)
        return made

    return call


# -- what takes whose place


KINDS = [
    (dlcore.layers, dlcore.layers.Layer, LayerAdapter),
    (dlcore.models, dlcore.models.Sequential, SequentialAdapter),
    (dlcore.models, dlcore.layers.Layer, LayerAdapter),
    (dlcore.optimizers, dlcore.optimizers.Optimizer, OptimizerAdapter),
    (dlcore.optimizers.schedules, dlcore.optimizers.schedules.LearningRateSchedule, Called),
    (dlcore.losses, dlcore.losses.Loss, LossAdapter),
    (dlcore.metrics, dlcore.metrics.Metric, MetricAdapter),
]
FUNCTIONS = {dlcore.activations: 1}


@functools.cache
def adapter(module, name):
    """The adapter of dlcore's `module.name`.

    Raises:
        AttributeError: dlcore has nothing of that name.
    """
    value = getattr(module, name)
    if name == "Model":  # it makes another class of itself
        return value
    for room, base, mixin in KINDS:
        if room is module and isinstance(value, type) and issubclass(value, base):
            return adapted(value, mixin, (module.__name__, name))
    if name in ("get", "deserialize"):
        return made_by(value, module)
    if inspect.isfunction(value) and name not in ("get", "serialize", "deserialize") and module in FUNCTIONS:
        return eager(value, FUNCTIONS[module])
    if isinstance(value, types.FunctionType):
        return passed_on(value)
    return value


class Missing:
    """What Keras has and dlcore has not."""

    def __init__(self, *arguments, **keywords):
        raise NotImplementedError(f"dlcore has no {self.name}")


@functools.cache
def missing(module, name):
    return type(name, (Missing,), {"name": f"{module.__name__.removeprefix('dlcore.')}.{name}"})


class Room(types.ModuleType):
    """dlcore's module where the tests expect Keras'."""

    def __init__(self, module):
        super().__init__(module.__name__)
        self.__dict__["_module"] = module

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        touched()
        return adapter(self._module, name) if hasattr(self._module, name) else missing(self._module, name)


ROOMS = {
    "layers": dlcore.layers,
    "models": dlcore.models,
    "optimizers.schedules": dlcore.optimizers.schedules,
    "optimizers": dlcore.optimizers,
    "losses": dlcore.losses,
    "metrics": dlcore.metrics,
    "initializers": dlcore.initializers,
    "regularizers": dlcore.regularizers,
    "constraints": dlcore.constraints,
    "activations": dlcore.activations,
}


def room_of(name):
    """dlcore's module for Keras' module of this name."""
    name = name.removeprefix("keras.src.")
    for stem, module in ROOMS.items():
        if name == stem or name.startswith(f"{stem}."):
            return module
    return None


def instead_of(value):
    """What to bind a test module's global to, or None to leave it."""
    if isinstance(value, types.ModuleType):
        name = value.__name__
        return (
            Room(room)
            if name.startswith("keras.src.") and not name.endswith("_test") and (room := room_of(name))
            else None
        )
    module = getattr(value, "__module__", None)
    name = getattr(value, "__name__", None)
    if not isinstance(module, str) or not module.startswith("keras.src.") or module.endswith("_test") or not name:
        return None
    room = room_of(module)
    return adapter(room, name) if room is not None and hasattr(room, name) else None
