"""TensorBoard: logs as event files, written by tensorboardX."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from dlcore import _extras
from dlcore.callbacks.base import Callback, Logs


class TensorBoard(Callback):
    """Writes logs for TensorBoard (extra `tensorboard`): `tensorboard --logdir logs` shows them.

    Tags are those of Keras: "epoch_loss" in the folders train and validation, "epoch_learning_rate", with `update_freq`
    "batch_loss", after `evaluate` "evaluation_loss_vs_iterations", and the histogram of each weight.

    https://keras.io/api/callbacks/tensorboard/

    Args:
        log_dir: folder.
        histogram_freq: epochs between histograms of the weights, 0 for none.
        write_graph: accepted for Keras' sake; `model.summary` shows the layers.
        write_images: not supported.
        write_steps_per_second: whether the speed is logged.
        update_freq: "epoch", "batch", or a number of batches between logs.
        profile_batch, embeddings_freq, embeddings_metadata: not supported.

    Raises:
        ImportError: tensorboardX is missing.
        ValueError: update_freq, or what is not supported.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ):
        _extras.require("tensorboardX", "tensorboard")
        unsupported = {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }
        for name, value in unsupported.items():
            if value:
                raise ValueError(f"TensorBoard: {name} is not supported. Received: {name}={value!r}")
        whole = isinstance(update_freq, int) and not isinstance(update_freq, bool) and update_freq >= 1
        if update_freq not in ("epoch", "batch") and not whole:
            raise ValueError(
                "TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches. "
                f"Received: update_freq={update_freq!r}"
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.write_graph = histogram_freq, write_graph
        self.write_steps_per_second = write_steps_per_second
        self.update_freq: Any = 1 if update_freq == "batch" else update_freq
        self._batches = 0
        self._before = (0, 0.0)  # steps and time when the epoch began
        self._writers: dict[str, Any] = {}

    def asks_for(self, hook: str) -> bool:
        mine = hook == "on_train_batch_end" and type(self).on_train_batch_end is TensorBoard.on_train_batch_end
        return super().asks_for(hook) and not (mine and self.update_freq == "epoch")

    def _writer(self, folder: str) -> Any:
        if folder not in self._writers:
            from tensorboardX import SummaryWriter

            self._writers[folder] = SummaryWriter(os.path.join(self.log_dir, folder))
        return self._writers[folder]

    def _scalars(self, folder: str, logs: Logs, step: int) -> None:
        for name, value in logs.items():
            if np.ndim(value) == 0:
                self._writer(folder).add_scalar(name, float(value), step)

    def _steps(self) -> int:
        return self.model.optimizer.iterations if self.model.optimizer is not None else 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._before = self._steps(), time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.update_freq != "epoch" and self._batches % self.update_freq == 0:
            self._scalars("train", {f"batch_{name}": value for name, value in (logs or {}).items()}, self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        train = {f"epoch_{name}": value for name, value in (logs or {}).items() if not name.startswith("val_")}
        held = {f"epoch_{name[4:]}": value for name, value in (logs or {}).items() if name.startswith("val_")}
        if self.model.optimizer is not None:
            train["epoch_learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.write_steps_per_second:
            steps, start = self._before
            train["epoch_steps_per_second"] = (self._steps() - steps) / max(time.perf_counter() - start, 1e-9)
        self._scalars("train", train, epoch)
        self._scalars("validation", held, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for layer in self.model.layers:
                for weight in layer.weights:
                    self._writer("train").add_histogram(f"{weight.name}/histogram", np.array(weight.numpy()), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        values = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
        self._scalars("validation", values, self._steps())
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def on_train_closed(self) -> None:
        self._close()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
