from typing import TypeAlias

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

_Pair: TypeAlias = tuple[int, int]
_Padding: TypeAlias = tuple[_Pair, _Pair]

def conv2d_weight_gradient(
    x: _Operand, dy: _Operand, dw: _Operand, grain: int, padding: _Padding = ((0, 0), (0, 0))
) -> Step: ...
def conv2d_batch_weight_gradient(
    x: _Operand, dy: _Operand, dw: _Operand, padding: _Padding = ((0, 0), (0, 0))
) -> Step: ...
