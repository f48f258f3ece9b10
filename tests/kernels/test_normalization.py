"""Batch normalisation, kernel by kernel and as a whole."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, run, same_bits, uniform, whole

from dlcore.kernels import activations
from dlcore.kernels import normalization as kernels

pytestmark = pytest.mark.usefixtures("isa")

LEADS = [(1,), (7,), (3, 2, 5), (5, 70), (2, 0)]


def coefficients(x, grain=2, gamma=None, beta=None, epsilon=1e-3, threads=1):
    """(coefficients, mean, variance) of a batch."""
    c, chunks = x.shape[-1], -(-len(x) // grain)
    parts, outputs = blank(chunks, 2 * c + 1, dtype=np.float64), [blank(5, c), blank(c), blank(c)]
    run(kernels.batch_moments(x, parts, grain), threads)
    run(kernels.batch_coefficients(parts, gamma, beta, *outputs, epsilon), threads, 1)
    return outputs


def axes(x):
    return tuple(range(x.ndim - 1))


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("grain", [1, 2, 7])
def test_moments(c, lead, grain):
    x, chunks = uniform(*lead, c), -(-lead[0] // grain)
    runs = [(threads, grain) for threads in (1, 2, 3, 4)]
    parts = blank(chunks, 2 * c + 1, dtype=np.float64)
    parts = results(lambda parts: kernels.batch_moments(x, parts, grain), parts, runs=runs)
    for i, part in enumerate(parts):
        some = x[i * grain : (i + 1) * grain]
        count = some.size // c
        assert part[-1] == count
        if count:
            mean, variance = (value.reshape(-1) for value in ref.moments(some, axes(x)))
            assert_near(part[:c], mean, abs(some).max() + np.zeros(c), roundings=1)
            assert_near(part[c:-1], variance * count, count + np.zeros(c), roundings=2)


@pytest.mark.parametrize("c", [1, 7, 17, 300, 600])
@pytest.mark.parametrize("chunks", [1, 2, 3, 5, 8, 13])
def test_coefficients(c, chunks):
    x, gamma, beta = 2 * uniform(chunks, 3, c) + 1, uniform(c, seed=1), uniform(c, seed=2)
    mean, variance = (value.reshape(-1) for value in ref.moments(x, (0, 1)))
    rstd = 1 / np.sqrt(variance + 1e-3)
    table, m, v = coefficients(x, 1, gamma, beta)
    assert_near(m, mean, 3 + np.zeros(c))
    assert_near(v, variance, 9 + np.zeros(c))
    assert_near(table[0] + table[4].astype(float), mean, 3 + np.zeros(c), roundings=1)
    assert_near(table[1], rstd * gamma)
    assert_near(table[2], beta - (mean - table[0]) * rstd * gamma, 1 + np.zeros(c))
    assert_near(table[3], rstd)
    for threads in (2, 3, 4):
        assert same_bits(coefficients(x, 1, gamma, beta, threads=threads)[0], table)
    plain = coefficients(x, 1)[0]
    assert same_bits(plain[1], plain[3])
    moving = results(lambda y: kernels.moving_coefficients(m, v, gamma, beta, y), blank(5, c), runs=[(1, 1), (2, 1)])
    assert_near(moving, [m, rstd * gamma, beta, rstd, 0 * m], 1 + abs(moving), roundings=20)


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("lead", LEADS[:-1])
def test_forward_and_gradient(c, lead):
    x, dy, gamma, beta = (uniform(*shape, seed=i) for i, shape in enumerate([(*lead, c), (*lead, c), (c,), (c,)]))
    table, _, _ = coefficients(x, 2, gamma, beta)
    y = results(lambda y: kernels.normalize(x, table, y), blank(*x.shape))
    assert_near(y, ref.normalize(x, axes(x), gamma, beta), 3 + np.zeros(x.shape), roundings=20)
    scaled = results(lambda y: kernels.normalize(x, table, y, linear=True), blank(*x.shape))
    np.testing.assert_array_equal(scaled, x * table[1])

    chunks, count = -(-len(x) // 2), x.size // c
    sums, runs = blank(chunks, 2, c), [(1, 2), (3, 2)]
    sums = results(lambda s: kernels.batch_gradient_sums(dy, x, table, s, 2), sums, runs=runs)
    small = []
    for threads in (1, 2, 4):
        small.append([blank(c), blank(c), blank(3, c)])
        run(kernels.batch_gradient_reduce(sums.copy(), table, *small[-1], count), threads, 1)
        assert all(same_bits(a, b) for a, b in zip(small[0], small[-1], strict=True))
    dgamma, dbeta, lines = small[0]
    dx = results(lambda dx: kernels.batch_input_gradient(dy, x, table, lines, dx), blank(*x.shape))
    expected, by_gamma = ref.normalize_gradient(dy, x, axes(x), gamma)
    assert_near(dbeta, ref.bias_gradient(dy), ref.bias_gradient(abs(dy)))
    scale = 1 / np.sqrt(ref.moments(x, axes(x))[1] + 1e-3).reshape(-1)
    assert_near(dgamma, ref.bias_gradient(by_gamma), (1 + scale) * ref.bias_gradient(abs(dy)), roundings=20)
    assert_near(dx, expected, 3 * scale + np.zeros(x.shape), roundings=40)


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_an_activation_in_the_same_passes_is_that_of_two(c, activation):
    """To the bit, forward and where the gradients look through it."""
    x, dy, other = (uniform(5, 7, 3, c, seed=i) for i in range(3))
    table, _, _ = coefficients(x, 2, 2 + 3 * uniform(c, seed=1), uniform(c, seed=2))

    def both(add):
        plain, two = blank(*x.shape), blank(*x.shape)
        run(kernels.normalize(x, table, plain, add=add))
        run(activations.forward(plain, two, activation))
        one = results(lambda y: kernels.normalize(x, table, y, add=add, activation=activation), blank(*x.shape))
        assert same_bits(one, two)
        return plain, two

    assert same_bits(both(other)[0], both(None)[0] + other)
    y, g = both(None)[1], blank(*x.shape)
    assert (y == 0).any() and ((y > 0) & (y < 6)).any() and (activation == "relu" or c < 13 or (y == 6).any())
    run(activations.gradient(dy, y, g, activation))
    sums, lines, runs = blank(3, 2, c), uniform(3, c, seed=3), [(1, 2), (3, 2)]
    one = results(lambda s: kernels.batch_gradient_sums(dy, x, table, s, 2, activation), sums.copy(), runs=runs)
    assert same_bits(one, results(lambda s: kernels.batch_gradient_sums(g, x, table, s, 2), sums.copy(), runs=runs))
    run(activations.gradient(dy, y, g, activation, other))
    two = results(lambda s: kernels.batch_gradient_sums(g, x, table, s, 2), sums.copy(), runs=runs)
    for seen in (y, None):  # the sum of two gradients, and what of it passes the activation is kept
        for out in (blank(*x.shape), dy.copy()):
            first = dy if np.isnan(out).any() else out
            found = sums.copy()
            run(kernels.batch_gradient_sums(first, x, table, found, 2, activation, other, seen, out), 2, 2)
            assert same_bits(out, g) and same_bits(found, two)
    run(activations.gradient(dy, y, g, activation))
    one = results(lambda dx: kernels.batch_input_gradient(dy, x, table, lines, dx, activation), blank(*x.shape))
    assert same_bits(one, results(lambda dx: kernels.batch_input_gradient(g, x, table, lines, dx), blank(*x.shape)))


def test_the_same_passes_know_no_other_activation():
    with pytest.raises(ValueError, match=r"normalize: expected an activation among \('linear', .*Received: 'tanh'"):
        kernels.normalize(blank(2, 3), blank(5, 3), blank(2, 3), activation="tanh")


def test_nothing_cancels_where_the_mean_is_large():
    """Mean 1000 and deviation 0.01, where x^2 - mean^2 has no digit left; one channel is an outlier, then constant."""
    x = (1000 + 1e-2 * np.random.default_rng(0).standard_normal((16, 9, 9, 19))).astype(F32)
    x[..., 3] = -5
    x[0, 0, 0, 3] = 1e6
    table, mean, variance = coefficients(x, 3, epsilon=1e-7)
    expected_mean, expected = (value.reshape(-1) for value in ref.moments(x, (0, 1, 2)))
    assert_near(mean, expected_mean, abs(x).max(axis=(0, 1, 2)))
    assert_near(variance, expected, roundings=40)
    y = results(lambda y: kernels.normalize(x, table, y), blank(*x.shape))
    assert_near(y, ref.normalize(x, (0, 1, 2), epsilon=1e-7), 3 + abs(y), roundings=20)


@pytest.mark.parametrize("value", [0, 0.1, -1e5, 1e15])
def test_a_constant_channel_and_a_single_value_have_no_variance(value):
    for shape in ((5, 33, 7), (1, 7)):
        table, mean, variance = coefficients(np.full(shape, value, F32), 1)
        np.testing.assert_array_equal(mean, np.full(7, F32(value)))
        assert (variance >= 0).all() and (variance <= (abs(value) * 1e-7) ** 2).all() and np.isfinite(table).all()


@pytest.mark.parametrize("c", [1, 7, 17])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_stays_in_its_channel(c, bad):
    for channel in range(c):
        x, dy = whole(5, 3, c), whole(5, 3, c)
        x[2, 1, channel] = bad
        table, mean, variance = coefficients(x)
        lanes = np.arange(c) == channel
        for value in (variance, *table[1:4]):
            np.testing.assert_array_equal(np.isnan(value), lanes)
        assert not np.isfinite(mean[channel])
        y = results(lambda y, x=x, t=table: kernels.normalize(x, t, y), blank(*x.shape))
        np.testing.assert_array_equal(np.isnan(y), np.broadcast_to(lanes, x.shape))
        sums, lines = blank(1, 2, c), blank(3, c)
        run(kernels.batch_gradient_sums(dy, x, table, sums, 5))
        run(kernels.batch_gradient_reduce(sums, table, None, None, lines, 15))
        for activation in kernels.ACTIVATIONS:
            dx = blank(*x.shape)
            run(kernels.batch_input_gradient(dy, x, table, lines, dx, activation))
            np.testing.assert_array_equal(np.isnan(dx), np.broadcast_to(lanes, x.shape))


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("invert", [False, True])
def test_adapted_coefficients(n, invert):
    mean, variance = uniform(5), abs(uniform(5, seed=1))
    variance[3], index = 0, np.random.default_rng(n).integers(5, size=n)
    found = results(
        lambda c: kernels.adapted_coefficients(mean, variance, c, index.tolist(), invert), blank(5, n), runs=[(1, 1)]
    )
    m, deviation = mean[index], np.maximum(np.sqrt(ref.f64(variance)), 1e-7)[index]
    assert_near(found[:3], [0 * m, deviation, m] if invert else [m, 1 / deviation, 0 * m])
    with pytest.raises(ValueError, match=r"index must hold numbers from 0 to those of mean \(5,\)"):
        kernels.adapted_coefficients(mean, variance, blank(5, 1), [5])


@pytest.mark.parametrize("n", [1, 7, 300])
def test_fold_bias(n):
    b, table = uniform(n), uniform(5, n)
    for given in (b, None):
        y = results(lambda y, b=given: kernels.fold_bias(b, table, y), blank(n), runs=[(1, 1), (2, 1)])
        expected = ((0 if given is None else ref.f64(b)) - table[0]) * table[1] + table[2]
        assert_near(y, expected, 3 + np.zeros(n), roundings=3)


@pytest.mark.parametrize("n", [1, 7, 300])
def test_moving_average(n):
    p, s = uniform(n), uniform(n, seed=1)
    for threads in (1, 2):
        got = p.copy()
        run(kernels.moving_average(got, s, 0.99), threads, 1)
        assert_near(got, p * 0.99 + s * (1 - 0.99), 1 + np.zeros(n), roundings=2)


def test_refuses_what_does_not_fit():
    x, table = blank(6, 4, 3), blank(5, 3)
    with pytest.raises(ValueError, match=r"batch_moments: expected x of shape \(n, ..., c\). Received: \(3,\)"):
        kernels.batch_moments(blank(3), blank(2, 7), 3)
    with pytest.raises(ValueError, match=r"batch_moments: expected a grain of at least 1. Received: 0"):
        kernels.batch_moments(x, blank(2, 7), 0)
    with pytest.raises(ValueError, match=r"normalize: expected coefficients of shape \(5, 3\). Received: \(4, 3\)"):
        kernels.normalize(x, blank(4, 3), x)
    with pytest.raises(ValueError, match=r"parts \(2, 6\) and coefficients \(5, 3\) do not fit together"):
        kernels.batch_coefficients(blank(2, 6, dtype=np.float64), None, None, table)
    with pytest.raises(ValueError, match=r"sums \(2, 1, 3\) and coefficients \(5, 3\) do not fit together"):
        kernels.batch_gradient_reduce(blank(2, 1, 3), table, None, None, None, 1)
    step = kernels.batch_moments(x, blank(2, 7, dtype=np.float64), 3)
    with pytest.raises(ValueError, match="chunks of 3 tasks cannot run in chunks of 2"):
        step.run(grain=2)
