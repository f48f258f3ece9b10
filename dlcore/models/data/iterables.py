"""Data in its own order: generators, iterables, PyTorch's DataLoader."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from dlcore.models.data.streams import Stream

END: Any = object()


class Iterables(Stream):
    """Batches or samples from an iterable, which starts again for each epoch, or an iterator, such as a generator,
    which is read once. Samples show in the rank of x, and are stacked to batches of `batch_size`.

    With `steps_per_epoch`, which an endless one needs, an epoch goes on where the one before stopped, and nothing is
    read beyond its last step.
    """

    def __init__(self, source: Any, batch_size: int, steps: int | None, shuffle: bool, where: str, model: str):
        super().__init__(source, batch_size, steps, shuffle, where, model)
        self.once = hasattr(source, "__next__")
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self._ended = False  # seen while a batch of samples was being filled

    def peek(self) -> Any:
        if not self._peeked:
            item = self._take()
            if item is END:
                raise ValueError(
                    f"{self.where}x: expected at least one batch. "
                    f"Received: a {type(self.source).__name__} that gives none"
                )
            self._peeked.append(item)
        return self._peeked[0]

    @property
    def steps(self) -> int | None:
        if self.steps_per_epoch is not None or not hasattr(self.source, "__len__"):
            return self.steps_per_epoch
        try:
            n = len(self.source)
        except (TypeError, NotImplementedError):  # PyTorch's loader of a dataset without a length
            return None
        return -(-n // self.batch_size) if self.of_samples else n

    def _take(self) -> Any:
        if self._peeked:
            return self._peeked.pop()
        if self._iterator is None:
            self._iterator = iter(self.source)
        item = next(self._iterator, END)
        if item is END and not self.once:
            self._iterator = None
        return item

    def _batch(self) -> Any:
        """The next batch, or the samples of it, or END once at the end of a pass."""
        if self._ended:
            self._ended = False
            return END
        if not self.of_samples:
            return self._take()
        some: list[Any] = []
        while len(some) < self.batch_size:
            item = self._take()
            if item is END:
                self._ended = bool(some)
                break
            some.append(item)
        return some or END

    def items(self, epoch: int, seed: int, start: int) -> Iterator[tuple[str, Any]]:
        wanted = self.steps_per_epoch
        if wanted is None and not self._peeked and not self.once:
            self._iterator, self._ended = None, False  # the epoch before may have stopped half-way
        step = 0
        while wanted is None or step < wanted:
            item = self._batch()
            if item is END and wanted is not None and not self.once:
                item = self._batch()  # of the next pass
            if item is END:
                break
            name = f"batch {step}"
            if step >= start:
                yield name, self._collate(item, name) if self.of_samples else item
            step += 1
        if not step or (wanted is not None and step < wanted):
            warnings.warn(
                f"{self.model}: the data ended after {step} steps of epoch {epoch + 1}"
                f"{'' if wanted is None else f', which should have {wanted}'}. An iterator is read once: give an "
                "iterable that starts again, or one that does not end",
                stacklevel=2,
            )
