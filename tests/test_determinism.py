"""The same seed gives the same bits: again, on any number of threads, on every instruction set."""

import os
import subprocess
import sys

import numpy as np
import pytest
from harness import same_bits, uniform

import dlcore
from dlcore import Sequential, layers, utils
from dlcore.kernels import simd
from dlcore.optimizers import SGD

SCRIPT = """
import hashlib
import numpy as np
import dlcore
from dlcore import Sequential, layers, utils
from dlcore.optimizers import SGD, Adam

def digits():
    return [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.3), layers.Flatten(),
            layers.Dense(24, activation="tanh"), layers.Dropout(0.2), layers.Dense(10, activation="softmax")]

def varied():  # strides, groups, overlapping windows, a dense layer so large that it is a stage of its own
    return [layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False), layers.Activation("sigmoid"),
            layers.Conv2D(24, 3, groups=3, activation="relu"), layers.MaxPooling2D(3, 1, "same"),
            layers.AveragePooling2D(2, 1), layers.Flatten(), layers.Dense(210, activation="relu"),
            layers.Dense(10, activation="softmax")]

def mobile():  # depthwise, separable and transposed convolutions, a window of more than 256 pixels
    return [layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=3, activation="relu"),
            layers.SeparableConv2D(20, 3, padding="same", activation="tanh"),
            layers.Conv2DTranspose(12, 3, strides=2, activation="relu"), layers.GlobalMaxPooling2D(),
            layers.Dense(10, activation="softmax")]

rng = np.random.default_rng(0)
x = rng.random((100, 20, 18, 3), np.float32)
y = rng.integers(0, 10, 100)
for make, optimizer in ((digits, Adam(0.01)), (varied, SGD(0.05, momentum=0.9, nesterov=True)), (mobile, Adam(0.01))):
    config = optimizer.get_config()
    for threads in (1, 2, 3, 4, 2):
        dlcore.set_num_threads(threads)
        utils.set_random_seed(12)
        model = Sequential([layers.Input((20, 18, 3)), *make()])
        model.compile(type(optimizer).from_config(config), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, batch_size=37, epochs=2, validation_split=0.1, verbose=0)  # 37, 37, 16
        bits = b"".join(w.tobytes() for w in [*model.get_weights(), model.predict(x)]) + repr(history.history).encode()
        print(make.__name__, threads, hashlib.sha256(bits).hexdigest())
"""


@pytest.mark.parametrize("isa", simd.usable())
def test_weights_do_not_depend_on_threads(isa, tmp_path):
    """Weights, predictions and logs of three networks after a fit with an odd batch size and a smaller last batch."""
    env = {**os.environ, "DLCORE_ISA": isa, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    env = {key: value for key, value in env.items() if key not in ("DLCORE_NUM_THREADS", "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", SCRIPT]
    # not in a checkout, which would hide the installed package
    runs = [subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [line.split() for run in runs for line in run.communicate(timeout=120)[0].splitlines()]
    assert [run.returncode for run in runs] == [0, 0] and len(lines) == 30
    for name in ("digits", "varied", "mobile"):
        assert len({digest for network, _, digest in lines if network == name}) == 1
    assert len({digest for *_, digest in lines}) == 3


@pytest.mark.parametrize("batch", [1, 2, 5, 64, 129])
def test_predictions_do_not_depend_on_threads(batch):
    utils.set_random_seed(1)
    model = Sequential([layers.Input((17, 16, 4)), layers.Conv2D(33, 3, padding="same", activation="relu"),
                        layers.MaxPooling2D(), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(11)])  # fmt: skip
    x, found = uniform(batch, 17, 16, 4), []
    for threads in (1, 2, 3, 4, 7, 16):
        with dlcore.threads(threads):
            found.append(model.predict(x))
    assert all(same_bits(found[0], y) for y in found)


def dropped(threads, epochs):
    """What dropout leaves of a weight that moves by the mask alone."""
    utils.set_random_seed(5)
    model = Sequential([layers.Input((4000,)), layers.Dropout(0.5), layers.Dense(1, use_bias=False)])
    model.compile(SGD(1e-4), "mse")
    model.set_weights([np.zeros((4000, 1))])
    with dlcore.threads(threads):
        model.fit(np.ones((6, 4000)), np.ones((6, 1)), batch_size=2, epochs=epochs, shuffle=False, verbose=0)
    return model.get_weights()[0]


def test_dropout_draws_anew_at_every_step_and_the_same_in_every_run():
    first = dropped(1, 1)
    assert same_bits(first, dropped(4, 1)) and not np.array_equal(first, dropped(1, 2))
    moved = np.unique(first).size
    assert moved > 3  # three steps with masks of their own leave more than the two values of one mask


def test_a_fit_in_two_halves_is_one_fit_of_the_same_order():
    weights = []
    for halves in ([2], [1, 2]):
        utils.set_random_seed(9)
        model = Sequential([layers.Input((30,)), layers.Dense(20, "relu"), layers.Dropout(0.5), layers.Dense(2)])
        model.compile("adam", "mse")
        for before, epochs in zip([0, *halves], halves, strict=False):
            model.fit(uniform(50, 30), uniform(50, 2), batch_size=16, epochs=epochs, initial_epoch=before,
                      shuffle=False, verbose=0)  # fmt: skip
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        assert same_bits(a, b)
