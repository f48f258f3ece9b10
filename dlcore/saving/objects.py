"""Objects of every kind as configs, for `get_config` of your own classes that hold others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcore import _objects, activations, constraints, initializers, losses, metrics, optimizers, regularizers
from dlcore.layers.base import Layer
from dlcore.optimizers import schedules
from dlcore.saving.layers import deserialize_layer, serialize_layer

_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "layer": (Layer, serialize_layer, deserialize_layer),
    "loss": (losses.Loss, losses.serialize, losses.get),
    "metric": (metrics.Metric, metrics.serialize, metrics.deserialize),
    "optimizer": (optimizers.Optimizer, optimizers.serialize, optimizers.get),
    "schedule": (schedules.LearningRateSchedule, schedules.serialize, schedules.deserialize),
    "initializer": (initializers.Initializer, initializers.serialize, initializers.get),
    "regularizer": (regularizers.Regularizer, regularizers.serialize, regularizers.get),
    "constraint": (constraints.Constraint, constraints.serialize, constraints.get),
}


def serialize_keras_object(obj: Any) -> Any:
    """A config of a layer, model, loss, metric, optimizer, schedule, initializer, regularizer, constraint, activation,
    for `deserialize_keras_object`. Lists and dicts of them, numbers and texts, likewise.

    https://keras.io/api/models/model_saving_apis/serialization_utils/

    Raises:
        ValueError: it has no name in a file.
    """
    if isinstance(obj, (list, tuple)):
        return [serialize_keras_object(part) for part in obj]
    if isinstance(obj, dict):
        return {"kind": "dict", "config": {key: serialize_keras_object(part) for key, part in obj.items()}}
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    for kind, (cls, serialize, _) in _KINDS.items():
        if isinstance(obj, cls):
            return {"kind": kind, "config": serialize(obj)}
    return {"kind": "activation", "config": activations.serialize(obj)}


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """What `serialize_keras_object` described, made anew.

    Args:
        config: of `serialize_keras_object`.
        custom_objects: your own classes and functions by name.

    Raises:
        ValueError: an unknown kind or name.
    """
    with _objects.custom_object_scope(custom_objects):
        return _made(config)


def _made(config: Any) -> Any:
    if isinstance(config, list):
        return [_made(part) for part in config]
    if not isinstance(config, dict):
        return config
    kind, inner = config.get("kind"), config.get("config")
    if kind == "dict" and isinstance(inner, dict):
        return {key: _made(part) for key, part in inner.items()}
    if kind == "activation":
        return activations.get(inner)
    if kind not in _KINDS:
        raise ValueError(f"kind: expected one of {['activation', *_KINDS]}. Received: {kind!r:.200}")
    return _KINDS[kind][2](inner)
