"""Operations on symbolic tensors: the vocabulary of layers, and of custom losses, metrics and activations."""

from dlcore.ops.activations import relu, sigmoid, tanh
from dlcore.ops.base import Op, Parameter, Tensor
from dlcore.ops.conv import conv2d
from dlcore.ops.dense import dense
from dlcore.ops.elementwise import add, bias_add, rescale
from dlcore.ops.layer_normalization import group_normalization, layer_normalization
from dlcore.ops.losses import (
    binary_crossentropy,
    binary_crossentropy_logits,
    categorical_crossentropy,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from dlcore.ops.metrics import binary_accuracy, categorical_accuracy, sparse_categorical_accuracy
from dlcore.ops.normalization import batch_normalization, normalize_by
from dlcore.ops.pooling import average_pool2d, max_pool2d
from dlcore.ops.random import dropout
from dlcore.ops.shape import reshape
from dlcore.ops.softmax import softmax, softmax_crossentropy

__all__ = [
    "Op",
    "Parameter",
    "Tensor",
    "add",
    "average_pool2d",
    "batch_normalization",
    "bias_add",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_crossentropy_logits",
    "categorical_accuracy",
    "categorical_crossentropy",
    "conv2d",
    "dense",
    "dropout",
    "group_normalization",
    "layer_normalization",
    "max_pool2d",
    "mean_squared_error",
    "normalize_by",
    "relu",
    "rescale",
    "reshape",
    "sigmoid",
    "softmax",
    "softmax_crossentropy",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "tanh",
]
