"""Metric: what each sample contributes to float64 totals, and what the totals mean."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from dlcore._arguments import Checked
from dlcore.losses.base import Loss, float32, snake_case
from dlcore.losses.weights import aligned, mean_of_positions, weighted_mean
from dlcore.ops import Op, Tensor
from dlcore.ops.metrics import Accumulate


class Metric(Checked):
    """A number (or an array) about targets and predictions, over all samples since `reset_state`.

    https://keras.io/api/metrics/base_metric/

    A subclass defines `contributions`, symbolic tensors (batch, *s) by name, which are summed over all samples in
    float64, and `result_of` those sums. `Measured` runs it within the graph of a model; `update_state` does by hand.

    Args:
        dtype: None or "float32".
        name: shown in logs; default the class in snake case.
    """

    sparse: bool | None = False  # targets are class numbers, int32 (True), of the predictions' shape (False), or either
    elementwise = True  # by hand, arrays of one axis are samples of one output, not one sample

    def __init__(self, dtype: str | None = None, name: str | None = None):
        self.name = name or snake_case(type(self).__name__)
        self.dtype = float32(self.name, dtype)
        self.reset_state()

    # -- what a subclass defines

    def contributions(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        """What is summed over the samples, by name: (batch, *s) each.

        Args:
            y: targets; p: predictions.
            weight: (batch,) or (batch, positions...), or None.
        """
        raise TypeError(f"{type(self).__name__} must define contributions(y, p, weight)")

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        """A float or an array from the sums by name, of shapes s, and the number of samples."""
        raise TypeError(f"{type(self).__name__} must define result_of(totals, count)")

    def record(self, measured: Measured, y: Tensor, p: Tensor, weight: Tensor | None) -> None:
        """Let `measured` sum what `contributions` says. A subclass may add sinks of its own instead."""
        for key, values in self.contributions(y, p, weight).items():
            measured.sum(key, values)

    # -- by hand

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of arrays.

        Args:
            y_true: targets.
            y_pred: predictions (batch, ..., c).
            sample_weight: a number, or an array (batch,) or (batch, positions...).

        Raises:
            ValueError: shapes that do not go together.
        """
        from dlcore.graph.eager import Sinks

        arrays = self._arrays(y_true, y_pred, sample_weight)
        if not len(arrays[0]):
            return
        key = tuple((array.shape[1:], array.dtype.char) for array in arrays)
        if key not in self._bound:
            measured = Measured(self)

            def make(y: Tensor, p: Tensor, weight: Tensor | None = None) -> Any:
                self.record(measured, y, p, weight)
                return measured.sinks, measured.placed

            self._bound[key] = Sinks(make, *arrays), measured
        run, measured = self._bound[key]
        run(*arrays)
        for name, total in measured.totals.items():
            known = self._totals.setdefault(name, np.zeros_like(total))
            if known.shape != total.shape:
                raise ValueError(
                    f"{self.name}: predictions of another shape than before. Received: shape {np.shape(y_pred)}"
                )
            known += total
        self._count += len(arrays[1])
        measured.reset()

    def result(self) -> Any:
        """What the batches since `reset_state` amount to: a float or an array."""
        if not self._totals:
            return self._empty()
        return self.result_of(self._totals, self._count)

    def _empty(self) -> Any:
        return 0.0

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._totals: dict[str, np.ndarray] = {}
        self._count = 0.0
        self._bound: dict[Any, tuple[Any, Measured]] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.update_state(*arguments, **keywords)
        return self.result()

    def _arrays(self, y_true: Any, y_pred: Any, sample_weight: Any) -> list[np.ndarray]:
        p = np.asarray(y_pred, np.float32)
        y = np.asarray(y_true)
        labels = self.sparse or (self.sparse is None and y.dtype.kind in "iub" and y.ndim == p.ndim - 1)
        y = np.asarray(y, np.int32 if labels else np.float32)
        if p.ndim <= 1:
            alone = (slice(None), None) if self.elementwise and p.ndim else (None,)
            p, y = (x[alone] if x.ndim <= 1 else x for x in (p, y))
        if y.ndim == p.ndim + (not labels) and y.shape[-1] == 1:
            y = y[..., 0]
        if not labels and self.sparse is False and y.ndim == p.ndim - 1 and p.shape[-1] == 1:
            y = y[..., None]
        expected = p.shape[:-1] if labels else p.shape
        if (self.sparse is not None and y.shape != expected) or y.shape[:1] != p.shape[:1]:
            raise ValueError(f"{self.name}: y_true of shape {y.shape} does not go with y_pred of shape {p.shape}")
        arrays = [np.ascontiguousarray(y), np.ascontiguousarray(p)]
        if sample_weight is not None:
            weight = np.asarray(sample_weight, np.float32)
            if weight.ndim == 0 or weight.shape[0] == 1 != len(p):
                weight = np.broadcast_to(weight.reshape(1, *weight.shape[1:]), (len(p), *weight.shape[1:]))
            if weight.shape[0] != len(p):
                raise ValueError(
                    f"{self.name}: sample_weight of shape {weight.shape} does not go with y_pred of shape {p.shape}"
                )
            arrays.append(np.ascontiguousarray(weight))
        return arrays

    # -- configuration

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bound": {}}  # programs are bound again when they are needed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Measured:
    """A metric within a graph: the sinks that must run, and the memory of the totals that they add to.

    Attributes:
        sinks: ops that add to the totals.
        placed: memory of the totals, by tensor.
        totals: sums by name, of the shapes that the metric gave them.
    """

    def __init__(self, metric: Metric | None = None):
        self.metric = metric
        self.sinks: list[Op] = []
        self.placed: dict[Tensor, np.ndarray] = {}
        self.totals: dict[str, np.ndarray] = {}
        self._count = np.zeros(1)

    @classmethod
    def of(cls, metric: Metric, y: Tensor, p: Tensor, weight: Tensor | None = None) -> Measured:
        """`metric` of these tensors."""
        measured = cls(metric)
        metric.record(measured, y, p, weight)
        return measured

    @classmethod
    def mean(cls, values: Tensor) -> Measured:
        """The mean of one value per sample, such as a loss."""
        measured = cls()
        measured.sum("total", values)
        return measured

    def sum(self, key: str, values: Tensor) -> None:
        """Sum values (batch, *s) over the samples."""
        flat = np.zeros(prod(values.shape[1:]) + 1)
        tensor = Tensor(flat.shape, "d", name=key)
        self.placed[tensor], self._count = flat, flat[-1:]
        self.totals[key] = flat[:-1].reshape(values.shape[1:])
        self.sinks.append(Accumulate(values, tensor))

    def total(self, key: str, shape: tuple[int, ...]) -> Tensor:
        """A total of zeros for an op that adds to it by itself."""
        tensor = Tensor(shape, "d", name=key)
        self.placed[tensor] = self.totals[key] = np.zeros(shape)
        return tensor

    def reset(self) -> None:
        """Forget what was counted."""
        for total in self.placed.values():
            total[...] = 0

    def result(self) -> Any:
        """What the samples since `reset` amount to."""
        if self.metric is None:
            return plain(ratio(self.totals["total"], self._count[0]))
        return self.metric.result_of(self.totals, float(self._count[0]))


def ratio(a: Any, b: Any) -> np.ndarray:
    """a / b, 0 where b is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    quotient = np.zeros(np.broadcast_shapes(a.shape, b.shape))
    np.divide(a, b, out=quotient, where=b != 0)
    return quotient


def plain(x: Any) -> Any:
    """A float for a number, else an array of float32."""
    return float(x) if np.ndim(x) == 0 else np.asarray(x, np.float32)


class MeanMetricWrapper(Metric):
    """The mean of a function of targets and predictions.

    https://keras.io/api/metrics/reduction_metrics/#meanmetricwrapper-class

    Args:
        fn: fn(y_true, y_pred, **kwargs) of symbolic tensors gives (batch, ...); or a Loss.
        name: default that of fn.
        dtype: None or "float32".
        kwargs: passed to fn.
    """

    elementwise = False

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any):
        if type(self) is MeanMetricWrapper:
            self.sparse = fn.sparse if isinstance(fn, Loss) else getattr(fn, "sparse", None)
        super().__init__(dtype, name or getattr(fn, "__name__", None) or getattr(fn, "name", None))
        self.fn, self.arguments = fn, kwargs

    def values(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> Tensor:
        """(batch, ...): what the mean is of."""
        fn = self.fn.call if isinstance(self.fn, Loss) else self.fn
        found = fn(y, p, **self.arguments)
        if not isinstance(found, Tensor):
            raise TypeError(f"{self.name}: expected a tensor made by dlcore.ops. Received: {found!r}")
        return found

    def contributions(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        values = self.values(y, p, weight)
        if weight is None:
            return {"total": mean_of_positions(values)}
        weight = aligned(weight, values, self.name)
        return {"total": weighted_mean(values, weight, self.name), "count": mean_of_positions(weight)}

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        return plain(ratio(totals["total"], totals.get("count", count)))

    def get_config(self) -> dict[str, Any]:
        own = {"fn": self.fn} if type(self) is MeanMetricWrapper else {}
        return {**super().get_config(), **own, **self.arguments}


class _Values(Metric):
    """Totals of values given by hand."""

    def __init__(self, name: str | None = None, dtype: str | None = None):
        super().__init__(dtype, name)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Count values (batch, ...), or one; sample_weight has their shape or the beginning of it."""
        x = np.asarray(values, np.float64)
        reduce = self._reduce
        if sample_weight is not None:
            weight = np.asarray(sample_weight, np.float64)
            if weight.ndim == x.ndim + 1 and weight.shape[-1] == 1:
                weight = weight[..., 0]
            if x.ndim > weight.ndim:
                x = reduce(x, axis=tuple(range(weight.ndim, x.ndim)))
            try:
                weight = np.broadcast_to(weight, x.shape)
            except ValueError:
                raise ValueError(
                    f"{self.name}: sample_weight of shape {np.shape(sample_weight)} does not go with values of shape "
                    f"{np.shape(values)}"
                ) from None
            x = x * weight
            count = float(weight.sum() if weight.ndim < 2 else reduce(weight, axis=tuple(range(1, weight.ndim))).sum())
        else:
            count = float(len(x) if x.ndim else 1)
        if x.ndim > 1:
            x = reduce(x, axis=tuple(range(1, x.ndim)))
        self._totals["total"] = self._totals.get("total", np.zeros(())) + x.sum()
        self._count += count

    _reduce: Any = staticmethod(np.mean)


class Mean(_Values):
    """The mean of values.

    https://keras.io/api/metrics/reduction_metrics/#mean-class
    """

    def __init__(self, name: str = "mean", dtype: str | None = None):
        super().__init__(name, dtype)

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        return plain(ratio(totals["total"], count))


class Sum(_Values):
    """The sum of values.

    https://keras.io/api/metrics/reduction_metrics/#sum-class
    """

    _reduce = staticmethod(np.sum)

    def __init__(self, name: str = "sum", dtype: str | None = None):
        super().__init__(name, dtype)

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        return plain(totals["total"])
