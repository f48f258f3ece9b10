"""Checkpoints: all that training needs to go on as if it had never stopped."""

from __future__ import annotations

import os
from typing import Any

from dlcore.models.model import Model
from dlcore.saving import slots
from dlcore.saving.file import Contents, check_filepath, check_streams, read_file, streams_of, write_file
from dlcore.saving.tree import Tree


def save_checkpoint(filepath: str | os.PathLike[str], model: Model, *, epoch: int, batch: int, seed: int) -> None:
    """Write weights, the optimizer's slots, steps and learning rate, the random numbers of layers, and the place in the
    training to one safetensors file. All of it or nothing: whatever happens, the file is the old one or the new one.

    Args:
        filepath: ends in ".safetensors".
        model: built and compiled.
        epoch, batch: how many epochs are done, and batches of the one after them.
        seed: of the order of the samples.

    Raises:
        ValueError: another ending, a model without weights, or a negative number.
        RuntimeError: not compiled.
        OSError: the file cannot be written.
    """
    path = check_filepath(filepath)
    optimizer, tree = model._compiled()[0], _tree(model)
    place = {"epoch": _whole(epoch, "epoch"), "batch": _whole(batch, "batch"), "seed": _whole(seed, "seed")}
    with model._lock.read():
        tensors = {name: weight.numpy() for name, weight in tree.weights.items()}
        tensors.update(slots.slot_tensors(optimizer, tree))
        settings, streams = slots.settings_of(optimizer), streams_of(tree)
    write_file(path, tensors, {"kind": "checkpoint", "place": place, "training": settings, "streams": streams})


def load_checkpoint(filepath: str | os.PathLike[str], model: Model) -> dict[str, int]:
    """Let a model and its optimizer be what they were at `save_checkpoint`; if something does not fit, as they are.

    Args:
        model: built and compiled in the same way.

    Returns: {"epoch": ..., "batch": ..., "seed": ...} as they were saved.

    Raises:
        ModelFileError: the file is damaged, no checkpoint, or of another model or optimizer.
        RuntimeError: not compiled.
        FileNotFoundError, OSError: it is not there, or cannot be read.
    """
    optimizer, tree = model._compiled()[0], _tree(model)

    def read(contents: Contents) -> Any:
        description = contents.description
        if description.get("kind") != "checkpoint":
            raise ValueError("it has no place in a training")
        place = {key: _whole(description["place"][key], key) for key in ("epoch", "batch", "seed")}
        settings = slots.check_settings(description["training"])
        streams = check_streams(description["streams"], tree)
        weights = {weight: contents.read(path, weight.shape) for path, weight in tree.weights.items()}
        values = slots.read_slots(optimizer, tree, contents.names, contents.read)
        if contents.left:
            raise ValueError(f"neither the model nor its optimizer has {sorted(contents.left)[:5]}")
        return place, settings, streams, weights, values

    place, settings, streams, weights, values = read_file(filepath, read, "checkpoint of this model")
    with model._lock.write():
        for weight, value in weights.items():
            weight.assign(value)
        for path, stream in streams.items():
            tree.streams[path]._stream = stream
        slots.assign_slots(optimizer, tree, values, settings)
    for layer in model._deep():
        if isinstance(layer, Model):
            layer._forget()  # what is bound draws the random numbers of before
    return place  # type: ignore[no-any-return]


def _tree(model: Model) -> Tree:
    if not model.built:
        raise ValueError(f"{model.name}: the model has no weights yet. Give it an input shape, or call build")
    return Tree(model, numbered=True)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise ValueError(f"checkpoint: {name} must be a whole number of at least 0. Received: {name}={value!r}")
    return value
