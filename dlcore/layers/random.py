"""Layers that draw random numbers while training."""

from __future__ import annotations

from typing import Any

from dlcore import _random, ops
from dlcore.layers.base import Layer
from dlcore.ops.base import Tensor


class Dropout(Layer):
    """Sets a share of the elements to 0 while training and scales the others up; does nothing otherwise. Any shape.

    https://keras.io/api/layers/regularization_layers/dropout/

    Args:
        rate: share of elements dropped, 0 <= rate < 1.
        seed: of the random numbers; None draws one from `utils.set_random_seed`'s stream, or the system.

    Source: Srivastava et al., JMLR 15 (2014). The numbers are Philox of (seed, training step, element), so they do not
    depend on threads.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f"{self.name}: rate must be a number in [0, 1). Received: rate={rate!r}")
        self.rate, self.seed = float(rate), seed
        self._stream = _random.seeds.next() if seed is None else int(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.dropout(x, self.rate, self._stream & (2**64 - 1), 0) if training and self.rate else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
