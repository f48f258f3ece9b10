"""Training against Keras: 200 steps of each network with each optimizer, from the same weights on the same batches.

`pytest -m slow tests/test_trajectories.py`, with Keras and JAX (the extra `conformance`) installed, or in another
Python that DLCORE_KERAS_PYTHON names.

ReLU and max pooling have corners: where two values are equal but for rounding, slopes jump, and two libraries, or Keras
in single and in double precision, part for good. So the 200 steps are those of networks without corners; the networks
as they are take each step from Keras' weights.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import trajectories
from harness import same_bits
from trajectories import NETWORKS, OPTIMIZERS, STEPS, batches, build, flat, optimizer_of

import dlcore
from dlcore import utils

pytestmark = pytest.mark.slow
SPARSE = "sparse_categorical_crossentropy"
BOUND = 1e-4  # largest relative difference of the losses of any step
KERAS = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}


def first_model(name, smooth=True):
    utils.set_random_seed(7)
    return build(dlcore, name, smooth)


@pytest.fixture(scope="module")
def python():
    """A Python that has Keras."""
    path = os.environ.get("DLCORE_KERAS_PYTHON", sys.executable)
    found = subprocess.run([path, "-c", "import jax, keras"], env={**os.environ, **KERAS}, capture_output=True)
    if found.returncode:
        pytest.skip(f"{path} has no Keras with JAX: install dlcore-engine[conformance] or set DLCORE_KERAS_PYTHON")
    return path


@pytest.fixture(scope="module")
def keras(python, tmp_path_factory):
    """What Keras finds in a precision."""
    folder, found = tmp_path_factory.mktemp("keras"), {}
    start = {f"{name}/{i}": w for name in NETWORKS for i, w in enumerate(first_model(name).get_weights())}
    np.savez(folder / "start.npz", **start)

    def run(job):
        precision, names = job
        path = folder / f"{precision}_{names[0]}.npz"
        command = [python, trajectories.__file__, folder / "start.npz", path, precision, *names]
        env = {**os.environ, **KERAS, "PYTHONPATH": str(Path(trajectories.__file__).parent)}
        done = subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with np.load(path) as arrays:
            return dict(arrays)

    def of(precision):
        if precision not in found:
            with ThreadPoolExecutor(2) as pool:  # of processes: each compiles for long on one core
                halves = pool.map(run, [(precision, NETWORKS[::2]), (precision, NETWORKS[1::2])])
                found[precision] = {key: value for half in halves for key, value in half.items()}
        return found[precision]

    return of


@pytest.fixture(scope="module")
def ours():
    """Losses and last weights of dlcore."""
    found = {}
    with dlcore.threads(1):  # the bits do not depend on it
        for name in NETWORKS:
            model, data = first_model(name), batches(name)
            start = model.get_weights()
            for kind in OPTIMIZERS:
                model.set_weights(start)
                model.compile(optimizer_of(dlcore, kind, name), SPARSE)
                found[f"{name}/{kind}/loss"] = np.array([model.train_on_batch(x, y) for x, y in data])
                found.update({f"{name}/{kind}/{i}": w for i, w in enumerate(model.get_weights())})
    return found


def largest(a, b):
    """The largest relative difference."""
    return float(np.max(np.abs(a - b) / np.abs(b)))


def table(head, rows):
    """What a run found, shown by `pytest -s`."""
    print(f"\n{head:12}" + "".join(f"{kind:>10}" for kind in OPTIMIZERS))
    for name in NETWORKS:
        print(f"{name:12}" + "".join(f"{rows[name, kind]:10.1e}" for kind in OPTIMIZERS))


CASES = [(name, kind) for name in NETWORKS for kind in OPTIMIZERS]


def compared(a, b, what):
    differences = {(name, kind): largest(a[f"{name}/{kind}/loss"], b[f"{name}/{kind}/loss"]) for name, kind in CASES}
    table(what, differences)
    return differences


def test_losses_are_those_of_keras(keras, ours):
    theirs = keras("float32")
    for name, kind in CASES:
        loss = theirs[f"{name}/{kind}/loss"]
        assert len(loss) == STEPS and np.mean(loss[-10:]) < 0.95 * np.mean(loss[:10]), f"{name}, {kind}: it must train"
    differences = compared(ours, theirs, "losses")
    assert max(differences.values()) <= BOUND, differences


def test_losses_are_those_of_exact_arithmetic(keras, ours):
    """dlcore in single precision against Keras in double; and no farther from it than Keras itself, all in all."""
    exact = keras("float64")
    own = compared(ours, exact, "exact")
    theirs = compared(keras("float32"), exact, "Keras, exact")
    assert max(own.values()) <= BOUND, own
    assert np.median(list(own.values())) <= 2 * np.median(list(theirs.values()))


def test_fit_goes_the_same_way_as_single_batches(ours):
    for name in NETWORKS:
        model, data = first_model(name), batches(name)
        model.compile(optimizer_of(dlcore, "momentum", name), SPARSE)
        x, y = (np.concatenate(parts) for parts in zip(*data, strict=True))
        model.fit(x, y, batch_size=trajectories.BATCH, shuffle=False, verbose=0)
        for i, w in enumerate(model.get_weights()):
            assert same_bits(w, ours[f"{name}/momentum/{i}"]), name


def test_each_step_of_networks_with_corners(keras):
    """ReLU and max pooling, each step from the weights that Keras had. In a few steps a value lies on a corner, and one
    sample's slope takes the other side of it."""
    theirs, median, far = keras("corners"), {}, {}
    for name in NETWORKS:
        model, path, losses = first_model(name, smooth=False), theirs[f"{name}/SGD/path"], theirs[f"{name}/SGD/loss"]
        model.compile(optimizer_of(dlcore, "SGD", name), SPARSE)
        sizes = np.cumsum([w.value.size for w in model.weights])[:-1]
        errors = []
        with dlcore.threads(1):
            for (x, y), before, after, expected in zip(batches(name), path[:-1], path[1:], losses, strict=True):
                parts = np.split(before, sizes)
                model.set_weights([w.reshape(v.shape) for w, v in zip(parts, model.weights, strict=True)])
                assert model.train_on_batch(x, y) == pytest.approx(expected, rel=BOUND, abs=1e-6), name
                update = after.astype(np.float64) - before
                off = flat(model.get_weights()).astype(np.float64) - after
                errors.append(np.linalg.norm(off) / np.linalg.norm(update))
        median[name], far[name] = np.median(errors), np.mean(np.array(errors) > BOUND)
    for name in NETWORKS:
        print(f"{name:12} steps differ by {median[name]:.1e}, on a corner: {far[name]:.1%}")
    assert max(median.values()) < BOUND / 2 and max(far.values()) < 0.05, (median, far)
