from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

FORMS: tuple[tuple[int, int], ...]

def weights_shape(k: int, n: int, form: tuple[int, int]) -> tuple[int, int, int, int]: ...
def transform_weights(w: _Operand, u: _Operand, transpose: bool = False) -> Step: ...
def conv2d_forward(
    x: _Operand,
    u: _Operand,
    b: _Operand | None,
    y: _Operand,
    padding: _Padding = ((0, 0), (0, 0)),
    activation: int = 0,
    splits: int = 1,
    residual: _Operand | None = None,
) -> Step: ...
def conv_pool2d_forward(
    x: _Operand,
    u: _Operand,
    b: _Operand | None,
    y: _Operand,
    index: _Operand | None,
    padding: _Padding = ((0, 0), (0, 0)),
    relu: bool = False,
    splits: int = 1,
) -> Step: ...
def conv2d_input_gradient(
    dy: _Operand,
    u: _Operand,
    dx: _Operand,
    padding: _Padding = ((0, 0), (0, 0)),
    b: _Operand | None = None,
    activation: int = 0,
    splits: int = 1,
) -> Step: ...
