from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

def forward(x: _Operand, y: _Operand) -> Step: ...
def gradient(dy: _Operand, y: _Operand, dx: _Operand) -> Step: ...
def crossentropy(
    logits: _Operand,
    labels: _Operand,
    loss: _Operand,
    p: _Operand,
    dlogits: _Operand | None = None,
    dloss: float = 0,
    ignore: int | None = None,
) -> Step: ...
def crossentropy_gradient(
    dloss: _Operand, labels: _Operand, p: _Operand, dlogits: _Operand, ignore: int | None = None
) -> Step: ...
