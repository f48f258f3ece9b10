"""add, rescale, bias_add, bias_gradient, reduce_chunks, fill."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, results, run, same_bits, uniform, whole

from dlcore.kernels import elementwise

pytestmark = pytest.mark.usefixtures("isa")

SHAPES = [*[(n,) for n in SIZES], (5, 3, 2, 11), (0, 3), (3, 0)]


@pytest.mark.parametrize("shape", SHAPES)
def test_add_rescale_fill(shape):
    a, b = uniform(*shape), uniform(*shape, seed=1)
    np.testing.assert_array_equal(results(lambda y: elementwise.add(a, b, y), blank(*shape)), a + b)
    for scale, offset in ((1 / 127.5, -1), (2, 0)):
        got = results(lambda y, s=scale, o=offset: elementwise.rescale(a, y, s, o), blank(*shape))
        assert_near(got, ref.f64(a) * scale + offset, abs(a) * scale + abs(offset))
    np.testing.assert_array_equal(results(lambda y: elementwise.fill(y, 0.1), blank(*shape)), np.full(shape, F32(0.1)))
    for y in (a.copy(), b.copy()):
        elementwise.add(y, b if same_bits(y, a) else a, y).run()
        np.testing.assert_array_equal(y, a + b)


@pytest.mark.parametrize("n", [1, 7, 17])
def test_nan_stays_in_its_lane(n):
    for lane in range(n):
        x = whole(n)
        x[lane] = np.nan
        b = np.zeros(n, F32)
        for step in (
            lambda y, x=x, b=b: elementwise.add(x, b, y),
            lambda y, x=x: elementwise.rescale(x, y, 0, 0),
        ):
            np.testing.assert_array_equal(np.isnan(results(step, blank(n))), np.isnan(x))
        x = np.stack([whole(n), x])
        y = results(lambda y, x=x: elementwise.bias_gradient(x, y, 2), blank(1, n), runs=[(1, 2)])
        np.testing.assert_array_equal(y[0], ref.bias_gradient(x))


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("lead", [(1,), (5,), (3, 2, 5), (0,), (2, 0)])
@pytest.mark.parametrize("grain", [1, 2, 7])
def test_bias(c, lead, grain):
    x, b = whole(*lead, c), whole(c, seed=1)
    np.testing.assert_array_equal(results(lambda y: elementwise.bias_add(x, b, y), blank(*lead, c)), x + b)
    chunks = -(-lead[0] // grain)
    runs = [(threads, grain) for threads in (1, 2, 3, 4)]
    parts = results(lambda db: elementwise.bias_gradient(x, db, grain), blank(chunks, c), runs=runs)
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part, ref.bias_gradient(x[i * grain : (i + 1) * grain]))
    x = uniform(*lead, c)
    parts = results(lambda db: elementwise.bias_gradient(x, db, grain), blank(chunks, c), runs=runs)
    assert_near(parts.sum(axis=0), ref.bias_gradient(x), ref.bias_gradient(abs(x)))


@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (1023,), (1024,), (2500,), (0,)])
def test_reduce_chunks_is_a_fixed_tree(chunks, shape):
    parts = 10 ** (3 * uniform(chunks, *shape))

    def tree(first, count):
        """Neighbours first: the left half has the largest power of two."""
        if count == 1:
            return parts[first]
        half = 1 << ((count - 1).bit_length() - 1)
        return tree(first, half) + tree(first + half, count - half)

    for threads, grain in [(1, None), (2, 1), (3, 2), (4, 1)]:
        spent, y = parts.copy(), blank(*shape)
        run(elementwise.reduce_chunks(spent, y), threads, grain)
        np.testing.assert_array_equal(y, tree(0, chunks))


def test_refuses_what_does_not_fit():
    x = blank(3, 4)
    with pytest.raises(ValueError, match=r"bias_gradient: db \(1, 4\) does not fit dy \(3, 4\) in chunks of 2"):
        elementwise.bias_gradient(x, blank(1, 4), 2)
    with pytest.raises(ValueError, match="in chunks of 0"):
        elementwise.bias_gradient(x, blank(1, 4), 0)
    with pytest.raises(ValueError, match=r"expected b of shape \(4,\). Received: \(3,\)"):
        elementwise.bias_add(x, blank(3), x)
    with pytest.raises(ValueError, match=r"parts \(0, 4\) and y \(4,\) do not fit"):
        elementwise.reduce_chunks(blank(0, 4), blank(4))
