"""Models from descriptions: copies with new weights, and models from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dlcore import _objects
from dlcore.layers.base import Layer
from dlcore.layers.shape import Input, InputLayer
from dlcore.layers.trace import flat, mapped
from dlcore.models.functional import Functional, OpCall, Ref
from dlcore.models.model import Model
from dlcore.models.sequential import Sequential
from dlcore.ops.base import Tensor

Clone = Callable[[Layer], Layer]


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Clone | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    custom_objects: dict[str, Any] | None = None,
) -> Any:
    """A model of the same layers, made anew, with new weights; not compiled.

    https://keras.io/api/models/model_saving_apis/model_saving_and_loading/

    Args:
        model: a Sequential, `Model(inputs, outputs)`, or a subclass with get_config.
        input_tensors: symbolic tensors to start from, default new inputs.
        clone_function: makes of a layer the one that takes its place; default, one of the same configuration.
        call_function: `function(layer, x, ...)` that calls a new layer, default `layer(x, ...)`.
        recursive: whether the models within the model are cloned layer by layer with clone_function, too.
        custom_objects: what names in configurations of your own mean.

    Raises:
        ValueError: not a model; the other arguments with a subclass.
    """
    if not isinstance(model, Model):
        raise ValueError(f"clone_model: expected a model. Received: {model!r}")
    with _objects.custom_object_scope(custom_objects), _objects.kept():
        return _cloned(model, input_tensors, clone_function, call_function or _call, recursive)


def _cloned(model: Model, tensors: Any, function: Clone | None, call: Any, recursive: bool) -> Model:
    def clone(layer: Layer) -> Layer:
        if isinstance(layer, (Sequential, Functional)) and (recursive or function is None):
            return _cloned(layer, None, function, call, recursive)
        made = function(layer) if function is not None else type(layer).from_config(layer.get_config())
        if not isinstance(made, Layer):
            raise ValueError(f"clone_model: clone_function must give a layer. Received: {made!r}")
        return made

    if isinstance(model, Functional):
        return _functional(model, tensors, clone, call)
    if isinstance(model, Sequential):
        return _sequential(model, tensors, clone, call)
    if tensors is not None or function is not None or call is not _call:
        raise ValueError(
            f"{model.name}: input_tensors, clone_function and call_function are for Sequential models and "
            f"Model(inputs, outputs). Received: a {type(model).__name__}"
        )
    made: Model = type(model).from_config(model.get_config())
    return made


def _call(layer: Layer, x: Any, *args: Any, **kwargs: Any) -> Any:
    return layer(x, *args, **kwargs)


def _functional(model: Functional, tensors: Any, clone: Clone, call: Any) -> Functional:
    refs = flat(model._inputs)
    if tensors is None:
        given = model._symbolic_inputs()
    else:
        given = flat(tensors)
        if len(given) != len(refs) or not all(isinstance(tensor, Tensor) for tensor in given):
            raise ValueError(f"{model.name}: input_tensors must be {len(refs)} symbolic tensors. Received: {tensors!r}")
    values = {ref.number: tensor for ref, tensor in zip(refs, given, strict=True)}

    def value(part: Any) -> Any:
        return values[part.number] if isinstance(part, Ref) else part

    made: dict[Layer, Layer] = {}
    for link in model._links:
        layer, (first, args, kwargs) = link.layer, mapped(value, link.arguments, leaf=True)
        if isinstance(layer, OpCall):
            y = layer(first)
        else:
            if layer not in made:
                made[layer] = layer if isinstance(layer, InputLayer) else clone(layer)
            y = call(made[layer], first, *args, **kwargs)
        values.update(zip((ref.number for ref in flat(link.outputs)), flat(y), strict=True))
    inputs, outputs = (mapped(value, part, leaf=True) for part in (model._inputs, model._outputs))
    return Functional(inputs, outputs, name=model.name, trainable=model._trainable)


def _sequential(model: Sequential, tensors: Any, clone: Clone, call: Any) -> Model:
    made = [
        InputLayer.from_config(layer.get_config()) if isinstance(layer, InputLayer) else clone(layer)
        for layer in model._layers
    ]
    if tensors is None and call is _call:
        copy = Sequential(made, trainable=model._trainable, name=model.name)
        if not copy.built and model._sample_shape is not None:
            copy.build((None, *model._sample_shape))
        return copy
    given = flat(tensors) if tensors is not None else [Input(model.sample_shape)]
    if len(given) != 1 or not isinstance(given[0], Tensor):
        raise ValueError(f"{model.name}: input_tensors must be a symbolic tensor. Received: {tensors!r}")
    x = given[0]
    for layer in made:
        if not isinstance(layer, InputLayer):
            x = call(layer, x)
    return Functional(given[0], x, name=model.name, trainable=model._trainable)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """The model that `model.to_json` described, with new weights.

    https://keras.io/api/models/model_saving_apis/model_saving_and_loading/

    Args:
        json_string: of `to_json`.
        custom_objects: your own classes and functions by name.

    Raises:
        ValueError: not such JSON, or an unknown name.
    """
    from dlcore.saving import deserialize_layer

    model = deserialize_layer(json.loads(json_string), custom_objects)
    if not isinstance(model, Model):
        raise ValueError(f"model_from_json: expected a model. Received: {type(model).__name__}")
    return model
