from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

def depthwise_forward(
    x: _Operand,
    w: _Operand,
    b: _Operand | None,
    y: _Operand,
    kernel: _Pair,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    activation: int = 0,
    splits: int = 1,
) -> Step: ...
def depthwise_input_gradient(
    dy: _Operand,
    w: _Operand,
    dx: _Operand,
    kernel: _Pair,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
) -> Step: ...
def depthwise_weight_gradient(
    x: _Operand,
    dy: _Operand,
    dw: _Operand,
    grain: int,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
) -> Step: ...
