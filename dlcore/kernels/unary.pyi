from collections.abc import Sequence

from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

KINDS: dict[str, tuple[int, int, str | None]]

def forward(x: _Operand, y: _Operand, kind: str, parameters: Sequence[float] = ()) -> Step: ...
def gradient(dy: _Operand, v: _Operand, dx: _Operand, kind: str, parameters: Sequence[float] = ()) -> Step: ...
