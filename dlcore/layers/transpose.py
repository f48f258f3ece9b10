"""Transposed convolution layers."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.layers.checks import positive, shown
from dlcore.layers.spatial import LAYOUTS, Convolution
from dlcore.ops.base import Tensor
from dlcore.ops.windows import transposed_size


class _ConvTranspose(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        self.output_padding = None if output_padding is None else self.sizes(output_padding, "output_padding", least=0)
        extra = self.output_padding or (0,) * self.rank
        if any(more >= stride for more, stride in zip(extra, self.strides, strict=True)):
            raise ValueError(
                f"{self.name}: output_padding must be less than strides on every axis. Received: "
                f"output_padding={output_padding}, strides={strides}"
            )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.expect(input_shape)
        shape = (*self.kernel_size, self.filters, input_shape[-1])
        self.kernel = self._weight("kernel", shape)
        self.add_bias(self.filters)

    def convolve(self, x: Tensor) -> Tensor:
        image = self.image(x)
        kernel, strides = self.plane(self.kernel_size), self.plane(self.strides)
        dilation = self.plane(self.dilation_rate)
        extra = (None, None) if self.output_padding is None else self.plane(self.output_padding, 0)
        same = self.padding == "same"
        height, vertical = transposed_size(image.shape[1], kernel[0], strides[0], same, extra[0], dilation[0])
        width, horizontal = transposed_size(image.shape[2], kernel[1], strides[1], same, extra[1], dilation[1])
        if x.shape[-1] != self.kernel.shape[-1] or min(height, width) < 1:
            layout = LAYOUTS[self.rank].replace("channels", str(self.kernel.shape[-1]))
            raise ValueError(
                f"{self.name}: expected an input {layout} whose output is not empty. Received: {shown(x.shape)}"
            )
        return ops.conv2d_transpose(image, self.kernel, (height, width), strides, (vertical, horizontal), dilation)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "filters": self.filters,
            "output_padding": None if self.output_padding is None else list(self.output_padding),
        }  # fmt: skip


class Conv1DTranspose(_ConvTranspose):
    """1-D transposed convolution: (batch, steps, channels) -> (batch, new steps, filters).

    https://keras.io/api/layers/convolution_layers/convolution1d_transpose/

    Args:
        filters: output channels.
        kernel_size: int, or a tuple of one.
        strides: likewise, default 1.
        padding: "valid" (all steps that a window touches, at least steps * stride) or "same" (steps * stride).
        output_padding: None, or an int less than strides: then there are (steps - 1) * stride + this, plus the span of
            the kernel if "valid", plus 1 if "same" and the span is odd.
        data_format: None or "channels_last".
        dilation_rate: int, default 1.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        kernel_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        kernel_constraint, bias_constraint: applied after each update, default None.

    Weights: kernel (kernel_size, filters, channels), bias (filters,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """2-D transposed convolution: (batch, height, width, channels) -> (batch, new height, new width, filters).

    https://keras.io/api/layers/convolution_layers/convolution2d_transpose/

    Args:
        filters: output channels.
        kernel_size: int or (height, width).
        strides: int or pair, default 1.
        padding: "valid" (all pixels that a window touches, at least size * stride) or "same" (size * stride).
        output_padding: None, or an int or pair less than strides: then an axis has (size - 1) * stride + this, plus the
            span of the kernel if "valid", plus 1 if "same" and the span is odd.
        data_format: None or "channels_last".
        dilation_rate: int or pair, default 1. Unlike in Keras, strides may be larger than 1 as well.
        activation: name or function, default linear.
        use_bias: whether to add a bias, default True.
        kernel_initializer, bias_initializer: default "glorot_uniform" and "zeros".
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the loss, default None.
        kernel_constraint, bias_constraint: applied after each update, default None.

    Weights: kernel (height, width, filters, channels), bias (filters,).

    Raises:
        ValueError: an argument or the input's shape does not fit.
    """


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
