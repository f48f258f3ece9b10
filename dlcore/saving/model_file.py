"""The model file: safetensors, with the description of the model in its metadata."""

from __future__ import annotations

import json
import os
import stat
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcore import losses, metrics, optimizers
from dlcore.layers.base import sample_shape
from dlcore.models.sequential import Sequential
from dlcore.saving.atomic import write_atomically
from dlcore.saving.layers import named_weights, weights_from

if TYPE_CHECKING:
    from dlcore.models.model import Model

SUFFIX = ".safetensors"
KEY = "dlcore"  # of the one metadata entry: several would be written in random order
VERSION = 1
FORMAT = f"safetensors, dlcore version {VERSION}"
MAX_HEADER = 8 << 20  # bytes; that of 1000 layers has about one million


class ModelFileError(ValueError):
    """A file is not a dlcore model, is damaged, or was written by a newer version. The message names the file."""


def check_filepath(filepath: str | os.PathLike[str]) -> str:
    """`filepath` as text.

    Raises:
        ValueError: it does not end in .safetensors.
        TypeError: not a path.
    """
    path = os.fsdecode(filepath)
    if not path.endswith(SUFFIX):
        raise ValueError(
            f"filepath: dlcore writes models as safetensors, so the name must end in {SUFFIX!r}. "
            f"Received: filepath={path!r}"
        )
    return path


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write architecture, weights and what `compile` was given to one safetensors file. All of it or nothing: the old
    file stays until the new one is complete on the disk.

    A loss or metric of your own has no name in a file: the model is then saved as not compiled, with a warning.
    The optimizer's moments are not saved.

    Args:
        model: a built Sequential.
        filepath: ends in ".safetensors".

    Raises:
        ValueError: another ending, a model without input shape, or a layer, activation or initializer of your own.
        OSError: the file cannot be written.
    """
    path = check_filepath(filepath)
    if not isinstance(model, Sequential):
        raise ValueError(f"{model.name}: only a Sequential can be saved. Received: {type(model).__name__}")
    if not model.built:
        raise ValueError(
            f"{model.name}: the model has no weights yet. Give it an input shape, or call build or fit, "
            "before saving it"
        )
    from safetensors.numpy import save

    weights = named_weights(model)
    with model._lock.read():  # another thread may be training
        tensors = {name: weight.numpy() for name, weight in weights.items()}
    description = {"version": VERSION, "model": model.get_config(), "compile": _compile_config(model)}
    data = save(tensors, {KEY: json.dumps(description, default=_plain)})
    write_atomically(path, data)


def load_model(filepath: str | os.PathLike[str]) -> Sequential:
    """The model in a file, built, and compiled if it was saved so: it predicts the same bits.

    Nothing in the file is executed, and no more memory is used than the file's size asks for.

    Args:
        filepath: a file written by `save_model`.

    Raises:
        ModelFileError: the file is damaged, or no dlcore model of a version that this one reads.
        FileNotFoundError, OSError: it is not there, or cannot be read.
    """
    from safetensors import safe_open

    path = os.fsdecode(filepath)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ModelFileError(f"{path}: expected a file, found a folder or a device")
    with open(path, "rb") as raw:  # says in the usual way why a file cannot be opened
        header = int.from_bytes(raw.read(8), "little")
    if header > MAX_HEADER:
        raise ModelFileError(f"{path}: not a dlcore model: its header would have {header} bytes")
    try:
        with safe_open(path, framework="np") as file:
            return _read(file)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a layer makes of arguments that no user gave
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{path}: not a dlcore model, or damaged: {what}") from error


def _read(file: Any) -> Sequential:
    description = _description(file.metadata() or {})
    left = set(file.keys())

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in left:
            raise ValueError(f"no weight {name!r} is left in the file")
        part = file.get_slice(name)
        if part.get_dtype() != "F32" or tuple(part.get_shape()) != shape:
            raise ValueError(
                f"{name}: expected F32 of shape {shape}. Found: {part.get_dtype()} of shape {tuple(part.get_shape())}"
            )
        left.remove(name)
        value: np.ndarray = file.get_tensor(name)
        return value

    with weights_from(read):
        model = Sequential.from_config(description["model"])
    if not model.built:
        raise ValueError("the model has no input shape")
    sample_shape(model.sample_shape, model.name, "build_input_shape")
    if left:
        raise ValueError(f"the model has no weights {sorted(left)[:5]}")
    compiled = description["compile"]
    if compiled is not None:
        model.compile(optimizers.get(compiled["optimizer"]), losses.get(compiled["loss"]), metrics=compiled["metrics"])
    return model


def _description(metadata: dict[str, str]) -> dict[str, Any]:
    if KEY not in metadata:
        raise ValueError(f"a safetensors file without the entry {KEY!r} in its metadata, so another program's")
    description = json.loads(metadata[KEY], object_pairs_hook=_object)
    if not isinstance(description, dict) or type(description.get("version")) is not int:
        raise ValueError(f"expected a JSON object with a version in the metadata. Found: {metadata[KEY]:.100}")
    if description["version"] != VERSION:
        raise ValueError(f"its format has version {description['version']}; this dlcore reads version {VERSION}")
    return description


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. A key given twice would mean one thing to this reader and another to the next."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a JSON object gives a key twice: {[key for key, _ in pairs]!r:.200}")
    return found


def _compile_config(model: Model) -> dict[str, Any] | None:
    if model.optimizer is None or model.loss is None:
        return None
    try:
        optimizer = optimizers.serialize(model.optimizer)
        if type(optimizers.get(optimizer)) is not type(model.optimizer):
            raise ValueError(f"optimizer: {type(model.optimizer).__name__} is not dlcore's")
        return {
            "optimizer": optimizer,
            "loss": losses.serialize(model.loss),
            "metrics": [metrics.serialize(metric) for metric in model._metrics],
        }
    except ValueError as error:
        warnings.warn(f"{model.name} is saved as not compiled; call compile after loading it: {error}", stacklevel=4)
        return None


def _plain(value: Any) -> Any:
    """NumPy's numbers, as Python's."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise ValueError(f"{value!r} cannot be written to a file: it is no number and no text")
