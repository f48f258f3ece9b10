"""Dense layers on packed weights, and packing itself, which convolution uses too."""

from __future__ import annotations

from math import prod

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import dense as kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, Op, Tensor
from dlcore.ops.elementwise import bias_gradient
from dlcore.ops.narrow import MAX_UNITS, Narrow

# A slab of a few samples reads all of the weights. Up to this many bytes they stay in L2 from slab to slab; beyond, the
# product runs as a stage of its own, in blocks of more rows.
SLAB_WEIGHTS = 512 * 1024


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
    def __init__(self, x: Tensor, w: Tensor, transpose: bool = False):
        k, n = w.shape[::-1] if transpose else w.shape
        if x.ndim != 2 or x.shape[1] != k:
            raise ValueError(f"dense: expected x of shape (batch, {k}). Received: {x.shape}")
        self.w, self.activation = w, "linear"
        if 4 * k * n > SLAB_WEIGHTS:
            self.axis = BATCH_WIDE
        super().__init__([x, pack(w, transpose)], (x.shape[0], n))

    def gradient(self, grads, wanted):
        x = self.inputs[0]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = Dense(dz, self.w, transpose=True).output if wanted[0] else None
        dw = DenseWeightGradient(x, dz).output if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, packed, *bias = (at.buffer(tensor) for tensor in self.inputs)
        kind = activation_kernels.KINDS[self.activation]
        return kernels.dense_forward(x, packed, bias[0] if bias else None, at.buffer(self.output), kind)

    def grain(self, tasks):
        return 48 if tasks >= 192 else 24


def dense(x: Tensor, w: Tensor) -> Tensor:
    """x w: x (batch, k), w (k, n)."""
    return (Narrow if w.shape[1] <= MAX_UNITS else Dense)(x, w).output


class DenseWeightGradient(Op):
    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor):
        self.block = kernels.WEIGHT_ROWS * dy.shape[1]
        super().__init__([x, dy], (x.shape[1], dy.shape[1]))

    def bind(self, at):
        return kernels.dense_weight_gradient(
            at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output)
        )

    def grain(self, tasks):
        return max(1, min(16, tasks // 32))
