"""Learning rate schedules: values computed by hand, configurations, refusals."""

import pytest

from dlcore.optimizers import schedules
from dlcore.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

CASES = [  # schedule, rates by step
    (ExponentialDecay(1.0, 2, 0.25), {0: 1, 1: 0.5, 2: 0.25, 3: 0.125}),
    (ExponentialDecay(1.0, 2, 0.25, staircase=True), {0: 1, 1: 1, 2: 0.25, 3: 0.25, 4: 0.0625}),
    (InverseTimeDecay(1.0, 2, 2.0), {0: 1, 1: 0.5, 2: 1 / 3}),
    (InverseTimeDecay(1.0, 2, 2.0, staircase=True), {0: 1, 1: 1, 2: 1 / 3, 3: 1 / 3}),
    (PiecewiseConstantDecay([2, 4], [3.0, 2.0, 1.0]), {0: 3, 2: 3, 3: 2, 4: 2, 5: 1, 99: 1}),
    (PolynomialDecay(1.0, 4, 0.5), {0: 1, 2: 0.75, 4: 0.5, 9: 0.5}),
    (PolynomialDecay(1.0, 4, 0.0, power=2.0), {0: 1, 2: 0.25, 4: 0}),
    (PolynomialDecay(1.0, 4, 0.0, cycle=True), {0: 1, 2: 0.5, 4: 0, 5: 3 / 8, 6: 0.25, 8: 0, 9: 0.25}),
    (CosineDecay(1.0, 4), {0: 1, 2: 0.5, 4: 0, 9: 0}),
    (CosineDecay(1.0, 4, alpha=0.5), {0: 1, 2: 0.75, 4: 0.5, 9: 0.5}),
    (CosineDecay(0.0, 4, warmup_target=1.0, warmup_steps=2), {0: 0, 1: 0.5, 2: 1, 4: 0.5, 6: 0, 9: 0}),
    (CosineDecayRestarts(1.0, 2), {0: 1, 1: 0.5, 2: 1, 4: 0.5, 6: 1, 10: 0.5, 14: 1}),
    (CosineDecayRestarts(1.0, 2, 1.0, 0.5), {0: 1, 1: 0.5, 2: 0.5, 3: 0.25, 4: 0.25}),
    (CosineDecayRestarts(1.0, 2, 2.0, 0.5, alpha=0.5), {0: 1, 1: 0.75, 2: 0.75, 4: 0.625}),
]


@pytest.mark.parametrize("schedule, rates", CASES)
def test_rates(schedule, rates):
    for step, rate in rates.items():
        assert schedule(step) == pytest.approx(rate, abs=1e-12), step
    again = schedules.deserialize(schedules.serialize(schedule))
    assert type(again) is type(schedule) and again.get_config() == schedule.get_config()
    assert [again(step) for step in rates] == [schedule(step) for step in rates]


def test_schedules_of_the_user():
    class Mine(LearningRateSchedule):
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, step):
            return self.rate

    config = schedules.serialize(Mine(0.5))
    assert schedules.deserialize(config, {"Mine": Mine})(3) == 0.5
    with pytest.raises(ValueError, match=r"learning rate: expected one of .* Received: 'Mine'"):
        schedules.deserialize(config)
    with pytest.raises(NotImplementedError, match=r"LearningRateSchedule must define __call__\(step\)"):
        LearningRateSchedule()(0)


@pytest.mark.parametrize("make, message", [
    (lambda: ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay: decay_steps must be a number above 0"),
    (lambda: InverseTimeDecay(0.1, -1, 0.5), "InverseTimeDecay: decay_steps must be .* Received: decay_steps=-1"),
    (lambda: PolynomialDecay(0.1, "2"), "PolynomialDecay: decay_steps must be .* Received: decay_steps='2'"),
    (lambda: CosineDecay(0.1, 0), "CosineDecay: decay_steps"),
    (lambda: CosineDecayRestarts(0.1, 0), "CosineDecayRestarts: first_decay_steps"),
    (lambda: PiecewiseConstantDecay([1], [1.0]), "PiecewiseConstantDecay: values must be one more than boundaries"),
])  # fmt: skip
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
