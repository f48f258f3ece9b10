"""Metrics: their values, which one "accuracy" means, and functions of the user's own."""

import numpy as np
import pytest
import reference as ref
from harness import uniform

from dlcore import Sequential, layers, losses, metrics, ops
from dlcore.graph.eager import compute

P, LABELS = uniform(9, 4), np.arange(9) % 4
BITS = (uniform(9, 4, seed=1) > 0).astype(np.float32)
TIES = np.float32([[1, 1, 0], [0, 2, 2], [np.nan, 1, 0]])
CASES = [  # metric by name, targets, predictions, slow twin
    ("sparse_categorical_accuracy", LABELS, P, ref.sparse_categorical_accuracy),
    ("sparse_categorical_accuracy", np.int32([0, 2, 0]), TIES, ref.sparse_categorical_accuracy),
    ("categorical_accuracy", np.eye(4)[LABELS], P, ref.categorical_accuracy),
    ("categorical_accuracy", np.float32([[0, 1, 1]] * 3), TIES, ref.categorical_accuracy),
    ("binary_accuracy", BITS, P, ref.binary_accuracy),
    ("binary_accuracy", np.float32([[0], [1]]), np.float32([[0.5], [0.51]]), ref.binary_accuracy),
    ("mse", BITS, P, ref.mean_squared_error),
]


@pytest.mark.parametrize("name, y, p, twin", CASES)
def test_values_of_each_sample(name, y, p, twin):
    loss = "sparse_categorical_crossentropy" if name.startswith("sparse") else "mse"
    metric = metrics.get(name, losses.get(loss), (None, 4))
    assert metric.name == name
    np.testing.assert_allclose(compute(metric.values, y, p), twin(y, p), rtol=1e-6)


def test_positions_of_a_sample_are_averaged():
    p, y = uniform(3, 5, 2, 4), np.arange(30).reshape(3, 5, 2) % 4
    got = compute(ops.sparse_categorical_accuracy, y, p)
    np.testing.assert_allclose(got, ref.sparse_categorical_accuracy(y, p).mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("word", ["accuracy", "acc"])
@pytest.mark.parametrize("loss, units, meaning", [
    ("sparse_categorical_crossentropy", 4, metrics.SparseCategoricalAccuracy),
    ("categorical_crossentropy", 4, metrics.CategoricalAccuracy),
    ("binary_crossentropy", 4, metrics.BinaryAccuracy),
    ("binary_crossentropy", 1, metrics.BinaryAccuracy),
    ("mse", 1, metrics.BinaryAccuracy),
    ("mse", 4, metrics.CategoricalAccuracy),
])  # fmt: skip
def test_accuracy_goes_with_the_loss(word, loss, units, meaning):
    metric = metrics.get(word, losses.get(loss), (None, units))
    assert (metric.name, type(metric)) == (word, meaning)


def model(**how):
    model = Sequential([layers.Input((3,)), layers.Dense(4, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", **how)
    return model


def always_one(y, p):
    return ops.rescale(ops.sparse_categorical_accuracy(y, p), 0.0, 1.0)


def test_in_a_model():
    m, x, y = model(metrics=["acc", "sparse_categorical_accuracy", always_one]), uniform(21, 3), np.arange(21) % 4
    logs = m.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "acc", "sparse_categorical_accuracy", "always_one"]
    expected = np.mean(m.predict(x).argmax(axis=1) == y)
    assert logs["acc"] == logs["sparse_categorical_accuracy"] == pytest.approx(expected) and logs["always_one"] == 1.0
    assert list(m.fit(x, y, verbose=0).history) == list(logs)


@pytest.mark.parametrize("one", ["accuracy", always_one])
def test_one_metric_needs_no_list(one):
    assert len(model(metrics=one).evaluate(uniform(5, 3), np.zeros(5), verbose=0)) == 2


def test_refuses_unknown_metrics_at_compile():
    with pytest.raises(ValueError, match=r"metrics: expected 'accuracy' or one of .*, or a function. Received: 'f1'"):
        model(metrics=["f1"])
    m = model(metrics=[lambda y, p: 3])
    with pytest.raises(TypeError, match=r"<lambda>: expected a tensor made by dlcore.ops. Received: 3"):
        m.evaluate(uniform(5, 3), np.zeros(5), verbose=0)


@pytest.mark.parametrize(
    "name, loss", [("mse", "sparse_categorical_crossentropy"), ("sparse_categorical_accuracy", "mse")]
)
def test_refuses_a_metric_of_another_kind_of_targets(name, loss):
    with pytest.raises(ValueError, match=f"metrics: '{name}' does not go with the loss '{loss}'"):
        metrics.get(name, losses.get(loss), (None, 4))
