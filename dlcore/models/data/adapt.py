"""Choosing the adapter for what the user gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dlcore.models.data.arrays import ArrayData
from dlcore.models.data.base import Data
from dlcore.models.data.indexed import Indexed
from dlcore.models.data.iterables import Iterables


def adapt(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int = 32,
    steps: int | None = None,
    shuffle: bool = False,
    where: str = "",
    model: str = "model",
) -> Data:
    """The adapter of the data, not yet bound to a model.

    Arrays, lists and dicts of them are `ArrayData`; objects with `__len__` and `__getitem__` are `Indexed`: batches or,
    by the rank of what they give, samples; any other iterable is `Iterables`.

    Args:
        batch_size: samples a step. Data that comes in batches has its own.
        steps: steps of an epoch, default all of the data.
        where: what messages put in front of "x", such as "validation_data: ".
        model: its name, for messages.

    Raises:
        ValueError: no data, or `y` or `sample_weight` beside data that brings them.
        TypeError: nothing that could be data.
    """
    if x is None:
        raise ValueError(f"{where}x: expected data. Received: x=None")
    rest: tuple[int, int | None, bool, str, str] = (batch_size, steps, shuffle, where, model)
    if isinstance(x, (np.ndarray, Mapping, list, tuple)) or hasattr(x, "__array__"):
        return ArrayData(x, y, sample_weight, *rest)
    if isinstance(x, (str, bytes, int, float, type)):
        raise TypeError(f"{where}x: expected arrays or a dataset. Received: {x!r}")
    indexed = hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches"))
    if not indexed and not isinstance(x, Iterable):
        hint = ". Call it: a generator function is not yet a generator" if callable(x) else ""
        raise TypeError(f"{where}x: expected arrays or a dataset. Received: {type(x).__name__}{hint}")
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"{where}{name}: a {type(x).__name__} brings its own; leave {name} out. "
                f"Received: {type(value).__name__}"
            )
    return Indexed(x, *rest) if indexed else Iterables(x, *rest)


def validation(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of the argument validation_data: a tuple of two or three, or a dataset.

    Raises:
        ValueError: anything else.
    """
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        x, y, w = (*data, None)[:3]
        return x, y, w
    if isinstance(data, (tuple, list, Mapping, np.ndarray, str)) or data is None:
        raise ValueError(
            f"validation_data: expected (x, y), (x, y, sample_weight) or a dataset. Received: {type(data).__name__}"
        )
    return data, None, None
