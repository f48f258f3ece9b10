"""Layers, by the names of Keras."""

from dlcore.layers.activations import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from dlcore.layers.base import Layer
from dlcore.layers.conv import Conv2D
from dlcore.layers.dense import Dense
from dlcore.layers.merging import (
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    maximum,
    minimum,
    multiply,
    subtract,
)
from dlcore.layers.pooling import AveragePooling2D, AvgPool2D, MaxPool2D, MaxPooling2D
from dlcore.layers.preprocessing import Rescaling
from dlcore.layers.random import Dropout
from dlcore.layers.shape import Flatten, Input, InputLayer

Convolution2D = Conv2D

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
    "Subtract",
    "add",
    "average",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
