from dlcore.kernels.executor import Clock, Step
from dlcore.kernels.memory import _Operand

KINDS: dict[str, int]
FILLS: dict[str, int]

_Bounds = tuple[float, float]

def affine(
    x: _Operand,
    y: _Operand,
    kind: str,
    height: _Bounds,
    width: _Bounds,
    seed: int,
    clock: Clock,
    fill_mode: str = "constant",
    interpolation: str = "nearest",
    fill_value: float = 0,
) -> Step: ...
def affine_gradient(
    dy: _Operand,
    dx: _Operand,
    kind: str,
    height: _Bounds,
    width: _Bounds,
    seed: int,
    clock: Clock,
    fill_mode: str = "constant",
    interpolation: str = "nearest",
) -> Step: ...
def adjust(
    x: _Operand,
    y: _Operand,
    contrast: _Bounds,
    brightness: _Bounds,
    value_range: _Bounds,
    seed: int,
    clock: Clock,
) -> Step: ...
def adjust_gradient(
    dy: _Operand,
    x: _Operand,
    dx: _Operand,
    contrast: _Bounds,
    brightness: _Bounds,
    value_range: _Bounds,
    seed: int,
    clock: Clock,
) -> Step: ...
