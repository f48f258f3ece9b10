"""The slots of an optimizer as tensors of a file: "optimizer:<path of the weight>/<slot>"."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore.optimizers import Optimizer
from dlcore.saving.layers import Read
from dlcore.saving.tree import Tree

PREFIX = "optimizer:"


def slot_tensors(optimizer: Optimizer, tree: Tree) -> dict[str, np.ndarray]:
    """Copies of the slots of a model's weights."""
    return {
        f"{PREFIX}{tree.paths[weight]}/{slot}": optimizer.slot(slot, weight).copy()
        for weight in optimizer._layout if weight in tree.paths for slot in optimizer.slots
    }  # fmt: skip


def read_slots(optimizer: Optimizer, tree: Tree, names: set[str], read: Read) -> dict[str, np.ndarray]:
    """The slots that a file holds, by the names of their tensors.

    Args:
        names: of the tensors in the file.
        read: gives one of them, of a shape.

    Raises:
        ValueError: a weight has some of the optimizer's slots but not all.
    """
    found: dict[str, np.ndarray] = {}
    for path, weight in tree.weights.items():
        own = [f"{PREFIX}{path}/{slot}" for slot in optimizer._slot_names()]
        if any(name in names for name in own):
            found.update((name, read(name, weight.shape)) for name in own)
    return found


def assign_slots(optimizer: Optimizer, tree: Tree, values: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
    """Take over what `read_slots` and `settings_of` gave."""
    slots = optimizer._slot_names()
    trained = [w for path, w in tree.weights.items() if slots and f"{PREFIX}{path}/{slots[0]}" in values]
    if trained and not all(weight in optimizer._layout for weight in trained):
        optimizer.build(trained)
    for weight in trained:
        for slot in slots:
            optimizer.slot(slot, weight)[...] = values[f"{PREFIX}{tree.paths[weight]}/{slot}"]
    optimizer.clock.step = settings["iterations"]
    if "learning_rate" in settings and optimizer._schedule is None:
        optimizer._rates[:] = settings["learning_rate"]


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """What training changes beside the slots: steps done, and the learning rate where it is a number."""
    rate = {} if optimizer._schedule is not None else {"learning_rate": float(optimizer._rates[0])}
    return {"iterations": int(optimizer.clock.step), **rate}


def check_settings(settings: Any) -> dict[str, Any]:
    """`settings` from a file.

    Raises:
        ValueError: they are not those that `settings_of` gives.
    """
    step = settings.get("iterations") if isinstance(settings, dict) else None
    if type(step) is not int or not 0 <= step < 2**62:
        raise ValueError(f"expected the number of steps done. Found: {step!r:.100}")
    rate = settings.get("learning_rate", 0.0)
    if type(rate) not in (int, float):
        raise ValueError(f"expected a learning rate. Found: {rate!r:.100}")
    return dict(settings)
