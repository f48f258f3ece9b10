from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dlcore.kernels.executor import Clock, Program, Step
from dlcore.kernels.locks import SharedLock
from dlcore.kernels.memory import _Operand

class Feed:
    dtype: str
    row: int
    def __init__(self, dtype: str, row: int) -> None: ...
    def set(self, array: _Operand, index: npt.NDArray[np.int64] | None = None, write: bool = False) -> None: ...
    def clear(self) -> None: ...

class _Bound(Protocol):
    programs: OrderedDict[int, Program]
    cursor: Clock

class Predictor:
    function: Any
    def __init__(
        self, function: _Bound, x: Feed, y: Feed, sample: tuple[int, ...], result: tuple[int, ...]
    ) -> None: ...
    @property
    def dtype(self) -> str: ...

class Predictors:
    idle: dict[str, list[Predictor]]
    def __init__(self, lock: SharedLock, threads: Callable[[], int]) -> None: ...
    def take(self, dtype: str) -> Predictor | None: ...
    def give(self, predictor: Predictor) -> None: ...
    def __call__(self, x: Any) -> npt.NDArray[np.float32] | None: ...

def gather(feed: Feed, clock: Clock, y: _Operand, scale: float = 1) -> Step: ...
def store(x: _Operand, feed: Feed, clock: Clock) -> Step: ...
