"""Losses of Keras, by name and class. Training minimises the mean over the batch (and over the axes of a sample).

https://keras.io/api/losses/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcore import ops
from dlcore.ops.base import Tensor


class Loss:
    """A function of targets and predictions, giving one value per sample.

    Called with symbolic tensors it adds ops; called with arrays it gives the mean as a float.
    """

    sparse = False  # True in a subclass: targets are class numbers, int32, and `call` gets them as such

    def __init__(self, name: str | None = None):
        self.name = name or type(self).__name__

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define call(y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_pred, Tensor):
            return self.call(y_true, y_pred)
        from dlcore.graph.eager import compute

        y_pred = np.asarray(y_pred, np.float32)
        y_true = self.target(y_true, y_pred.shape[1:], "y_true")
        return float(np.mean(compute(self.call, y_true, y_pred), dtype=np.float64))

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
        if array.shape[1:] != shape:
            hint = ""
            if isinstance(self, CategoricalCrossentropy) and array.shape[1:] in (shape[:-1], (*shape[:-1], 1)):
                hint = " Class numbers go with the loss 'sparse_categorical_crossentropy'."
            raise ValueError(
                f"{argument}: the loss {self.name!r} expects targets of shape {(len(array), *shape)}. "
                f"Received: {array.shape}.{hint}"
            )
        return np.ascontiguousarray(array, np.float32)

    def _classes(self, y: Any, shape: tuple[int, ...], argument: str) -> np.ndarray:
        """Class numbers of the predictions' shape without its last axis, int32."""
        array = numbers(y, argument)
        if array.shape[1:] == (*shape[:-1], 1):
            array = array[..., 0]
        if array.shape[1:] != shape[:-1]:
            hint = " One-hot targets go with the loss 'categorical_crossentropy'." if array.shape[1:] == shape else ""
            raise ValueError(
                f"{argument}: the loss {self.name!r} expects class numbers of shape "
                f"{(len(array), *shape[:-1])}. Received: {array.shape}.{hint}"
            )
        if array.dtype.kind == "f" and (broken := array[np.trunc(array) != array]).size:
            raise ValueError(f"{argument}: the loss {self.name!r} expects whole class numbers. Received: {broken[0]}")
        if array.size and not (array.min() >= 0 and array.max() < shape[-1]):
            raise ValueError(
                f"{argument}: the loss {self.name!r} expects class numbers from 0 to {shape[-1] - 1}, as the "
                f"model has {shape[-1]} outputs. Received: {array.min()} to {array.max()}"
            )
        return np.ascontiguousarray(array, np.int32)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class _FromLogits(Loss):
    def __init__(self, from_logits: bool = False, name: str | None = None):
        super().__init__(name)
        self.from_logits = bool(from_logits)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}


class SparseCategoricalCrossentropy(_FromLogits):
    """-log of the probability of the true class; targets are class numbers (batch, ...), or (batch, ..., 1).

    Args:
        from_logits: True when predictions are logits. Probabilities are normalised, then clipped to [1e-7, 1 - 1e-7];
            those of a softmax in front are never formed: the loss is computed from its logits.
    """

    sparse = True

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.from_logits:
            return ops.softmax_crossentropy(y_true, y_pred)
        return ops.sparse_categorical_crossentropy(y_true, y_pred)


class CategoricalCrossentropy(_FromLogits):
    """-sum y log p over the last axis; targets are one-hot, or any distribution, of the predictions' shape.

    Args:
        from_logits: True when predictions are logits. Probabilities are normalised, then clipped to [1e-7, 1 - 1e-7];
            those of a softmax in front are never formed: the loss is computed from its logits.
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.from_logits:
            return ops.softmax_crossentropy(y_true, y_pred)
        return ops.categorical_crossentropy(y_true, y_pred)


class BinaryCrossentropy(_FromLogits):
    """-(y log p + (1 - y) log(1 - p)), the mean over all outputs of a sample.

    Args:
        from_logits: True when predictions are logits. Probabilities are clipped to [1e-7, 1 - 1e-7]; behind a sigmoid
            the loss is computed from its logits.
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.from_logits:
            return ops.binary_crossentropy_logits(y_true, y_pred)
        return ops.binary_crossentropy(y_true, y_pred)


class MeanSquaredError(Loss):
    """(prediction - target)^2, the mean over all outputs of a sample."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.mean_squared_error(y_true, y_pred)


class _FunctionLoss(Loss):
    """A user's function of two tensors."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]):
        super().__init__(getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred)


def numbers(y: Any, argument: str) -> np.ndarray:
    """`y` as an array of real numbers, one entry of axis 0 per sample."""
    array = np.asarray(y)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise ValueError(
            f"{argument}: expected an array of numbers, one entry per sample. "
            f"Received: {type(y).__name__} of dtype {array.dtype}, shape {array.shape}"
        )
    return array


_BY_NAME: dict[str, type[Loss]] = {
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
}


def get(identifier: Any) -> Loss:
    """A loss from its name, a config dict, an instance, a class, or a function of (y_true, y_pred).

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, dict):
        name, config = identifier["class_name"], identifier["config"]
        for cls in _BY_NAME.values():
            if cls.__name__ == name:
                return cls(**config)
        raise ValueError(f"loss: expected one of {sorted(_BY_NAME)}. Received: {name!r}")
    if isinstance(identifier, str):
        for key, cls in _BY_NAME.items():
            if identifier in (key, cls.__name__):
                return cls(name=key)
        raise ValueError(f"loss: expected one of {sorted(_BY_NAME)}. Received: {identifier!r}")
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return _FunctionLoss(identifier)
    raise ValueError(f"loss: expected a name, a Loss or a function. Received: {identifier!r}")


def serialize(loss: Loss) -> dict[str, Any]:
    """The config dict that `get` understands.

    Raises:
        ValueError: not one of this module's classes.
    """
    if type(loss) not in _BY_NAME.values():
        raise ValueError(f"loss: {loss.name!r} cannot be saved: it is not one of {sorted(_BY_NAME)}")
    return {"class_name": type(loss).__name__, "config": loss.get_config()}
