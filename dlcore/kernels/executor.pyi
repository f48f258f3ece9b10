from collections.abc import Sequence

class Step:
    tasks: int
    work: float
    scratch: int
    grain: int
    def run(self, threads: int = 1, grain: int | None = None) -> None: ...

class Clock:
    step: int
    cursor: int

class Program:
    clock: Clock | None
    cursor: Clock | None
    work: float
    serial: bool
    def __init__(
        self,
        stages: Sequence[Sequence[tuple[Sequence[Step], int]]],
        clock: Clock | None = None,
        cursor_increment: int = 0,
        step_increment: int = 0,
        slot_bytes: int = 0,
        commit: int | None = None,
        keep: object = None,
        cursor: Clock | None = None,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def run(self, steps: int = 1, threads: int = 1) -> int: ...

def openmp_limit() -> int: ...
def openmp_processors() -> int: ...
def openmp_runtime() -> str: ...
