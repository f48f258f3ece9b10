from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

KINDS: dict[str, int]

def forward(x: _Operand, y: _Operand, kind: str) -> Step: ...
def gradient(dy: _Operand, y: _Operand, dx: _Operand, kind: str, more: _Operand | None = None) -> Step: ...
