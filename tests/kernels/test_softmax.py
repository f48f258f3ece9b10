"""Softmax, its gradient, and softmax fused with cross-entropy."""

import numpy as np
import pytest
import reference as ref
from harness import SIZES, assert_near, blank, results, same_bits, uniform

from dlcore.kernels import softmax

pytestmark = pytest.mark.usefixtures("isa")

SHAPES = [*[(3, c) for c in SIZES], (2, 3, 5), (5, 2, 2, 10), (0, 4)]


def forward(x):
    return results(lambda y: softmax.forward(x, y), blank(*x.shape))


def crossentropy(x, labels):
    return results(lambda loss, p: softmax.crossentropy(x, labels, loss, p), blank(len(x)), blank(*x.shape))


def crossentropy_gradient(dloss, labels, p):
    return results(lambda dx: softmax.crossentropy_gradient(dloss, labels, p, dx), blank(*p.shape))


def per_sample(values):
    """Mean over the rows of each sample, as the kernels return losses."""
    return values.reshape(len(values), int(np.prod(values.shape[1:]))).mean(axis=1)


def hot(labels, c):
    return np.eye(c, dtype=np.float32)[labels]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1, 30])
def test_softmax(shape, factor):
    x, dy = factor * uniform(*shape), uniform(*shape, seed=1)
    y = forward(x)
    assert_near(y, ref.softmax(x), roundings=8 + factor)  # x - max x is rounded: up to 2^-24 * 60 in the exponent
    dx = results(lambda dx: softmax.gradient(dy, y, dx), blank(*shape))
    assert_near(dx, ref.softmax_gradient(dy, y), y * (abs(dy) + (abs(dy) * y).sum(axis=-1, keepdims=True)), roundings=8)


@pytest.mark.parametrize("c", SIZES)
def test_the_shift_is_the_maximum_whatever_its_place_and_sign(c):
    for offset in (-1e4, 1e4):
        x = np.full((c, c), offset, np.float32)
        np.fill_diagonal(x, offset + 3)
        assert_near(forward(x), ref.softmax(x), roundings=20)


@pytest.mark.parametrize("shape", SHAPES)
def test_crossentropy(shape):
    x, dloss, c = 4 * uniform(*shape), uniform(shape[0], seed=1), shape[-1]
    labels = np.random.default_rng(2).integers(c, size=shape[:-1]).astype(np.int32)
    rows = max(int(np.prod(shape[1:-1])), 1)
    scale = 8 + per_sample(np.log(c) + abs(x).max(axis=-1))
    soft = abs(uniform(*shape, seed=3))
    one, p = crossentropy(x, labels)
    same, same_p = crossentropy(x, hot(labels, c))
    other, _ = crossentropy(x, soft)
    np.testing.assert_array_equal(same_p, p)
    assert_near(p, ref.softmax(x), roundings=12)
    assert_near(one, per_sample(ref.softmax_cross_entropy(labels, x)), scale)
    assert_near(same, per_sample(ref.softmax_cross_entropy(labels, x)), scale)
    assert_near(other, per_sample(ref.softmax_cross_entropy_dense(soft, x)), scale * c)
    from_above = np.broadcast_to(dloss.reshape(-1, *[1] * (len(shape) - 2)) / rows, shape[:-1])
    for y, expected in (
        (labels, ref.softmax_cross_entropy_gradient(from_above, labels, x)),
        (hot(labels, c), ref.softmax_cross_entropy_gradient(from_above, labels, x)),
        (soft, ref.softmax_cross_entropy_dense_gradient(from_above, soft, x)),
    ):
        assert_near(crossentropy_gradient(dloss, y, p), expected, np.full(shape, 4 * c))
        share = np.full(len(x), 1 / 3, np.float32)
        fresh = blank(len(x)), blank(*shape), blank(*shape)
        outputs = results(lambda loss, p, dx, y=y: softmax.crossentropy(x, y, loss, p, dx, 1 / 3), *fresh)
        expected = [*crossentropy(x, y), crossentropy_gradient(share, y, p)]
        assert all(same_bits(a, b) for a, b in zip(outputs, expected, strict=True))  # one pass, the same bits


@pytest.mark.parametrize("c", [2, 7, 17])
def test_special_values_in_every_lane(c):
    """Row i has the special value in lane i."""
    lanes, zero, ones = np.arange(c, dtype=np.int32), np.zeros(c, np.int32), np.ones(c, np.float32)
    x = uniform(c, c)
    np.fill_diagonal(x, np.nan)
    loss, p = crossentropy(x, zero)
    assert np.isnan(loss).all() and np.isnan(p).all() and np.isnan(forward(x)).all()
    assert np.isnan(crossentropy_gradient(ones, zero, p)).all()
    np.fill_diagonal(x, np.inf)
    assert np.isnan(forward(x)).all()  # inf - inf, as in the reference
    for low in (-np.inf, -3e38, -1e4):
        np.fill_diagonal(x, low)
        assert_near(forward(x), ref.softmax(x), roundings=9)
        loss, p = crossentropy(x, lanes)
        assert (np.diagonal(p) == 0).all()
        assert_near(loss, ref.softmax_cross_entropy(lanes, x), abs(loss) + 8)
        loss, _ = crossentropy(x, hot((lanes + 1) % c, c))  # a target of 0 takes no part, even for -inf
        assert np.isfinite(loss).all()
    x[...] = -1e4
    np.fill_diagonal(x, 1e4)
    np.testing.assert_array_equal(forward(x), np.eye(c))


@pytest.mark.parametrize("ignore", [None, 2, 255])
def test_one_value_for_each_row(ignore):
    x, dloss = 4 * uniform(3, 2, 2, 5), uniform(3, 2, 2, seed=1)
    labels = np.arange(12, dtype=np.int32).reshape(3, 2, 2) % 5
    if ignore == 255:
        labels[0] = 255
    known = np.ones(labels.shape, bool) if ignore is None else labels != ignore
    some = np.where(known, labels, 0)
    fresh = blank(3, 2, 2), blank(*x.shape)
    loss, p = results(lambda loss, p: softmax.crossentropy(x, labels, loss, p, ignore=ignore), *fresh)
    assert_near(loss, known * ref.softmax_cross_entropy(some, x), np.full(loss.shape, 8 + np.log(5)))
    dx = results(lambda dx: softmax.crossentropy_gradient(dloss, labels, p, dx, ignore), blank(*x.shape))
    assert_near(dx, ref.softmax_cross_entropy_gradient(dloss * known, some, x), np.full(x.shape, 20.0))


def test_labels_that_are_no_class_give_nan():
    x = uniform(4, 3)
    labels = np.array([0, -1, 3, 2], np.int32)
    loss, p = crossentropy(x, labels)
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, False])
    np.testing.assert_array_equal(p, forward(x))


def test_refuses_what_does_not_fit():
    x, loss = blank(3, 4), blank(3)
    with pytest.raises(TypeError, match=r"labels: expected dtype int32 or float32. Received: int64"):
        softmax.crossentropy(x, np.zeros(3, np.int64), loss, x)
    with pytest.raises(ValueError, match=r"expected labels of shape \(3,\). Received: \(4,\)"):
        softmax.crossentropy(x, np.zeros(4, np.int32), loss, x)
    with pytest.raises(ValueError, match=r"expected labels of shape \(3, 4\). Received: \(3,\)"):
        softmax.crossentropy_gradient(loss, loss, x, x)
    with pytest.raises(ValueError, match=r"logits and p of shape \(n, ..., c\)"):
        softmax.crossentropy(blank(3), blank(3), loss, blank(3))
    with pytest.raises(ValueError, match=r"x and y of one shape \(n, ..., c\)"):
        softmax.forward(blank(3), blank(3))
