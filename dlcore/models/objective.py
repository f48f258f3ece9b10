"""What `compile` was given, for each output of a model: a loss, its weight, and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore import losses, metrics
from dlcore._arguments import is_number
from dlcore.losses.base import ONE_UNIT

SLACK = 1e-3  # what rounding may add to a target


class Target:
    """What is measured at one output.

    Attributes:
        name: of the output.
        shape: of one prediction.
        loss: None where nothing is asked of the output.
        weight: of the loss in the sum.
        metrics: (name in logs, metric, whether it is weighted by sample).
    """

    def __init__(self, name: str, shape: tuple[int, ...], loss: losses.Loss | None, weight: float):
        self.name, self.shape, self.loss, self.weight = name, shape, loss, weight
        self.metrics: list[tuple[str, Any, bool]] = []

    @property
    def measured(self) -> bool:
        """Whether training and evaluating need targets for the output."""
        return self.loss is not None or bool(self.metrics)

    @property
    def read(self) -> tuple[tuple[int, ...], str]:
        """Shape of one target, and its dtype, "f" or "i"."""
        return (self.loss or losses.Loss("loss")).target_shape(self.shape)

    def check(self, y: Any, argument: str) -> np.ndarray:
        """Targets as training reads them.

        Raises:
            ValueError: they do not fit the loss.
        """
        loss = self.loss or losses.Loss("loss")
        array = loss.target(y, self.shape, argument)
        if loss.categorical and self.classes == 1 and array.size and array.min() < 1 - SLACK:
            raise ValueError(
                f"{argument}: the loss {loss.name!r} needs an output for each class, but {self.name!r} has one in all. "
                f"Received: targets from {array.min():g}.{ONE_UNIT}"
            )
        if loss.between is not None and array.size:
            low, high = float(array.min()), float(array.max())  # NaN passes: see fit's check_data
            if low < loss.between[0] - SLACK or high > loss.between[1] + SLACK:
                expected = "from 0 to 1" if loss.between[1] == 1 else "of at least 0"
                raise ValueError(
                    f"{argument}: the loss {loss.name!r} expects targets {expected}. "
                    f"Received: {low:g} to {high:g}{_hint(low, high, loss, self.shape)}"
                )
        return array

    @property
    def classes(self) -> int | None:
        """How many classes its targets tell apart, None where they are no classes."""
        if self.loss is None or not self.shape:
            return None
        if self.loss.sparse or self.loss.categorical:
            return self.shape[self.loss.class_axis if self.loss.class_axis < 0 else self.loss.class_axis - 1]
        return None if self.loss.between != (0, 1) else max(2, self.shape[-1])

    @property
    def ignored(self) -> int | None:
        """The class that does not count, None where all do."""
        return None if self.loss is None else self.loss.ignored()

    @property
    def positions(self) -> tuple[int, ...]:
        """Shape of the class numbers of one sample: () where it has one class."""
        shape, _ = self.read
        return shape if self.loss is not None and self.loss.sparse else shape[:-1]

    def class_numbers(self, y: np.ndarray) -> np.ndarray:
        """Those of checked targets, whole numbers (n, *positions); of one unit, 0 and 1."""
        if self.loss is not None and self.loss.sparse:
            return y
        if y.ndim > 1 and y.shape[-1] > 1:
            return np.asarray(y.argmax(axis=-1))
        return np.round(y.reshape(len(y), *self.positions)).astype(np.int64)


class Objective:
    """The arguments of `compile`, to be laid out over the outputs once these are known."""

    def __init__(self, model: str, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any):
        self.model = model
        self.loss = _each(losses.get, loss)
        self.loss_weights, self.metrics, self.weighted_metrics = loss_weights, metrics, weighted_metrics

    def targets(self, names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Target]:
        """One Target per output.

        Raises:
            ValueError: names or numbers of losses, weights or metrics that do not fit the outputs.
        """
        n = len(names)
        chosen = self._laid_out(self.loss, names, "loss", spread=True)
        weights = self._laid_out(self.loss_weights, names, "loss_weights")
        found = []
        for name, shape, loss, weight in zip(names, shapes, chosen, weights, strict=True):
            if weight is not None and not is_number(weight):
                raise ValueError(f"{self.model}: loss_weights must be numbers. Received: {weight!r}")
            found.append(Target(name, shape, loss, 1.0 if weight is None else float(weight)))
        for weighted, given in ((False, self.metrics), (True, self.weighted_metrics)):
            what = "weighted_metrics" if weighted else "metrics"
            for target, some in zip(found, self._metrics(given, names, what), strict=True):
                for one in some:
                    metric = metrics.get(one, target.loss, (None, *target.shape))
                    taken = {"loss", *(log for t in found for log, *_ in t.metrics)}
                    prefix = "" if n == 1 else f"{target.name}_"
                    log = prefix + metric.name
                    if weighted and log in taken:
                        log = f"{prefix}weighted_{metric.name}"
                    if log in taken:
                        raise ValueError(f"{self.model}: two measures are called {log!r}; give the metric another name")
                    target.metrics.append((log, metric, weighted))
        return found

    def _metrics(self, given: Any, names: Sequence[str], what: str) -> list[list[Any]]:
        if len(names) == 1 and not isinstance(given, dict):
            while isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], (list, tuple)):
                given = given[0]
            return [_listed(given)]
        return [_listed(some) for some in self._laid_out(given, names, what)]

    def _laid_out(self, given: Any, names: Sequence[str], what: str, spread: bool = False) -> list[Any]:
        """One value per output from one for all, a list in their order, or a dict by their names."""
        if isinstance(given, dict):
            unknown = [key for key in given if key not in names]
            if unknown:
                raise ValueError(f"{self.model}: {what} names no outputs: {unknown}. The outputs are {list(names)}")
            return [given.get(name) for name in names]
        if isinstance(given, (list, tuple)):
            if len(given) != len(names):
                raise ValueError(
                    f"{self.model}: {what} must have one entry for each of the outputs {list(names)}. "
                    f"Received: {len(given)} entries"
                )
            return list(given)
        if given is None or spread or len(names) == 1:
            return [given] * len(names)
        raise ValueError(
            f"{self.model}: {what} must be a list or dict for the outputs {list(names)}. Received: {given!r}"
        )


def _hint(low: float, high: float, loss: losses.Loss, shape: tuple[int, ...]) -> str:
    """What may have been meant."""
    if low == -1 and high <= 1:
        return ". Targets -1 and 1 go with the loss 'hinge'; for this one, (y + 1) / 2"
    if low >= 0 and high == round(high) > 1 and shape[-1:] == (1,) and not loss.categorical:
        return ". Several classes go with one unit each, a softmax and the loss 'sparse_categorical_crossentropy'"
    return ""


def _each(function: Any, given: Any) -> Any:
    if isinstance(given, dict) and "class_name" not in given:
        return {key: _each(function, value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [_each(function, value) for value in given]
    return None if given is None else function(given)


def _listed(given: Any) -> list[Any]:
    return [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
