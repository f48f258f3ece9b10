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
from dlcore.ops.resize import INTERPOLATIONS, bilinear

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


def row(x):
    """(batch, steps, channels) as images of height 1."""
    return np.float64(x)[:, None]


def over_steps(twin):
    """The twin of a layer over steps, from that over images: kernels and images have a height of 1."""

    def slow(x, *weights):
        y, back = twin(row(x), *(w[None] if w.ndim > 1 else w for w in weights))

        def gradients(dy):
            dx, *dw = back(row(dy))
            return [dx[:, 0], *(g[0] if g.ndim > 1 else g for g in dw)]

        return y[:, 0], gradients

    return slow


def over_positions(twin):
    """The twin of a layer over the last axis, from that over (batch, features)."""

    def slow(x, *weights):
        y, back = twin(x.reshape(-1, x.shape[-1]), *weights)

        def gradients(dy):
            dx, *dw = back(dy.reshape(-1, dy.shape[-1]))
            return [dx.reshape(x.shape), *dw]

        return y.reshape(*x.shape[:-1], -1), gradients

    return slow


def depthwise(kind="linear", **how):
    def twin(x, w, b=None):
        grouped = w.reshape(*w.shape[:2], 1, -1)
        y, back = conv(kind, groups=x.shape[3], **how)(x, grouped, b)

        def gradients(dy):
            dx, dw, *bias = back(dy)
            return [dx, dw.reshape(w.shape), *bias]

        return y, gradients

    return twin


def separable(kind="linear", **how):
    def twin(x, each, point, b=None):
        between, first = depthwise(**how)(x, each)
        y, second = conv(kind)(between, point, b)

        def gradients(dy):
            dz, dpoint, *bias = second(dy)
            dx, deach = first(dz)
            return [dx, deach, dpoint, *bias]

        return y, gradients

    return twin


def transposed(size, kind="linear", padding=ref.NO_PADDING, strides=(1, 1), dilation=(1, 1)):
    """The gradient of a convolution of images of `size`."""

    def twin(x, w, b=None):
        how = strides, padding, dilation
        z = ref.conv2d_input_gradient(x, w, (len(x), *size, w.shape[2]), *how)
        y, back = activation(kind)(z if b is None else z + b)

        def gradients(dy):
            dz = back(dy)[0]
            bias = [] if b is None else [ref.bias_gradient(dz)]
            return [ref.conv2d(dz, w, None, *how), ref.conv2d_weight_gradient(dz, x, w.shape, *how), *bias]

        return y, gradients

    return twin


def causal(kernel, dilation, strides):
    def twin(x, w, b):
        how = (1, strides), ((0, 0), ((kernel - 1) * dilation, 0)), (1, dilation), 1
        y = ref.conv2d(x, w, b, *how)

        def gradients(dy):
            dw = ref.conv2d_weight_gradient(x, dy, w.shape, *how)
            return [ref.conv2d_input_gradient(dy, w, x.shape, *how), dw, ref.bias_gradient(dy)]

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


def everywhere(pool, keepdims=False):
    """Global pooling, as one window over the image."""

    def twin(x):
        image = np.float64(x).reshape(len(x), -1, 1, x.shape[-1])
        size = image.shape[1:3]
        y, back = pool(size, size)(image)
        shape = (len(x), *(1,) * (x.ndim - 2), x.shape[-1]) if keepdims else (len(x), x.shape[-1])
        return y.reshape(shape), lambda dy: [back(dy.reshape(y.shape))[0].reshape(x.shape)]

    return twin


def scaled(scale, offset):
    return lambda x: (np.float64(x) * scale + offset, lambda dy: [dy * scale])


def flat(x):
    return np.float64(x).reshape(len(x), -1), lambda dy: [dy.reshape(x.shape)]


def linear(function):
    """The twin of a layer that computes sums of its inputs, by the matrix that it is."""

    def twin(x):
        size = int(np.prod(x.shape[1:]))
        matrix = function(np.eye(size).reshape(size, *x.shape[1:])).reshape(size, -1)
        y = function(np.float64(x))
        return y, lambda dy: [(dy.reshape(len(dy), -1) @ matrix.T).reshape(x.shape)]

    return twin


def resized(interpolation, height, width):
    taps = INTERPOLATIONS[interpolation]
    return linear(lambda x: ref.resample(x, taps(x.shape[1], height), taps(x.shape[2], width)))


def looked_up(x, table):
    ids = np.trunc(x).astype(int)  # of [-1, 1): all zero
    return np.float64(table)[ids], lambda dy: [np.zeros_like(x), ref.embedding_gradient(dy, ids, len(table))]


IMAGE, STEPS = (9, 8, 6), (11, 4)
TABLE = [  # layer class, arguments, input shape of a sample, output shape, shapes of weights, slow twin
    ("Dense", dict(units=5), (7,), (5,), [(7, 5), (5,)], dense()),
    ("Dense", dict(units=1, use_bias=False), (130,), (1,), [(130, 1)], dense()),
    *[("Dense", dict(units=17, activation=kind), (33,), (17,), [(33, 17), (17,)], dense(kind)) for kind in ACTIVATIONS],
    ("Dense", dict(units=300, activation="relu"), (500,), (300,), [(500, 300), (300,)], dense("relu")),
    ("Dense", dict(units=10, activation="relu"), (70,), (10,), [(70, 10), (10,)], dense("relu")),
    ("Dense", dict(units=5), (7, 6), (7, 5), [(6, 5), (5,)], over_positions(dense())),
    ("Dense", dict(units=33, activation="softmax"), (4, 3, 2, 17), (4, 3, 2, 33), [(17, 33), (33,)],
     over_positions(dense("softmax"))),
    ("Dense", dict(units=16, use_bias=False, activation="relu"), IMAGE, (9, 8, 16), [(6, 16)],
     over_positions(dense("relu"))),
    ("Dense", dict(units=1), (1, 1), (1, 1), [(1, 1), (1,)], over_positions(dense())),
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
    ("Conv2D", dict(filters=12, kernel_size=3, groups=6, strides=(1, 2), activation="relu"), IMAGE, (7, 3, 12),
     [(3, 3, 1, 12), (12,)], conv("relu", strides=(1, 2), groups=6)),
    ("Conv1D", dict(filters=5, kernel_size=3), STEPS, (9, 5), [(3, 4, 5), (5,)], over_steps(conv())),
    ("Conv1D", dict(filters=6, kernel_size=(4,), strides=2, padding="same", groups=2, activation="relu"), STEPS, (6, 6),
     [(4, 2, 6), (6,)], over_steps(conv("relu", True, (1, 2), groups=2))),
    ("Conv1D", dict(filters=3, kernel_size=3, dilation_rate=3, padding="causal"), STEPS, (11, 3), [(3, 4, 3), (3,)],
     over_steps(causal(3, 3, 1))),
    ("Conv1D", dict(filters=3, kernel_size=4, strides=3, padding="causal"), STEPS, (4, 3), [(4, 4, 3), (3,)],
     over_steps(causal(4, 1, 3))),
    ("Conv1D", dict(filters=8, kernel_size=2, groups=4, use_bias=False, activation="softmax"), STEPS, (10, 8),
     [(2, 1, 8)], over_steps(conv("softmax", groups=4))),
    ("DepthwiseConv2D", dict(kernel_size=3), IMAGE, (7, 6, 6), [(3, 3, 6, 1), (6,)], depthwise()),
    ("DepthwiseConv2D", dict(kernel_size=(3, 2), strides=(2, 1), padding="same", activation="relu"), IMAGE, (5, 8, 6),
     [(3, 2, 6, 1), (6,)], depthwise("relu", same=True, strides=(2, 1))),
    ("DepthwiseConv2D", dict(kernel_size=2, depth_multiplier=3, dilation_rate=(3, 2), activation="tanh"), IMAGE,
     (6, 6, 18), [(2, 2, 6, 3), (18,)], depthwise("tanh", dilation=(3, 2))),
    ("DepthwiseConv2D", dict(kernel_size=3, depth_multiplier=2, use_bias=False), (5, 6, 1), (3, 4, 2), [(3, 3, 1, 2)],
     depthwise()),
    ("DepthwiseConv1D", dict(kernel_size=3, strides=2, depth_multiplier=2, activation="sigmoid"), STEPS, (5, 8),
     [(3, 4, 2), (8,)], over_steps(depthwise("sigmoid", strides=(1, 2)))),
    ("DepthwiseConv1D", dict(kernel_size=4, padding="same", use_bias=False), STEPS, (11, 4), [(4, 4, 1)],
     over_steps(depthwise(same=True))),
    ("SeparableConv2D", dict(filters=5, kernel_size=3), IMAGE, (7, 6, 5), [(3, 3, 6, 1), (1, 1, 6, 5), (5,)],
     separable()),
    ("SeparableConv2D", dict(filters=4, kernel_size=3, strides=2, padding="same", depth_multiplier=2, use_bias=False,
     activation="relu"), IMAGE, (5, 4, 4), [(3, 3, 6, 2), (1, 1, 12, 4)], separable("relu", same=True, strides=(2, 2))),
    ("SeparableConv1D", dict(filters=5, kernel_size=3, dilation_rate=2, activation="tanh"), STEPS, (7, 5),
     [(3, 4, 1), (1, 4, 5), (5,)], over_steps(separable("tanh", dilation=(1, 2)))),
    ("Conv2DTranspose", dict(filters=5, kernel_size=3), IMAGE, (11, 10, 5), [(3, 3, 5, 6), (5,)], transposed((11, 10))),
    ("Conv2DTranspose", dict(filters=4, kernel_size=3, strides=2, padding="same", activation="relu"), IMAGE,
     (18, 16, 4), [(3, 3, 4, 6), (4,)], transposed((18, 16), "relu", ((0, 1), (0, 1)), (2, 2))),
    ("Conv2DTranspose", dict(filters=4, kernel_size=(2, 4), strides=(3, 2), use_bias=False), IMAGE, (27, 18, 4),
     [(2, 4, 4, 6)], transposed((27, 18), strides=(3, 2))),
    ("Conv2DTranspose", dict(filters=2, kernel_size=3, strides=(2, 3), output_padding=(1, 0), activation="tanh"), IMAGE,
     (20, 24, 2), [(3, 3, 2, 6), (2,)], transposed((20, 24), "tanh", strides=(2, 3))),
    ("Conv2DTranspose", dict(filters=2, kernel_size=(5, 4), strides=2, padding="same", output_padding=(0, 1)), IMAGE,
     (17, 15, 2), [(5, 4, 2, 6), (2,)], transposed((17, 15), padding=((2, 2), (1, 2)), strides=(2, 2))),
    ("Conv2DTranspose", dict(filters=3, kernel_size=2, dilation_rate=(2, 3), padding="same"), IMAGE, (9, 8, 3),
     [(2, 2, 3, 6), (3,)], transposed((9, 8), padding=((1, 1), (1, 2)), dilation=(2, 3))),
    ("Conv1DTranspose", dict(filters=3, kernel_size=4, strides=3, activation="relu"), STEPS, (34, 3),
     [(4, 3, 4), (3,)], over_steps(transposed((1, 34), "relu", strides=(1, 3)))),
    ("Conv1DTranspose", dict(filters=3, kernel_size=3, strides=2, padding="same", output_padding=1), STEPS, (22, 3),
     [(3, 3, 4), (3,)], over_steps(transposed((1, 22), padding=((0, 0), (0, 1)), strides=(1, 2)))),
    ("MaxPooling2D", dict(), IMAGE, (4, 4, 6), [], max_pool((2, 2), (2, 2))),
    ("MaxPooling2D", dict(pool_size=3, strides=(1, 2), padding="same"), IMAGE, (9, 4, 6), [],
     max_pool((3, 3), (1, 2), True)),
    ("MaxPooling2D", dict(pool_size=(3, 2)), IMAGE, (3, 4, 6), [], max_pool((3, 2), (3, 2))),
    ("AveragePooling2D", dict(), IMAGE, (4, 4, 6), [], average_pool((2, 2), (2, 2))),
    ("AveragePooling2D", dict(pool_size=(2, 3), strides=1, padding="same"), IMAGE, (9, 8, 6), [],
     average_pool((2, 3), (1, 1), True)),
    ("MaxPooling2D", dict(pool_size=(30, 9), strides=4, padding="same"), IMAGE, (3, 2, 6), [],
     max_pool((30, 9), (4, 4), True)),  # more pixels than a byte counts
    ("MaxPooling1D", dict(), STEPS, (5, 4), [], over_steps(max_pool((1, 2), (1, 2)))),
    ("MaxPooling1D", dict(pool_size=3, strides=2, padding="same"), STEPS, (6, 4), [],
     over_steps(max_pool((1, 3), (1, 2), True))),
    ("AveragePooling1D", dict(pool_size=3), STEPS, (3, 4), [], over_steps(average_pool((1, 3), (1, 3)))),
    ("AveragePooling1D", dict(pool_size=(4,), strides=1, padding="same"), STEPS, (11, 4), [],
     over_steps(average_pool((1, 4), (1, 1), True))),
    ("GlobalMaxPooling2D", dict(), IMAGE, (6,), [], everywhere(max_pool)),
    ("GlobalMaxPooling2D", dict(keepdims=True), (17, 18, 3), (1, 1, 3), [], everywhere(max_pool, True)),
    ("GlobalMaxPooling1D", dict(), STEPS, (4,), [], everywhere(max_pool)),
    ("GlobalMaxPooling1D", dict(keepdims=True), (300, 3), (1, 3), [], everywhere(max_pool, True)),
    ("GlobalAveragePooling2D", dict(), IMAGE, (6,), [], everywhere(average_pool)),
    ("GlobalAveragePooling2D", dict(keepdims=True), IMAGE, (1, 1, 6), [], everywhere(average_pool, True)),
    ("GlobalAveragePooling1D", dict(), STEPS, (4,), [], everywhere(average_pool)),
    ("GlobalAveragePooling1D", dict(keepdims=True), STEPS, (1, 4), [], everywhere(average_pool, True)),
    ("Flatten", dict(), IMAGE, (432,), [], flat),
    ("Flatten", dict(), (3,), (3,), [], flat),
    ("Reshape", dict(target_shape=(3, -1, 2)), IMAGE, (3, 72, 2), [], linear(lambda x: x.reshape(len(x), 3, 72, 2))),
    ("Reshape", dict(target_shape=[12]), (4, 3), (12,), [], flat),
    ("Permute", dict(dims=(3, 1, 2)), IMAGE, (6, 9, 8), [], linear(lambda x: x.transpose(0, 3, 1, 2))),
    ("Permute", dict(dims=(2, 1)), (4, 3), (3, 4), [], linear(lambda x: x.transpose(0, 2, 1))),
    ("RepeatVector", dict(n=3), (5,), (3, 5), [], linear(lambda x: x[:, None].repeat(3, 1))),
    ("ZeroPadding1D", dict(), (4, 3), (6, 3), [], linear(lambda x: np.pad(x, ((0, 0), (1, 1), (0, 0))))),
    ("ZeroPadding1D", dict(padding=(0, 2)), (4, 3), (6, 3), [], linear(lambda x: np.pad(x, ((0, 0), (0, 2), (0, 0))))),
    ("ZeroPadding2D", dict(), IMAGE, (11, 10, 6), [], linear(lambda x: np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))),
    ("ZeroPadding2D", dict(padding=(2, 0)), IMAGE, (13, 8, 6), [],
     linear(lambda x: np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0))))),
    ("ZeroPadding2D", dict(padding=((0, 1), (2, 3))), IMAGE, (10, 13, 6), [],
     linear(lambda x: np.pad(x, ((0, 0), (0, 1), (2, 3), (0, 0))))),
    ("Cropping1D", dict(), (4, 3), (2, 3), [], linear(lambda x: x[:, 1:-1])),
    ("Cropping1D", dict(cropping=(0, 3)), (4, 3), (1, 3), [], linear(lambda x: x[:, :1])),
    ("Cropping2D", dict(), IMAGE, IMAGE, [], linear(lambda x: x)),
    ("Cropping2D", dict(cropping=2), IMAGE, (5, 4, 6), [], linear(lambda x: x[:, 2:-2, 2:-2])),
    ("Cropping2D", dict(cropping=((0, 1), (2, 3))), IMAGE, (8, 3, 6), [], linear(lambda x: x[:, :-1, 2:-3])),
    ("UpSampling1D", dict(size=3), (4, 3), (12, 3), [], linear(lambda x: x.repeat(3, 1))),
    ("UpSampling2D", dict(), IMAGE, (18, 16, 6), [], linear(lambda x: x.repeat(2, 1).repeat(2, 2))),
    ("UpSampling2D", dict(size=(1, 3)), IMAGE, (9, 24, 6), [], linear(lambda x: x.repeat(3, 2))),
    ("UpSampling2D", dict(size=2, interpolation="bilinear"), (4, 3, 2), (8, 6, 2), [], resized("bilinear", 8, 6)),
    ("Resizing", dict(height=5, width=11), IMAGE, (5, 11, 6), [], resized("bilinear", 5, 11)),
    ("Resizing", dict(height=5, width=11, interpolation="nearest"), IMAGE, (5, 11, 6), [], resized("nearest", 5, 11)),
    ("Resizing", dict(height=13, width=6, interpolation="bicubic"), IMAGE, (13, 6, 6), [], resized("bicubic", 13, 6)),
    ("Resizing", dict(height=8, width=2, interpolation="nearest", crop_to_aspect_ratio=True), (4, 4, 1), (8, 2, 1), [],
     linear(lambda x: x[:, :, 1:2].repeat(2, 1).repeat(2, 2))),
    ("Resizing", dict(height=8, width=4, interpolation="nearest", pad_to_aspect_ratio=True), (4, 4, 1), (8, 4, 1), [],
     linear(lambda x: np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0))))),
    ("CenterCrop", dict(height=4, width=5), IMAGE, (4, 5, 6), [], linear(lambda x: x[:, 2:6, 1:6])),
    ("CenterCrop", dict(height=18, width=6), IMAGE, (18, 6, 6), [],
     linear(lambda x: ref.resample(x[:, :, 2:5], bilinear(9, 18), bilinear(3, 6)))),
    ("Embedding", dict(input_dim=5, output_dim=3), (4,), (4, 3), [(5, 3)], looked_up),
    ("Embedding", dict(input_dim=9, output_dim=17), (4, 2), (4, 2, 17), [(9, 17)], looked_up),
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
    inputs = [] if name == "Embedding" else [a]  # numbers have no gradient
    found = differentiate(loss, [*inputs, *layer.weights])
    y, back = twin(x, *layer.get_weights())
    expected = back(2 * (y - t) / t.size)[1 - len(inputs) :]
    assert len(found) == len(expected) == len(inputs) + len(weights)
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
