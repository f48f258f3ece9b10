"""EarlyStopping and TerminateOnNaN: when training ends, and which weights the model has then."""

import inspect
import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcore
from dlcore import Sequential, layers, metrics
from dlcore.callbacks import Callback, EarlyStopping, LambdaCallback, TerminateOnNaN

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
NAN = float("nan")


@pytest.fixture
def model():
    dlcore.utils.set_random_seed(3)
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Fake:
    """A model whose only weight is the number of the epoch."""

    def __init__(self):
        self.stop_training = False
        self.weights = [-1]

    def get_weights(self):
        return list(self.weights)

    def set_weights(self, weights):
        self.weights = weights


def train(stopping, values, monitor="val_loss"):
    """The epochs that were run, and the model after them."""
    model = Fake()
    stopping.set_model(model)
    stopping.on_train_begin({})
    ran = 0
    for epoch, value in enumerate(values):
        model.weights = [epoch]
        stopping.on_epoch_end(epoch, {monitor: value})
        ran += 1
        if model.stop_training:
            break
    stopping.on_train_end({})
    stopping.on_train_closed()
    return ran, model


# ---- EarlyStopping ----


@pytest.mark.parametrize(
    ("options", "values", "ran", "best"),
    [
        ({}, [3, 2, 2, 1], 3, 1),
        ({}, [3, 2, 1], 3, 2),
        ({"patience": 2}, [3, 2, 2, 1.5, 2, 2, 1], 6, 3),
        ({"min_delta": 0.5}, [3, 2, 1.6, 1], 3, 1),
        ({"min_delta": -0.5}, [3, 2, 1.6, 1], 3, 1),
        ({"mode": "max"}, [1, 2, 3, 2, 4], 4, 2),
        ({"monitor": "val_accuracy"}, [0.1, 0.2, 0.1, 0.9], 3, 1),
        ({"baseline": 1.0, "patience": 2}, [3, 2, 2.5, 0.5], 3, 1),
        ({"baseline": 1.0, "patience": 2}, [3, 0.9, 1.5, 0.95, 0.5], 4, 1),
        ({"start_from_epoch": 3}, [1, 2, 3, 4, 5], 5, 3),
        ({"patience": 1}, [NAN, 2, NAN, NAN], 3, 1),
        ({"patience": 3}, [NAN] * 9, 3, 2),  # nothing to restore: the weights stay
        ({"patience": 1}, [2, float("inf"), 1], 2, 0),
        ({}, [3], 1, 0),
    ],
)
def test_early_stopping(options, values, ran, best):
    monitor = options.get("monitor", "val_loss")
    stopping = EarlyStopping(restore_best_weights=True, **options)
    for _ in range(2):  # it can be used again
        found, model = train(stopping, values, monitor)
        assert (found, model.weights) == (ran, [best])
    found, model = train(EarlyStopping(**options), values, monitor)
    assert (found, model.weights) == (ran, [ran - 1])


def plain(values, patience, min_delta, baseline, start, sign):
    """(epochs run, best epoch or None) in the plainest words."""
    best_epoch, last_good = None, start - 1
    for epoch, value in enumerate(values):
        if epoch < start:
            continue
        past = [v for v in values[start:epoch] if v == v]

        def beats(other, value=value):
            return value == value and (value - other) * sign > min_delta

        peak = None if best_epoch is None else values[best_epoch]
        if value == value and (peak is None or beats(peak)):
            assert peak is None or peak in past
            best_epoch = epoch
            if baseline is None or beats(baseline):
                last_good = epoch
        elif epoch > 0 and epoch - last_good >= patience:
            return epoch + 1, best_epoch
    return len(values), best_epoch


METRIC = st.one_of(st.integers(0, 6).map(float), st.sampled_from([NAN, float("inf")]))


@settings(max_examples=400, deadline=None)
@given(
    values=st.lists(METRIC, min_size=1, max_size=14),
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0, 1, 2.0]),
    baseline=st.sampled_from([None, 2, 4.0]),
    start=st.integers(0, 4),
    mode=st.sampled_from(["min", "max"]),
)
def test_early_stopping_is_what_plain_words_say(values, patience, min_delta, baseline, start, mode):
    stopping = EarlyStopping("val_loss", min_delta, patience, 0, mode, baseline, True, start)
    ran, model = train(stopping, values)
    wanted, best = plain(values, patience, min_delta, baseline, start, 1 if mode == "max" else -1)
    assert ran == wanted
    assert model.weights == [ran - 1 if best is None else best]


class Noting(Callback):
    """Weights and losses of each epoch, and something to do at the end of one."""

    def __init__(self, what=lambda epoch, model: None):
        self.what, self.weights, self.losses = what, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        self.losses.append(logs["val_loss"])
        self.what(epoch, self.model)


class Mine(Exception):
    pass


def fail(epoch, model):
    if epoch == 5:
        raise Mine


def interrupt(epoch, model):
    if epoch == 5:
        os.kill(os.getpid(), signal.SIGINT)


def stop(epoch, model):
    model.stop_training = epoch == 5


@pytest.mark.parametrize(
    ("what", "error"), [(lambda *_: None, None), (stop, None), (fail, Mine), (interrupt, KeyboardInterrupt)]
)
def test_the_best_weights_come_back_whatever_ended_training(what, error, model, monkeypatch):
    noting = Noting(what)
    stopping = EarlyStopping(patience=100, restore_best_weights=True)
    # validation on other labels gets worse as training gets on: the best epoch is an early one
    options = {"epochs": 9, "verbose": 0, "validation_data": (X, 1 - Y), "callbacks": [noting, stopping]}
    if error is None:
        model.fit(X, Y, **options)
    else:
        with pytest.raises(error):
            model.fit(X, Y, **options)
    best = int(np.argmin(noting.losses))
    assert len(noting.losses) == (9 if what not in (stop, fail, interrupt) else 6) and best < 5
    for weight, wanted in zip(model.get_weights(), noting.weights[best], strict=True):
        np.testing.assert_array_equal(weight, wanted)
    model.fit(X, Y, verbose=0)  # and the model is usable


def test_what_early_stopping_says(capsys):
    train(EarlyStopping(verbose=1, restore_best_weights=True), [2, 1, 3])
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 3: early stopping",
        "Restoring model weights from the end of the best epoch: 2.",
    ]


def test_a_log_that_is_missing_is_warned_of(model):
    with pytest.warns(UserWarning, match=r"EarlyStopping: expected monitor to be one of \['accuracy', 'loss'\]"):
        model.fit(X, Y, verbose=0, callbacks=[EarlyStopping()])


def test_directions():
    def sign(name, metrics=(), mode="auto"):
        stopping = EarlyStopping(name, mode=mode)
        stopping.set_model(type("Model", (), {"metrics": metrics})())
        stopping.better(1, 2)
        return stopping._sign

    for name in ("loss", "val_loss", "head_loss", "val_mse", "mean_absolute_error", "binary_crossentropy", "mae_1"):
        assert sign(name) == -1, name
    for name in (
        "accuracy",
        "val_sparse_categorical_accuracy",
        "acc",
        "auc",
        "auc_1",
        "val_head_precision",
        "r2_score",
    ):
        assert sign(name) == 1, name
    metric = type("Metric", (), {"name": "speed", "_direction": "up"})()
    assert sign("val_speed", [metric]) == 1
    assert sign("odd", mode="min") == -1
    with pytest.raises(ValueError, match="EarlyStopping: cannot tell whether more or less of 'odd' is better"):
        sign("odd", [metric])


def test_every_metric_has_a_direction():
    rates = {"precision": 0.5, "recall": 0.5, "sensitivity": 0.5, "specificity": 0.5}
    sizes = {"num_classes": 3, "target_class_ids": [0]}
    less = ("error", "poisson", "hinge", "divergence", "crossentropy", "logcosh", "false")
    for cls in metrics.CLASSES:
        known = inspect.signature(cls).parameters
        metric = cls(**{key: value for key, value in {**rates, **sizes}.items() if key in known})
        if not isinstance(metric, metrics.ConfusionMatrix):
            stopping = EarlyStopping(f"val_{metric.name}_1")
            stopping.set_model(type("Model", (), {"metrics": ()})())
            assert stopping._direction() == (-1 if any(word in metric.name for word in less) else 1), metric.name


def test_arguments_of_early_stopping():
    with pytest.raises(ValueError, match="EarlyStopping: mode must be 'auto', 'min' or 'max'"):
        EarlyStopping(mode="up")
    with pytest.raises(ValueError, match=r"EarlyStopping: min_delta must be a number\. Received: min_delta='small'"):
        EarlyStopping(min_delta="small")
    with pytest.raises(ValueError, match=r"EarlyStopping: patience must be a number\. Received: patience=None"):
        EarlyStopping(patience=None)


# ---- TerminateOnNaN ----


def test_terminate_on_nan(model, capsys):
    x = X.copy()
    x[12] = np.nan
    seen = []
    history = model.fit(x, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[
        TerminateOnNaN(), LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))])  # fmt: skip
    assert seen == [0, 1, 2, 3] and len(history.epoch) == 1
    assert capsys.readouterr().out == "Batch 3: Invalid loss, terminating training\n"
    with pytest.raises(RuntimeError, match="TerminateOnNaN: the loss of batch 0 is nan"):
        model.fit(x, Y, batch_size=4, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])


@pytest.mark.parametrize("loss", [NAN, float("inf"), -float("inf"), np.float32("nan")])
def test_terminate_on_infinity(loss, capsys):
    callback = TerminateOnNaN()
    callback.set_model(Fake())
    callback.on_train_batch_end(2, {"loss": 1.0})
    callback.on_train_batch_end(2, {})
    assert not callback.model.stop_training
    callback.on_train_batch_end(3, {"loss": loss})
    assert callback.model.stop_training
