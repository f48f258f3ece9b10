from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair = tuple[int, int]
_Padding = tuple[_Pair, _Pair]

def vectors(n: int) -> int: ...
def merge(w: _Operand, packed: _Operand, pixels: int, step: int) -> Step: ...
def conv2d_lanes(
    x: _Operand,
    w: _Operand,
    b: _Operand | None,
    y: _Operand,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    activation: int = 0,
    splits: int = 1,
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
) -> Step: ...
