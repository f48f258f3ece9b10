from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy.typing as npt

# What a kernel reads or writes: a C-contiguous array, or a tensor of an arena or a slab.
_Operand: TypeAlias = npt.NDArray[Any] | memoryview | Buffer

ITEMSIZE: dict[str, int]

class Arena:
    nbytes: int
    def __new__(cls, nbytes: int) -> Arena: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def buffer(self, offset: int, shape: tuple[int, ...], dtype: str) -> Buffer: ...

class Buffer:
    shape: tuple[int, ...]
    dtype: str
    writable: bool

def slot_buffer(offset: int, shape: tuple[int, ...], dtype: str) -> Buffer: ...

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
    work: float
    def __init__(
        self,
        stages: Sequence[Sequence[tuple[Sequence[Step], int]]],
        clock: Clock | None = None,
        cursor_increment: int = 0,
        step_increment: int = 0,
        slot_bytes: int = 0,
        commit: int | None = None,
        keep: object = None,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def run(self, steps: int = 1, threads: int = 1) -> int: ...

def openmp_limit() -> int: ...
def openmp_runtime() -> str: ...
