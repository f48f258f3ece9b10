from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

MOST_OF_A_BYTE: int

def max_pool2d_forward(
    x: _Operand,
    y: _Operand,
    index: _Operand | None,
    pool: _Pair,
    strides: _Pair,
    padding: _Padding = ((0, 0), (0, 0)),
) -> Step: ...
def max_pool2d_gradient(
    dy: _Operand,
    index: _Operand,
    dx: _Operand,
    pool: _Pair,
    strides: _Pair,
    padding: _Padding = ((0, 0), (0, 0)),
) -> Step: ...
def average_pool2d_forward(
    x: _Operand, y: _Operand, pool: _Pair, strides: _Pair, padding: _Padding = ((0, 0), (0, 0))
) -> Step: ...
def average_pool2d_gradient(
    dy: _Operand, dx: _Operand, pool: _Pair, strides: _Pair, padding: _Padding = ((0, 0), (0, 0))
) -> Step: ...
