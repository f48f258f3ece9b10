"""Watching one of the logs: what is better, and EarlyStopping."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from dlcore.callbacks.base import Callback

UP = ("acc", "accuracy", "precision", "recall", "auc", "f1_score", "fbeta_score", "r2_score", "iou", "io_u",
      "cosine_similarity", "sensitivity_at_specificity", "specificity_at_sensitivity", "precision_at_recall",
      "recall_at_precision", "true_positives", "true_negatives")  # fmt: skip
DOWN = ("loss", "error", "crossentropy", "mse", "mae", "rmse", "mape", "msle", "hinge", "divergence", "poisson", "cosh",
        "logcosh", "false_positives", "false_negatives")  # fmt: skip


class Monitor(Callback):
    """Base of callbacks that watch one entry of the logs.

    Args:
        monitor: its name.
        mode: "min", "max", or "auto": the metric's own direction, or what its name says.
        best: what has to be beaten first; None takes the first number.
        min_delta: how much better is better.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", best: float | None = None, min_delta: float = 0.0
    ):
        name = type(self).__name__
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{name}: mode must be 'auto', 'min' or 'max'. Received: mode={mode!r}")
        self.monitor, self.mode = monitor, mode
        self.best = best
        self.min_delta = abs(number(min_delta, "min_delta", name))
        self._sign: int | None = None  # 1 where more is better

    def watched(self, logs: Mapping[str, Any] | None) -> float | None:
        """The entry; None, with a warning, where there is none."""
        logs = logs or {}
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"{type(self).__name__}: expected monitor to be one of {sorted(logs)}. "
                f"Received: monitor={self.monitor!r}",
                stacklevel=3,
            )
            return None
        return float(current)

    def better(self, current: float, best: float | None) -> bool:
        """Whether `current` beats `best` by min_delta. NaN never does; any other number beats None.

        Raises:
            ValueError: mode is "auto", and nothing tells the direction of the metric.
        """
        if self._sign is None:
            self._sign = {"min": -1, "max": 1}.get(self.mode) or self._direction()
        if math.isnan(current):
            return False
        return best is None or self._sign * (current - best) > self.min_delta

    def _direction(self) -> int:
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", None) or ():
            way = getattr(metric, "_direction", None)
            if getattr(metric, "name", None) == name and way in ("up", "down"):
                return 1 if way == "up" else -1
        plain = name.rstrip("0123456789").rstrip("_").lower()
        for sign, words in ((-1, DOWN), (1, UP)):
            if any(plain == word or plain.endswith(f"_{word}") for word in words):
                return sign
        raise ValueError(
            f"{type(self).__name__}: cannot tell whether more or less of {self.monitor!r} is better. "
            "Pass mode='max' or mode='min'"
        )


class EarlyStopping(Monitor):
    """Ends training when a log has stopped getting better.

    With `restore_best_weights`, the model has the weights of its best epoch whatever ended training: patience, the last
    epoch, another callback, an exception or Ctrl-C. In Keras only the first three do that. NaN is never best.

    https://keras.io/api/callbacks/early_stopping/

    Args:
        monitor: default "val_loss".
        min_delta: how much better is better.
        patience: epochs without getting better after which training ends.
        verbose: 1 says what is done.
        mode: "min", "max" or "auto".
        baseline: number that must be beaten too for the waiting to start anew.
        restore_best_weights: default False.
        start_from_epoch: epochs that do not count.

    Raises:
        ValueError: mode, or mode "auto" and the direction of the metric is unknown.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = int(number(patience, "patience", "EarlyStopping"))
        self.verbose, self.baseline = verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        current = self.watched(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping", flush=True)
        self._restore()

    def on_train_closed(self) -> None:
        self._restore()

    def _restore(self) -> None:
        """Once: whoever trains on by hand after `fit` keeps what that brings."""
        if self.best_weights is None:
            return
        if self.verbose > 0:
            print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.", flush=True)
        weights, self.best_weights = self.best_weights, None
        self.model.set_weights(weights)


def number(value: Any, argument: str, name: str) -> float:
    """`value` as a float.

    Raises:
        ValueError: no number.
    """
    try:
        if isinstance(value, (bool, str)) or math.isnan(value):
            raise TypeError
        return float(value)
    except TypeError:
        raise ValueError(f"{name}: {argument} must be a number. Received: {argument}={value!r}") from None
