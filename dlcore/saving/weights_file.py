"""Weights alone in a file."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from dlcore._arguments import outside
from dlcore.models.model import Model
from dlcore.saving.file import Contents, check_filepath, read_file, write_file
from dlcore.saving.tree import Tree

SUFFIX = ".weights.safetensors"


def save_weights(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the weights to one safetensors file, by their paths. All of it or nothing.

    https://keras.io/api/models/model_saving_apis/weights_saving_and_loading/

    Raises:
        ValueError: the name does not end in ".weights.safetensors", or the model is not built.
        OSError: the file cannot be written, or is there and may not be overwritten.
    """
    path = check_filepath(filepath, SUFFIX)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path}: the file exists, and overwrite is False")
    tree = _built(model)
    with model._lock.read():
        tensors = {name: weight.numpy() for name, weight in tree.weights.items()}
    write_file(path, tensors, {"kind": "weights"})


def load_weights(model: Model, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Take the weights in a file, of `save_weights` or `save_model`: all of them or, if something does not fit, none.

    https://keras.io/api/models/model_saving_apis/weights_saving_and_loading/

    Args:
        skip_mismatch: leave a layer as it is, with a warning, where the file has other shapes or nothing for it.

    Raises:
        ModelFileError: the file is damaged, or does not fit.
        ValueError: the model is not built.
        FileNotFoundError, OSError: it is not there, or cannot be read.
    """
    if not os.fsdecode(filepath).endswith(".safetensors"):
        check_filepath(filepath, SUFFIX)

    def read(contents: Contents) -> dict[Any, np.ndarray]:
        whole = contents.description.get("model") is not None
        weights = (Tree(model) if whole else tree).weights
        if not skip_mismatch:
            values = {weight: contents.read(path, weight.shape) for path, weight in weights.items()}
            if contents.left and not whole:
                raise ValueError(f"the model has no weights {sorted(contents.left)[:5]}")
            return values
        bad = {path.rpartition("/")[0] for path, weight in weights.items() if not contents.fits(path, weight.shape)}
        if bad:
            warnings.warn(
                f"{model.name}: these layers stay as they are, the file does not fit them: {sorted(bad)}",
                stacklevel=outside(),
            )
        good = {path: weight for path, weight in weights.items() if path.rpartition("/")[0] not in bad}
        return {weight: contents.read(path, weight.shape) for path, weight in good.items()}

    tree = _built(model)
    values = read_file(filepath, read, "file of weights for this model", foreign=True)
    with model._lock.write():
        for weight, value in values.items():
            weight.assign(value)


def _built(model: Model) -> Tree:
    if not model.built:
        raise ValueError(f"{model.name}: the model has no weights yet. Give it an input shape, or call build or fit")
    return Tree(model, numbered=True)
