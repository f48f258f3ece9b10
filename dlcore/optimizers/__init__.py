"""Optimizers of Keras, each one pass over all parameters, and learning rate schedules.

https://keras.io/api/optimizers/
"""

from __future__ import annotations

from typing import Any

from dlcore import _objects
from dlcore._arguments import nearest
from dlcore.optimizers import schedules
from dlcore.optimizers.adagrad import Adadelta, Adagrad, RMSprop
from dlcore.optimizers.adam import Adam, Adamax, AdamW, Nadam
from dlcore.optimizers.base import Optimizer
from dlcore.optimizers.sgd import SGD, Lion

_BY_NAME: dict[str, type[Any]] = {
    cls.__name__.lower(): cls for cls in (Adadelta, Adagrad, Adam, AdamW, Adamax, Lion, Nadam, RMSprop, SGD)
}
_TAKEN = {*_BY_NAME, *(cls.__name__ for cls in _BY_NAME.values())}


def get(identifier: Any) -> Optimizer:
    """An optimizer from its name, a config dict, an instance, or a class.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict) and str(identifier.get("class_name")).lower() in _BY_NAME:
        made: Optimizer = _BY_NAME[identifier["class_name"].lower()].from_config(identifier.get("config") or {})
        return made
    if isinstance(identifier, dict) and (own := _objects.find(identifier.get("class_name"), Optimizer)) is not None:
        mine: Optimizer = own.from_config(identifier.get("config") or {})
        return mine
    if isinstance(identifier, str):
        identifier = _BY_NAME.get(identifier.lower()) or _objects.find(identifier, Optimizer) or identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer) and identifier is not Optimizer:
        new: Any = identifier
        by_default: Optimizer = new()
        return by_default
    raise ValueError(
        f"optimizer: expected one of {sorted(_BY_NAME)} or an Optimizer. "
        f"Received: {identifier!r}{nearest(identifier, _BY_NAME)}"
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The config dict that `get` understands.

    Raises:
        ValueError: the optimizer, or the schedule or function of its learning rate, is neither one of this module's nor
            one of the user's that has a name.
    """
    name: str | None = type(optimizer).__name__.lower()
    if type(optimizer) not in _BY_NAME.values():
        name = _objects.name_of(type(optimizer), _TAKEN)
    if name is None:
        raise ValueError(f"optimizer: {optimizer.name!r} cannot be saved: it is not one of {sorted(_BY_NAME)}")
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if callable(rate):
        rate = {"class_name": "function", "config": _objects.name_of(rate, schedules._BY_NAME)}
        config = {**config, "learning_rate": rate}
    if isinstance(rate, dict) and None in rate.values():
        raise ValueError(
            f"optimizer: {optimizer.name!r} cannot be saved: its learning rate is a function of the user's"
        )
    return {"class_name": name, "config": config}


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """An optimizer from the config dict of `serialize`; custom_objects holds classes by name.

    Raises:
        ValueError: an unknown name.
    """
    cls = (custom_objects or {}).get(config["class_name"])
    if cls is None:
        cls = type(get(config["class_name"]))
    made: Optimizer = cls.from_config(config.get("config") or {}, custom_objects)
    return made


__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
