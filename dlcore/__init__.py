"""dlcore: training and serving convolutional networks on CPUs, with the API of Keras."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dlcore import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from dlcore._version import __version__
from dlcore.config import get_num_threads, set_num_threads, show_config, threads
from dlcore.layers import Input
from dlcore.models import Model, Sequential

if TYPE_CHECKING:
    from dlcore import datasets


def __getattr__(name: str) -> Any:
    """`dlcore.datasets` is imported when it is used: a service that only predicts does not pay for it."""
    if name == "datasets":
        return import_module("dlcore.datasets")
    raise AttributeError(f"module 'dlcore' has no attribute {name!r}")


__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "constraints",
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
    "regularizers",
    "saving",
    "set_num_threads",
    "show_config",
    "threads",
    "utils",
]
