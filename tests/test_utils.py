"""Seeds and one-hot targets."""

import hashlib
import threading

import numpy as np
import pytest
from harness import uniform

from dlcore import Sequential, _random, layers, utils


def test_random_streams_are_fixed():
    """Golden values: shuffles, seeds and weights of a seed never change."""
    assert _random.raw(1, 2, stream=3).tolist() == [11741318884869097913, 11426800798646025915]
    assert _random.permutation(7, 8, stream=2).tolist() == [6, 7, 4, 0, 1, 5, 3, 2]
    utils.set_random_seed(5)
    assert [_random.seeds.next() for _ in range(2)] == [6619480585845027394, 7809783164350212599]


def test_distributions():
    u, z = _random.uniform(1, 100_000), _random.normal(1, 100_000)
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.001
    assert abs(z.mean()) < 0.02 and abs(z.var() - 1) < 0.02 and abs((z**4).mean() - 3) < 0.2
    t = _random.truncated_normal(1, 100_000)
    assert abs(t).max() <= 2 and abs(t.std() - 0.87962566) < 0.005
    orders = np.array([_random.permutation(1, 50, stream=i) for i in range(40)])
    assert (np.sort(orders, axis=1) == np.arange(50)).all() and len({tuple(order) for order in orders}) == 40


def trained():
    """Weights after a fit that uses all that is random: initial weights, shuffling and dropout."""
    model = Sequential([layers.Input((6,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(3)])
    model.compile("adam", "mse")
    model.fit(uniform(20, 6), uniform(20, 3), batch_size=8, epochs=2, verbose=0)
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def test_one_seed_for_everything():
    found = {}
    for seed in (0, 1, 2**63 - 1, np.int64(1)):
        utils.set_random_seed(seed)
        found.setdefault(int(seed), []).append((trained(), trained()))  # the second model differs from the first
    assert found[1][0] == found[1][1]
    assert len({value for pairs in found.values() for pair in pairs for value in pair}) == 6
    _random.seeds.reset(None)
    assert trained() != trained()


def test_seeds_of_threads_differ():
    utils.set_random_seed(1)
    drawn = []
    draw = lambda: drawn.extend([_random.seeds.next() for _ in range(200)])  # noqa: E731
    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 800


@pytest.mark.parametrize("bad", [-1, 2**63, 1.5, "1", None, True])
def test_refuses_seeds(bad):
    with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 2\*\*63 - 1. Received: seed="):
        utils.set_random_seed(bad)


@pytest.mark.parametrize("x, classes, expected", [
    ([0, 2, 1], None, np.eye(3)[[0, 2, 1]]),
    ([0, 1], 4, np.eye(4)[[0, 1]]),
    ([[0], [1]], None, np.eye(2)),
    ([[0, 1], [1, 0]], 2, np.eye(2)[[[0, 1], [1, 0]]]),
    (np.float64([1.0, 0.0]), None, np.eye(2)[[1, 0]]),
    (1, 3, np.eye(3)[1]),
])  # fmt: skip
def test_to_categorical(x, classes, expected):
    got = utils.to_categorical(x, classes)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("x, classes", [([-1, 0], None), ([0, 3], 3), ([0.5], None)])
def test_to_categorical_refuses(x, classes):
    with pytest.raises(ValueError, match="to_categorical: expected whole class numbers from 0 to"):
        utils.to_categorical(x, classes)
