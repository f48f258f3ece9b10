"""LearningRateScheduler and ReduceLROnPlateau."""

import numpy as np
import pytest

import dlcore
from dlcore import Sequential, layers
from dlcore.callbacks import LearningRateScheduler, ReduceLROnPlateau
from dlcore.optimizers import SGD

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


@pytest.fixture
def model():
    dlcore.utils.set_random_seed(3)
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile(SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Fake:
    def __init__(self, rate=1.0):
        self.optimizer = type("Optimizer", (), {"learning_rate": rate})()


# ---- LearningRateScheduler ----


def test_the_schedule_is_told_epoch_and_rate(model):
    history = model.fit(
        X, Y, epochs=4, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, lr: lr / (epoch + 1))]
    )
    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.05, 0.05 / 3, 0.05 / 12])
    assert [*history.history] == ["loss", "accuracy", "learning_rate"]


def test_a_schedule_of_the_epoch_alone(model, capsys):
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: np.float32(0.5), verbose=1)])
    assert model.optimizer.learning_rate == 0.5
    assert capsys.readouterr().out.splitlines()[1::2] == [
        f"Epoch {k}: LearningRateScheduler setting learning rate to 0.5." for k in (1, 2)
    ]


def test_an_error_inside_a_schedule_is_not_taken_for_another_signature(model):
    def schedule(epoch, lr):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        model.fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(schedule)])


def test_what_a_schedule_may_not_give(model):
    for wrong in ("0.1", None, True, [0.1]):
        with pytest.raises(ValueError, match="the output of the schedule function should be a float"):
            model.fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda e, lr, wrong=wrong: wrong)])
    with pytest.raises(ValueError, match="learning_rate must be a number of at least 0"):
        model.fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: -1.0)])
    with pytest.raises(TypeError, match=r"schedule must be a function\. Received: schedule=0.1"):
        LearningRateScheduler(0.1)
    callback = LearningRateScheduler(lambda epoch: 1.0)
    callback.set_model(type("Model", (), {"optimizer": None})())
    with pytest.raises(ValueError, match="the optimizer has no learning_rate"):
        callback.on_epoch_begin(0)


# ---- ReduceLROnPlateau ----


def rates(callback, values, rate=1.0):
    callback.set_model(Fake(rate))
    callback.on_train_begin()
    found = []
    for epoch, value in enumerate(values):
        logs = {"val_loss": value}
        callback.on_epoch_end(epoch, logs)
        assert "learning_rate" in logs
        found.append(callback.model.optimizer.learning_rate)
    return found


@pytest.mark.parametrize(
    ("options", "values", "wanted"),
    [
        ({"patience": 1}, [2, 1, 1, 1], [1, 1, 0.5, 0.25]),
        ({"patience": 2}, [1, 1, 1, 1, 1], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "min_delta": 0.3}, [2, 1.8, 1.5], [1, 0.5, 0.5]),
        ({"patience": 1, "cooldown": 2}, [1] * 7, [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        ({"patience": 1, "min_lr": 0.4}, [1] * 4, [1, 0.5, 0.4, 0.4]),
        ({"patience": 1, "mode": "max"}, [1, 2, 1.5, 3], [1, 1, 0.5, 0.5]),
        ({"patience": 1}, [float("nan"), float("nan"), 1, 2], [0.5, 0.25, 0.25, 0.125]),
    ],
)
def test_reduce_on_plateau(options, values, wanted):
    callback = ReduceLROnPlateau(factor=0.5, **options)
    assert rates(callback, values) == wanted
    assert rates(callback, values) == wanted  # and again


def test_in_fit(model, capsys):
    model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[
        ReduceLROnPlateau(patience=1, min_delta=100, verbose=1)])  # fmt: skip
    out = capsys.readouterr().out.split()
    assert " ".join(out[:7]) == "Epoch 2: ReduceLROnPlateau reducing learning rate to"
    np.testing.assert_allclose(model.history.history["learning_rate"], [0.1, 0.1, 0.01])  # as the epoch had it
    assert model.optimizer.learning_rate == pytest.approx(0.001)


def test_arguments():
    for factor in (1.0, 2, -0.5):
        with pytest.raises(ValueError, match=r"ReduceLROnPlateau: factor must be in \[0, 1\)"):
            ReduceLROnPlateau(factor=factor)
    with pytest.raises(ValueError, match="ReduceLROnPlateau: factor must be a number"):
        ReduceLROnPlateau(factor="half")
    with pytest.warns(UserWarning, match=r"expected monitor to be one of \['learning_rate', 'val_loss'\]"):
        rates(ReduceLROnPlateau("val_los"), [1])
    callback = ReduceLROnPlateau()
    callback.set_model(type("Model", (), {"optimizer": None})())
    with pytest.raises(ValueError, match="the model has no optimizer"):
        callback.on_epoch_end(0, {"val_loss": 1})
