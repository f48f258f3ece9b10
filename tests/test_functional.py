"""Functional models and subclasses: structures of inputs and outputs, sharing, nesting, what users compose of ops."""

import sys

import numpy as np
import pytest
from harness import same_bits, uniform

from dlcore import Input, Model, Sequential, layers, losses, metrics, ops, regularizers, utils
from dlcore.ops.base import Parameter
from dlcore.optimizers import SGD

N = 11
A, B = uniform(N, 4), uniform(N, 3, seed=1)
T = uniform(N, 2, seed=2)


def weights64(model):
    return [w.astype(np.float64) for w in model.get_weights()]


def gradients(model, x, y, loss="mse", **options):
    """What one step subtracts at a learning rate of 1; the weights are put back."""
    before = model.get_weights()
    model.compile(SGD(1.0), loss, **options)
    model.train_on_batch(x, y)
    found = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return found


def differences(function, weights):
    """Central differences of function(weights) in float64, for each number of each weight."""
    found = []
    for i, weight in enumerate(weights):
        slope = np.zeros_like(weight)
        for place in np.ndindex(weight.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [w.copy() for w in weights]
                moved[i][place] += step
                ends.append(function(moved))
            slope[place] = (ends[0] - ends[1]) / 2e-5
        found.append(slope)
    return found


def check(model, forward, x, y, rtol=1e-4, atol=1e-5):
    """Prediction and gradients against `forward(weights)`, the model in float64."""
    weights = weights64(model)
    np.testing.assert_allclose(model.predict(x), forward(weights), rtol=1e-4, atol=1e-5)
    expected = differences(lambda w: np.mean((forward(w) - y) ** 2), weights)
    for got, wanted in zip(gradients(model, x, y), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)


def relu(x):
    return np.maximum(x, 0)


# ---------------------------------------------------------------------------------------------------------------------
# Structures


def two_in_two_out(kind=list):
    a, b = Input((4,), name="a"), Input((3,), name="b")
    h = layers.Concatenate()([layers.Dense(5, "tanh", name="da")(a), layers.Dense(5, "tanh", name="db")(b)])
    p, q = layers.Dense(2, name="p")(h), layers.Dense(3, "softmax", name="q")(h)
    given = (dict(a=a, b=b), dict(p=p, q=q)) if kind is dict else (kind([a, b]), kind([p, q]))
    return Model(*given, name="two")


LABELS = np.arange(N) % 3
FORMS_X = {"list": [A, B], "tuple": (A, B), "dict": {"b": B, "a": A}}
FORMS_Y = {"list": [T, LABELS], "tuple": (T, LABELS), "dict": {"q": LABELS, "p": T}}
TWO = ["mse", "sparse_categorical_crossentropy"]


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_structures_of_inputs_and_outputs(kind):
    model = two_in_two_out(kind)
    assert model.input_names == ["a", "b"] and model.output_names == ["p", "q"]
    assert [t.shape for t in model.inputs] == [(None, 4), (None, 3)]
    assert [t.shape for t in model.outputs] == [(None, 2), (None, 3)]
    expected = None
    for x in FORMS_X.values():
        y = model.predict(x)
        assert isinstance(y, dict if kind is dict else kind)
        found = [y["p"], y["q"]] if kind is dict else list(y)
        expected = expected or found
        assert all(same_bits(one, other) for one, other in zip(found, expected, strict=True))
    assert expected[0].shape == (N, 2) and expected[1].shape == (N, 3)


@pytest.mark.parametrize("form_x", FORMS_X)
@pytest.mark.parametrize("form_y", FORMS_Y)
def test_fit_evaluate_and_batches_take_lists_and_dicts(form_x, form_y):
    results = []
    for x, y in ((FORMS_X["list"], FORMS_Y["list"]), (FORMS_X[form_x], FORMS_Y[form_y])):
        utils.set_random_seed(1)
        model = two_in_two_out()
        model.compile("adam", TWO)
        history = model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0).history
        results.append((history, model.evaluate(x, y, verbose=0), model.train_on_batch(x, y), model.get_weights()))
        assert model.test_on_batch(x, y)[0] < results[-1][2][0]
    assert list(results[1][0]) == ["loss", "p_loss", "q_loss", "val_loss", "val_p_loss", "val_q_loss"]
    assert results[0][:3] == results[1][:3]
    assert all(same_bits(a, b) for a, b in zip(results[0][3], results[1][3], strict=True))


@pytest.mark.parametrize("loss", [TWO, dict(p="mse", q=TWO[1])])
@pytest.mark.parametrize("loss_weights", [[0.5, 2.0], dict(p=0.5, q=2.0), dict(p=0.5, q=2)])
def test_losses_weights_and_metrics_by_output(loss, loss_weights):
    model = two_in_two_out()
    model.compile("sgd", loss, loss_weights=loss_weights, metrics=dict(q=["accuracy"], p=["mae", "mse"]))
    logs = model.evaluate([A, B], [T, LABELS], return_dict=True, verbose=0)
    assert list(logs) == ["loss", "p_loss", "q_loss", "p_mae", "p_mse", "q_accuracy"]
    p, q = (y.astype(np.float64) for y in model.predict([A, B]))
    mse, cross = np.mean((p - T) ** 2), -np.mean(np.log(q[np.arange(N), LABELS]))
    expected = dict(loss=0.5 * mse + 2 * cross, p_mae=np.mean(abs(p - T)), p_mse=mse,
                    q_accuracy=np.mean(q.argmax(axis=1) == LABELS))  # fmt: skip
    for name, value in expected.items():
        assert logs[name] == pytest.approx(value, rel=1e-5), name
    assert model.evaluate([A, B], [T, LABELS], verbose=0) == list(logs.values())


def test_losses_by_output_are_unweighted_in_the_logs():
    model = two_in_two_out()
    model.compile("sgd", TWO, loss_weights=[10, 1])
    logs = model.evaluate([A, B], [T, LABELS], return_dict=True, verbose=0)
    p, _ = model.predict([A, B])
    assert logs["p_loss"] == pytest.approx(np.mean((p - T) ** 2), rel=1e-5)
    assert logs["loss"] == pytest.approx(10 * logs["p_loss"] + logs["q_loss"], rel=1e-5)


def test_metrics_as_lists_of_lists():
    model = two_in_two_out()
    for given in ([["mae"], ["accuracy"]], ["mae", "accuracy"], (["mae"], "accuracy")):
        model.compile("sgd", TWO, metrics=given)
        logs = model.evaluate([A, B], [T, LABELS], return_dict=True, verbose=0)
        assert list(logs) == ["loss", "p_loss", "q_loss", "p_mae", "q_accuracy"]
    model.compile("sgd", TWO, metrics=[None, ["accuracy"]], weighted_metrics=[["mae"], None])
    weight = np.arange(N)
    logs = model.evaluate([A, B], [T, LABELS], sample_weight=[weight, None], return_dict=True, verbose=0)
    p, _ = model.predict([A, B])
    assert logs["p_mae"] == pytest.approx(np.average(abs(p - T).mean(axis=1), weights=weight), rel=1e-5)
    assert list(logs) == ["loss", "p_loss", "q_loss", "p_mae", "q_accuracy"]


def test_one_loss_for_all_outputs():
    a = Input((4,))
    model = Model(a, [layers.Dense(2, name="one")(a), layers.Dense(2, name="two")(a)])
    model.compile("sgd", "mse")
    logs = model.evaluate(A, [T, T], return_dict=True, verbose=0)
    assert list(logs) == ["loss", "one_loss", "two_loss"]
    assert logs["loss"] == pytest.approx(logs["one_loss"] + logs["two_loss"], rel=1e-6)


def test_an_output_without_a_loss_needs_no_targets():
    a = Input((4,))
    h = layers.Dense(5, "relu", name="features")(a)
    model = Model(a, [h, layers.Dense(2, name="out")(h)])
    for loss, y in (([None, "mse"], T), (dict(out="mse"), T), (dict(out="mse"), dict(out=T))):
        model.compile("sgd", loss)
        assert list(model.fit(A, y, verbose=0).history) == ["loss"]
        assert model.predict(A)[0].shape == (N, 5)


def test_one_number_per_sample_is_measured_as_one_unit():
    a = Input((4,))
    unit = layers.Dense(1, "sigmoid")(a)
    number = ops.reshape(unit, (None,))
    binary = dict(loss="mae", metrics=["binary_accuracy", "AUC"])
    for given in (dict(loss="mse", metrics=["mae"]), dict(loss="huber", metrics=["r2_score"]), binary):
        y = (T[:, :1] > 0).astype(np.float32)
        models = [Model(a, unit), Model(a, number), Model(a, number)]
        before = models[0].get_weights()
        found = []
        for model, targets in zip(models, (y, y, y[:, 0]), strict=True):
            model.set_weights(before)
            model.compile(SGD(0.1), **given)
            logs = model.fit(A, targets, batch_size=4, sample_weight=B[:, 0], shuffle=False, verbose=0).history
            found.append([logs, model.evaluate(A, targets, verbose=0), [w.tobytes() for w in model.get_weights()]])
        assert found[0] == found[1] == found[2]
        assert models[1].predict(A).shape == (N,)


def test_single_tensors_in_lists_and_dicts():
    a = Input((4,), name="a")
    y = layers.Dense(2, name="y")(a)
    expected = Model(a, y).predict(A)
    assert same_bits(Model([a], [y]).predict([A]), expected)
    assert same_bits(Model(dict(a=a), dict(y=y)).predict(dict(a=A))["y"], expected)
    assert same_bits(Model(inputs=a, outputs=y).predict(dict(a=A)), expected)
    assert same_bits(Model(a, dict(y=y)).predict(A)["y"], expected)
    for model in (Model([a], [y]), Model(dict(a=a), dict(y=y))):
        model.compile("sgd", "mse")
        model.fit(A, T, verbose=0)


def test_nested_structures():
    a, b, c = Input((4,), name="a"), Input((3,), name="b"), Input((2,), name="c")
    y = layers.Dense(2, name="y")(layers.Concatenate()([a, b, c]))
    model = Model([a, dict(b=b, c=c)], dict(y=y, both=[a, b]))
    found = model.predict([A, B, T])
    model.compile("sgd", dict(y="mse", both_1="mse"), metrics=dict(both_0="mae"))
    logs = model.evaluate([A, B, T], [T, A, B], return_dict=True, verbose=0)
    assert logs["both_1_loss"] == logs["both_0_mae"] == 0 and list(logs) == [
        "loss",
        "y_loss",
        "both_1_loss",
        "both_0_mae",
    ]
    assert sorted(found) == ["both", "y"] and same_bits(found["both"][0], A) and same_bits(found["both"][1], B)
    again = model([Input((4,)), dict(b=Input((3,)), c=Input((2,)))])
    assert again["y"].shape == (None, 2) and again["both"][1].shape == (None, 3)


def test_the_same_tensor_may_be_an_output_twice_and_an_input_may_be_one():
    a = Input((4,), name="a")
    y = layers.Dense(2)(a)
    one, two, three = Model(a, [y, y, a]).predict(A)
    assert same_bits(one, two) and same_bits(three, A)
    model = Model(a, [y, y], name="twice")
    name = y.call.layer.name
    model.compile("sgd", {name: "mse", f"{name}_1": "mae"})
    assert list(model.evaluate(A, [T, T], return_dict=True, verbose=0)) == ["loss", f"{name}_loss", f"{name}_1_loss"]


# ---------------------------------------------------------------------------------------------------------------------
# Graphs


def test_shared_layers_sum_their_gradients():
    a, b = Input((3,)), Input((3,))
    shared = layers.Dense(2, "tanh")
    model = Model([a, b], layers.Subtract()([shared(a), shared(b)]))
    assert len(model.weights) == 2 and len([x for x in model.layers if x is shared]) == 1
    x, z = uniform(N, 3, seed=4), uniform(N, 3, seed=5)
    check(model, lambda w: np.tanh(x @ w[0] + w[1]) - np.tanh(z @ w[0] + w[1]), [x, z], T)


def test_a_layer_that_is_called_on_its_own_output():
    a = Input((3,))
    turn = layers.Dense(3, "tanh")
    model = Model(a, turn(turn(turn(a))))
    x, y = uniform(N, 3, seed=4), uniform(N, 3, seed=5)

    def forward(w):
        h = x
        for _ in range(3):
            h = np.tanh(h @ w[0] + w[1])
        return h

    check(model, forward, x, y)


def test_branches_merges_and_residuals():
    a = Input((4,))
    h = layers.Dense(4, "relu")(a)
    left, right = layers.Dense(4, "tanh")(h), layers.Dense(4)(a)
    m = layers.Add()([h, left, layers.Multiply()([left, right])])
    model = Model(a, layers.Concatenate()([m, h]))

    def forward(w):
        h = relu(A @ w[0] + w[1])
        left, right = np.tanh(h @ w[2] + w[3]), A @ w[4] + w[5]
        return np.concatenate([h + left + left * right, h], axis=1)

    weights = {layer.name: layer for layer in model.layers if layer.weights}
    assert len(weights) == 3
    order = [w for layer in (model.layers) for w in layer.weights]
    assert model.weights == order
    names = [layer.weights for layer in model.layers if layer.weights]
    first = h.call.layer, left.call.layer, right.call.layer
    model_order = [w for layer in first for w in layer.weights]
    assert {id(w) for w in model_order} == {id(w) for some in names for w in some}

    def reordered(w):
        by = dict(zip(model.weights, w, strict=True))
        return forward([by[x] for x in model_order])

    check(model, reordered, A, uniform(N, 8, seed=3))


def test_images_that_branch():
    utils.set_random_seed(0)
    a = Input((6, 5, 2))
    h = layers.Conv2D(4, 3, padding="same", activation="relu")(a)
    one = layers.Conv2D(3, 1)(h)
    two = layers.MaxPooling2D(2, strides=1, padding="same")(h)
    model = Model(a, layers.GlobalAveragePooling2D()(layers.Concatenate()([one, two, a])))
    x = uniform(N, 6, 5, 2)
    assert model.predict(x).shape == (N, 9)
    model.compile(SGD(0.1), "mse")
    logs = model.fit(x, uniform(N, 9, seed=1), epochs=30, shuffle=False, verbose=0).history["loss"]
    assert logs == sorted(logs, reverse=True) and logs[-1] < logs[0]


def test_operators_and_ops_between_layers():
    a, b = Input((4,)), Input((4,))
    d = layers.Dense(4)
    h = ops.relu(d(a) + 2 * b) - a / 3
    model = Model([a, b], layers.Dense(2)(h * h) + 1)
    x, z = A, uniform(N, 4, seed=7)
    check(model, lambda w: (relu(x @ w[0] + w[1] + 2 * z) - x / 3) ** 2 @ w[2] + w[3] + 1, [x, z], T)


def test_slices_and_reductions_between_layers():
    a = Input((4, 3))
    model = Model(a, layers.Dense(2)(ops.mean(a[:, 1:, :], axis=1)))
    x = uniform(N, 4, 3)
    check(model, lambda w: x[:, 1:].mean(axis=1) @ w[0] + w[1], x, T)


def test_a_model_of_ops_alone():
    a = Input((4,))
    model = Model(a, ops.tanh(a) * 2)
    np.testing.assert_allclose(model.predict(A), 2 * np.tanh(A), rtol=1e-5)
    assert model.weights == []
    model.compile("sgd", "mse")
    assert model.evaluate(A, A, verbose=0) == pytest.approx(np.mean((2 * np.tanh(A) - A) ** 2), rel=1e-5)


def test_parameters_within_ops_are_constants_to_training_unless_a_layer_has_them():
    """A Parameter that no layer owns takes part in the graph with the value that it has, as the model runs."""
    scale = Parameter((4,), np.arange(4, dtype=np.float32), "scale")
    a = Input((4,))
    model = Model(a, layers.Dense(2)(a * scale))
    check(model, lambda w: (A * np.arange(4)) @ w[0] + w[1], A, T)
    assert scale not in model.weights and (scale.numpy() == np.arange(4)).all()
    scale.assign(np.ones(4))
    w, b = weights64(model)
    np.testing.assert_allclose(model.predict(A), A @ w + b, rtol=1e-4, atol=1e-5)


def test_models_from_the_middle_to_the_middle():
    a = Input((4,), name="a")
    h1 = layers.Dense(5, "relu", name="one")(a)
    h2 = layers.Dense(6, "tanh", name="two")(h1)
    model = Model(a, layers.Dense(2, name="three")(h2))
    w = weights64(model)
    features = Model(model.inputs, model.get_layer("two").output)
    first = relu(A @ w[0] + w[1])
    np.testing.assert_allclose(features.predict(A), np.tanh(first @ w[2] + w[3]), rtol=1e-4, atol=1e-6)
    middle = Model(model.get_layer("one").output, model.output)
    assert [layer.name for layer in middle.layers if layer.weights] == ["two", "three"]
    np.testing.assert_allclose(middle.predict(first.astype(np.float32)), model.predict(A), rtol=1e-4, atol=1e-6)
    both = Model(model.input, [model.get_layer("one").output, model.get_layer("three").output])
    assert [y.shape for y in both.predict(A)] == [(N, 5), (N, 2)]
    again = Model(model.get_layer("two").input, model.get_layer("two").output)  # one layer alone
    assert again.predict(first).shape == (N, 6)
    model.compile("sgd", "mse")
    model.fit(A, T, verbose=0)
    assert not np.allclose(features.predict(A), np.tanh(first @ w[2] + w[3]), rtol=1e-6, atol=1e-9)  # shared weights


def test_features_of_a_sequential():
    model = Sequential([Input((8, 8, 1)), layers.Conv2D(3, 3, name="conv"), layers.Flatten(), layers.Dense(2)])
    x = uniform(2, 8, 8, 1)
    conv = Model(model.inputs, model.get_layer("conv").output)
    assert conv.predict(x).shape == (2, 6, 6, 3)
    top = layers.Dense(4)(model.layers[-2].output)
    grown = Model(model.input, [model.output, top])
    y = grown.predict(x)
    assert same_bits(y[0], model.predict(x)) and y[1].shape == (2, 4)


def test_a_new_graph_over_old_layers():
    """A layer that is called again belongs to both graphs, with the same weights; `output` is of the last call."""
    d = layers.Dense(3)
    a, b = Input((4,)), Input((4,))
    one, two = Model(a, d(a)), Model(b, d(ops.relu(b)))
    assert one.weights == two.weights
    np.testing.assert_allclose(two.predict(A), one.predict(relu(A)), rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Nesting


def test_nested_models():
    a = Input((4,))
    inner = Model(a, layers.Dense(3, "tanh")(a), name="inner")
    b, c = Input((4,)), Input((4,))
    model = Model([b, c], layers.Dense(2)(inner(b) - inner(c)))
    assert len(model.weights) == 4 and model.get_layer("inner") is inner
    z = uniform(N, 4, seed=8)
    check(model, lambda w: (np.tanh(A @ w[0] + w[1]) - np.tanh(z @ w[0] + w[1])) @ w[2] + w[3], [A, z], T)
    np.testing.assert_allclose(inner.predict(A), np.tanh(A @ weights64(inner)[0] + weights64(inner)[1]), rtol=1e-4,
                               atol=1e-6)  # fmt: skip


def test_sequential_in_functional_and_the_other_way():
    stack = Sequential([Input((4,)), layers.Dense(3, "relu"), layers.Dense(5)])
    a = Input((4,))
    outer = Model(a, layers.Dense(2)(stack(a)))
    whole = Sequential([outer, layers.Activation("tanh"), layers.Dense(2)])
    w = weights64(whole)
    assert len(w) == 8
    check(whole, lambda w: np.tanh((relu(A @ w[0] + w[1]) @ w[2] + w[3]) @ w[4] + w[5]) @ w[6] + w[7], A, T)
    unbuilt = Sequential([layers.Dense(3), layers.Dense(2)])
    model = Model(a, unbuilt(a))  # which builds it
    assert unbuilt.built and model.predict(A).shape == (N, 2) and unbuilt.predict(A).shape == (N, 2)


def test_a_nested_model_of_several_inputs_and_outputs():
    inner = two_in_two_out(dict)
    a, b = Input((4,), name="a"), Input((3,), name="b")
    y = inner(dict(a=a, b=b))
    model = Model([a, b], layers.Concatenate()([y["p"], y["q"]]))
    p = inner.predict([A, B])
    assert same_bits(model.predict([A, B]), np.concatenate([p["p"], p["q"]], axis=1))
    listed = two_in_two_out()
    u, v = listed([a, b])
    assert [y.shape for y in Model([a, b], [v, u]).predict([A, B])] == [(N, 3), (N, 2)]
    fewer = Model([a, b], u)  # what is not asked for is not needed
    fewer.compile("sgd", "mse")
    fewer.fit([A, B], T, verbose=0)


def test_deeply_nested():
    model = None
    for i in range(6):
        a = Input((4,))
        h = layers.Dense(4, name=f"d{i}")(a)
        model = Model(a, h if model is None else model(h))
    assert len(model.weights) == 12

    def forward(w):
        h = A
        for i in range(0, 12, 2):
            h = h @ w[i] + w[i + 1]
        return h

    check(model, forward, A, uniform(N, 4, seed=1))


# ---------------------------------------------------------------------------------------------------------------------
# What users write


class Attention(layers.Layer):
    """softmax(q k^T) v for one query a sample: inner layers, several inputs, two outputs, training."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.query, self.heads = layers.Dense(units), [layers.Dense(units), layers.Dense(units)]
        self.noise = layers.Dropout(0.5)
        self.seen = []

    def build(self, input_shape):
        assert input_shape == [(None, 4), (None, 3)]
        self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")

    def call(self, x, training=False):
        self.seen.append(training)
        q, k = x
        h = self.noise(self.query(q)) * self.scale
        return [ops.tanh(h + self.heads[0](k)), self.heads[1](k)]


def test_custom_layers():
    a, b = Input((4,)), Input((3,))
    layer = Attention(2)
    y, z = layer([a, b])
    model = Model([a, b], y + z)
    assert len(model.weights) == 7 and layer.weights[0].name.endswith("scale")
    w = dict(zip([x.name for x in layer.weights], weights64(model), strict=True))
    assert len(w) == 7

    def forward(w):
        scale, kq, bq, k0, b0, k1, b1 = w
        return np.tanh((A @ kq + bq) * scale + B @ k0 + b0) + B @ k1 + b1

    np.testing.assert_allclose(model.predict([A, B]), forward(weights64(model)), rtol=1e-4, atol=1e-5)
    layer.seen.clear()
    model.compile(SGD(0.0), "mse")
    losses = {model.train_on_batch([A, B], T) for _ in range(4)}
    assert layer.seen and layer.seen[-1] is True and len(losses) == 4  # the noise of inner layers is on
    layer.seen.clear()
    assert len({model.evaluate([A, B], T, verbose=0) for _ in range(3)}) == 1 and set(layer.seen) == {False}
    layer.noise.rate = 0.0
    fixed = Attention(2)
    fixed.noise = layers.Dropout(0.0)
    y, z = fixed([a, b])
    model = Model([a, b], y + z)
    check(model, forward, [A, B], T)


def test_the_training_flag_of_a_call_counts_for_all_within():
    seen = []

    class Flag(layers.Layer):
        def call(self, x, training=False):
            seen.append(training)
            return ops.relu(x)

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Flag()

        def call(self, x):  # without the argument
            return self.inner(x)

    a = Input((4,))
    model = Model(a, Outer()(a))
    model.compile("sgd", "mse")
    seen.clear()
    model.train_on_batch(A, A)
    assert seen[-1] is True
    seen.clear()
    model.predict(A)
    assert set(seen) == {False}
    frozen = Model(a, Outer()(a, training=False))  # said in the call: holds in training, too
    frozen.compile("sgd", "mse")
    seen.clear()
    frozen.train_on_batch(A, A)
    assert set(seen) == {False}
    always = Model(a, layers.Dropout(0.5)(a, training=True))
    assert (always.predict(abs(A) + 1) == 0).any()


def test_a_layer_with_more_arguments():
    class Blend(layers.Layer):
        def call(self, x, other, share=0.5, *, last=None):
            return share * x + (1 - share) * other + (0 if last is None else last)

    a, b, c = Input((4,)), Input((4,)), Input((4,))
    z, u = uniform(N, 4, seed=1), uniform(N, 4, seed=2)
    model = Model([a, b, c], Blend()(a, b, share=0.25, last=c))
    np.testing.assert_allclose(model.predict([A, z, u]), 0.25 * A + 0.75 * z + u, rtol=1e-5, atol=1e-6)


def test_dicts_in_and_out_of_a_layer():
    class Swap(layers.Layer):
        def call(self, x):
            return dict(left=x["right"], right=x["left"] * 2)

    a, b = Input((4,)), Input((3,))
    y = Swap()(dict(left=a, right=b))
    model = Model([a, b], [y["left"], y["right"]])
    left, right = model.predict([A, B])
    assert same_bits(left, B) and same_bits(right, 2 * A)


def test_custom_functions_are_traced_once():
    calls = dict(loss=0, metric=0, activation=0)

    def loss(y, p):
        calls["loss"] += 1
        return ops.mean(ops.square(y - p) + abs(y - p), axis=-1)

    def metric(y, p):
        calls["metric"] += 1
        return ops.max(abs(y - p), axis=-1)

    def activation(x):
        calls["activation"] += 1
        return x * ops.sigmoid(x)

    a = Input((4,))
    model = Model(a, layers.Dense(2, activation=activation)(a))
    model.compile(SGD(0.1), loss, metrics=[metric])
    model.train_on_batch(A, T)
    before = dict(calls)
    logs = model.fit(A, T, batch_size=3, epochs=5, verbose=0).history
    assert list(logs) == ["loss", "metric"] and calls == before

    def forward(w):
        x = A @ w[0] + w[1]
        return x / (1 + np.exp(-x))

    w = weights64(model)
    e = forward(w) - T
    found = model.evaluate(A, T, return_dict=True, verbose=0)
    assert found["loss"] == pytest.approx(np.mean(e**2 + abs(e)), rel=1e-5)
    assert found["metric"] == pytest.approx(np.mean(abs(e).max(axis=1)), rel=1e-5)
    expected = differences(lambda w: np.mean((forward(w) - T) ** 2 + abs(forward(w) - T)), w)
    for got, wanted in zip(gradients(model, A, T, loss), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_a_custom_loss_class_and_metric_class():
    class Cubic(losses.Loss):
        def call(self, y, p):
            return ops.mean(abs(y - p) ** 3, axis=-1)

    class Largest(metrics.Metric):
        def contributions(self, y, p, weight=None):
            return dict(total=ops.max(abs(y - p), axis=-1))

        def result_of(self, totals, count):
            return float(totals["total"] / count)

    a = Input((4,))
    model = Model(a, layers.Dense(2)(a))
    model.compile("sgd", Cubic(), metrics=[Largest(name="largest")])
    e = abs(model.predict(A).astype(np.float64) - T)
    assert model.evaluate(A, T, return_dict=True, verbose=0) == {
        "loss": pytest.approx(np.mean(e**3), rel=1e-5), "largest": pytest.approx(np.mean(e.max(axis=1)), rel=1e-5)
    }  # fmt: skip


def test_add_loss_and_activity_regularizers():
    class Sparse(layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * ops.sum(abs(x), axis=1))
            return x

    a = Input((4,))
    first = layers.Dense(3, "tanh", activity_regularizer=lambda y: 0.01 * ops.sum(ops.square(y), axis=1))
    h = first(a)
    first.weights[0].regularizer = regularizers.L2(0.05)
    model = Model(a, layers.Dense(2)(Sparse()(h)))
    model.compile("sgd", "mse")

    def total(w):
        h = np.tanh(A @ w[0] + w[1])
        mse = np.mean((h @ w[2] + w[3] - T) ** 2)
        return mse + 0.1 * np.mean(abs(h).sum(axis=1)) + 0.01 * np.mean((h**2).sum(axis=1)) + 0.05 * np.sum(w[0] ** 2)

    w = weights64(model)
    assert model.evaluate(A, T, verbose=0) == pytest.approx(total(w), rel=1e-5)
    for got, wanted in zip(gradients(model, A, T), differences(total, w), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-5)


def test_a_penalty_of_weights_alone():
    a = Input((4,))
    dense = layers.Dense(2)
    model = Model(a, dense(a))
    dense.weights[0].regularizer = regularizers.L2(0.5)
    model.compile(SGD(0.1))
    before = dense.weights[0].numpy()
    assert model.train_on_batch(A) == pytest.approx(0.5 * np.sum(before**2), rel=1e-5)
    np.testing.assert_allclose(dense.weights[0].numpy(), 0.9 * before, rtol=1e-5)


def test_layers_that_add_all_there_is_to_minimise():
    class Loss(layers.Layer):
        def call(self, x):
            y, p = x
            self.add_loss(ops.mean(ops.square(y - p), axis=-1))
            return p

    a, t = Input((4,)), Input((2,))
    model = Model([a, t], Loss()([t, layers.Dense(2)(a)]))
    model.compile("sgd")
    logs = model.fit([A, T], epochs=20, verbose=0).history["loss"]
    assert logs[-1] < logs[0]
    assert model.evaluate([A, T], verbose=0) == pytest.approx(np.mean((model.predict([A, T]) - T) ** 2), rel=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Fine-tuning


def backbone():
    a = Input((4,))
    return Model(a, layers.BatchNormalization()(layers.Dense(5, "relu")(a)), name="backbone")


def test_fine_tuning():
    base = backbone()
    a = Input((4,))
    model = Model(a, layers.Dense(2, name="head")(base(a)))
    base.trainable = False
    assert len(model.trainable_weights) == 2 and len(model.non_trainable_weights) == 6
    model.compile(SGD(0.1), "mse")
    before, head = base.get_weights(), model.get_layer("head").get_weights()
    model.fit(A, T, verbose=0)
    assert all(same_bits(x, y) for x, y in zip(before, base.get_weights(), strict=True))  # the statistics, too
    assert not same_bits(head[0], model.get_layer("head").get_weights()[0])
    base.trainable = True
    assert len(model.trainable_weights) == 6
    model.fit(A, T, verbose=0)  # takes effect at once: no compile in between
    assert not any(same_bits(x, y) for x, y in zip(before, base.get_weights(), strict=True))
    base.layers[1].trainable = False
    before = base.layers[1].get_weights()
    model.compile(SGD(0.1), "mse")
    model.fit(A, T, verbose=0)
    assert all(same_bits(x, y) for x, y in zip(before, base.layers[1].get_weights(), strict=True))


def test_a_frozen_model_trains_nothing():
    model = two_in_two_out()
    model.trainable = False
    assert model.trainable_weights == [] and all(not layer.trainable for layer in model.layers)
    model.compile("sgd", TWO)
    before = model.get_weights()
    model.fit([A, B], [T, LABELS], verbose=0)
    assert all(same_bits(x, y) for x, y in zip(before, model.get_weights(), strict=True))
    model.trainable = True
    assert len(model.trainable_weights) == 8


def test_trainable_false_in_the_constructor():
    model = Sequential([Input((4,)), layers.Dense(3, trainable=False), layers.Dense(2)])
    found = gradients(model, A, T)
    assert not found[0].any() and not found[1].any() and found[2].any() and found[3].any()


# ---------------------------------------------------------------------------------------------------------------------
# Subclasses


class Net(Model):
    def __init__(self, units=2):
        super().__init__()
        self.first, self.blocks = layers.Dense(5, "relu"), [layers.Dense(5, "tanh"), layers.Dense(units)]
        self.noise = layers.Dropout(0.5)

    def call(self, x, training=False):
        x = self.first(x)
        for block in self.blocks:
            x = block(self.noise(x))
        return x


def test_subclasses():
    model = Net()
    assert not model.built and model.weights == []
    model.compile("adam", "mse", metrics=["mae"])
    history = model.fit(A, T, epochs=2, verbose=0).history
    assert list(history) == ["loss", "mae"] and len(model.weights) == 6
    w = weights64(model)
    expected = np.tanh(relu(A @ w[0] + w[1]) @ w[2] + w[3]) @ w[4] + w[5]
    np.testing.assert_allclose(model.predict(A), expected, rtol=1e-4, atol=1e-5)
    assert same_bits(model(A), model.predict(A)) and len({model.test_on_batch(A, T)[0] for _ in range(3)}) == 1
    assert len({model.train_on_batch(A, T)[0] for _ in range(3)}) == 3
    built = Net()
    built.build((None, 4))
    assert built.built and built.input_shape == (None, 4) and built.weights[0].shape == (4, 5)
    a = Input((4,))
    outer = Model(a, layers.Dense(3)(built(a)))  # inside another
    assert outer.predict(A).shape == (N, 3) and len(outer.weights) == 8
    assert Sequential([Input((4,)), Net(3)]).predict(A).shape == (N, 3)


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_subclasses_of_several_inputs_and_outputs(kind):
    class Two(Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(2), layers.Dense(3, "softmax")

        def call(self, x):
            a, b = (x["a"], x["b"]) if kind == "dict" else x
            y = self.a(a), self.b(b)
            return dict(p=y[0], q=y[1]) if kind == "dict" else list(y)

    x = dict(a=A, b=B) if kind == "dict" else [A, B]
    y = dict(p=T, q=LABELS) if kind == "dict" else [T, LABELS]
    model = Two()
    model.compile("sgd", dict(p="mse", q=TWO[1]) if kind == "dict" else TWO)
    history = model.fit(x, y, epochs=3, verbose=0).history
    names = ["p", "q"] if kind == "dict" else ["output_0", "output_1"]
    assert list(history) == ["loss", *[f"{name}_loss" for name in names]] and history["loss"][2] < history["loss"][0]
    found = model.predict(x)
    assert isinstance(found, dict if kind == "dict" else list)
    other = Two()
    other.build(dict(a=(None, 4), b=(None, 3)) if kind == "dict" else [(None, 4), (None, 3)])
    other.set_weights(model.get_weights())
    again = other.predict(x)
    for key in range(2) if kind == "list" else ("p", "q"):
        assert same_bits(found[key], again[key])


def test_a_subclass_that_calls_a_functional_model_and_a_list_of_models():
    class Ensemble(Model):
        def __init__(self, models):
            super().__init__()
            self.models = models

        def call(self, x):
            return layers.Average()([model(x) for model in self.models])

    members = [Sequential([Input((4,)), layers.Dense(2)]) for _ in range(3)]
    model = Ensemble(members)
    expected = np.mean([member.predict(A) for member in members], axis=0)
    np.testing.assert_allclose(model.predict(A), expected, rtol=1e-5, atol=1e-6)
    assert len(model.weights) == 6


# ---------------------------------------------------------------------------------------------------------------------
# Depth, identities, whole numbers


def test_two_thousand_layers():
    a = Input((2,))
    h = a
    for _ in range(500):
        h = h + ops.relu(layers.Activation("tanh")(layers.Dense(2, kernel_initializer="zeros")(h)))
    assert sys.getrecursionlimit() < 2000
    model = Model(a, h)
    assert len(model.weights) == 1000
    x = uniform(3, 2)
    assert same_bits(model.predict(x), x)
    model.compile("sgd", "mse")
    model.train_on_batch(x, x + 1)
    assert np.isfinite(model.evaluate(x, x, verbose=0))
    config = len(model.layers)
    assert config == 1001


def test_layers_that_do_nothing_give_their_input():
    a = Input((4,))
    noisy = layers.Dropout(0.5)(layers.GaussianNoise(1.0)(layers.SpatialDropout1D(0.5)(layers.Reshape((1, 4))(a))))
    model = Model(a, [layers.Flatten()(noisy), layers.Dropout(0.5)(a), layers.Activation("linear")(a)])
    assert all(same_bits(y, A) for y in model.predict(A))
    same = layers.Dropout(0.5)
    y = same(a)
    assert y is not a and same.input is a and same.output is y
    assert same_bits(Model(a, y).predict(A), A)
    assert same_bits(Model(y, layers.Activation("relu")(y)).predict(A), relu(A))  # begins after it


def test_whole_numbers():
    words, a = Input((5,), dtype="int32", name="words"), Input((4,), name="a")
    h = layers.Flatten()(layers.Embedding(7, 3)(words))
    model = Model([words, a], layers.Dense(2)(layers.Concatenate()([h, a])))
    ids = np.random.default_rng(0).integers(0, 7, (N, 5))
    for given in (ids, ids.astype(np.uint8), ids.astype(np.float64), ids.tolist()):
        assert model.predict([given, A]).shape == (N, 2)

    def forward(w):
        return np.concatenate([w[0][ids].reshape(N, -1), A], axis=1) @ w[1] + w[2]

    check(model, forward, [ids, A], T)
    nested = Model([words, a], layers.Dense(2)(model([words, a])))
    assert nested.predict([ids, A]).shape == (N, 2)
    same = Model(words, layers.Embedding(7, 3)(layers.Dropout(0.0)(words)))
    assert same.predict(ids).shape == (N, 5, 3)
    with pytest.raises(ValueError, match=r"x\['words'\]: expected whole numbers. Received: 0.5"):
        model.predict([ids * 0 + 0.5, A])


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes


def test_graphs_that_do_not_hang_together():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    y = layers.Dense(2, name="y")(layers.Add()([a, b]))
    with pytest.raises(ValueError, match="m: the outputs also depend on 'b', which is not among the inputs"):
        Model(a, y, name="m")
    with pytest.raises(ValueError, match="m: the outputs also depend on 'a', which is not among the inputs"):
        Model(b, y, name="m")
    with pytest.raises(ValueError, match="m: the outputs also depend on 'a', which is not among the inputs"):
        Model(b, a, name="m")
    with pytest.raises(ValueError, match="m: a tensor was given twice in inputs"):
        Model([a, a], layers.Dense(2)(a), name="m")
    for given in (None, [], "a", 3, A, [a, None, "b"], layers.Dense(2)):
        with pytest.raises(TypeError, match="m: inputs must be symbolic tensors, as Input makes them"):
            Model(given, y, name="m")
        with pytest.raises(TypeError, match="m: outputs must be symbolic tensors, as layers give them"):
            Model([a, b], given, name="m")
    with pytest.raises(ValueError, match=r"m: layer names must differ\. Received a second 'one'"):
        Model(a, layers.Dense(2, name="one")(layers.Dense(2, name="one")(a)), name="m")
    with pytest.raises(
        TypeError, match=r"m: outputs must be symbolic tensors, as layers give them\. Received: outputs=None"
    ):
        Model(a, name="m")


def test_an_input_that_nothing_needs_is_allowed_and_read():
    a, b = Input((4,), name="a"), Input((3,), name="b")
    model = Model([a, b], layers.Dense(2)(a))
    assert model.predict([A, B]).shape == (N, 2)
    model.compile("sgd", "mse")
    model.fit([A, B], T, verbose=0)


CALLS = [
    (lambda m, a, b: m(a), ValueError, r"two: expected 2 inputs, \['a', 'b'\]. Received: 1"),
    (lambda m, a, b: m([a, b, a]), ValueError, r"two: expected 2 inputs, \['a', 'b'\]. Received: 3"),
    (lambda m, a, b: m(dict(a=a)), ValueError, r"two: expected inputs \['a', 'b'\]. Missing: \['b'\]"),
    (lambda m, a, b: m([b, a]), ValueError, r"two: expected an input 'a' of shape \(None, 4\). Received: \(None, 3\)"),
    (lambda m, a, b: m.get_layer("nobody"), ValueError, "two: no layer 'nobody'. It has"),
    (lambda m, a, b: m.get_layer(index=99), ValueError, "two: no layer 99. It has"),
    (lambda m, a, b: m.predict(A), ValueError, r"x: two has the inputs \['a', 'b'\]: expected a list of 2 arrays or"),
    (lambda m, a, b: m.predict([A, B, B]), ValueError, r"x: two has the inputs \['a', 'b'\]: .*Received: 3 arrays"),
    (lambda m, a, b: m.predict(dict(a=A, c=B)), ValueError, r"x: two has the inputs .*Received: \['a', 'c'\]"),
    (lambda m, a, b: m.predict([B, A]), ValueError, r"x\['a'\]: two expects samples of shape \(4,\)"),
    (lambda m, a, b: m.predict([A, B[:3]]), ValueError, r"x\['a'\] and x\['b'\] must have the same number of samples"),
    (lambda m, a, b: m.fit([A, B], T), ValueError, r"y: two has the outputs \['p', 'q'\]: expected a list of 2"),
    (lambda m, a, b: m.fit([A, B], [T]), ValueError, r"y: two has the outputs \['p', 'q'\]: .*Received: 1 arrays"),
    (lambda m, a, b: m.fit([A, B], [LABELS, T]), ValueError, r"y\['p'\]: the loss .* expects targets of shape"),
    (lambda m, a, b: m.fit([A, B], dict(p=T, r=T)), ValueError, r"y: two has the outputs .*Did you mean 'q'\?|'r'"),
    (lambda m, a, b: m.compile("sgd", ["mse"] * 3), ValueError, r"two: loss must have one entry .*\['p', 'q'\]"),
    (lambda m, a, b: m.compile("sgd", dict(p="mse", s="mse")), ValueError, r"two: loss names no outputs: \['s'\]"),
    (lambda m, a, b: m.compile("sgd", TWO, loss_weights=2.0), ValueError, "two: loss_weights must be a list or dict"),
    (lambda m, a, b: m.compile("sgd", TWO, loss_weights=["1", 2]), ValueError, "two: loss_weights must be numbers"),
    (lambda m, a, b: m.compile("sgd", TWO, metrics="mae"), ValueError, "two: metrics must be a list or dict"),
    (lambda m, a, b: m.compile("sgd", TWO, metrics=dict(z="mae")), ValueError, r"two: metrics names no outputs: "),
]  # fmt: skip


@pytest.mark.parametrize("wrong, error, message", CALLS, ids=range(len(CALLS)))
def test_wrong_structures(wrong, error, message):
    model = two_in_two_out()
    model.compile("sgd", TWO)
    before = model.get_weights()
    with pytest.raises(error, match=message):
        wrong(model, Input((4,)), Input((3,)))
    assert all(same_bits(x, y) for x, y in zip(before, model.get_weights(), strict=True))
    model.compile("sgd", TWO)
    model.fit([A, B], [T, LABELS], verbose=0)


# ---------------------------------------------------------------------------------------------------------------------
# Arrays, configs


def test_models_and_layers_called_on_arrays():
    model = two_in_two_out()
    expected = model.predict([A, B])
    for x in FORMS_X.values():
        assert all(same_bits(one, other) for one, other in zip(model(x), expected, strict=True))
    p, q = model([A, B], training=True)
    np.testing.assert_allclose(p, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(q, expected[1], rtol=1e-5, atol=1e-6)
    words = Input((5,), dtype="int32")
    counted = Model([words, Input((4,))], layers.Embedding(7, 3)(words))
    ids = np.arange(5 * N).reshape(N, 5) % 7
    assert same_bits(counted([ids, A], training=True), counted.predict([ids, A]))

    class Blend(layers.Layer):
        def call(self, x, other, share=0.5):
            return share * x + (1 - share) * other

    np.testing.assert_allclose(Blend()(A, T @ np.ones((2, 4)), share=0.25), 0.25 * A + 0.75 * T @ np.ones((2, 4)),
                               rtol=1e-5, atol=1e-6)  # fmt: skip


def test_configs_keep_graphs():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = layers.Dense(3, "tanh")
    h = layers.Add()([shared(a), shared(b)])
    inner = Sequential([Input((3,)), layers.Dense(3), layers.Dropout(0.5)])
    h = layers.Dropout(0.9)(inner(h), training=False)
    models = [
        Model([a, b], dict(y=layers.Dense(2)(h), h=h), name="graph"),
        Model(dict(a=a, b=b), [h, a]),
        Model([a, b], layers.Concatenate(axis=-1)([h, layers.Flatten()(a)]), trainable=False),
    ]
    z = uniform(N, 4, seed=2)
    for model in models:
        again = type(model).from_config(model.get_config())
        again.set_weights(model.get_weights())
        assert type(again) is type(model) and again.name == model.name and again.trainable == model.trainable
        assert again.get_config() == model.get_config()
        one, two = model.predict(dict(a=A, b=z)), again.predict(dict(a=A, b=z))
        for key in one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else [...]:
            assert same_bits(np.asarray(one[key]), np.asarray(two[key]))


class Snatched(list):
    """Looks as if it held one, which another thread takes first."""

    def __len__(self):
        return 1


def test_threads_that_predict_at_a_time_do_not_take_the_same_function():
    a, b = Input((4,)), Input((3,))
    model = Model([a, b], layers.Dense(2)(layers.Concatenate()([a, b])))
    expected = model.predict([A, B])
    model._idle_functions["ff"] = Snatched()
    assert same_bits(model.predict([A, B]), expected)
