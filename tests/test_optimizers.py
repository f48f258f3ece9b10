"""SGD and Adam as a model uses them: sequences of steps, spellings, and what may change between steps."""

import warnings

import numpy as np
import pytest
import reference as ref
from harness import uniform

from dlcore import Sequential, layers, optimizers
from dlcore.callbacks import Callback
from dlcore.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop

OPTIMIZERS = [
    SGD, Adam, lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9), lambda: SGD(0.1, momentum=0.9, nesterov=True),
    lambda: SGD(0.1, 0.0, True), lambda: Adam(0.01), lambda: Adam(0.02, beta_1=0.5, beta_2=0.75, epsilon=1e-3),
]  # fmt: skip


def linear(optimizer, features=3, units=2, start=None):
    """p = x w, trained on the mean squared error."""
    model = Sequential([layers.Input((features,)), layers.Dense(units, use_bias=False)])
    model.compile(optimizer, "mse")
    model.set_weights([uniform(features, units) if start is None else start])
    return model


def slow(optimizer, w, gradient, steps):
    """The weights after each step, by the reference."""
    state, found = [np.zeros_like(w)] * 2, []
    config = optimizer.get_config()
    for t in range(1, steps + 1):
        g = gradient(w)
        if isinstance(optimizer, SGD):
            w, state[0] = ref.sgd(w, g, state[0], config["learning_rate"], config["momentum"], config["nesterov"])
        else:
            w, *state = ref.adam(w, g, *state, t, config["learning_rate"], config["beta_1"], config["beta_2"],
                                 config["epsilon"])  # fmt: skip
        found.append(w)
    return found


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_five_steps_against_the_reference(make):
    optimizer, x, y = make(), uniform(6, 3, seed=1), uniform(6, 2, seed=2)
    model = linear(optimizer)
    gradient = lambda w: ref.dense_weight_gradient(x, 2 * (x @ w - y) / y.size)  # noqa: E731
    expected = slow(optimizer, np.float64(model.get_weights()[0]), gradient, 5)
    for t, w in enumerate(expected, 1):
        model.train_on_batch(x, y)
        assert optimizer.iterations == t
        np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    assert abs(expected[4] - expected[3]).max() > 1e-4  # there was something to compare


HAND = [  # optimizer, weights after each step on w^2 from 1, where the gradient is 2 w
    (lambda: SGD(0.1), [0.8, 0.64, 0.512]),
    (lambda: SGD(0.1, momentum=0.5), [0.8, 0.54, 0.302]),  # v: -0.2, -0.26, -0.238
    (lambda: SGD(0.1, momentum=0.5, nesterov=True), [0.7, 0.44, 0.248]),  # v: -0.2, -0.24, -0.208
    (lambda: Adam(0.1), [0.9, 0.800412, 0.701586]),  # m: 0.2, 0.36, 0.484082; v: 0.004, 0.007236, 0.009791
]


@pytest.mark.parametrize("make, expected", HAND)
def test_steps_computed_by_hand(make, expected):
    model = linear(make(), 1, 1, [[1.0]])
    got = []
    for _ in expected:
        model.train_on_batch([[1.0]], [[0.0]])
        got.append(float(model.get_weights()[0][0, 0]))
    np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_the_old_spelling_of_the_learning_rate(cls):
    with pytest.warns(DeprecationWarning, match="lr is called learning_rate now") as caught:
        optimizer = cls(lr=0.25)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert optimizer.learning_rate == optimizer.lr == 0.25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.lr = 0.125  # reading and setting it warn of nothing
        assert optimizer.learning_rate == 0.125
    with pytest.raises(TypeError, match=f"{cls.__name__}: learning_rate and its old spelling lr were both given"):
        cls(0.1, lr=0.1)
    with pytest.raises(TypeError, match="both given"):
        cls(learning_rate=0.1, lr=0.1)


def test_defaults_are_those_of_keras():
    common = {"weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None, "use_ema": False,
              "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
              "gradient_accumulation_steps": None}  # fmt: skip
    betas = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    own = {
        SGD: {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
        Adam: {**betas, "amsgrad": False},
        AdamW: {**betas, "amsgrad": False, "weight_decay": 0.004},
        Nadam: betas,
        Adamax: betas,
        Adagrad: {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
        Adadelta: {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
        RMSprop: {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
        Lion: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99},
    }
    for cls, config in own.items():
        assert cls().get_config() == {"name": cls.__name__.lower(), **common, **config}


def test_the_learning_rate_may_change_at_any_time():
    rates = [0.1, 0.0, 0.5]

    class Schedule(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = rates[epoch]

    model, seen = linear(SGD(9.0), 1, 1, [[1.0]]), []
    for epoch in range(3):
        model.fit([[1.0]], [[0.0]], epochs=epoch + 1, initial_epoch=epoch, verbose=0, callbacks=[Schedule()])
        seen.append(float(model.get_weights()[0][0, 0]))
    np.testing.assert_allclose(seen, [0.8, 0.8, 0.0], atol=1e-7)
    model.optimizer.learning_rate = np.float32(0.25)
    assert model.optimizer.learning_rate == 0.25


def test_iterations_count_the_last_batch_too_and_go_on():
    model = linear(Adam())
    x, y = uniform(10, 3), uniform(10, 2)
    model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert model.optimizer.iterations == 6
    model.evaluate(x, y, verbose=0)
    model.predict(x)
    assert model.optimizer.iterations == 6
    model.train_on_batch(x, y)
    assert model.optimizer.iterations == 7
    model.compile("adam", "mse")
    assert model.optimizer.iterations == 0


def test_training_in_pieces_is_training_at_once():
    x, y, results = uniform(12, 3), uniform(12, 2), []
    for pieces in ([3], [1, 2, 3]):
        model = linear(Adam(0.1))
        for last, epochs in zip([0, *pieces], pieces, strict=False):
            model.fit(x, y, batch_size=4, epochs=epochs, initial_epoch=last, shuffle=False, verbose=0)
            model.predict(x)
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(*results)


BAD = [
    (SGD, dict(learning_rate=-0.1), "sgd: learning_rate must be a number of at least 0. Received: learning_rate=-0.1"),
    (Adam, dict(learning_rate="fast"), "adam: learning_rate must be .* Received: learning_rate='fast'"),
    (Adam, dict(learning_rate=float("nan")), "learning_rate must be .* Received: learning_rate=nan"),
    (Adam, dict(learning_rate=True), "learning_rate must be"),
    (SGD, dict(momentum=1.5), r"sgd: momentum must be in \[0, 1\]. Received: momentum=1.5"),
    (Adam, dict(beta_1=1), r"adam: beta_1 must be in \[0, 1\). Received: beta_1=1"),
    (Adam, dict(beta_2=-0.1), r"adam: beta_2 must be in \[0, 1\). Received: beta_2=-0.1"),
    (Adam, dict(epsilon=-1, name="mine"), "mine: epsilon must not be negative. Received: epsilon=-1"),
]


@pytest.mark.parametrize("cls, arguments, message", BAD)
def test_refuses_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


def test_refuses_a_learning_rate_later_and_keeps_the_old():
    optimizer = Adam(0.5)
    with pytest.raises(ValueError, match="learning_rate must be"):
        optimizer.learning_rate = None
    assert optimizer.learning_rate == 0.5


@pytest.mark.parametrize("identifier, cls", [("sgd", SGD), ("SGD", SGD), ("adam", Adam), ("Adam", Adam), (Adam, Adam)])
def test_names(identifier, cls):
    assert type(optimizers.get(identifier)) is cls


def test_configurations():
    for make in OPTIMIZERS:
        optimizer = make()
        again = optimizers.get(optimizers.serialize(optimizer))
        assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()
    with pytest.raises(ValueError, match=r"optimizer: expected one of .* or an Optimizer. Received: 'adem'"):
        optimizers.get("adem")
