"""Penalties on weights and activations, by the names and formulas of Keras 3.

https://keras.io/api/layers/regularizers/
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from dlcore import _objects
from dlcore._arguments import Checked, is_number
from dlcore.kernels import norms as kernels
from dlcore.ops.base import BATCH, Tensor
from dlcore.ops.norms import orthogonal, penalty


class Regularizer(Checked):
    """Called with a weight, gives a tensor (1,) to add to the loss; with an activation (batch, ...), one value per
    sample (batch,), whose mean is added; with an array, a float.

    https://keras.io/api/layers/regularizers/#regularizer-class
    """

    def __call__(self, x: Any) -> Any:
        raise TypeError(f"{type(self).__name__} must define __call__(x)")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same regularizer."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        return cls(**config)


class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2.

    https://keras.io/api/layers/regularizers/#l1l2-class

    Args:
        l1, l2: factors of at least 0, default 0.

    Raises:
        ValueError: not such a number.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1 = _factor(l1 or 0.0, "l1", self)
        self.l2 = _factor(l2 or 0.0, "l2", self)

    def __call__(self, x: Any) -> Any:
        l1, l2 = getattr(self, "l1", 0.0), getattr(self, "l2", 0.0)
        if isinstance(x, Tensor):
            return penalty(x, l1, l2)
        w = np.ascontiguousarray(x, np.float32).reshape(-1)
        parts = np.empty(-(-w.size // kernels.PARTS_BLOCK))
        kernels.penalty_parts(w, parts, l1, l2).run()
        return float(parts.sum())


class L1(L1L2):
    """l1 sum |x|.

    https://keras.io/api/layers/regularizers/#l1-class

    Args:
        l1: factor of at least 0, default 0.01.

    Raises:
        ValueError: not such a number.
    """

    def __init__(self, l1: float | None = 0.01):
        self.l1 = _factor(0.01 if l1 is None else l1, "l1", self)


class L2(L1L2):
    """l2 sum x^2.

    https://keras.io/api/layers/regularizers/#l2-class

    Args:
        l2: factor of at least 0, default 0.01.

    Raises:
        ValueError: not such a number.
    """

    def __init__(self, l2: float | None = 0.01):
        self.l2 = _factor(0.01 if l2 is None else l2, "l2", self)


class OrthogonalRegularizer(Regularizer):
    """factor times the mean of |n_i . n_j| over all pairs of different rows (or columns) n of a matrix, each divided by
    its norm.

    https://keras.io/api/layers/regularizers/#orthogonalregularizer-class

    Args:
        factor: of at least 0, default 0.01.
        mode: "rows" or "columns".

    Raises:
        ValueError: not such a number or mode; a weight that is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = _factor(factor, "factor", self)
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode must be 'rows' or 'columns'. Received: mode={mode!r}")
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        w = x if isinstance(x, Tensor) else np.ascontiguousarray(x, np.float32)
        if len(w.shape) != 2 or w.shape[0] is BATCH:
            raise ValueError(f"OrthogonalRegularizer: expected a weight of rank 2. Received: shape {w.shape}")
        if isinstance(w, Tensor):
            return orthogonal(w, self.factor, self.mode == "rows")
        parts = np.empty(w.shape[0 if self.mode == "rows" else 1])
        kernels.orthogonal_parts(w, parts, self.factor, self.mode == "rows").run()
        return float(parts.sum())


def _factor(value: Any, argument: str, owner: Regularizer) -> float:
    if not is_number(value) or not isfinite(value) or value < 0:
        raise ValueError(
            f"{type(owner).__name__}: {argument} must be a number of at least 0. Received: {argument}={value!r}"
        )
    return float(value)


_FAMILY = _objects.Family("regularizer", Regularizer, {
    "l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer,
})  # fmt: skip


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A regularizer from its name, a config dict, an instance, a class, or any function of a weight composed of
    dlcore.ops; None for None.

    Raises:
        ValueError: an unknown name.
    """
    return None if identifier is None else _FAMILY.get(identifier)


def serialize(regularizer: Any) -> dict[str, Any] | str | None:
    """The config dict that `get` understands; a name for a function of the user; None for None.

    Raises:
        ValueError: neither of one of this module's classes, nor one of the user's that has a name.
    """
    return None if regularizer is None else _FAMILY.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable[[Any], Any] | None:
    """The regularizer that `serialize` described; custom_objects holds classes and functions of the user by name.

    Raises:
        ValueError: an unknown name.
    """
    with _objects.custom_object_scope(custom_objects):
        return get(config)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
