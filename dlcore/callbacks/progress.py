"""Showing how training goes."""

from __future__ import annotations

import sys
import time
from typing import Any

from dlcore.callbacks.base import Callback


class ProgbarLogger(Callback):
    """Shows training: a tqdm bar with loss, metrics and time left, or one line per epoch.

    Args:
        bar: True for the bar, False for the lines.
    """

    def __init__(self, bar: bool = True):
        self.as_bar = bar
        self.bar: Any = None
        self.start = time.perf_counter()
        self.title = ""

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

    def on_train_closed(self) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


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
