"""lookup, gradient of the table, one_hot."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, uniform

from dlcore.kernels import embedding

pytestmark = pytest.mark.usefixtures("isa")


def numbers(dtype, v, *shape):
    return np.random.default_rng(v).integers(0, v, shape).astype(dtype)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("dtype", [np.int32, F32])
@pytest.mark.parametrize("v, lead", [(1, (1,)), (5, (7,)), (40, (6, 3)), (3, (0, 2))])
def test_lookup_and_gradient(d, dtype, v, lead):
    ids, table, dy = numbers(dtype, v, *lead), uniform(v, d), uniform(*lead, d)
    got = results(lambda y: embedding.lookup(ids, table, y), blank(*lead, d))
    np.testing.assert_array_equal(got, table[ids.astype(int)])
    for rows in (1, 3, v):
        got = results(lambda g, rows=rows: embedding.gradient(dy, ids, g, rows), blank(v, d))
        scale = ref.embedding_gradient(abs(dy), ids, v)
        assert_near(got, ref.embedding_gradient(dy, ids, v), scale, roundings=2 + 2 * int(np.prod(lead)))


def test_out_of_range():
    table, y, hot, g = uniform(3, 2), blank(1, 6, 2), blank(1, 6, 3), blank(3, 2)
    for ids in (np.int32([[0, -1, 2, 3, 1, 2**31 - 1]]), F32([[0.5, -1, 2.9, 3, 1, np.inf]])):
        embedding.lookup(ids, table, y).run()
        np.testing.assert_array_equal(y[0, [0, 2, 4]], table[[0, 2, 1]])
        assert np.isnan(y[0, [1, 3, 5]]).all()
        embedding.one_hot(ids, hot).run()
        np.testing.assert_array_equal(hot[0], np.eye(4, dtype=F32)[[0, 3, 2, 3, 1, 3], :3])
        embedding.gradient(np.ones((1, 6, 2), F32), ids, g, 2).run()
        np.testing.assert_array_equal(g, 1)
    ids = F32([[0, -1, np.nan, 3, 1, -np.inf]])
    embedding.one_hot(ids, hot).run()
    np.testing.assert_array_equal(np.isnan(hot[0]).all(axis=-1), np.isnan(ids[0]))
    embedding.lookup(ids, table, y).run()
    assert np.isnan(y[0, [1, 2, 3, 5]]).all() and np.isfinite(y[0, [0, 4]]).all()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("lead", [(5,), (3, 4), (0,)])
def test_one_hot(n, lead):
    ids = numbers(np.int32, n, *lead)
    got = results(lambda y: embedding.one_hot(ids, y), blank(*lead, n))
    np.testing.assert_array_equal(got, np.eye(n, dtype=F32)[ids])


def test_refuses_what_does_not_fit():
    ids, table = np.zeros((3, 2), np.int32), uniform(4, 5)
    with pytest.raises(ValueError, match=r"embedding.lookup: ids \(3, 2\), table \(4, 5\) and y \(3, 5\)"):
        embedding.lookup(ids, table, blank(3, 5))
    with pytest.raises(ValueError, match=r"embedding.gradient: .* or rows 0 < 1"):
        embedding.gradient(blank(3, 2, 5), ids, table, 0)
    with pytest.raises(TypeError, match=r"ids: expected dtype int32. Received: float64"):
        embedding.one_hot(np.zeros((3, 2)), blank(3, 2, 5))
