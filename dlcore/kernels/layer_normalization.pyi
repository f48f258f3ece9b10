from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

KINDS: dict[str, int]

def rows_forward(
    x: _Operand,
    gamma: _Operand | None,
    beta: _Operand | None,
    y: _Operand,
    stats: _Operand | None,
    axes: int = 1,
    kind: str = "layer",
    epsilon: float = 1e-3,
) -> Step: ...
def rows_gradient(
    dy: _Operand,
    x: _Operand,
    stats: _Operand,
    gamma: _Operand | None,
    dx: _Operand | None,
    dgamma: _Operand | None = None,
    dbeta: _Operand | None = None,
    axes: int = 1,
    kind: str = "layer",
    grain: int = 0,
) -> Step: ...
def groups_forward(
    x: _Operand,
    gamma: _Operand | None,
    beta: _Operand | None,
    y: _Operand,
    stats: _Operand | None,
    groups: int,
    epsilon: float = 1e-3,
) -> Step: ...
def groups_gradient(
    dy: _Operand,
    x: _Operand,
    stats: _Operand,
    gamma: _Operand | None,
    dx: _Operand | None,
    dgamma: _Operand | None = None,
    dbeta: _Operand | None = None,
    groups: int = 1,
    grain: int = 0,
) -> Step: ...
