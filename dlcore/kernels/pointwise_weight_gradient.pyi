from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

def conv2d_weight_gradient(x: _Operand, dy: _Operand, dw: _Operand, rows: int) -> Step: ...
