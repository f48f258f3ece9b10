"""Normalization layers."""

from __future__ import annotations

from typing import Any

from dlcore import initializers, ops
from dlcore.layers.base import Layer, shown
from dlcore.ops.base import Parameter, Tensor
from dlcore.ops.normalization import MovingAverage


def _number(value: Any, layer: str, argument: str, low: float, high: float, what: str) -> float:
    """`value` as a float in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{layer}: {argument} must be {what}. Received: {argument}={value!r}")
    return float(value)


def _epsilon(value: Any, layer: str) -> float:
    return _number(value, layer, "epsilon", 0, float("inf"), "a number of at least 0")


class _Affine(Layer):
    """What layers with gamma and beta share.

    Weights: gamma if `scale`, beta if `center`, in this order.
    """

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.epsilon = _epsilon(epsilon, self.name)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.gamma: Parameter | None = None
        self.beta: Parameter | None = None

    def _add_affine(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.gamma = self.add_weight(shape=shape, name="gamma", initializer=self.gamma_initializer)
        if self.center:
            self.beta = self.add_weight(shape=shape, name="beta", initializer=self.beta_initializer)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "epsilon": self.epsilon, "center": self.center, "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
        }  # fmt: skip


def _last_axis(axis: Any, input_shape: tuple[Any, ...], layer: str) -> int:
    """Size of the last axis, the only one that `axis` may name."""
    if len(input_shape) < 2:
        raise ValueError(f"{layer}: expected an input of shape (batch, ..., channels). Received: {shown(input_shape)}")
    if axis not in (-1, len(input_shape) - 1):
        raise ValueError(
            f"{layer}: axis must be -1, that of the channels, which come last in dlcore. Received: axis={axis!r} "
            f"for an input of shape {shown(input_shape)}"
        )
    return int(input_shape[-1])


def _whole(axis: Any, layer: str) -> int:
    """`axis` as an int; a list of one will do."""
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(f"{layer}: axis must be a whole number. Received: axis={axis!r}")
    return axis


def _expect_channels(x: Tensor, channels: int, layer: Layer) -> None:
    if x.ndim < 2 or x.shape[-1] != channels:
        raise ValueError(
            f"{layer.name}: expected an input of shape (batch, ..., {channels}). Received: {shown(x.shape)}"
        )


class BatchNormalization(_Affine):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta by channel of (batch, ..., channels).

    https://keras.io/api/layers/normalization_layers/batch_normalization/

    In training, mean and variance are those of the batch, over all axes but the last, and the moving ones follow them:
    moving = moving * momentum + batch * (1 - momentum). The variance divides by the number of values in both. Otherwise
    the moving ones are used; so they are in training while `trainable` is False.

    Args:
        axis: that of the channels; -1, the last, is the only one.
        momentum: of the moving statistics, in [0, 1]; default 0.99.
        epsilon: added to the variance; default 0.001.
        center, scale: whether there is a beta, and a gamma; default True.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: default "zeros",
            "ones", "zeros" and "ones".
        renorm, synchronized: only False.

    Weights: gamma, beta, moving_mean, moving_variance, each (channels,); the last two are not trainable.

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        *,
        renorm: bool = False,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **kwargs)
        for argument, value in (("renorm", renorm), ("synchronized", synchronized)):
            if value:
                raise ValueError(f"{self.name}: {argument} must be False. Received: {argument}={value!r}")
        self.axis = _whole(axis, self.name)
        self.momentum = _number(momentum, self.name, "momentum", 0, 1, "a number in [0, 1]")
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = (_last_axis(self.axis, input_shape, self.name),)
        self._add_affine(shape)
        self.moving_mean = self.add_weight(
            shape=shape, name="moving_mean", initializer=self.moving_mean_initializer, trainable=False
        )
        self.moving_variance = self.add_weight(
            shape=shape, name="moving_variance", initializer=self.moving_variance_initializer, trainable=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        _expect_channels(inputs, self.moving_mean.shape[0], self)
        if not (training and self.trainable):
            return ops.normalize_by(inputs, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon)
        y, mean, variance = ops.batch_normalization(inputs, self.gamma, self.beta, self.epsilon)
        self.add_update(MovingAverage(self.moving_mean, mean, self.momentum))
        self.add_update(MovingAverage(self.moving_variance, variance, self.momentum))
        return y

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "axis": self.axis, "momentum": self.momentum,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
        }  # fmt: skip
