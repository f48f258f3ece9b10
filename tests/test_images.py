"""Pictures from files and folders."""

import copy
import pickle

import numpy as np
import pytest
import reference as ref

from dlcore import layers, utils
from dlcore.ops.resize import INTERPOLATIONS

Image = pytest.importorskip("PIL.Image")


def picture(height, width, channels=3, seed=0):
    return np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, channels)).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes: 5 cats and 7 dogs of different sizes, in PNG; and files that are no pictures."""
    for name, count in (("cats", 5), ("dogs", 7)):
        for i in range(count):
            save(tmp_path / "data" / name / f"{i}.png", picture(6 + i, 9 - i, 3, seed=count))
    (tmp_path / "data/cats/notes.txt").write_text("no picture")
    (tmp_path / "data/.hidden").mkdir()
    return tmp_path / "data"


def read(folder, **arguments):
    usual = dict(image_size=(8, 6), batch_size=4, verbose=False)
    return utils.image_dataset_from_directory(folder, **(usual | arguments))


def test_batches_in_order(folder, capsys):
    data = read(folder, shuffle=False, verbose=True)
    assert capsys.readouterr().out == "Found 12 files belonging to 2 classes.\n"
    assert data.class_names == ["cats", "dogs"] and len(data) == data.num_batches == 3
    assert data.file_paths == [str(folder / "cats" / f"{i}.png") for i in range(5)] + [
        str(folder / "dogs" / f"{i}.png") for i in range(7)
    ]
    images, labels = zip(*data, strict=True)
    assert [x.shape for x in images] == [(4, 8, 6, 3)] * 3 and images[0].dtype == np.float32
    assert labels[0].dtype == np.int32
    np.testing.assert_array_equal(np.concatenate(labels), [0] * 5 + [1] * 7)
    taps = INTERPOLATIONS["bilinear"]
    for i, x in enumerate(images[0]):
        given = picture(6 + i, 9 - i, 3, seed=5)
        expected = ref.resample(given[None], taps(6 + i, 8), taps(9 - i, 6))[0]
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-3)
    data.on_epoch_end()
    np.testing.assert_array_equal(data[0][0], images[0])
    np.testing.assert_array_equal(data[-1][0], images[2])
    with pytest.raises(IndexError, match="batch 3 of 3"):
        data[3]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("aspect", [{}, {"crop_to_aspect_ratio": True}])
def test_sizes_are_those_of_the_layer(folder, interpolation, aspect):
    x = read(folder, shuffle=False, interpolation=interpolation, batch_size=1, **aspect)[3][0]
    given = picture(9, 6, 3, seed=5)[None].astype(np.float32)
    expected = layers.Resizing(8, 6, interpolation, **aspect)(given)
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-3)
    small = read(folder, shuffle=False, interpolation=interpolation, batch_size=1, dtype="uint8", **aspect)[3][0]
    assert small.dtype == np.uint8
    np.testing.assert_allclose(small, expected.clip(0, 255), atol=0.51)


@pytest.mark.parametrize("size, inner, corner", [
    ((8, 20), (8, 5), (0, 7)), ((9, 3), (4, 3), (2, 0)), ((9, 6), (9, 6), (0, 0)), ((3, 40), (3, 2), (0, 19)),
])  # fmt: skip
def test_padded_images_are_resized_first(folder, size, inner, corner):
    x = read(folder, shuffle=False, batch_size=1, pad_to_aspect_ratio=True, image_size=size)[3][0][0]
    expected = np.zeros((*size, 3))
    (top, left), (height, width) = corner, inner
    given = picture(9, 6, 3, seed=5)[None].astype(np.float32)
    expected[top : top + height, left : left + width] = layers.Resizing(*inner)(given)[0]
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-3)


def test_kinds_of_labels_and_colours(folder):
    x, y = read(folder, label_mode="binary", color_mode="grayscale", shuffle=False)[1]
    assert x.shape == (4, 8, 6, 1) and y.dtype == np.float32
    np.testing.assert_array_equal(y, [[0], [1], [1], [1]])
    x, y = read(folder, label_mode="categorical", color_mode="rgba", class_names=["dogs", "cats"], shuffle=False)[1]
    assert x.shape == (4, 8, 6, 4) and (x[..., 3] == 255).all() and y.dtype == np.float32
    np.testing.assert_array_equal(y, [[1, 0], [1, 0], [1, 0], [0, 1]])
    for without in (dict(label_mode=None), dict(labels=None)):
        data = read(folder, shuffle=False, **without)
        assert data[0].shape == (4, 8, 6, 3) and data.class_names is None
    data = read(folder, labels=list(range(12)), shuffle=False, image_size=5)
    np.testing.assert_array_equal(data[2][1], [8, 9, 10, 11])
    assert data.class_names == [str(i) for i in range(12)] and data[0][0].shape == (4, 5, 5, 3)
    only = read(folder, class_names=["dogs"], shuffle=False)
    assert len(only.file_paths) == 7


def test_shuffling_splits_and_seeds(folder):
    whole = read(folder, seed=7)
    expected = sorted(whole.file_paths)
    np.random.RandomState(7).shuffle(expected)  # as Keras does it, so that a seed splits alike
    assert whole.file_paths == expected
    train, test = read(folder, seed=7, validation_split=0.25, subset="both")
    assert train.file_paths + test.file_paths == whole.file_paths and len(test.file_paths) == 3
    assert read(folder, seed=7, validation_split=0.25, subset="training").file_paths == train.file_paths
    assert read(folder, seed=7, validation_split=0.25, subset="validation").file_paths == test.file_paths
    orders = []
    for _ in range(3):
        orders.append(np.concatenate([y for _, y in train]).tolist())
        train.on_epoch_end()
    assert orders[0] == ["dogs" in path for path in train.file_paths]
    assert len({tuple(order) for order in orders}) > 1 and len({sum(order) for order in orders}) == 1
    again = read(folder, seed=7, validation_split=0.25, subset="training")
    again.on_epoch_end()
    for other in (pickle.loads(pickle.dumps(again)), copy.deepcopy(again)):
        np.testing.assert_array_equal(other[0][1], again[0][1])
    assert np.concatenate([y for _, y in again]).tolist() == orders[1]
    utils.set_random_seed(1)
    first = read(folder).file_paths
    utils.set_random_seed(1)
    assert read(folder).file_paths == first != sorted(first)


def test_no_bias_when_nothing_is_held_back(folder):
    data = read(folder, validation_split=0.01, subset="training", seed=0)
    assert len(data.file_paths) == 12  # Keras drops all of them


def test_a_broken_file_is_named(folder):
    (folder / "cats/3.png").write_bytes((folder / "cats/3.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"cats/3.png: not an image that can be read: "):
        read(folder, shuffle=False)[0]
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(folder / "cats/3.png")
    with pytest.raises(ValueError, match=r"cats/3.png: .*expected 8 bits a channel. Received: mode I;16"):
        read(folder, shuffle=False)[0]


REFUSED = [
    (dict(labels="folders"), "labels must be 'inferred', None or a list of class numbers. Received: labels='folders'"),
    (dict(labels=[0, 1]), "labels must have one entry for each of 12 files. Received: 2"),
    (dict(labels=[0.5] * 12), "labels must hold class numbers"),
    (dict(labels=[7] * 12, label_mode="categorical"), r"labels must be 0 to 0, as there are 1. Received: \['7'\]"),
    (dict(labels=[0] * 12, class_names=["a"]), "class_names must be None unless labels='inferred'"),
    (dict(label_mode="one_hot"), "label_mode must be one of .*label_mode='one_hot'"),
    (dict(label_mode="binary", class_names=["cats"]), r"label_mode='binary' needs two classes. Received: \['cats'\]"),
    (dict(class_names=["cows"]), r"class_names must be folders in .* which has \['cats', 'dogs'\]. .*\['cows'\]"),
    (dict(color_mode="bgr"), "color_mode must be one of .*color_mode='bgr'"),
    (dict(batch_size=0), "batch_size must be a positive whole number. Received: batch_size=0"),
    (dict(image_size=(3, 0)), r"image_size must be \(height, width\).*image_size=\(3, 0\)"),
    (dict(image_size=(3,)), r"image_size must be \(height, width\).*image_size=\(3,\)"),
    (dict(validation_split=1.5, subset="both", seed=1), "validation_split must lie between 0 and 1. .*=1.5"),
    (dict(validation_split=0.5, seed=1), "validation_split and subset must be given together. .*subset=None"),
    (dict(subset="training"), "validation_split and subset must be given together. .*validation_split=None"),
    (dict(validation_split=0.5, subset="test", seed=1), "subset must be 'training', .*Received: subset='test'"),
    (dict(validation_split=0.5, subset="both"), "validation_split with shuffle needs a seed"),
    (dict(validation_split=0.01, subset="both", seed=1), "no validation images"),
    (dict(interpolation="area"), "interpolation must be one of .*interpolation='area'"),
    (dict(crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "crop_to_aspect_ratio and .* must not both be set"),
    (dict(data_format="channels_first"), "data_format must be one of .*'channels_first'"),
    (dict(format="zip"), "format must be one of .*format='zip'"),
    (dict(dtype="int8"), "dtype must be one of .*dtype='int8'"),
]


@pytest.mark.parametrize("arguments, message", REFUSED)
def test_refuses_arguments(folder, arguments, message):
    with pytest.raises(ValueError, match=f"image_dataset_from_directory: {message}"):
        read(folder, **arguments)


def test_refuses_folders(folder):
    with pytest.raises(FileNotFoundError, match=r"directory must be a folder. Received: directory='.*nowhere'"):
        read(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no images of \('.bmp', .*empty"):
        read(folder / "empty")


def test_load_img(tmp_path):
    pixels = picture(6, 9)
    save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(tmp_path / "a.png")), pixels)
    grey = utils.img_to_array(utils.load_img(tmp_path / "a.png", "grayscale"))
    luma = pixels @ [0.299, 0.587, 0.114]
    assert grey.shape == (6, 9, 1) and abs(grey[..., 0] - luma).max() < 1.01
    assert utils.load_img(tmp_path / "a.png", "rgba").mode == "RGBA"
    assert utils.load_img(tmp_path / "a.png", target_size=(3, 4), interpolation="lanczos").size == (4, 3)
    kept = utils.load_img(tmp_path / "a.png", target_size=(6, 6), keep_aspect_ratio=True)
    np.testing.assert_array_equal(np.asarray(kept), pixels[:, 1:7])
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    assert (utils.img_to_array(utils.load_img(tmp_path / "deep.png", "grayscale")) == 40000).all()
    for call, message in [
        (lambda: utils.load_img(tmp_path / "a.png", "hsv"), "load_img: color_mode must be one of .*'hsv'"),
        (lambda: utils.load_img(tmp_path / "a.png", interpolation="area"), "load_img: interpolation must be .*'area'"),
        (lambda: utils.load_img(tmp_path / "a.png", target_size=(0, 1)), r"load_img: target_size must be .*\(0, 1\)"),
        (lambda: utils.img_to_array(np.zeros(3)), r"img_to_array: expected a picture .*shape \(3,\)"),
        (lambda: utils.img_to_array(pixels, "channels_first"), "img_to_array: data_format must be 'channels_last'"),
        (lambda: utils.array_to_img(np.zeros((2, 2))), r"array_to_img: expected an array .*shape \(2, 2\)"),
        (lambda: utils.array_to_img(np.zeros((2, 2, 5))), r"array_to_img: expected an array .*shape \(2, 2, 5\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_arrays_and_pictures(tmp_path, channels, mode):
    pixels = picture(5, 7, channels)
    image = utils.array_to_img(pixels, scale=False)
    assert image.mode == mode
    np.testing.assert_array_equal(utils.img_to_array(image, dtype="uint8"), pixels)
    x = np.linspace(-1, 3, 35 * channels).reshape(5, 7, channels)
    np.testing.assert_allclose(utils.img_to_array(utils.array_to_img(x)), (x + 1) / 4 * 255, atol=1.001)  # cut off
    utils.save_img(tmp_path / "b.png", pixels, scale=False)
    names = {1: "grayscale", 3: "rgb", 4: "rgba"}
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(tmp_path / "b.png", names[channels])), pixels)


def test_odd_arrays(tmp_path):
    assert utils.array_to_img(np.full((2, 2, 1), 300.0), scale=False).mode == "I"
    assert (utils.img_to_array(utils.array_to_img(np.full((2, 2, 3), 7.0))) == 0).all()
    with pytest.warns(UserWarning, match="JPEG has no alpha channel"):
        utils.save_img(tmp_path / "c.jpg", picture(4, 4, 4))
    assert utils.load_img(tmp_path / "c.jpg").size == (4, 4)


def test_normalize():
    x = np.float32([[3, 4], [0, 0], [0, 5]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0, 0], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(utils.normalize(x, axis=0, order=1), [[1, 4 / 9], [0, 0], [0, 5 / 9]], rtol=1e-6)
