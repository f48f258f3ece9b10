"""Model: layers that are trained and used together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlcore import _random, callbacks, config, losses, metrics, ops, optimizers
from dlcore.graph.fuse import fuse
from dlcore.graph.gradient import gradients
from dlcore.graph.program import Function
from dlcore.kernels.data import Feed
from dlcore.layers.base import Layer, shown
from dlcore.models.arena import WeightArena
from dlcore.models.data import inputs, split, validation_pair, whole
from dlcore.models.locks import SharedLock
from dlcore.ops.base import BATCH, Parameter, Tensor
from dlcore.ops.data import Store, gather
from dlcore.ops.elementwise import mean_gradient
from dlcore.ops.metrics import Accumulate

PREDICT_BATCH = 256  # samples a step; the result does not depend on it
REPORT_SECONDS = 0.1  # between looks at the progress bar, when no callback asks for every batch


class Model(Layer):
    """Base of models: compile, fit, evaluate, predict. A subclass defines `layers`, `sample_shape` and `call`.

    `predict` may be called from many threads at a time; while the model trains it waits for the end of a step. Training
    and evaluating from two threads raise RuntimeError.
    """

    def __init__(self, *, name: str | None = None, trainable: bool = True):
        super().__init__(name=name, trainable=trainable)
        self.stop_training = False
        self.history: callbacks.History | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self._metrics: list[Any] = []
        self._arena: WeightArena | None = None
        self._places: list[np.ndarray] = []  # of the weights, when what follows was bound
        self._functions: dict[Any, tuple[Function, dict[str, np.ndarray]]] = {}
        self._predictors: list[Function] = []
        self._lock = SharedLock()
        self._training = threading.Lock()

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

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Sequence[Any] | None = None) -> None:
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
        if self.output_shape is None:
            self.call(gather("x", self.sample_shape))
        return self.output_shape or ()

    def _weights_in_place(self) -> WeightArena:
        """The arena with all weights, as training needs them; made anew when it is out of date."""
        trainable, frozen = self.trainable_weights, self.non_trainable_weights
        if self._arena is None or not self._arena.holds(trainable, frozen):
            with self._lock.write():
                self._arena = WeightArena(trainable, frozen)
        return self._arena

    def _drop_stale(self) -> None:
        """Forget what is bound to memory where the weights no longer lie: another model that shares them trains too."""
        places = [w.value for w in self.weights]
        if len(places) != len(self._places) or any(a is not b for a, b in zip(places, self._places, strict=True)):
            with self._lock.write():
                self._places = places
                self._functions.clear()
                self._predictors.clear()

    def _function(self, x_dtype: str, training: bool) -> tuple[Function, dict[str, np.ndarray]]:
        """The graph of loss and metrics, with gradients and the optimizer when training, and the totals it adds to."""
        arena = self._weights_in_place() if training else None
        self._drop_stale()
        key = (x_dtype, training)
        if key in self._functions:
            return self._functions[key]
        optimizer, loss = self._compiled()
        x = gather("x", self.sample_shape)
        p = self.call(x, training)
        y_shape, y_dtype = (p.shape[1:-1], "i") if loss.sparse else (p.shape[1:], "f")
        y = gather("y", y_shape, y_dtype)
        measured = {"loss": per_sample(loss(y, p), "loss")}
        for name, measure in self._measures():
            measured[name] = per_sample(measure(y, p), name)
        fuse(list(measured.values()))

        totals = {name: np.zeros(2) for name in measured}
        total_tensors = {name: Tensor((2,), "d", name=name) for name in measured}
        placed: dict[Tensor, Any] = {total_tensors[name]: totals[name] for name in measured}
        sinks: list[ops.Op] = [Accumulate(tensor, total_tensors[name]) for name, tensor in measured.items()]
        if arena is not None and arena.trainable:
            found = gradients(measured["loss"], mean_gradient(), arena.trainable, ops.add)
            optimizer.build(arena.trainable_size)
            flat = np.zeros(arena.trainable_size, np.float32)
            w, g = (Tensor((arena.trainable_size,), name=name) for name in "wg")
            placed.update({w: arena.flat[: arena.trainable_size], g: flat})
            reached = [(tensor, parameter) for tensor, parameter in zip(found, arena.trainable, strict=True) if tensor]
            placed.update({tensor: arena.view(flat, parameter) for tensor, parameter in reached})
            update, memory = optimizer.update([tensor for tensor, _ in reached], w, g)
            placed.update(memory)
            sinks.append(update)
        feeds = {
            "x": Feed(x_dtype, int(np.prod(self.sample_shape, dtype=np.int64))),
            "y": Feed(y_dtype, int(np.prod(y_shape, dtype=np.int64))),
        }
        function = Function(sinks, feeds, optimizer.clock if training else None, placed, training)
        self._functions[key] = function, totals
        return function, totals

    @contextmanager
    def _exclusive(self, what: str) -> Iterator[None]:
        if not self._training.acquire(blocking=False):
            raise RuntimeError(f"{self.name}: {what} was called while another thread trains or evaluates this model")
        try:
            yield
        finally:
            self._training.release()

    # -- training: running

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> callbacks.History:
        """Train on arrays. Returns the History; Ctrl-C leaves the weights of a whole step.

        https://keras.io/api/models/model_training_apis/#fit-method

        Args:
            x: samples (n, ...) of the model's input shape; float32 and uint8 are used as they are, others converted
            once.
            y: targets, as the loss wants them.
            batch_size: samples a step, default 32; the last batch may be smaller.
            epochs: number of the last epoch.
            verbose: 0 silent, 1 progress bar, 2 one line per epoch, "auto" 1 on a terminal or in a notebook, else 2.
            callbacks: list of Callback.
            validation_split: share of the samples, the last ones before shuffling, to validate on.
            validation_data: (x, y) to validate on after each epoch.
            shuffle: whether each epoch has a random order of its own.
            initial_epoch: number of epochs done before.
            validation_batch_size: default batch_size.
            validation_freq: validate every so many epochs.

        Raises:
            ValueError: an argument, or the data against the model and its loss.
            RuntimeError: not compiled, or training in another thread.
        """
        with self._exclusive("fit"):
            _, loss = self._compiled()
            self._build_for(x)
            batch_size = whole(32 if batch_size is None else batch_size, 1, "batch_size", self.name)
            validation_batch_size = whole(validation_batch_size or batch_size, 1, "validation_batch_size", self.name)
            validation_freq = whole(validation_freq, 1, "validation_freq", self.name)
            epochs = whole(epochs, 0, "epochs", self.name)
            initial_epoch = whole(initial_epoch, 0, "initial_epoch", self.name)
            x, y = self._pair(x, y, loss, "")
            if validation_data is not None:
                validation = self._pair(*validation_pair(validation_data), loss, "validation_data: ")
            else:
                (x, y), validation = split(x, y, validation_split)
            return self._fit(
                x,
                y,
                batch_size,
                epochs,
                verbose,
                callbacks,
                validation,
                shuffle,
                initial_epoch,
                validation_batch_size,
                validation_freq,
            )

    def _fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        epochs: int,
        verbose: Any,
        given: Any,
        validation: Any,
        shuffle: bool,
        initial_epoch: int,
        validation_batch_size: int,
        validation_freq: int,
    ) -> callbacks.History:
        function, totals = self._function(x.dtype.char, training=True)
        steps = -(-len(x) // batch_size)
        hooks = callbacks.CallbackList(given, self, verbose, {"epochs": epochs, "steps": steps, "samples": len(x)})
        self.history = hooks.history
        self.stop_training = False
        seed = _random.seeds.next()
        logs: dict[str, float] = {}
        try:
            hooks.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                hooks.on_epoch_begin(epoch)
                index = _random.permutation(seed, len(x), epoch) if shuffle else None
                function, totals = self._function(x.dtype.char, training=True)  # a callback may have moved the weights
                logs = self._run(function, totals, x, y, index, batch_size, hooks)
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    measured = self._evaluate(*validation, validation_batch_size)
                    logs.update({f"val_{name}": value for name, value in measured.items()})
                hooks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            hooks.on_train_end(logs)
        finally:
            hooks.close()
            function.clear()
        return hooks.history

    def _run(
        self,
        function: Function,
        totals: dict[str, np.ndarray],
        x: np.ndarray,
        y: np.ndarray,
        index: np.ndarray | None,
        batch_size: int,
        hooks: callbacks.CallbackList | None,
    ) -> dict[str, float]:
        """One pass over the data. Many steps run in one call, unless a callback asks for every batch."""
        for total in totals.values():
            total[:] = 0
        function.feeds["x"].set(x, index)
        function.feeds["y"].set(y, index)
        done, chunk, threads = 0, 1, config.get_num_threads()
        each = hooks is not None and hooks.wants_batches
        for program, steps in function.runs(len(x), batch_size):
            while steps:
                count = 1 if each else min(steps, chunk)
                if hooks is not None and each:
                    hooks.on_train_batch_begin(done)
                start = time.perf_counter()
                with self._lock.write() if function.training else self._lock.read():
                    program.run(count, threads)
                seconds = time.perf_counter() - start
                chunk = max(1, min(4 * chunk, int(REPORT_SECONDS * count / max(seconds, 1e-9))))
                steps -= count
                done += count
                if hooks is not None:
                    hooks.on_progress(done, count, means(totals))
                    if self.stop_training and each:
                        return means(totals)
        return means(totals)

    def train_on_batch(self, x: Any, y: Any = None, return_dict: bool = False) -> Any:
        """One step on one batch. Returns the loss, or [loss, metrics...], or a dict of them, of this batch before the
        step.

        Raises: as `fit`.
        """
        with self._exclusive("train_on_batch"):
            _, loss = self._compiled()
            self._build_for(x)
            x, y = self._pair(x, y, loss, "")
            function, totals = self._function(x.dtype.char, training=True)
            try:
                logs = self._run(function, totals, x, y, None, len(x), None)
            finally:
                function.clear()
        return logs if return_dict else listed(logs)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on data: the loss alone, or [loss, metrics...], or a dict of them.

        https://keras.io/api/models/model_training_apis/#evaluate-method

        Raises: as `fit`.
        """
        with self._exclusive("evaluate"):
            _, loss = self._compiled()
            self._build_for(x)
            x, y = self._pair(x, y, loss, "")
            start = time.perf_counter()
            batch_size = whole(PREDICT_BATCH if batch_size is None else batch_size, 1, "batch_size", self.name)
            logs = self._evaluate(x, y, batch_size)
        if callbacks.resolve_verbose(verbose):
            print(callbacks.line("Evaluation", time.perf_counter() - start, logs))
        return logs if return_dict else listed(logs)

    def _evaluate(self, x: np.ndarray, y: np.ndarray, batch_size: int) -> dict[str, float]:
        function, totals = self._function(x.dtype.char, training=False)
        try:
            return self._run(function, totals, x, y, None, batch_size, None)
        finally:
            function.clear()

    def _pair(self, x: Any, y: Any, loss: losses.Loss, where: str) -> tuple[np.ndarray, np.ndarray]:
        x = inputs(x, self.sample_shape, f"{where}x", self.name)
        if y is None:
            raise ValueError(f"{where}y: expected targets. Received: y=None")
        y = loss.target(y, self._output_shape()[1:], f"{where}y")
        if len(x) != len(y):
            raise ValueError(f"{where}x and y must have the same number of samples. Received: {len(x)} and {len(y)}")
        return x, y

    def _build_for(self, x: Any) -> None:
        """Let a model without an input shape take that of the data."""

    # -- using

    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> np.ndarray:
        """Outputs for samples x (n, ...): float32 (n, ...). Safe from many threads.

        https://keras.io/api/models/model_training_apis/#predict-method

        Args:
            x: samples; float32 and uint8 are used as they are, others converted once.
            batch_size: samples a step, default 256; the result does not depend on it.
            verbose: accepted for Keras' sake; predicting prints nothing.

        Raises:
            ValueError: the shape is not the model's.
        """
        self._build_for(x)
        x = inputs(x, self.sample_shape, "x", self.name)
        batch = min(len(x), PREDICT_BATCH) if batch_size is None else whole(batch_size, 1, "batch_size", self.name)
        self._drop_stale()
        out = np.empty((len(x), *self._output_shape()[1:]), np.float32)
        with self._lock.read():
            predictor = self._take_predictor(x.dtype.char)
            try:
                predictor.feeds["x"].set(x)
                predictor.feeds["p"].set(out, write=True)
                threads = config.get_num_threads()
                for program, steps in predictor.runs(len(x), batch):
                    program.run(steps, threads)
            finally:
                predictor.clear()
                self._predictors.append(predictor)
        return out

    def _take_predictor(self, dtype: str) -> Function:
        """A predictor that nobody uses: one from the pool, else a new one. list.pop and append are atomic."""
        try:
            predictor = self._predictors.pop()
            if predictor.feeds["x"].dtype == dtype:
                return predictor
        except IndexError:
            pass
        p = self.call(gather("x", self.sample_shape))
        store = Store(p, "p")
        fuse([p])
        store.inputs[0] = p
        feeds = {
            "x": Feed(dtype, int(np.prod(self.sample_shape, dtype=np.int64))),
            "p": Feed("f", int(np.prod(p.shape[1:], dtype=np.int64))),
        }
        return Function([store], feeds)

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Add the model to the graph of a symbolic tensor, or predict an array."""
        if isinstance(x, Tensor):
            return super().__call__(x, training)
        return self.predict(x)

    # -- files

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write architecture and weights to one safetensors file, which `load_model` reads. All of it or nothing.

        Raises:
            ValueError: something in the model has no name that could be written.
            OSError: the file cannot be written.
        """
        from dlcore.saving import save_model

        save_model(self, filepath)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(f"{self.name}: models cannot be pickled; use save and load_model")


def per_sample(x: Tensor, name: str) -> Tensor:
    """Refuse a loss or metric that does not give one value per sample."""
    if x.shape != (BATCH,):
        raise ValueError(f"{name}: expected one value per sample, shape (None,). Received: {shown(x.shape)}")
    return x


def means(totals: dict[str, np.ndarray]) -> dict[str, float]:
    """Logs from running (sum, count) totals."""
    return {name: float(total[0] / total[1]) if total[1] else 0.0 for name, total in totals.items()}


def listed(logs: dict[str, float]) -> Any:
    """The loss alone, or [loss, metrics...]."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
