"""Dense layers with few outputs; `ops.dense` chooses between these and its own."""

from __future__ import annotations

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import narrow as kernels
from dlcore.ops.activations import activation_gradient
from dlcore.ops.base import BATCH_WIDE, SLAB_SAMPLES, Op, Tensor
from dlcore.ops.elementwise import bias_gradient

MAX_UNITS = kernels.MAX_UNITS


class Transpose(Op):
    """Weights (k, n) as (n, k). Its gradient is that of the weights, in their own layout."""

    axis = BATCH_WIDE
    prepares = True

    def __init__(self, w: Tensor):
        self.block = kernels.FEATURES * w.shape[1]
        super().__init__([w], w.shape[::-1])

    def of(self, w: Tensor) -> Tensor:
        """The same of other weights."""
        return Transpose(w).output

    def gradient(self, grads, wanted):
        return [grads[0]]

    def bind(self, at):
        return kernels.transpose(at.buffer(self.inputs[0]), at.buffer(self.output))

    def grain(self, tasks):
        return max(1, tasks // 32)


class Narrow(Op):
    slab = SLAB_SAMPLES

    def __init__(self, x: Tensor, w: Tensor):
        if x.ndim != 2 or x.shape[1] != w.shape[0]:
            raise ValueError(f"dense: expected x of shape (batch, {w.shape[0]}). Received: {x.shape}")
        self.activation = "linear"
        super().__init__([x, Transpose(w).output], (x.shape[0], w.shape[1]))

    def gradient(self, grads, wanted):
        x, wt = self.inputs[:2]
        dz = activation_gradient(grads[0], self.output, self.activation)
        dx = NarrowInputGradient(dz, wt).output if wanted[0] else None
        dw = NarrowWeightGradient(x, dz).output if wanted[1] else None
        return [dx, dw] + [bias_gradient(dz)] * (len(self.inputs) - 2)

    def bind(self, at):
        x, wt, *bias = (at.buffer(tensor) for tensor in self.inputs)
        kind = activation_kernels.KINDS[self.activation]
        return kernels.narrow_forward(x, wt, bias[0] if bias else None, at.buffer(self.output), kind)


class NarrowInputGradient(Op):
    slab = SLAB_SAMPLES

    def __init__(self, dy: Tensor, wt: Tensor):
        super().__init__([dy, wt], (dy.shape[0], wt.shape[1]))

    def bind(self, at):
        dy, wt = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.narrow_input_gradient(dy, wt, at.buffer(self.output))


class NarrowWeightGradient(Op):
    axis = BATCH_WIDE

    def __init__(self, x: Tensor, dy: Tensor):
        self.block = kernels.FEATURES * dy.shape[1]
        super().__init__([x, dy], (x.shape[1], dy.shape[1]))

    def bind(self, at):
        x, dy = (at.buffer(tensor) for tensor in self.inputs)
        return kernels.narrow_weight_gradient(x, dy, at.buffer(self.output))

    def grain(self, tasks):
        return max(1, tasks // 32)
