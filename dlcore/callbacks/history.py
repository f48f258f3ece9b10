"""History: what `fit` returns."""

from __future__ import annotations

from typing import Any

from dlcore import _extras
from dlcore.callbacks.base import Callback


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

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "model"}

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
