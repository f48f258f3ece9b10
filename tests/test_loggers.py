"""CSVLogger and TensorBoard."""

import csv
import sys

import numpy as np
import pytest

import dlcore
from dlcore import Sequential, layers
from dlcore.callbacks import Callback, CallbackList, CSVLogger, ReduceLROnPlateau, TensorBoard

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


@pytest.fixture
def model():
    dlcore.utils.set_random_seed(3)
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax", name="top")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# ---- CSVLogger ----


def rows(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


def test_csv(model, tmp_path):
    path = tmp_path / "log.csv"
    for separator in (",", ";"):
        history = model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), validation_freq=2, callbacks=[
            CSVLogger(path, separator)]).history  # fmt: skip
        found = rows(path, separator)
        assert [*found[0]] == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
        assert [row["epoch"] for row in found] == ["0", "1", "2"]
        assert [float(row["loss"]) for row in found] == history["loss"]
        assert [row["val_loss"] for row in found] == ["NA", str(history["val_loss"][0]), "NA"]


def test_csv_goes_on_with_a_file(model, tmp_path):
    path = tmp_path / "log.csv"
    for first in (0, 2):
        model.fit(X, Y, epochs=first + 2, initial_epoch=first, verbose=0, callbacks=[CSVLogger(str(path), append=True)])
    assert [row["epoch"] for row in rows(path)] == ["0", "1", "2", "3"]
    model.fit(X, Y, verbose=0, callbacks=[CSVLogger(path)])
    assert len(rows(path)) == 1


def test_csv_keeps_to_the_columns_of_the_file(model, tmp_path):
    path = tmp_path / "log.csv"
    model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[ReduceLROnPlateau(), CSVLogger(path, ";")])
    loss = model.fit(X, Y, verbose=0, callbacks=[CSVLogger(path, ";", append=True)]).history["loss"]
    assert [row["learning_rate"] for row in rows(path, ";")] == ["0.001", "NA"]
    assert [row["loss"] for row in rows(path, ";")][1:] == [str(loss[0])]
    path.write_text("mine\n")
    model.fit(X, Y, verbose=0, callbacks=[CSVLogger(path, append=True)])
    assert path.read_text().startswith("mine\n0,")


def test_the_file_is_closed_when_training_fails(model, tmp_path):
    class Fails(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyError("mine")

    logger = CSVLogger(tmp_path / "log.csv")
    with pytest.raises(KeyError):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[logger, Fails()])
    assert logger.csv_file is None and len(rows(tmp_path / "log.csv")) == 2


def test_arrays_and_text_in_a_cell(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    logger.on_train_begin()
    logger.on_epoch_end(0, {"a": np.array([1, 2]), "b": "text", "c": np.float32(0.5)})
    logger.on_train_end()
    assert rows(tmp_path / "log.csv")[0] == {
        "epoch": "0", "a": '"[1, 2]"', "b": "text", "c": "0.5", "val_a": "NA", "val_b": "NA", "val_c": "NA",
    }  # fmt: skip


# ---- TensorBoard ----


def events(folder):
    """{tag: [(step, value)]}, histograms as their number of values."""
    from tensorboardX.proto import event_pb2

    found = {}
    for path in sorted(folder.glob("events*")):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            for value in event.summary.value:
                number = value.histo.num if value.HasField("histo") else value.simple_value
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def test_tensorboard(model, tmp_path):
    pytest.importorskip("tensorboardX")
    history = model.fit(X, Y, epochs=3, batch_size=5, verbose=0, validation_split=0.5, callbacks=[
        TensorBoard(tmp_path, histogram_freq=2, write_steps_per_second=True)]).history  # fmt: skip
    train, held = events(tmp_path / "train"), events(tmp_path / "validation")
    for found, prefix in ((train, ""), (held, "val_")):
        for name in ("loss", "accuracy"):
            steps, values = zip(*found[f"epoch_{name}"], strict=True)
            assert steps == (0, 1, 2)
            np.testing.assert_allclose(values, history[prefix + name], rtol=1e-6)
    assert set(held) == {"epoch_loss", "epoch_accuracy", "evaluation_loss_vs_iterations",
                         "evaluation_accuracy_vs_iterations"}  # fmt: skip
    assert set(train) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_steps_per_second",
                          "top/kernel/histogram", "top/bias/histogram"}  # fmt: skip
    assert train["top/kernel/histogram"] == [(0, 6), (2, 6)]
    assert all(rate > 0 for _, rate in train["epoch_steps_per_second"])


def test_tensorboard_every_few_batches(model, tmp_path):
    pytest.importorskip("tensorboardX")
    model.fit(X, Y, epochs=2, batch_size=4, verbose=0, callbacks=[TensorBoard(tmp_path, update_freq=3)])
    assert [step for step, _ in events(tmp_path / "train")["batch_loss"]] == [3, 6, 9]
    assert not CallbackList([TensorBoard(tmp_path)], None, 0, {}).wants_batches
    assert CallbackList([TensorBoard(tmp_path, update_freq="batch")], None, 0, {}).wants_batches


def test_tensorboard_after_evaluate(model, tmp_path):
    pytest.importorskip("tensorboardX")
    board = TensorBoard(tmp_path)
    board.set_model(model)
    board.on_test_end({"loss": 0.5})
    board.on_train_closed()
    assert events(tmp_path / "validation") == {"evaluation_loss_vs_iterations": [(0, 0.5)]}


def test_mistakes_in_tensorboard(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    for wrong in ("step", 0, True, 1.5, None):
        with pytest.raises(
            ValueError, match="TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches"
        ):
            TensorBoard(tmp_path, update_freq=wrong)
    for name in ("write_images", "profile_batch", "embeddings_freq", "embeddings_metadata"):
        with pytest.raises(ValueError, match=f"TensorBoard: {name} is not supported"):
            TensorBoard(tmp_path, **{name: 1})
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match="extra 'tensorboard'"):
        TensorBoard(tmp_path)
