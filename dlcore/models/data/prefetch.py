"""A thread that prepares the next batches while the current one trains."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

DEPTH = 2  # items that wait, beside the one in the making
PATIENCE = 5.0  # seconds: between looks at whether the thread lives; and what `close` waits for user code to return


class _Shared:
    """What both threads know. It refers to neither the Prefetcher nor the thread, so both can be collected."""

    def __init__(self, depth: int):
        self.changed = threading.Condition()
        self.ready: deque[tuple[Any, BaseException | None]] = deque()
        self.depth = depth
        self.stopped = False

    def put(self, item: Any, error: BaseException | None = None) -> bool:
        """Hand an item over, or wait until there is room. False once nobody wants it."""
        with self.changed:
            while len(self.ready) >= self.depth and not self.stopped:
                self.changed.wait()
            if not self.stopped:
                self.ready.append((item, error))
                self.changed.notify_all()
            return not self.stopped

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.ready.clear()
            self.changed.notify_all()


def _work(source: Iterator[Any], shared: _Shared) -> None:
    try:
        if shared.stopped:
            return
        for item in source:
            if not shared.put(item):
                return
            del item  # not two batches here while the next one is made
        shared.put(None, StopIteration())
    except BaseException as error:  # whatever the user's code raises belongs to the thread that trains
        shared.put(None, error)


class Prefetcher(Iterator[T], Generic[T]):
    """Iterates over `source` in a background thread, in order, at most `depth` items ahead.

    What `source` raises is raised here, after the items before it. The thread starts with the first item asked for and
    ends with the last one, with an error, with `close`, or when the Prefetcher is garbage.
    """

    def __init__(self, source: Iterator[T], depth: int = DEPTH):
        self._shared = _Shared(depth)
        self._thread = threading.Thread(target=_work, args=(source, self._shared), name="dlcore-prefetch", daemon=True)
        self._started = self._ended = False
        weakref.finalize(self, self._shared.stop)

    def __next__(self) -> T:
        if self._ended:
            raise StopIteration
        if not self._started:
            self._started = True
            self._thread.start()
        shared = self._shared
        with shared.changed:
            while not shared.ready:
                if not shared.changed.wait(PATIENCE) and not shared.ready and not self._thread.is_alive():
                    raise RuntimeError("the thread that prepares batches is gone: was this process forked meanwhile?")
            item, error = shared.ready.popleft()
            shared.changed.notify_all()
        if error is None:
            return item  # type: ignore[no-any-return]
        self.close()
        try:
            raise error
        finally:
            del error  # it knows this frame: no circle

    def close(self) -> None:
        """End the thread. Waits for the item in the making, but not forever: the thread is a daemon and ends when the
        user's code returns to it."""
        self._ended = True
        self._shared.stop()  # Ctrl-C may have come before the thread had started: it ends at once then
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(PATIENCE)
