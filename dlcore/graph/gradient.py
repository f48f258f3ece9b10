"""Gradients as a rewrite: the backward ops join the graph that the forward ops are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlcore.graph.graph import topological
from dlcore.ops.base import Tensor


def gradients(
    loss: Tensor, seed: Tensor, wanted: Sequence[Tensor], add: Callable[[Tensor, Tensor], Tensor]
) -> list[Tensor | None]:
    """Tensors of d loss / d w for each w in `wanted`; None where the loss does not depend on it.

    Args:
        loss: what is differentiated, one value per sample.
        seed: the gradient of what training minimises with respect to `loss`.
        add: the op that sums two gradients of one tensor.
    """
    if loss.op is None:
        return [None] * len(wanted)
    forward = topological([loss.op])
    needed = set(wanted)  # tensors through which a wanted one reaches the loss
    for op in forward:
        if not op.constant and any(tensor in needed for tensor in op.inputs):
            needed.update(op.outputs)

    found: dict[Tensor, Tensor] = {loss: seed}
    for op in reversed(forward):
        arriving = [found.get(tensor) for tensor in op.outputs]
        wishes = [tensor in needed for tensor in op.inputs]
        if op.constant or not any(wishes) or not any(arriving):
            continue
        for tensor, wish, gradient in zip(op.inputs, wishes, op.gradient(arriving, wishes), strict=True):
            if not wish:
                continue
            if gradient is None:
                raise TypeError(f"{type(op).__name__} has no gradient with respect to {tensor!r}")
            found[tensor] = add(found[tensor], gradient) if tensor in found else gradient
    return [found.get(tensor) for tensor in wanted]
