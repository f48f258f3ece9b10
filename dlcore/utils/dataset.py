"""The base class of datasets that give batches by number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


class PyDataset:
    """Base: define `__len__`, the number of batches, and `__getitem__(i)`, batch i: x, (x, y) or (x, y, sample_weight).

    `fit` asks for the batches in a background thread while the one before trains. `on_epoch_begin` and `on_epoch_end`
    are called around each epoch, when no batch is in the making.

    https://keras.io/api/utils/python_utils/

    Args:
        workers, use_multiprocessing, max_queue_size: accepted for Keras' sake; one thread prepares the batches, and
            two of them wait at most.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    @property
    def num_batches(self) -> int | None:
        """Number of batches, None for no end. Default: the length."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__} must define __len__, or the property num_batches")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        return (self[i] for i in (itertools.count() if count is None else range(count)))

    def on_epoch_begin(self) -> None:
        """Called before the first batch of each epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of each epoch."""


Sequence = PyDataset
