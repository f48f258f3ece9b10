"""The networks of estimators that were given none."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import layers

HIDDEN = 64  # units of a hidden layer


def trunk(X: np.ndarray) -> list[Any]:
    """Layers of a default network below its outputs, for samples like X (n, ...).

    Raises:
        ValueError: there is no such network for samples of this rank.
    """
    shape = X.shape[1:]
    if len(shape) not in (1, 2, 3):
        raise ValueError(f"there is no default network for samples of shape {shape}. Give a model")
    image = len(shape) > 1
    scaling = layers.Normalization(axis=-1 if len(shape) != 2 else None)
    scaling.adapt(X)
    stack: list[Any] = [layers.Input(shape), scaling]
    if len(shape) == 2:
        stack.append(layers.Reshape((*shape, 1)))
    side = min(shape[:2]) if image else 0
    for filters in (32, 64):
        if image and side >= 2:
            stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D(2)]
            side //= 2
    if image:
        return [*stack, layers.Flatten(), layers.Dense(HIDDEN, activation="relu")]
    return [*stack, *(layers.Dense(HIDDEN, activation="relu") for _ in range(2))]
