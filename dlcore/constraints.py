"""What weights must fulfil after each step, by the names and formulas of Keras 3.

https://keras.io/api/layers/constraints/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np

from dlcore import _objects
from dlcore._arguments import Checked, is_number
from dlcore.kernels import norms as kernels
from dlcore.ops.base import Tensor
from dlcore.ops.norms import non_negative, project_norm

Axis = int | Sequence[int] | None


class Constraint(Checked):
    """Called with a weight, gives the tensor that replaces it after each update; with an array, the array. A subclass
    composes it of dlcore.ops.

    https://keras.io/api/layers/constraints/#constraint-class
    """

    def __call__(self, w: Any) -> Any:
        return w

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same constraint."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        return cls(**config)


class NonNeg(Constraint):
    """max(w, 0).

    https://keras.io/api/layers/constraints/#nonneg-class
    """

    def __call__(self, w: Any) -> Any:
        if isinstance(w, Tensor):
            return non_negative(w)
        x = np.ascontiguousarray(w, np.float32)
        y = np.empty_like(x)
        kernels.non_negative(x, y).run()
        return y


class _Norm(Constraint):
    axis: Any

    def _bounds(self) -> tuple[float, float, float]:
        raise TypeError(f"{type(self).__name__} must define _bounds()")

    def __call__(self, w: Any) -> Any:
        x = w if isinstance(w, Tensor) else np.ascontiguousarray(w, np.float32)
        axes = self._axes(len(x.shape))
        if isinstance(x, Tensor):
            return project_norm(x, axes, *self._bounds())
        y = np.empty_like(x)
        kernels.project(x, y, axes, *self._bounds()).run()
        return y

    def _axes(self, rank: int) -> list[int]:
        given = range(rank) if self.axis is None else [self.axis] if isinstance(self.axis, int) else self.axis
        axes = {axis + rank if axis < 0 else axis for axis in given}
        if not axes <= set(range(rank)):
            raise ValueError(
                f"{type(self).__name__}: axis must lie within the {rank} axes of the weight. Received: axis={self.axis}"
            )
        return sorted(axes)


class MaxNorm(_Norm):
    """w * min(norm, max_value) / (1e-7 + norm), norm that of w along `axis`.

    https://keras.io/api/layers/constraints/#maxnorm-class

    Args:
        max_value: default 2.
        axis: one axis or several; 0 for the weights of each unit of a dense layer (the default), [0, 1, 2] for the
            filters of a convolution.

    Raises:
        ValueError: a negative value, or no such axis.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0):
        self.max_value, self.axis = _number(max_value, "max_value", self), _axis(axis, self)

    def _bounds(self) -> tuple[float, float, float]:
        return 0.0, self.max_value, 1.0


class UnitNorm(_Norm):
    """w / (1e-7 + norm), norm that of w along `axis`.

    https://keras.io/api/layers/constraints/#unitnorm-class

    Args:
        axis: as for `MaxNorm`.

    Raises:
        ValueError: no such axis.
    """

    def __init__(self, axis: Axis = 0):
        self.axis = _axis(axis, self)

    def _bounds(self) -> tuple[float, float, float]:
        return 1.0, 1.0, 1.0


class MinMaxNorm(_Norm):
    """w * (rate clip(norm, min_value, max_value) + (1 - rate) norm) / (1e-7 + norm), norm that of w along `axis`.

    https://keras.io/api/layers/constraints/#minmaxnorm-class

    Args:
        min_value, max_value: default 0 and 1.
        rate: how much of the way is gone at each step, default 1.
        axis: as for `MaxNorm`.

    Raises:
        ValueError: a negative value, or no such axis.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0):
        self.min_value = _number(min_value, "min_value", self)
        self.max_value = _number(max_value, "max_value", self)
        self.rate, self.axis = _number(rate, "rate", self), _axis(axis, self)

    def _bounds(self) -> tuple[float, float, float]:
        return self.min_value, self.max_value, self.rate


def _number(value: Any, argument: str, owner: Constraint) -> float:
    if not is_number(value) or not 0 <= value < inf:
        raise ValueError(
            f"{type(owner).__name__}: {argument} must be a number of at least 0. Received: {argument}={value!r}"
        )
    return value if isinstance(value, int) else float(value)


def _axis(axis: Any, owner: Constraint) -> Any:
    several = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    if axis is not None and any(isinstance(a, bool) or not isinstance(a, (int, np.integer)) for a in several):
        raise ValueError(f"{type(owner).__name__}: axis must be whole numbers. Received: axis={axis!r}")
    return [int(a) for a in several] if isinstance(axis, (list, tuple)) else axis


_FAMILY = _objects.Family("constraint", Constraint, {
    "constraint": Constraint, "max_norm": MaxNorm, "min_max_norm": MinMaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm,
})  # fmt: skip


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A constraint from its name, a config dict, an instance, a class, or any function of a weight composed of
    dlcore.ops; None for None.

    Raises:
        ValueError: an unknown name.
    """
    return None if identifier is None else _FAMILY.get(identifier)


def serialize(constraint: Any) -> dict[str, Any] | str | None:
    """The config dict that `get` understands; a name for a function of the user; None for None.

    Raises:
        ValueError: neither of one of this module's classes, nor one of the user's that has a name.
    """
    return None if constraint is None else _FAMILY.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable[[Any], Any] | None:
    """The constraint that `serialize` described; custom_objects holds classes and functions of the user by name.

    Raises:
        ValueError: an unknown name.
    """
    with _objects.custom_object_scope(custom_objects):
        return get(config)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
