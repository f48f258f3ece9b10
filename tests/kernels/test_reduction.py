"""Sums, maxima, minima over axes and over the samples of a slab; their way back; argmax."""

from itertools import chain, combinations

import numpy as np
import pytest
from harness import F32, SIZES, assert_near, blank, results, run, same_bits, uniform, whole

from dlcore.kernels import reduction

pytestmark = pytest.mark.usefixtures("isa")

SAMPLES = [*[(n,) for n in SIZES], (3, 17), (17, 3), (4, 5, 7), (2, 1, 3), (2, 3, 2, 5), (70,), (1, 1)]


def subsets(rank):
    return chain.from_iterable(combinations(range(rank), k) for k in range(rank + 1))


CASES = [(sample, axes) for sample in SAMPLES for axes in subsets(len(sample))]


@pytest.mark.parametrize("kind", reduction.KINDS)
@pytest.mark.parametrize("sample, axes", CASES, ids=str)
def test_reduce(kind, sample, axes):
    x = uniform(3, *sample)
    numpy_axes = tuple(axis + 1 for axis in axes)
    f = {"sum": np.sum, "max": np.max, "min": np.min}[kind]
    expected = f(x.astype(np.float64), axis=numpy_axes) if axes else x
    magnitude = np.abs(x).sum(axis=numpy_axes) if axes else abs(x)
    got = results(lambda y: reduction.reduce(x, y, kind, axes), blank(*expected.shape))
    assert_near(got, expected, magnitude if kind == "sum" else 0, roundings=8)
    kept = f(x, axis=numpy_axes, keepdims=True) if axes else x
    assert same_bits(got.ravel(), results(lambda y: reduction.reduce(x, y, kind, axes), blank(*kept.shape)).ravel())


@pytest.mark.parametrize("kind", reduction.KINDS)
@pytest.mark.parametrize("n", [1, 7, 17, 70])
def test_nan_comes_out(kind, n):
    for lane in range(n):
        x = uniform(2, n, 2)
        x[1, lane, 1] = np.nan
        for axes, shape in (((0,), (2, 2)), ((1,), (2, n)), ((0, 1), (2,))):
            y = results(lambda y, x=x, a=axes: reduction.reduce(x, y, kind, a), blank(*shape), runs=[(1, None)])
            np.testing.assert_array_equal(np.isnan(y), np.isnan(x.sum(axis=tuple(i + 1 for i in axes))))


def test_scale_and_whole():
    x = whole(4, 5)
    y = results(lambda y: reduction.reduce(x, y, "sum", (0,), 0.25, True), blank(5), runs=[(1, None)])
    np.testing.assert_array_equal(y, x.sum(axis=0) / 4)
    dx = results(lambda x: reduction.expand(y, x, (0,), 2.0, whole=True), blank(4, 5), runs=[(1, None)])
    np.testing.assert_array_equal(dx, np.tile(2 * y, (4, 1)))


def test_a_sum_over_nothing_is_zero():
    y = results(lambda y: reduction.reduce(blank(3, 0, 2), y, "sum", (0,)), blank(3, 2))
    np.testing.assert_array_equal(y, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="max over no elements"):
        reduction.reduce(blank(3, 0, 2), blank(3, 2), "max", (0,))


@pytest.mark.parametrize("sample, axes", CASES, ids=str)
@pytest.mark.parametrize("grain", [1, 2, 7])
def test_batch_sum(sample, axes, grain):
    n = 5
    x = whole(n, *sample)
    chunks = -(-n // grain)
    shape = tuple(size for i, size in enumerate(sample) if i not in axes)
    runs = [(threads, grain) for threads in (1, 2, 3)]
    parts = results(lambda y: reduction.batch_sum(x, y, axes, grain), blank(chunks, *shape), runs=runs)
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part, x[i * grain : (i + 1) * grain].sum(axis=(0, *(a + 1 for a in axes))))


@pytest.mark.parametrize("sample, axes", CASES, ids=str)
def test_expand(sample, axes):
    x = np.zeros((3, *sample), F32)
    kept = tuple(1 if i in axes else size for i, size in enumerate(sample))
    y = whole(3, *kept)
    got = results(lambda x: reduction.expand(y, x, axes, 0.5), blank(*x.shape))
    np.testing.assert_array_equal(got, 0.5 * y + x)
    got = results(lambda x: reduction.expand(y[:1], x, axes, shared=True), blank(*x.shape))
    np.testing.assert_array_equal(got, y[:1] + x)


@pytest.mark.parametrize("sample", [(1,), (7,), (3, 5), (2, 3, 4)])
def test_argmax(sample):
    x = whole(4, *sample)  # with ties
    x[1].flat[-1] = np.nan
    for axis in range(len(sample)):
        expected = x.argmax(axis=axis + 1)
        got = results(lambda y, axis=axis: reduction.argmax(x, y, axis), blank(*expected.shape))
        np.testing.assert_array_equal(got, expected)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"reduction.reduce: y \(3, 4\) does not fit x \(3, 5\) without its axes \(\)"):
        reduction.reduce(blank(3, 5), blank(3, 4), "sum", ())
    with pytest.raises(ValueError, match=r"reduction.reduce: axes \(1,\) are not axes of a sample of shape \(5,\)"):
        reduction.reduce(blank(3, 5), blank(3, 5), "sum", (1,))
    with pytest.raises(ValueError, match=r"reduction.batch_sum: y \(1, 5\) does not fit x \(3, 5\) in chunks of 2"):
        reduction.batch_sum(blank(3, 5), blank(1, 5), (), 2)
    with pytest.raises(ValueError, match=r"reduction.argmax: axis 1 is not one"):
        reduction.argmax(blank(3, 5), blank(3), 1)
    y = blank(2, 5)
    step = reduction.batch_sum(whole(4, 5), y, (), 2)
    with pytest.raises(ValueError, match="chunks of 2 tasks cannot run in chunks of 3"):
        run(step, 1, 3)
