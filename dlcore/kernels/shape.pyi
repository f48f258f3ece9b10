from collections.abc import Iterable, Sequence

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

MOST_DIMS: int

def copy(
    x: _Operand,
    y: _Operand,
    dims: Iterable[tuple[int, int, int]],
    x_offset: int = 0,
    y_offset: int = 0,
    value: float = 0,
    accumulate: bool = False,
    whole: bool = False,
    dtype: str = "f",
    onto: _Operand | None = None,
) -> Step: ...
def concatenate(xs: Sequence[_Operand], y: _Operand, axis: int, whole: bool = False, dtype: str = "f") -> Step: ...
