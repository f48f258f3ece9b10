"""Models with regularizers and constraints: what they train towards, by hand in float64, and arguments of layers."""

import json

import numpy as np
import pytest
from harness import uniform

from dlcore import Model, Sequential, layers, ops, regularizers
from dlcore.constraints import MaxNorm, NonNeg, UnitNorm
from dlcore.ops.base import BATCH
from dlcore.optimizers import SGD
from dlcore.regularizers import L1, L1L2, L2, OrthogonalRegularizer

X, Y = uniform(24, 7), uniform(24, 3, seed=1)
RULES = dict(
    kernel_regularizer=L1L2(0.01, 0.02), bias_regularizer=L2(0.03), activity_regularizer=L1(0.05),
    kernel_constraint=MaxNorm(0.5), bias_constraint=NonNeg(),
)  # fmt: skip


def model_of(*parts):
    model = Sequential([layers.Input((7,)), *parts])
    model.compile(SGD(0.1), "mse")
    model.set_weights([uniform(*w.shape, seed=9) for w in model.weights])
    return model


def by_hand(w, b, x, y):
    """Loss of a linear layer with RULES, its parts and gradients, in float64."""
    w, b = np.float64(w), np.float64(b)
    p = x @ w + b
    loss = ((p - y) ** 2).mean() + 0.01 * np.abs(w).sum() + 0.02 * (w**2).sum() + 0.03 * (b**2).sum()
    loss += 0.05 * np.abs(p).sum() / len(x)
    dp = 2 * (p - y) / p.size + 0.05 * np.sign(p) / len(x)
    return loss, x.T @ dp + 0.01 * np.sign(w) + 0.04 * w, dp.sum(axis=0) + 0.06 * b


def test_training_follows_the_penalties_and_obeys_the_constraints():
    model = model_of(layers.Dense(3, **RULES))
    w, b = map(np.float64, model.get_weights())
    assert model.evaluate(X, Y, batch_size=24, verbose=0) == pytest.approx(by_hand(w, b, X, Y)[0], rel=1e-6)
    assert (np.linalg.norm(w, axis=0) > 0.5).all()  # so the constraint does something
    for _ in range(3):
        for i in range(0, 24, 6):
            loss, dw, db = by_hand(w, b, X[i : i + 6], Y[i : i + 6])
            assert model.train_on_batch(X[i : i + 6], Y[i : i + 6]) == pytest.approx(loss, rel=1e-5)
            w, b = w - 0.1 * dw, np.maximum(b - 0.1 * db, 0)
            norm = np.sqrt((w**2).sum(axis=0, keepdims=True))
            w *= np.minimum(norm, 0.5) / (1e-7 + norm)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], b, rtol=1e-5, atol=1e-6)
    assert (model.get_weights()[1] == 0).any()


def test_fit_of_many_steps_is_that_of_single_ones():
    one, many = (model_of(layers.Dense(3, **RULES)) for _ in range(2))
    losses = [one.train_on_batch(X[i : i + 6], Y[i : i + 6]) for i in range(0, 24, 6)]
    history = many.fit(X, Y, batch_size=6, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-6)
    for a, b in zip(one.get_weights(), many.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_used_twice_counts_its_weights_once_and_its_outputs_twice():
    shared = layers.Dense(3, use_bias=False, kernel_regularizer=L2(0.1), activity_regularizer=L2(0.2))
    a, b = layers.Input((7,)), layers.Input((7,))
    model = Model([a, b], layers.add([shared(a), shared(b)]))
    model.compile("sgd", "mse")
    (w,) = model.get_weights()
    p, q = X @ np.float64(w), X[::-1] @ np.float64(w)
    expected = ((p + q - Y) ** 2).mean() + 0.1 * (w**2).sum() + 0.2 * ((p**2).sum() + (q**2).sum()) / len(X)
    assert model.evaluate([X, X[::-1]], Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    outer = Sequential([layers.Input((7,)), Sequential([shared])])
    outer.compile("sgd", "mse")
    expected = ((p - Y) ** 2).mean() + 0.1 * (w**2).sum() + 0.2 * (p**2).sum() / len(X)
    assert outer.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_frozen_weights_have_no_penalty_but_outputs_do():
    model = model_of(layers.Dense(3, use_bias=False, kernel_regularizer="l2"), layers.Dense(3, use_bias=False))
    plain = model_of(layers.Dense(3, use_bias=False), layers.Dense(3, use_bias=False))
    both = model.evaluate(X, Y, verbose=0)
    model.layers[0].trainable = False
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(plain.evaluate(X, Y, verbose=0), rel=1e-6)
    model.layers[0].trainable = True
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(both, rel=1e-6)
    assert both - plain.evaluate(X, Y, verbose=0) == pytest.approx(0.01 * (model.get_weights()[0] ** 2).sum(), rel=1e-4)
    model = model_of(layers.Dense(3, activity_regularizer="l1"))
    loss = model.evaluate(X, Y, verbose=0)
    model.trainable = False
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss, rel=1e-6)


def test_functions_of_weights_and_outputs():
    model = model_of(layers.Dense(
        3, use_bias=False, kernel_regularizer=lambda w: 0.3 * L1(1.0)(w),
        activity_regularizer=lambda y: ops.mean(y * y), kernel_constraint=lambda w: UnitNorm()(NonNeg()(w)),
    ))  # fmt: skip
    w = np.float64(model.get_weights()[0])
    p = X @ w
    expected = ((p - Y) ** 2).mean() + 0.3 * np.abs(w).sum() + (p * p).mean()
    assert model.train_on_batch(X, Y) == pytest.approx(expected, rel=1e-5)
    (w,) = model.get_weights()
    assert (w >= 0).all() and np.allclose((w**2).sum(axis=0), 1)
    model = model_of(layers.Dense(3, kernel_regularizer=lambda w: w))
    with pytest.raises(ValueError, match=r"a penalty must have the shape \(None,\).* Received: \(7, 3\)"):
        model.fit(X, Y, verbose=0)


W = "kernel", "bias"
GAMMA = "beta", "gamma"
TAKES = [  # class, arguments, shape of a sample, names of weights in its rules and their attributes
    ("Dense", dict(units=4), (6,), W, W), ("Conv1D", dict(filters=4, kernel_size=2), (5, 4), W, W),
    ("Conv2D", dict(filters=4, kernel_size=2), (5, 6, 4), W, W),
    ("Conv1DTranspose", dict(filters=4, kernel_size=2), (5, 4), W, W),
    ("Conv2DTranspose", dict(filters=4, kernel_size=2), (5, 6, 4), W, W),
    ("DepthwiseConv1D", dict(kernel_size=2), (5, 4), ("depthwise", "bias"), W),
    ("DepthwiseConv2D", dict(kernel_size=2), (5, 6, 4), ("depthwise", "bias"), W),
    ("SeparableConv1D", dict(filters=4, kernel_size=2), (5, 4), ("depthwise", "pointwise", "bias"),
     ("depthwise_kernel", "pointwise_kernel", "bias")),
    ("SeparableConv2D", dict(filters=4, kernel_size=2), (5, 6, 4), ("depthwise", "pointwise", "bias"),
     ("depthwise_kernel", "pointwise_kernel", "bias")),
    ("BatchNormalization", {}, (5, 6), GAMMA, GAMMA), ("LayerNormalization", {}, (6,), GAMMA, GAMMA),
    ("GroupNormalization", dict(groups=2), (5, 6), GAMMA, GAMMA), ("PReLU", {}, (6,), ("alpha",), ("alpha",)),
    ("Embedding", dict(input_dim=9, output_dim=5), (6,), ("embeddings",), ("embeddings",)),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, shape, rules, weights", TAKES, ids=[case[0] for case in TAKES])
def test_every_layer_with_weights_takes_them(name, arguments, shape, rules, weights):
    given = {f"{rule}_regularizer": L1L2(0.25, 0.5 + i) for i, rule in enumerate(rules)}
    given.update({f"{rule}_constraint": NonNeg() for rule in rules}, activity_regularizer="l1")
    model = Sequential([layers.Input(shape), getattr(layers, name)(**arguments, **given, name="me")])
    layer = model.layers[0]
    config = json.loads(json.dumps(layer.get_config()))
    assert config["activity_regularizer"] == {"class_name": "L1", "config": {"l1": pytest.approx(0.01)}}
    assert all(config[f"{rule}_regularizer"]["class_name"] == "L1L2" for rule in rules)
    again = type(layer).from_config(config)
    assert again.get_config() == config
    model.compile(SGD(0.01), "mse")
    trained = [getattr(layer, weight) for weight in weights]
    for w in trained:
        w.assign(uniform(*w.shape, seed=9))
    penalty = sum(given[f"{rule}_regularizer"](w.numpy()) for rule, w in zip(rules, trained, strict=True))
    x = np.random.default_rng(0).integers(0, 9, (8, *shape)).astype(np.float32) / (1 if name == "Embedding" else 9)
    p = model.predict(x)
    expected = (p.astype(np.float64) ** 2).mean() + penalty + 0.01 * np.abs(p).sum() / len(p)
    assert model.evaluate(x, np.zeros_like(p), verbose=0) == pytest.approx(expected, rel=1e-5)
    model.fit(x, np.zeros_like(p), batch_size=4, verbose=0)
    assert all((w.value >= 0).all() for w in trained)
    for rule in rules:
        with pytest.raises(ValueError, match=f"me: {rule}_regularizer: expected one of .*Received: 'l3'"):
            getattr(layers, name)(**arguments, **{f"{rule}_regularizer": "l3"}, name="me")
        with pytest.raises(ValueError, match=f"me: {rule}_constraint: expected a name, .*Received: 3"):
            getattr(layers, name)(**arguments, **{f"{rule}_constraint": 3}, name="me")


def test_any_layer_has_an_activity_regularizer():
    model = model_of(layers.ReLU(activity_regularizer=L1(0.1)), layers.Dense(3, use_bias=False))
    expected = ((model.predict(X) - Y) ** 2).mean() + 0.1 * np.maximum(X, 0).sum() / len(X)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert layers.ReLU(activity_regularizer="l2").get_config()["activity_regularizer"]["class_name"] == "L2"
    assert "activity_regularizer" not in layers.ReLU().get_config()
    with pytest.raises(ValueError, match=r"me: activity_regularizer: expected one of .*Received: 'l3'"):
        layers.ReLU(activity_regularizer="l3", name="me")
    with pytest.raises(ValueError, match=r"me: activity_regularizer: expected a dict with class_name and config\. Rec"):
        layers.ReLU(activity_regularizer={"config": {}}, name="me")
    with pytest.raises(ValueError, match=r"me: activity_regularizer: L2 has no argument 'l1'\. It has \['l2'\]"):
        layers.ReLU(activity_regularizer={"class_name": "L2", "config": {"l1": 1}}, name="me")


class Own(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 3), name="w", regularizer="l1_l2", constraint="non_neg")
        self.v = self.add_weight(shape=(3,), regularizer=L2(0.5))

    def call(self, x):
        self.add_loss(ops.rescale(L2(0.25)(x), 2.0))
        self.add_loss(regularizers.get("l2")(self.v))
        return ops.bias_add(ops.dense(x, self.w), self.v)


def test_layers_of_the_users_own():
    model = model_of(Own())
    w, v = map(np.float64, model.get_weights())
    expected = ((X @ w + v - Y) ** 2).mean() + 0.51 * (v**2).sum() + 0.5 * (X**2).sum() / len(X)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.fit(X, Y, verbose=0)
    assert (model.get_weights()[0] >= 0).all()


def test_an_orthogonal_kernel():
    model = model_of(layers.Dense(7, use_bias=False, kernel_regularizer=OrthogonalRegularizer(1.0, "columns")))
    before = model.layers[0].kernel_regularizer(model.get_weights()[0])
    model.compile(SGD(0.1), "mse")
    model.fit(np.zeros((1, 7)), np.zeros((1, 7)), epochs=100, verbose=0)
    assert model.layers[0].kernel_regularizer(model.get_weights()[0]) < before / 2


def test_inputs_of_keras_spelling():
    assert layers.Input((3,), 32, "float32", None, None, None, "first").shape == (BATCH, 3)
    assert layers.Input(batch_shape=(None, 4, 3)).shape == (BATCH, 4, 3)
    assert layers.Embedding(4, 3).get_config()["embeddings_initializer"]["class_name"] == "RandomUniform"
    assert layers.PReLU("zeros", "l1", "non_neg", [1]).shared_axes == [1]
    with pytest.raises(ValueError, match=r"me: expected shape or batch_shape. Received both"):
        layers.Input((3,), batch_shape=(None, 3), name="me")
