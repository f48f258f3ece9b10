"""Every instruction set trains the same networks, up to rounding; a processor without AVX as well."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import pytest

from dlcore.kernels import simd

SCRIPT = """
import sys
import networks
import numpy as np
import dlcore
from dlcore import layers, utils
from dlcore.kernels import simd

def mnist(keras, shape):  # Keras' program, with a normalization
    return keras.Sequential([
        layers.Input(shape), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(24, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5),
        layers.Dense(32, activation="relu"), layers.BatchNormalization(), layers.Dense(4, activation="softmax")])

networks.mnist = mnist
found = {"isa": simd.isa()}
for name, arguments in {**networks.SMALL, "mnist": dict(shape=(28, 28, 1))}.items():
    utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 32)
    x = rng.integers(0, 40, (32, 17)) if name == "text_cnn" else rng.random((32, *arguments["shape"]), np.float32)
    model = getattr(networks, name)(dlcore, **arguments)
    model.compile(dlcore.optimizers.SGD(0.02, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)  # two steps
    found.update({f"{name}/{i}": w for i, w in enumerate(model.get_weights())})
    found[f"{name}/y"] = model.predict(x)
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Function of an instruction set and an emulator: weights and predictions after two steps of each network."""
    folder = tmp_path_factory.mktemp("isas")  # not a checkout, which would hide the installed package

    def train(isa, *emulator):
        path = folder / f"{isa or 'default'}.npz"
        if not path.exists():
            python_path = [str(Path(networks.__file__).parent), *(path for path in sys.path if path)]
            env = {
                **os.environ,
                "DLCORE_ISA": isa,
                "PYTHONPATH": os.pathsep.join(python_path),
                "DLCORE_NUM_THREADS": "2",
            }
            env.pop("OPENBLAS_CORETYPE", None)  # told its processor, NumPy's library believes it
            command = [*emulator, sys.executable, "-c", SCRIPT, path]
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stderr[-4000:]
        with np.load(path) as file:  # else it stays open, and whichever test is running when it is collected fails
            return dict(file)

    return train


def close(found, expected, rtol=1e-4, atol=1e-5):
    assert found.keys() == expected.keys()
    for name in found.keys() - {"isa"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("isa", [name for name in simd.known() if name != "baseline"])
def test_networks_train_alike(train, isa):
    if isa not in simd.usable():
        pytest.skip(f"this build or processor has no {isa}")
    found = train(isa)
    assert found["isa"] == isa
    close(found, train("baseline"))


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs x86-64")
def test_networks_train_without_avx(train):
    """No illegal instruction on a processor of 2008, whose SSE4.2 NumPy asks for, and the numbers of the portable code
    here; `libm` may use a fused multiply-add where there is one."""
    if not shutil.which("qemu-x86_64"):
        pytest.skip("needs qemu-x86_64")
    found = train("", "qemu-x86_64", "-cpu", "Nehalem")
    assert found["isa"] == "baseline"
    close(found, train("baseline"), 1e-6, 1e-7)
