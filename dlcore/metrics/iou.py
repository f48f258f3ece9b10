"""The confusion matrix, and what follows from it: intersection over union."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import ops
from dlcore.losses.weights import aligned
from dlcore.metrics.base import Measured, Metric
from dlcore.ops import Tensor
from dlcore.ops.metrics import Confusion

EPSILON = 1e-7


class _Pairs(Metric):
    """Counts pairs of class and predicted class."""

    sparse: bool | None = None
    ignore_class: int | None = None

    def classes(self, y: Tensor, p: Tensor) -> tuple[Tensor, Tensor, int]:
        """Class numbers of targets and predictions, float32 of one shape, and how many classes there are."""
        raise NotImplementedError

    def record(self, measured: Measured, y: Tensor, p: Tensor, weight: Tensor | None) -> None:
        y, p, n = self.classes(y, p)
        if y.shape != p.shape and y.shape == (*p.shape, 1):
            y = ops.reshape(y, p.shape)
        if y.shape != p.shape and p.shape == (*y.shape, 1):
            p = ops.reshape(p, y.shape)
        if y.shape != p.shape:
            raise ValueError(
                f"{self.name}: expected classes and predicted classes of one shape. Received: {y.shape}, {p.shape}; "
                "class numbers are sparse, one-hot targets and probabilities are not"
            )
        if weight is not None:
            weight = aligned(weight, y, self.name)
            if weight.shape != y.shape:
                each = ops.multiply(ops.rescale(y, 0.0, 1.0), weight) if max(weight.shape[1:], default=1) > 1 else None
                weight = ops.reshape(weight, (None,)) if each is None else each
        total = measured.total("matrix", (n, n))
        measured.sinks.append(Confusion(y, p, weight, total, self.ignore_class))


def _numbers(x: Tensor) -> Tensor:
    return ops.cast(x, "float32") if x.dtype == "i" else x


class ConfusionMatrix(_Pairs):
    """How often class i was predicted as class j: an array [i, j]. Not in Keras.

    Targets are class numbers or one-hot, predictions (batch, ..., classes); with one output 0 and 1, decided at 0.5.

    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.confusion_matrix.html

    Args:
        num_classes: known from the predictions if None.
        ignore_class: targets of this class do not count.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        name: str = "confusion_matrix",
        dtype: str | None = None,
        ignore_class: int | None = None,
    ):
        super().__init__(dtype, name)
        self.num_classes, self.ignore_class = num_classes, ignore_class

    def classes(self, y: Tensor, p: Tensor) -> tuple[Tensor, Tensor, int]:
        n = self.num_classes or max(p.shape[-1], 2)
        if p.shape[-1] == 1:
            if y.ndim == p.ndim:
                y = ops.reshape(_numbers(y), p.shape[:-1])
            return _numbers(y), ops.reshape(ops.greater(p, 0.5), p.shape[:-1]), n
        if y.ndim == p.ndim:
            y = ops.argmax(_numbers(y), axis=-1)
        return _numbers(y), ops.argmax(p, axis=-1), n

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        return totals["matrix"].copy()

    def _empty(self) -> Any:
        return np.zeros((self.num_classes or 0, self.num_classes or 0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "ignore_class": self.ignore_class}


class IoU(_Pairs):
    """Intersection over union of classes: true positives / (true positives + false positives + false negatives), the
    mean over the given classes that occur.

    https://keras.io/api/metrics/segmentation_metrics/#iou-class

    Args:
        num_classes: how many classes there are.
        target_class_ids: classes of the mean.
        ignore_class: targets of this class do not count.
        sparse_y_true: targets are class numbers, not one-hot.
        sparse_y_pred: predictions are class numbers, not probabilities.
        axis: of the classes, where not sparse.

    Raises:
        ValueError: a class that is none of `num_classes`.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        if dtype in ("int", "int32"):  # as Keras writes it; totals are float64 whatever it says
            dtype = None
        super().__init__(dtype, name)
        self.num_classes, self.target_class_ids = int(num_classes), [int(i) for i in target_class_ids]
        if not self.target_class_ids or not 0 <= min(self.target_class_ids) <= max(self.target_class_ids) < num_classes:
            raise ValueError(
                f"{self.name}: target_class_ids must be classes from 0 to {num_classes - 1}. "
                f"Received: target_class_ids={target_class_ids}"
            )
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = bool(sparse_y_true), bool(sparse_y_pred)

    def classes(self, y: Tensor, p: Tensor) -> tuple[Tensor, Tensor, int]:
        y = _numbers(y)
        if not self.sparse_y_true:
            y = ops.argmax(y, axis=self.axis)
        return y, p if self.sparse_y_pred else ops.argmax(p, axis=self.axis), self.num_classes

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        matrix = totals["matrix"]
        both = np.diag(matrix)[self.target_class_ids]
        either = (matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix))[self.target_class_ids]
        occurs = either > 1e-9
        return float((np.where(occurs, both / (either + EPSILON), 0)).sum() / (occurs.sum() + EPSILON))

    def get_config(self) -> dict[str, Any]:
        keys = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**super().get_config(), **{key: getattr(self, key) for key in keys if key not in self._fixed}}

    _fixed: tuple[str, ...] = ()  # what a subclass does not take


class BinaryIoU(IoU):
    """Intersection over union of two classes, predicted at a threshold.

    https://keras.io/api/metrics/segmentation_metrics/#binaryiou-class

    Args:
        target_class_ids: of 0 and 1.
        threshold: predictions of at least this are class 1.
    """

    _fixed = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def __init__(
        self,
        target_class_ids: Any = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def classes(self, y: Tensor, p: Tensor) -> tuple[Tensor, Tensor, int]:
        return _numbers(y), ops.greater_equal(p, self.threshold), 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


class MeanIoU(IoU):
    """Intersection over union, the mean over all classes that occur.

    https://keras.io/api/metrics/segmentation_metrics/#meaniou-class

    Args:
        num_classes, ignore_class, sparse_y_true, sparse_y_pred, axis: as for `IoU`.
    """

    _fixed: tuple[str, ...] = ("target_class_ids",)

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        every = range(num_classes)
        super().__init__(num_classes, every, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """Intersection over union with one-hot targets.

    https://keras.io/api/metrics/segmentation_metrics/#onehotiou-class

    Args:
        num_classes, target_class_ids, ignore_class, sparse_y_pred, axis: as for `IoU`.
    """

    _fixed = ("sparse_y_true",)

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """Intersection over union with one-hot targets, the mean over all classes that occur.

    https://keras.io/api/metrics/segmentation_metrics/#onehotmeaniou-class

    Args:
        num_classes, ignore_class, sparse_y_pred, axis: as for `IoU`.
    """

    _fixed = ("target_class_ids", "sparse_y_true")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
