"""Sums and scalings, and the sums over the batch that gradients need."""

from __future__ import annotations

from dlcore.kernels import activations as activation_kernels
from dlcore.kernels import elementwise as kernels
from dlcore.ops.base import BATCH, BATCH_WIDE, CHUNKS, Op, Tensor


class Add(Op):
    """Of two tensors of one shape. `graph.fuse` may set an activation that follows."""

    in_place = 0

    def __init__(self, a: Tensor, b: Tensor):
        self.activation = "linear"
        if a.shape != b.shape:
            raise ValueError(f"add: expected tensors of one shape. Received: {a.shape}, {b.shape}")
        super().__init__([a, b], a.shape)

    def gradient(self, grads, wanted):
        from dlcore.ops.activations import activation_gradient

        dx = grads[0] and activation_gradient(grads[0], self.output, self.activation)
        return [dx, dx]

    def bind(self, at):
        a, b, y = at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output)
        return kernels.add(a, b, y, activation_kernels.KINDS[self.activation])


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b, elementwise, of one shape."""
    return Add(a, b).output


class Rescale(Op):
    in_place = 0

    def __init__(self, x: Tensor, scale: float, offset: float = 0.0):
        self.scale, self.offset = float(scale), float(offset)
        super().__init__([x], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0] and rescale(grads[0], self.scale)]

    def bind(self, at):
        return kernels.rescale(at.buffer(self.inputs[0]), at.buffer(self.output), self.scale, self.offset)


def rescale(x: Tensor, scale: float, offset: float = 0.0) -> Tensor:
    """x * scale + offset."""
    return Rescale(x, scale, offset).output


class BiasAdd(Op):
    in_place = 0

    def __init__(self, x: Tensor, b: Tensor):
        super().__init__([x, b], x.shape)

    def gradient(self, grads, wanted):
        return [grads[0], bias_gradient(grads[0]) if wanted[1] else None]

    def bind(self, at):
        return kernels.bias_add(at.buffer(self.inputs[0]), at.buffer(self.inputs[1]), at.buffer(self.output))


def bias_add(x: Tensor, b: Tensor) -> Tensor:
    """x + b along the last axis."""
    return BiasAdd(x, b).output


class BiasGradient(Op):
    def __init__(self, dy: Tensor):
        super().__init__([dy], (CHUNKS, dy.shape[-1]))

    def bind(self, at):
        return kernels.bias_gradient(at.buffer(self.inputs[0]), at.buffer(self.output), at.grain)


class ReduceChunks(Op):
    """The sum of one partial result per slab, by a fixed tree. Destroys its input, so nobody else may read it."""

    axis = BATCH_WIDE
    block = kernels.REDUCE_BLOCK

    def __init__(self, parts: Tensor):
        super().__init__([parts], parts.shape[1:])

    def gradient(self, grads, wanted):  # that of each slab
        return [grads[0]]

    def bind(self, at):
        return kernels.reduce_chunks(at.buffer(self.inputs[0]), at.buffer(self.output))


def reduce_chunks(parts: Tensor) -> Tensor:
    """Sum over axis 0, the slabs."""
    return ReduceChunks(parts).output


def bias_gradient(dy: Tensor) -> Tensor:
    """Sum of dy over all axes but the last."""
    return reduce_chunks(BiasGradient(dy).output)


class MeanGradient(Op):
    """d mean(x) / dx for one value per sample: 1 / batch."""

    def __init__(self) -> None:
        super().__init__([], (BATCH,))

    def bind(self, at):
        return kernels.fill(at.buffer(self.output), 1.0 / at.batch)


def mean_gradient() -> Tensor:
    """The gradient that training starts from: the loss is the mean over the batch of one value per sample."""
    return MeanGradient().output
