from dlcore.kernels.executor import Clock, Step
from dlcore.kernels.memory import _Operand

def dropout(x: _Operand, y: _Operand, rate: float, seed: int, layer: int, clock: Clock) -> Step: ...
