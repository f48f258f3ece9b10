"""Dropout and noise layers: in training the numbers of seed, step and element, otherwise nothing."""

import json

import numpy as np
import pytest
import reference as ref
from graphs import differentiate, gathers, run
from harness import same_bits, uniform

import dlcore
from dlcore import Model, Sequential, layers, ops, utils
from dlcore.layers.trace import tracing
from dlcore.ops.data import gather
from dlcore.optimizers import SGD

SEED = 7
LOW = -1.6732632423543772 * 1.0507009873554805


def dropped(rate, noise):
    return lambda x: ref.masked(x, noise, rate, SEED, 0, 0, 1 / (1 - rate)), lambda dy, x: ref.masked(
        dy, noise, rate, SEED, 0, 0, 1 / (1 - rate)
    )


def alpha(rate, noise):
    a = ((1 - rate) * (1 + rate * LOW**2)) ** -0.5
    b = -a * LOW * rate
    return lambda x: ref.masked(x, noise, rate, SEED, 0, 0, a, b, a * LOW + b), lambda dy, x: ref.masked(
        dy, noise, rate, SEED, 0, 0, a
    )


def noisy(stddev, multiply):
    return lambda x: ref.gaussian(
        x, stddev, SEED, 0, 0, multiply
    ), lambda dy, x: ref.gaussian(dy, stddev, SEED, 0, 0, True) if multiply else dy


TABLE = [  # class, arguments, shape of the batch, (y of x, dx of dy and x) in training
    ("Dropout", dict(rate=0.3), (6, 5, 11), dropped(0.3, (6, 5, 11))),
    ("Dropout", dict(rate=0.3, noise_shape=(None, 1, None)), (6, 5, 11), dropped(0.3, (6, 1, 11))),
    ("Dropout", dict(rate=0.3, noise_shape=[6, 5, 1]), (6, 5, 11), dropped(0.3, (6, 5, 1))),
    ("Dropout", dict(rate=0.6, noise_shape=(1, None, 11)), (6, 5, 11), dropped(0.6, (1, 5, 11))),
    ("SpatialDropout1D", dict(rate=0.5), (6, 5, 11), dropped(0.5, (6, 1, 11))),
    ("SpatialDropout2D", dict(rate=0.5), (3, 4, 5, 7), dropped(0.5, (3, 1, 1, 7))),
    ("AlphaDropout", dict(rate=0.3), (6, 5, 11), alpha(0.3, (6, 5, 11))),
    ("AlphaDropout", dict(rate=0.3, noise_shape=(None, 1, None)), (6, 5, 11), alpha(0.3, (6, 1, 11))),
    ("GaussianNoise", dict(stddev=0.7), (6, 5, 11), noisy(0.7, False)),
    ("GaussianDropout", dict(rate=0.3), (6, 5, 11), noisy((0.3 / 0.7) ** 0.5, True)),
]
cases = pytest.mark.parametrize("name, arguments, shape, twin", TABLE, ids=[f"{r[0]}-{i}" for i, r in enumerate(TABLE)])


@cases
def test_values_and_gradients(name, arguments, shape, twin):
    layer, x, t = getattr(layers, name)(**arguments, seed=SEED), uniform(*shape), uniform(*shape, seed=1)
    forward, gradient = twin
    y = forward(x)
    np.testing.assert_allclose(layer(x, training=True), y, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(layer(x), x)
    a, b = gathers(x=x, t=t)
    found = differentiate(ops.mean_squared_error(b, layer(a, training=True)), [a])
    dx = run(found, {"x": x, "t": t}, threads=2)[0]
    np.testing.assert_allclose(dx, gradient(2 * (y - t) / t.size, x), rtol=1e-4, atol=1e-7)


@cases
def test_configuration_makes_the_same_layer(name, arguments, shape, twin):
    for seed in (None, 3):
        layer = getattr(layers, name)(**arguments, seed=seed, name="mine")
        config = json.loads(json.dumps(layer.get_config()))
        again = type(layer).from_config(config)
        assert again.get_config() == config and again.name == "mine" and config["seed"] == seed
        assert isinstance(layer._stream, int) and (again._stream == layer._stream) == (seed is not None)


@cases
def test_uses_of_a_layer_draw_their_own_numbers(name, arguments, shape, twin):
    layer, x, t = getattr(layers, name)(**arguments, seed=SEED), uniform(*shape), np.zeros(shape, np.float32)
    a, b = gathers(x=x, t=t)
    with tracing(True):
        first, second = layer(a), layer(a)
        outputs = run([first, second, *differentiate(ops.mean_squared_error(b, second), [a])], {"x": x, "t": t})
    np.testing.assert_allclose(outputs[0], twin[0](x), rtol=1e-5, atol=1e-5)
    assert not np.array_equal(*outputs[:2])
    if "Gaussian" not in name:  # the gradient goes through the mask of its own use
        kept = outputs[1] != 0 if name != "AlphaDropout" else outputs[2] != 0
        np.testing.assert_array_equal(outputs[2] != 0, kept)
    np.testing.assert_allclose(layer(x, training=True), outputs[0], rtol=1e-6)
    assert not np.array_equal(layer(x, training=True), outputs[0])  # a second call on arrays


def test_a_shared_dropout_in_a_model():
    drop, dense = layers.Dropout(0.5, seed=1), layers.Dense(4, use_bias=False, kernel_initializer="ones")
    a = layers.Input((64,))
    model = Model(a, layers.subtract([drop(a), drop(a)]))
    model.compile("sgd", "mse")
    x = np.ones((8, 64), np.float32)
    assert model.train_on_batch(x, np.zeros_like(x)) == pytest.approx(2, rel=0.3)  # 0 or 4, half of them each
    assert model.evaluate(x, np.zeros_like(x), verbose=0) == 0
    nested = Sequential([layers.Input((64,)), drop, Sequential([drop, dense])])
    nested.compile("sgd", "mse")
    assert nested.train_on_batch(x, np.full((8, 4), 64.0)) < 3000  # a quarter is kept, and counts 4


def test_nothing_is_drawn_at_rate_0():
    x = uniform(3, 4)
    for layer in (layers.Dropout(0), layers.AlphaDropout(0), layers.GaussianDropout(0), layers.GaussianNoise(0)):
        np.testing.assert_array_equal(layer(x, training=True), x)


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).standard_normal((100, 5000)).astype(np.float32)
    y = layers.AlphaDropout(0.3, seed=1)(x, training=True)
    assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.01


def weights_after(threads):
    utils.set_random_seed(4)
    noise = [layers.GaussianNoise(0.2), layers.SpatialDropout2D(0.3), layers.GaussianDropout(0.2)]
    head = [layers.Flatten(), layers.AlphaDropout(0.1), layers.Dense(3)]
    model = Sequential([layers.Input((6, 5, 8)), *noise, *head])
    model.compile(SGD(0.1), "mse")
    with dlcore.threads(threads):
        model.fit(uniform(50, 6, 5, 8), uniform(50, 3), batch_size=16, epochs=2, verbose=0)
    return model.get_weights()[0]


def test_the_global_seed_makes_a_fit_repeatable_on_any_number_of_threads():
    first = weights_after(1)
    assert all(same_bits(first, weights_after(threads)) for threads in (1, 2, 3))


SHARE = r"me: rate must be a number in \[0, 1\). Received: rate="
SIZES = "me: noise_shape must hold positive whole numbers or None, one for each axis. Received: noise_shape="


@pytest.mark.parametrize("name, arguments, message", [
    *[(name, dict(rate=1), SHARE + "1") for name in ("SpatialDropout1D", "SpatialDropout2D", "AlphaDropout")],
    ("GaussianDropout", dict(rate="a"), SHARE + "'a'"),
    ("GaussianNoise", dict(stddev=-1), "me: stddev must be a number of at least 0. Received: stddev=-1"),
    ("GaussianNoise", dict(stddev=None), "me: stddev must be a number of at least 0. Received: stddev=None"),
    ("Dropout", dict(rate=0.5, seed=1.5), r"me: seed must be a whole number or None. Received: seed=1\.5"),
    ("Dropout", dict(rate=0.5, noise_shape="ab"), SIZES + "'ab'"),
    ("Dropout", dict(rate=0.5, noise_shape=(None, 0)), SIZES + r"\(None, 0\)"),
    ("SpatialDropout2D", dict(rate=0.5, data_format="channels_first"), "me: data_format must be 'channels_last'"),
])  # fmt: skip
def test_refuses_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")


@pytest.mark.parametrize("layer, shape, message", [
    (lambda: layers.SpatialDropout1D(0.5, name="me"), (4,), r"me: expected .*\(batch, steps, channels\).*\(None, 4\)"),
    (lambda: layers.SpatialDropout2D(0.5, name="me"), (4, 3), r"me: expected .*\(batch, height, .*\(None, 4, 3\)"),
    (lambda: layers.Dropout(0.5, (None, 3), name="me"), (4,), r"me: .*noise_shape=\(None, 3\) .*: \(None, 4\)"),
    (lambda: layers.AlphaDropout(0.5, (None,), name="me"), (4,), r"me: .*noise_shape=\(None,\) .*: \(None, 4\)"),
])  # fmt: skip
def test_refuses_inputs(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer()(gather("x", shape))


def test_a_mask_for_another_batch_size_is_refused():
    with pytest.raises(ValueError, match=r"random.masked: x \(4, 3\).* noise \(5, 1\)"):
        layers.Dropout(0.5, noise_shape=(5, 1))(uniform(4, 3), training=True)


def test_ops_refuse_a_noise_shape_that_does_not_suit():
    with pytest.raises(ValueError, match=r"dropout: noise_shape must hold .* Received: \(None, 2\)"):
        ops.alpha_dropout(gather("x", (3,)), 0.5, 1, noise_shape=(None, 2))
