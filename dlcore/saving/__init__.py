"""Models in files: `save_model`, `load_model`.

A model is one safetensors file (https://huggingface.co/docs/safetensors). Each weight is a float32 tensor called by its
path, "conv2d/kernel" or, in a model inside the model, "encoder/conv2d/kernel". The metadata entry "dlcore" is JSON: the
format's version, the layers, and how the model was compiled. Loading chooses among the layers of `dlcore.layers` by
name; nothing in a file is imported or executed.
"""

from dlcore.saving.layers import deserialize_layer
from dlcore.saving.model_file import ModelFileError, check_filepath, load_model, save_model

__all__ = ["ModelFileError", "check_filepath", "deserialize_layer", "load_model", "save_model"]
