"""The settings that all optimizers share: learning rate, clipping, weight decay, averages, accumulation."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from inspect import signature
from math import inf
from typing import Any

import numpy as np

from dlcore._arguments import is_number
from dlcore._arguments import unknown as unknown_argument
from dlcore.kernels.executor import Clock
from dlcore.optimizers import schedules

RATES = 1024  # learning rates of as many steps lie ready: a power of two


class Settings:
    """What the constructor of an optimizer takes, checked, and the learning rate step by step. See `Optimizer`."""

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        *,
        lr: Any = None,
        **unknown: Any,
    ):
        cls = type(self).__name__
        if unknown.pop("decay", None) is not None:
            warnings.warn(f"{cls}: decay is ignored; use a learning rate schedule", stacklevel=self._outside())
        for key in unknown:
            raise unknown_argument(cls, key, self._arguments())
        if lr is not None:
            if learning_rate is not (type(self).__init__.__defaults__ or (None,))[0]:  # the default itself
                raise TypeError(
                    f"{cls}: learning_rate and its old spelling lr were both given. "
                    f"Received: learning_rate={learning_rate}, lr={lr}"
                )
            warnings.warn("the argument lr is called learning_rate now", DeprecationWarning, stacklevel=self._outside())
            learning_rate = lr
        self.name = name or cls.lower()
        self.weight_decay = self._number("weight_decay", weight_decay, optional=True)
        self.clipnorm = self._number("clipnorm", clipnorm, optional=True)
        self.clipvalue = self._number("clipvalue", clipvalue, optional=True)
        self.global_clipnorm = self._number("global_clipnorm", global_clipnorm, optional=True)
        if [clipnorm, clipvalue, global_clipnorm].count(None) < 2:
            raise ValueError(
                f"{self.name}: only one of clipnorm, clipvalue and global_clipnorm may be given. Received: "
                f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}"
            )
        self.use_ema = bool(use_ema)
        self.ema_momentum = self._number("ema_momentum", ema_momentum, 1.0)
        self.ema_overwrite_frequency = self._count("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.loss_scale_factor = self._number("loss_scale_factor", loss_scale_factor, optional=True)
        self.gradient_accumulation_steps = self._count("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        self._schedule: Callable[..., Any] | None = None
        self._rates = np.zeros(RATES)
        self.learning_rate = learning_rate
        self.clock = Clock()

    # -- checking arguments

    def _arguments(self) -> list[str]:
        """Names of what the constructor takes."""
        names = [*signature(type(self).__init__).parameters, *signature(Settings.__init__).parameters]
        return [name for name in dict.fromkeys(names) if name not in ("self", "common", "options", "unknown")]

    def _outside(self) -> int:
        """The `stacklevel` of a warning, seen from a constructor, that points at who called the outermost one."""
        level, frame = 1, sys._getframe(1)
        while frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is self and frame.f_back is not None:
            level, frame = level + 1, frame.f_back
        return level

    def _number(self, argument: str, value: Any, below: float = inf, optional: bool = False, open: bool = False) -> Any:
        if value is None and optional:
            return None
        if not is_number(value) or not 0 <= value <= below or value == inf or (open and value == below):
            wanted = "a number of at least 0" if below == inf else f"in [0, {below:g}{')' if open else ']'}"
            raise ValueError(f"{self.name}: {argument} must be {wanted}. Received: {argument}={value!r}")
        return float(value)

    def _count(self, argument: str, value: Any, least: int) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                f"{self.name}: {argument} must be a whole number of at least {least}, or None. "
                f"Received: {argument}={value!r}"
            )
        return int(value)

    # -- learning rate

    @property
    def learning_rate(self) -> float:
        """That of the next step. It may be changed at any time, unless it follows a schedule."""
        return float(self._rates[0]) if self._schedule is None else self._rate_at(self.clock.step)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            self._schedule = value
            return
        if isinstance(self._schedule, schedules.LearningRateSchedule):
            raise TypeError(
                f"{self.name}: the learning rate follows a {type(self._schedule).__name__} and cannot be set. Give the "
                f"optimizer a number instead. Received: learning_rate={value!r}"
            )
        self._rates[:] = self._number("learning_rate", value)
        self._schedule = None

    lr = learning_rate

    def _rate_at(self, step: int) -> float:
        schedule: Any = self._schedule
        alone = not isinstance(schedule, schedules.LearningRateSchedule) and not signature(schedule).parameters
        return float(self._number("learning_rate", float(schedule() if alone else schedule(step))))

    def prepare(self, steps: int) -> int:
        """Get the learning rates of the coming steps ready. Returns for how many: as many as asked for where the rate
        is a number, else at most 1024. Whoever runs a program calls this before each run, and runs no more steps."""
        if self._schedule is None:
            return steps
        count = min(steps, RATES)
        for step in range(self.clock.step, self.clock.step + count):
            self._rates[step % RATES] = self._rate_at(step)
        return count

    @property
    def iterations(self) -> int:
        """Updates done."""
        return int(self.clock.step) // (self.gradient_accumulation_steps or 1)

    # -- configuration

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same optimizer, without its slots."""
        rate: Any = self._schedule
        if isinstance(rate, schedules.LearningRateSchedule):
            rate = schedules.serialize(rate)
        return {
            "name": self.name,
            "learning_rate": self.learning_rate if rate is None else rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """An optimizer from what `get_config` gave; custom_objects holds classes of schedules by name."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)
