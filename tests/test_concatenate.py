"""The layer that puts its inputs behind each other, and embeddings in training."""

import json

import numpy as np
import pytest
from graphs import differentiate, gathers, run
from harness import uniform

import dlcore
from dlcore import layers, ops


@pytest.mark.parametrize("axis, shapes", [(-1, [(4, 3), (4, 5), (4, 1)]), (1, [(2, 3), (3, 3)]), (3, [(2, 2, 3)] * 4)])
def test_concatenate(axis, shapes):
    xs = {f"x{i}": uniform(5, *shape, seed=i) for i, shape in enumerate(shapes)}
    layer = layers.Concatenate(axis, name="me")
    config = json.loads(json.dumps(layer.get_config()))
    assert layers.Concatenate.from_config(config).get_config() == config
    expected = np.concatenate(list(xs.values()), axis)
    t = uniform(*expected.shape, seed=9)
    *inputs, b = gathers(**xs, t=t)
    y = layer.call(inputs)
    assert y.shape == (None, *expected.shape[1:])
    np.testing.assert_array_equal(run([y], xs)[0], expected)
    found = differentiate(ops.mean_squared_error(b, y), inputs)
    cuts = np.cumsum([x.shape[axis] for x in xs.values()])[:-1]
    slopes = np.split(2 * (expected - t) / t.size, cuts, axis)
    for got, slope in zip(run(found, {**xs, "t": t}, 3), slopes, strict=True):
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-9)


def test_refuses_inputs():
    a, b = gathers(a=uniform(2, 3, 4), b=uniform(2, 4, 4))
    layer = layers.Concatenate(name="me")
    with pytest.raises(ValueError, match=r"me: concatenate: expected shapes that differ in axis 2 only. Received: \["):
        layer.call([a, b])
    with pytest.raises(ValueError, match=r"me: expected a list of inputs. Received: \[\]"):
        layer.call([])
    with pytest.raises(ValueError, match=r"me: concatenate: axis must be one of 1 to 2 .*Received: axis=3"):
        layers.Concatenate(3, name="me").call([a, a])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("size", [30, 2000])
def test_embeddings_train_alike_on_any_number_of_threads(optimizer, size):
    rng = np.random.default_rng(0)
    x, found = rng.integers(0, size, (64, 6)), []
    y = (x.sum(axis=1) % 2).astype(np.float32)
    for threads in (1, 4):
        dlcore.utils.set_random_seed(1)
        model = dlcore.Sequential(
            [layers.Embedding(size, 9, input_shape=(6,)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
        )
        model.compile(optimizer, "binary_crossentropy")
        with dlcore.config.threads(threads):
            history = model.fit(x, y, batch_size=16, epochs=3, verbose=0).history["loss"]
        assert history[-1] < history[0]
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        assert a.tobytes() == b.tobytes()


def test_embeddings_of_arrays():
    layer = layers.Embedding(5, 3, weights=[uniform(5, 3)])
    for ids in (np.array([[0, 4], [2, 2]]), np.uint8([[0, 4], [2, 2]]), [[0, 4], [2, 2]]):
        np.testing.assert_array_equal(layer(ids), uniform(5, 3)[np.array(ids)])
    assert layer(np.array([3, 1])).shape == (2, 3)
    assert np.isnan(layer(np.array([[5, -1]]))).all()
