"""Small helpers of Keras: seeds, one-hot targets, datasets that give batches, images from files, pictures of models."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import _random
from dlcore._arguments import checked
from dlcore._objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from dlcore.utils.dataset import PyDataset, Sequence
from dlcore.utils.image_dataset import image_dataset_from_directory
from dlcore.utils.images import array_to_img, img_to_array, load_img, save_img
from dlcore.utils.model_plot import model_to_dot, plot_model

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "model_to_dot",
    "normalize",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "set_random_seed",
    "to_categorical",
]


@checked
def set_random_seed(seed: int) -> None:
    """Make everything random that follows a function of `seed`: initial weights, shuffling, dropout.

    https://keras.io/api/utils/python_utils/

    Raises:
        ValueError: not a whole number from 0 to 2^63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1. Received: seed={seed!r}")
    _random.seeds.reset(int(seed))


@checked
def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot targets: class numbers (n, ...) or (n, ..., 1) -> float32 (n, ..., num_classes).

    https://keras.io/api/utils/python_utils/

    Args:
        num_classes: default the largest class number plus one.

    Raises:
        ValueError: negative, too large or broken class numbers.
    """
    given = np.asarray(x)
    labels = given.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels, given = labels[..., 0], given[..., 0]
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= classes or not np.array_equal(labels, given)):
        raise ValueError(
            f"to_categorical: expected whole class numbers from 0 to {classes - 1}. "
            f"Received: {given.min()} to {given.max()}"
        )
    return np.eye(classes, dtype=np.float32)[labels]


@checked
def normalize(x: Any, axis: int = -1, order: float = 2) -> np.ndarray:
    """x divided by its norm along `axis`; where that is zero, x is.

    https://keras.io/api/utils/python_utils/

    Args:
        x: array of numbers.
        axis: default the last.
        order: of the norm, as in numpy.linalg.norm, default 2.
    """
    values = np.asarray(x)
    norm = np.linalg.norm(values, order, axis, keepdims=True)
    return np.asarray(values / np.where(norm == 0, 1, norm))
