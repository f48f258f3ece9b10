"""dlcore: training and serving convolutional networks on CPUs, with the API of Keras."""

from dlcore import (
    activations,
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    preprocessing,
    saving,
    utils,
)
from dlcore._version import __version__
from dlcore.config import get_num_threads, set_num_threads, show_config, threads
from dlcore.layers import Input
from dlcore.models import Model, Sequential

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "datasets",
    "get_num_threads",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "saving",
    "set_num_threads",
    "show_config",
    "threads",
    "utils",
]
