"""Model: training, evaluating and predicting with a network."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from dlcore import _random, callbacks, config, losses
from dlcore.graph.program import Function
from dlcore.kernels.executor import Program
from dlcore.models.data import inputs, split, validation_pair, whole
from dlcore.models.network import Network
from dlcore.ops.base import Tensor, changes, values

PREDICT_BATCH = 256  # samples a step; the result does not depend on it
REPORT_SECONDS = 0.1  # between looks at the progress bar, when no callback asks for every batch


class Model(Network):
    """Base of models: compile, fit, evaluate, predict.

    `predict` may be called from many threads at a time; while the model trains it waits for the end of a step. Training
    and evaluating from two threads raise RuntimeError.
    """

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
            validation_batch_size = whole(
                batch_size if validation_batch_size is None else validation_batch_size,
                1,
                "validation_batch_size",
                self.name,
            )
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
                    measured = self._evaluate(validation[0], validation[1], validation_batch_size)
                    logs.update({f"val_{name}": value for name, value in measured.items()})
                hooks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if self.optimizer is not None:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            hooks.on_train_end(logs)
        finally:
            hooks.close()
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
        try:
            for program, steps in function.runs(len(x), batch_size):
                while steps:
                    count = 1 if each else min(steps, chunk)
                    if function.training and self.optimizer is not None:
                        count = self.optimizer.prepare(count)
                    if hooks is not None and each:
                        hooks.on_train_batch_begin(done)
                    start = time.perf_counter()
                    if function.training:
                        self._step(program, count, threads)
                    else:
                        with self._lock.read():
                            program.run(count, threads, values.last)
                    seconds = time.perf_counter() - start
                    chunk = max(1, min(4 * chunk, int(REPORT_SECONDS * count / max(seconds, 1e-9))))
                    steps -= count
                    done += count
                    if hooks is not None:
                        hooks.on_progress(done, count, means(totals))
                        if self.stop_training and each:
                            return means(totals)
        finally:
            function.clear()
        return means(totals)

    def _step(self, program: Program, count: int, threads: int) -> None:
        """Training steps, during which nobody predicts. They leave the weights prepared, but for this program alone."""
        with self._lock.write():
            before = values.last
            try:
                program.run(count, threads, before)
            finally:
                after = values.note(before)
            program.prepared = after  # None where another thread assigned weights meanwhile

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
            logs = self._run(function, totals, x, y, None, len(x), None)
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
        return self._run(function, totals, x, y, None, batch_size, None)

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
        if batch_size is None and self._seen is changes.last:
            y = self._predictors(x)
            if y is not None:
                return y
        self._build_for(x)
        x = inputs(x, self.sample_shape, "x", self.name)
        batch = min(len(x), PREDICT_BATCH) if batch_size is None else whole(batch_size, 1, "batch_size", self.name)
        self._drop_stale()
        out = np.empty((len(x), *self._output_shape()[1:]), np.float32)
        with self._lock.read():
            idle = self._predictors
            predictor = idle.take(x.dtype.char) or self._new_predictor(x.dtype.char)
            function: Function = predictor.function
            try:
                function.feeds["x"].set(x)
                function.feeds["p"].set(out, write=True)
                threads = config.get_num_threads()
                for program, steps in function.runs(len(x), batch):
                    program.run(steps, threads, values.last)
            finally:
                function.clear()
                idle.give(predictor)
        return out

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


def means(totals: dict[str, np.ndarray]) -> dict[str, float]:
    """Logs from running (sum, count) totals."""
    return {name: float(total[0] / total[1]) if total[1] else 0.0 for name, total in totals.items()}


def listed(logs: dict[str, float]) -> Any:
    """The loss alone, or [loss, metrics...]."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
