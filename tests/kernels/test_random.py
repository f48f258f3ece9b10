"""Dropout: the mask is a function of seed, layer, step and element."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, uniform

from dlcore.kernels import random
from dlcore.kernels.executor import Clock

pytestmark = pytest.mark.usefixtures("isa")

SEED = 0x0123456789ABCDEF


def dropout(x, rate, seed=SEED, layer=5, step=3):
    clock = Clock()
    clock.step = step
    return results(lambda y: random.dropout(x, y, rate, seed, layer, clock), blank(*x.shape))


@pytest.mark.parametrize("shape", [*[(5, n) for n in SIZES], (3, 5, 2, 3), (70,), (0, 3), (3, 0)])
def test_against_reference(shape):
    x = uniform(*shape) + 2
    for rate, seed, layer, step in (
        (0.5, SEED, 5, 3),
        (0.1, 2**64 - 1, 2**32 - 1, 2**32 + 9),
        (0.9, 0, 0, 0),
        (0, 1, 2, 3),
    ):
        y = dropout(x, rate, seed, layer, step)
        np.testing.assert_array_equal(y != 0, ref.dropout_mask(shape, rate, seed, layer, step))
        assert_near(y, ref.dropout(x, rate, seed, layer, step))


def test_the_clock_is_read_at_every_run_and_in_place_is_fine():
    clock, x = Clock(), np.ones((4, 33), F32)
    y = blank(4, 33)
    step = random.dropout(x, y, 0.5, SEED, 1, clock)
    for now in (0, 1, 7):
        clock.step = now
        step.run(grain=3)
        np.testing.assert_array_equal(y, ref.dropout(x, 0.5, SEED, 1, now))
    random.dropout(x, x, 0.5, SEED, 1, clock).run()
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("n", [1, 7, 17])
def test_nan_comes_through_where_it_is_kept(n):
    for lane in range(n):
        x = np.ones((1, n), F32)
        x[0, lane] = np.nan
        np.testing.assert_array_equal(dropout(x, 0.5), ref.dropout(x, 0.5, SEED, 5, 3))


@pytest.mark.parametrize("rate", [-0.1, 1.0, np.nan])
def test_refuses_rates(rate):
    with pytest.raises(ValueError, match=r"random.dropout: x .* rate .* do not fit together"):
        random.dropout(blank(3), blank(3), rate, 1, 2, Clock())


def test_refuses_no_clock():
    with pytest.raises(TypeError, match="clock"):
        random.dropout(blank(3), blank(3), 0.5, 1, 2, None)
