from typing import Any, TypeAlias

import numpy.typing as npt

# What a kernel reads or writes: a C-contiguous array, or a tensor of an arena or a slab.
_Operand: TypeAlias = npt.NDArray[Any] | memoryview | Buffer

ITEMSIZE: dict[str, int]

class Arena:
    nbytes: int
    def __new__(cls, nbytes: int, busy: bool = False) -> Arena: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def buffer(self, offset: int, shape: tuple[int, ...], dtype: str) -> Buffer: ...

class Buffer:
    shape: tuple[int, ...]
    dtype: str
    writable: bool
    def reshape(self, shape: tuple[int, ...]) -> Buffer: ...

def slot_buffer(offset: int, shape: tuple[int, ...], dtype: str) -> Buffer: ...
