"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcore import ops
from dlcore._arguments import is_number
from dlcore.layers.base import Layer
from dlcore.layers.checks import shown
from dlcore.ops.base import Tensor
from dlcore.regularizers import L1L2


def _number(value: Any, layer: str, argument: str, least: float | None = 0.0) -> float:
    """`value` as a float of at least `least`."""
    if not is_number(value) or (least is not None and not value >= least):
        wanted = "a number" if least is None else f"a number of at least {least:g}"
        raise ValueError(f"{layer}: {argument} must be {wanted}. Received: {argument}={value!r}")
    return float(value)


class Activation(Layer):
    """An activation by name or function, any shape.

    https://keras.io/api/layers/core_layers/activation/

    Args:
        activation: a name of `dlcore.activations`, or a function of a tensor.
    """

    activation: Any

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self._keep(activation=activation)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.activation(x)  # type: ignore[no-any-return]


class ReLU(Layer):
    """x above the threshold, but at most max_value; negative_slope * (x - threshold) elsewhere. Any shape.

    https://keras.io/api/layers/activation_layers/relu/

    Args:
        max_value: at least 0, or None for no limit.
        negative_slope: at least 0.
        threshold: at least 0.
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _number(max_value, self.name, "max_value")
        self.negative_slope = _number(negative_slope, self.name, "negative_slope")
        self.threshold = _number(threshold, self.name, "threshold")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.relu(x, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "max_value": self.max_value, "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }  # fmt: skip


class LeakyReLU(Layer):
    """x where it is positive, negative_slope * x elsewhere. Any shape.

    https://keras.io/api/layers/activation_layers/leaky_relu/

    Args:
        negative_slope: at least 0.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        super().__init__(**kwargs)
        self.negative_slope = _number(negative_slope, self.name, "negative_slope")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.leaky_relu(x, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class PReLU(Layer):
    """x where it is positive, alpha * x elsewhere, with alpha (...) learned, one for each element of a sample.

    https://keras.io/api/layers/activation_layers/prelu/

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of alpha, default "zeros", None and None.
        shared_axes: axes of the input (1 is the first after the batch) that share one alpha, as [1, 2] for one per
            channel of an image.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._keep(
            alpha_initializer=alpha_initializer, alpha_regularizer=alpha_regularizer, alpha_constraint=alpha_constraint
        )
        given = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        if given is not None and not (
            isinstance(given, (list, tuple)) and all(isinstance(axis, int) and axis > 0 for axis in given)
        ):
            raise ValueError(
                f"{self.name}: shared_axes must hold whole numbers from 1. Received: shared_axes={shared_axes!r}"
            )
        self.shared_axes = None if given is None else list(given)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shared = self.shared_axes or []
        if any(axis >= len(input_shape) for axis in shared):
            raise ValueError(f"{self.name}: shared_axes={shared} are not axes of an input {shown(input_shape)}")
        shape = tuple(1 if axis in shared else size for axis, size in enumerate(input_shape) if axis)
        self.alpha = self._weight("alpha", shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.prelu(x, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shared_axes": self.shared_axes}


class ELU(Layer):
    """x where it is positive, alpha * (e^x - 1) elsewhere. Any shape.

    https://keras.io/api/layers/activation_layers/elu/

    Args:
        alpha: any number.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = _number(alpha, self.name, "alpha", least=None)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.elu(x, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(Layer):
    """exp(x) / sum exp(x) over an axis, or several.

    https://keras.io/api/layers/activation_layers/softmax/

    Args:
        axis: number of an axis, not 0; -1, the channels. Or a list of such.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any):
        super().__init__(**kwargs)
        given = axis if isinstance(axis, (list, tuple)) else [axis]
        if not given or not all(isinstance(a, int) and not isinstance(a, bool) and a != 0 for a in given):
            raise ValueError(f"{self.name}: axis must be a whole number but 0, or several. Received: axis={axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.softmax(x, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class ActivityRegularization(Layer):
    """Gives what it gets, and adds l1 sum |x| + l2 sum x^2 of each sample, on average over the batch, to the loss.

    https://keras.io/api/layers/regularization_layers/activity_regularization/

    Args:
        l1, l2: factors of at least 0, default 0.

    Raises:
        ValueError: not such a number.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.l1, self.l2 = _number(l1, self.name, "l1"), _number(l2, self.name, "l2")
        self.activity_regularizer = L1L2(self.l1, self.l2)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}
