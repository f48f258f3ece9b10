"""Constraints of Keras, on arrays and after each update."""

import numpy as np
import pytest
import reference as ref
from harness import uniform

from dlcore import Sequential, constraints, layers
from dlcore.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from dlcore.ops.base import Parameter
from dlcore.ops.norms import constrain
from dlcore.optimizers import SGD

W = uniform(7, 5) * 2
CASES = [
    (Constraint(), W),
    (NonNeg(), np.maximum(W, 0)),
    (MaxNorm(), ref.project(W, (0,), 0, 2, 1)),
    (MaxNorm(0.5, axis=[0, 1]), ref.project(W, (0, 1), 0, 0.5, 1)),
    (MaxNorm(0.5, axis=None), ref.project(W, (0, 1), 0, 0.5, 1)),
    (UnitNorm(axis=-1), ref.project(W, (1,), 1, 1, 1)),
    (MinMaxNorm(0.5, 1.0, 0.25, 1), ref.project(W, (1,), 0.5, 1, 0.25)),
]
FUNCTIONS = [lambda w: UnitNorm()(NonNeg()(w)), lambda w: w]


@pytest.mark.parametrize("constraint, expected", CASES, ids=lambda x: type(x).__name__)
def test_arrays(constraint, expected):
    before = W.copy()
    np.testing.assert_allclose(constraint(W), expected, rtol=1e-6)
    np.testing.assert_array_equal(W, before)


def train(constraint, steps=3, hidden=5, batch=6):
    """The constrained weight of a model with two layers after a run of several steps, and predictions."""
    model = Sequential([layers.Input((7,)), layers.Dense(hidden, activation="tanh"), layers.Dense(2)])
    model.compile(SGD(0.1, momentum=0.9), "mse")
    model.set_weights([uniform(7, hidden), np.zeros(hidden), uniform(hidden, 2), np.zeros(2)])
    kernel = model.trainable_weights[0]
    kernel.constraint = constraint
    x, y = uniform(steps * batch, 7, seed=1), uniform(steps * batch, 2, seed=2)
    model.fit(x, y, batch_size=batch, shuffle=False, verbose=0)
    return kernel.numpy(), model.predict(x)


@pytest.mark.parametrize("hidden", [5, 400])
@pytest.mark.parametrize("constraint", [c for c, _ in CASES] + FUNCTIONS)
def test_after_each_update(constraint, hidden):
    """A run of steps gives what single steps give with the constraint applied by hand."""
    got, p = train(constraint, hidden=hidden)
    model = Sequential([layers.Input((7,)), layers.Dense(hidden, activation="tanh"), layers.Dense(2)])
    model.compile(SGD(0.1, momentum=0.9), "mse")
    model.set_weights([uniform(7, hidden), np.zeros(hidden), uniform(hidden, 2), np.zeros(2)])
    kernel, x, y = model.trainable_weights[0], uniform(18, 7, seed=1), uniform(18, 2, seed=2)
    for i in range(0, 18, 6):
        model.train_on_batch(x[i : i + 6], y[i : i + 6])
        kernel.assign(constraint(kernel.numpy()))
    np.testing.assert_allclose(got, kernel.numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(p, model.predict(x), rtol=1e-5, atol=1e-6)
    assert abs(got - uniform(7, hidden)).max() > 1e-4


@pytest.mark.parametrize("identifier, cls", [
    ("max_norm", MaxNorm), ("MaxNorm", MaxNorm), ("non_neg", NonNeg), ("unit_norm", UnitNorm), (UnitNorm(1), UnitNorm),
    ("min_max_norm", MinMaxNorm), (NonNeg, NonNeg), ({"class_name": "MaxNorm", "config": {"max_value": 3}}, MaxNorm),
])  # fmt: skip
def test_names(identifier, cls):
    assert type(constraints.get(identifier)) is cls


def test_functions_of_keras_are_the_classes():
    assert (constraints.max_norm, constraints.min_max_norm) == (MaxNorm, MinMaxNorm)
    assert (constraints.non_neg, constraints.unit_norm) == (NonNeg, UnitNorm)
    assert constraints.deserialize(constraints.serialize(MaxNorm(3))).max_value == 3


def test_configurations():
    assert MaxNorm().get_config() == {"max_value": 2, "axis": 0}
    assert MinMaxNorm().get_config() == {"min_value": 0.0, "max_value": 1.0, "rate": 1.0, "axis": 0}
    for constraint, _ in CASES:
        again = constraints.get(constraints.serialize(constraint))
        assert type(again) is type(constraint) and again.get_config() == constraint.get_config()
    assert constraints.get(None) is constraints.serialize(None) is None
    assert constraints.get(FUNCTIONS[0]) is FUNCTIONS[0]


BAD = [
    (lambda: MaxNorm(-1), "MaxNorm: max_value must be a number of at least 0. Received: max_value=-1"),
    (lambda: MinMaxNorm(rate="all"), "MinMaxNorm: rate must be .* Received: rate='all'"),
    (lambda: UnitNorm(axis=1.5), "UnitNorm: axis must be whole numbers. Received: axis=1.5"),
    (lambda: UnitNorm(axis=2)(W), "UnitNorm: axis must lie within the 2 axes of the weight. Received: axis=2"),
    (lambda: constraints.get("max"), "constraint: expected one of .* Received: 'max'"),
    (lambda: constraints.get({"config": {}}), "constraint: expected a dict with class_name and config. Received:"),
    (lambda: constraints.get(3), "constraint: expected a name, a Constraint or a function. Received: 3"),
    (lambda: constraints.serialize(len), "cannot be saved"),
]


@pytest.mark.parametrize("make, message", BAD)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refuses_functions_that_give_something_else():
    w = Parameter(W.shape, W, "w")
    with pytest.raises(TypeError, match=r"w: a constraint must return a tensor made by dlcore.ops. Received: 3"):
        constrain(w, lambda w: 3)
    other = Parameter((3,), np.ones(3), "other")
    with pytest.raises(ValueError, match=r"w: a constraint must keep the shape \(7, 5\). Received: \(3,\)"):
        constrain(w, lambda w: NonNeg()(other))
