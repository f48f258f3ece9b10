from typing import Any

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

def resize_forward(x: _Operand, y: _Operand, rows: tuple[Any, Any], cols: tuple[Any, Any]) -> Step: ...
def resize_gradient(dy: _Operand, dx: _Operand, rows: tuple[Any, Any], cols: tuple[Any, Any]) -> Step: ...
