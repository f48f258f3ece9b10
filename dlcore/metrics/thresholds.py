"""Metrics of binary decisions at thresholds: counts, precision, recall. One pass counts, for positives and negatives,
by how many thresholds each prediction exceeds; everything else follows from that."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import ops
from dlcore._arguments import is_number
from dlcore.metrics.base import Measured, Metric, plain, ratio
from dlcore.ops import Tensor
from dlcore.ops.metrics import ThresholdCounts

EPSILON = 1e-7
LEAST = -1e10  # what Keras calls minus infinity


class Thresholds(Metric):
    """What the metrics of this file have in common.

    Args:
        thresholds: numbers.
        top_k: only the k greatest of a row may exceed a threshold; None for all.
        class_id: only this entry of a row counts; None for all.
    """

    multi_label = False
    label_weights: Any = None
    from_logits = False

    def __init__(self, thresholds: Any, name: str | None, dtype: str | None, top_k: Any = None, class_id: Any = None):
        super().__init__(dtype, name)
        for argument, value, least in (("top_k", top_k, 1), ("class_id", class_id, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{self.name}: {argument} must be an int >= {least}. Received: {argument}={value!r}")
        self.top_k, self.class_id = top_k, class_id
        self.elementwise = top_k is None  # else one axis, by hand, is one row of entries
        self.thresholds = list(thresholds)
        given = np.asarray(self.thresholds, np.float64)
        n = len(given)
        self._even = n > 2 and np.allclose(given, np.arange(n, dtype=np.float32) / (n - 1), atol=EPSILON)
        self._place = np.argsort(np.argsort(given, kind="stable"))  # of each threshold among the sorted

    def record(self, measured: Measured, y: Tensor, p: Tensor, weight: Tensor | None) -> None:
        if self.class_id is not None and self.class_id >= p.shape[-1]:
            raise ValueError(
                f"{self.name}: class_id={self.class_id} is none of the {p.shape[-1]} entries of a prediction"
            )
        if self.multi_label and p.ndim != 2:
            raise ValueError(f"{self.name}: expected predictions (batch, labels). Received: rank {p.ndim}")
        if self.from_logits:
            p = ops.sigmoid(p)
        if weight is not None:
            shape = weight.shape
            while len(shape) > 1 and shape[-1] == 1:
                shape = shape[:-1]
            if shape not in (p.shape[:1], p.shape[:-1], p.shape):
                raise ValueError(
                    f"{self.name}: sample_weight of shape {weight.shape} does not go with predictions of shape "
                    f"{p.shape}"
                )
            weight = weight if shape == weight.shape else ops.reshape(weight, shape)
        if self.label_weights is not None and not self.multi_label:
            each = ops.multiply(ops.rescale(y, 0.0, 1.0), np.asarray(self.label_weights, np.float32))
            if weight is not None:
                weight = ops.reshape(weight, (*weight.shape, *[1] * (p.ndim - weight.ndim)))
            weight = each if weight is None else ops.multiply(each, weight)
        labels = p.shape[-1] if self.multi_label else 1
        total = measured.total("counts", (labels, 2, len(self.thresholds) + 1))
        options = dict(column=self.class_id, top_k=self.top_k, even=bool(self._even))
        measured.sinks.append(ThresholdCounts(y, p, weight, np.sort(self.thresholds), total, **options))

    def decisions(self, totals: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """True positives, false positives, true negatives, false negatives at each threshold: (t,), or (t, labels)."""
        counts = totals["counts"]
        above = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1][..., 1:][..., self._place]
        below = counts.sum(axis=-1, keepdims=True) - above
        fp, tp, tn, fn = (np.moveaxis(part, -1, 0) for part in (above[:, 0], above[:, 1], below[:, 0], below[:, 1]))
        if not self.multi_label:
            fp, tp, tn, fn = fp[:, 0], tp[:, 0], tn[:, 0], fn[:, 0]
        return tp, fp, tn, fn

    def _empty(self) -> Any:
        return self.result_of({"counts": np.zeros((1, 2, len(self.thresholds) + 1))}, 0)


def parsed(owner: str, thresholds: Any, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ValueError: one is not in [0, 1].
    """
    if thresholds is None:
        return [default]
    found = list(thresholds) if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
    if wrong := [t for t in found if t is None or not 0 <= t <= 1]:
        raise ValueError(f"{owner}: thresholds must be in [0, 1]. Received: {wrong}")
    return found


class _Given(Thresholds):
    """Thresholds that the user gives, one or several."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        self.init_thresholds = thresholds
        default = 0.5 if top_k is None else LEAST
        super().__init__(parsed(name or type(self).__name__, thresholds, default), name, dtype, top_k, class_id)

    def at(self, totals: dict[str, np.ndarray]) -> Any:
        """One value for each threshold."""
        raise NotImplementedError

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        values = self.at(totals)
        return plain(values[0] if len(values) == 1 else values)

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Given):
    """True positives / (true positives + false positives).

    https://keras.io/api/metrics/classification_metrics/#precision-class

    Args:
        thresholds: a number or several in [0, 1], default 0.5; several give an array.
        top_k: the k greatest of a row count as positive; with thresholds, those of them above.
        class_id: only this entry of a row counts.
    """

    def at(self, totals: dict[str, np.ndarray]) -> Any:
        tp, fp, _, _ = self.decisions(totals)
        return ratio(tp, tp + fp)


class Recall(_Given):
    """True positives / (true positives + false negatives).

    https://keras.io/api/metrics/classification_metrics/#recall-class

    Args:
        thresholds, top_k, class_id: as for `Precision`.
    """

    def at(self, totals: dict[str, np.ndarray]) -> Any:
        tp, _, _, fn = self.decisions(totals)
        return ratio(tp, tp + fn)


class _Count(_Given):
    which = 0

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None):
        super().__init__(thresholds, name=name, dtype=dtype)

    def at(self, totals: dict[str, np.ndarray]) -> Any:
        return self.decisions(totals)[self.which]

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key not in ("top_k", "class_id")}


class TruePositives(_Count):
    """How many positives are above a threshold.

    https://keras.io/api/metrics/classification_metrics/#truepositives-class

    Args:
        thresholds: as for `Precision`.
    """


class FalsePositives(_Count):
    """How many negatives are above a threshold.

    https://keras.io/api/metrics/classification_metrics/#falsepositives-class

    Args:
        thresholds: as for `Precision`.
    """

    which = 1


class TrueNegatives(_Count):
    """How many negatives are not above a threshold.

    https://keras.io/api/metrics/classification_metrics/#truenegatives-class

    Args:
        thresholds: as for `Precision`.
    """

    which = 2


class FalseNegatives(_Count):
    """How many positives are not above a threshold.

    https://keras.io/api/metrics/classification_metrics/#falsenegatives-class

    Args:
        thresholds: as for `Precision`.
    """

    which = 3


def even(owner: str, num_thresholds: Any, least: int) -> list[float]:
    """0, 1/(n-1), ..., 1, or 0.5 alone.

    Raises:
        ValueError: fewer than `least`.
    """
    if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int) or num_thresholds < least:
        raise ValueError(
            f"{owner}: num_thresholds must be an int >= {least}. Received: num_thresholds={num_thresholds!r}"
        )
    return [0.5] if num_thresholds == 1 else [i / (num_thresholds - 1) for i in range(num_thresholds)]


class _Best(Thresholds):
    """The best of one rate at thresholds where another is at least `value`."""

    constraint = "value"

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        owner = name or type(self).__name__
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(
                f"{owner}: {self.constraint} must be a number in [0, 1]. Received: {self.constraint}={value!r}"
            )
        super().__init__(even(owner, num_thresholds, 1), name, dtype, class_id=class_id)
        self.value, self.num_thresholds = value, num_thresholds

    def rates(self, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
        """(what must be at least `value`, what is to be the greatest)."""
        raise NotImplementedError

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        constrained, wanted = self.rates(*self.decisions(totals))
        return float(np.max(np.where(constrained >= self.value, wanted, 0), initial=0))

    def get_config(self) -> dict[str, Any]:
        own = {"num_thresholds": self.num_thresholds, self.constraint: self.value, "class_id": self.class_id}
        return {**super().get_config(), **own}


class SensitivityAtSpecificity(_Best):
    """The best recall of positives at thresholds where that of negatives is at least `specificity`.

    https://keras.io/api/metrics/classification_metrics/#sensitivityatspecificity-class

    Args:
        specificity: in [0, 1].
        num_thresholds: how many are tried, evenly spaced in [0, 1], default 200.
        class_id: only this entry of a row counts, default None for all.
    """

    constraint = "specificity"

    def __init__(self, specificity: float, *arguments: Any, **keywords: Any):
        super().__init__(specificity, *arguments, **keywords)

    def rates(self, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
        return ratio(tn, tn + fp), ratio(tp, tp + fn)


class SpecificityAtSensitivity(_Best):
    """The best recall of negatives at thresholds where that of positives is at least `sensitivity`.

    https://keras.io/api/metrics/classification_metrics/#specificityatsensitivity-class

    Args:
        sensitivity: in [0, 1].
        num_thresholds: how many are tried, evenly spaced in [0, 1], default 200.
        class_id: only this entry of a row counts, default None for all.
    """

    constraint = "sensitivity"

    def __init__(self, sensitivity: float, *arguments: Any, **keywords: Any):
        super().__init__(sensitivity, *arguments, **keywords)

    def rates(self, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
        return ratio(tp, tp + fn), ratio(tn, tn + fp)


class PrecisionAtRecall(_Best):
    """The best precision at thresholds where recall is at least `recall`.

    https://keras.io/api/metrics/classification_metrics/#precisionatrecall-class

    Args:
        recall: in [0, 1].
        num_thresholds: how many are tried, evenly spaced in [0, 1], default 200.
        class_id: only this entry of a row counts, default None for all.
    """

    constraint = "recall"

    def __init__(self, recall: float, *arguments: Any, **keywords: Any):
        super().__init__(recall, *arguments, **keywords)

    def rates(self, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
        return ratio(tp, tp + fn), ratio(tp, tp + fp)


class RecallAtPrecision(_Best):
    """The best recall at thresholds where precision is at least `precision`.

    https://keras.io/api/metrics/classification_metrics/#recallatprecision-class

    Args:
        precision: in [0, 1].
        num_thresholds: how many are tried, evenly spaced in [0, 1], default 200.
        class_id: only this entry of a row counts, default None for all.
    """

    constraint = "precision"

    def __init__(self, precision: float, *arguments: Any, **keywords: Any):
        super().__init__(precision, *arguments, **keywords)

    def rates(self, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
        return ratio(tp, tp + fp), ratio(tp, tp + fn)
