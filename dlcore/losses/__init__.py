"""Losses of Keras, by name, class and function. Training minimises the mean over the batch and over the positions of a
sample, unless a reduction says otherwise. The arguments `reduction`, `name` and `dtype` of the classes are those of
`Loss`.

https://keras.io/api/losses/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcore import _objects
from dlcore._arguments import nearest
from dlcore.losses.base import Loss, LossFunctionWrapper
from dlcore.losses.classes import (
    CategoricalHinge,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
    Tversky,
)
from dlcore.losses.crossentropies import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
)
from dlcore.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]

_FUNCTIONS: dict[str, tuple[Callable[..., Any], type[Loss]]] = {
    "binary_crossentropy": (binary_crossentropy, BinaryCrossentropy),
    "binary_focal_crossentropy": (binary_focal_crossentropy, BinaryFocalCrossentropy),
    "categorical_crossentropy": (categorical_crossentropy, CategoricalCrossentropy),
    "categorical_focal_crossentropy": (categorical_focal_crossentropy, CategoricalFocalCrossentropy),
    "categorical_hinge": (categorical_hinge, CategoricalHinge),
    "cosine_similarity": (cosine_similarity, CosineSimilarity),
    "dice": (dice, Dice),
    "hinge": (hinge, Hinge),
    "huber": (huber, Huber),
    "kl_divergence": (kl_divergence, KLDivergence),
    "log_cosh": (log_cosh, LogCosh),
    "mean_absolute_error": (mean_absolute_error, MeanAbsoluteError),
    "mean_absolute_percentage_error": (mean_absolute_percentage_error, MeanAbsolutePercentageError),
    "mean_squared_error": (mean_squared_error, MeanSquaredError),
    "mean_squared_logarithmic_error": (mean_squared_logarithmic_error, MeanSquaredLogarithmicError),
    "poisson": (poisson, Poisson),
    "sparse_categorical_crossentropy": (sparse_categorical_crossentropy, SparseCategoricalCrossentropy),
    "squared_hinge": (squared_hinge, SquaredHinge),
    "tversky": (tversky, Tversky),
}
CLASSES = tuple(cls for _, cls in _FUNCTIONS.values())
_ALIASES = {
    "bce": "binary_crossentropy",
    "BCE": "binary_crossentropy",
    "kld": "kl_divergence",
    "KLD": "kl_divergence",
    "mae": "mean_absolute_error",
    "MAE": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "MAPE": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "MSE": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
    "MSLE": "mean_squared_logarithmic_error",
}
NAMES = sorted([*_FUNCTIONS, *_ALIASES])


def get(identifier: Any) -> Loss:
    """A loss from its name, a config dict, an instance, a class, or a function of (y_true, y_pred).

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, dict):
        name = identifier.get("class_name")
        for cls in CLASSES:
            if cls.__name__ == name:
                return cls.from_config(identifier.get("config", {}))
        if name == "LossFunctionWrapper":
            config = dict(identifier.get("config", {}))
            return LossFunctionWrapper(_function(config.pop("fn", None)), **config)
        own = _objects.find(name, Loss)
        if isinstance(own, type):
            made: Loss = own.from_config(identifier.get("config", {}))  # type: ignore[attr-defined]
            return made
        raise ValueError(f"loss: expected one of {[cls.__name__ for cls in CLASSES]}. Received: {name!r}")
    if isinstance(identifier, str):
        if (name := _ALIASES.get(identifier, identifier)) in _FUNCTIONS:
            return _FUNCTIONS[name][1](name=identifier)
        for cls in CLASSES:
            if identifier == cls.__name__:
                return cls()
        if (own := _objects.find(identifier, Loss)) is not None:
            return get(own)
        raise ValueError(
            f"loss: expected one of {NAMES}, or a class name. Received: {identifier!r}{nearest(identifier, NAMES)}"
        )
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    for function, cls in _FUNCTIONS.values():
        if function is identifier:
            return cls(name=function.__name__)
    if callable(identifier):
        return LossFunctionWrapper(identifier)
    raise ValueError(f"loss: expected a name, a Loss or a function. Received: {identifier!r}")


def _function(name: Any) -> Callable[..., Any]:
    if name in _FUNCTIONS:
        return _FUNCTIONS[name][0]
    own: Callable[..., Any] | None = _objects.find(name, Loss)
    if own is None or isinstance(own, type):
        raise ValueError(f"loss: expected a function of dlcore.losses or of the user. Received: {name!r}")
    return own


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Loss:
    """The loss that `serialize` described; custom_objects holds classes and functions of the user by name.

    Raises:
        ValueError: an unknown name.
    """
    with _objects.custom_object_scope(custom_objects):
        return get(name)


def serialize(loss: Any) -> dict[str, Any]:
    """The config dict that `get` understands.

    Raises:
        ValueError: neither of one of this module's classes, nor one of the user's that has a name.
    """
    loss = get(loss)
    taken = {*NAMES, *(cls.__name__ for cls in CLASSES)}
    if type(loss) is LossFunctionWrapper:
        known = [name for name, (function, _) in _FUNCTIONS.items() if function is loss.fn]
        if name := known[0] if known else _objects.name_of(loss.fn, taken):
            return {"class_name": "LossFunctionWrapper", "config": {**loss.get_config(), "fn": name}}
    elif type(loss) not in CLASSES:
        own: dict[str, Any] | None = _objects.described(loss, Loss, taken)
        if own is not None:
            return own
    if type(loss) not in CLASSES:
        raise ValueError(f"loss: {loss.name!r} cannot be saved: it is not one of {NAMES}")
    return {"class_name": type(loss).__name__, "config": loss.get_config()}
