"""Optimizers that divide by a root of past squares: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from typing import Any

from dlcore.optimizers.base import Optimizer


class Adagrad(Optimizer):
    """s += g^2; w -= learning_rate g / sqrt(s + epsilon).

    https://keras.io/api/optimizers/adagrad/ (Duchi et al., JMLR 2011)

    Args:
        learning_rate: default 0.001.
        initial_accumulator_value: what s is at first, default 0.1.
        epsilon: default 1e-7.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "adagrad", {"accumulator": "s"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        *common: Any,
        **options: Any,
    ):
        super().__init__(learning_rate, *common, **options)
        self.initial_accumulator_value = self._number("initial_accumulator_value", initial_accumulator_value)
        self.epsilon = self._number("epsilon", epsilon)
        self.starts = {"accumulator": self.initial_accumulator_value}

    def options(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}

    def get_config(self) -> dict[str, Any]:
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g^2; step = learning_rate g / sqrt(v + epsilon), with `centered` of v less the square of
    the mean gradient; w -= step, with momentum m = momentum m + step; w -= m.

    https://keras.io/api/optimizers/rmsprop/ (Tieleman & Hinton, 2012; Graves, arXiv 1308.0850)

    Args:
        learning_rate: default 0.001.
        rho: decay of v, default 0.9.
        momentum: default 0.
        epsilon: default 1e-7.
        centered: default False.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "rmsprop", {"velocity": "v", "momentum": "m", "average_gradient": "mean"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        *common: Any,
        **options: Any,
    ):
        super().__init__(learning_rate, *common, **options)
        self.rho, self.momentum = self._number("rho", rho, 1.0), self._number("momentum", momentum, 1.0)
        self.epsilon, self.centered = self._number("epsilon", epsilon), bool(centered)

    def _uses(self, slot: str) -> bool:
        if slot == "momentum":
            return bool(self.momentum)
        return slot == "velocity" or self.centered

    def options(self) -> dict[str, Any]:
        return {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options(), "centered": self.centered}


class Adadelta(Optimizer):
    """s = rho s + (1 - rho) g^2; step = sqrt(d + epsilon) g / sqrt(s + epsilon); d = rho d + (1 - rho) step^2;
    w -= learning_rate step.

    https://keras.io/api/optimizers/adadelta/ (Zeiler, arXiv 1212.5701, where the learning rate is 1)

    Args:
        learning_rate: default 0.001.
        rho: decay of both sums, default 0.95.
        epsilon: default 1e-7.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "adadelta", {"accumulated_grad": "s", "accumulated_delta_var": "d"}

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, *common: Any, **options: Any
    ):
        super().__init__(learning_rate, *common, **options)
        self.rho, self.epsilon = self._number("rho", rho, 1.0), self._number("epsilon", epsilon)

    def options(self) -> dict[str, Any]:
        return {"rho": self.rho, "epsilon": self.epsilon}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options()}
