"""Checking and converting the arrays that users give to a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcore._arguments import is_number, nearest, outside

UNLIKELY = 0.01
SLAB = 1 << 18  # numbers looked at in one go


def numbers(x: Any, argument: str) -> np.ndarray:
    """`x` as an array of real numbers; torch tensors too, wherever they lie.

    Raises:
        ValueError: anything else.
    """
    if hasattr(x, "detach") and hasattr(x, "cpu"):
        x = x.detach().cpu()
    try:
        array: np.ndarray = np.asanyarray(x)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"{argument}: expected an array of numbers. Received: {type(x).__name__}, but {error}"
        ) from error
    if array.dtype.kind not in "fiub" or isinstance(array, np.ma.MaskedArray):
        raise ValueError(
            f"{argument}: expected an array of numbers. Received: {type(x).__name__} of dtype {array.dtype}"
        )
    return array


def shape_of(x: Any) -> tuple[int, ...]:
    """Shape of an array, a tensor, a number or nested lists; () for rows of different lengths (see `numbers`)."""
    try:
        return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
    except ValueError:
        return ()


def inputs(x: Any, shape: tuple[int, ...], argument: str, model: str, dtype: str = "f") -> np.ndarray:
    """Samples as a program reads them: C-contiguous float32 or uint8 (n, *shape), the caller's own memory if it is so.

    Other numbers are converted to float32 once. A missing last axis of size 1 is added, as in Keras.

    Args:
        dtype: "i" where the model reads whole numbers: int32.

    Raises:
        ValueError: not numbers, another shape, no samples, or for "i" numbers that are not whole or beyond int32.
    """
    array = shaped(numbers(x, argument), shape, argument, model)
    if not len(array):
        raise ValueError(f"{argument}: expected at least one sample. Received: shape {array.shape}")
    return converted(array, argument, dtype)


def shaped(array: np.ndarray, shape: tuple[int, ...], argument: str, model: str) -> np.ndarray:
    """`array` as (n, *shape): itself, or with a last axis of size 1 added."""
    if array.shape[1:] != shape and (*array.shape[1:], 1) == shape:
        array = array[..., None]
    if array.ndim == 0 or array.shape[1:] != shape:
        hint = ""
        if array.shape == shape:
            hint = ". That is one sample: put a batch axis in front, x[None]"
        elif len(shape) > 1 and array.shape[1:] == (shape[-1], *shape[:-1]):
            hint = ". That looks like channels first; put them last: np.moveaxis(x, 1, -1)"
        raise ValueError(
            f"{argument}: {model} expects samples of shape {shape}, batch in front: {(None, *shape)}. "
            f"Received: {array.shape}{hint}"
        )
    return array


def converted(array: np.ndarray, argument: str, dtype: str = "f") -> np.ndarray:
    """`array` in the dtype that a program reads, C-contiguous; itself if it is so."""
    if dtype == "f":
        return np.require(array, np.uint8 if array.dtype == np.uint8 else np.float32, ["C", "A"])
    if array.dtype != np.int32 and array.size:
        if array.dtype.kind == "f" and not (whole := np.trunc(array) == array).all():
            raise ValueError(f"{argument}: expected whole numbers. Received: {array[~whole].flat[0]}")
        if not -(2**31) <= (low := array.min()) <= (high := array.max()) < 2**31:
            raise ValueError(f"{argument}: expected whole numbers within int32. Received: {low} to {high}")
    return np.require(array, np.int32, ["C", "A"])


def finite(array: np.ndarray, argument: str, first: int = 0) -> None:
    """Refuse NaN and infinity. `first` is the number of the first sample.

    Raises:
        ValueError: names the array and its first bad sample.
    """
    if array.dtype.kind != "f":
        return
    slab = max(1, SLAB // max(1, array[:1].size))
    for at in range(0, len(array), slab):
        good = np.isfinite(array[at : at + slab])
        if not good.all():
            place = tuple(int(i) for i in np.argwhere(~good)[0])
            raise ValueError(
                f"{argument}: sample {first + at + place[0]} holds {array[at + place[0]][place[1:]]}"
                f"{f' at {place[1:]}' if place[1:] else ''}. Clean the data, or leave check_data out"
            )


def whole(value: Any, least: int, argument: str, model: str) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            f"{model}: {argument} must be a whole number of at least {least}. Received: {argument}={value!r}"
        )
    return int(value)


def parts(
    value: Any, names: Sequence[str], wrapped: Callable[[Any], bool], argument: str, model: str, kind: str
) -> list[Any]:
    """One array for each of `names`, from an array, a list or a dict by name.

    Args:
        wrapped: where there is one name, whether the only element of a list is its array, and not the first sample.
        kind: "inputs" or "outputs", for messages.

    Raises:
        ValueError: unknown or missing names, or another number of arrays.
    """
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        if unknown or missing:
            hint = nearest(unknown[0], missing or names) if unknown else ""
            raise ValueError(f"{argument}: {model} has the {kind} {list(names)}. Received: {list(value)}{hint}")
        return [value[name] for name in names]
    if len(names) == 1:
        if isinstance(value, (list, tuple)) and len(value) == 1 and wrapped(value[0]):
            return [value[0]]
        return [value]
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        got = f"{len(value)} arrays" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(
            f"{argument}: {model} has the {kind} {list(names)}: expected a list of {len(names)} arrays or a dict. "
            f"Received: {got}"
        )
    return list(value)


def weights(given: Any, rows: int, argument: str) -> np.ndarray:
    """Sample weights as float32 (rows,) or (rows, positions...).

    Raises:
        ValueError: not numbers, or another number of them.
    """
    array = numbers(given, argument)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(f"{argument}: expected one weight for each of {rows} samples. Received: shape {array.shape}")
    return np.require(array, np.float32, ["C", "A"])


def class_weights(given: Any, model: str) -> dict[int, float]:
    """{class: weight}, empty for "balanced"."""
    if isinstance(given, str) and given == "balanced":
        return {}
    if isinstance(given, Mapping) and given:
        good = all(
            isinstance(key, (int, np.integer)) and is_number(value) and value >= 0 for key, value in given.items()
        )
        if good:
            return {int(key): float(value) for key, value in given.items()}
    raise ValueError(
        f"{model}: class_weight must be 'balanced' or a dict of class numbers and weights of at least 0. "
        f"Received: class_weight={given!r}"
    )


def balanced(classes: np.ndarray, ignored: int | None) -> dict[int, float]:
    """n / (number of classes * how often the class occurs), so that every class weighs as much as any other."""
    found, counts = np.unique(classes if ignored is None else classes[classes != ignored], return_counts=True)
    return {int(c): int(counts.sum()) / (len(found) * int(n)) for c, n in zip(found, counts, strict=True)}


def weights_by_class(classes: np.ndarray, weight: Mapping[int, float]) -> np.ndarray:
    """float32, of the shape of the class numbers: the weight of each, 1 for a class without one."""
    found, places = np.unique(classes, return_inverse=True)
    return np.array([weight.get(int(c), 1.0) for c in found], np.float32)[places.reshape(classes.shape)]


def share_of(share: Any, n: int) -> int:
    """How many of n samples stay when the last `share` of them is split off.

    Raises:
        ValueError: a share outside [0, 1), or one that leaves nothing on a side.
    """
    if not is_number(share) or not 0 <= share < 1:
        raise ValueError(f"validation_split must be in [0, 1). Received: validation_split={share!r}")
    at = int(n * (1 - share))
    if share and at in (0, n):
        raise ValueError(
            f"validation_split={share} of {n} samples leaves {at} to train on and {n - at} to "
            "validate on: both must be at least one"
        )
    return at


def warn_of_order(labels: np.ndarray, at: int, share: float, argument: str) -> None:
    """Warn when a class is on one side of row `at` only, as it would hardly be if the rows were in random order."""
    for part, others, words in ((labels[at:], labels[:at], "validates on"), (labels[:at], labels[at:], "trains on")):
        lacking = np.setdiff1d(others, part)
        odds = [(1 - np.count_nonzero(labels == c) / len(labels)) ** len(part) for c in lacking]
        if odds and min(odds) < UNLIKELY:
            warnings.warn(
                f"{argument}: validation_split={share} {words} {len(part)} samples without any of "
                f"{'class' if len(lacking) == 1 else 'classes'} {', '.join(map(str, lacking[:10]))}: it takes the last "
                "samples as they come. Shuffle the data first, or give validation_data",
                stacklevel=outside(),
            )
