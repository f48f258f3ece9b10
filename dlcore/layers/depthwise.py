"""Depthwise and separable convolution layers."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.layers.checks import positive
from dlcore.layers.spatial import Convolution
from dlcore.ops.base import Tensor


class _DepthwiseConv(Convolution):
    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        kept = dict(
            activation=activation, depthwise_initializer=depthwise_initializer, bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer, bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer, depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, use_bias, kept, **kwargs)
        self.depth_multiplier = positive(depth_multiplier, self.name, "depth_multiplier")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.expect(input_shape)
        shape = (*self.kernel_size, input_shape[-1], self.depth_multiplier)
        self.kernel = self._weight("kernel", shape, "depthwise")
        self.add_bias(input_shape[-1] * self.depth_multiplier)

    def convolve(self, x: Tensor) -> Tensor:
        self.expect_window(self.kernel.shape[-2], x)
        image = self.image(x)
        return ops.depthwise_conv2d(image, self.kernel, *self.geometry(image))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "depth_multiplier": self.depth_multiplier}


class DepthwiseConv1D(_DepthwiseConv):
    """1-D convolution of each channel by itself: (batch, steps, channels) -> (batch, new steps, channels *
    depth_multiplier).

    https://keras.io/api/layers/convolution_layers/depthwise_convolution1d/

    Args:
        kernel_size: int, or a tuple of one.
        strides: likewise, default 1.
        padding: "valid" (none) or "same" (zeros, so that the output has ceil(steps / stride) steps).
        depth_multiplier: output channels for each input channel, default 1.
        data_format: None or "channels_last".
        dilation_rate: int, default 1.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        depthwise_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        depthwise_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        depthwise_constraint, bias_constraint: applied after each update, default None.

    Weights: kernel (kernel_size, channels, depth_multiplier), bias (channels * depth_multiplier,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """2-D convolution of each channel by itself: (batch, height, width, channels) -> (batch, new height, new width,
    channels * depth_multiplier).

    https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/

    Args:
        kernel_size: int or (height, width).
        strides: int or pair, default 1; the two may differ.
        padding: "valid" (none) or "same" (zeros, so that the output has ceil(size / stride) positions).
        depth_multiplier: output channels for each input channel, default 1.
        data_format: None or "channels_last".
        dilation_rate: int or pair, default 1.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        depthwise_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        depthwise_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        depthwise_constraint, bias_constraint: applied after each update, default None.

    Weights: kernel (height, width, channels, depth_multiplier), bias (channels * depth_multiplier,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """


class _SeparableConv(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        kept = dict(
            activation=activation, depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer, bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer, pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer, activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, use_bias, kept, **kwargs)
        self.filters = positive(filters, self.name, "filters")
        self.depth_multiplier = positive(depth_multiplier, self.name, "depth_multiplier")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.expect(input_shape)
        channels, multiplier = input_shape[-1], self.depth_multiplier
        shape = (*self.kernel_size, channels, multiplier)
        self.depthwise_kernel = self._weight("depthwise_kernel", shape, "depthwise")
        shape = (*(1,) * self.rank, channels * multiplier, self.filters)
        self.pointwise_kernel = self._weight("pointwise_kernel", shape, "pointwise")
        self.add_bias(self.filters)

    def convolve(self, x: Tensor) -> Tensor:
        self.expect_window(self.depthwise_kernel.shape[-2], x)
        image = self.image(x)
        each = ops.depthwise_conv2d(image, self.depthwise_kernel, *self.geometry(image))
        return ops.conv2d(each, self.pointwise_kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "depth_multiplier": self.depth_multiplier}


class SeparableConv1D(_SeparableConv):
    """1-D convolution of each channel by itself, then of all channels with a kernel of 1: (batch, steps, channels) ->
    (batch, new steps, filters).

    https://keras.io/api/layers/convolution_layers/separable_convolution1d/

    Args:
        filters: output channels.
        kernel_size: int, or a tuple of one.
        strides: likewise, default 1.
        padding: "valid" (none) or "same" (zeros, so that the output has ceil(steps / stride) steps).
        data_format: None or "channels_last".
        dilation_rate: int, default 1.
        depth_multiplier: channels in between for each input channel, default 1.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        depthwise_initializer, pointwise_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: penalties added to the
            loss, default None.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied after each update, default None.

    Weights: depthwise_kernel (kernel_size, channels, depth_multiplier), pointwise_kernel (1, channels *
    depth_multiplier, filters), bias (filters,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """2-D convolution of each channel by itself, then of all channels with a kernel of 1x1: (batch, height, width,
    channels) -> (batch, new height, new width, filters).

    https://keras.io/api/layers/convolution_layers/separable_convolution2d/

    Args:
        filters: output channels.
        kernel_size: int or (height, width).
        strides: int or pair, default 1.
        padding: "valid" (none) or "same" (zeros, so that the output has ceil(size / stride) positions).
        data_format: None or "channels_last".
        dilation_rate: int or pair, default 1.
        depth_multiplier: channels in between for each input channel, default 1.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        depthwise_initializer, pointwise_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: penalties added to the
            loss, default None.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied after each update, default None.

    Weights: depthwise_kernel (height, width, channels, depth_multiplier), pointwise_kernel (1, 1, channels *
    depth_multiplier, filters), bias (filters,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
