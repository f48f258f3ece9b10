"""CSVLogger: the logs of each epoch as a line of a file."""

from __future__ import annotations

import csv
import os
from typing import Any, TextIO

import numpy as np

from dlcore.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of each epoch to a CSV file: a column "epoch", then the logs by name. What an epoch lacks, such
    as validation, is "NA".

    https://keras.io/api/callbacks/csv_logger/

    Args:
        filename: of the file.
        separator: between the columns.
        append: True goes on with a file that is there, in its columns.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.csv_file: TextIO | None = None
        self.writer: csv.DictWriter[str] | None = None
        self.keys: list[str] | None = None
        self.append_header = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        self.append_header = not (self.append and os.path.exists(self.filename) and os.path.getsize(self.filename))
        self.keys = None if self.append_header else self._columns()
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.csv_file is None:
            self.on_train_begin()
        assert self.csv_file is not None
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):  # validation may come in a later epoch
                self.keys += [f"val_{key}" for key in self.keys]
        if self.writer is None:
            self.writer = csv.DictWriter(self.csv_file, ["epoch", *self.keys], delimiter=self.sep, lineterminator="\n")
            if self.append_header:
                self.writer.writeheader()
        self.writer.writerow({"epoch": epoch, **{key: shown(logs.get(key, "NA")) for key in self.keys}})
        self.csv_file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def on_train_closed(self) -> None:
        self._close()

    def _columns(self) -> list[str] | None:
        """Those of a file that is there, None where they are not of a CSVLogger."""
        with open(self.filename, newline="", encoding="utf-8") as file:
            first, *keys = next(csv.reader(file, delimiter=self.sep), [""])
        return keys if first == "epoch" else None

    def _close(self) -> None:
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = self.writer = None


def shown(value: Any) -> Any:
    """A log as a cell: arrays as "[a, b]"."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
        return f'"[{", ".join(map(str, value))}]"'
    return value
