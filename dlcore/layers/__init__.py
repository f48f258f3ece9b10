"""Layers, by the names of Keras."""

from dlcore.layers.activations import Activation, ReLU, Softmax
from dlcore.layers.base import Layer
from dlcore.layers.conv import Conv2D
from dlcore.layers.dense import Dense
from dlcore.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from dlcore.layers.pooling import AveragePooling2D, AvgPool2D, MaxPool2D, MaxPooling2D
from dlcore.layers.preprocessing import Normalization, Rescaling
from dlcore.layers.random import Dropout
from dlcore.layers.shape import Flatten, Input, InputLayer

Convolution2D = Conv2D

__all__ = [
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GroupNormalization",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "MaxPool2D",
    "MaxPooling2D",
    "Normalization",
    "RMSNormalization",
    "ReLU",
    "Rescaling",
    "Softmax",
    "UnitNormalization",
]
