from dlcore.kernels.executor import Clock, Step
from dlcore.kernels.memory import _Operand

BLOCK: int

def sgd(
    w: _Operand,
    g: _Operand,
    v: _Operand | None,
    learning_rate: _Operand,
    momentum: float = 0,
    nesterov: bool = False,
    block: int = 2048,
) -> Step: ...
def adam(
    w: _Operand,
    g: _Operand,
    m: _Operand,
    v: _Operand,
    learning_rate: _Operand,
    clock: Clock,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-7,
    block: int = 2048,
) -> Step: ...
