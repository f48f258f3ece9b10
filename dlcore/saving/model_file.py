"""The model file: safetensors, with the description of the model in its metadata."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

from dlcore import _objects, losses, metrics, optimizers
from dlcore._arguments import outside
from dlcore.layers.checks import sample_shape
from dlcore.models.model import Model
from dlcore.saving import slots
from dlcore.saving.file import Contents, check_filepath, check_streams, plain, read_file, streams_of, write_file
from dlcore.saving.layers import is_own, layer_class, serialize_layer, weights_from
from dlcore.saving.tree import Tree


def save_model(
    model: Model, filepath: str | os.PathLike[str], overwrite: bool = True, include_optimizer: bool = True
) -> None:
    """Write architecture, weights, what `compile` was given, and how far training is (the optimizer's slots, its steps,
    the random numbers of layers) to one safetensors file. All of it or nothing: the old file stays until the new one is
    complete on the disk.

    https://keras.io/api/models/model_saving_apis/model_saving_and_loading/

    Layers, losses, metrics, activations, ... of your own are written by their names, and `load_model` needs to be told
    what these mean. A loss, metric or optimizer without a name, such as a lambda, makes a model that is saved as not
    compiled, with a warning.

    Args:
        model: built.
        filepath: ends in ".safetensors".
        overwrite: whether a file that is there is replaced.
        include_optimizer: whether the optimizer's slots are written, which often are twice as large as the weights.

    Raises:
        ValueError: another ending, a model that is not built, or a layer, activation or initializer without a name.
        OSError: the file cannot be written; FileExistsError, it is there and `overwrite` is False.
    """
    path = check_filepath(filepath)
    if not isinstance(model, Model):
        raise ValueError(f"filepath={path!r}: only a model can be saved. Received: {type(model).__name__}")
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path}: the file exists, and overwrite is False")
    if not model.built:
        raise ValueError(
            f"{model.name}: the model has no weights yet. Give it an input shape, or call build or fit, "
            "before saving it"
        )
    described = serialize_layer(model)
    tree = Tree(model)
    description: dict[str, Any] = {"class_name": described["class_name"], "model": described["config"]}
    if is_own(model):
        description["input_shape"] = _own_shape(model)
    with model._lock.read():  # another thread may be training
        tensors = {name: weight.numpy() for name, weight in tree.weights.items()}
        description["streams"] = streams_of(tree)
        description["compile"] = _compile_config(model)
        if description["compile"] is not None and include_optimizer and model.optimizer is not None:
            of_slots = slots.slot_tensors(model.optimizer, tree)
            if taken := of_slots.keys() & tensors.keys():
                raise ValueError(f"{model.name}: two weights would be called {min(taken)!r} in the file")
            tensors.update(of_slots)
            description["training"] = slots.settings_of(model.optimizer)
            description["undecayed"] = [
                path for path, weight in tree.weights.items() if weight in model.optimizer._undecayed
            ]
    write_file(path, tensors, description)


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in a file, built, and compiled if it was saved so: it predicts the same bits, and goes on training with
    the same bits.

    https://keras.io/api/models/model_saving_apis/model_saving_and_loading/

    Nothing in the file is executed, and no more memory is used than the file's size asks for.

    Args:
        filepath: a file written by `save_model`.
        custom_objects: your own classes and functions, by the names that the file gives them.
        compile: whether to compile the model, if it was.
        safe_mode: accepted for Keras' sake: all loading is safe.

    Raises:
        ModelFileError: the file is damaged, no dlcore model of a version that this one reads, or names something
            that is neither dlcore's nor in custom_objects.
        FileNotFoundError, OSError: it is not there, or cannot be read.
    """
    with _objects.custom_object_scope(custom_objects):
        return read_file(filepath, lambda contents: _read(contents, compile))


def _read(contents: Contents, compiled: bool) -> Model:
    description = contents.description
    cls: Any = layer_class(description.get("class_name", "Sequential"))
    if not issubclass(cls, Model):
        raise ValueError(f"expected a model. Found: {cls.__name__}")
    with weights_from(contents.read):
        model: Model = cls.from_config(description["model"])
        if not model.built and description.get("input_shape") is not None:
            model.build(_shapes(description["input_shape"]))
        if not model.built:
            raise ValueError("the model has no input shape")
        for spec in model.specs:
            sample_shape(spec.shape, model.name, "build_input_shape")
        tree = Tree(model)
        for path, weight in tree.weights.items():
            if path in contents.left:  # of layers within those of the user, which initialised them
                weight.assign(contents.read(path, weight.shape))
        if description["version"] > 1:
            for path, stream in check_streams(description["streams"], tree).items():
                tree.streams[path]._stream = stream
            model._forget()
        resumed = "training" in description
        if other := [name for name in contents.left if not (resumed and name.startswith(slots.PREFIX))]:
            raise ValueError(f"the model has no weights {sorted(other)[:5]}")
        of_compile = description["compile"]
        if of_compile is not None and compiled:
            model.compile(**_compile_arguments(of_compile))
            if resumed:
                _resume(model, tree, contents)
    return model


def _resume(model: Model, tree: Tree, contents: Contents) -> None:
    """Let the optimizer be where it was."""
    settings = slots.check_settings(contents.description["training"])
    optimizer = model._compiled()[0]
    undecayed = contents.description["undecayed"]
    if not isinstance(undecayed, list) or not all(path in tree.weights for path in undecayed):
        raise ValueError(f"expected names of weights without decay. Found: {undecayed!r:.200}")
    optimizer._undecayed = {tree.weights[path] for path in undecayed}
    values = slots.read_slots(optimizer, tree, contents.names, contents.read)
    slots.assign_slots(optimizer, tree, values, settings)
    if contents.left:
        raise ValueError(f"the optimizer has no slots {sorted(contents.left)[:5]}")


def _own_shape(model: Model) -> Any:
    """What `build` of a model of the user's is called with."""
    specs = model._own_specs
    if specs is None:
        return None
    shapes = [[None, *spec.shape] for spec in specs]
    if isinstance(model._input_keys, list):
        return dict(zip(model._input_keys, shapes, strict=True))
    return shapes if model._input_keys else shapes[0]


def _shapes(given: Any) -> Any:
    if isinstance(given, dict):
        return {key: _shapes(shape) for key, shape in given.items()}
    return [_shapes(shape) for shape in given] if isinstance(given[0], list) else tuple(given)


def _compile_config(model: Model) -> dict[str, Any] | None:
    """The arguments of `compile`, None where it was not called or something has no name."""
    objective = model._objective
    if model.optimizer is None or objective is None:
        return None
    try:
        optimizer = optimizers.serialize(model.optimizer)
        found = {
            "optimizer": optimizer,
            "loss": _each(losses.serialize, objective.loss),
            "loss_weights": objective.loss_weights,
            "metrics": _each(metrics.serialize, _listed(objective.metrics)),
            "weighted_metrics": _each(metrics.serialize, _listed(objective.weighted_metrics)),
        }
        json.dumps(found, default=plain)
        return found
    except (ValueError, TypeError) as error:
        warnings.warn(
            f"{model.name} is saved as not compiled; call compile after loading it: {error}", stacklevel=outside()
        )
        return None


def _compile_arguments(found: dict[str, Any]) -> dict[str, Any]:
    """What `compile` is called with, of a description of version 1 or 2."""
    return {
        "optimizer": optimizers.get(found["optimizer"]), "loss": found["loss"],
        "loss_weights": found.get("loss_weights"), "metrics": _known(found["metrics"]),
        "weighted_metrics": _known(found.get("weighted_metrics")),
    }  # fmt: skip


def _known(given: Any) -> Any:
    """Metrics of the user's by themselves: their names mean nothing later."""
    if isinstance(given, dict):
        return metrics.deserialize(given) if "class_name" in given else {k: _known(v) for k, v in given.items()}
    if isinstance(given, list):
        return [_known(value) for value in given]
    own = _objects.find(given, metrics.Metric)
    return given if own is None or given in metrics.NAMES else own


def _each(function: Any, given: Any) -> Any:
    if isinstance(given, dict) and "class_name" not in given:
        return {key: _each(function, value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [_each(function, value) for value in given]
    return None if given is None else given if isinstance(given, dict) else function(given)


def _listed(given: Any) -> Any:
    """Metrics in lists: one alone would be taken for a dict by outputs."""
    if isinstance(given, dict) and "class_name" not in given:
        return {key: _listed(value) for key, value in given.items()}
    return given if given is None or isinstance(given, (list, tuple)) else [given]
