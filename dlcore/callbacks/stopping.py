"""Callbacks that end training at a loss, or where there is none."""

from __future__ import annotations

import math
from typing import Any

from dlcore._arguments import is_number
from dlcore.callbacks.base import Callback


class StopAtLoss(Callback):
    """Ends training after the first epoch whose loss is at most `threshold`.

    Args:
        threshold: number.
        monitor: the log to watch, default "loss".

    Raises:
        ValueError: training has no such log.
    """

    def __init__(self, threshold: float, monitor: str = "loss"):
        if not is_number(threshold) or threshold != threshold:
            raise ValueError(f"StopAtLoss: threshold must be a number. Received: threshold={threshold!r}")
        self.threshold, self.monitor = float(threshold), monitor

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"StopAtLoss: expected monitor to be one of {sorted(logs or {})}. Received: monitor={self.monitor!r}"
            )
        if logs is not None and logs[self.monitor] <= self.threshold:
            self.model.stop_training = True


class TerminateOnNaN(Callback):
    """Ends training after the first batch whose loss, the mean of the epoch so far, is NaN or infinite.

    https://keras.io/api/callbacks/terminate_on_nan/

    Args:
        raise_error: True raises RuntimeError instead, so that `on_train_end` is not called: a backup stays.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = bool(raise_error)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"TerminateOnNaN: the loss of batch {batch} is {loss}")
        print(f"Batch {batch}: Invalid loss, terminating training", flush=True)
        self.model.stop_training = True
