# cython: language_level=3
"""A lock for many readers or one writer, whose readers pay next to nothing while nobody writes; and notes of changes.

What both keep changes under the GIL, in C that runs no Python in between: so a reader that need not wait only counts itself,
and neither a switch of threads nor Ctrl-C can come between the counting and what it stands for, nor between a note and the
look at the one before.
"""
import threading


cdef class SharedLock:
    def __init__(self):
        self.condition = threading.Condition()
        self.lock, self.unlock = self.condition.acquire, self.condition.release

    cdef bint enter(self) noexcept:
        if self.writers:
            return False
        self.readers += 1
        return True

    cdef int leave(self) except -1:
        self.readers -= 1
        if self.writers:  # it counted itself before it looked at the readers: it sees that this one is gone, or is woken
            self._wake()
        return 0

    def _wake(self):
        self.lock()
        try:
            self.condition.notify_all()
        finally:
            self.unlock()

    def _wait_to_read(self):
        cdef Py_ssize_t write
        self.lock()
        try:
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
        finally:
            self.unlock()

    def _wait_to_write(self):
        self.lock()
        try:
            self.writers += 1
            try:
                self.condition.wait_for(lambda: not (self.writing or self.readers or self.due))
            except BaseException:
                self._let_in()
                raise
            self.writing = True
        finally:
            self.unlock()

    def _end_writing(self):
        self.lock()
        try:
            self.writing = False
            self._let_in()
        finally:
            self.unlock()

    def _let_in(self):
        self.writers -= 1
        self.writes += 1
        self.due, self.waiting = self.due + self.waiting, 0
        self.condition.notify_all()

    def read(self):
        """Context manager: nobody writes meanwhile."""
        return _Side.__new__(_Side, self, False)

    def write(self):
        """Context manager: nobody else reads or writes meanwhile."""
        return _Side.__new__(_Side, self, True)


cdef class _Side:
    cdef SharedLock lock
    cdef bint write

    def __cinit__(self, SharedLock lock not None, bint write):
        self.lock, self.write = lock, write

    def __enter__(self):
        if self.write:
            self.lock._wait_to_write()
        elif not self.lock.enter():
            self.lock._wait_to_read()

    def __exit__(self, *error):
        if self.write:
            self.lock._end_writing()
        else:
            self.lock.leave()


cdef class Changes:
    def __init__(self):
        self.last = object()

    def note(self, since=None):
        """Something changed. Returns the new `last`; None where another change was noted after `since`."""
        known, self.last = self.last, object()
        return self.last if since is None or known is since else None
