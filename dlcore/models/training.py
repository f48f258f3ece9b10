"""Training and evaluating a model."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, cast

from dlcore import _random, config
from dlcore._arguments import checked
from dlcore.callbacks import CallbackList, History
from dlcore.callbacks.progress import line, resolve_verbose
from dlcore.graph.program import Function
from dlcore.kernels.executor import Program
from dlcore.models.advice import check_fit
from dlcore.models.bound import Bound
from dlcore.models.data import ArrayData, Chunk, Data, adapt, validation, whole
from dlcore.models.network import Network
from dlcore.models.objective import Target
from dlcore.ops.base import values

PREDICT_BATCH = 256  # samples a step of evaluate and predict; the result does not depend on it
REPORT_SECONDS = 0.1  # between looks at the progress bar, when no callback asks for every batch


class Trainer(Network):
    """What a `Model` does to train and to be measured."""

    _fit_seed = 0  # of the order of the samples, in the training that goes on or the last one
    _resume: dict[str, int] | None = None  # the place where it is to go on

    def _build_for(self, data: Data) -> None:
        """Let a model without an input shape take that of the data."""

    @checked
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
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        *,
        check_data: bool = False,
    ) -> History:
        """Train on data. Returns the History; Ctrl-C leaves the weights of a whole step.

        https://keras.io/api/models/model_training_apis/#fit-method

        Args:
            x: samples (n, ...) of the model's input shape; float32 and uint8 are used as they are, others converted
                once. For several inputs a list, or a dict by their names. Or a dataset, which brings its targets: an
                object with `__len__` and `__getitem__` that gives batches, or samples as PyTorch's do, or an iterable
                or generator of batches.
            y: targets, as the loss wants them; for several outputs a list, or a dict by their names.
            batch_size: samples a step, default 32; the last batch may be smaller.
            epochs: number of the last epoch.
            verbose: 0 silent, 1 progress bar, 2 one line per epoch, "auto" 1 on a terminal or in a notebook, else 2.
            callbacks: list of Callback.
            validation_split: share of the samples, the last ones before shuffling, to validate on.
            validation_data: (x, y), (x, y, sample_weight) or a dataset to validate on after each epoch.
            shuffle: whether each epoch has a random order of its own.
            class_weight: {class: weight}, or "balanced" for n / (classes * count), as scikit-learn has it. Where a
                sample has positions with a class each, of the positions.
            sample_weight: one number per sample (n,) or position (n, ...), that its loss is multiplied with.
            initial_epoch: number of epochs done before.
            steps_per_epoch: batches of an epoch, default all of the data.
            validation_steps, validation_batch_size: likewise; the batch size is by default batch_size.
            validation_freq: validate every so many epochs, or after those in a list, counted from 1.
            check_data: refuse NaN and infinity in the data before the first step.

        Raises:
            ValueError: an argument, or the data against the model and its loss.
            RuntimeError: not compiled, or training in another thread.
        """
        with self._exclusive("fit"):
            self._compiled()
            batch_size = whole(32 if batch_size is None else batch_size, 1, "batch_size", self.name)
            if validation_batch_size is not None:
                validation_batch_size = whole(validation_batch_size, 1, "validation_batch_size", self.name)
            if not isinstance(validation_freq, (list, tuple, set)):
                validation_freq = whole(validation_freq, 1, "validation_freq", self.name)
            for name, steps in (("steps_per_epoch", steps_per_epoch), ("validation_steps", validation_steps)):
                if steps is not None:
                    whole(steps, 1, name, self.name)
            epochs = whole(epochs, 0, "epochs", self.name)
            initial_epoch = whole(initial_epoch, 0, "initial_epoch", self.name)
            check_fit(self.name, epochs, initial_epoch, shuffle, validation_freq, validation_steps,
                      validation_data is not None or bool(validation_split))  # fmt: skip
            data = adapt(x, y, sample_weight, batch_size=batch_size, steps=steps_per_epoch, shuffle=shuffle,
                         model=self.name)  # fmt: skip
            self._build_for(data)
            targets = self._measured()
            data.bind(self.specs, targets, check_data)
            held: Data | None = None
            if validation_data is not None:
                held = adapt(*validation(validation_data), batch_size=validation_batch_size or batch_size,
                             steps=validation_steps, where="validation_data: ", model=self.name)  # fmt: skip
                held.bind(self.specs, targets, check_data)
            elif isinstance(data, ArrayData):
                data, held = data.split(validation_split)
                if held is not None:
                    held.batch_size, held.steps_per_epoch = validation_batch_size or batch_size, validation_steps
            elif validation_split:
                raise ValueError(
                    f"{self.name}: validation_split needs arrays. Received: {type(x).__name__}; give validation_data"
                )
            if class_weight is not None:
                data.weigh_classes(class_weight)
            return self._fit(data, epochs, verbose, callbacks, held, initial_epoch, validation_freq)

    def _fit(
        self,
        data: Data,
        epochs: int,
        verbose: Any,
        given: Any,
        held: Data | None,
        initial_epoch: int,
        validation_freq: Any,
    ) -> History:
        self._bound(data, training=True)  # so that what is wrong is known before callbacks begin
        params = {"epochs": epochs, "steps": data.steps, "samples": data.samples}
        hooks = CallbackList(given, cast(Any, self), verbose, params)
        self.history = hooks.history
        self.stop_training = False
        self._fit_seed, self._resume, start = _random.seeds.next(), None, 0
        logs: dict[str, Any] = {}
        try:
            hooks.on_train_begin()
            place: dict[str, int] | None = getattr(self, "_resume", None)  # where an earlier training ended,
            if place is not None:  # if a callback found that
                initial_epoch, start, self._fit_seed = (place[key] for key in ("epoch", "batch", "seed"))
            for epoch in range(initial_epoch, epochs):
                hooks.on_epoch_begin(epoch)
                logs, done = self._run(data, True, hooks, epoch, self._fit_seed, start)
                start = 0
                if not done and epoch > initial_epoch:  # the data has ended
                    break
                if held is not None and _due(epoch + 1, validation_freq):
                    measured = self._evaluate(held, hooks)
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

    def _measured(self) -> list[Target]:
        """The outputs that training and evaluating need targets for."""
        return [target for target in self._targets() if target.measured]

    def _bound(self, data: Data, training: bool) -> Bound:
        """The function for this data; a callback may have moved the weights since the last one."""
        weights = dict(zip((target.name for target in data.targets), data.weight_shapes, strict=True))
        shapes = tuple(weights.get(target.name) for target in self._targets())
        return self._function("".join(data.dtypes), shapes, training)

    def _evaluate(self, data: Data, hooks: CallbackList) -> dict[str, Any]:
        hooks.on_test_begin()
        logs, _ = self._run(data, False, hooks)
        hooks.on_test_end(logs)
        return logs

    def _run(
        self,
        data: Data,
        training: bool,
        hooks: CallbackList | None,
        epoch: int = 0,
        seed: int = 0,
        start: int = 0,
    ) -> tuple[dict[str, Any], int]:
        """One pass over the data. Many steps run in one call, unless a callback asks for every batch.

        Returns: the logs, NaN where no step was left to do, and how many steps of the epoch are done.
        """
        bound = self._bound(data, training)
        numbers = [i for i, target in enumerate(self._targets()) if target.measured]
        each = hooks is not None and (hooks.wants_batches if training else hooks.wants_test_batches)
        done = start
        with bound, closing(data.epoch(epoch, seed, start)) as chunks:  # type: ignore[type-var]
            for chunk in chunks:
                feed(bound.function, chunk, numbers)
                try:
                    for count in self._steps(bound.function, chunk, training, hooks if each else None, done):
                        done += count
                        if hooks is not None and training:
                            hooks.on_progress(done, count, bound.read())
                        elif hooks is not None and each:
                            hooks.on_test_batch_end(done - 1, bound.read())
                        if self.stop_training and training:
                            return bound.read(), done
                finally:
                    bound.function.clear()
        logs = bound.read()
        if done == start:  # no number would be true, and 0 would be the best loss of all
            logs = {name: value * math.nan for name, value in logs.items()}
        return logs, done

    def _steps(
        self, function: Function, chunk: Chunk, training: bool, hooks: CallbackList | None, done: int
    ) -> Iterator[int]:
        """Run the steps of a chunk, one at a time where `hooks` want to know; gives after each call how many it did.
        `done` steps of the epoch are done before."""
        size, threads = 1, config.get_num_threads()
        for program, steps in function.runs(chunk.rows, chunk.batch):
            while steps:
                count = 1 if hooks is not None else min(steps, size)
                if training and self.optimizer is not None:
                    count = self.optimizer.prepare(count)
                if hooks is not None:
                    (hooks.on_train_batch_begin if training else hooks.on_test_batch_begin)(done)
                start = time.perf_counter()
                if training:
                    self._step(program, count, threads)
                else:
                    with self._lock.read():
                        program.run(count, threads, values.last)
                seconds = time.perf_counter() - start
                size = max(1, min(4 * size, int(REPORT_SECONDS * count / max(seconds, 1e-9))))
                steps -= count
                done += count
                yield count

    def _step(self, program: Program, count: int, threads: int) -> None:
        """Training steps, during which nobody predicts. They leave the weights prepared, but for this program alone."""
        with self._lock.write():
            before = values.last
            try:
                program.run(count, threads, before)
            finally:
                after = values.note(before)
            program.prepared = after  # None where another thread assigned weights meanwhile

    def _batch(self, x: Any, y: Any, sample_weight: Any, class_weight: Any, training: bool) -> dict[str, Any]:
        data = adapt(x, y, sample_weight, batch_size=2**31, model=self.name)
        self._build_for(data)
        data.bind(self.specs, self._measured())
        if class_weight is not None:
            data.weigh_classes(class_weight)
        data.batch_size = data.samples or 1
        return self._run(data, training, None)[0]

    @checked
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on one batch. Returns the loss, or [loss, metrics...], or a dict of them, of this batch before the
        step.

        Raises: as `fit`.
        """
        with self._exclusive("train_on_batch"):
            self._compiled()
            logs = self._batch(x, y, sample_weight, class_weight, True)
        return logs if return_dict else listed(logs)

    @checked
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, as `train_on_batch` gives them.

        Raises: as `fit`.
        """
        with self._exclusive("evaluate"):
            self._compiled()
            logs = self._batch(x, y, sample_weight, None, False)
        return logs if return_dict else listed(logs)

    @checked
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on data: the loss alone, or [loss, metrics...], or a dict of them.

        https://keras.io/api/models/model_training_apis/#evaluate-method

        Args: as of `fit`; batch_size is 256 by default, the result does not depend on it.

        Raises: as `fit`.
        """
        with self._exclusive("evaluate"):
            self._compiled()
            batch_size = whole(PREDICT_BATCH if batch_size is None else batch_size, 1, "batch_size", self.name)
            if steps is not None:
                steps = whole(steps, 1, "steps", self.name)
            data = adapt(x, y, sample_weight, batch_size=batch_size, steps=steps, model=self.name)
            self._build_for(data)
            data.bind(self.specs, self._measured())
            hooks = CallbackList(
                callbacks, cast(Any, self), 0, {"epochs": 1, "steps": data.steps, "samples": data.samples}
            )
            start = time.perf_counter()
            logs = self._evaluate(data, hooks)
        if resolve_verbose(verbose):
            print(line("Evaluation", time.perf_counter() - start, logs))
        return logs if return_dict else listed(logs)


def feed(function: Function, chunk: Chunk, outputs: Sequence[int]) -> None:
    """Point the feeds at the arrays of a chunk; `outputs` are the numbers of those that have targets."""
    for i, array in enumerate(chunk.x):
        function.feeds[f"x{i}"].set(array, chunk.order)
    for i, y, w in zip(outputs, chunk.y, chunk.w, strict=True) if outputs else ():
        function.feeds[f"y{i}"].set(y, chunk.order)
        if w is not None:
            function.feeds[f"w{i}"].set(w, chunk.order)


def _due(epoch: int, frequency: Any) -> bool:
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency


def listed(logs: dict[str, Any]) -> Any:
    """The loss alone, or [loss, metrics...]."""
    found = list(logs.values())
    return found[0] if len(found) == 1 else found
