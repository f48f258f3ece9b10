"""Model: what users train, save and predict with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from dlcore import config
from dlcore._arguments import unknown
from dlcore.callbacks import CallbackList
from dlcore.graph.program import Function
from dlcore.layers.base import Layer
from dlcore.layers.trace import flat, mapped
from dlcore.models.data import Chunk, Data, Spec, adapt, whole
from dlcore.models.files import Saved
from dlcore.models.training import PREDICT_BATCH, Trainer, feed
from dlcore.ops.base import Tensor, changes, values


class Model(Saved, Trainer):
    """A model: `Model(inputs, outputs)` of symbolic tensors, or a subclass that holds layers as attributes and composes
    them in `call(x, training)`. It has compile, fit, evaluate, predict.

    https://keras.io/api/models/model/

    `predict` may be called from many threads at a time; while the model trains it waits for the end of a step. Training
    and evaluating from two threads raise RuntimeError.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and (args or kwargs.keys() - {"name", "trainable", "dtype"}):
            from dlcore.models.functional import Functional

            return super().__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    _own_specs: list[Spec] | None = None  # of a subclass
    _input_keys: Any = None  # None: one input, True: a list of them, else names

    # -- of subclasses

    @property
    def layers(self) -> list[Layer]:
        return self._inner()

    @property
    def specs(self) -> list[Spec]:
        if self._own_specs is None:
            raise ValueError(f"{self.name}: the shape of its input is not known yet. Call build or fit")
        return self._own_specs

    def build(self, input_shape: Any = None) -> None:
        """Create the weights for inputs of `input_shape`, batch included; of several inputs, a list or dict of shapes.

        Raises:
            ValueError: a layer does not fit on the one below.
        """
        if self.built and input_shape is None:
            return
        several = isinstance(input_shape, (list, dict)) or (input_shape and isinstance(input_shape[0], (list, tuple)))
        keys = list(input_shape) if isinstance(input_shape, dict) else None
        shapes = (
            list(input_shape.values()) if isinstance(input_shape, dict) else input_shape if several else [input_shape]
        )
        self._input_keys = keys or (True if several else None)
        self._own_specs = [
            Spec(
                keys[i] if keys else "x" if len(shapes) == 1 else f"x{i}", tuple(int(n) for n in tuple(shape)[1:]), "f"
            )
            for i, shape in enumerate(shapes)
        ]
        self._forget()
        self._output_shapes()
        self.built = True

    def _packed(self, tensors: Sequence[Tensor]) -> Any:
        if self._input_keys is None:
            return super()._packed(tensors)
        return list(tensors) if self._input_keys is True else dict(zip(self._input_keys, tensors, strict=True))

    def _build_for(self, data: Data) -> None:
        """Let a model without an input shape take that of the data."""
        if not self.built:
            shapes = [(None, *shape) for shape in data.sample_shapes()]
            names = data.sample_names()
            given: Any = dict(zip(names, shapes, strict=True)) if names else shapes if len(shapes) > 1 else shapes[0]
            with self._building:
                if not self.built:  # another thread may have been first
                    self.build(given)

    # -- using

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        steps: int | None = None,
        callbacks: Any = None,
        **other: Any,
    ) -> Any:
        """Outputs for samples x (n, ...): float32 (n, ...), in the structure of the model's outputs. Safe from many
        threads.

        https://keras.io/api/models/model_training_apis/#predict-method

        Args:
            x: samples, or a dataset of batches, as for `fit`.
            batch_size: samples a step, default 256; the result does not depend on it.
            verbose: accepted for Keras' sake; predicting prints nothing.
            steps: batches to predict, default all.
            callbacks: list of Callback, for their hooks of predict.
            other: nothing; what `checked` does would take longer than a small prediction.

        Raises:
            ValueError: the shape is not the model's.
            TypeError: an unknown argument.
        """
        if batch_size is None and steps is None and not other and self._seen is changes.last:
            y = self._predictors(x)
            if y is not None:
                return y
        for name in other:
            raise unknown("predict", name, ("x", "batch_size", "verbose", "steps", "callbacks"))
        batch = PREDICT_BATCH if batch_size is None else whole(batch_size, 1, "batch_size", self.name)
        if steps is not None:
            steps = whole(steps, 1, "steps", self.name)
        data = adapt(x, batch_size=batch, steps=steps, model=self.name)
        self._build_for(data)
        data.bind(self.specs)
        self._drop_stale()
        shapes = [shape[1:] for shape in self._output_shapes()]
        hooks = CallbackList(callbacks, self, 0, {"steps": data.steps, "samples": data.samples}) if callbacks else None
        if hooks is not None:
            hooks.on_predict_begin()
        done = 0
        parts: list[list[np.ndarray]] = []
        with closing(data.epoch(0)) as chunks:  # type: ignore[type-var]
            for chunk in chunks:
                for rows in [chunk] if hooks is None else chunk.batches():
                    if hooks is not None:
                        hooks.on_predict_batch_begin(done)
                    parts.append(self._predicted(rows, "".join(data.dtypes), shapes))
                    if hooks is not None:
                        hooks.on_predict_batch_end(done, {"outputs": self._structured(parts[-1])})
                    done += 1
        if hooks is not None:
            hooks.on_predict_end()
        if not parts:
            raise ValueError(f"x: expected at least one batch. Received: {type(x).__name__} that gave none")
        whole_out = parts[0] if len(parts) == 1 else [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return self._structured(whole_out)

    def _predicted(self, chunk: Chunk, dtypes: str, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """The outputs for all rows of a chunk. No callback runs meanwhile: a training that it waits for would wait
        for the lock."""
        out = [np.empty((chunk.rows, *shape), np.float32) for shape in shapes]
        with self._lock.read(), self._predicting(dtypes, shapes) as function:
            feed(function, chunk, ())
            for i, array in enumerate(out):
                function.feeds[f"p{i}"].set(array, write=True)
            for program, steps in function.runs(chunk.rows, min(chunk.batch, chunk.rows)):
                program.run(steps, config.get_num_threads(), values.last)
        return out

    def _structured(self, outputs: Sequence[np.ndarray]) -> Any:
        """The outputs, one after the other, in the structure that the model gives."""
        return mapped(lambda i: outputs[i], self._structure, leaf=True)

    def predict_on_batch(self, x: Any) -> Any:
        """`predict` of one batch."""
        return self.predict(x)

    @contextmanager
    def _predicting(self, dtypes: str, shapes: Sequence[tuple[int, ...]]) -> Iterator[Function]:
        """A function that predicts, which nobody else has meanwhile. `shapes` are those of one prediction."""
        if dtypes in ("f", "B") and self._structure == 0:
            idle = self._predictors
            predictor = idle.take(dtypes) or self._new_predictor(dtypes, shapes[0])
            try:
                yield predictor.function
            finally:
                predictor.function.clear()
                idle.give(predictor)
            return
        spare = self._idle_functions.setdefault(dtypes, [])
        try:
            function = spare.pop()
        except IndexError:  # no look before: another thread may take the last one between
            function = self._new_function(dtypes)
        try:
            yield function
        finally:
            function.clear()
            spare.append(function)

    def __call__(self, x: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Add the model to the graph of symbolic tensors, or compute arrays."""
        if training or any(isinstance(value, Tensor) for value in flat(x)):
            return super().__call__(x, *args, training=training, **kwargs)
        return self.predict(x)
