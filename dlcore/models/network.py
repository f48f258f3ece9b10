"""Network: the layers of a model, where their weights lie, and the graphs of them that are bound."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from dlcore import callbacks, config, optimizers
from dlcore._arguments import checked
from dlcore.graph.fuse import INFERENCE, fuse
from dlcore.graph.program import Function
from dlcore.kernels.data import Feed, Predictor, Predictors
from dlcore.kernels.locks import SharedLock
from dlcore.layers.base import Layer
from dlcore.layers.shape import Input
from dlcore.layers.trace import Call, current, flat, mapped, tracing
from dlcore.models.arena import WeightArena
from dlcore.models.bound import Bound, bind
from dlcore.models.data import Spec
from dlcore.models.objective import Objective, Target
from dlcore.models.structure import Structure, stack
from dlcore.ops.base import Parameter, Tensor, changes, values
from dlcore.ops.data import Store, gather

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
    """What `Model` trains and runs. A subclass defines `layers`, `specs` and `call`."""

    def __init__(self, *, name: str | None = None, trainable: bool = True, **kwargs: Any):
        super().__init__(name=name, trainable=trainable, **kwargs)
        self.stop_training = False
        self.history: callbacks.History | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: Any = None
        self._objective: Objective | None = None
        self._renew()

    def _renew(self) -> None:
        """Nothing is bound, nobody is at work."""
        self._arena: WeightArena | None = None
        self._bound_to: dict[Any, Any] = {}  # layers, and weights with their places, when what follows was bound
        self._seen: object = None  # `changes.last` when that was looked at,
        self._placed: object = None  # and when the arena was
        self._functions: dict[Any, Bound] = {}
        self._shapes: list[tuple[Any, ...]] | None = None  # of the outputs
        self._structure: Any = 0  # numbers of the outputs, as the model's call gives them
        self._laid_out: tuple[Objective, Any, list[Target]] | None = None  # an objective over outputs of these shapes
        self._renew_locks()
        _networks.add(self)

    def _renew_locks(self) -> None:
        self._lock = SharedLock()
        self._training, self._building = threading.Lock(), threading.RLock()
        self._trainer = 0  # thread that holds it
        self._renew_predictors()

    def _renew_predictors(self) -> None:
        """A predictor in use goes back to where it came from, and is forgotten with it."""
        self._predictors = Predictors(self._lock, config.get_num_threads, values)
        self._idle_functions: dict[str, list[Function]] = {}  # that predict what the former do not, by dtypes of inputs

    def _forget(self) -> None:
        """Forget all that is bound."""
        self._functions.clear()
        self._renew_predictors()
        changes.note()

    def release_workspace(self) -> None:
        """Give back the memory that predicting, evaluating and training worked in; not in Keras. The allocator of the C
        library may keep the smaller blocks.

        A model keeps what it has bound for the last eight batch sizes, for each kind of use and each thread that
        predicts at one time, so that the next call need not bind again. Weights, the optimizer's state and metrics
        stay. Predictions in other threads are waited for.

        Raises:
            RuntimeError: the model is training or evaluating; its callbacks run meanwhile.
        """
        with self._exclusive("release_workspace"), self._lock.write():
            for bound in self._functions.values():
                bound.function.release()
            self._renew_predictors()

    def set_weights(self, weights: Sequence[Any]) -> None:
        """As for a layer. Predictions in other threads see all of the old weights, or all of the new ones."""
        with self._lock.write():
            super().set_weights(weights)

    # -- structure

    @property
    def layers(self) -> list[Layer]:
        raise TypeError(f"{type(self).__name__} must define layers")

    @property
    def specs(self) -> list[Spec]:
        """Name, shape of one sample and dtype of each input.

        Raises:
            ValueError: the model is not built yet.
        """
        raise TypeError(f"{type(self).__name__} must define specs")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample of the only input."""
        if len(self.specs) != 1:
            raise ValueError(f"{self.name}: expected a model of one input. It has {[s.name for s in self.specs]}")
        return self.specs[0].shape

    @property
    def input_names(self) -> list[str]:
        return [spec.name for spec in self.specs]

    @property
    def input_shape(self) -> Any:
        shapes = [(None, *spec.shape) for spec in self.specs]
        return shapes[0] if len(shapes) == 1 else shapes

    def _packed(self, tensors: Sequence[Tensor]) -> Any:
        """One tensor per input, as `call` takes them."""
        return tensors[0] if len(tensors) == 1 else list(tensors)

    def _reads(self, count: int) -> list[Any]:
        dtypes = [np.int32 if spec.dtype == "i" else np.float32 for spec in self.specs] if self.built else []
        return dtypes if len(dtypes) == count else super()._reads(count)

    def _call_on_tensors(self, what: str) -> Call:
        if self._last_call is None and current() is None:  # the copy of a model has no symbolic tensors yet
            x = self._packed(self._symbolic_inputs())
            self._last_call = Call(self, (x, (), {}), self._called(x, (), {}, False), own=False)
        return super()._call_on_tensors(what)

    def _symbolic_inputs(self) -> list[Tensor]:
        """New inputs of the same names, shapes and dtypes."""
        return [Input(s.shape, name=s.name, dtype="int32" if s.dtype == "i" else None) for s in self.specs]

    @property
    def inputs(self) -> list[Tensor]:
        """Symbolic tensors that `outputs` are computed from."""
        return flat(self.input)

    @property
    def outputs(self) -> list[Tensor]:
        return flat(self.output)

    def _output_names(self, count: int) -> list[str]:
        if isinstance(self._structure, dict):
            names = _keys(self._structure)
        else:
            names = getattr(self, "output_names", None) or [f"output_{i}" for i in range(count)]
        taken: dict[str, int] = {}
        for i, name in enumerate(names):
            taken[name] = taken.get(name, -1) + 1
            if taken[name]:
                names = [*names[:i], f"{name}_{taken[name]}", *names[i + 1 :]]
        return names

    @property
    def weights(self) -> list[Parameter]:
        return list(dict.fromkeys(w for layer in self.layers for w in layer.weights))

    @property
    def trainable_weights(self) -> list[Parameter]:
        if not self.trainable:
            return []
        return list(dict.fromkeys(w for layer in self.layers for w in layer.trainable_weights))

    @checked
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

    def structure(self) -> Structure:
        """Layers in the order of the summary, and what each reads, as far as the model knows it."""
        return stack(self.layers, connected=False)

    @checked
    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers with output shapes and numbers of parameters, as Keras does.

        https://keras.io/api/models/model/

        Args:
            line_length: of the table, default 88, or 108 with connections, or what the terminal has.
            positions: where the columns end, as shares of it.
            print_fn: called once with the whole text, default print.
            expand_nested: show the layers in models that are layers of this one.
            show_trainable: show which layers are trained: Y, N, or - for those without weights.
            layer_range: names, or regular expressions, of the first and the last layer to show.

        Raises:
            ValueError: too narrow, or no layers fit `layer_range`.
        """
        from dlcore.models.summary import summary

        text = summary(self, line_length, positions, expand_nested, show_trainable, layer_range)
        if print_fn is None:
            print(text)
        else:
            print_fn(f"{text}\n")

    # -- training: setting up

    @checked
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        https://keras.io/api/models/model_training_apis/

        Args:
            optimizer: name, Optimizer or config, default "rmsprop".
            loss: name, Loss, or function of (y_true, y_pred); for several outputs a list, or a dict by output. None
                where layers add all there is to minimise.
            loss_weights: factors of the losses, likewise; default 1.
            metrics: list of names ("accuracy" means the one that goes with the loss), Metrics or functions; for several
                outputs a list of lists, or a dict.
            weighted_metrics: likewise, weighted by sample_weight and class_weight.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted for Keras' sake: a plan is
                bound once and runs as many steps as nobody asks about.

        Raises:
            ValueError: an unknown name, or what does not fit the outputs.
        """
        self._idle("compile")
        objective = Objective(self.name, loss, loss_weights, metrics, weighted_metrics)
        before = self.optimizer, self.loss, self._objective
        self.optimizer, self.loss, self._objective = optimizers.get(optimizer), objective.loss, objective
        if self.built:
            try:
                self._targets()  # what does not fit is an error now, not at the first fit
            except (ValueError, TypeError):
                self.optimizer, self.loss, self._objective = before
                raise
        self._functions.clear()

    def _compiled(self) -> tuple[optimizers.Optimizer, Objective]:
        if self.optimizer is None or self._objective is None:
            raise RuntimeError(f"{self.name}: call compile(optimizer, loss) before training or evaluating")
        return self.optimizer, self._objective

    def _targets(self) -> list[Target]:
        _, objective = self._compiled()
        shapes = self._output_shapes()
        if self._laid_out is None or self._laid_out[0] is not objective or self._laid_out[1] is not shapes:
            # one number per sample is measured as an output of one unit
            targets = objective.targets(self._output_names(len(shapes)), [shape[1:] or (1,) for shape in shapes])
            self._laid_out = objective, shapes, targets
        return self._laid_out[2]

    def _output_shapes(self) -> list[tuple[Any, ...]]:
        """Shapes of the outputs, batch in front."""
        self._drop_stale()
        if self._shapes is None:
            with tracing(False):
                outputs = self._called(self._packed(self._gathered()), (), {}, False)
            self._shapes = [tensor.shape for tensor in flat(outputs)]
            numbers = iter(range(len(self._shapes)))
            self._structure = mapped(lambda _: next(numbers), outputs)
        return self._shapes

    def _gathered(self) -> list[Tensor]:
        return [gather(f"x{i}", spec.shape, spec.dtype) for i, spec in enumerate(self.specs)]

    @property
    def metrics(self) -> list[Any]:
        """The metrics of all outputs, in the order of the logs."""
        return [metric for target in self._targets() for _, metric, _ in target.metrics]

    @property
    def metrics_names(self) -> list[str]:
        """Names in logs: "loss", those of the outputs where several have one, and the metrics'."""
        targets = self._targets()
        losses = [f"{target.name}_loss" for target in targets if target.loss is not None]
        return [
            "loss",
            *(losses if len(losses) > 1 else []),
            *(name for target in targets for name, *_ in target.metrics),
        ]

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
        """Forget what is bound to other layers, to memory where the weights no longer lie (another model that shares
        them trains too), or in another precision."""
        last = changes.last
        if self._seen is last:
            return
        bound_to: dict[Any, Any] = {layer: layer._trainable for layer in self._deep()}
        bound_to.update((w, w.value) for w in self.weights)
        bound_to[config.get_precision()] = None
        with self._lock.write():
            known = self._bound_to
            if list(bound_to) != list(known):
                self._shapes = None
            if list(bound_to) != list(known) or any(place is not known[of] for of, place in bound_to.items()):
                self._bound_to = bound_to
                self._functions.clear()
                self._renew_predictors()
            self._seen = last if self._notes_changes() else None

    def _function(self, dtypes: str, weights: tuple[Any, ...], training: bool) -> Bound:
        """The graph of losses and metrics, with gradients and the optimizer when training.

        Args:
            dtypes: of the data of each input, one letter each, as for Feed.
            weights: for each output, the shape of one sample's weight, None where there are none.
        """
        arena = self._weights_in_place() if training else None
        self._drop_stale()
        key = (dtypes, weights, training)
        bound = self._functions.get(key)
        if bound is None or bound.busy:  # a callback may evaluate in the midst of an evaluation
            optimizer, _ = self._compiled()
            bound = self._functions[key] = bind(self, self._targets(), dtypes, weights, arena, optimizer)
        return bound

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

    def _new_predictor(self, dtype: str, result: tuple[int, ...]) -> Predictor:
        function = self._new_function(dtype)
        return Predictor(function, function.feeds["x0"], function.feeds["p0"], self.specs[0].shape, result)

    def _new_function(self, dtypes: str) -> Function:
        """Outputs "p0", "p1", ... for inputs "x0", ..."""
        with tracing(False):
            outputs = flat(self._called(self._packed(self._gathered()), (), {}, False))
        fuse(outputs, INFERENCE)
        feeds = {f"x{i}": Feed(d, prod(spec.shape)) for i, (d, spec) in enumerate(zip(dtypes, self.specs, strict=True))}
        feeds.update({f"p{i}": Feed("f", prod(tensor.shape[1:])) for i, tensor in enumerate(outputs)})
        return Function([Store(tensor, f"p{i}") for i, tensor in enumerate(outputs)], feeds)


def _keys(structure: Any, prefix: str = "") -> list[str]:
    """A name for each value in nested dicts and lists: "a" for {"a": 0}, "a_0" and "a_1" for {"a": [0, 1]}."""
    if not isinstance(structure, (dict, list, tuple)):
        return [prefix]
    items = structure.items() if isinstance(structure, dict) else enumerate(structure)
    return [name for key, part in items for name in _keys(part, f"{prefix}_{key}" if prefix else str(key))]
