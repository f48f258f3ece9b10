"""Dropout and noise: what is drawn is a function of seed, layer, step and element."""

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


# ---------------------------------------------------------------------------------------------------------------------
# masks that elements share


@pytest.mark.parametrize("shape, noise", [
    ((5, 6, 7, 3), (5, 1, 1, 3)), ((5, 6, 7, 3), (5, 6, 7, 1)), ((5, 6, 7, 3), (5, 1, 7, 1)), ((5, 33), (1, 33)),
    ((5, 6, 7), (1, 1, 7)), ((5, 6, 7), (5, 1, 1)), ((5, 6, 7), (1, 1, 1)), ((5, 1, 7, 1), (5, 1, 1, 1)), ((5,), (1,)),
    ((3, 2, 3, 2, 3, 2, 3, 2), (3, 1, 3, 1, 3, 1, 3, 1)), ((0, 3), (0, 1)), ((3, 0), (3, 1)), ((1, 17), (1, 17)),
    *[((4, n), (4, n)) for n in SIZES],
])  # fmt: skip
def test_masked_against_reference(shape, noise):
    x, clock = uniform(*shape) + 2, Clock()
    clock.step = 2**32 + 9
    for rate, values in ((0.4, (1 / 0.6,)), (0.7, (1.5, -0.5, -4.0))):
        y = results(lambda y: random.masked(x, y, noise, rate, SEED, 5, clock, *values), blank(*shape))  # noqa: B023
        assert_near(y, ref.masked(x, noise, rate, SEED, 5, 9, *values), scale=np.full(shape, 6))


def test_masked_with_a_mask_of_its_own_for_each_element_is_dropout():
    x = uniform(5, 6, 7)
    x[2, 3] = np.nan
    y = blank(5, 6, 7)
    random.masked(x, y, (5, 6, 7), 0.3, SEED, 5, Clock(), 1 / 0.7).run()
    np.testing.assert_array_equal(y, dropout(x, 0.3, step=0))
    random.masked(x, x, (5, 6, 7), 0.3, SEED, 5, Clock(), 1 / 0.7).run()
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("noise, rate", [((5, 2), 0.5), ((5,), 0.5), ((2, 3), 0.5), ((5, 1), 1.0)])
def test_masked_refuses(noise, rate):
    with pytest.raises(ValueError, match=r"random.masked: x .* noise .* do not fit together"):
        random.masked(blank(5, 3), blank(5, 3), noise, rate, 1, 2, Clock(), 1)
    with pytest.raises(ValueError, match=r"random.masked: noise .* alternates .* more than 8 times"):
        random.masked(blank(1, *[2] * 9), blank(1, *[2] * 9), (1, *[1, 2] * 4, 1), 0.5, 1, 2, Clock(), 1)


# ---------------------------------------------------------------------------------------------------------------------
# normal noise


@pytest.mark.parametrize("shape", [*[(5, n) for n in SIZES], (3, 5, 2, 3), (300,), (0, 3), (3, 0)])
@pytest.mark.parametrize("multiply", [False, True])
def test_gaussian_against_reference(shape, multiply):
    x, clock = uniform(*shape) + 2, Clock()
    for stddev, seed, layer, step in ((1.0, SEED, 5, 3), (0.1, 2**64 - 1, 2**32 - 1, 2**32 + 9), (0, 1, 2, 3)):
        clock.step = step
        bind = lambda y: random.gaussian(x, y, stddev, seed, layer, clock, multiply)  # noqa: B023, E731
        y = results(bind, blank(*shape))
        expected = ref.gaussian(x, stddev, seed, layer, step, multiply)
        assert_near(y, expected, scale=np.full(shape, 3 * (3 + 6 * stddev)))
        np.testing.assert_array_equal(random_in_place(x, stddev, seed, layer, clock, multiply), y)


def random_in_place(x, *arguments):
    y = x.copy()
    random.gaussian(y, y, *arguments).run()
    return y


def test_normal_numbers_are_normal():
    """Moments and tails of four million numbers, within five deviations; neighbours do not know of each other."""
    n = 1 << 22
    x, z = np.zeros((1, n), F32), blank(1, n)
    random.gaussian(x, z, 1.0, SEED, 1, Clock()).run()
    z = z[0].astype(np.float64)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - mean) < 5 * (variance / n) ** 0.5, power
    for limit, share in ((1, 0.3173105), (2, 0.0455003), (3, 0.0026998), (4, 6.334e-5), (5, 5.733e-7)):
        assert abs((abs(z) > limit).mean() - share) < 5 * (share / n) ** 0.5, limit
    for step in (1, 2, 3, 4, 64):
        assert abs((z[step:] * z[:-step]).mean()) < 5 / n**0.5


@pytest.mark.parametrize("n", [1, 7, 17])
def test_gaussian_lets_nan_through(n):
    for lane in range(n):
        x = np.ones((1, n), F32)
        x[0, lane] = np.nan
        for multiply in (False, True):
            y = random_in_place(x, 0.5, SEED, 5, Clock(), multiply)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


@pytest.mark.parametrize("stddev", [-0.1, np.inf, np.nan])
def test_gaussian_refuses(stddev):
    with pytest.raises(ValueError, match=r"random.gaussian: x .* stddev .* do not fit together"):
        random.gaussian(blank(3), blank(3), stddev, 1, 2, Clock())
