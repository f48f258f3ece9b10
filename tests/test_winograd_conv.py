"""Which convolutions go through Winograd's domain, and that models are the same whichever way they go."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference as ref
from graphs import gathers, loss_and_gradients
from harness import uniform

import dlcore
from dlcore import config, layers, ops
from dlcore.kernels import simd
from dlcore.ops import conv_algorithm as conv
from dlcore.ops.base import Parameter

ONE = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
DIRECTIONS = conv.FORWARD, conv.INPUT_GRADIENT, conv.WEIGHT_GRADIENT


@pytest.fixture(autouse=True)
def unchanged():
    before = conv._forced, config.get_precision()
    yield
    conv._forced = before[0]
    config.set_precision(before[1])


def chosen(kh, kw, ic, oc, size=(16, 16), **other):
    """The algorithms of the three directions, where the images that are read and written have the same size."""
    shapes = (None, *size, ic), (kh, kw, ic, oc), (None, *size, oc)
    return [conv.algorithm(direction, *shapes, ONE | other) for direction in DIRECTIONS]


TWO, BOTH, FOUR = ([f"winograd{form}"] * 2 + ["winograd4x2"] for form in ("2x2", "4x2", "4x4"))


def none_by_winograd(found):
    return not any(name.startswith("winograd") for name in found)


def test_many_channels_go_by_winograd():
    assert chosen(3, 3, 64, 64) == BOTH
    assert chosen(3, 3, 64, 64, size=(6, 8)) == chosen(3, 3, 64, 64, size=(2, 8)) == TWO  # 4x2 hang over
    config.set_precision("fast")
    assert chosen(3, 3, 64, 64) == chosen(3, 3, 64, 64, size=(7, 7)) == FOUR
    assert chosen(3, 3, 64, 64, size=(8, 6)) == chosen(3, 3, 64, 64, size=(4, 4)) == BOTH  # and so would those of 4x4


@pytest.mark.parametrize("isa", simd.usable())
def test_a_vector_of_channels_is_enough(isa):
    with simd.use(isa):
        assert chosen(3, 3, 16, 16) == chosen(3, 3, 12, 24) == BOTH
        assert none_by_winograd(chosen(3, 3, 7, 64) + chosen(3, 3, 64, 7))


def test_weights_of_small_images_take_the_whole_batch_at_once():
    assert chosen(3, 3, 64, 64, size=(2, 2)) == ["winograd2x2", "winograd2x2", "direct"]
    for size, sums in [(2, True), (16, True), (32, False)]:
        assert conv.outgrow((3, 3, 512, 512), (None, size, size, 512), (None, size, size, 512)) == sums
    assert chosen(3, 3, 512, 512, size=(4, 4)) == BOTH


def test_an_image_that_most_taps_miss_has_its_gradient_directly():
    assert chosen(3, 3, 64, 64, size=(1, 1))[1] == "direct"


@pytest.mark.parametrize("forced", ["auto", *conv.TILES])
def test_what_winograd_cannot_do_goes_another_way(forced):
    conv._forced = forced
    for other in (dict(strides=(2, 1)), dict(dilation=(1, 2)), dict(groups=2)):
        assert none_by_winograd(chosen(3, 3, 64, 64, **other))
    assert none_by_winograd(chosen(5, 5, 64, 64) + chosen(1, 1, 64, 64) + chosen(1, 3, 64, 64))


@pytest.mark.parametrize("forced, expected", list(zip(conv.TILES, (TWO, BOTH, FOUR), strict=True)))
def test_one_algorithm_can_be_forced(forced, expected):
    conv._forced = forced
    assert chosen(3, 3, 64, 64) == chosen(3, 3, 1, 2) == expected
    conv._forced = "direct"
    assert none_by_winograd(chosen(3, 3, 64, 64))


def python(code, **environ):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environ}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tempfile.gettempdir(), env=env, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("variable, known", [
    ("DLCORE_CONV", "one of auto, direct, winograd2x2, winograd4x2, winograd4x4"),
    ("DLCORE_PRECISION", "one of default, fast"),
])  # fmt: skip
def test_the_environment_is_checked(variable, known):
    done = python("import dlcore", **{variable: "best"})
    assert f"ImportError: {variable} must be {known}. Received: 'best'" in done.stderr
    show = "from dlcore import config, ops; print(ops.conv_algorithm._forced, config.get_precision())"
    done = python(show, DLCORE_CONV="winograd2x2", DLCORE_PRECISION="fast")
    assert done.stdout.split() == ["winograd2x2", "fast"]


def test_precision_is_checked_and_shown():
    with pytest.raises(ValueError, match=r"precision must be one of default, fast. Received: 'slow'"):
        config.set_precision("slow")
    config.set_precision("fast")
    assert config.config()["precision"] == "fast"


def network(normalize):
    """Convolutions alone, with ReLU, with pooling of both kinds, with zeros around and, perhaps, with normalisation."""
    return dlcore.Sequential(
        [
            layers.Input((13, 12, 5)),
            layers.Conv2D(17, 3, padding="same", activation="relu"),
            *([layers.BatchNormalization()] if normalize else []),
            layers.ZeroPadding2D(1),
            layers.Conv2D(9, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(33, 3, padding="same"),
            layers.MaxPooling2D(3),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("forced, tolerance", list(zip(conv.TILES, (2e-5, 2e-5, 1e-4), strict=True)))
def test_a_model_is_the_same_whichever_way_it_goes(forced, tolerance, normalize):
    x, y = uniform(10, 13, 12, 5), np.arange(10, dtype=np.int32) % 4
    found = []
    for way in ("direct", forced):
        conv._forced = way
        dlcore.utils.set_random_seed(1)
        model = network(normalize)
        model.compile("sgd", "sparse_categorical_crossentropy")
        losses = [model.train_on_batch(x, y) for _ in range(3)]
        found.append([np.array(losses), model.predict(x, verbose=0), *model.get_weights()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_tiles_of_4x2_round_about_as_much_as_the_direct_way():
    x, w = uniform(4, 16, 16, 64), uniform(3, 3, 64, 32, seed=1)
    expected, error = ref.conv2d(x, w, None, *ONE.values()), {}
    for way in ("direct", *conv.TILES):
        conv._forced = way
        model = dlcore.Sequential([layers.Input(x.shape[1:]), layers.Conv2D(32, 3, padding="same", use_bias=False)])
        model.set_weights([w])
        error[way] = np.sqrt(np.mean((model.predict(x, verbose=0) - expected) ** 2))
    most = {"winograd2x2": 1.0, "winograd4x2": 1.5, "winograd4x4": 3.0}
    assert {way for way, limit in most.items() if error[way] > limit * error["direct"]} == set(), error


@pytest.mark.parametrize("pool", [False, True])
def test_gradients_against_finite_differences(pool):
    conv._forced = "winograd4x2"
    images, one = uniform(3, 6, 5, 2), ((1, 1), (1, 1))
    w, b = (Parameter(shape, uniform(*shape, seed=1), "w") for shape in ((3, 3, 2, 3), (3,)))

    def graph(x):
        y = ops.bias_add(ops.conv2d(x, w, padding=one), b)
        y = ops.max_pool2d(y, (2, 2), (2, 2)) if pool else y
        return ops.sum(ops.square(y), axis=(1, 2, 3))

    def slow(x, w, b):
        y = ref.conv2d(x, w, b, padding=one)
        y = ref.max_pool2d(y, (2, 2), (2, 2))[0] if pool else y
        return (y**2).sum(axis=(1, 2, 3)).mean()

    (x,) = gathers(x=images)
    got = loss_and_gradients(lambda: [graph(x)], [x, w, b], {"x": images})[1:]
    for i, gradient in enumerate(got):
        arrays = [images.astype(np.float64), w.numpy().astype(np.float64), b.numpy().astype(np.float64)]
        for at in list(np.ndindex(gradient.shape))[::5]:
            ends = []
            for step in (1e-5, -1e-5):
                moved = [a.copy() for a in arrays]
                moved[i][at] += step
                ends.append(slow(*moved))
            np.testing.assert_allclose(gradient[at], (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-4)


def test_a_model_that_was_used_follows_the_precision():
    conv2d = layers.Conv2D(32, 3, padding="same", activation="relu")
    model, x = dlcore.Sequential([layers.Input((24, 24, 16)), conv2d]), uniform(5, 24, 24, 16)
    exact = model.predict(x)
    config.set_precision("fast")
    fast = model.predict(x)
    with ThreadPoolExecutor(3) as pool:  # predictors of their own
        for one in pool.map(model.predict, [x] * 6):
            np.testing.assert_array_equal(one, fast)
    config.set_precision("default")
    np.testing.assert_array_equal(model.predict(x), exact)
    np.testing.assert_array_equal(model.predict(x[:3]), exact[:3])
    assert not np.array_equal(fast, exact)
    np.testing.assert_allclose(fast, exact, rtol=1e-4, atol=1e-4)
