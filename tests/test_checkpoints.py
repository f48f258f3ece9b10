"""ModelCheckpoint and BackupAndRestore: what is written when, and how training goes on."""

import json
import os

import numpy as np
import pytest

import dlcore
from dlcore import Sequential, layers, models, saving
from dlcore.callbacks import BackupAndRestore, CallbackList, LambdaCallback, ModelCheckpoint

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
    """Notes what it is asked to save."""

    built = True
    _fit_seed = 7
    _resume = None

    def __init__(self):
        self.saved = []

    def save(self, path):
        self.saved.append(path)

    def save_weights(self, path):
        self.saved.append(f"weights: {path}")


def checkpoint(path="{epoch}.safetensors", **options):
    callback = ModelCheckpoint(path, **options)
    callback.set_model(Fake())
    callback.on_train_begin({})
    return callback, callback.model


# ---- ModelCheckpoint ----


def test_every_epoch_is_a_model(model, tmp_path):
    path = tmp_path / "deep" / "{epoch:02d}-{val_loss:.3f}.safetensors"
    kept = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    history = model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[ModelCheckpoint(path), keep])
    names = [f"{k + 1:02d}-{loss:.3f}.safetensors" for k, loss in enumerate(history.history["val_loss"])]
    assert sorted(os.listdir(tmp_path / "deep")) == names
    for name, weights in zip(names, kept, strict=True):
        for a, b in zip(models.load_model(tmp_path / "deep" / name).get_weights(), weights, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "values", "saved"),
    [
        ({}, [3, 4, 2], [1, 2, 3]),
        ({"save_best_only": True}, [3, 4, 2, 2, NAN], [1, 3]),
        ({"save_best_only": True}, [NAN, 4, NAN, 3], [2, 4]),
        ({"save_best_only": True, "mode": "max"}, [3, 4, 2], [1, 2]),
        ({"save_best_only": True, "initial_value_threshold": 2.5}, [3, 4, 2], [3]),
    ],
)
def test_what_is_saved(options, values, saved):
    callback, model = checkpoint(**options)
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val_loss": value})
    assert model.saved == [f"{epoch}.safetensors" for epoch in saved]


def test_weights_only():
    callback, model = checkpoint("w.weights.safetensors", save_weights_only=True)
    callback.on_epoch_end(0, {})
    assert model.saved == ["weights: w.weights.safetensors"]


def test_every_so_many_batches_over_the_ends_of_epochs():
    callback, model = checkpoint("{epoch}-{batch}.safetensors", save_freq=4)
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        for batch in range(3):
            callback.on_train_batch_end(batch, {"loss": 1.0})
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert model.saved == ["2-1.safetensors", "3-2.safetensors"]


@pytest.mark.parametrize("make", [ModelCheckpoint, lambda path, **o: BackupAndRestore("folder", **o)])
def test_only_a_number_of_batches_asks_for_every_batch(make):
    assert not CallbackList([make("x.safetensors")], None, 0, {}).wants_batches
    assert CallbackList([make("x.safetensors", save_freq=2)], None, 0, {}).wants_batches

    class Mine(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            pass

    assert CallbackList([Mine("x.safetensors")], None, 0, {}).wants_batches


def test_what_model_checkpoint_says(capsys):
    callback, _ = checkpoint("m.safetensors", verbose=1, save_best_only=True)
    for epoch, value in enumerate([2.0, 3.0, 1.0]):
        callback.on_epoch_end(epoch, {"val_loss": value})
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        "Epoch 1: val_loss improved from None to 2.00000, saving model to m.safetensors",
        "Epoch 1: finished saving model to m.safetensors",
        "Epoch 2: val_loss did not improve from 2.00000",
        "Epoch 3: val_loss improved from 2.00000 to 1.00000, saving model to m.safetensors",
        "Epoch 3: finished saving model to m.safetensors",
    ]


def test_mistakes_in_model_checkpoint(tmp_path):
    for path, hint in (
        ("m.keras", "'m.safetensors'"),
        ("m.weights.h5", "'m.safetensors'"),
        ("m.h5", "'m.safetensors'"),
    ):
        with pytest.raises(ValueError, match=f"must end in '.safetensors'.*That is a file of Keras.*{hint}"):
            ModelCheckpoint(path)
    with pytest.raises(
        ValueError, match=r"must end in '\.weights\.safetensors' when.*Received: filepath='m\.safetensors'$"
    ):
        ModelCheckpoint("m.safetensors", save_weights_only=True)
    with pytest.raises(ValueError, match=r"here it would be 'm\.weights\.safetensors'"):
        ModelCheckpoint("m.weights.h5", save_weights_only=True)
    for wrong in (0, -1, True, 1.5, "batch", None):
        with pytest.raises(ValueError, match="save_freq must be 'epoch' or a number of batches"):
            ModelCheckpoint("m.safetensors", save_freq=wrong)
    callback, _ = checkpoint("{val_acc}.safetensors")
    with pytest.raises(KeyError, match=r"can have places for \['epoch', 'val_loss'\]\. Received: 'val_acc'"):
        callback.on_epoch_end(0, {"val_loss": 1.0})
    (tmp_path / "m.safetensors").mkdir()
    callback, _ = checkpoint(tmp_path / "m.safetensors")
    with pytest.raises(IsADirectoryError, match="ModelCheckpoint: filepath is a folder"):
        callback.on_epoch_end(0, {})
    callback, model = checkpoint(save_best_only=True)
    with pytest.warns(UserWarning, match="Can save best model only with val_loss available"):
        callback.on_epoch_end(0, {"loss": 1.0})
    assert model.saved == ["1.safetensors"]


# ---- BackupAndRestore ----


@pytest.fixture
def files(monkeypatch):
    """save_checkpoint and load_checkpoint that write the position alone."""

    def save_checkpoint(filepath, model, *, epoch, batch, seed):
        with open(filepath, "w") as file:
            json.dump({"epoch": epoch, "batch": batch, "seed": seed}, file)

    def load_checkpoint(filepath, model):
        with open(filepath) as file:
            return json.load(file)

    monkeypatch.setattr(saving, "save_checkpoint", save_checkpoint, raising=False)
    monkeypatch.setattr(saving, "load_checkpoint", load_checkpoint, raising=False)


def backup(folder, **options):
    callback = BackupAndRestore(folder, **options)
    callback.set_model(Fake())
    return callback, callback.model


def test_a_backup_is_where_training_goes_on(files, tmp_path):
    folder = tmp_path / "backup"
    callback, model = backup(folder)
    callback.on_train_begin()
    assert model._resume is None and not folder.exists()
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        callback.on_train_batch_end(0, {})
        callback.on_epoch_end(epoch, {})
        again, fresh = backup(folder)
        again.on_train_begin()
        assert fresh._resume == {"epoch": epoch + 1, "batch": 0, "seed": 7}
    assert os.listdir(folder) == ["latest.safetensors"]
    callback.on_train_end()
    assert not folder.exists()
    again.on_train_begin()
    assert fresh._resume is None


def test_a_backup_in_the_middle_of_an_epoch(files, tmp_path):
    callback, _ = backup(tmp_path / "b", save_freq=4)
    seen = []
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        for batch in range(3):
            callback.on_train_batch_end(batch)
            again, fresh = backup(tmp_path / "b")
            again.on_train_begin()
            seen.append(fresh._resume and (fresh._resume["epoch"], fresh._resume["batch"]))
        callback.on_epoch_end(epoch)
    assert seen == [None] * 3 + [(1, 1)] * 4 + [(2, 2)] * 2


def test_the_checkpoint_before_helps_when_the_last_one_is_broken(files, tmp_path):
    callback, model = backup(tmp_path, double_checkpoint=True)
    callback.on_epoch_end(0)
    callback.on_epoch_end(1)
    assert sorted(os.listdir(tmp_path)) == ["latest.safetensors", "previous.safetensors"]
    (tmp_path / "latest.safetensors").write_text("half a")
    with pytest.warns(UserWarning, match="latest.safetensors cannot be read, using the one before"):
        callback.on_train_begin()
    assert model._resume["epoch"] == 1
    os.remove(tmp_path / "latest.safetensors")  # killed between the two
    callback.on_train_begin()
    assert model._resume["epoch"] == 1
    (tmp_path / "previous.safetensors").write_text("half a")
    with pytest.raises(ValueError, match="Expecting value"):
        callback.on_train_begin()


def test_only_its_own_files_are_deleted(files, tmp_path):
    callback, _ = backup(tmp_path)
    callback.on_epoch_end(0)
    (tmp_path / "mine.txt").touch()
    callback.on_train_end()
    assert os.listdir(tmp_path) == ["mine.txt"]
    callback, _ = backup(tmp_path, delete_checkpoint=False)
    callback.on_epoch_end(0)
    callback.on_train_end()
    assert sorted(os.listdir(tmp_path)) == ["latest.safetensors", "mine.txt"]


def test_mistakes_in_backup_and_restore(files, tmp_path):
    with pytest.raises(ValueError, match="BackupAndRestore: backup_dir must name a folder"):
        BackupAndRestore("")
    with pytest.raises(ValueError, match="BackupAndRestore: save_freq must be 'epoch' or a number of batches"):
        BackupAndRestore("b", save_freq=False)
    callback, model = backup(tmp_path)
    model.built = False
    with pytest.raises(ValueError, match="BackupAndRestore: the model must be built before fit"):
        callback.on_train_begin()
