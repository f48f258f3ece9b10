from collections.abc import Sequence
from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

def output_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int: ...
def check(
    what: str,
    x: Sequence[int],
    w: Sequence[int],
    y: Sequence[int],
    strides: _Pair,
    padding: _Padding,
    dilation: _Pair,
    groups: int,
) -> None: ...
def conv2d_forward(
    x: _Operand,
    packed: _Operand,
    b: _Operand | None,
    y: _Operand,
    kernel: _Pair,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    groups: int = 1,
    activation: int = 0,
    splits: int = 1,
    residual: _Operand | None = None,
) -> Step: ...
def conv2d_input_gradient(
    dy: _Operand,
    packed: _Operand,
    dx: _Operand,
    kernel: _Pair,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    groups: int = 1,
    b: _Operand | None = None,
    activation: int = 0,
    splits: int = 1,
) -> Step: ...
