from collections.abc import Sequence
from typing import Any

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
    shared: float
    serial: bool
    prepared: object
    ops: list[Any] | None
    def __init__(
        self,
        stages: Sequence[Sequence[tuple[Sequence[Step], int | None]]],
        clock: Clock | None = None,
        cursor_increment: int = 0,
        step_increment: int = 0,
        slot_bytes: int = 0,
        commit: int | None = None,
        keep: object = None,
        cursor: Clock | None = None,
        prologue: int = 0,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def run(self, steps: int = 1, threads: int = 1, weights: object = None) -> int: ...
    def profile(self, steps: int = 1, threads: int = 1, weights: object = None) -> list[tuple[float, float]]: ...

def openmp_limit() -> int: ...
def openmp_processors() -> int: ...
def openmp_runtime() -> str: ...
