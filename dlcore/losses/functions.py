"""Losses as functions of targets and predictions, giving one value for each position: of arrays an array, of symbolic
tensors a tensor. Probabilities are clipped to [1e-7, 1 - 1e-7], as Keras does.

https://keras.io/api/losses/
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from math import log, prod
from typing import Any

import numpy as np

from dlcore import ops
from dlcore._arguments import is_number
from dlcore.ops import Tensor

EPSILON = 1e-7


def either(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of tensors take arrays as well."""
    sparse, scalar = function.__name__.startswith("sparse"), function.__name__ in ("dice", "tversky")
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(y_pred, Tensor):
            return function(y_true if sparse else _like(y_true, y_pred), y_pred, *args, **kwargs)
        from dlcore.graph.eager import compute

        p = np.asarray(y_pred, np.float32)
        y = np.asarray(y_true, np.int32 if sparse else np.float32)
        if y.ndim == p.ndim + (not sparse) and y.shape[-1] == 1:
            y = y[..., 0]
        if not sparse and y.ndim == p.ndim - 1 and p.shape[-1] == 1:
            y = y[..., None]
        if not sparse and y.shape != p.shape:
            raise ValueError(
                f"{function.__name__}: expected y_true and y_pred of one shape. Received: {y.shape}, {p.shape}"
            )
        alone = p.ndim == 1  # one sample without its axis
        if alone:
            p, y = p[None], y[None]
        values = compute(lambda y, p: function(y, p, *args, **kwargs), y, p)
        whole = scalar and signature.bind(y_true, y_pred, *args, **kwargs).arguments.get("axis") is None
        return values[0] if alone or whole else values

    called.sparse = sparse  # type: ignore[attr-defined]
    return called


def _like(y: Tensor, p: Tensor) -> Tensor:
    """Targets as float32 of the predictions' shape."""
    if y.dtype == "i":
        y = ops.cast(y, "float32")
    if y.shape != p.shape and prod(y.shape[1:]) == prod(p.shape[1:]):
        y = ops.reshape(y, p.shape)
    return y


def axis_of(name: str, axis: Any, ndim: int) -> int:
    """`axis` counted from the front.

    Raises:
        ValueError: no axis of a sample.
    """
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise ValueError(f"{name}: `axis` must be of type `int`. Received: axis={axis!r}")
    found = int(axis) + (ndim if axis < 0 else 0)
    if not 0 < found < ndim:
        raise ValueError(f"{name}: axis must be one of the {ndim} axes but the first. Received: axis={axis}")
    return found


def _log_probabilities(p: Tensor, from_logits: bool, axis: int) -> Tensor:
    """log p, normalised along `axis` and clipped."""
    if from_logits:
        return ops.log_softmax(p, axis)
    return ops.log(ops.clip(p / ops.sum(p, axis, keepdims=True), EPSILON, 1.0 - EPSILON))


def smoothed(y: Tensor, label_smoothing: float, share: float) -> Tensor:
    """y (1 - label_smoothing) + label_smoothing * share."""
    return ops.rescale(y, 1.0 - label_smoothing, label_smoothing * share) if label_smoothing else y


# ---------------------------------------------------------------------------------------------------------------------
# regression


@either
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean (p - y)^2 over the last axis."""
    return ops.mean_squared_error(y_true, y_pred, positions=True)


@either
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean |p - y| over the last axis."""
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


@either
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 mean |p - y| / max(|y|, 1e-7) over the last axis."""
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), EPSILON)), axis=-1)


@either
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean (log(1 + p) - log(1 + y))^2 over the last axis, p and y at least 1e-7."""
    first, second = (ops.log1p(ops.maximum(x, EPSILON)) for x in (y_pred, y_true))
    return ops.mean(ops.square(first - second), axis=-1)


@either
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean over the last axis of e^2 / 2 where e = |p - y| <= delta, else delta e - delta^2 / 2."""
    error = ops.abs(y_pred - y_true)
    near = ops.minimum(error, delta)
    return ops.mean(0.5 * ops.square(near) + delta * (error - near), axis=-1)


@either
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean log cosh (p - y) over the last axis, as e + softplus(-2e) - log 2."""
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(-2.0 * error) - log(2.0), axis=-1)


@either
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-(the cosine of the angle between y and p) along `axis`: -1 where they agree, 1 where they are opposite."""
    return -cosine(y_true, y_pred, axis)


def cosine(y: Tensor, p: Tensor, axis: int = -1) -> Tensor:
    """The cosine of the angle between y and p along `axis`; 0 for a vector of zeros."""
    axis = axis_of("cosine_similarity", axis, p.ndim)
    # Keras: x * min(1 / |x|, 1e7); this never divides by zero, not even in the gradient
    one, other = (ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis), EPSILON**2)) for x in (y, p))
    return ops.sum(y * p, axis=axis) * one * other


@either
def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean (p - y log(p + 1e-7)) over the last axis."""
    return ops.mean(y_pred - y_true * ops.log(y_pred + EPSILON), axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# probabilities


@either
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum y log(y / p) over the last axis, y and p clipped to [1e-7, 1]."""
    y, p = ops.clip(y_true, EPSILON, 1.0), ops.clip(y_pred, EPSILON, 1.0)
    return ops.sum(y * ops.log(y / p), axis=-1)


def _bce(y: Tensor, p: Tensor, from_logits: bool) -> Tensor:
    """Binary cross-entropy of each entry."""
    loss = ops.binary_crossentropy_logits if from_logits else ops.binary_crossentropy
    single = (*p.shape, 1)
    return loss(ops.reshape(y, single), ops.reshape(p, single), positions=True)


@either
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """mean -(y log p + (1 - y) log(1 - p)) over `axis`. Label smoothing draws targets towards a half."""
    y_true = smoothed(y_true, label_smoothing, 0.5)
    if axis_of("binary_crossentropy", axis, y_pred.ndim) != y_pred.ndim - 1:
        return ops.mean(_bce(y_true, y_pred, from_logits), axis=axis)
    loss = ops.binary_crossentropy_logits if from_logits else ops.binary_crossentropy
    return loss(y_true, y_pred, positions=True)


@either
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """mean over `axis` of binary cross-entropy times (1 - q)^gamma, where q is the probability of the truth: what is
    known already weighs less. With class balancing times alpha for 1 and 1 - alpha for 0.

    Lin et al., Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002
    """
    axis = axis_of("binary_focal_crossentropy", axis, y_pred.ndim)
    y = smoothed(y_true, label_smoothing, 0.5)
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    off = y + p - 2.0 * y * p  # 1 - q
    loss = ops.power(off, gamma) * _bce(y, p, False)
    if apply_class_balancing:
        loss = (y * alpha + (1.0 - y) * (1.0 - alpha)) * loss
    return ops.mean(loss, axis=axis)


@either
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """-sum y log p over `axis`, p normalised. Label smoothing draws targets towards 1 / classes."""
    axis = axis_of("categorical_crossentropy", axis, y_pred.ndim)
    y = smoothed(y_true, label_smoothing, 1.0 / y_pred.shape[axis])
    if axis != y_pred.ndim - 1:
        return -ops.sum(y * _log_probabilities(y_pred, from_logits, axis), axis)
    loss = ops.softmax_crossentropy if from_logits else ops.categorical_crossentropy
    return loss(y, y_pred, positions=True)


@either
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum alpha (1 - p)^gamma y log p over `axis`, p normalised; alpha is a number or one for each class.

    Lin et al., Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002
    """
    axis = axis_of("categorical_focal_crossentropy", axis, y_pred.ndim)
    y = smoothed(y_true, label_smoothing, 1.0 / y_pred.shape[axis])
    p = ops.softmax(y_pred, axis) if from_logits else y_pred
    q = ops.clip(p / ops.sum(p, axis, keepdims=True), EPSILON, 1.0 - EPSILON)
    loss = ops.power(1.0 - q, gamma) * y * ops.log(q)
    if not is_number(alpha):
        alpha = np.asarray(alpha, np.float32).reshape(-1, *[1] * (p.ndim - 1 - axis))
    return -ops.sum(alpha * loss, axis)


@either
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """-log of the probability of class y, 0 where y is `ignore_class`. y has the axes of p without `axis`."""
    axis = axis_of("sparse_categorical_crossentropy", axis, y_pred.ndim)
    if axis == y_pred.ndim - 1:
        loss = ops.softmax_crossentropy if from_logits else ops.sparse_categorical_crossentropy
        return loss(y_true, y_pred, positions=True, ignore=ignore_class)
    y = ops.cast(y_true, "float32")
    classes = np.arange(y_pred.shape[axis], dtype=np.float32).reshape(-1, *[1] * (y_pred.ndim - 1 - axis))
    one_hot = ops.equal(ops.reshape(y, (*y.shape[:axis], 1, *y.shape[axis:])), classes)
    value = -ops.sum(one_hot * _log_probabilities(y_pred, from_logits, axis), axis)
    return value if ignore_class is None else value * ops.not_equal(y, float(ignore_class))


# ---------------------------------------------------------------------------------------------------------------------
# margins and overlaps


def signs(y: Tensor) -> Tensor:
    """-1 where y is 0, else y. (Keras maps 0 to -1 in batches that have only zeros and ones; others with a zero in them
    mean nothing.)"""
    return y - ops.equal(y, 0.0)


@either
def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean max(1 - y p, 0) over the last axis; y is -1 or 1, or 0 for -1."""
    return ops.mean(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0), axis=-1)


@either
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean max(1 - y p, 0)^2 over the last axis; y is -1 or 1, or 0 for -1."""
    return ops.mean(ops.square(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0)), axis=-1)


@either
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(1 + max (1 - y) p - sum y p, 0) over the last axis; y is one-hot."""
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


def _total(x: Tensor, axis: Any) -> Tensor:
    """The sum over axes of a sample; with axis None over everything, samples too: (1,)."""
    if axis is not None:
        axes = [axis] if isinstance(axis, int) else list(axis)
        return ops.sum(x, axis=tuple(axis_of("axis", one, x.ndim) for one in axes))
    return ops.batch_sum(ops.sum(x))


def _spread(value: Tensor, like: Tensor, axis: Any) -> Tensor:
    """A value of the whole batch as one of each sample."""
    return value if axis is not None else ops.rescale(ops.sum(like), 0.0) + value


@either
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """1 - 2 sum y p / (sum y + sum p + 1e-7): one value for all, or by the axes of a sample that are summed over."""
    both = _total(y_true * y_pred, axis)
    value = 1.0 - 2.0 * both / (_total(y_true, axis) + _total(y_pred, axis) + EPSILON)
    return _spread(value, y_pred, axis)


@either
def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """1 - sum y p / (sum y p + alpha sum y (1 - p) + beta sum p (1 - y) + 1e-7): one value for all, or by `axis`.

    Salehi et al., Tversky loss function, https://arxiv.org/abs/1706.05721
    """
    both = _total(y_true * y_pred, axis)
    missed, false = _total(y_true * (1.0 - y_pred), axis), _total(y_pred * (1.0 - y_true), axis)
    value = 1.0 - both / (both + alpha * missed + beta * false + EPSILON)
    return _spread(value, y_pred, axis)
