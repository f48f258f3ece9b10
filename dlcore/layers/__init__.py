"""Layers, by the names of Keras."""

from dlcore.layers.activations import Activation, ReLU, Softmax
from dlcore.layers.augmentation import (
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from dlcore.layers.base import Layer
from dlcore.layers.concatenate import Concatenate, concatenate
from dlcore.layers.conv import Conv2D
from dlcore.layers.dense import Dense
from dlcore.layers.embedding import Embedding
from dlcore.layers.pooling import AveragePooling2D, AvgPool2D, MaxPool2D, MaxPooling2D
from dlcore.layers.preprocessing import Rescaling
from dlcore.layers.random import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
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
    "AlphaDropout",
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
    "GaussianDropout",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPool2D",
    "MaxPooling2D",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "concatenate",
]
