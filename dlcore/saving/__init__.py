"""Models in files: `save_model`, `load_model`; weights alone; checkpoints of a training.

Each is one safetensors file (https://huggingface.co/docs/safetensors). Each weight is a float32 tensor called by its
path, "conv2d/kernel" or, in a model inside the model, "encoder/conv2d/kernel"; the optimizer's slots are
"optimizer:conv2d/kernel/momentum". The metadata entry "dlcore" is JSON: the format's version, the layers, how the model
was compiled, and how far training is. Loading chooses among the layers of `dlcore.layers` and what the program itself
gives names to (`custom_objects`, `register_keras_serializable`); nothing in a file is imported or executed.
"""

from dlcore._objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from dlcore.saving.checkpoint_file import load_checkpoint, save_checkpoint
from dlcore.saving.file import ModelFileError, check_filepath
from dlcore.saving.layers import deserialize_layer, serialize_layer
from dlcore.saving.model_file import load_model, save_model
from dlcore.saving.objects import deserialize_keras_object, serialize_keras_object
from dlcore.saving.weights_file import load_weights, save_weights

__all__ = [
    "CustomObjectScope",
    "ModelFileError",
    "check_filepath",
    "custom_object_scope",
    "deserialize_keras_object",
    "deserialize_layer",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_checkpoint",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_checkpoint",
    "save_model",
    "save_weights",
    "serialize_keras_object",
    "serialize_layer",
]
