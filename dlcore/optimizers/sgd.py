"""Gradient descent: SGD with momentum, and Lion, which takes but the sign of it."""

from __future__ import annotations

from typing import Any

from dlcore.optimizers.base import Optimizer


class SGD(Optimizer):
    """velocity = momentum velocity - learning_rate g; w += velocity, with Nesterov w += momentum velocity -
    learning_rate g.

    https://keras.io/api/optimizers/sgd/

    Args:
        learning_rate: default 0.01.
        momentum: 0 <= momentum <= 1, default 0.
        nesterov: default False.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "sgd", {"momentum": "v"}

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, *common: Any, **options: Any
    ):
        super().__init__(learning_rate, *common, **options)
        self.momentum, self.nesterov = self._number("momentum", momentum, 1.0), bool(nesterov)

    def _uses(self, slot: str) -> bool:
        return bool(self.momentum)

    def options(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options()}


class Lion(Optimizer):
    """w -= learning_rate sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g.

    https://keras.io/api/optimizers/lion/ (Chen et al., arXiv 2302.06675)

    Args:
        learning_rate: default 0.001.
        beta_1: how much of the step comes from the past, above 0, default 0.9.
        beta_2: decay of m, default 0.99.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "lion", {"momentum": "m"}

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, *common: Any, **options: Any
    ):
        super().__init__(learning_rate, *common, **options)
        if beta_1 == 0:
            raise ValueError(f"{self.name}: beta_1 must be above 0. Received: beta_1={beta_1!r}")
        self.beta_1, self.beta_2 = self._number("beta_1", beta_1, 1.0), self._number("beta_2", beta_2, 1.0)

    def options(self) -> dict[str, Any]:
        return {"beta1": self.beta_1, "beta2": self.beta_2}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
