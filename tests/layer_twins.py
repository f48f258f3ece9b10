"""Slow twins of layers in float64: (x, *weights) -> y, and a function dy -> [dx, *gradients of the weights]."""

import numpy as np
import reference as ref

from dlcore.ops.resize import INTERPOLATIONS

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
