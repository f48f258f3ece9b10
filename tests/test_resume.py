"""Training that was cut goes on in a new process, bit for bit; the checkpoint is always a whole one."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import resume
from safetensors import safe_open

import dlcore
from dlcore import Sequential, layers, saving
from dlcore.saving import ModelFileError, load_checkpoint, save_checkpoint


def train(name, folder, cut=None):
    """The exit status of a training in a new process."""
    folder.mkdir(exist_ok=True)
    here = os.path.dirname(os.path.dirname(dlcore.__file__))
    env = {**os.environ, "PYTHONPATH": here}
    command = [sys.executable, resume.__file__, name, str(folder), *([] if cut is None else [cut])]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=100, check=False)
    assert done.returncode == (0 if cut is None else 3), done.stderr
    return done.returncode


def result(folder):
    with np.load(folder / "result.npz") as file:
        return dict(file)


CUTS = {
    "sgd": ["3"], "momentum": ["2.1", "3.4"], "adam": ["1.3"], "amsgrad": ["3.2"], "adamw": ["3"], "nadam": ["2.3"],
    "rmsprop": ["1", "4"], "lion": ["0.4", "2"], "adadelta": ["3"], "adagrad": ["4.5"], "adamax": ["3"],
}  # fmt: skip
FAST = ("adam", "amsgrad", "momentum", "adamw")


@pytest.mark.parametrize("name", [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in resume.CASES
])  # fmt: skip
def test_a_cut_training_goes_on_bit_for_bit(name, tmp_path):
    train(name, tmp_path / "whole")
    for cut in CUTS[name]:
        train(name, tmp_path / "cut", cut)
    train(name, tmp_path / "cut")
    whole, cut = result(tmp_path / "whole"), result(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    for key, value in whole.items():
        assert value.tobytes() == cut[key].tobytes(), key
    assert not (tmp_path / "cut" / "backup").exists()


def compiled(optimizer="adam", **sizes):
    model = Sequential([
        layers.Input((3,)), layers.Dense(sizes.get("units", 4)), layers.Dropout(0.5), layers.Dense(1)
    ])  # fmt: skip
    model.compile(optimizer, "mse")
    return model


X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X[:, :1]


def everything(model):
    state = [*model.get_weights(), *(np.array(slot) for slot in model.optimizer.variables)]
    return [*(array.tobytes() for array in state), model.optimizer.clock.step, model.layers[1]._stream]


def test_what_a_checkpoint_holds(tmp_path):
    model = compiled()
    model.fit(X, Y, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.25
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, model, epoch=2, batch=7, seed=2**63 - 1)
    other = compiled()
    other.fit(X, Y, verbose=0)
    assert everything(other) != everything(model)
    assert load_checkpoint(path, other) == {"epoch": 2, "batch": 7, "seed": 2**63 - 1}
    assert everything(other) == everything(model) and other.optimizer.learning_rate == 0.25
    fresh = compiled()
    load_checkpoint(path, fresh)
    dlcore.utils.set_random_seed(5)
    other.fit(X, Y, verbose=0)
    dlcore.utils.set_random_seed(5)
    fresh.fit(X, Y, verbose=0)
    assert everything(other) == everything(fresh)
    with safe_open(path, "np") as file:
        names = set(file.keys())
    slots = {"optimizer:dense/kernel/momentum", "optimizer:dense_1/bias/velocity"}
    assert slots | {"dense/kernel", "dense_1/bias"} < names


@pytest.mark.parametrize(("make", "message"), [
    (lambda: compiled(units=5), r"dense/kernel: expected F32 of shape \(3, 5\)"),
    (lambda: compiled("sgd"), "neither the model nor its optimizer has .'optimizer:dense/bias/momentum'"),
    (lambda: compiled("nadam"), None),
    (lambda: compiled("adagrad"), "no weight 'optimizer:.*accumulator' is left|neither the model nor its optimizer"),
    (lambda: Sequential([layers.Dense(2, input_shape=(3,))]), "call compile"),
    (lambda: _unbuilt(), "has no weights yet"),
])  # fmt: skip
def test_a_checkpoint_of_another_training_changes_nothing(make, message, tmp_path):
    path = tmp_path / "c.safetensors"
    model = compiled()
    model.fit(X, Y, verbose=0)
    save_checkpoint(path, model, epoch=1, batch=0, seed=3)
    other = make()
    before = [w.tobytes() for w in other.get_weights()] if other.built else []
    if message is None:  # the same slots
        load_checkpoint(path, other)
        return
    with pytest.raises((ValueError, RuntimeError), match=message):
        load_checkpoint(path, other)
    assert not other.built or before == [w.tobytes() for w in other.get_weights()]


def _unbuilt():
    model = Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_other_files_are_no_checkpoints(tmp_path):
    model = compiled()
    path = tmp_path / "m.safetensors"
    model.save(path)
    with pytest.raises(ModelFileError, match="not a dlcore checkpoint of this model, or damaged: it has no place"):
        load_checkpoint(path, model)
    save_checkpoint(path, model, epoch=1, batch=0, seed=3)
    with pytest.raises(ModelFileError, match="not a dlcore model"):
        dlcore.models.load_model(path)
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            load_checkpoint(path, model)
    with pytest.raises(ValueError, match="name must end in"):
        save_checkpoint(tmp_path / "c.h5", model, epoch=0, batch=0, seed=0)
    for wrong in (-1, 1.5, True, "1", 2**64):
        with pytest.raises(ValueError, match="batch must be a whole number of at least 0"):
            save_checkpoint(path, model, epoch=0, batch=wrong, seed=0)


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_killed_checkpoint_is_the_old_one_or_the_new_one(kills, tmp_path):
    """Each state of this training can be told from its epoch alone, so a file that mixes two would show."""
    path = tmp_path / "c.safetensors"
    model = compiled()
    model.fit(X, Y, verbose=0)
    save_checkpoint(path, model, epoch=0, batch=0, seed=0)
    chance, reached = random.Random(0), 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            try:
                for epoch in range(reached + 1, 10**6):
                    for weight in model.weights:
                        weight.assign(np.full(weight.shape, epoch))
                    for slot in model.optimizer.variables:
                        slot[...] = epoch
                    save_checkpoint(path, model, epoch=epoch, batch=epoch, seed=epoch)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.005, 0.06))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        place = saving.load_checkpoint(path, model)
        if place["epoch"]:
            assert place["epoch"] >= reached and set(place.values()) == {place["epoch"]}
            assert all((w == place["epoch"]).all() for w in [*model.get_weights(), *model.optimizer.variables])
        reached = place["epoch"]
    assert reached > 0
