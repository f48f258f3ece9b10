"""Dense layers, and packing of weights, which convolution uses too.

Small weights are packed and read slab by slab. Large ones are left as they lie: a product packs what it needs of them,
so that no step writes and reads them once more, and a batch of a few samples reads them once."""

from __future__ import annotations

from math import prod

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import dense as kernels
from dlcore.kernels import gemm
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, SLAB_IMAGES, Op, Tensor
from dlcore.ops.elementwise import bias_gradient
from dlcore.ops.narrow import MAX_UNITS, Narrow

# A slab of a few samples reads all of the weights. Up to this many bytes they stay in L2 from slab to slab; beyond, the
# product runs as a stage of its own, in blocks of more rows.
SLAB_WEIGHTS = 512 * 1024

BLOCK = 32 * 1024  # floats of a weight gradient to a task: with the optimizer's state they stay in L2


class Pack(Op):
    """Weights as the register tile reads them. Its gradient is that of the weights, in their own layout."""

    axis = BATCH_WIDE
    prepares = True

    def __init__(self, w: Tensor, transpose: bool = False, groups: int = 1, joined: bool = False):
        self.transpose, self.groups, self.joined = transpose, groups, joined
        taps, (k, n) = prod(w.shape[:-2]), w.shape[-2:]
        if joined:
            taps, k = prod(w.shape[:-3]), prod(w.shape[-3:-1])
        n //= groups
        super().__init__([w], kernels.packed_shape(taps * (n if transpose else k), k if transpose else n, groups))

    def of(self, w: Tensor) -> Tensor:
        """The same of other weights."""
        return Pack(w, self.transpose, self.groups).output

    def gradient(self, grads, wanted):
        return [grads[0]]

    def bind(self, at):
        how = self.transpose, self.groups, self.joined
        return kernels.pack(at.buffer(self.inputs[0]), at.buffer(self.output), *how)

    def grain(self, tasks):
        return 1


def pack(w: Tensor, transpose: bool = False, groups: int = 1, joined: bool = False) -> Tensor:
    """w (taps..., k, n) in panels of register width; see `kernels.dense.pack`."""
    return Pack(w, transpose, groups, joined).output


class Dense(Op):
    slab = SLAB_IMAGES

    def __init__(self, x: Tensor, w: Tensor, transpose: bool = False):
        k, n = w.shape[::-1] if transpose else w.shape
        if x.ndim != 2 or x.shape[1] != k:
            raise ValueError(f"dense: expected x of shape (batch, {k}). Received: {x.shape}")
        self.w, self.transpose, self.activation = w, transpose, "linear"
        self.lying = 4 * k * n > SLAB_WEIGHTS
        if self.lying:
            self.axis = BATCH_WIDE
        super().__init__([x, w if self.lying else pack(w, transpose)], (x.shape[0], n))

    def gradient(self, grads, wanted):
        x = self.inputs[0]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Dense(dz, self.w, transpose=True).output if wanted[0] else None
        dw = DenseWeightGradient(x, dz).output if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, w, *bias = (at.buffer(tensor) for tensor in self.inputs)
        b, y, kind = bias[0] if bias else None, at.buffer(self.output), activation_kernels.KINDS[self.activation]
        if self.lying:
            return gemm.gemm(x, w, y, transpose_b=self.transpose, bias=b, activation=kind)
        return kernels.dense_forward(x, w, b, y, kind)

    def grain(self, tasks):
        return 1


def dense(x: Tensor, w: Tensor) -> Tensor:
    """x w: x (batch, k), w (k, n)."""
    return (Narrow if w.shape[1] <= MAX_UNITS else Dense)(x, w).output


class DenseWeightGradient(Op):
    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor):
        tile = gemm.tile_rows()
        self.rows = tile * max(1, min(8, BLOCK // (tile * max(dy.shape[1], 1))))
        self.block = self.rows * dy.shape[1]
        super().__init__([x, dy], (x.shape[1], dy.shape[1]))

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return gemm.gemm(x, dy, at.buffer(self.output), transpose_a=True, rows=self.rows)

    def grain(self, tasks):
        return 1
