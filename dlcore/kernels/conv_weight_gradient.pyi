from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

SHARING_ROWS: int

def weight_rows() -> int: ...
def conv2d_weight_gradient(
    x: _Operand,
    dy: _Operand,
    dw: _Operand,
    grain: int,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    groups: int = 1,
) -> Step: ...
def conv2d_batch_weight_gradient(
    x: _Operand,
    dy: _Operand,
    dw: _Operand,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    groups: int = 1,
) -> Step: ...
