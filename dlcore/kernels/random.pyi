from dlcore.kernels.executor import Clock, Step
from dlcore.kernels.memory import _Operand

def dropout(x: _Operand, y: _Operand, rate: float, seed: int, layer: int, clock: Clock) -> Step: ...
def masked(
    x: _Operand,
    y: _Operand,
    noise_shape: tuple[int, ...],
    rate: float,
    seed: int,
    layer: int,
    clock: Clock,
    scale: float,
    shift: float = 0,
    low: float = 0,
) -> Step: ...
def gaussian(
    x: _Operand, y: _Operand, stddev: float, seed: int, layer: int, clock: Clock, multiply: bool = False
) -> Step: ...
