import threading
from contextlib import AbstractContextManager

class SharedLock:
    condition: threading.Condition
    readers: int
    writers: int
    waiting: int
    due: int
    writes: int
    writing: bool
    def read(self) -> AbstractContextManager[None]: ...
    def write(self) -> AbstractContextManager[None]: ...

class Changes:
    last: object
    def note(self, since: object = None) -> object: ...
