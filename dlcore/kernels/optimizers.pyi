from typing import Any

from dlcore.kernels.executor import Clock, Step
from dlcore.kernels.memory import _Operand

BLOCK: int
NORM_BLOCK: int

# more: clip, scale, factor, weight_decay, every, acc, average, ema_momentum, overwrite, as in the source

def sgd(
    w: _Operand,
    g: _Operand,
    v: _Operand | None,
    learning_rate: _Operand,
    momentum: float = 0,
    nesterov: bool = False,
    block: int = 2048,
    clock: Clock | None = None,
    **more: Any,
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
    h: _Operand | None = None,
    **more: Any,
) -> Step: ...
def nadam(
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
    **more: Any,
) -> Step: ...
def adamax(
    w: _Operand,
    g: _Operand,
    m: _Operand,
    u: _Operand,
    learning_rate: _Operand,
    clock: Clock,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-7,
    block: int = 2048,
    **more: Any,
) -> Step: ...
def rmsprop(
    w: _Operand,
    g: _Operand,
    v: _Operand,
    m: _Operand | None,
    mean: _Operand | None,
    learning_rate: _Operand,
    rho: float = 0.9,
    momentum: float = 0,
    epsilon: float = 1e-7,
    block: int = 2048,
    clock: Clock | None = None,
    **more: Any,
) -> Step: ...
def adagrad(
    w: _Operand,
    g: _Operand,
    s: _Operand,
    learning_rate: _Operand,
    epsilon: float = 1e-7,
    block: int = 2048,
    clock: Clock | None = None,
    **more: Any,
) -> Step: ...
def adadelta(
    w: _Operand,
    g: _Operand,
    s: _Operand,
    d: _Operand,
    learning_rate: _Operand,
    rho: float = 0.95,
    epsilon: float = 1e-7,
    block: int = 2048,
    clock: Clock | None = None,
    **more: Any,
) -> Step: ...
def lion(
    w: _Operand,
    g: _Operand,
    m: _Operand,
    learning_rate: _Operand,
    beta1: float = 0.9,
    beta2: float = 0.99,
    block: int = 2048,
    clock: Clock | None = None,
    **more: Any,
) -> Step: ...
def squares(g: _Operand, parts: _Operand, acc: _Operand | None = None) -> Step: ...
def clip_norm(parts: _Operand, scale: _Operand, limit: float, factor: float = 1, whole: bool = False) -> Step: ...
