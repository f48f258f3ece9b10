from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair = tuple[int, int]
_Padding = tuple[_Pair, _Pair]

def row_floats(cols: int) -> int: ...
def conv2d_forward(
    x: _Operand,
    w: _Operand,
    b: _Operand | None,
    y: _Operand,
    planes: _Operand | None,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    activation: int = 0,
    splits: int = 1,
) -> Step: ...
def conv2d_weight_gradient(
    x: _Operand,
    dy: _Operand,
    planes: _Operand,
    dw: _Operand,
    db: _Operand,
    grain: int,
    strides: _Pair = (1, 1),
    padding: _Padding = ((0, 0), (0, 0)),
    dilation: _Pair = (1, 1),
    activation: int = 0,
) -> Step: ...
