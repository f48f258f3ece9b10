"""Normalization layers."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore._arguments import is_number
from dlcore.layers.base import Layer
from dlcore.layers.checks import only, shown
from dlcore.ops.base import Parameter, Tensor
from dlcore.ops.normalization import MovingAverage


def _number(value: Any, layer: str, argument: str, low: float, high: float, what: str) -> float:
    """`value` as a float in [low, high]."""
    if not is_number(value) or not low <= value <= high:
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
        kept: dict[str, Any],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.epsilon = _epsilon(epsilon, self.name)
        self.center, self.scale = bool(center), bool(scale)
        self._keep(**kept)
        self.gamma: Parameter | None = None
        self.beta: Parameter | None = None

    def _add_affine(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.gamma = self._weight("gamma", shape)
        if self.center:
            self.beta = self._weight("beta", shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon, "center": self.center, "scale": self.scale}


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
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: default None.
        renorm, synchronized: only False; renorm_clipping only None, and renorm_momentum is not used.

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
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        kept = dict(
            beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer, moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )  # fmt: skip
        super().__init__(epsilon, center, scale, kept, **kwargs)
        only(renorm, (False,), self.name, "renorm")
        only(renorm_clipping, (None,), self.name, "renorm_clipping")
        only(synchronized, (False,), self.name, "synchronized")
        self.axis = _whole(axis, self.name)
        self.momentum = _number(momentum, self.name, "momentum", 0, 1, "a number in [0, 1]")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = (_last_axis(self.axis, input_shape, self.name),)
        self._add_affine(shape)
        self.moving_mean = self._weight("moving_mean", shape, trainable=False)
        self.moving_variance = self._weight("moving_variance", shape, trainable=False)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        _expect_channels(inputs, self.moving_mean.shape[0], self)
        if not (training and self.trainable):
            return ops.normalize_by(inputs, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon)
        y, mean, variance = ops.batch_normalization(inputs, self.gamma, self.beta, self.epsilon)
        self.add_update(MovingAverage(self.moving_mean, mean, self.momentum))
        self.add_update(MovingAverage(self.moving_variance, variance, self.momentum))
        return y

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "momentum": self.momentum}


def _last_axes(axis: Any, input_shape: tuple[Any, ...], layer: str) -> int:
    """How many of the last axes `axis` names."""
    given = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    rank = len(input_shape)
    axes = sorted(a + rank if a < 0 else a for a in given)
    if not axes or axes[0] < 1 or axes != list(range(rank - len(axes), rank)):
        raise ValueError(
            f"{layer}: axis must name the last axis or the last few, without the batch. Received: axis={axis!r} "
            f"for an input of shape {shown(input_shape)}"
        )
    return len(axes)


def _axis(axis: Any, layer: str) -> int | list[int]:
    """An int, or a list of them."""
    given = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    if any(isinstance(a, bool) or not isinstance(a, int) for a in given):
        raise TypeError(f"{layer}: axis must be a whole number or a list of them. Received: axis={axis!r}")
    return given if isinstance(axis, (list, tuple)) else given[0]


class _Rows(Layer):
    """What layers that normalise the last axes of a sample share."""

    axis: int | list[int]

    def _shape_of(self, input_shape: tuple[Any, ...]) -> tuple[int, ...]:
        return tuple(input_shape[len(input_shape) - _last_axes(self.axis, input_shape, self.name) :])

    def _expect(self, x: Tensor, shape: tuple[int, ...]) -> int:
        """Refuse other sizes of the axes than the layer was built with; how many these are."""
        if x.ndim <= len(shape) or x.shape[x.ndim - len(shape) :] != shape:
            raise ValueError(
                f"{self.name}: expected an input of shape (batch, ..., {', '.join(map(str, shape))}). "
                f"Received: {shown(x.shape)}"
            )
        return len(shape)


class LayerNormalization(_Affine, _Rows):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, the mean and the variance of each sample's last axes.

    https://keras.io/api/layers/normalization_layers/layer_normalization/

    Args:
        axis: -1, or a list of the last few axes, without the batch.
        epsilon: added to the variance; default 0.001.
        center, scale: whether there is a beta, and a gamma; default True.
        beta_initializer, gamma_initializer: default "zeros" and "ones".
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: default None.

    Weights: gamma and beta, of the shape of these axes.

    Raises:
        TypeError: axis is no whole number.
        ValueError: another argument, or the input's shape, does not fit.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        kept = dict(
            beta_initializer=beta_initializer, gamma_initializer=gamma_initializer, beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        )  # fmt: skip
        super().__init__(epsilon, center, scale, kept, **kwargs)
        self.axis = _axis(axis, self.name)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self._sizes = self._shape_of(input_shape)
        self._add_affine(self._sizes)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        axes = self._expect(inputs, self._sizes)
        return ops.layer_normalization(inputs, self.gamma, self.beta, axes, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class RMSNormalization(_Rows):
    """x / sqrt(mean of x^2 + epsilon) * scale, the mean that of each sample's last axes.

    https://keras.io/api/layers/normalization_layers/rms_normalization/

    Args:
        axis: -1, or a list of the last few axes, without the batch.
        epsilon: added to the mean; default 1e-6.

    Weights: scale, of the shape of these axes.

    Raises:
        TypeError: axis is no whole number.
        ValueError: epsilon or the input's shape does not fit.
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis, self.epsilon = _axis(axis, self.name), _epsilon(epsilon, self.name)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.scale = self.add_weight(shape=self._shape_of(input_shape), name="scale", initializer="ones")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        axes = self._expect(inputs, self.scale.shape)
        return ops.layer_normalization(inputs, self.scale, None, axes, self.epsilon, "rms")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(_Rows):
    """x / sqrt(sum of x^2), the sum over each sample's last axes; zeros stay zeros.

    https://keras.io/api/layers/normalization_layers/unit_normalization/

    Args:
        axis: -1, or a list of the last few axes, without the batch.

    Raises:
        TypeError: axis is no whole number.
        ValueError: it is not among the last.
    """

    def __init__(self, axis: Any = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = _axis(axis, self.name)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return ops.layer_normalization(inputs, axes=_last_axes(self.axis, inputs.shape, self.name), kind="unit")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class GroupNormalization(_Affine):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta for (batch, ..., channels), the mean and the variance of
    each sample's groups of channels that follow each other.

    https://keras.io/api/layers/normalization_layers/group_normalization/

    Args:
        groups: how many; -1 for as many as there are channels (instance normalisation), default 32.
        axis: that of the channels; -1, the last, is the only one.
        epsilon: added to the variance; default 0.001.
        center, scale: whether there is a beta, and a gamma; default True.
        beta_initializer, gamma_initializer: default "zeros" and "ones".
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: default None.

    Weights: gamma and beta, each (channels,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        kept = dict(
            beta_initializer=beta_initializer, gamma_initializer=gamma_initializer, beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        )  # fmt: skip
        super().__init__(epsilon, center, scale, kept, **kwargs)
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            raise ValueError(f"{self.name}: groups must be a positive whole number or -1. Received: groups={groups!r}")
        self.groups, self.axis = groups, _whole(axis, self.name)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        channels = _last_axis(self.axis, input_shape, self.name)
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ValueError(
                f"{self.name}: the number of channels must be a multiple of groups. Received: groups={self.groups} "
                f"for an input of shape {shown(input_shape)}"
            )
        self._channels = channels
        self._add_affine((channels,))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        _expect_channels(inputs, self._channels, self)
        return ops.group_normalization(inputs, self.groups, self.gamma, self.beta, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}
