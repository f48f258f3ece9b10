"""What trains, but not as it was meant: mistakes that shapes do not show."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dlcore._arguments import outside
from dlcore.models.objective import Target
from dlcore.ops.activations import Activation
from dlcore.ops.base import Tensor
from dlcore.ops.elementwise import BiasAdd
from dlcore.ops.softmax import Softmax


def check_fit(
    model: str, epochs: int, initial_epoch: int, shuffle: Any, frequency: Any, validation_steps: Any, validates: bool
) -> None:
    """Arguments of `fit` that contradict each other.

    Raises:
        ValueError: no bool, or an epoch that cannot be.
    """
    if not isinstance(shuffle, (bool, np.bool_)) and shuffle not in (0, 1):
        raise ValueError(f"{model}: shuffle must be True or False. Received: shuffle={shuffle!r}")
    if not isinstance(frequency, int):
        for epoch in frequency:
            if isinstance(epoch, bool) or not isinstance(epoch, (int, np.integer)) or epoch < 1:
                raise ValueError(
                    f"{model}: validation_freq must hold numbers of epochs, counted from 1. "
                    f"Received: validation_freq={frequency!r}"
                )
    if initial_epoch > epochs:
        _warn(f"{model}: nothing to train: initial_epoch={initial_epoch} epochs are done, and epochs={epochs} in all "
              "are wanted")  # fmt: skip
    if validation_steps is not None and not validates:
        _warn(f"{model}: validation_steps={validation_steps} without validation_data has no effect")


def check_output(model: str, target: Target, output: Tensor) -> None:
    """Warn where a loss takes an output for what it is not."""
    logits = getattr(target.loss, "from_logits", None)
    end = output.op
    while end is not None and end.alias:
        end = end.inputs[0].op
    found = "softmax" if isinstance(end, Softmax) else end.kind if isinstance(end, Activation) else None
    name = target.loss.name if target.loss is not None else ""
    if found == "softmax" and output.shape[-1] == 1 and target.loss is not None and target.classes != 1:
        _warn(f"{model}: {target.name!r} ends with a softmax of one unit, which is always 1. A sigmoid may be meant")
    if logits and found in ("softmax", "sigmoid"):
        _warn(
            f"{model}: the loss {name!r} has from_logits=True, but {target.name!r} ends with a {found}: it would take "
            "probabilities for logits. Leave one of the two out"
        )
    if logits is False and isinstance(end, BiasAdd):
        wanted = "sigmoid" if "binary" in name else "softmax"
        _warn(
            f"{model}: the loss {name!r} expects probabilities, but {target.name!r} has no activation. "
            f"Give it {wanted!r}, or the loss from_logits=True"
        )


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=outside())
