"""Losses of one value per sample, and their gradients."""

import numpy as np
import pytest
import reference as ref
from harness import SIZES, assert_near, blank, results, uniform

from dlcore.kernels import losses

NAMES = [name for name in dir(losses) if name + "_gradient" in dir(losses)]
SHAPES = [*[(3, c) for c in SIZES], (2, 3, 5), (5, 2, 2, 3), (0, 4)]
PROBABILITIES = {"sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"}


def arrays(name, shape):
    """Targets and predictions."""
    rng = np.random.default_rng(shape)
    if name == "sparse_categorical_crossentropy":
        y = rng.integers(shape[-1], size=shape[:-1]).astype(np.int32)
    else:
        y = rng.random(shape).astype(np.float32)
    p = 3 * uniform(*shape) if name not in PROBABILITIES else 0.02 + 0.96 * abs(uniform(*shape))
    return y, p.astype(np.float32)


def check(name, y, p, dloss, scale=1.0, gradient_too=True):
    """Kernel against reference. A sample has the mean over its rows; scale is the size of what is summed."""
    loss = results(lambda loss: getattr(losses, name)(y, p, loss), blank(len(p)))
    rows = int(np.prod(p.shape[1:-1]))
    expected = getattr(ref, name)(y, p)
    expected = expected.reshape(len(p), rows).mean(axis=1)
    assert_near(loss, expected, abs(expected) + scale)
    if not gradient_too:
        return
    dp = results(lambda dp: getattr(losses, name + "_gradient")(dloss, y, p, dp), blank(*p.shape))
    from_above = np.broadcast_to(dloss.reshape(-1, *[1] * (p.ndim - 2)) / rows, p.shape[:-1])
    expected = getattr(ref, name + "_gradient")(from_above, y, p)
    assert_near(dp, expected, abs(expected) + scale * abs(from_above[..., None]) / p.shape[-1])


def test_names_are_all_of_the_references():
    assert len(NAMES) == 5
    assert all(hasattr(ref, name) and hasattr(ref, name + "_gradient") for name in NAMES)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_against_reference(name, shape):
    y, p = arrays(name, shape)
    check(name, y, p, uniform(shape[0], seed=9), scale=4.0)


@pytest.mark.parametrize("name", sorted(PROBABILITIES))
def test_clipped_probabilities_have_no_gradient(name):
    p = np.array([[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0], [1e-8, 1, 0], [2, 3, 5], [1, 1.5, -0.5]], np.float32)
    y = np.array([0, 0, 2, 1, 1, 2], np.int32)
    if name != "sparse_categorical_crossentropy":
        y = np.eye(3, dtype=np.float32)[y]
    check(name, y, p, uniform(6))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values_in_every_lane(name, value):
    """Row i has the special value in lane i, the last row none."""
    y, p = arrays(name, (18, 17))
    bad = p.copy()
    np.fill_diagonal(bad, value)
    gradient_too = np.isnan(value) or name not in PROBABILITIES  # inf / inf is nobody's probability
    with np.errstate(invalid="ignore", over="ignore"):
        check(name, y, bad, uniform(18), 4.0, gradient_too)
    if name != "sparse_categorical_crossentropy":
        np.fill_diagonal(y, np.nan)
        loss = results(lambda loss: getattr(losses, name)(y, p, loss), blank(18))
        np.testing.assert_array_equal(np.isnan(loss), np.arange(18) < 17)


@pytest.mark.parametrize("name", NAMES)
def test_one_value_for_each_position(name):
    y, p = arrays(name, (3, 2, 2, 5))
    loss = results(lambda loss: getattr(losses, name)(y, p, loss), blank(3, 2, 2))
    expected = getattr(ref, name)(y, p)
    assert_near(loss, expected, abs(expected) + 4)
    dloss = uniform(3, 2, 2)
    dp = results(lambda dp: getattr(losses, name + "_gradient")(dloss, y, p, dp), blank(*p.shape))
    expected = getattr(ref, name + "_gradient")(dloss, y, p)
    assert_near(dp, expected, abs(expected) + 4 * abs(dloss[..., None]))


@pytest.mark.parametrize("ignore", [0, 2, -1, 255])
@pytest.mark.parametrize("shape", [(3,), (3, 4)])
def test_ignored_labels_count_as_zero(ignore, shape):
    y, p = arrays("sparse_categorical_crossentropy", (3, 4, 5))
    y[:, 1] = ignore
    known = (y != ignore) & (y < 5)
    loss = results(lambda loss: losses.sparse_categorical_crossentropy(y, p, loss, ignore), blank(*shape))
    each = np.where(known, ref.sparse_categorical_crossentropy(np.where(known, y, 0), p), 0)
    assert_near(loss, each if len(shape) == 2 else each.mean(axis=1), abs(loss) + 4)
    dloss = uniform(*shape)
    dp = results(lambda dp: losses.sparse_categorical_crossentropy_gradient(dloss, y, p, dp, ignore), blank(*p.shape))
    above = np.broadcast_to(dloss.reshape(3, -1) / (1 if len(shape) == 2 else 4), (3, 4)) * known
    expected = ref.sparse_categorical_crossentropy_gradient(above, np.where(known, y, 0), p)
    assert_near(dp, expected, abs(expected) + 4)


def test_labels_that_are_no_class():
    y, p = np.array([0, -1, 3, 2], np.int32), abs(uniform(4, 3))
    loss = results(lambda loss: losses.sparse_categorical_crossentropy(y, p, loss), blank(4))
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, False])
    ones = np.ones(4, np.float32)
    dp = results(lambda dp: losses.sparse_categorical_crossentropy_gradient(ones, y, p, dp), blank(4, 3))
    np.testing.assert_array_equal((dp == 0).all(axis=1), [False, True, True, False])


def test_logits_do_not_overflow():
    z, y = np.array([[800, -800], [800, -800]], np.float32), np.array([[1, 0], [0, 1]], np.float32)
    loss = results(lambda loss: losses.binary_crossentropy_logits(y, z, loss), blank(2))
    np.testing.assert_array_equal(loss, [0, 800])
