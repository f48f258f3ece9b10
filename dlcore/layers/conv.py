"""Convolution layers."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.layers.checks import positive, shown
from dlcore.layers.spatial import LAYOUTS, Convolution
from dlcore.ops.base import Tensor


class _Conv(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        kept = dict(
            activation=activation, kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, use_bias, kept, **kwargs)
        self.filters = positive(filters, self.name, "filters")
        self.groups = positive(groups, self.name, "groups")
        if self.filters % self.groups:
            raise ValueError(
                f"{self.name}: filters must be a multiple of groups. Received: filters={filters}, groups={groups}"
            )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.expect(input_shape)
        if input_shape[-1] % self.groups:
            raise ValueError(
                f"{self.name}: expected an input of shape {LAYOUTS[self.rank]}, channels a multiple of "
                f"groups={self.groups}. Received: {shown(input_shape)}"
            )
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self._weight("kernel", shape)
        self.add_bias(self.filters)

    def convolve(self, x: Tensor) -> Tensor:
        self.expect_window(self.kernel.shape[-2] * self.groups, x)
        image = self.image(x)
        return ops.conv2d(image, self.kernel, *self.geometry(image), self.groups)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "groups": self.groups}


class Conv1D(_Conv):
    """1-D convolution: (batch, steps, channels) -> (batch, new steps, filters).

    https://keras.io/api/layers/convolution_layers/convolution1d/

    Args:
        filters: output channels.
        kernel_size: int, or a tuple of one.
        strides: likewise, default 1.
        padding: "valid" (none), "same" (zeros, so that the output has ceil(steps / stride) steps) or "causal" (zeros in
            front, so that a step sees no later one).
        data_format: None or "channels_last".
        dilation_rate: int, default 1.
        groups: the channels are split into this many independent convolutions.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        kernel_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        kernel_constraint, bias_constraint: applied after each update, default None.

    Weights: kernel (kernel_size, channels / groups, filters), bias (filters,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """2-D convolution: (batch, height, width, channels) -> (batch, new height, new width, filters).

    https://keras.io/api/layers/convolution_layers/convolution2d/

    Args:
        filters: output channels.
        kernel_size: int or (height, width).
        strides: int or pair, default 1.
        padding: "valid" (none) or "same" (zeros, so that the output has ceil(size / stride) positions).
        data_format: None or "channels_last".
        dilation_rate: int or pair, default 1. Unlike in Keras, strides may be larger than 1 as well.
        groups: the channels are split into this many independent convolutions.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        kernel_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        kernel_constraint, bias_constraint: applied after each update, default None.

    Weights: kernel (height, width, channels / groups, filters), bias (filters,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """


Convolution1D = Conv1D
Convolution2D = Conv2D
