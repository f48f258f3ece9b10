"""The callbacks of one call of fit, evaluate or predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcore.callbacks.base import Callback, Logs
from dlcore.callbacks.history import History
from dlcore.callbacks.progress import ProgbarLogger, resolve_verbose

if TYPE_CHECKING:
    from dlcore.models.model import Model

BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class CallbackList:
    """The callbacks of one `fit`: the user's, the History and, unless silent, the progress.

    Attributes:
        wants_batches, wants_test_batches, wants_predict_batches: whether a callback asks for every batch. If not, the
            hooks of batches need not be called.

    Raises:
        TypeError: something that is not a Callback.
    """

    def __init__(self, given: Any, model: Model, verbose: Any, params: dict[str, Any]):
        verbose = resolve_verbose(verbose)
        chosen = flat(given)
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
        self.wants_batches = self._asked("train")
        self.wants_test_batches = self._asked("test")
        self.wants_predict_batches = self._asked("predict")

    def _asked(self, mode: str) -> bool:
        return any(callback.asks_for(hook) for callback in self.callbacks for hook in BATCH_HOOKS[mode])

    def _call(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)

    # -- training

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs or {})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, {} if logs is None else logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, {} if logs is None else logs)

    def on_progress(self, done: int, steps: int, logs: Logs) -> None:
        """After a call of `steps` steps, `done` in this epoch."""
        if self.wants_batches:
            self.on_train_batch_end(done - 1, logs)
        if self.progress is not None:
            self.progress.on_progress(steps, logs)

    def close(self) -> None:
        """However training ended: every callback's `on_train_closed`, even where one of them raises."""
        first: BaseException | None = None
        for callback in self.callbacks:
            try:
                callback.on_train_closed()
            except BaseException as error:
                first = first or error
        if first is not None:
            raise first

    # -- evaluating and predicting

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs or {})

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs or {})

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs or {})

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, {} if logs is None else logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs or {})

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs or {})

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, logs or {})

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """`logs` is {"outputs": predictions of the batch}."""
        self._call("on_predict_batch_end", batch, {} if logs is None else logs)


def flat(given: Any) -> list[Any]:
    """None, one callback, or lists of them in lists, as one list."""
    if isinstance(given, (list, tuple)):
        return [callback for part in given for callback in flat(part)]
    return [] if given is None else [given]
