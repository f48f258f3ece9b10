"""Training, evaluating and predicting with data of every kind: the same bits as with arrays."""

import itertools
import os
import signal
import threading

import numpy as np
import pytest
from harness import same_bits

from dlcore import Sequential, layers, losses, utils
from dlcore.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback, StopAtLoss
from dlcore.models.data import adapt

N, BATCH = 22, 4  # six batches, the last one smaller
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


def model():
    utils.set_random_seed(3)
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Batches(utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return X[BATCH * i : BATCH * i + BATCH], Y[BATCH * i : BATCH * i + BATCH]


class Samples:
    def __len__(self):
        return N

    def __getitem__(self, i):
        return X[i].tolist(), Y[i]


class Loader:
    def __iter__(self):
        return ([x, y] for x, y in Batches())


def endless():
    for i in itertools.count():
        yield Batches()[i % 6]


def mapped(dtype, folder):
    array = np.memmap(folder / "x", dtype, "w+", shape=X.shape)
    array[:] = X
    return array


KINDS = {
    "batches": lambda folder: {"x": Batches(), "batch_size": None},
    "samples": lambda folder: {"x": Samples()},
    "iterable": lambda folder: {"x": Loader(), "batch_size": None},
    "generator": lambda folder: {"x": endless(), "steps_per_epoch": 6, "batch_size": None},
    "memmap": lambda folder: {"x": mapped(np.float32, folder), "y": Y},
    "memmap of float64": lambda folder: {"x": mapped(np.float64, folder), "y": Y},
    "lists": lambda folder: {"x": X.tolist(), "y": Y.tolist()},
    "dict": lambda folder: {"x": {"x": X}, "y": Y},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_as_with_arrays(kind, tmp_path):
    options = {"batch_size": BATCH, "epochs": 3, "shuffle": False, "verbose": 0}
    with_arrays, other = model(), model()
    wanted = with_arrays.fit(X, Y, **options, validation_data=(X, Y)).history
    given = KINDS[kind](tmp_path)
    if kind == "dict":
        given["x"] = {other.input_names[0] if hasattr(other, "input_names") else other.specs[0].name: X}
    found = other.fit(**{**options, **given}, validation_data=Batches()).history
    same_bits(other.get_weights()[0], with_arrays.get_weights()[0])
    assert found["loss"] == wanted["loss"]
    np.testing.assert_allclose(found["val_loss"], wanted["val_loss"], rtol=1e-6)


@pytest.mark.parametrize("kind", ["samples", "memmap of float64"])
def test_shuffled_the_same_bits_too(kind, tmp_path):
    options = {"batch_size": BATCH, "epochs": 2, "verbose": 0}
    with_arrays, other = model(), model()
    with_arrays.fit(X, Y, **options)
    other.fit(**KINDS[kind](tmp_path), **options)
    same_bits(other.get_weights()[0], with_arrays.get_weights()[0])


def test_evaluate_and_predict_batches():
    net = model()
    np.testing.assert_allclose(net.evaluate(Batches(), verbose=0), net.evaluate(X, Y, verbose=0), rtol=1e-6)
    same_bits(net.predict(Batches()), net.predict(X))
    same_bits(net.predict(iter([X[:5], X[5:]])), net.predict(X))
    same_bits(net.predict(endless(), steps=2), net.predict(X[:8]))


def test_fifty_fits_leave_no_thread():
    before = threading.active_count()
    net, batches = model(), endless()
    for _ in range(50):
        net.fit(batches, steps_per_epoch=3, verbose=0)
    assert threading.active_count() == before


@pytest.mark.parametrize("k", [1, 4])
def test_a_generator_that_fails(k):
    def failing():
        yield from itertools.islice(endless(), k)
        raise OSError("the disk is gone")

    before, net = threading.active_count(), model()
    with pytest.raises(OSError, match="the disk is gone"):
        net.fit(failing(), verbose=0)
    assert net.optimizer.iterations == k and threading.active_count() == before
    net.fit(X, Y, verbose=0)


class After(Callback):
    """Does something at the end of batch k."""

    def __init__(self, k, what):
        self.k, self.what = k, what

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.k:
            self.what(self.model)


def test_stopping_in_the_middle():
    before, net = threading.active_count(), model()
    net.fit(endless(), steps_per_epoch=99, epochs=3, verbose=0, callbacks=[
        After(2, lambda model: setattr(model, "stop_training", True))])  # fmt: skip
    assert net.optimizer.iterations == 3 and threading.active_count() == before


def test_ctrl_c_in_the_middle():
    before, net = threading.active_count(), model()
    with pytest.raises(KeyboardInterrupt):
        net.fit(endless(), steps_per_epoch=99, verbose=0, callbacks=[
            After(2, lambda model: os.kill(os.getpid(), signal.SIGINT))])  # fmt: skip
    assert net.optimizer.iterations == 3 and threading.active_count() == before
    net.fit(X, Y, verbose=0)


def test_bad_data_is_found_before_the_first_step():
    net, bad = model(), X.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"x: sample 7 holds nan at \(1,\)"):
        net.fit(bad, Y, verbose=0, check_data=True)
    with pytest.raises(ValueError, match=r"x of batch 0: .*expects samples of shape \(3,\)"):
        net.fit(iter([(X[:, :2], Y)]), verbose=0)
    assert net.optimizer.iterations == 0


def test_early_stopping_with_datasets():
    class Wrong(Batches):
        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            return x, 1 - y

    net = model()
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    history = net.fit(Batches(), epochs=50, verbose=0, validation_data=Wrong(), callbacks=[stopping])
    assert len(history.epoch) < 50
    assert net.evaluate(Wrong(), verbose=0)[0] == min(history.history["val_loss"])


def test_validation_data_that_has_ended_measures_nothing():
    other, early = model(), EarlyStopping(patience=9, restore_best_weights=True)
    with pytest.warns(UserWarning, match="the data ended after 0 steps"):
        history = other.fit(X, Y, epochs=3, verbose=0, validation_data=iter(list(Batches())), callbacks=early).history
    assert history["val_loss"][0] > 0 and np.isnan(history["val_loss"][1:]).all()
    assert np.isfinite(history["loss"]).all() and early.best_epoch == 0


def test_an_epoch_that_a_backup_holds_whole_has_no_measures(tmp_path):
    def cut(batch, logs=None):
        if batch == 5:
            raise InterruptedError

    backup = BackupAndRestore(tmp_path, save_freq=6)
    with pytest.raises(InterruptedError):
        model().fit(X, Y, BATCH, verbose=0, callbacks=[backup, LambdaCallback(on_train_batch_end=cut)])
    history = model().fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[backup, StopAtLoss(0.01)]).history
    assert np.isnan(history["loss"][0]) and history["loss"][1] > 0


@pytest.mark.parametrize("loss, units", [
    (losses.SparseCategoricalCrossentropy(ignore_class=-1), 3), ("categorical_crossentropy", 3),
    ("binary_crossentropy", 1),
])  # fmt: skip
def test_class_weights_of_positions(loss, units):
    """Four positions with a class each: the same as the weights of these classes."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 4, 2)).astype(np.float32), rng.integers(0, max(units, 2), (9, 4))
    weight = {0: 3.0, 1: 0.5}
    table = np.float32([3, 0.5, 1, 1])
    given = y[..., None] if units == 1 else np.eye(3)[y] if isinstance(loss, str) else np.where(y == 2, -1, y)
    found = []
    for options in ({"class_weight": weight}, {"sample_weight": table[y]}):
        utils.set_random_seed(1)
        model = Sequential([layers.Input((4, 2)), layers.Dense(units, "sigmoid" if units == 1 else "softmax")])
        model.compile("sgd", loss)
        found.append(model.fit(x, given, batch_size=4, epochs=2, verbose=0, **options).history["loss"])
    assert found[0] == found[1]


def test_balanced_weights_leave_ignored_classes_out():
    x, y = np.ones((6, 2), np.float32), np.array([0, 1, 1, -1, -1, -1])
    model = Sequential([layers.Input((2,)), layers.Dense(2, "softmax", kernel_initializer="zeros")])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(ignore_class=-1), weighted_metrics=["accuracy"])
    model.fit(x, y, class_weight="balanced", verbose=0)
    (target,) = model._targets()
    assert (target.classes, target.ignored, target.positions) == (2, -1, ())
    data = adapt(x, y)
    data.bind(model.specs, [target])
    data.weigh_classes("balanced")
    assert data.class_weight == {0: 1.5, 1: 0.75}


def test_what_a_killed_backup_left_goes(tmp_path):
    folder = tmp_path / "[a]"
    folder.mkdir()
    (folder / ".dlcore-0.tmp").write_bytes(b"half of it")
    model().fit(X, Y, verbose=0, callbacks=[BackupAndRestore(folder)])
    assert not folder.exists()
