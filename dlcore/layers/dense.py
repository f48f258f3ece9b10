"""Dense layers."""

from __future__ import annotations

from typing import Any

from dlcore import activations, initializers, ops
from dlcore.layers.base import Layer, expect_rank, positive, sample_shape, shown
from dlcore.ops.base import Tensor


class Dense(Layer):
    """y = activation(x kernel + bias): (batch, features) -> (batch, units).

    https://keras.io/api/layers/core_layers/dense/

    Args:
        units: output features.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        kernel_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        input_dim: the same as input_shape=(input_dim,).

    Weights: kernel (features, units), bias (units,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        *,
        input_dim: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if input_dim is not None and self.given_input_shape is None:
            self.given_input_shape = sample_shape(input_dim, self.name, "input_dim")
        self.units = positive(units, self.name, "units")
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if len(input_shape) != 2:
            raise ValueError(
                f"{self.name}: expected an input of shape (batch, features); a Flatten layer in front makes "
                f"one. Received: {shown(input_shape)}"
            )
        self.kernel = self.add_weight((input_shape[1], self.units), self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias") if self.use_bias else None

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        expect_rank(x, 2, self, "(batch, features)")
        if x.shape[1] != self.kernel.shape[0]:
            raise ValueError(
                f"{self.name}: expected an input of shape (None, {self.kernel.shape[0]}). Received: {shown(x.shape)}"
            )
        y = ops.dense(x, self.kernel)
        return self.activation(y if self.bias is None else ops.bias_add(y, self.bias))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "units": self.units, "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias, "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }  # fmt: skip
