"""Augmentation layers: Keras' conventions, statistics over many samples, gradients, and nothing outside training."""

import json

import numpy as np
import pytest
from graphs import differentiate, gathers, run
from harness import same_bits, uniform
from layer_twins import resized

import dlcore
from dlcore import Sequential, layers, ops, utils
from dlcore.layers.trace import tracing
from dlcore.ops.data import gather
from dlcore.optimizers import SGD

F32 = np.float32


def grid(n=1, h=5, w=5):
    """Images whose pixels are different whole numbers."""
    return np.tile(np.arange(h * w, dtype=F32).reshape(1, h, w, 1), (n, 1, 1, 1))


def trained(layer, x):
    """What training makes of x at its first step."""
    layer._drawn = 0
    return layer(x, training=True)


# ---- conventions ----


def test_translation_above_0_is_down_and_to_the_right():
    x = grid()
    y = trained(layers.RandomTranslation((0.4, 0.4), (0.2, 0.2), "constant", fill_value=-1), x)[0, :, :, 0]
    assert (y[:2] == -1).all() and (y[:, 0] == -1).all()
    np.testing.assert_array_equal(y[2:, 1:], x[0, :3, :4, 0])
    for mode, row in (("reflect", [1, 0, 0, 1, 2]), ("wrap", [3, 4, 0, 1, 2]), ("nearest", [0, 0, 0, 1, 2])):
        y = trained(layers.RandomTranslation(0.0, (0.4, 0.4), mode), x)
        np.testing.assert_array_equal(y[0, 0, :, 0], row)


def test_a_quarter_turn_is_counter_clockwise():
    y = trained(layers.RandomRotation((0.25, 0.25), interpolation="nearest"), grid())
    np.testing.assert_array_equal(y[0, :, :, 0], np.rot90(grid()[0, :, :, 0]))
    y = trained(layers.RandomRotation((-0.25, -0.25)), grid())
    np.testing.assert_allclose(y[0, :, :, 0], np.rot90(grid()[0, :, :, 0], -1), atol=1e-5)


def test_zoom_above_0_is_out_and_without_a_width_it_is_the_same_for_both():
    x = grid(1, 9, 9)
    y = trained(layers.RandomZoom((1.0, 1.0), fill_mode="constant", fill_value=-1), x)[0, :, :, 0]
    np.testing.assert_array_equal(y[2:7, 2:7], x[0, ::2, ::2, 0])
    assert (y[:2] == -1).all() and (y[:, 7:] == -1).all()
    y = trained(layers.RandomZoom((-0.5, -0.5), (0.0, 0.0)), x)[0, :, :, 0]
    np.testing.assert_array_equal(y[::2], x[0, 2:7, :, 0])


@pytest.mark.parametrize("mode, turned", [
    ("horizontal", lambda x: x[:, :, ::-1]), ("vertical", lambda x: x[:, ::-1]),
    ("horizontal_and_vertical", lambda x: x[:, ::-1, ::-1]),
])  # fmt: skip
def test_a_flip_turns_half_of_the_samples(mode, turned):
    n = 1000
    x = uniform(n, 3, 4, 2)
    y = trained(layers.RandomFlip(mode, seed=3), x)
    flipped = (y == turned(x)).all(axis=(1, 2, 3))
    assert ((y == x).all(axis=(1, 2, 3)) ^ flipped).all()
    assert abs(flipped.mean() - 0.5) < 5 * 0.5 / n**0.5


@pytest.mark.parametrize("factor, low, high", [(0.3, 0.7, 1.3), ((0.1, 0.4), 0.9, 1.4)])
def test_contrast_is_about_the_mean_of_each_channel(factor, low, high):
    x = uniform(2000, 4, 3, 2) * 0.2 + [0.4, 0.6]
    y = trained(layers.RandomContrast(factor, (0, 1), seed=1), x)
    np.testing.assert_allclose(y.mean(axis=(1, 2)), x.mean(axis=(1, 2)), rtol=1e-5)
    f = y.std(axis=(1, 2)) / x.std(axis=(1, 2))
    np.testing.assert_allclose(f[:, 0], f[:, 1], rtol=1e-3)
    assert low - 1e-3 < f.min() < low + 0.01 and high - 0.01 < f.max() < high + 1e-3
    assert abs(f[:, 0].mean() - (low + high) / 2) < 0.02
    x = np.tile(np.array([0, 0, 0.1, 0.9], F32).reshape(1, 2, 2, 1), (50, 1, 1, 1))
    y = trained(layers.RandomContrast((0.0, 1.0), (0, 1)), x)
    assert y.min() == 0 and y.max() == 1


def test_brightness_is_a_share_of_the_range():
    x = np.full((2000, 2, 2, 3), 100, F32)
    shift = trained(layers.RandomBrightness((-0.1, 0.2), seed=1), x) - 100
    assert (shift == shift[:, :1, :1, :1]).all()
    shift = shift[:, 0, 0, 0]
    assert -25.5 <= shift.min() < -25 and 50.5 < shift.max() <= 51 and abs(shift.mean() - 12.75) < 3
    assert (trained(layers.RandomBrightness((-1, -1)), x) == 0).all()
    assert (trained(layers.RandomBrightness((0.5, 0.5), [1, -1]), x / 255) == 1).all()


def test_crop_is_anywhere_in_training_and_in_the_middle_otherwise():
    x = grid(3000, 6, 5)
    layer = layers.RandomCrop(4, 3, seed=1)
    first = trained(layer, x)[:, 0, 0, 0].astype(int)
    counts = np.bincount(first, minlength=15)
    assert set(np.flatnonzero(counts)) == {0, 1, 2, 5, 6, 7, 10, 11, 12}
    assert counts[counts > 0].min() > 250
    np.testing.assert_array_equal(layer(x[:2]), x[:2, 1:5, 1:4])
    assert layer(gather("x", (6, 5, 1))).shape == layer(gather("x", (6, 5, 1)), training=True).shape == (None, 4, 3, 1)


def test_crop_of_smaller_images_resizes_their_largest_middle_part():
    x = uniform(2, 6, 9, 3)
    for training in (False, True):
        y = layers.RandomCrop(12, 12)(x, training=training)
        np.testing.assert_allclose(y, resized("bilinear", 12, 12)(x[:, :, 1:7])[0], atol=1e-6)


# ---- what all of them do ----

TABLE = [
    ("RandomFlip", dict(mode="horizontal")),
    ("RandomFlip", dict()),
    ("RandomTranslation", dict(height_factor=0.3, width_factor=(-0.2, 0.5))),
    ("RandomTranslation", dict(height_factor=(0.1, 0.2), width_factor=0, fill_mode="constant", fill_value=0.5)),
    ("RandomRotation", dict(factor=0.2)),
    ("RandomRotation", dict(factor=(-0.1, 0.4), fill_mode="wrap", interpolation="nearest")),
    ("RandomZoom", dict(height_factor=(-0.4, 0.3))),
    ("RandomZoom", dict(height_factor=0.2, width_factor=(0.1, 0.3), fill_mode="nearest")),
    ("RandomContrast", dict(factor=0.4, value_range=(-0.8, 0.8))),
    ("RandomBrightness", dict(factor=(-0.3, 0.2), value_range=(-1, 1))),
    ("RandomCrop", dict(height=4, width=3)),
    ("RandomCrop", dict(height=9, width=9)),
]
cases = pytest.mark.parametrize("name, arguments", TABLE, ids=[f"{r[0]}-{i}" for i, r in enumerate(TABLE)])


@cases
def test_outside_training_nothing_happens_and_in_training_each_sample_is_its_own(name, arguments):
    x = np.repeat(uniform(1, 6, 7, 2), 20, axis=0)
    layer = getattr(layers, name)(**arguments, seed=3)
    y = trained(layer, x)
    assert same_bits(y, trained(getattr(layers, name)(**arguments, seed=3), x))
    if name != "RandomCrop":
        np.testing.assert_array_equal(layer(x), x)
        assert not np.array_equal(y, x)
    if arguments.get("height") != 9:
        assert len({sample.tobytes() for sample in y}) > 1
        assert not np.array_equal(y, trained(getattr(layers, name)(**arguments, seed=4), x))


@cases
def test_gradients(name, arguments):
    """The change of the loss along a direction, by differences; the draws do not depend on the values."""
    layer, x = getattr(layers, name)(**arguments, seed=3), uniform(5, 6, 7, 2)
    shape = trained(layer, x).shape
    t, v = uniform(*shape, seed=1), uniform(*x.shape, seed=2)
    a, b = gathers(x=x, t=t)
    dx = run(differentiate(ops.mean_squared_error(b, layer(a, training=True)), [a]), {"x": x, "t": t}, threads=2)[0]
    loss = lambda x: np.square(trained(layer, x).astype(np.float64) - t).mean()  # noqa: E731
    h = 2.0**-9
    slope = (loss(x + F32(h) * v) - loss(x - F32(h) * v)) / (2 * h)
    assert np.vdot(np.float64(dx), v) == pytest.approx(slope, rel=5e-3, abs=1e-5)


@cases
def test_configuration_makes_the_same_layer(name, arguments):
    for seed in (None, 3):
        layer = getattr(layers, name)(**arguments, seed=seed, name="mine")
        config = json.loads(json.dumps(layer.get_config()))
        again = type(layer).from_config(config)
        assert again.get_config() == config == layer.get_config() and again.name == "mine"
        assert isinstance(layer._stream, int) and (again._stream == layer._stream) == (seed is not None)


@cases
def test_uses_of_a_layer_draw_their_own_numbers(name, arguments):
    if arguments.get("height") == 9:
        return  # draws none
    layer, x = getattr(layers, name)(**arguments, seed=3), uniform(9, 6, 7, 2)
    (a,) = gathers(x=x)
    with tracing(True):
        first, second = run([layer(a), layer(a)], {"x": x})
    assert same_bits(first, trained(layer, x)) and not np.array_equal(first, second)
    assert not np.array_equal(first, layer(x, training=True))  # the second call on arrays
    again = trained(getattr(layers, name)(**arguments, seed=3), x)
    assert same_bits(first, again)


def weights_after(threads):
    utils.set_random_seed(4)
    change = [layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1), layers.RandomRotation(0.1),
              layers.RandomZoom(0.2), layers.RandomContrast(0.2, (-1, 1)), layers.RandomBrightness(0.2, (-1, 1)),
              layers.RandomCrop(7, 7)]  # fmt: skip
    model = Sequential([layers.Input((8, 9, 3)), *change, layers.Conv2D(4, 3), layers.RandomFlip(), layers.Flatten(),
                        layers.Dense(3)])  # fmt: skip
    model.compile(SGD(0.1), "mse")
    with dlcore.threads(threads):
        model.fit(uniform(50, 8, 9, 3), uniform(50, 3), batch_size=16, epochs=2, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])


def test_the_global_seed_makes_a_fit_repeatable_on_any_number_of_threads():
    first = weights_after(1)
    assert np.isfinite(first).all() and all(same_bits(first, weights_after(threads)) for threads in (1, 2, 3))


# ---- mistakes ----

FACTOR = r"must be a number in \[-1, 1\], or two. Received: "


@pytest.mark.parametrize("name, arguments, message", [
    ("RandomFlip", dict(mode="diagonal"), r"me: mode must be one of \('horizontal', .*Received: mode='diagonal'"),
    ("RandomFlip", dict(seed="a"), "me: seed must be a whole number or None. Received: seed='a'"),
    ("RandomFlip", dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("RandomTranslation", dict(height_factor=2, width_factor=0), f"me: height_factor {FACTOR}height_factor=2"),
    ("RandomTranslation", dict(height_factor=0, width_factor="a"), f"me: width_factor {FACTOR}width_factor='a'"),
    ("RandomTranslation", dict(height_factor=0, width_factor=(0, 1, 0)), f"me: width_factor {FACTOR}width_factor="),
    ("RandomTranslation", dict(height_factor=0, width_factor=0, fill_mode="mirror"), "me: fill_mode must be one of"),
    ("RandomTranslation", dict(height_factor=0, width_factor=0, fill_value="a"), "me: fill_value must be a number"),
    ("RandomRotation", dict(factor=(0, 1.5)), f"me: factor {FACTOR}factor="),
    ("RandomRotation", dict(factor=0.1, interpolation="cubic"), "me: interpolation must be one of"),
    ("RandomZoom", dict(height_factor=-1), r"me: height_factor must be a number in \(-1, 1\], or two. .*=-1"),
    ("RandomZoom", dict(height_factor=0, width_factor=True), r"me: width_factor must be a number in \(-1, 1\]"),
    ("RandomContrast", dict(factor=-0.1), r"me: factor must be a number in \[0, 1\], or two. Received: factor=-0.1"),
    ("RandomContrast", dict(factor=0.1, value_range=3), "me: value_range must be two numbers. Received: value_range=3"),
    ("RandomBrightness", dict(factor=1.1), f"me: factor {FACTOR}factor=1.1"),
    ("RandomCrop", dict(height=0, width=3), "me: height must be a positive whole number. Received: height=0"),
    ("RandomCrop", dict(height=3, width=2.5), "me: width must be a positive whole number. Received: width=2.5"),
])  # fmt: skip
def test_refuses_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")


@cases
def test_refuses_inputs_that_are_not_images(name, arguments):
    with pytest.raises(
        ValueError, match=r"me: expected .*\(batch, height, width, channels\). Received: \(None, 4, 3\)"
    ):
        getattr(layers, name)(**arguments, name="me")(gather("x", (4, 3)))
