"""The programs in examples/ and README.md, on small data."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from dlcore.datasets import mnist

CHECKOUT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (CHECKOUT / "examples").exists(), reason="an installed package has no examples")


def digits(n, seed):
    """Bright squares at ten places."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 40, (n, 28, 28), dtype=np.uint8), (np.arange(n) % 10).astype(np.uint8)
    for image, label in zip(x, y, strict=True):
        image[4 + 12 * (label % 2) :, 2 + 5 * (label // 2) :][:9, :5] = 255
    return x, y


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist, "load_data", lambda: (digits(300, 0), digits(60, 1)))


def test_keras_mnist(small):
    with pytest.warns(DeprecationWarning, match="lr"):
        found = runpy.run_path(str(CHECKOUT / "examples/keras_mnist.py"))
    assert found["predictions"].shape == (60, 10)
    assert (found["predictions"].argmax(1) == digits(60, 1)[1]).mean() > 0.5


@pytest.mark.parametrize("blocks", ["1", "3"])
def test_residual_mnist(small, blocks, tmp_path):
    program = runpy.run_path(str(CHECKOUT / "examples/residual_mnist.py"))
    logs = program["main"](["--epochs", "1", "--blocks", blocks, "--images", "200", "--plot", "network.dot"])
    assert np.isfinite(logs["loss"]) and (tmp_path / "network.dot").stat().st_size > 1000
    assert (tmp_path / "residual-mnist.safetensors").exists()


def test_the_graph_in_the_readme():
    blocks = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(next(text for text in blocks if "Squeeze" in text), names)
    x = [digits(40, 0)[0][..., None], np.zeros((40, 3), np.float32)]
    y = {"digit": np.eye(10, dtype=np.float32)[np.arange(40) % 10], "area": np.zeros((40, 1), np.float32)}
    names["model"].compile("adam", {"digit": "mse", "area": "mse"})
    names["model"].fit(x, y, verbose=0)
    assert {key: value.shape for key, value in names["model"].predict(x).items()} == {
        "digit": (40, 10),
        "area": (40, 1),
    }
