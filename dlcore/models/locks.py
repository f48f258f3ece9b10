"""Who may touch the weights when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Many predictions at a time, or one training step: a prediction never sees half-updated weights.

    Fair to both: predictions that come while a step waits or runs go before the next step, and later ones after it.
    """

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.readers = 0
        self.writers = 0  # waiting or writing
        self.waiting = 0  # readers that the present write holds up
        self.due = 0  # readers that it held up and that have not woken yet
        self.writes = 0
        self.writing = False

    @contextmanager
    def read(self) -> Iterator[None]:
        with self.condition:
            if self.writers:
                write = self.writes
                self.waiting += 1
                try:
                    self.condition.wait_for(lambda: self.writes != write and not self.writing)
                finally:
                    if self.writes != write:
                        self.due -= 1
                        self.condition.notify_all()  # a writer may wait for just this reader
                    else:  # interrupted
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
            self.writers += 1
            try:
                self.condition.wait_for(lambda: not (self.writing or self.readers or self.due))
            except BaseException:
                self._let_in()
                raise
            self.writing = True
        try:
            yield
        finally:
            with self.condition:
                self.writing = False
                self._let_in()

    def _let_in(self) -> None:
        self.writers -= 1
        self.writes += 1
        self.due, self.waiting = self.due + self.waiting, 0
        self.condition.notify_all()
