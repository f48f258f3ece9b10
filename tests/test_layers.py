"""Every layer: shapes, values and gradients against float64, configurations, and what it refuses."""

import json

import numpy as np
import pytest
import reference as ref
from graphs import differentiate, gathers, run
from harness import uniform

from dlcore import activations, layers, ops, utils
from dlcore.layers import base
from dlcore.ops.data import gather

ACTIVATIONS = {  # y from x, dx from (dy, y)
    "linear": (lambda x: x, lambda dy, y: dy),
    "relu": (ref.relu, ref.relu_gradient),
    "sigmoid": (ref.sigmoid, ref.sigmoid_gradient),
    "tanh": (ref.tanh, ref.tanh_gradient),
    "softmax": (ref.softmax, ref.softmax_gradient),
}


def activation(kind):
    """The slow twin of a layer: (x, *weights) -> y, and a function dy -> [dx, *dweights]."""
    forward, gradient = ACTIVATIONS[kind]

    def twin(x):
        y = forward(np.float64(x))
        return y, lambda dy: [gradient(dy, y)]

    return twin


def dense(kind="linear"):
    def twin(x, w, b=None):
        y, back = activation(kind)(ref.dense(x, w, b))

        def gradients(dy):
            dz = back(dy)[0]
            bias = [] if b is None else [ref.bias_gradient(dz)]
            return [ref.dense_input_gradient(dz, w), ref.dense_weight_gradient(x, dz), *bias]

        return y, gradients

    return twin


def padding(x, size, strides, same, dilation=(1, 1)):
    if not same:
        return ref.NO_PADDING
    return tuple(ref.same_padding(*axis) for axis in zip(x.shape[1:3], size, strides, dilation, strict=True))


def conv(kind="linear", same=False, strides=(1, 1), dilation=(1, 1), groups=1):
    def twin(x, w, b=None):
        how = strides, padding(x, w.shape[:2], strides, same, dilation), dilation, groups
        y, back = activation(kind)(ref.conv2d(x, w, b, *how))

        def gradients(dy):
            dz = back(dy)[0]
            bias = [] if b is None else [ref.bias_gradient(dz)]
            dw = ref.conv2d_weight_gradient(x, dz, w.shape, *how)
            return [ref.conv2d_input_gradient(dz, w, x.shape, *how), dw, *bias]

        return y, gradients

    return twin


def max_pool(pool, strides, same=False):
    def twin(x):
        how = pool, strides, padding(x, pool, strides, same)
        y, index = ref.max_pool2d(x, *how)
        return y, lambda dy: [ref.max_pool2d_gradient(dy, index, x.shape, *how)]

    return twin


def average_pool(pool, strides, same=False):
    def twin(x):
        how = pool, strides, padding(x, pool, strides, same)
        return ref.avg_pool2d(x, *how), lambda dy: [ref.avg_pool2d_gradient(dy, x.shape, *how)]

    return twin


def scaled(scale, offset):
    return lambda x: (np.float64(x) * scale + offset, lambda dy: [dy * scale])


def flat(x):
    return np.float64(x).reshape(len(x), -1), lambda dy: [dy.reshape(x.shape)]


IMAGE = (9, 8, 6)
TABLE = [  # layer class, arguments, input shape of a sample, output shape, shapes of weights, slow twin
    ("Dense", dict(units=5), (7,), (5,), [(7, 5), (5,)], dense()),
    ("Dense", dict(units=1, use_bias=False), (130,), (1,), [(130, 1)], dense()),
    *[("Dense", dict(units=17, activation=kind), (33,), (17,), [(33, 17), (17,)], dense(kind)) for kind in ACTIVATIONS],
    ("Dense", dict(units=300, activation="relu"), (500,), (300,), [(500, 300), (300,)], dense("relu")),
    ("Dense", dict(units=10, activation="relu"), (70,), (10,), [(70, 10), (10,)], dense("relu")),
    ("Conv2D", dict(filters=5, kernel_size=3), IMAGE, (7, 6, 5), [(3, 3, 6, 5), (5,)], conv()),
    ("Conv2D", dict(filters=16, kernel_size=1, use_bias=False), IMAGE, (9, 8, 16), [(1, 1, 6, 16)], conv()),
    ("Conv2D", dict(filters=4, kernel_size=(2, 3), padding="same"), IMAGE, (9, 8, 4), [(2, 3, 6, 4), (4,)],
     conv(same=True)),
    ("Conv2D", dict(filters=4, kernel_size=(4, 2), strides=(2, 3), padding="SAME", activation="relu"), IMAGE, (5, 3, 4),
     [(4, 2, 6, 4), (4,)], conv("relu", True, (2, 3))),
    ("Conv2D", dict(filters=8, kernel_size=3, strides=2, activation="tanh"), IMAGE, (4, 3, 8), [(3, 3, 6, 8), (8,)],
     conv("tanh", strides=(2, 2))),
    ("Conv2D", dict(filters=6, kernel_size=(3, 2), dilation_rate=(2, 3), groups=3, activation="sigmoid"), IMAGE,
     (5, 5, 6), [(3, 2, 2, 6), (6,)], conv("sigmoid", dilation=(2, 3), groups=3)),
    ("Conv2D", dict(filters=6, kernel_size=3, groups=6, padding="same", dilation_rate=2, activation="softmax"), IMAGE,
     (9, 8, 6), [(3, 3, 1, 6), (6,)], conv("softmax", True, dilation=(2, 2), groups=6)),
    ("MaxPooling2D", dict(), IMAGE, (4, 4, 6), [], max_pool((2, 2), (2, 2))),
    ("MaxPooling2D", dict(pool_size=3, strides=(1, 2), padding="same"), IMAGE, (9, 4, 6), [],
     max_pool((3, 3), (1, 2), True)),
    ("MaxPooling2D", dict(pool_size=(3, 2)), IMAGE, (3, 4, 6), [], max_pool((3, 2), (3, 2))),
    ("AveragePooling2D", dict(), IMAGE, (4, 4, 6), [], average_pool((2, 2), (2, 2))),
    ("AveragePooling2D", dict(pool_size=(2, 3), strides=1, padding="same"), IMAGE, (9, 8, 6), [],
     average_pool((2, 3), (1, 1), True)),
    ("Flatten", dict(), IMAGE, (432,), [], flat),
    ("Flatten", dict(), (3,), (3,), [], flat),
    ("Rescaling", dict(scale=0.5), IMAGE, IMAGE, [], scaled(0.5, 0)),
    ("Rescaling", dict(scale=-2, offset=0.25), (5,), (5,), [], scaled(-2, 0.25)),
    *[("Activation", dict(activation=kind), (5, 13), (5, 13), [], activation(kind)) for kind in ACTIVATIONS],
    ("ReLU", dict(), IMAGE, IMAGE, [], activation("relu")),
    ("Softmax", dict(), (4, 13), (4, 13), [], activation("softmax")),
    ("InputLayer", dict(shape=(5,)), (5,), (5,), [], activation("linear")),
    ("Dropout", dict(rate=0.4), (5,), (5,), [], activation("linear")),  # does nothing outside training
]  # fmt: skip
cases = pytest.mark.parametrize(
    "name, arguments, shape, output, weights, twin", TABLE, ids=[f"{row[0]}-{i}" for i, row in enumerate(TABLE)]
)


def make(name, arguments, shape, n=5):
    """A built layer with weights that are not zero, and an input."""
    layer, x = getattr(layers, name)(**arguments), uniform(n, *shape)
    layer(gather("x", shape))
    layer.set_weights([uniform(*w.shape, seed=i + 2) for i, w in enumerate(layer.weights)])
    return layer, x


@cases
def test_values_and_shapes(name, arguments, shape, output, weights, twin):
    layer, x = make(name, arguments, shape)
    assert layer.output_shape == (None, *output)
    assert [w.shape for w in layer.weights] == weights
    assert layer.count_params() == sum(int(np.prod(w)) for w in weights)
    y = layer(x)
    assert y.shape == (5, *output) and y.dtype == np.float32
    np.testing.assert_allclose(y, twin(x, *layer.get_weights())[0], rtol=2e-6, atol=2e-5)


@cases
def test_gradients(name, arguments, shape, output, weights, twin):
    """Of the mean squared distance to t, with respect to the input and the weights."""
    layer, x = make(name, arguments, shape)
    t = uniform(5, *output, seed=1)
    a, b = gathers(x=x, t=t)
    loss = ops.mean_squared_error(b, layer(a, training=name != "Dropout"))
    found = differentiate(loss, [a, *layer.weights])
    y, back = twin(x, *layer.get_weights())
    expected = back(2 * (y - t) / t.size)
    assert len(found) == len(expected) == 1 + len(weights)
    for got, value in zip(run(found, {"x": x, "t": t}, threads=2), expected, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=2e-6 * np.abs(value).max())


@cases
def test_configuration_makes_the_same_layer(name, arguments, shape, output, weights, twin):
    layer = make(name, {**arguments, "name": "mine", "trainable": False}, shape)[0]
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == config and again.name == "mine" and not again.trainable
    y = again(gather("x", shape))
    assert y.shape == (None, *output)
    assert [w.shape for w in again.weights] == weights
    assert again.trainable_weights == [] and len(again.non_trainable_weights) == len(weights)


CONV, POOL = dict(filters=4, kernel_size=3), dict(pool_size=2)
WHOLE = "must be a positive whole number. Received: "
REFUSED = [  # layer class, arguments, what the message says
    *[("Dense", dict(units=bad), f"me: units {WHOLE}units={bad!r}") for bad in (0, -1, 2.5, "5", None, True)],
    ("Dense", dict(units=3, activation="rel"), "activation: expected one of .*'relu'.* Received: 'rel'"),
    ("Dense", dict(units=3, kernel_initializer="gloro"), "initializer: expected one of .*Received: 'gloro'"),
    ("Dense", dict(units=3, input_dim=-2), r"me: input_dim must hold .*Received: input_dim=\(-2,\)"),
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
    ("MaxPooling2D", POOL | dict(pool_size=0), f"me: pool_size {WHOLE}pool_size=0"),
    ("MaxPooling2D", POOL | dict(pool_size=17), "me: pool_size must not hold more than 256 .*pool_size=17"),
    ("MaxPooling2D", POOL | dict(strides=(2,)), r"me: strides must be one .* or two. .*strides=\(2,\)"),
    ("AveragePooling2D", POOL | dict(padding="x"), "me: padding must be one of .* Received: padding='x'"),
    ("AveragePooling2D", POOL | dict(data_format="channels_first"), "me: data_format must be 'channels_last'"),
    *[("Dropout", dict(rate=bad), r"me: rate must be a number in \[0, 1\). Received: ") for bad in (1, -1, "a", True)],
    ("InputLayer", dict(), "me: expected a shape. Received: shape=None"),
    ("InputLayer", dict(shape=(3, 0)), r"me: input_shape must hold positive whole numbers.*\(3, 0\)"),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, message", REFUSED, ids=lambda value: str(value)[:40])
def test_refuses_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")


UNFIT = [  # layer, shape of a sample it cannot take
    (lambda: layers.Dense(3, name="me"), (4, 4), r"me: expected .*\(batch, features\).*Received: \(None, 4, 4\)"),
    (lambda: layers.Conv2D(3, 2, name="me"), (4,), r"me: expected .*\(batch, height, width, channels\).*\(None, 4\)"),
    (lambda: layers.Conv2D(3, 5, name="me"), (4, 9, 1), r"me: .*a kernel of \(5, 5\).*\(None, 4, 9, 1\)"),
    (lambda: layers.Conv2D(4, 2, groups=2, name="me"), (4, 4, 3), r"me: .*multiple of groups=2.*\(None, 4, 4, 3\)"),
    (lambda: layers.MaxPooling2D(name="me"), (4, 4), r"me: expected .*Received: \(None, 4, 4\)"),
    (lambda: layers.MaxPooling2D(3, name="me"), (2, 4, 1), r"me: .*\(3, 3\) fits into. .*\(None, 2, 4, 1\)"),
    (lambda: layers.AveragePooling2D(3, name="me"), (4, 2, 1), r"me: expected .*Received: \(None, 4, 2, 1\)"),
]  # fmt: skip


@pytest.mark.parametrize("layer, shape, message", UNFIT)
def test_refuses_inputs(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer()(gather("x", shape))


@pytest.mark.parametrize("layer, first, second", [
    (lambda: layers.Dense(3, name="me"), (4,), (5,)), (lambda: layers.Conv2D(3, 2, name="me"), (4, 4, 1), (4, 4, 2)),
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
    given = ["Conv2D", "Conv2D", "MaxPooling2D", "Dense", "ReLU", "InputLayer", "Dense", "Conv2D"]
    expected = ["conv2d", "conv2d_1", "max_pooling2d", "dense", "re_lu", "input_layer", "dense_1", "conv2d_2"]
    names = base._Names()
    assert [names.next(cls) for cls in given] == expected


def test_aliases_and_old_spellings():
    assert layers.Convolution2D is layers.Conv2D
    assert layers.MaxPool2D is layers.MaxPooling2D and layers.AvgPool2D is layers.AveragePooling2D
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
        self.factor = self.add_weight("factor", (input_shape[-1], input_shape[-1]), "ones")

    def call(self, x, training=False):
        return ops.relu(ops.dense(x, self.factor))


def test_a_layer_of_the_users_own():
    layer, x = Scale(), uniform(3, 4)
    np.testing.assert_allclose(layer(x), np.maximum(x.sum(axis=1, keepdims=True) * np.ones(4), 0), rtol=1e-5, atol=1e-6)
    assert layer.weights[0].name == f"{layer.name}/factor" and layer.count_params() == 16
    with pytest.raises(TypeError, match=r"Layer must define call\(x, training\)"):
        layers.Layer()(x)
