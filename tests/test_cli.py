"""The command line: results, exit statuses, and what is printed where."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import dlcore
from dlcore import datasets, layers
from dlcore.cli import main
from dlcore.cli.data import Data
from dlcore.models import load_model

SIZE = (12, 10)


def digits(n, seed):
    """Three classes: a bright band at the top, in the middle, at the bottom."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3).astype(np.uint8)
    x = rng.integers(0, 60, (n, *SIZE), dtype=np.uint8)
    for image, label in zip(x, y, strict=True):
        image[4 * label : 4 * label + 3] += 180
    return x, y


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A small data set in MNIST's layout."""
    home = tmp_path_factory.mktemp("idx")
    for name, n, seed in (("train", 96, 0), ("t10k", 30, 1)):
        for kind, array in zip(("images-idx3", "labels-idx1"), digits(n, seed), strict=True):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (home / f"{name}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return str(home)


@pytest.fixture(scope="session")
def model(folder, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "bands.safetensors")
    assert (
        main(
            [
                "train",
                "--data",
                folder,
                "--epochs",
                "20",
                "--batch-size",
                "16",
                "--seed",
                "1",
                "--quiet",
                "--learning-rate",
                "0.01",
                "--output",
                path,
            ]
        )
        == 0
    )
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result(capsys, *argv):
    """The JSON object that a command prints, alone on stdout."""
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def failure(capsys, *argv, status=1):
    """The one line on stderr of a command that fails."""
    capsys.readouterr()
    assert main(argv) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("dlcore: ")
    return captured.err


def python(*argv):
    """A new Python that finds the same dlcore as this one."""
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(dlcore.__file__))}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *argv], stdout=pipe, stderr=pipe, text=True, env=env)


# ---- train ----


def test_train(folder, home, capsys):
    pytest.importorskip("matplotlib")
    assert main(["train", "--data", folder]) == 0
    out, err = capsys.readouterr()
    assert "96 images of 12x10 to train on, 30 to test, 3 classes" in out and "5 epochs in" in out and "images/s" in out
    assert len([line for line in out.splitlines() if line.startswith("Epoch ")]) == 5
    assert "test accuracy" in out and not err
    assert sorted(os.listdir(home)) == ["dlcore-model.png", "dlcore-model.safetensors"]
    assert (home / "dlcore-model.png").read_bytes().startswith(b"\x89PNG")
    names = [type(layer).__name__ for layer in load_model("dlcore-model.safetensors").layers]
    assert names == ["Rescaling", "Conv2D", "MaxPooling2D", "Flatten", "Dense"]


def test_train_json(folder, capsys):
    found = result(capsys, "train", "--data", folder, "--epochs", "3", "--output", "m.safetensors", "--threads", "1")
    assert found["epochs"] == 3 and found["threads"] == 1 and found["model"] == "m.safetensors"
    assert found["images_per_second"] == pytest.approx(3 * 96 / found["seconds"])
    assert found["test_accuracy"] == found["history"]["val_accuracy"][-1] and len(found["history"]["loss"]) == 3


def test_quiet_and_json_go_together(folder, capsys):
    assert main(["train", "--data", folder, "--epochs", "1", "--quiet", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["epochs"] == 1 and not err


def test_the_seed_decides(folder, capsys):
    losses = [
        result(capsys, "train", "--data", folder, "--epochs", "1", "--seed", seed, "--threads", threads)["loss"]
        for seed, threads in (("1", "1"), ("1", "2"), ("2", "1"))
    ]
    assert losses[0] == losses[1] != losses[2]


def test_loss_threshold(folder, capsys):
    found = result(capsys, "train", "--data", folder, "--epochs", "50", "--loss-threshold", "100")
    assert found["epochs"] == 1


def test_a_diverged_training_is_still_json(capsys, monkeypatch):
    def evaluate(args):
        return {"loss": [float("nan"), float("inf"), 1.0]}

    monkeypatch.setattr("dlcore.cli.commands.evaluate", evaluate)
    assert result(capsys, "evaluate", "m")["loss"] == [None, None, 1.0]


def test_without_matplotlib(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["train", "--data", folder, "--epochs", "1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "curves" in line]
    assert len(lines) == 1 and "extra 'plot'" in lines[0] and os.path.exists("dlcore-model.safetensors")


def test_auto_says_loudly_that_it_is_not_mnist(capsys, monkeypatch):
    def missing():
        raise datasets.DataError("MNIST was not found and could not be downloaded. Tried:\n  a mirror: no answer")

    monkeypatch.setattr(datasets.mnist, "load_data", missing)
    monkeypatch.setattr(datasets.digits28, "load_data", lambda verbose: (digits(12, 0), digits(6, 1)))
    capsys.readouterr()
    assert main(["train", "--epochs", "1", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "WARNING: THIS IS NOT MNIST" in err and "digits28" in err and err.count("\n") == 1 and not out
    assert "no answer" in failure(capsys, "train", "--data", "mnist")


def test_auto_takes_mnist(capsys, monkeypatch):
    monkeypatch.setattr(datasets.mnist, "load_data", lambda: (digits(12, 0), digits(6, 1)))
    assert result(capsys, "train", "--epochs", "1")["data"] == "mnist"


def test_classes_come_from_the_labels():
    split = np.zeros((3, 4, 4)), np.array([0, 1, 6], np.uint8)
    assert Data("x", split, split).classes == 7


def test_a_folder_that_is_missing_is_found_before_training(folder, capsys, monkeypatch):
    monkeypatch.setattr("dlcore.cli.commands.load", None)
    assert "no/m.safetensors: the folder" in failure(capsys, "train", "--output", "no/m.safetensors")


# ---- evaluate, predict, info ----


def test_evaluate(model, folder, capsys):
    found = result(capsys, "evaluate", model, "--data", folder)
    assert found["accuracy"] == 1.0 and found["images"] == 30
    assert main(["evaluate", model, "--data", folder]) == 0
    assert "30 test images: loss" in capsys.readouterr().out


def test_models_without_rescaling_get_images_from_0_to_1(folder, capsys):
    net = dlcore.Sequential([layers.Input((*SIZE, 1)), layers.Flatten(), layers.Dense(3, "softmax")])
    net.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    (x, y), (x_test, y_test) = datasets.load_idx_directory(folder)
    net.fit(x / np.float32(255), np.eye(3)[y], epochs=20, verbose=0)
    net.save("m.safetensors")
    found = result(capsys, "evaluate", "m.safetensors", "--data", folder)
    assert found["loss"] == pytest.approx(net.evaluate(x_test / np.float32(255), np.eye(3)[y_test], verbose=0)[0])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "CMYK", "1"])
@pytest.mark.parametrize("scale", [1, 5])
def test_predict(model, mode, scale, capsys):
    image = pytest.importorskip("PIL.Image")
    x, y = digits(3, 2)
    for k, pixels in enumerate(x):
        picture = image.fromarray(np.kron(pixels, np.ones((scale, scale), np.uint8)))
        picture.convert(mode).save(f"{k}.{'tiff' if mode == 'CMYK' else 'png'}")
    names = sorted(os.listdir())
    found = result(capsys, "predict", model, *names)["predictions"]
    assert [one["file"] for one in found] == names
    assert [one["class"] for one in found] == list(y) and all(0.34 < one["probability"] <= 1 for one in found)
    assert main(["predict", model, names[0]]) == 0
    assert capsys.readouterr().out.startswith(f"{names[0]}: 0 (")


def test_a_graph_that_begins_with_rescaling(model, folder, capsys):
    stack = load_model(model)
    image = layers.Input((*SIZE, 1))
    graph = dlcore.Model(image, stack(image))  # whose Rescaling is in the model inside
    graph.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    graph.save("graph.safetensors")
    found = result(capsys, "evaluate", "graph.safetensors", "--data", folder)
    assert found["accuracy"] == result(capsys, "evaluate", model, "--data", folder)["accuracy"] > 0.9


def test_several_outputs(folder, capsys):
    image = layers.Input((*SIZE, 1))
    x = layers.Flatten()(image)
    two = dlcore.Model(image, {"band": layers.Dense(3, activation="softmax")(x), "sum": layers.Dense(1)(x)})
    two.compile("adam", {"band": "sparse_categorical_crossentropy", "sum": "mse"})
    two.save("two.safetensors")
    found = result(capsys, "info", "two.safetensors")
    assert found["loss"] == {"band": "sparse_categorical_crossentropy", "sum": "mse"}
    assert found["output_shape"] == {"band": [None, 3], "sum": [None, 1]}
    for words in (["evaluate", "two.safetensors", "--data", folder], ["predict", "two.safetensors", "x.png"]):
        assert "two.safetensors: expected a model with one output. It has 2" in failure(capsys, *words)


def test_predict_inverts_and_asks_for_it(model, capsys):
    image = pytest.importorskip("PIL.Image")
    x, y = digits(3, 2)
    for k, pixels in enumerate(x):
        image.fromarray(255 - pixels).save(f"{k}.png")
    names = ["0.png", "1.png", "2.png"]
    assert [one["class"] for one in result(capsys, "predict", "--invert", model, *names)["predictions"]] == list(y)
    assert "0.png looks dark on light; --invert" in (main(["predict", model, "0.png"]), capsys.readouterr().err)[1]


def test_transparent_is_white_and_exif_turns(model):
    image = pytest.importorskip("PIL.Image")
    from dlcore.cli.images import read

    image.new("RGBA", SIZE[::-1], (0, 0, 0, 0)).save("clear.png")
    assert (read("clear.png", (*SIZE, 1), True) == 0).all()
    lying = image.fromarray(digits(1, 0)[0][0].T)
    exif = image.Exif()
    exif[0x0112] = 5  # transposed
    lying.save("turned.png", exif=exif)
    np.testing.assert_array_equal(read("turned.png", (*SIZE, 1), False)[..., 0], digits(1, 0)[0][0])
    assert read("turned.png", (*SIZE, 3), False).shape == (*SIZE, 3)


def test_logits_are_shown_as_probabilities(capsys):
    image = pytest.importorskip("PIL.Image")
    net = dlcore.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    net.compile("adam", dlcore.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.save("m.safetensors")
    image.new("L", (4, 4), 200).save("a.png")
    assert 1 / 3 <= result(capsys, "predict", "m.safetensors", "a.png")["predictions"][0]["probability"] <= 1


def test_info(model, capsys):
    assert main(["info"]) == 0
    assert "instruction set" in capsys.readouterr().out
    assert result(capsys, "info")["dlcore-engine"] == dlcore.__version__
    assert main(["info", model]) == 0
    assert "Conv2D" in (out := capsys.readouterr().out) and "safetensors, dlcore version 2" in out
    found = result(capsys, "info", model)
    assert found["parameters"] == load_model(model).count_params() and found["input_shape"] == [None, *SIZE, 1]


def test_plot(model, tmp_path, capsys):
    found = result(capsys, "plot", model, str(tmp_path / "m.dot"), "--direction", "LR", "--expand-nested")
    assert found == {"command": "plot", "model": model, "picture": str(tmp_path / "m.dot"), "layers": 5}
    assert "rankdir=LR" in (tmp_path / "m.dot").read_text()
    assert "to_file must end in one of" in failure(capsys, "plot", model, "m.jpg")


# ---- what goes wrong ----


def test_failures_are_one_line(model, folder, home, capsys, monkeypatch):
    (home / "junk.safetensors").write_bytes(b"junk" * 10)
    (home / "junk.png").write_bytes(b"junk")
    assert "junk.safetensors: not a dlcore model" in failure(capsys, "info", "junk.safetensors")
    assert "No such file" in failure(capsys, "evaluate", "no.safetensors")
    assert "no: expected a folder" in failure(capsys, "train", "--data", "no")
    one_output = dlcore.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    one_output.save("one.safetensors")
    assert "call compile" in failure(capsys, "evaluate", "one.safetensors", "--data", folder)
    assert "one output a class" in failure(capsys, "predict", "one.safetensors", "a.png")
    pytest.importorskip("PIL")
    assert "junk.png: not an image" in failure(capsys, "predict", model, "junk.png")
    assert "No such file" in failure(capsys, "predict", model, "no.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "extra 'image'" in failure(capsys, "predict", model, "a.png")


def test_sixteen_bits_are_refused(model, capsys):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full(SIZE, 40000, np.uint16)).save("deep.png")
    assert "8 bits a channel" in failure(capsys, "predict", model, "deep.png")


@pytest.mark.parametrize("argv", [
    [], ["fly"], ["train", "--epochs", "0"], ["train", "--epochs", "x"], ["train", "--threads", "1025"],
    ["train", "--learning-rate", "0"], ["train", "--learning-rate", "nan"], ["train", "--loss-threshold", "inf"],
    ["train", "--seed", "-1"], ["train", "--output", "m.keras"], ["train", "--batch-size", "0"], ["evaluate"],
    ["predict", "m.safetensors"], ["info", "a", "b"], ["train", "--fast"],
], ids=" ".join)  # fmt: skip
def test_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: dlcore" in capsys.readouterr().err


def test_interrupted(capsys, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("dlcore.models.load_model", interrupt)
    assert "interrupted" in failure(capsys, "info", "m.safetensors", status=130)


# ---- as a process ----


def test_version_and_the_module():
    for argv in (["-m", "dlcore", "--version"], ["-c", "from dlcore.cli import main; main(['--version'])"]):
        process = python(*argv)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, f"dlcore {dlcore.__version__}\n", "")


def test_ctrl_c_while_training(folder, home):
    process = python("-m", "dlcore", "train", "--data", folder, "--epochs", "1000000")
    assert "images of" in process.stdout.readline() or "Epoch" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "dlcore: interrupted\n"
    assert os.listdir(home) == []


def test_a_reader_that_leaves():
    process = python("-m", "dlcore", "info")
    process.stdout.close()
    assert process.wait(timeout=60) == 1 and process.stderr.read() == ""
    process.stderr.close()


def test_importing_dlcore_brings_no_command_line():
    lazy = {"dlcore.cli", "argparse", "PIL", "matplotlib", "safetensors", "tqdm", "pooch"}
    script = f"import sys, dlcore; print(*{lazy} & {{*sys.modules}})"
    assert python("-c", script).communicate(timeout=60) == ("\n", "")
