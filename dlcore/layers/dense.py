"""Dense layers."""

from __future__ import annotations

from math import prod
from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import only, positive, shown
from dlcore.ops.base import Tensor


class Dense(Layer):
    """y = activation(x kernel + bias) of the last axis: (batch, ..., features) -> (batch, ..., units).

    https://keras.io/api/layers/core_layers/dense/

    Args:
        units: output features.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        kernel_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        kernel_constraint, bias_constraint: applied after each update, default None.
        lora_rank, lora_alpha, quantization_config: None.

    Weights: kernel (features, units), bias (units,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    activation: Any

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = positive(units, self.name, "units")
        self.use_bias = bool(use_bias)
        self._keep(
            activation=activation, kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        only(lora_rank, (None,), self.name, "lora_rank")
        only(lora_alpha, (None,), self.name, "lora_alpha")
        only(quantization_config, (None,), self.name, "quantization_config")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if len(input_shape) < 2:
            raise ValueError(
                f"{self.name}: expected an input of shape (batch, ..., features). Received: {shown(input_shape)}"
            )
        self.kernel = self._weight("kernel", (input_shape[-1], self.units))
        self.bias = self._weight("bias", (self.units,)) if self.use_bias else None

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if x.ndim < 2 or x.shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"{self.name}: expected an input of shape (None, ..., {self.kernel.shape[0]}). "
                f"Received: {shown(x.shape)}"
            )
        if x.ndim == 2:
            y = ops.dense(x, self.kernel)
        else:  # as pixels of an image, and a kernel of 1x1
            y = ops.conv2d(ops.reshape(x, (x.shape[0], 1, prod(x.shape[1:-1]), x.shape[-1])), self.kernel)
        y = y if self.bias is None else ops.bias_add(y, self.bias)
        if x.ndim > 2:
            y = ops.reshape(y, (*x.shape[:-1], self.units))
        return self.activation(y)  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "use_bias": self.use_bias}
