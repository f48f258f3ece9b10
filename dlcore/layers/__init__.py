"""Layers, by the names of Keras."""

from dlcore.layers.activations import Activation, ReLU, Softmax
from dlcore.layers.base import Layer
from dlcore.layers.concatenate import Concatenate, concatenate
from dlcore.layers.conv import Conv2D
from dlcore.layers.dense import Dense
from dlcore.layers.embedding import Embedding
from dlcore.layers.pooling import AveragePooling2D, AvgPool2D, MaxPool2D, MaxPooling2D
from dlcore.layers.preprocessing import Rescaling
from dlcore.layers.random import Dropout
from dlcore.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from dlcore.layers.resizing import CenterCrop, Resizing
from dlcore.layers.shape import Flatten, Input, InputLayer

Convolution2D = Conv2D

__all__ = [
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "CenterCrop",
    "Concatenate",
    "Conv2D",
    "Convolution2D",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPool2D",
    "MaxPooling2D",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "Softmax",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "concatenate",
]
