"""Callback: the hooks between the steps of training, evaluating and predicting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcore._arguments import Checked

if TYPE_CHECKING:
    from dlcore.models.model import Model

Logs = dict[str, Any]


class Callback(Checked):
    """Base: override what you need of the hooks, which are called around training, epochs and batches, evaluating
    (`on_test_...`) and predicting. A callback without batch methods costs nothing per batch: many steps then run
    without coming back to Python.

    `logs` holds "loss", the metrics by name, and at the end of an epoch those of validation with "val_" in front. What
    a callback adds to it, the callbacks behind it and the History see too.

    https://keras.io/api/callbacks/base_callback/

    Attributes:
        model: the model at work.
        params: {"epochs", "steps", "samples", "verbose"}.
    """

    model: Model
    params: dict[str, Any]

    def set_model(self, model: Model) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Calls its older name `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Calls its older name `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_train_begin(self, logs: Logs | None = None) -> None: ...

    def on_train_end(self, logs: Logs | None = None) -> None: ...

    def on_test_begin(self, logs: Logs | None = None) -> None: ...

    def on_test_end(self, logs: Logs | None = None) -> None: ...

    def on_predict_begin(self, logs: Logs | None = None) -> None: ...

    def on_predict_end(self, logs: Logs | None = None) -> None: ...

    def on_train_closed(self) -> None:
        """Called last, however training ended: after `on_train_end`, or where an exception or Ctrl-C kept that from
        being called. Not in Keras."""

    def asks_for(self, hook: str) -> bool:
        """Whether the method called `hook` does something here. Not in Keras."""
        own = getattr(self, hook)
        return getattr(own, "__func__", own) is not getattr(Callback, hook)


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
