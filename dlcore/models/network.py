"""Network: the layers of a model, where their weights lie, and the graphs of them that are bound."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlcore import callbacks, config, losses, metrics, ops, optimizers
from dlcore.graph.fuse import BACKWARD, INFERENCE, PATTERNS, fuse
from dlcore.graph.gradient import gradients
from dlcore.graph.program import Function
from dlcore.kernels.data import Feed, Predictor, Predictors
from dlcore.kernels.locks import SharedLock
from dlcore.layers.base import Layer, shown
from dlcore.models.arena import WeightArena
from dlcore.ops.base import BATCH, Parameter, Tensor, changes, values
from dlcore.ops.data import Store, gather
from dlcore.ops.elementwise import mean_gradient
from dlcore.ops.metrics import Accumulate

_networks: weakref.WeakSet[Network] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """The threads that held locks do not exist in the child, and what they had bound may be half used."""
    for network in list(_networks):
        if network._training.locked():
            network._functions.clear()
        network._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Network(Layer):
    """What `Model` trains and runs. A subclass defines `layers`, `sample_shape` and `call`."""

    def __init__(self, *, name: str | None = None, trainable: bool = True):
        super().__init__(name=name, trainable=trainable)
        self.stop_training = False
        self.history: callbacks.History | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self._metrics: list[Any] = []
        self._arena: WeightArena | None = None
        self._bound_to: dict[Any, Any] = {}  # layers, and weights with their places, when what follows was bound
        self._seen: object = None  # `changes.last` when that was looked at,
        self._placed: object = None  # and when the arena was
        self._functions: dict[Any, tuple[Function, dict[str, np.ndarray]]] = {}
        self._renew_locks()
        _networks.add(self)

    def _renew_locks(self) -> None:
        self._lock = SharedLock()
        self._training = threading.Lock()
        self._trainer = 0  # thread that holds it
        self._renew_predictors()

    def _renew_predictors(self) -> None:
        """A predictor in use goes back to where it came from, and is forgotten with it."""
        self._predictors = Predictors(self._lock, config.get_num_threads, values)

    def _forget(self) -> None:
        """Forget all that is bound."""
        self._functions.clear()
        self._renew_predictors()
        changes.note()

    # -- structure

    @property
    def layers(self) -> list[Layer]:
        raise TypeError(f"{type(self).__name__} must define layers")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one input sample.

        Raises:
            ValueError: the model is not built yet.
        """
        raise TypeError(f"{type(self).__name__} must define sample_shape")

    @property
    def input_shape(self) -> tuple[Any, ...]:
        return (None, *self.sample_shape)

    @property
    def weights(self) -> list[Parameter]:
        return list(dict.fromkeys(w for layer in self.layers for w in layer.weights))

    @property
    def trainable_weights(self) -> list[Parameter]:
        if not self.trainable:
            return []
        return list(dict.fromkeys(w for layer in self.layers for w in layer.trainable_weights))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name, or by its place.

        Raises:
            ValueError: there is none.
        """
        if index is not None and -len(self.layers) <= index < len(self.layers):
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"{self.name}: no layer {name if index is None else index!r}. "
            f"It has {[layer.name for layer in self.layers]}"
        )

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] = print) -> None:
        """Print the layers with output shapes and numbers of parameters, as Keras does."""
        from dlcore.models.summary import summary

        print_fn(summary(self, line_length))

    # -- training: setting up

    def compile(self, optimizer: Any, loss: Any = None, *, metrics: Sequence[Any] | None = None) -> None:
        """Say how the model is trained.

        https://keras.io/api/models/model_training_apis/

        Args:
            optimizer: "sgd", "adam" or an Optimizer.
            loss: name, Loss, or function of (y_true, y_pred).
            metrics: list of names ("accuracy" means the one that goes with the loss) or functions.

        Raises:
            ValueError: an unknown name, or no loss.
        """
        if loss is None:
            raise ValueError(f"{self.name}: compile needs a loss. Received: loss=None")
        self._idle("compile")
        self.optimizer, self.loss = optimizers.get(optimizer), losses.get(loss)
        self._metrics = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics or [])
        self._functions.clear()
        if self.built:
            self._measures()  # an unknown metric is an error now, not at the first fit

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(f"{self.name}: call compile(optimizer, loss) before training or evaluating")
        return self.optimizer, self.loss

    def _measures(self) -> list[tuple[str, metrics.Metric]]:
        _, loss = self._compiled()
        return [metrics.get(metric, loss, self._output_shape()) for metric in self._metrics]

    def _output_shape(self) -> tuple[Any, ...]:
        """Shape of the output, batch in front."""
        self._drop_stale()
        if self.output_shape is None:
            self.call(gather("x", self.sample_shape))
        return self.output_shape or ()

    def _weights_in_place(self) -> WeightArena:
        """The arena with all weights, as training needs them; made anew when it is out of date."""
        last = changes.last
        if self._arena is not None and self._placed is last:
            return self._arena
        trainable, frozen = self.trainable_weights, self.non_trainable_weights
        if self._arena is None or not self._arena.holds(trainable, frozen):
            with self._lock.write():
                self._arena = WeightArena(trainable, frozen)
        self._placed = last if self._notes_changes() else None
        return self._arena

    def _drop_stale(self) -> None:
        """Forget what is bound to other layers, or to memory where the weights no longer lie: another model that shares
        them trains too."""
        last = changes.last
        if self._seen is last:
            return
        bound_to: dict[Any, Any] = {**dict.fromkeys(self._deep()), **{w: w.value for w in self.weights}}
        with self._lock.write():
            known = self._bound_to
            if list(bound_to) != list(known):
                self.output_shape = None
            if list(bound_to) != list(known) or any(place is not known[of] for of, place in bound_to.items()):
                self._bound_to = bound_to
                self._functions.clear()
                self._renew_predictors()
            self._seen = last if self._notes_changes() else None

    def _function(self, x_dtype: str, training: bool) -> tuple[Function, dict[str, np.ndarray]]:
        """The graph of loss and metrics, with gradients and the optimizer when training, and the totals it adds to."""
        arena = self._weights_in_place() if training else None
        self._drop_stale()
        key = (x_dtype, training)
        known = self._functions.get(key)
        if known is not None:
            return known
        optimizer, loss = self._compiled()
        x = gather("x", self.sample_shape)
        p = self.call(x, training)
        y_shape, y_dtype = (p.shape[1:-1], "i") if loss.sparse else (p.shape[1:], "f")
        y = gather("y", y_shape, y_dtype)
        measured = {"loss": per_sample(loss(y, p), "loss")}
        for name, measure in self._measures():
            if name in measured:
                raise ValueError(f"{self.name}: two measures are called {name!r}; give the metric another name")
            measured[name] = per_sample(measure(y, p), name)
        fuse(list(measured.values()), PATTERNS if training else INFERENCE)

        totals = {name: np.zeros(2) for name in measured}
        total_tensors = {name: Tensor((2,), "d", name=name) for name in measured}
        placed: dict[Tensor, Any] = {total_tensors[name]: totals[name] for name in measured}
        sinks: list[ops.Op] = [Accumulate(tensor, total_tensors[name]) for name, tensor in measured.items()]
        if arena is not None and arena.trainable:
            found = gradients(measured["loss"], mean_gradient(), arena.trainable, ops.add)
            optimizer.build(arena.layout(), arena.trainable_size)
            reached = {w: tensor for w, tensor in zip(arena.trainable, found, strict=True) if tensor is not None}
            fuse([*measured.values(), *reached.values()], BACKWARD)
            updates, memory = optimizer.update(reached)
            placed.update(memory)
            sinks.extend(updates)
        feeds = {
            "x": Feed(x_dtype, int(np.prod(self.sample_shape, dtype=np.int64))),
            "y": Feed(y_dtype, int(np.prod(y_shape, dtype=np.int64))),
        }
        function = Function(sinks, feeds, optimizer.clock if training else None, placed, training)
        self._functions[key] = function, totals
        return function, totals

    def _idle(self, what: str) -> None:
        """Refuse to change a model that is training or evaluating."""
        if self._training.locked():
            raise RuntimeError(f"{self.name}: {what} was called while this model is training or evaluating")

    @contextmanager
    def _exclusive(self, what: str) -> Iterator[None]:
        """Nobody else trains or evaluates meanwhile. A callback of `fit` may evaluate: nothing runs while it does."""
        if what == "evaluate" and self._trainer == threading.get_ident():
            yield
            return
        if not self._training.acquire(blocking=False):
            raise RuntimeError(
                f"{self.name}: {what} was called while this model is training or evaluating, in another "
                "thread or in a callback"
            )
        self._trainer = threading.get_ident()
        try:
            yield
        finally:
            self._trainer = 0
            self._training.release()

    def _new_predictor(self, dtype: str) -> Predictor:
        p = self.call(gather("x", self.sample_shape))
        fuse([p], INFERENCE)
        sample, result = self.sample_shape, p.shape[1:]
        x, y = Feed(dtype, int(np.prod(sample, dtype=np.int64))), Feed("f", int(np.prod(result, dtype=np.int64)))
        return Predictor(Function([Store(p, "p")], {"x": x, "p": y}), x, y, sample, result)


def per_sample(x: Any, name: str) -> Tensor:
    """Refuse a loss or metric that does not give one value per sample."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor made by dlcore.ops. Received: {x!r}")
    if x.shape != (BATCH,):
        raise ValueError(f"{name}: expected one value per sample, shape (None,). Received: {shown(x.shape)}")
    return x
