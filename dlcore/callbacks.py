"""Callbacks: what happens between the steps of training.

https://keras.io/api/callbacks/base_callback/
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlcore import _extras

if TYPE_CHECKING:
    from dlcore.models.model import Model


class Callback:
    """Base: override what you need. A callback without batch methods costs nothing per batch: many steps then run
    without coming back to Python.

    Attributes:
        model: the model in training.
        params: {"epochs", "steps", "samples", "verbose"}.
    """

    model: Model
    params: dict[str, Any]

    def set_model(self, model: Model) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None: ...

    def on_train_end(self, logs: dict[str, float] | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None: ...


class History(Callback):
    """Logs of every epoch; `fit` returns it.

    Attributes:
        history: {"loss": [...], "accuracy": [...], "val_loss": [...], ...}, Python floats.
        epoch: numbers of the epochs.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._measured: dict[str, list[int]] = {}  # epochs of each list: validation may skip some

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._measured.setdefault(name, []).append(epoch)

    def plot(self, filepath: Any = None) -> Any:
        """Draw the curves, one panel a measure, training beside validation (extra `plot`).

        Args:
            filepath: where to save the picture; its ending says the format. None only returns the figure.

        Returns: a matplotlib Figure.

        Raises:
            ImportError: matplotlib is missing.
        """
        _extras.require("matplotlib", "plot")
        from matplotlib.figure import Figure

        names = [name for name in self.history if not name.startswith("val_")]
        figure = Figure(figsize=(4.5 * max(len(names), 1), 3.5), layout="constrained")
        for axes, name in zip(figure.subplots(1, max(len(names), 1), squeeze=False)[0], names, strict=False):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self.history:
                    axes.plot([epoch + 1 for epoch in self._measured[key]], self.history[key], marker="o", label=label)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
        if filepath is not None:
            figure.savefig(filepath, dpi=150)
        return figure


class StopAtLoss(Callback):
    """Ends training after the first epoch whose loss is at most `threshold`.

    Args:
        threshold: number.
        monitor: the log to watch, default "loss".

    Raises:
        ValueError: training has no such log.
    """

    def __init__(self, threshold: float, monitor: str = "loss"):
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or threshold != threshold:
            raise ValueError(f"StopAtLoss: threshold must be a number. Received: threshold={threshold!r}")
        self.threshold, self.monitor = float(threshold), monitor

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"StopAtLoss: expected monitor to be one of {sorted(logs or {})}. Received: monitor={self.monitor!r}"
            )
        if logs is not None and logs[self.monitor] <= self.threshold:
            self.model.stop_training = True


class ProgbarLogger(Callback):
    """Shows training: a tqdm bar with loss, metrics and time left, or one line per epoch.

    Args:
        bar: True for the bar, False for the lines.
    """

    def __init__(self, bar: bool = True):
        self.as_bar = bar
        self.bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.start = time.perf_counter()
        self.title = f"Epoch {epoch + 1}/{self.params['epochs']}"
        if self.as_bar:
            if "ipykernel" in sys.modules:
                from tqdm.auto import tqdm
            else:  # half the time to import: auto brings asyncio
                from tqdm import tqdm

            self.bar = tqdm(
                total=self.params["steps"], desc=self.title, unit="step", file=sys.stdout, dynamic_ncols=True
            )

    def on_progress(self, steps: int, logs: dict[str, float]) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(values(logs), refresh=False)
            self.bar.update(steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(values(logs or {}))
            self.close()
        else:
            print(line(self.title, time.perf_counter() - self.start, logs or {}), flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class CallbackList:
    """The callbacks of one `fit`: the user's, the History and, unless silent, the progress.

    Raises:
        TypeError: something that is not a Callback.
    """

    def __init__(self, given: Any, model: Model, verbose: Any, params: dict[str, Any]):
        verbose = resolve_verbose(verbose)
        chosen = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
        for callback in chosen:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected Callback objects. Received: {callback!r}")
        self.history = next((c for c in chosen if isinstance(c, History)), None) or History()
        self.progress = next((c for c in chosen if isinstance(c, ProgbarLogger)), None)
        if self.progress is None and verbose:
            self.progress = ProgbarLogger(bar=verbose == 1)
        own = [c for c in (self.history, self.progress) if c is not None and c not in chosen]
        self.callbacks: list[Callback] = [*chosen, *own]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params({**params, "verbose": verbose})
        self.wants_batches = any(
            getattr(type(callback), name) is not getattr(Callback, name)
            for callback in self.callbacks
            for name in ("on_train_batch_begin", "on_train_batch_end")
        )

    def on_train_begin(self) -> None:
        for callback in self.callbacks:
            callback.on_train_begin({})

    def on_train_end(self, logs: dict[str, float]) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, {})

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, {})

    def on_progress(self, done: int, steps: int, logs: dict[str, float]) -> None:
        """After a call of `steps` steps, `done` in this epoch."""
        if self.wants_batches:
            for callback in self.callbacks:
                callback.on_train_batch_end(done - 1, logs)
        if self.progress is not None:
            self.progress.on_progress(steps, logs)

    def close(self) -> None:
        if self.progress is not None:
            self.progress.close()


def resolve_verbose(verbose: Any) -> int:
    """0, 1 or 2. "auto" is 1 on a terminal and in a notebook, else 2.

    Raises:
        ValueError: something else.
    """
    if verbose == "auto":
        return 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto'. Received: verbose={verbose!r}")
    return int(verbose)


def values(logs: dict[str, float]) -> str:
    """Logs as a bar shows them."""
    return ", ".join(f"{name}={value:.4f}" for name, value in logs.items())


def line(title: str, seconds: float, logs: dict[str, float]) -> str:
    """What one line of a log says."""
    return " - ".join([title, f"{seconds:.2f}s", *(f"{name}: {value:.4f}" for name, value in logs.items())])


__all__: Sequence[str] = ["Callback", "CallbackList", "History", "ProgbarLogger", "StopAtLoss"]
