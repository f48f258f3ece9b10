"""Optimizers of Keras: SGD and Adam, each one pass over all parameters.

https://keras.io/api/optimizers/
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcore.kernels.executor import Clock
from dlcore.ops.base import Op, Parameter, Tensor
from dlcore.ops.norms import constrain
from dlcore.ops.optimizers import Update


class Optimizer:
    """Base: a learning rate, the number of steps done, and one flat array per slot.

    Args:
        learning_rate: number of at least 0.
        name: default is the class's name in lower case.
        lr: old spelling of learning_rate, obeyed.

    Raises:
        TypeError: both `lr` and `learning_rate`.
        ValueError: not such a number.
    """

    kernel: str
    slot_names: tuple[str, ...] = ()

    def __init__(self, learning_rate: float | None, default: float, name: str | None, lr: float | None):
        if lr is not None:
            if learning_rate is not None:
                raise TypeError(
                    f"{type(self).__name__}: learning_rate and its old spelling lr were both given. "
                    f"Received: learning_rate={learning_rate}, lr={lr}"
                )
            warnings.warn("the argument lr is called learning_rate now", DeprecationWarning, stacklevel=3)
            learning_rate = lr
        self.name = name or type(self).__name__.lower()
        self._rate = np.zeros(1)
        self.learning_rate = default if learning_rate is None else learning_rate
        self.clock = Clock()
        self.slots: dict[str, np.ndarray] = {}
        self._layout: dict[Parameter, slice] = {}

    @property
    def learning_rate(self) -> float:
        """Read at every step; may be changed at any time."""
        return float(self._rate[0])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float, np.floating, np.integer))
            or not 0 <= value < np.inf
        ):
            raise ValueError(
                f"{self.name}: learning_rate must be a number of at least 0. Received: learning_rate={value!r}"
            )
        self._rate[0] = float(value)

    lr = learning_rate

    @property
    def iterations(self) -> int:
        """Steps done."""
        return int(self.clock.step)

    def build(self, layout: Mapping[Parameter, slice], size: int) -> None:
        """Make the slots for a flat arena of `size` numbers in which each parameter has its place. A parameter that had
        slots before keeps their values, wherever it lies now."""
        if layout == self._layout:
            return
        if self._layout and not self._layout.keys() & layout.keys():
            raise ValueError(f"{self.name}: this optimizer already trains another model. Make a new one for this model")
        for name in self.slot_names:
            fresh = np.zeros(size, np.float32)
            for parameter, place in layout.items():
                if parameter in self._layout:
                    fresh[place] = self.slots[name][self._layout[parameter]]
            self.slots[name] = fresh
        self._layout = dict(layout)

    def update(self, gradients: Mapping[Parameter, Tensor]) -> tuple[list[Op], dict[Tensor, np.ndarray]]:
        """The ops that apply gradients to their parameters, one each, and the memory of their own tensors."""
        rate = Tensor((1,), "d", name="learning_rate")
        updates: list[Op] = []
        placed: dict[Tensor, np.ndarray] = {rate: self._rate}
        for parameter, gradient in gradients.items():
            slots = {name: Tensor(parameter.shape, name=name) for name in self.slots}
            for name, slot in slots.items():
                placed[slot] = self.slots[name][self._layout[parameter]].reshape(parameter.shape)
            state = self.state(slots)
            updates.append(Update(self.kernel, parameter, gradient, state, rate, **self.options()))
            constraint = getattr(parameter, "constraint", None)
            if constraint is not None and (op := constrain(parameter, constraint)) is not None:
                updates.append(op)
        return updates, placed

    def state(self, slots: dict[str, Tensor]) -> list[Tensor | None]:
        """The slots of one parameter in the order of the kernel's arguments."""
        raise TypeError(f"{type(self).__name__} must define state(slots)")

    def options(self) -> dict[str, Any]:
        return {}

    def get_config(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate, "name": self.name, **self.options()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        return cls(**config)


class SGD(Optimizer):
    """velocity = momentum velocity - learning_rate g; w += velocity, with Nesterov w += momentum velocity -
    learning_rate g.

    https://keras.io/api/optimizers/sgd/

    Args:
        learning_rate: default 0.01.
        momentum: 0 <= momentum <= 1, default 0.
        nesterov: default False.
    """

    kernel = "sgd"

    def __init__(
        self,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str | None = None,
        *,
        lr: float | None = None,
    ):
        super().__init__(learning_rate, 0.01, name, lr)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"{self.name}: momentum must be in [0, 1]. Received: momentum={momentum!r}")
        self.momentum, self.nesterov = float(momentum), bool(nesterov)
        self.slot_names = ("velocity",) if momentum else ()

    def state(self, slots: dict[str, Tensor]) -> list[Tensor | None]:
        return [slots.get("velocity")]

    def options(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v);
    w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon), t counted from 1.

    https://keras.io/api/optimizers/adam/ (Kingma & Ba, arXiv 1412.6980; epsilon is the paper's epsilon hat)

    Args:
        learning_rate: default 0.001.
        beta_1, beta_2: decay of the moments, default 0.9 and 0.999.
        epsilon: default 1e-7.
    """

    kernel = "adam"
    slot_names = ("m", "v")

    def __init__(
        self,
        learning_rate: float | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
        *,
        lr: float | None = None,
    ):
        super().__init__(learning_rate, 0.001, name, lr)
        for key, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not isinstance(beta, (int, float)) or not 0 <= beta < 1:
                raise ValueError(f"{self.name}: {key} must be in [0, 1). Received: {key}={beta!r}")
        if not isinstance(epsilon, (int, float)) or epsilon < 0:
            raise ValueError(f"{self.name}: epsilon must not be negative. Received: epsilon={epsilon!r}")
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    def state(self, slots: dict[str, Tensor]) -> list[Tensor | None]:
        return [slots["m"], slots["v"]]

    def options(self) -> dict[str, Any]:
        return {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "name": self.name,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


_BY_NAME: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


def get(identifier: Any) -> Optimizer:
    """An optimizer from its name, a config dict, an instance or a class.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return type(get(identifier["class_name"])).from_config(identifier["config"])
    if isinstance(identifier, str) and identifier.lower() in _BY_NAME:
        return _BY_NAME[identifier.lower()]()
    if isinstance(identifier, type) and issubclass(identifier, (SGD, Adam)):
        return identifier()
    raise ValueError(f"optimizer: expected one of {sorted(_BY_NAME)} or an Optimizer. Received: {identifier!r}")


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The config dict that `get` understands.

    Raises:
        ValueError: not one of this module's classes.
    """
    if type(optimizer) not in _BY_NAME.values():
        raise ValueError(f"optimizer: {optimizer.name!r} cannot be saved: it is not one of {sorted(_BY_NAME)}")
    return {"class_name": type(optimizer).__name__.lower(), "config": optimizer.get_config()}
