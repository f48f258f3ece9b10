"""Layers: what they refuse, names, weights, and those of the user. `test_layer_table.py` has what all do alike."""

import json

import numpy as np
import pytest
import reference as ref
from graphs import differentiate, gathers, run
from harness import uniform

from dlcore import activations, layers, ops, utils
from dlcore.layers import base
from dlcore.ops.data import gather


def make(name, arguments, shape, n=5):
    """A built layer with weights that are not zero, and an input."""
    layer, x = getattr(layers, name)(**arguments), uniform(n, *shape)
    layer(gather("x", shape))
    layer.set_weights([uniform(*w.shape, seed=i + 2) for i, w in enumerate(layer.weights)])
    return layer, x


CONV, POOL = dict(filters=4, kernel_size=3), dict(pool_size=2)
WHOLE = "must be a positive whole number. Received: "
REFUSED = [  # layer class, arguments, what the message says
    *[("Dense", dict(units=bad), f"me: units {WHOLE}units={bad!r}") for bad in (0, -1, 2.5, "5", None, True)],
    ("Dense", dict(units=3, activation="rel"), "activation: expected one of .*'relu'.* Received: 'rel'"),
    ("Dense", dict(units=3, kernel_initializer="gloro"), "initializer: expected one of .*Received: 'gloro'"),
    ("Dense", dict(units=3, input_dim=-2), r"me: input_dim must hold .*Received: input_dim=-2"),
    ("InputLayer", dict(shape=3.5), r"me: input_shape must hold positive whole numbers.*Received: input_shape=3.5"),
    ("InputLayer", dict(shape=(3,), dtype="folat32"), r"me: dtype must be 'float32'.*Received: dtype='folat32'"),
    ("Dense", dict(units=3, input_shape=(2, None)), r"me: input_shape must hold .*Received: input_shape=\(2, None\)"),
    ("Conv2D", CONV | dict(filters=0), f"me: filters {WHOLE}filters=0"),
    ("Conv2D", CONV | dict(kernel_size=(3, 0)), f"me: kernel_size {WHOLE}kernel_size=0"),
    ("Conv2D", CONV | dict(kernel_size=(3, 3, 3)), r"me: kernel_size must be one .* or two.*=\(3, 3, 3\)"),
    ("Conv2D", CONV | dict(strides=0), f"me: strides {WHOLE}strides=0"),
    ("Conv2D", CONV | dict(padding="full"), r"me: padding must be one of \('valid', 'same'\).*='full'"),
    ("Conv2D", CONV | dict(padding=1), r"me: padding must be one of \('valid', 'same'\). Received: padding=1"),
    ("Conv2D", CONV | dict(dilation_rate=(1, -1)), f"me: dilation_rate {WHOLE}dilation_rate=-1"),
    ("Conv2D", CONV | dict(groups=3), "me: filters must be a multiple of groups. Received: filters=4, groups=3"),
    ("Conv2D", CONV | dict(data_format="channels_first"), "me: data_format must be 'channels_last'.*='channels_first'"),
    ("Conv2D", CONV | dict(padding="causal"), r"me: padding must be one of \('valid', 'same'\).*='causal'"),
    ("Conv1D", CONV | dict(kernel_size=(3, 3)), r"me: kernel_size must be one whole number. Received: .*\(3, 3\)"),
    ("Conv1D", CONV | dict(padding="full"), r"me: padding must be one of \('valid', 'same', 'causal'\).*='full'"),
    ("DepthwiseConv2D", dict(kernel_size=3, depth_multiplier=0), f"me: depth_multiplier {WHOLE}depth_multiplier=0"),
    ("DepthwiseConv1D", dict(kernel_size=3, padding="causal"), r"me: padding must be one of \('valid', 'same'\)"),
    ("SeparableConv2D", CONV | dict(depth_multiplier=0), f"me: depth_multiplier {WHOLE}depth_multiplier=0"),
    ("SeparableConv1D", CONV | dict(filters=-1), f"me: filters {WHOLE}filters=-1"),
    ("Conv2DTranspose", CONV | dict(filters=1.5), f"me: filters {WHOLE}filters=1.5"),
    ("Conv2DTranspose", CONV | dict(strides=2, output_padding=(0, 2)),
     r"me: output_padding must be less than strides on every axis. Received: output_padding=\(0, 2\), strides=2"),
    ("Conv1DTranspose", CONV | dict(output_padding=-1),
     "me: output_padding must hold whole numbers of at least 0. Received: output_padding=-1"),
    ("MaxPooling2D", POOL | dict(pool_size=0), f"me: pool_size {WHOLE}pool_size=0"),
    ("MaxPooling2D", POOL | dict(pool_size=4097), "me: pool_size must not hold more than 16777216 .*pool_size=4097"),
    ("MaxPooling1D", POOL | dict(pool_size=(2, 2)), r"me: pool_size must be one whole number. .*pool_size=\(2, 2\)"),
    ("AveragePooling1D", POOL | dict(strides=0), f"me: strides {WHOLE}strides=0"),
    ("GlobalMaxPooling1D", dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("MaxPooling2D", POOL | dict(strides=(2,)), r"me: strides must be one .* or two. .*strides=\(2,\)"),
    ("AveragePooling2D", POOL | dict(padding="x"), "me: padding must be one of .* Received: padding='x'"),
    ("AveragePooling2D", POOL | dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("Reshape", dict(target_shape=(0, 2)), r"me: target_shape must hold positive .*Received: target_shape=\(0, 2\)"),
    ("Reshape", dict(target_shape=(-1, -1)), r"me: target_shape must hold .* one of which may be -1.*=\(-1, -1\)"),
    ("Permute", dict(dims=(1, 3)), r"me: dims must be the numbers from 1 on, each once. Received: dims=\(1, 3\)"),
    ("RepeatVector", dict(n=0), f"me: n {WHOLE}n=0"),
    ("ZeroPadding1D", dict(padding=-1), "me: padding must hold whole numbers that are not negative.*padding=-1"),
    ("ZeroPadding1D", dict(padding=(1, 1, 1)), r"me: padding must hold .* one or two.*padding=\(1, 1, 1\)"),
    ("ZeroPadding1D", dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("ZeroPadding2D", dict(padding=(1, -1)), "me: padding must hold .* not negative.*padding=-1"),
    ("ZeroPadding2D", dict(padding=(1, 2, 3)), r"me: padding must be one whole number, two, or two .*=\(1, 2, 3\)"),
    ("ZeroPadding2D", dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("Cropping1D", dict(cropping=1.5), "me: cropping must hold whole numbers .*cropping=1.5"),
    ("Cropping2D", dict(cropping=((1, 2), "a")), "me: cropping must hold whole numbers .*cropping='a'"),
    ("Cropping2D", dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("UpSampling1D", dict(size=0), f"me: size {WHOLE}size=0"),
    ("UpSampling2D", dict(size=(2, 0)), f"me: size {WHOLE}size=0"),
    ("UpSampling2D", dict(interpolation="lanczos3"), r"me: interpolation must be one of \('nearest', .*='lanczos3'"),
    ("Resizing", dict(height=0, width=2), f"me: height {WHOLE}height=0"),
    ("Resizing", dict(height=2, width=-1), f"me: width {WHOLE}width=-1"),
    ("Resizing", dict(height=2, width=2, interpolation="area"), "me: interpolation must be one of .*='area'"),
    ("Resizing", dict(height=2, width=2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
     "me: crop_to_aspect_ratio and pad_to_aspect_ratio must not both be set"),
    ("Resizing", dict(height=2, width=2, fill_mode="edge"), r"me: fill_mode must be one of \('constant',\).*='edge'"),
    ("Resizing", dict(height=2, width=2, antialias=True), "me: antialias must be False. Received: antialias=True"),
    ("Resizing", dict(height=2, width=2, data_format="channels_first"), "me: data_format must be 'channels_last'"),
    ("CenterCrop", dict(height="2", width=2), f"me: height {WHOLE}height='2'"),
    ("CenterCrop", dict(height=2, width=True), f"me: width {WHOLE}width=True"),
    ("Embedding", dict(input_dim=0, output_dim=2), f"me: input_dim {WHOLE}input_dim=0"),
    ("Embedding", dict(input_dim=3, output_dim=None), f"me: output_dim {WHOLE}output_dim=None"),
    ("Embedding", dict(input_dim=3, output_dim=2, mask_zero=True), "me: mask_zero must be False.*mask_zero=True"),
    ("Embedding", dict(input_dim=3, output_dim=2, weights=np.zeros((2, 3))), r"me/embeddings: expected shape \(3, 2\)"),
    ("Concatenate", dict(axis=0), "me: axis must be a whole number, and not 0, the batch. Received: axis=0"),
    ("Concatenate", dict(axis="a"), "me: axis must be a whole number.*axis='a'"),
    *[("Dropout", dict(rate=bad), r"me: rate must be a number in \[0, 1\). Received: ") for bad in (1, -1, "a", True)],
    ("InputLayer", dict(), "me: expected a shape. Received: shape=None"),
    ("InputLayer", dict(shape=(3, 0)), r"me: input_shape must hold positive whole numbers.*\(3, 0\)"),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, message", REFUSED, ids=lambda value: str(value)[:40])
def test_refuses_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")


UNFIT = [  # layer, shape of a sample it cannot take
    (lambda: layers.Dense(3, name="me"), (), r"me: expected .*\(batch, ..., features\).*Received: \(None,\)"),
    (lambda: layers.Conv2D(3, 2, name="me"), (4,), r"me: expected .*\(batch, height, width, channels\).*\(None, 4\)"),
    (lambda: layers.Conv2D(3, 5, name="me"), (4, 9, 1), r"me: .*a kernel of \(5, 5\).*\(None, 4, 9, 1\)"),
    (lambda: layers.Conv2D(4, 2, groups=2, name="me"), (4, 4, 3), r"me: .*multiple of groups=2.*\(None, 4, 4, 3\)"),
    (lambda: layers.Conv1D(3, 5, name="me"), (4, 4), r"me: .*a kernel of \(5,\).*\(None, 4, 4\)"),
    (lambda: layers.Conv1D(3, 5, name="me"), (4, 4, 4), r"me: expected .*\(batch, steps, channels\).*, 4, 4, 4\)"),
    (lambda: layers.DepthwiseConv2D(3, name="me"), (4,), r"me: expected .*\(batch, height, width, channels\).*, 4\)"),
    (lambda: layers.DepthwiseConv2D(3, name="me"), (4, 2, 1), r"me: .*a kernel of \(3, 3\).*\(None, 4, 2, 1\)"),
    (lambda: layers.SeparableConv1D(3, 3, name="me"), (2, 1), r"me: .*a kernel of \(3,\).*\(None, 2, 1\)"),
    (lambda: layers.Conv2DTranspose(3, 3, name="me"), (4, 4), r"me: expected .*\(batch, height, .*\(None, 4, 4\)"),
    (lambda: layers.Conv1DTranspose(3, 2, padding="same", strides=2, output_padding=0, name="me"), (1, 5),
     r"me: expected an input \(batch, steps, 5\) whose output is not empty. Received: \(None, 1, 5\)"),
    (lambda: layers.MaxPooling2D(name="me"), (4, 4), r"me: expected .*Received: \(None, 4, 4\)"),
    (lambda: layers.MaxPooling2D(3, name="me"), (2, 4, 1), r"me: .*\(3, 3\) fits into. .*\(None, 2, 4, 1\)"),
    (lambda: layers.Reshape((5,), name="me"), (4,), r"me: .* target_shape=\(5,\). Received: \(None, 4\)"),
    (lambda: layers.Permute((1, 2), name="me"), (4,), r"me: expected an input of rank 3 .*Received: \(None, 4\)"),
    (lambda: layers.RepeatVector(2, name="me"), (4, 4), r"me: expected .*\(batch, features\).*\(None, 4, 4\)"),
    (lambda: layers.ZeroPadding1D(name="me"), (4,), r"me: expected .*\(batch, steps, features\).*\(None, 4\)"),
    (lambda: layers.ZeroPadding2D(name="me"), (4, 4), r"me: expected .*\(batch, height, width, channels\)"),
    (lambda: layers.Cropping1D(2, name="me"), (4, 1), r"me: cropping must leave .*\(2, 2\), input \(None, 4, 1\)"),
    (lambda: layers.Cropping1D(name="me"), (4,), r"me: expected .*Received: \(None, 4\)"),
    (lambda: layers.Cropping2D(2, name="me"), (4, 5, 1), r"me: cropping must leave .*input \(None, 4, 5, 1\)"),
    (lambda: layers.Cropping2D(2, name="me"), (4, 5), r"me: expected .*Received: \(None, 4, 5\)"),
    (lambda: layers.UpSampling1D(name="me"), (4,), r"me: expected .*Received: \(None, 4\)"),
    (lambda: layers.UpSampling2D(name="me"), (4, 5), r"me: expected .*Received: \(None, 4, 5\)"),
    (lambda: layers.Resizing(2, 2, name="me"), (4, 5), r"me: expected .*Received: \(None, 4, 5\)"),
    (lambda: layers.CenterCrop(2, 2, name="me"), (4, 5), r"me: expected .*Received: \(None, 4, 5\)"),
    (lambda: layers.Concatenate(name="me"), (4, 5), r"me: expected a list of inputs. Received: <Tensor"),
    (lambda: layers.MaxPooling1D(name="me"), (4, 4, 2), r"me: expected .*\(batch, steps, channels\).*, 4, 4, 2\)"),
    (lambda: layers.AveragePooling1D(5, name="me"), (4, 2), r"me: .*\(5,\) fits into. .*\(None, 4, 2\)"),
    (lambda: layers.GlobalAveragePooling2D(name="me"), (4, 2), r"me: expected .*\(batch, height, .*\(None, 4, 2\)"),
    (lambda: layers.GlobalMaxPooling1D(name="me"), (4,), r"me: expected .*\(batch, steps, channels\).*\(None, 4\)"),
    (lambda: layers.AveragePooling2D(3, name="me"), (4, 2, 1), r"me: expected .*Received: \(None, 4, 2, 1\)"),
]  # fmt: skip


@pytest.mark.parametrize("layer, shape, message", UNFIT)
def test_refuses_inputs(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer()(gather("x", shape))


@pytest.mark.parametrize("layer, first, second", [
    (lambda: layers.Dense(3, name="me"), (4,), (5,)), (lambda: layers.Conv2D(3, 2, name="me"), (4, 4, 1), (4, 4, 2)),
    (lambda: layers.DepthwiseConv2D(2, name="me"), (4, 4, 3), (4, 4, 2)),
    (lambda: layers.SeparableConv1D(3, 2, name="me"), (4, 1), (4, 2)),
    (lambda: layers.Conv2DTranspose(3, 2, name="me"), (4, 4, 1), (4, 4, 2)),
])  # fmt: skip
def test_a_built_layer_refuses_other_features(layer, first, second):
    layer = layer()
    layer(gather("x", first))
    with pytest.raises(ValueError, match=r"me: expected an input .*Received: \(None, "):
        layer(gather("x", second))


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
def test_dropout_in_training_is_the_mask_of_seed_and_element(rate):
    layer, x = layers.Dropout(rate, seed=7), uniform(6, 5, 11)
    expected = ref.dropout(x, rate, 7, 0, 0)
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-6)
    np.testing.assert_array_equal(layer(x), x)
    t = np.zeros_like(x)
    a, b = gathers(x=x, t=t)
    found = differentiate(ops.mean_squared_error(b, layer(a, training=True)), [a])
    got = run(found, {"x": x, "t": t})[0]
    np.testing.assert_allclose(got, ref.dropout_gradient(2 * expected / x.size, rate, 7, 0, 0), rtol=1e-5, atol=1e-9)


def test_dropouts_without_a_seed_differ_and_follow_the_global_seed():
    x = np.ones((4, 1000), np.float32)
    drawn = []
    for _ in range(2):
        utils.set_random_seed(3)
        drawn.append([layers.Dropout(0.5)(x, training=True) for _ in range(2)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert 0.4 < np.mean(drawn[0][0] == drawn[0][1]) < 0.6
    assert abs(np.mean(drawn[0][0]) - 1) < 0.1


def test_an_activation_may_be_a_function():
    layer, x = make("Dense", dict(units=4, activation=lambda x: ops.relu(ops.rescale(x, -1.0))), (3,))
    np.testing.assert_allclose(layer(x), np.maximum(-ref.dense(x, *layer.get_weights()), 0), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"activation: .*lambda.* cannot be saved"):
        layer.get_config()
    assert layers.Dense(1, activation=activations.relu).get_config()["activation"] == "relu"


def test_default_names_are_those_of_keras():
    given = ["Conv2D", "Conv2D", "MaxPooling2D", "Dense", "ReLU", "InputLayer", "Dense", "Conv2D", "Conv1DTranspose"]
    expected = ["conv2d", "conv2d_1", "max_pooling2d", "dense", "re_lu", "input_layer", "dense_1", "conv2d_2"]
    expected += ["conv1d_transpose"]
    names = base._Names()
    assert [names.next(cls) for cls in given] == expected


def test_aliases_and_old_spellings():
    assert layers.Convolution2D is layers.Conv2D and layers.Convolution1D is layers.Conv1D
    assert layers.Convolution2DTranspose is layers.Conv2DTranspose
    assert layers.Convolution1DTranspose is layers.Conv1DTranspose
    assert layers.SeparableConvolution2D is layers.SeparableConv2D
    assert layers.SeparableConvolution1D is layers.SeparableConv1D
    for short, name in [("Max", "Max"), ("Avg", "Average"), ("GlobalMax", "GlobalMax"), ("GlobalAvg", "GlobalAverage")]:
        for rank in "12":
            assert getattr(layers, f"{short}Pool{rank}D") is getattr(layers, f"{name}Pooling{rank}D")
    for layer in (layers.Dense(1, input_dim=3), layers.Dense(1, input_shape=(3,)), layers.Dense(1, input_shape=3),
                  layers.Dense(1, batch_input_shape=(None, 3)), layers.InputLayer(input_shape=(3,))):  # fmt: skip
        assert layer.given_input_shape == (3,)


def test_set_weights_takes_all_or_nothing():
    layer, _ = make("Dense", dict(units=2, name="me"), (3,))
    before = layer.get_weights()
    for bad, message in [
        ([before[0]], "me: expected 2 weights. Received: 1"),
        ([before[0] + 1, np.zeros(3)], r"me/bias: expected shape \(2,\). Received: \(3,\)"),
        ([np.zeros((2, 3)), before[1]], r"me/kernel: expected shape \(3, 2\). Received: \(2, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer.set_weights(bad)
        np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    layer.get_weights()[0][...] = 9  # a copy
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    layer.set_weights([before[0].tolist(), [1, 2]])
    np.testing.assert_array_equal(layer.get_weights()[1], np.float32([1, 2]))


class Scale(layers.Layer):
    """A layer as users write them."""

    def build(self, input_shape):
        self.factor = self.add_weight((input_shape[-1], input_shape[-1]), "ones", name="factor")

    def call(self, x, training=False):
        return ops.relu(ops.dense(x, self.factor))


def test_a_layer_of_the_users_own():
    layer, x = Scale(), uniform(3, 4)
    np.testing.assert_allclose(layer(x), np.maximum(x.sum(axis=1, keepdims=True) * np.ones(4), 0), rtol=1e-5, atol=1e-6)
    assert layer.weights[0].name == f"{layer.name}/factor" and layer.count_params() == 16
    with pytest.raises(TypeError, match=r"Layer must define call\(x, training\)"):
        layers.Layer()(x)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_numbers_of_numpy_are_numbers(kind):
    half = kind(0.5)
    for layer in (
        layers.Dropout(half), layers.GaussianNoise(half), layers.GaussianDropout(half), layers.LeakyReLU(half),
        layers.BatchNormalization(momentum=half, epsilon=half), layers.RandomRotation(half),
        layers.RandomZoom(half, (half, half)), layers.RandomContrast(half, (half, kind(2))),
        layers.RandomTranslation(half, half, fill_value=half), layers.Rescaling(half),
        layers.Resizing(3, 3, fill_value=half),
    ):  # fmt: skip
        config = json.loads(json.dumps(layer.get_config()))
        assert type(layer).from_config(config).get_config() == layer.get_config()
