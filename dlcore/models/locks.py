"""Who may touch the weights when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Many predictions at a time, or one training step: a prediction never sees half-updated weights.

    Waiting readers go first, since a training loop asks again at once and would shut them out.
    """

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.readers = self.waiting = 0
        self.writing = False

    @contextmanager
    def read(self) -> Iterator[None]:
        with self.condition:
            self.waiting += 1
            while self.writing:
                self.condition.wait()
            self.waiting -= 1
            self.readers += 1
        try:
            yield
        finally:
            with self.condition:
                self.readers -= 1
                self.condition.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self.condition:
            while self.writing or self.readers or self.waiting:
                self.condition.wait()
            self.writing = True
        try:
            yield
        finally:
            with self.condition:
                self.writing = False
                self.condition.notify_all()
