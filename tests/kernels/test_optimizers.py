"""SGD and Adam over a flat arena."""

import numpy as np
import pytest
import reference as ref
from harness import F32, assert_near, run, same_bits, uniform

from dlcore.kernels import optimizers
from dlcore.kernels.executor import Clock

pytestmark = pytest.mark.usefixtures("isa")

LENGTHS = [0, 1, 7, 13, 15, 17, 127, 2047, 2048, 2049, 6001]  # a task has 2048
RUNS = [(1, None), (2, 1), (3, 2), (4, 1)]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("momentum, nesterov", [(0, False), (0.9, False), (0.9, True), (0, True)])
def test_sgd(n, momentum, nesterov):
    lr = np.array([0.1])
    first = None
    for threads, grain in RUNS:
        w, v = uniform(n), np.zeros(n, F32)
        expected_w, expected_v = w.copy(), v.copy()
        for i in range(3):
            g = uniform(n, seed=i + 1)
            run(optimizers.sgd(w, g, v if momentum else None, lr, momentum, nesterov), threads, grain)
            expected_w, expected_v = ref.sgd(expected_w, g, expected_v, 0.1, momentum, nesterov)
        first = first or (w, v)
        assert same_bits(w, first[0]) and same_bits(v, first[1])
    assert_near(w, expected_w, np.ones(n))
    if momentum:
        assert_near(v, expected_v, np.ones(n))


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("options", [{}, dict(beta1=0.5, beta2=0.75, epsilon=1e-3)], ids=str)
def test_adam(n, options):
    lr = np.array([0.01])
    first = None
    for threads, grain in RUNS:
        clock, w, m, v = Clock(), uniform(n), np.zeros(n, F32), np.zeros(n, F32)
        expected = w.copy(), m.copy(), v.copy()
        for i in range(3):
            g = uniform(n, seed=i + 1)
            clock.step = i
            run(optimizers.adam(w, g, m, v, lr, clock, **options), threads, grain)
            expected = ref.adam(expected[0], g, *expected[1:], i + 1, 0.01, **options)
        first = first or (w, m, v)
        assert all(same_bits(a, b) for a, b in zip(first, (w, m, v), strict=True))
    # a step is lr times a ratio near 1 of two rounded sums
    for got, wanted, scale in zip((w, m, v), expected, (1.2, 1, 1), strict=True):
        assert_near(got, wanted, np.full(n, scale))


def test_learning_rate_and_clock_are_read_at_every_step():
    lr, w, g = np.array([1.0]), np.zeros(5, F32), np.ones(5, F32)
    step = optimizers.sgd(w, g, None, lr)
    step.run()
    lr[0] = 0.5
    step.run()
    np.testing.assert_array_equal(w, np.full(5, -1.5))
    clock, m, v = Clock(), np.zeros(5, F32), np.zeros(5, F32)
    step = optimizers.adam(w, g, m, v, lr, clock)
    clock.step = 10**9  # no bias correction any more
    before = w.copy()
    step.run()
    assert_near(w, ref.adam(before, g, 0, 0, 10**9 + 1, 0.5)[0], np.full(5, 4.0))


@pytest.mark.parametrize("n", [1, 7, 17])
def test_nan_stays_in_its_lane(n):
    for lane in range(n):
        g, lr = uniform(n), np.array([0.1])
        g[lane] = np.nan
        w, m, v = uniform(n, seed=1), np.zeros(n, F32), np.zeros(n, F32)
        optimizers.sgd(w, g, v, lr, 0.9).run()
        np.testing.assert_array_equal(np.isnan([w, v]), np.isnan([g, g]))
        w, v = uniform(n, seed=1), np.zeros(n, F32)
        optimizers.adam(w, g, m, v, lr, Clock()).run()
        np.testing.assert_array_equal(np.isnan([w, m, v]), np.isnan([g, g, g]))


def test_refuses_what_does_not_fit():
    w, lr = np.zeros(4, F32), np.zeros(1)
    with pytest.raises(ValueError, match=r"momentum needs v. Received: None"):
        optimizers.sgd(w, w, None, lr, 0.9)
    with pytest.raises(ValueError, match=r"expected v of shape \(4,\). Received: \(3,\)"):
        optimizers.sgd(w, w, np.zeros(3, F32), lr, 0.9)
    with pytest.raises(ValueError, match=r"expected m of shape \(4,\)"):
        optimizers.adam(w, w, np.zeros(3, F32), w, lr, Clock())
    with pytest.raises(ValueError, match=r"expected m, v and clock. Received: None"):
        optimizers.adam(w, w, w, w, lr, None)
