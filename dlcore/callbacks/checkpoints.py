"""Callbacks that write models to files while they train."""

from __future__ import annotations

import glob
import os
import warnings
from typing import Any

from dlcore.callbacks.base import Callback, Logs
from dlcore.callbacks.monitor import Monitor

BATCH_END = "on_train_batch_end"


class _Every:
    """Counts batches: true every `frequency` of them, over the ends of epochs."""

    def __init__(self, frequency: Any, name: str):
        good = frequency == "epoch" or (
            isinstance(frequency, int) and not isinstance(frequency, bool) and frequency >= 1
        )
        if not good:
            raise ValueError(
                f"{name}: save_freq must be 'epoch' or a number of batches. Received: save_freq={frequency!r}"
            )
        self.frequency = frequency
        self.since, self.last = 0, -1

    def new_epoch(self) -> None:
        self.last = -1

    def due(self, batch: int) -> bool:
        if self.frequency == "epoch":
            return False
        self.since += batch - self.last if batch > self.last else batch + 1
        self.last = batch
        if self.since < self.frequency:
            return False
        self.since = 0
        return True


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, at the end of epochs or every so many batches.

    https://keras.io/api/callbacks/model_checkpoint/

    Args:
        filepath: may have places for `epoch` and `batch`, counted from 1, and for the logs, such as
            "{epoch:02d}-{val_loss:.2f}.safetensors". Ends in ".safetensors", with `save_weights_only` in
            ".weights.safetensors". Folders are made.
        monitor: the log that `save_best_only` looks at.
        verbose: 1 says what is done.
        save_best_only: save only what beats all before. NaN never does.
        save_weights_only: `model.save_weights` instead of `model.save`.
        mode: "min", "max" or "auto".
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: what the first one has to beat.

    Raises:
        ValueError: filepath, save_freq or mode.
        KeyError: `filepath` names a log that there is not.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        suffix = ".weights.safetensors" if save_weights_only else ".safetensors"
        if not self.filepath.endswith(suffix):
            hint = ""
            for other in (".weights.h5", ".keras", ".h5"):
                if self.filepath.endswith(other):
                    hint = f". That is a file of Keras; here it would be {self.filepath.removesuffix(other) + suffix!r}"
                    break
            raise ValueError(
                f"ModelCheckpoint: filepath must end in {suffix!r}"
                f"{' when save_weights_only is True' if save_weights_only else ''}. "
                f"Received: filepath={self.filepath!r}{hint}"
            )
        self.verbose, self.save_best_only, self.save_weights_only = verbose, save_best_only, save_weights_only
        self.save_freq = save_freq
        self._every = _Every(save_freq, "ModelCheckpoint")
        self._epoch = 0

    def asks_for(self, hook: str) -> bool:
        mine = hook == BATCH_END and type(self).on_train_batch_end is ModelCheckpoint.on_train_batch_end
        return super().asks_for(hook) and not (mine and self.save_freq == "epoch")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._every.new_epoch()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._every.due(batch):
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        places = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            path = self.filepath.format(**places)
        except (KeyError, IndexError) as error:
            raise KeyError(
                f"ModelCheckpoint: filepath={self.filepath!r} can have places for {sorted(places)}. Received: {error}"
            ) from error
        if not self._wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint: filepath is a folder. Received: {path!r}")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        model: Any = self.model
        if self.save_weights_only:
            model.save_weights(path)
        else:
            model.save(path)
        self._say(epoch, f"finished saving model to {path}")

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=2)
            return True
        before = "None" if self.best is None else f"{self.best:.5f}"
        if not self.better(float(current), self.best):
            self._say(epoch, f"{self.monitor} did not improve from {before}")
            return False
        self._say(epoch, f"{self.monitor} improved from {before} to {current:.5f}, saving model to {path}")
        self.best = float(current)
        return True

    def _say(self, epoch: int, what: str) -> None:
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: {what}", flush=True)


class BackupAndRestore(Callback):
    """Keeps a checkpoint of the training in a folder, and goes on from it: `fit` called again in the same way, in a new
    process, gives the weights that one without interruption would have given, bit for bit.

    The checkpoint holds weights, the optimizer's slots, the epoch, the batch in it and the seed. When training ends
    without an exception it is deleted. `dlcore.saving.save_checkpoint` writes it: all of it or nothing.

    https://keras.io/api/callbacks/backup_and_restore/

    Args:
        backup_dir: the folder; it is made, and removed when it is empty.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: whether the checkpoint before the last one stays too; it is used when the last one is broken.
        delete_checkpoint: whether a finished training deletes its checkpoint.

    Raises:
        ValueError: backup_dir, save_freq, or a model that is not built.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        if not backup_dir:
            raise ValueError(f"BackupAndRestore: backup_dir must name a folder. Received: backup_dir={backup_dir!r}")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq, self.double_checkpoint, self.delete_checkpoint = save_freq, double_checkpoint, delete_checkpoint
        self._every = _Every(save_freq, "BackupAndRestore")
        self._epoch = 0
        self.latest = os.path.join(self.backup_dir, "latest.safetensors")
        self.previous = os.path.join(self.backup_dir, "previous.safetensors")

    def asks_for(self, hook: str) -> bool:
        mine = hook == BATCH_END and type(self).on_train_batch_end is BackupAndRestore.on_train_batch_end
        return super().asks_for(hook) and not (mine and self.save_freq == "epoch")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        model: Any = self.model
        if not model.built:
            raise ValueError("BackupAndRestore: the model must be built before fit; give it an input shape")
        model._resume = None  # where fit goes on
        for rest in glob.glob(os.path.join(glob.escape(self.backup_dir), ".dlcore-*.tmp")):
            os.remove(rest)  # of a process that was killed while it saved
        found = [path for path in (self.latest, self.previous) if os.path.exists(path)]
        for path in found:
            try:
                model._resume = _saving().load_checkpoint(path, model)
                return
            except (OSError, ValueError) as error:
                if path == found[-1]:
                    raise
                warnings.warn(f"BackupAndRestore: {path} cannot be read, using the one before: {error}", stacklevel=2)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._every.new_epoch()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._every.due(batch):
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def _save(self, epoch: int, batch: int) -> None:
        """`batch` batches of this epoch are done."""
        model: Any = self.model
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self.latest):
            os.replace(self.latest, self.previous)
        _saving().save_checkpoint(self.latest, model, epoch=epoch, batch=batch, seed=model._fit_seed)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self.delete_checkpoint:
            return
        for path in (self.latest, self.previous):
            if os.path.exists(path):
                os.remove(path)
        if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
            os.rmdir(self.backup_dir)


def _saving() -> Any:
    """Which stands on models, and those on callbacks."""
    from dlcore import saving

    return saving
