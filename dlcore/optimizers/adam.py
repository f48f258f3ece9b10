"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

from dlcore.optimizers.base import Optimizer


class _Moments(Optimizer):
    """Two decaying moments of the gradient."""

    def _betas(self, beta_1: Any, beta_2: Any, epsilon: Any) -> None:
        self.beta_1 = self._number("beta_1", beta_1, 1.0, open=True)
        self.beta_2 = self._number("beta_2", beta_2, 1.0, open=True)
        self.epsilon = self._number("epsilon", epsilon)

    def options(self) -> dict[str, Any]:
        return {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adam(_Moments):
    """m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v);
    w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon), t counted from 1.

    https://keras.io/api/optimizers/adam/ (Kingma & Ba, arXiv 1412.6980; epsilon is the paper's epsilon hat)

    Args:
        learning_rate: default 0.001.
        beta_1, beta_2: decay of the moments, default 0.9 and 0.999.
        epsilon: default 1e-7.
        amsgrad: divide by the root of the largest v so far (Reddi et al., arXiv 1904.09237).
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "adam", {"momentum": "m", "velocity": "v", "velocity_hat": "h"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *common: Any,
        **options: Any,
    ):
        super().__init__(learning_rate, *common, **options)
        self._betas(beta_1, beta_2, epsilon)
        self.amsgrad = bool(amsgrad)

    def _uses(self, slot: str) -> bool:
        return slot != "velocity_hat" or self.amsgrad

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amsgrad": self.amsgrad}


class AdamW(Adam):
    """Adam with weight decay: w -= w * weight_decay * learning_rate before each step.

    https://keras.io/api/optimizers/adamw/ (Loshchilov & Hutter, arXiv 1711.05101)

    Args:
        learning_rate: default 0.001.
        weight_decay: default 0.004.
        beta_1, beta_2, epsilon, amsgrad: as for `Adam`.
        common, options: as for `Optimizer`, without weight_decay.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *common: Any,
        **options: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, *common, **options)
        if weight_decay is None:
            raise ValueError(f"{self.name}: weight_decay must be a number of at least 0. Received: weight_decay=None")


class Nadam(_Moments):
    """Adam with Nesterov momentum: the step is a mixture of m and g, in which beta_1 grows to its full value.

    https://keras.io/api/optimizers/nadam/ (Dozat, 2016)

    Args:
        learning_rate: default 0.001.
        beta_1, beta_2, epsilon: as for `Adam`; epsilon goes to the corrected root.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "nadam", {"momentum": "m", "velocity": "v"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *common: Any,
        **options: Any,
    ):
        super().__init__(learning_rate, *common, **options)
        self._betas(beta_1, beta_2, epsilon)


class Adamax(_Moments):
    """m += (1 - beta_1)(g - m); u = max(beta_2 u, |g|); w -= learning_rate / (1 - beta_1^t) m / (u + epsilon).

    https://keras.io/api/optimizers/adamax/ (Kingma & Ba, arXiv 1412.6980, section 7.1)

    Args:
        learning_rate: default 0.001.
        beta_1, beta_2: decay of the moment and of the maximum, default 0.9 and 0.999.
        epsilon: default 1e-7.
        common, options: as for `Optimizer`.
    """

    kernel, slots_of = "adamax", {"momentum": "m", "norm": "u"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *common: Any,
        **options: Any,
    ):
        super().__init__(learning_rate, *common, **options)
        self._betas(beta_1, beta_2, epsilon)
