"""Products of matrices, of the whole batch or sample by sample."""

from __future__ import annotations

from typing import Any

from dlcore.kernels import gemm as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor, operators
from dlcore.ops.broadcast import operands
from dlcore.ops.reduction import batched, total_over_batch
from dlcore.ops.reduction import sum as sum_


class MatMul(Op):
    """y = op(a) op(b), the last two axes; the others are the same, or one of the two has two axes only."""

    axis = BATCH_WIDE

    def __init__(self, a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False):
        self.transposes = transpose_a, transpose_b
        m = a.shape[-1 if transpose_a else -2]
        n = b.shape[-2 if transpose_b else -1]
        lead = a.shape[:-2] or b.shape[:-2]
        super().__init__([a, b], (*lead, m, n))

    def gradient(self, grads, wanted):
        (a, b), (ta, tb), dy = self.inputs, self.transposes, grads[0]
        da = (b, dy, tb, True) if ta else (dy, b, False, not tb)
        db = (dy, a, True, ta) if tb else (a, dy, not ta, False)
        return [
            _for(x, self.output, *product) if wish else None
            for x, product, wish in zip((a, b), (da, db), wanted, strict=True)
        ]

    def bind(self, at):
        a, b = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.gemm(a, b, at.buffer(self.output), *self.transposes)


class MatMulSum(Op):
    """y = a^T b, summed over all axes but the last: the gradient of a matrix that serves every row."""

    axis = BATCH_WIDE

    def __init__(self, a: Tensor, b: Tensor):
        super().__init__([a, b], (a.shape[-1], b.shape[-1]))

    def gradient(self, grads, wanted):
        a, b = self.inputs
        return [
            MatMul(b, grads[0], False, True).output if wanted[0] else None,
            MatMul(a, grads[0]).output if wanted[1] else None,
        ]

    def bind(self, at):
        a, b = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.gemm(a, b, at.buffer(self.output), transpose_a=True)


def _for(x: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool) -> Tensor:
    """op(a) op(b) as the gradient of x: where x served all matrices of y, or all rows, their sum."""
    shared = x.ndim < y.ndim or (batched(y) and not batched(x))
    if shared and transpose_a and not transpose_b and a.ndim == b.ndim:
        return MatMulSum(a, b).output
    product = MatMul(a, b, transpose_a, transpose_b).output
    if not shared:
        return product
    others = tuple(range(batched(y), y.ndim - 2))
    return total_over_batch(product, others, x.shape) if batched(y) else sum_(product, others)


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """The matrix product of the last two axes, as `numpy.matmul` has it for two axes or more; also a @ b.

    Args:
        a: (..., m, k), or (..., k, m) with `transpose_a`.
        b: (..., k, n), or (..., n, k) with `transpose_b`. The leading axes of a and b are the same, or one of the
            two has none, as a weight has: it is then multiplied with every matrix of the other. One of them may be an
            array. With `transpose_b`, a batch of one row may round in another way than a larger one.

    Raises:
        ValueError: the shapes do not fit together, or the sum would run over the batch.
        TypeError: neither is a tensor nor an array.
    """
    if a is None or b is None:
        raise TypeError(f"matmul: expected tensors or arrays. Received: {a!r} and {b!r}")
    a, b = operands("matmul", a, b)
    shapes = f"Received: {getattr(a, 'shape', a)} and {getattr(b, 'shape', b)}, {transpose_a=}, {transpose_b=}"
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.ndim < 2 or b.ndim < 2:
        raise ValueError(f"matmul: expected a and b with 2 axes or more. {shapes}")
    if (a.ndim == 2 and batched(a) and (transpose_a or b.ndim > 2)) or (b.ndim == 2 and batched(b)):
        raise ValueError(f"matmul: the batch is no axis of a matrix but the rows of a, for a weight b. {shapes}")
    k, depth = a.shape[-2 if transpose_a else -1], b.shape[-1 if transpose_b else -2]
    if k != depth or (a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]):
        raise ValueError(f"matmul: the shapes do not fit together. {shapes}")
    return MatMul(a, b, transpose_a, transpose_b).output


operators["matmul"] = matmul
