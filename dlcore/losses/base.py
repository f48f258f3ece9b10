"""Loss: one value for each position of a sample, weights, and how they become the number that training minimises."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from dlcore import ops
from dlcore._arguments import Checked, is_number
from dlcore.losses import weights
from dlcore.ops import Tensor

MEAN = "sum_over_batch_size"
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", None, "none")
ONE_UNIT = " For two classes give it a sigmoid and 'binary_crossentropy', or two units and a softmax"
TINY = 1e-30  # instead of 0 where no position counts: 0 / TINY is 0


class Loss(Checked):
    """A function of targets and predictions, giving one value for each position of each sample (a sample without
    positions, as of a classifier, has one).

    https://keras.io/api/losses/

    A subclass defines `call(y_true, y_pred)` with symbolic tensors and `dlcore.ops`.

    Args:
        name: shown in messages and files; default the class in snake case.
        reduction: "sum_over_batch_size" or "mean", which are the same: the mean over samples and positions; "sum";
            "mean_with_sample_weight": the sum divided by the sum of the weights; None or "none": no reduction, for use
            by hand only.
        dtype: None or "float32".

    Raises:
        ValueError: an unknown reduction or dtype.
    """

    sparse = False  # True in a subclass: targets are class numbers, int32, and `call` gets them as such
    categorical = False  # True in a subclass: targets are one-hot, or a distribution
    class_axis = -1  # of the predictions
    between: tuple[float, float] | None = None  # what targets may be, where not any number
    whole_batch = False  # True in a subclass: one value for all samples together, so that summing means nothing

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ):
        self.name = name or snake_case(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(f"{self.name}: reduction must be one of {REDUCTIONS}. Received: reduction={reduction!r}")
        self.reduction = reduction
        self.dtype = float32(self.name, dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Values (batch,) or (batch, positions...)."""
        raise TypeError(f"{type(self).__name__} must define call(y_true, y_pred)")

    def valid(self, y_true: Any) -> Any:
        """1 where a position counts and 0 where it is masked, for a tensor or an array; None when all count."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of arrays, a float (with reduction None an array); of symbolic tensors `per_sample`.

        Args:
            y_true: targets.
            y_pred: predictions (batch, ..., c).
            sample_weight: a number, or an array of the shape of the values or the beginning of it.

        Raises:
            ValueError: shapes that do not go together, or targets that the loss cannot mean.
        """
        if isinstance(y_pred, Tensor):
            return self.per_sample(y_true, y_pred, sample_weight)
        from dlcore.graph.eager import compute

        p, y = np.asarray(y_pred, np.float32), numbers(y_true, "y_true")
        alone = p.ndim == 1  # one sample without its axis
        if alone:
            p, y = p[None], y[None]
        if p.ndim < 2:
            raise ValueError(f"{self.name}: expected predictions (batch, ..., c). Received: shape {p.shape}")
        y = self.target(y, p.shape[1:], "y_true")
        values = compute(self.call, y, p)
        valid = self.valid(y)
        return weights.reduce(
            values[0] if alone else values,
            sample_weight,
            valid[0] if alone and valid is not None else valid,
            "mean" if self.whole_batch and self.reduction == "sum" else self.reduction,
            self.name,
        )

    def per_sample(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None = None) -> Tensor:
        """One value per sample (batch,) whose mean over the batch is the loss, with reduction, weights and masks in it.

        Args:
            weight: (batch,) or (batch, positions...).

        Raises:
            ValueError: no reduction, or a weight that does not go with the values.
        """
        if self.reduction in (None, "none"):
            raise ValueError(
                f"{self.name}: training needs a reduction, such as 'sum_over_batch_size'. "
                f"Received: reduction={self.reduction!r}"
            )
        values = self.call(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise TypeError(f"{self.name}: expected a tensor made by dlcore.ops. Received: {values!r}")
        valid = self.valid(y_true)
        mean = weights.weighted_mean(values, weight, self.name)
        if self.reduction == "sum" and not self.whole_batch:
            return ops.scale_by_batch(ops.rescale(mean, float(prod(values.shape[1:]))))
        share = valid if valid is None else weights.mean_of_positions(valid)
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            if valid is None:  # the sum of the weights as they are given, each once however many positions it is for
                each = weights.aligned(weight, values, self.name)
                times = prod(each.shape[1:]) / prod(values.shape[1:])
                share = ops.rescale(weights.mean_of_positions(each), times)
            else:
                share = weights.weighted_mean(valid, weight, self.name)
        return mean if share is None else ops.divide(mean, ops.maximum(ops.batch_mean(share), TINY))

    def target(self, y: Any, shape: tuple[int, ...], argument: str = "y") -> np.ndarray:
        """Targets as training reads them: float32 of the predictions' shape. `shape` is that of one prediction.

        Raises:
            ValueError: another shape, or values that the loss cannot mean.
        """
        if self.sparse:
            return self._classes(y, shape, argument)
        array = numbers(y, argument)
        if array.shape[1:] != shape and (*array.shape[1:], 1) == shape:
            array = array[..., None]
        if array.shape[1:] == (*shape, 1):
            array = array[..., 0]
        if array.shape[1:] != shape:
            hint = ""
            if self.categorical and array.shape[1:] in (shape[:-1], (*shape[:-1], 1)):
                hint = " Class numbers go with the loss 'sparse_categorical_crossentropy'."
            elif self.between is not None and self.between[1] == 1 and prod(array.shape[1:]) == 1:
                hint = (
                    " One label a sample goes with an output of one unit and a sigmoid, or with a softmax and the loss "
                    "'sparse_categorical_crossentropy'."
                )
            raise ValueError(
                f"{argument}: the loss {self.name!r} expects targets of shape {(len(array), *shape)}. "
                f"Received: {array.shape}.{hint}"
            )
        return np.ascontiguousarray(array, np.float32)

    def target_shape(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
        """Shape and dtype, "i" or "f", of the target of a sample whose prediction has `shape`."""
        if not self.sparse:
            return shape, "f"
        axis = (self.class_axis if self.class_axis < 0 else self.class_axis - 1) % len(shape)
        return tuple(size for i, size in enumerate(shape) if i != axis), "i"

    def ignored(self) -> int | None:
        """The class number that does not count, or None."""
        return None

    def _classes(self, y: Any, shape: tuple[int, ...], argument: str) -> np.ndarray:
        """Class numbers of the predictions' shape without the axis of the classes, int32."""
        array = numbers(y, argument)
        axis = self.class_axis if self.class_axis < 0 else self.class_axis - 1
        classes = shape[axis]
        expected, _ = self.target_shape(shape)
        if array.ndim == len(shape) + 1 and array.shape[1:][axis] == 1:
            array = array.squeeze(axis if axis < 0 else axis + 1)
        if array.shape[1:] != expected:
            hint = " One-hot targets go with the loss 'categorical_crossentropy'." if array.shape[1:] == shape else ""
            raise ValueError(
                f"{argument}: the loss {self.name!r} expects class numbers of shape "
                f"{(len(array), *expected)}. Received: {array.shape}.{hint}"
            )
        if array.dtype.kind == "f" and (broken := array[np.trunc(array) != array]).size:
            raise ValueError(f"{argument}: the loss {self.name!r} expects whole class numbers. Received: {broken[0]}")
        ignore = self.ignored()
        counted = array if ignore is None else array[array != ignore]
        if counted.size and not (counted.min() >= 0 and counted.max() < classes):
            raise ValueError(
                f"{argument}: the loss {self.name!r} expects class numbers from 0 to {classes - 1}, as the "
                f"model has {classes} outputs. Received: {counted.min()} to {counted.max()}"
                f"{f'.{ONE_UNIT}' if classes == 1 else ''}"
            )
        return np.ascontiguousarray(array, np.int32)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class LossFunctionWrapper(Loss):
    """A loss from a function of two symbolic tensors.

    https://keras.io/api/losses/

    Args:
        fn: fn(y_true, y_pred, **kwargs) gives (batch,) or (batch, positions...).
        reduction, name, dtype: as for `Loss`.
        kwargs: passed to fn.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn, self.arguments = fn, kwargs

    def call(self, y_true: Tensor, y_pred: Tensor) -> Any:
        return self.fn(y_true, y_pred, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        own = {} if type(self) is not LossFunctionWrapper else {"fn": self.fn}
        return {**super().get_config(), **own, **self.arguments}


def snake_case(name: str) -> str:
    """mean_squared_error for MeanSquaredError."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def number(owner: str, argument: str, value: Any, low: float, high: float = np.inf) -> Any:
    """`value` when it is a number in [low, high].

    Raises:
        ValueError: it is not.
    """
    if not is_number(value) or not low <= value <= high:
        expected = f"in [{low}, {high}]" if high < np.inf else f">= {low}"
        raise ValueError(f"{owner}: {argument} must be a number {expected}. Received: {argument}={value!r}")
    return float(value)


def whole(owner: str, argument: str, value: Any) -> Any:
    """`value` when it is an int.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{owner}: `{argument}` must be of type `int`. Received: {argument}={value!r}")
    return int(value)


def float32(name: str, dtype: Any) -> str:
    """Refuse to compute in anything but float32."""
    if dtype not in (None, "float32", np.float32):
        raise ValueError(f"{name}: dtype must be None or 'float32'. Received: dtype={dtype!r}")
    return "float32"


def numbers(y: Any, argument: str) -> np.ndarray:
    """`y` as an array of real numbers, one entry of axis 0 per sample."""
    array = np.asarray(y)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise ValueError(
            f"{argument}: expected an array of numbers, one entry per sample. "
            f"Received: {type(y).__name__} of dtype {array.dtype}, shape {array.shape}"
        )
    return array
