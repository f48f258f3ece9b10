"""Data by number: `__len__` and `__getitem__`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dlcore import _random
from dlcore.models.data.streams import Stream


class Indexed(Stream):
    """Batches or samples by number: `__len__` and `__getitem__(i)` giving x, (x, y) or (x, y, sample_weight).

    Objects like `dlcore.utils.PyDataset` (with `on_epoch_end` or `num_batches`) give batches; others, such as PyTorch's
    datasets, may give samples, which shows in the rank of x. `num_batches` counts where there is one; None is endless.
    Batches are shuffled as such; samples are shuffled one by one and stacked to batches of `batch_size`.
    """

    def _always_batches(self) -> bool:
        return hasattr(self.source, "num_batches") or hasattr(self.source, "on_epoch_end")

    def peek(self) -> Any:
        if self._length() == 0:
            raise ValueError(
                f"{self.where}x: expected at least one batch. Received: a {type(self.source).__name__} of length 0"
            )
        return self.source[0]

    def _length(self) -> int | None:
        """How many there are, None for no end."""
        if hasattr(self.source, "num_batches"):
            count = self.source.num_batches
            return None if count is None else int(count)
        return len(self.source)

    def _look_at_length(self) -> None:
        n = self._length()
        if n is None and self.steps_per_epoch is None:
            raise ValueError(f"{self.model}: an endless {type(self.source).__name__} needs steps_per_epoch")
        self.samples = n if self.of_samples else None

    @property
    def steps(self) -> int | None:
        if self.steps_per_epoch is not None:
            return self.steps_per_epoch
        n = self._length()
        return -(-n // self.batch_size) if self.of_samples and n is not None else n

    def items(self, epoch: int, seed: int, start: int) -> Iterator[tuple[str, Any]]:
        length, of_epoch = self._length(), self.steps or 0
        per_step = self.batch_size if self.of_samples else 1
        a_pass = None if length is None else max(1, -(-length // per_step))
        order: np.ndarray | None = None
        known = -1
        for step in range(epoch * of_epoch + start, (epoch + 1) * of_epoch):
            number, i = (0, step) if a_pass is None else divmod(step, a_pass)
            if self.shuffle and length and number != known:
                order, known = _random.permutation(seed, length, number), number
            if not self.of_samples:
                i = i if order is None else int(order[i])
                yield f"batch {i}", self.source[i]
                continue
            rows = range(i * per_step, min((i + 1) * per_step, length or 0))
            name = f"batch {step - epoch * of_epoch}"
            yield name, self._collate([self.source[row if order is None else int(order[row])] for row in rows], name)
