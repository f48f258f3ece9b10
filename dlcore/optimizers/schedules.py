"""Learning rates as functions of the step, by the names and formulas of Keras 3.

https://keras.io/api/optimizers/learning_rate_schedules/
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, cos, floor, log, pi
from typing import Any

from dlcore import _objects
from dlcore._arguments import Checked, is_number


class LearningRateSchedule(Checked):
    """Called with the number of steps done before, gives the learning rate of the next one. A subclass defines
    `__call__(step)`, and `get_config` where it is to be saved.

    https://keras.io/api/optimizers/learning_rate_schedules/learning_rate_schedule/
    """

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same schedule."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        return cls(**config)


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ^ (step / decay_steps), the exponent rounded down with `staircase`.

    https://keras.io/api/optimizers/learning_rate_schedules/exponential_decay/
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "decay_steps", self)
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate ** (floor(p) if self.staircase else p))


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps), the quotient rounded down with `staircase`.

    https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay/
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "decay_steps", self)
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        return float(self.initial_learning_rate / (1 + self.decay_rate * (floor(p) if self.staircase else p)))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] for steps after boundaries[i - 1] up to boundaries[i], that step included.

    https://keras.io/api/optimizers/learning_rate_schedules/piecewise_constant_decay/

    Raises:
        ValueError: there is not one value more than boundaries.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: values must be one more than boundaries. "
                f"Received: boundaries={boundaries!r}, values={values!r}"
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: int) -> float:
        return float(self.values[sum(step > boundary for boundary in self.boundaries)])


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ^ power + end, where steps stop at decay_steps, or with `cycle` begin
    again there with decay_steps twice, three times ... as long.

    https://keras.io/api/optimizers/learning_rate_schedules/polynomial_decay/
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "decay_steps", self)
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: int) -> float:
        steps = self.decay_steps * max(1, ceil(step / self.decay_steps)) if self.cycle else self.decay_steps
        left = 1 - min(step, steps) / steps
        return float((self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate)


class CosineDecay(LearningRateSchedule):
    """From initial_learning_rate to warmup_target in warmup_steps, in equal steps, then along half a cosine to alpha
    times that in decay_steps. Without a warmup_target there is no warm-up. (Loshchilov & Hutter, arXiv 1608.03983)

    https://keras.io/api/optimizers/learning_rate_schedules/cosine_decay/
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "decay_steps", self)
        self.alpha, self.name, self.warmup_target, self.warmup_steps = alpha, name, warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        top, done = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return float(top + (self.warmup_target - top) * step / self.warmup_steps)
            top, done = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1 + cos(pi * min(done, self.decay_steps) / self.decay_steps))
        return float(top * ((1 - self.alpha) * cosine + self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines down to alpha times their height, one after the other: the first of first_decay_steps, each t_mul
    times as long and m_mul times as high as the one before. (Loshchilov & Hutter, arXiv 1608.03983)

    https://keras.io/api/optimizers/learning_rate_schedules/cosine_decay_restarts/
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(first_decay_steps, "first_decay_steps", self)
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: int) -> float:
        done = step / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts = floor(done)
            done -= restarts
        else:
            restarts = floor(log(1 - done * (1 - self.t_mul)) / log(self.t_mul) + 1e-12)  # a restart is on time
            length = self.t_mul**restarts
            done = max(0.0, (done - (1 - length) / (1 - self.t_mul)) / length)
        cosine = 0.5 * self.m_mul**restarts * (1 + cos(pi * done))
        return float(self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))


def _positive(value: Any, argument: str, owner: LearningRateSchedule) -> Any:
    if not is_number(value) or not value > 0:
        raise ValueError(f"{type(owner).__name__}: {argument} must be a number above 0. Received: {argument}={value!r}")
    return value


_BY_NAME: dict[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay,
                CosineDecayRestarts)
}  # fmt: skip


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The config dict that `deserialize` understands; its class_name is None for a class of the user's that has no name
    in a file."""
    cls = type(learning_rate_schedule)
    return {
        "class_name": cls.__name__ if cls in _BY_NAME.values() else _objects.name_of(cls, _BY_NAME),
        "config": learning_rate_schedule.get_config(),
    }


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> LearningRateSchedule:
    """A schedule from its config dict.

    Args:
        config: of `serialize`.
        custom_objects: classes by name, beside those of this module.

    Raises:
        ValueError: an unknown class.
    """
    known = {**_BY_NAME, **(custom_objects or {})}
    name = config.get("class_name")
    own = _objects.find(config.get("config") if name == "function" else name, LearningRateSchedule)
    if own is not None and not isinstance(own, type):
        return own  # type: ignore[no-any-return]
    if not isinstance(name, str) or (name not in known and own is None):
        raise ValueError(f"learning rate: expected one of {sorted(known)}. Received: {name!r}")
    cls: Any = known.get(name, own)
    schedule: LearningRateSchedule = cls.from_config(config["config"])
    return schedule
