"""Weights of samples and positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import ops
from dlcore.ops import Tensor


def mean_of_positions(values: Tensor) -> Tensor:
    """(batch, positions...) -> (batch,). An op that can average by itself does."""
    if values.ndim == 1:
        return values
    averaged = getattr(values.op, "averaged", None)
    if averaged is not None and values.op is not None and values.op.output is values:
        found: Tensor = averaged()
        return found
    return ops.mean(values)


def aligned(weight: Tensor, values: Tensor, name: str) -> Tensor:
    """`weight` with as many axes as `values`, each of size 1 or theirs.

    Raises:
        ValueError: it has other sizes.
    """
    shape = weight.shape
    if weight.ndim == values.ndim + 1 and shape[-1] == 1:
        shape = shape[:-1]
    shape = (*shape, *[1] * (values.ndim - len(shape)))
    if len(shape) != values.ndim or any(a not in (1, b) for a, b in zip(shape[1:], values.shape[1:], strict=True)):
        raise ValueError(
            f"{name}: sample_weight of shape {_shown(weight.shape)} does not go with values of shape "
            f"{_shown(values.shape)}"
        )
    return weight if shape == weight.shape else ops.reshape(weight, shape)


def weighted_mean(values: Tensor, weight: Tensor | None, name: str) -> Tensor:
    """The mean over positions of values * weight. values (batch, positions...), weight (batch, ...) -> (batch,)"""
    if weight is None:
        return mean_of_positions(values)
    weight = aligned(weight, values, name)
    if all(size == 1 for size in weight.shape[1:]):
        mean = mean_of_positions(values)
        return ops.multiply(mean, ops.reshape(weight, mean.shape))
    return mean_of_positions(ops.multiply(values, weight))


def _shown(shape: tuple[Any, ...]) -> str:
    return str(tuple("batch" if size is None else size for size in shape)).replace("'", "")


def reduce(values: np.ndarray, weight: Any, valid: Any, reduction: str | None, name: str) -> Any:
    """What Keras makes of the values of a batch, summed in float64.

    https://keras.io/api/losses/

    Args:
        values: (batch,) or (batch, positions...).
        weight: a number, or an array of the shape of values, of the beginning of it, or with axes of 1; None for 1.
        valid: array of values' shape, 0 where a value is masked; None for none.
        reduction: of `Loss`.
        name: of the loss.

    Returns:
        A float; an array for reduction None.

    Raises:
        ValueError: a weight of another shape.
    """
    each = values.astype(np.float64)
    factor = np.ones(())
    if valid is not None:
        factor = np.asarray(valid, np.float64)
        if reduction in ("mean", "sum_over_batch_size"):
            factor = factor * (factor.size / max(factor.sum(), 1))
    if weight is not None:
        factor = _aligned(np.asarray(weight, np.float64), each.shape, name) * factor
    each = each * factor
    if reduction in (None, "none"):
        return each.astype(np.float32)
    total = each.sum()
    if reduction == "sum":
        return float(total)
    count = each.size
    if reduction == "mean_with_sample_weight" and (weight is not None or valid is not None):
        count = factor.sum()
    return float(total / count) if count else 0.0


def _aligned(weight: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    given = weight.shape
    if weight.ndim == len(shape) + 1 and given[-1] == 1:
        weight = weight[..., 0]
    if weight.ndim:
        weight = weight.reshape(*weight.shape, *[1] * (len(shape) - weight.ndim))
    if weight.ndim > len(shape) or any(a not in (1, b) for a, b in zip(weight.shape, shape, strict=False)):
        raise ValueError(f"{name}: sample_weight of shape {given} does not go with values of shape {shape}")
    return weight
