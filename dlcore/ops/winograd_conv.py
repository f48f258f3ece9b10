"""What convolution in Winograd's domain needs beside `ops.conv`, which chooses it: weights in that domain."""

from __future__ import annotations

from dlcore.kernels import winograd_conv as kernels
from dlcore.ops.base import BATCH_WIDE, Op, Tensor


class TransformWeights(Op):
    """3x3 weights in Winograd's domain. Its gradient is that of the weights, in their own layout."""

    axis = BATCH_WIDE
    prepares = True

    def __init__(self, w: Tensor, form: tuple[int, int], transpose: bool = False):
        self.form, self.transpose = form, transpose
        k, n = w.shape[:1:-1] if transpose else w.shape[2:]
        super().__init__([w], kernels.weights_shape(k, n, form))

    def of(self, w: Tensor) -> Tensor:
        """The same of other weights."""
        return TransformWeights(w, self.form, self.transpose).output

    def gradient(self, grads, wanted):
        return [grads[0]]

    def bind(self, at):
        return kernels.transform_weights(at.buffer(self.inputs[0]), at.buffer(self.output), self.transpose)

    def grain(self, tasks):
        return 1


def transform_weights(w: Tensor, form: tuple[int, int], transpose: bool = False) -> Tensor:
    """w (3, 3, ic, oc) for tiles that give `form` = (rows, cols) pixels; see
    `kernels.winograd_conv.transform_weights`."""
    return TransformWeights(w, form, transpose).output
