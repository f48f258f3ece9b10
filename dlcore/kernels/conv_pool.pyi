from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

def conv_pool2d_forward(
    x: _Operand,
    packed: _Operand,
    b: _Operand | None,
    y: _Operand,
    index: _Operand | None,
    kernel: _Pair,
    pool: _Pair,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    relu: bool = False,
    splits: int = 1,
) -> Step: ...
def conv_pool2d_weight_gradient(
    x: _Operand,
    dy: _Operand,
    index: _Operand,
    dw: _Operand,
    db: _Operand,
    grain: int,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    pool: _Pair = (2, 2),
) -> Step: ...
