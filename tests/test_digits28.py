"""The built-in digits: their look, that they repeat, their cache, and that a network learns MNIST from them."""

import os
import time

import numpy as np
import pytest

from dlcore.datasets import _strokes, cache_dir, digits28, mnist


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def digits():
    return digits28.load_data(4000, 1000, cache=False)


def assert_same(a, b):
    for got, want in zip([x for split in a for x in split], [x for split in b for x in split], strict=True):
        np.testing.assert_array_equal(got, want)


def test_shapes_and_labels(digits):
    for (x, y), n in zip(digits, (4000, 1000), strict=True):
        assert x.shape == (n, 28, 28) and x.dtype == np.uint8
        assert y.shape == (n,) and y.dtype == np.uint8
        assert np.bincount(y).tolist() == [n // 10] * 10
        assert len(set(y[:100])) == 10  # shuffled


def test_look(digits):
    """Ink in the middle of the image, as wide and as bright as MNIST's; no image is blank or filled."""
    x = digits[0][0].astype(float) / 255
    ink = x.sum((1, 2))
    assert ink.min() > 5 and ink.max() < 350 and 80 < ink.mean() < 120
    assert x.max((1, 2)).min() > 0.1 and np.mean(x.max((1, 2)) == 1) > 0.9
    at = np.arange(28)
    for axis in (1, 2):
        centre = (x.sum(3 - axis) @ at) / ink
        assert abs(centre.mean() - 14) < 0.2 and np.quantile(np.abs(centre - 14), 0.99) < 3.5
    extent = np.maximum((x.max(1) > 0).sum(1), (x.max(2) > 0).sum(1))
    assert 19 < extent.mean() < 21 and extent.max() <= 24
    assert 0.75 < np.mean(x == 0) < 0.9


def test_images_of_a_digit_resemble_each_other(digits):
    """A nearest-mean classifier already does far better than chance (0.1), and the images are all different."""
    (x, y), (x_test, y_test) = digits
    means = np.stack([x[y == d].reshape(-1, 784).mean(0) for d in range(10)])
    nearest = ((x_test.reshape(-1, 1, 784) - means) ** 2).sum(2).argmin(1)
    assert np.mean(nearest == y_test) > 0.5
    assert len({image.tobytes() for image in np.concatenate([x, x_test])}) == 5000


def test_repeats(digits):
    assert_same(digits28.load_data(4000, 1000, cache=False), digits)
    (x, y), (x_test, _) = digits28.load_data(1234, 0, cache=False)  # fewer are the first of more
    np.testing.assert_array_equal(x, digits[0][0][:1234])
    np.testing.assert_array_equal(y, digits[0][1][:1234])
    assert x_test.shape == (0, 28, 28)
    other = digits28.load_data(1000, 0, seed=1, cache=False)[0]
    assert np.mean(other[1] == y[:1000]) < 0.2 and (other[0] != x[:1000]).any((1, 2)).all()


def test_stream_is_kept(digits):
    """If this fails, other images come out than in earlier releases: raise digits28._VERSION, then adapt it."""
    (x, y), _ = digits
    assert digits28._VERSION == 1
    assert y[:10].tolist() == [2, 3, 7, 7, 3, 2, 3, 1, 7, 4]
    np.testing.assert_allclose(x[:1000].mean(), 32.0839, atol=0.01)  # grey levels may differ by 1 between processors


def test_cache(digits, monkeypatch):
    made = digits28.load_data(300, 100)
    (file,) = (cache_dir() / "digits28").iterdir()
    monkeypatch.setattr(digits28, "_draw_set", None)  # not drawn again
    assert_same(digits28.load_data(300, 100), made)
    np.testing.assert_array_equal(made[0][0], digits[0][0][:300])
    assert all(array.flags.writeable for split in digits28.load_data(300, 100) for array in split)
    assert file.suffix == ".npz"


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "folder"])
def test_damaged_cache_is_drawn_again(damage):
    made = digits28.load_data(30, 10)
    (file,) = (cache_dir() / "digits28").iterdir()
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "other":
        np.savez(file, x_train=made[1][0])
    else:
        half = len(whole) // 2
        flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        file.write_bytes({"empty": b"", "cut": whole[:half], "flipped": flipped}[damage])
    assert_same(digits28.load_data(30, 10), made)
    if damage != "folder":
        assert len(file.read_bytes()) == len(whole)
        assert_same(digits28.load_data(30, 10), made)
    assert list(file.parent.iterdir()) == [file]  # no temporary file stays


def test_cache_folder_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert digits28.load_data(20, 10)[0][0].shape == (20, 28, 28)


def test_no_cache_writes_nothing(tmp_path):
    digits28.load_data(20, 10, cache=False)
    assert not list(tmp_path.iterdir())


def test_silent_without_terminal(capfd):
    digits28.load_data(20, 10, cache=False)
    digits28.load_data(20, 10, cache=False, verbose=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["n_train", "n_test", "seed"])
def test_bad_arguments(name):
    with pytest.raises(ValueError, match=f"digits28.load_data: expected {name} >= 0, got -1"):
        digits28.load_data(**{name: -1})
    for value in (1.5, "10", None, True):
        with pytest.raises(TypeError, match=f"digits28.load_data: expected {name} to be an integer, got {value!r}"):
            digits28.load_data(**{name: value})


def test_styles():
    """Points keep to the box and are evenly spaced within a stroke; each digit has several styles."""
    table = _strokes.styles()
    assert np.all(np.diff(table.upto) > 0) and np.bincount(np.ceil(table.upto).astype(int))[1:].min() >= 3
    points = table.points @ table.controls
    step = np.linalg.norm(table.velocity @ table.controls, axis=2)
    np.testing.assert_allclose(table.points.sum(2), 1, atol=1e-5)  # moving all control points moves the points as much
    np.testing.assert_allclose(table.velocity.sum(2), 0, atol=1e-5)
    assert points.min() > -0.1 and points.max() < 1.1
    np.testing.assert_allclose(step, step[:, :1].repeat(step.shape[1], 1), rtol=1e-4)
    gaps = np.linalg.norm(np.diff(points, axis=1), axis=2)
    assert np.mean(np.abs(gaps / step[:, 1:] - 1) < 0.1) > 0.9  # all but corners and lifts of the pen


@pytest.mark.slow
def test_a_network_learns_mnist_from_them():
    """The small convolutional network, trained on these digits alone, reads 80 % of the real MNIST test set."""
    if not os.path.isdir(os.path.join(os.environ.get("DLCORE_DATA_HOME", ""), "mnist")):
        pytest.skip("DLCORE_DATA_HOME names no folder with mnist/ in it")
    from dlcore.layers import Conv2D, Dense, Flatten, MaxPooling2D
    from dlcore.models import Sequential
    from dlcore.optimizers import Adam

    began = time.process_time()
    (x, y), _ = digits28.load_data(cache=False)
    assert time.process_time() - began < 10
    _, (x_test, y_test) = mnist.load_data()

    model = Sequential(
        [
            Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=Adam(0.001), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[..., None].astype("float32") / 255, y, batch_size=128, epochs=5, verbose=0)
    probabilities = model.predict(x_test[..., None].astype("float32") / 255, verbose=0)
    assert np.mean(probabilities.argmax(1) == y_test) >= 0.80
