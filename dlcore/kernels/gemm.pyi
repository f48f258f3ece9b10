from dlcore.kernels.executor import Step
from dlcore.kernels.memory import _Operand

def packed_shape(k: int, n: int, batch: int = 1) -> tuple[int, int, int, int]: ...
def pack_b(b: _Operand, packed: _Operand, transpose: bool = False) -> Step: ...
def gemm(
    a: _Operand,
    b: _Operand,
    c: _Operand,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1,
    beta: float = 0,
    bias: _Operand | None = None,
    activation: int = 0,
    packed: _Operand | None = None,
    rows: int = 0,
) -> Step: ...
def shares_b(m: int, n: int, k: int, transpose_a: bool = False, transpose_b: bool = False) -> bool: ...
def tile_rows() -> int: ...
