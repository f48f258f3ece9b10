"""What layers that slide windows over one or two axes share.

A layer over steps is one over images of height 1: the batch is seen as (batch, 1, steps, channels), which moves
nothing, and weights without a height lie in memory like those with a height of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import channels_last, choice, positive, shown
from dlcore.ops.base import Parameter, Tensor
from dlcore.ops.windows import Padding, Pair, same_padding

LAYOUTS = {1: "(batch, steps, channels)", 2: "(batch, height, width, channels)"}


class Spatial(Layer):
    """Base of layers over `rank` axes between batch and channels."""

    rank = 2

    def sizes(self, value: Any, argument: str, least: int = 1) -> tuple[int, ...]:
        """One whole number of at least `least`, or one for each axis, as a tuple with one for each axis.

        Raises:
            ValueError: `value` is neither.
        """
        values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * self.rank
        if len(values) != self.rank:
            wish = "one whole number" if self.rank == 1 else "one whole number or two"
            raise ValueError(f"{self.name}: {argument} must be {wish}. Received: {argument}={value!r}")
        for size in values:
            if least == 0 and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
                raise ValueError(
                    f"{self.name}: {argument} must hold whole numbers of at least 0. Received: {argument}={value!r}"
                )
        return tuple(size if least == 0 else positive(size, self.name, argument) for size in values)

    def expect(self, shape: Sequence[Any]) -> None:
        """Refuse an input of another rank."""
        if len(shape) != self.rank + 2:
            raise ValueError(f"{self.name}: expected an input of shape {LAYOUTS[self.rank]}. Received: {shown(shape)}")

    def image(self, x: Tensor) -> Tensor:
        """x as a batch of images."""
        return x if self.rank == 2 else ops.reshape(x, (x.shape[0], 1, *x.shape[1:]))

    def from_image(self, y: Tensor) -> Tensor:
        """The inverse of `image`."""
        return y if self.rank == 2 else ops.reshape(y, (y.shape[0], *y.shape[2:]))

    def plane(self, sizes: tuple[int, ...], otherwise: int = 1) -> Pair:
        """(height, width) of sizes; that of a layer over steps is `otherwise` high."""
        height, width = (otherwise, *sizes)[-2:]
        return height, width

    def padding_of(
        self, x: Tensor, padding: str, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
    ) -> Padding:
        """Pixels around the image x: ((top, bottom), (left, right))."""
        if padding == "causal":
            return (0, 0), ((window[0] - 1) * dilation[0], 0)
        if padding == "valid":
            return (0, 0), (0, 0)
        axes = zip(x.shape[1:3], self.plane(window), self.plane(strides), self.plane(dilation), strict=True)
        vertical, horizontal = (same_padding(*axis) for axis in axes)
        return vertical, horizontal


class Convolution(Spatial):
    """Base of all convolutions: the window, a bias and an activation."""

    paddings: tuple[str, ...] = ("valid", "same")
    activation: Any

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        use_bias: bool,
        kept: dict[str, Any],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        channels_last(data_format, self.name)
        self.kernel_size = self.sizes(kernel_size, "kernel_size")
        self.strides = self.sizes(strides, "strides")
        self.padding = choice(padding, self.paddings, self.name, "padding")
        self.dilation_rate = self.sizes(dilation_rate, "dilation_rate")
        self.use_bias = bool(use_bias)
        self._keep(**kept)
        self.bias: Parameter | None = None

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution of the image x."""
        raise TypeError(f"{type(self).__name__} must define convolve(x)")

    def add_bias(self, filters: int) -> None:
        """Create the bias, if there is one."""
        if self.use_bias:
            self.bias = self._weight("bias", (filters,))

    def expect_window(self, channels: int, x: Tensor) -> None:
        """Refuse an input of other channels than the weights have, or too small for one window."""
        window = zip(self.kernel_size, self.dilation_rate, strict=True)
        spans = [1 if self.padding != "valid" else (k - 1) * d + 1 for k, d in window]
        fits = all(size >= span for size, span in zip(x.shape[1:-1], spans, strict=True))
        if x.shape[-1] != channels or not fits or prod(x.shape[1:]) == 0:
            layout = LAYOUTS[self.rank].replace("channels", str(channels))
            raise ValueError(
                f"{self.name}: expected an input {layout} that a kernel of {self.kernel_size} with dilation "
                f"{self.dilation_rate} fits into. Received: {shown(x.shape)}"
            )

    def geometry(self, x: Tensor) -> tuple[Pair, Padding, Pair]:
        """(strides, padding, dilation) over the image x."""
        padding = self.padding_of(x, self.padding, self.kernel_size, self.strides, self.dilation_rate)
        return self.plane(self.strides), padding, self.plane(self.dilation_rate)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        self.expect(x.shape)
        y = self.convolve(x)
        if self.bias is not None:  # on the image, where it can go into the kernel
            y = ops.bias_add(y, self.bias)
        return self.activation(self.from_image(y))  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "kernel_size": list(self.kernel_size), "strides": list(self.strides),
            "padding": self.padding, "data_format": "channels_last", "dilation_rate": list(self.dilation_rate),
            "use_bias": self.use_bias,
        }  # fmt: skip
