"""Gathering the rows of a batch, and storing predictions."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, run, uniform

from dlcore.kernels import data
from dlcore.kernels.executor import Clock, Program
from dlcore.kernels.locks import SharedLock

pytestmark = pytest.mark.usefixtures("isa")


def clock_at(cursor):
    clock = Clock()
    clock.cursor = cursor
    return clock


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("dtype", ["B", "f", "i"])
def test_gather(c, dtype):
    rows = np.random.default_rng(c).integers(0, 256, (20, 2, c)).astype(dtype)
    index = np.random.default_rng(1).permutation(20).astype(np.int64)
    feed = data.Feed(dtype, 2 * c)
    out = blank(6, 2, c, dtype=np.int32 if dtype == "i" else F32)
    for scale in (1,) if dtype == "i" else (1, 1 / 255):
        step = lambda y, scale=scale: data.gather(feed, clock_at(9), y, scale)  # noqa: E731
        feed.set(rows, index)
        assert_near(results(step, out), ref.gather(rows, index[9:15], np.float32(scale)), roundings=1)
        feed.set(rows)
        assert_near(results(step, out), ref.gather(rows, np.arange(9, 15), np.float32(scale)), roundings=1)


def test_nan_and_every_bit_of_labels_come_through():
    feed, labels = data.Feed("f", 3), data.Feed("i", 1)
    x = uniform(4, 3)
    x[2, 1] = np.nan
    feed.set(x)
    for scale in (1, 2):
        np.testing.assert_array_equal(
            results(lambda y, s=scale: data.gather(feed, Clock(), y, s), blank(4, 3)), x * F32(scale)
        )
    numbers = np.array([2**31 - 1, -(2**31), 16777217, -1], np.int32)
    labels.set(numbers)
    np.testing.assert_array_equal(results(lambda y: data.gather(labels, Clock(), y), blank(4, dtype=np.int32)), numbers)


@pytest.mark.parametrize("c", SIZES)
def test_store(c):
    x, y = uniform(5, c), blank(12, c)
    feed = data.Feed("f", c)
    feed.set(y, write=True)
    for threads, grain in [(1, None), (2, 1), (3, 2), (4, 3)]:
        y[...] = np.nan
        run(data.store(x, feed, clock_at(4)), threads, grain)
        np.testing.assert_array_equal(y[4:9], x)
        assert np.isnan(y[:4]).all() and np.isnan(y[9:]).all()


def test_one_run_walks_through_all_batches():
    rows, index = uniform(23, 7), np.random.default_rng(1).permutation(23).astype(np.int64)
    source, target, clock = data.Feed("f", 7), data.Feed("f", 7), Clock()
    batch, out = blank(4, 7), blank(20, 7)
    source.set(rows, index)
    target.set(out, write=True)
    steps = [data.gather(source, clock, batch, 2), data.store(batch, target, clock)]
    program = Program([[(steps, 3)]], clock=clock, cursor_increment=4, step_increment=1)
    assert program.run(5, threads=2) == 5
    assert (clock.step, clock.cursor) == (5, 20)
    np.testing.assert_array_equal(out, 2 * rows[index[:20]])


def test_refuses_what_does_not_fit():
    feed, rows = data.Feed("B", 6), np.zeros((5, 2, 3), np.uint8)
    feed.set(rows)
    with pytest.raises(ValueError, match=r"expected 6 elements a row. Received: shape \(5, 5\)"):
        feed.set(np.zeros((5, 5), np.uint8))
    with pytest.raises(TypeError, match=r"array: expected dtype uint8. Received: float32"):
        feed.set(blank(5, 6))
    with pytest.raises(TypeError, match=r"index: expected dtype int64. Received: int32"):
        feed.set(rows, np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="array: expected a writable array"):
        rows.flags.writeable = False
        feed.set(rows, write=True)
    with pytest.raises(ValueError, match=r"y \(3, 5\) does not fit rows of 6 B"):
        data.gather(feed, Clock(), blank(3, 5))
    with pytest.raises(ValueError, match=r"x \(3, 6\) does not fit rows of 6 B"):
        data.store(blank(3, 6), feed, Clock())
    with pytest.raises(ValueError, match="scale 2"):
        data.gather(data.Feed("i", 1), Clock(), blank(3, dtype=np.int32), 2)
    for missing in (feed, None), (None, Clock()):
        with pytest.raises(TypeError, match=r"feed|clock"):
            data.gather(*missing, blank(3, 6))
        with pytest.raises(TypeError, match=r"feed|clock"):
            data.store(blank(3, 6), *missing)


# ---------------------------------------------------------------------------------------------------------------------
# Predictors


def doubling(dtype, sizes=(1, 3)):
    """A predictor of (n, 2, 3) samples as (n, 6) numbers, each twice the input, for these batch sizes."""
    function = SimpleNamespace(programs=OrderedDict(), cursor=Clock())
    x, y = data.Feed(dtype, 6), data.Feed("f", 6)
    for n in sizes:
        batch = np.empty((n, 6), F32)
        steps = [data.gather(x, function.cursor, batch, 2), data.store(batch, y, function.cursor)]
        function.programs[n] = Program([[(steps, 1)]], cursor=function.cursor, cursor_increment=n)
    return data.Predictor(function, x, y, (2, 3), (6,))


def pool(*predictors):
    lock = SharedLock()
    predictors_ = data.Predictors(lock, lambda: 2, SimpleNamespace(last=object()))
    for predictor in predictors:
        predictors_.give(predictor)
    return predictors_, lock


@pytest.mark.parametrize("dtype", ["f", "B"])
def test_predict(dtype):
    predictor = doubling(dtype)
    predict, _ = pool(predictor)
    for n in (3, 1, 3):
        x = np.random.default_rng(n).integers(0, 256, (n, 2, 3)).astype(dtype)
        for _ in range(2):
            y = predict(x)
            assert y.dtype == F32 and y.flags.owndata and y.flags.c_contiguous
            np.testing.assert_array_equal(y, 2 * x.reshape(n, 6).astype(F32))
    predict(np.zeros((1, 2, 3), dtype))
    assert list(predictor.function.programs) == [3, 1]  # the one used last at the end
    assert (predictor.dtype, predict.idle[dtype]) == (dtype, [predictor])


def test_what_a_predictor_leaves_to_others():
    predict, lock = pool(doubling("f"))
    x = uniform(3, 2, 3)
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(F32).reshape(x.shape)
    for other in (x[:2], x[:0], x[..., :2].copy(), x.reshape(3, 6), x.reshape(3, 3, 2), x[0, 0, 0], x[::-1], x.tolist(),
                  x.astype(">f4"), x.astype(np.float64), x.astype(np.uint8), x.astype(object), x > 0, None, 3,
                  unaligned, np.zeros(3, "M8[s]"), np.zeros(3, "U4"), memoryview(x), np.ma.array(x)):  # fmt: skip
        assert predict(other) is None
    with lock.write():
        assert predict(x) is None
    assert lock.readers == 0 and len(predict.idle["f"]) == 1
    np.testing.assert_array_equal(predict(x), 2 * x.reshape(3, 6))
    taken = predict.take("f")
    assert predict.take("f") is None and predict(x) is None
    predict.give(taken)
    assert predict(x) is not None


def test_a_prediction_that_fails_leaves_its_predictor_idle():
    heavy = doubling("f", sizes=[1000000])  # enough work to wake other threads for: asks for their number
    assert not heavy.function.programs[1000000].serial and doubling("f").function.programs[3].serial
    lock, x = SharedLock(), np.zeros((1000000, 2, 3), F32)
    predict = data.Predictors(lock, lambda: 1 // 0, SimpleNamespace(last=object()))
    predict.give(heavy)
    with pytest.raises(ZeroDivisionError):
        predict(x)
    assert predict.idle["f"] == [heavy] and lock.readers == 0
    predict, _ = pool(heavy)
    np.testing.assert_array_equal(predict(x + 1), np.full((1000000, 6), 2))
