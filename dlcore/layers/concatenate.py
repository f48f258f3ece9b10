"""Several inputs behind each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.ops.base import Tensor


class Concatenate(Layer):
    """The inputs behind each other along `axis`: called with a list of tensors of one shape but for that axis.

    https://keras.io/api/layers/merging_layers/concatenate/

    Args:
        axis: not that of the batch, default -1.

    Raises:
        ValueError: an axis that is not there, no list of inputs, or shapes that do not fit.
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or axis == 0:
            raise ValueError(f"{self.name}: axis must be a whole number, and not 0, the batch. Received: axis={axis!r}")
        self.axis = int(axis)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if isinstance(inputs, Tensor) or not isinstance(inputs, Sequence) or not inputs:
            raise ValueError(f"{self.name}: expected a list of inputs. Received: {inputs!r}")
        try:
            return ops.concatenate(inputs, self.axis)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Concatenate(axis)(inputs).

    https://keras.io/api/layers/merging_layers/concatenate/

    Args:
        inputs: tensors of one shape but for `axis`.
        axis: default -1.
    """
    return Concatenate(axis=axis, **kwargs)(inputs)
