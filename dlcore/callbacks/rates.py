"""Callbacks that change the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from dlcore._arguments import is_number
from dlcore.callbacks.base import Callback, Logs
from dlcore.callbacks.monitor import Monitor, number


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch; the logs get it as "learning_rate".

    https://keras.io/api/callbacks/learning_rate_scheduler/

    Args:
        schedule: function of (epoch, learning rate), or of the epoch alone, that gives a number.
        verbose: 1 says what is done.

    Raises:
        TypeError: `schedule` is no function.
        ValueError: it gives no number.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0):
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule must be a function. Received: schedule={schedule!r}")
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._knows_rate = True
        except TypeError:
            self._knows_rate = False
        except ValueError:  # a function without a signature
            self._knows_rate = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        if optimizer is None or not hasattr(optimizer, "learning_rate"):
            raise ValueError("LearningRateScheduler: the optimizer has no learning_rate")
        rate = self.schedule(epoch, float(optimizer.learning_rate)) if self._knows_rate else self.schedule(epoch)
        if not is_number(rate):
            raise ValueError(
                f"LearningRateScheduler: the output of the schedule function should be a float. Received: {rate!r}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(rate)}.", flush=True)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None and self.model.optimizer is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate with `factor` when a log has stopped getting better; the logs get it as
    "learning_rate".

    https://keras.io/api/callbacks/reduce_lr_on_plateau/

    Args:
        monitor: default "val_loss".
        factor: below 1.
        patience: epochs without getting better after which the rate is reduced.
        verbose: 1 says what is done.
        mode: "min", "max" or "auto".
        min_delta: how much better is better.
        cooldown: epochs after a reduction in which nothing counts.
        min_lr: the rate is not made smaller than this.

    Raises:
        ValueError: factor, mode, or mode "auto" and the direction of the metric is unknown.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.factor = number(factor, "factor", "ReduceLROnPlateau")
        if not 0 <= self.factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1). Received: factor={factor!r}")
        self.patience, self.verbose, self.cooldown, self.min_lr = patience, verbose, cooldown, float(min_lr)
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the rate was reduced only lately."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = None
        self.cooldown_counter = self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        optimizer = self.model.optimizer
        if optimizer is None:
            raise ValueError("ReduceLROnPlateau: the model has no optimizer")
        logs["learning_rate"] = rate = float(optimizer.learning_rate)
        current = self.watched(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = lower = max(rate * self.factor, self.min_lr)
                if self.verbose > 0:
                    print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {lower}.", flush=True)
                self.cooldown_counter = self.cooldown
                self.wait = 0
