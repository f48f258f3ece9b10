"""Checking and converting the arrays that users give to a model."""

from __future__ import annotations

from typing import Any

import numpy as np


def inputs(x: Any, shape: tuple[int, ...], argument: str, model: str) -> np.ndarray:
    """Samples as a program reads them: C-contiguous float32 or uint8 (n, *shape), the caller's own memory if it is so.

    Other numbers are converted to float32 once. A missing last axis of size 1 is added, as in Keras.

    Raises:
        ValueError: not numbers, another shape, or no samples.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{argument}: expected an array of numbers. Received: {type(x).__name__} of dtype {array.dtype}"
        )
    if array.shape[1:] != shape and (*array.shape[1:], 1) == shape:
        array = array[..., None]
    if array.ndim == 0 or array.shape[1:] != shape:
        raise ValueError(
            f"{argument}: {model} expects samples of shape {shape}, batch in front: {(None, *shape)}. "
            f"Received: {array.shape}"
        )
    if not len(array):
        raise ValueError(f"{argument}: expected at least one sample. Received: shape {array.shape}")
    dtype = np.uint8 if array.dtype == np.uint8 else np.float32
    return np.require(array, dtype, ["C", "A"])


def whole(value: Any, least: int, argument: str, model: str) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            f"{model}: {argument} must be a whole number of at least {least}. Received: {argument}={value!r}"
        )
    return int(value)


def validation_pair(data: Any) -> tuple[Any, Any]:
    """(x, y) of the argument validation_data."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(f"validation_data: expected (x, y). Received: {type(data).__name__}")
    return data[0], data[1]


def split(x: np.ndarray, y: np.ndarray, share: float) -> tuple[tuple[np.ndarray, np.ndarray], Any]:
    """((x, y) to train on, the last `share` of the samples to validate on or None).

    Raises:
        ValueError: a share outside [0, 1), or one that leaves nothing on a side.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise ValueError(f"validation_split must be in [0, 1). Received: validation_split={share!r}")
    if not share:
        return (x, y), None
    at = int(len(x) * (1 - share))
    if at in (0, len(x)):
        raise ValueError(
            f"validation_split={share} of {len(x)} samples leaves {at} to train on and {len(x) - at} to "
            "validate on: both must be at least one"
        )
    return (x[:at], y[:at]), (x[at:], y[at:])
