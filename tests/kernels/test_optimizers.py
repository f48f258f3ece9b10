"""Every optimizer over a flat arena, and what all of them share."""

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


# kernel, its slots, reference, options
OTHERS = [
    ("adam", "mvh", "amsgrad", {}),
    ("adam", "mvh", "amsgrad", dict(beta1=0.5, beta2=0.75, epsilon=1e-3)),
    ("nadam", "mv", "nadam", {}),
    ("nadam", "mv", "nadam", dict(beta1=0.5, beta2=0.75, epsilon=1e-3)),
    ("adamax", "mu", "adamax", dict(beta1=0.5, beta2=0.75, epsilon=1e-3)),
    ("adagrad", "s", "adagrad", dict(epsilon=1e-3)),
    ("adadelta", "sd", "adadelta", dict(rho=0.75, epsilon=1e-3)),
    ("lion", "m", "lion", dict(beta1=0.5, beta2=0.75)),
]


@pytest.mark.parametrize("n", [0, 1, 7, 13, 17, 127, 2049, 6001])
@pytest.mark.parametrize("name, slots, reference, options", OTHERS, ids=str)
def test_others(n, name, slots, reference, options):
    lr, first, stepped = np.array([0.01]), None, reference in ("amsgrad", "nadam", "adamax")
    for threads, grain in RUNS:
        clock, w, state = Clock(), uniform(n), {slot: np.zeros(n, F32) for slot in slots}
        expected = [w.copy(), *(x.copy() for x in state.values())]
        for i in range(3):
            g = uniform(n, seed=i + 1)
            clock.step = i
            run(getattr(optimizers, name)(w, g, **state, learning_rate=lr, clock=clock, **options), threads, grain)
            rate = (i + 1, 0.01) if stepped else (0.01,)
            expected = getattr(ref, reference)(expected[0], g, *expected[1:], *rate, **options)
        got = [w, *state.values()]
        first = first or got
        assert all(same_bits(a, b) for a, b in zip(first, got, strict=True))
    for x, wanted in zip(got, expected, strict=True):
        assert_near(x, wanted, np.full(n, 1.5))


@pytest.mark.parametrize("n", [0, 1, 7, 13, 17, 127, 2049])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(n, momentum, centered):
    lr, options = np.array([0.01]), dict(rho=0.75, momentum=momentum, epsilon=1e-2)
    w, v, m, mean = uniform(n), np.zeros(n, F32), np.zeros(n, F32), np.zeros(n, F32)
    expected = w.copy(), v.copy(), m.copy(), mean.copy()
    for i in range(3):
        g = uniform(n, seed=i + 1)
        expected = ref.rmsprop(expected[0], g, *expected[1:], 0.01, centered=centered, **options)
        run(optimizers.rmsprop(w, g, v, m if momentum else None, mean if centered else None, lr, **options), 3, 1)
    assert_near(w, expected[0], np.full(n, 1.5))
    assert_near(v, expected[1], np.ones(n))


@pytest.mark.parametrize("n", [0, 1, 17, 1023, 1024, 1025, 5001])
@pytest.mark.parametrize("threads, grain", RUNS)
def test_what_all_share(n, threads, grain):
    """Accumulation, the norm's factor, clipping, decay, then the average and its turn to be the weight."""
    w, acc, average, clock, lr = uniform(n), np.zeros(n, F32), np.zeros(n, F32), Clock(), np.array([0.5, 0.25])
    scale = np.array([0.75])
    more = dict(acc=acc, every=2, average=average, ema_momentum=0.75, overwrite=3, scale=scale, factor=2.0, clip=0.5,
                weight_decay=0.125)  # fmt: skip
    expected, total, mean = np.float64(w), np.zeros(n), np.zeros(n)
    for step in range(7):
        g = uniform(n, seed=step + 1)
        clock.step = step
        run(optimizers.sgd(w, g, None, lr, clock=clock, **more), threads, grain)
        total = total + g
        if step % 2:
            gradient = np.clip(0.75 * 2 * total / 2, -0.5, 0.5)
            expected, total = expected - expected * 0.125 * lr[step % 2] - lr[step % 2] * gradient, np.zeros(n)
        keep = 0.75 if step >= 2 else 0.0
        mean = keep * mean + (1 - keep) * expected
        if (step // 2 + 1) % 3 == 0:
            expected = mean.copy()
        for got, wanted in ((w, expected), (acc, total), (average, mean)):
            assert_near(got, wanted, np.full(n, 2.0))


@pytest.mark.parametrize("n", [0, 1, 17, 1023, 1024, 1025, 5001])
def test_norms(n):
    g, acc = uniform(n), uniform(n, seed=1)
    size = -(-n // 1024)
    for other in (None, acc):
        first = None
        for threads, grain in RUNS:
            parts = np.full(size, np.nan)
            run(optimizers.squares(g, parts, other), threads, grain)
            first = parts if first is None else first
            assert same_bits(first, parts)
        whole = (np.float64(g) + (0 if other is None else other)) ** 2
        np.testing.assert_allclose(parts.sum(), whole.sum(), rtol=1e-6)


@pytest.mark.parametrize("parts, whole, expected", [
    ([9.0, 16.0], False, 0.2), ([0.25, 0.0], False, 1.0), ([], True, 1.0), ([9.0, 16.0], True, 0.2),
    ([np.inf], False, 0.0), ([np.inf], True, np.nan), ([np.nan], False, np.nan), ([np.nan], True, np.nan),
])  # fmt: skip
def test_factor_that_clips_a_norm(parts, whole, expected):
    scale = np.full(1, 99.0)
    optimizers.clip_norm(np.array(parts), scale, limit=2.0, factor=2.0, whole=whole).run()
    np.testing.assert_array_equal(scale, [expected])


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
        for name, slots, _, options in OTHERS:
            w = uniform(n, seed=1)
            state = {slot: np.zeros(n, F32) for slot in slots}
            getattr(optimizers, name)(w, g, **state, learning_rate=lr, clock=Clock(), clip=0.5, **options).run()
            np.testing.assert_array_equal(np.isnan(w), np.isnan(g), err_msg=name)


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
    with pytest.raises(TypeError, match=r"optimizers.sgd: unknown arguments \['decay'\]"):
        optimizers.sgd(w, w, None, lr, decay=1)
    with pytest.raises(ValueError, match=r"acc goes with every > 1. Received: every=2"):
        optimizers.sgd(w, w, None, lr, every=2)
    with pytest.raises(ValueError, match=r"optimizers.sgd: expected a clock. Received: None"):
        optimizers.sgd(w, w, None, np.zeros(2))
    with pytest.raises(ValueError, match=r"learning_rate \(3,\).* do not fit together"):
        optimizers.sgd(w, w, None, np.zeros(3), clock=Clock())
    with pytest.raises(ValueError, match=r"rmsprop: momentum needs m. Received: None"):
        optimizers.rmsprop(w, w, w, None, None, lr, momentum=0.5)
