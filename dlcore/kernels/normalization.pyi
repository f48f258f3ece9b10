from collections.abc import Sequence

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

ACTIVATIONS: dict[str, int]

def batch_moments(x: _Operand, parts: _Operand, grain: int) -> Step: ...
def batch_coefficients(
    parts: _Operand,
    gamma: _Operand | None,
    beta: _Operand | None,
    coefficients: _Operand,
    mean: _Operand | None = None,
    variance: _Operand | None = None,
    epsilon: float = 1e-3,
) -> Step: ...
def moving_coefficients(
    mean: _Operand,
    variance: _Operand,
    gamma: _Operand | None,
    beta: _Operand | None,
    coefficients: _Operand,
    epsilon: float = 1e-3,
) -> Step: ...
def adapted_coefficients(
    mean: _Operand,
    variance: _Operand,
    coefficients: _Operand,
    index: Sequence[int],
    invert: bool = False,
    epsilon: float = 1e-7,
) -> Step: ...
def normalize(
    x: _Operand,
    coefficients: _Operand,
    y: _Operand,
    linear: bool = False,
    add: _Operand | None = None,
    activation: str = "linear",
) -> Step: ...
def fold_bias(b: _Operand | None, coefficients: _Operand, y: _Operand) -> Step: ...
def batch_gradient_sums(
    dy: _Operand,
    x: _Operand,
    coefficients: _Operand,
    sums: _Operand,
    grain: int,
    activation: str = "linear",
    add: _Operand | None = None,
    y: _Operand | None = None,
    g: _Operand | None = None,
) -> Step: ...
def batch_gradient_reduce(
    sums: _Operand,
    coefficients: _Operand,
    dgamma: _Operand | None,
    dbeta: _Operand | None,
    lines: _Operand | None,
    count: float,
) -> Step: ...
def batch_input_gradient(
    dy: _Operand, x: _Operand, coefficients: _Operand, lines: _Operand, dx: _Operand, activation: str = "linear"
) -> Step: ...
def moving_average(parameter: _Operand, statistic: _Operand, momentum: float) -> Step: ...
