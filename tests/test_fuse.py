"""Every rewrite of graph/fuse.py against its unfused twin: same loss, outputs and gradients, fewer ops."""

import numpy as np
import pytest
from graphs import Constant, differentiate, gathers, names, run
from harness import uniform

from dlcore import ops
from dlcore.graph import fuse
from dlcore.graph.program import build
from dlcore.kernels.data import Feed
from dlcore.kernels.executor import Clock
from dlcore.ops.base import Parameter
from dlcore.ops.data import Store

N = 7
IMAGES, ROWS, LABELS = uniform(N, 6, 5, 3), uniform(N, 9), np.int32([0, 1, 2, 3, 0, 1, 2])
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
BITS = (uniform(N, 4) > 0).astype(np.float32)


def weights(*shapes):
    return [Parameter(shape, uniform(*shape, seed=i), f"w{i}") for i, shape in enumerate(shapes)]


def mse(x):
    """A loss that depends on every entry of x and no target."""
    x = ops.reshape(x, (x.shape[0], int(np.prod(x.shape[1:]))))
    return ops.mean_squared_error(Constant(x, 0.5).output, x)


def conv_bias(x, w, b):
    return [mse(ops.bias_add(ops.conv2d(x, w), b))]


def norm_relu(x, w, gamma, beta):
    return [mse(ops.relu(ops.batch_normalization(ops.conv2d(x, w), gamma, beta).y))]


def norm_relu6_over_steps(x, w, gamma):
    y = ops.batch_normalization(ops.dense(x, w), gamma).y
    return [mse(ops.relu6(ops.reshape(y, (None, 5, 2))))]


def frozen_norm_relu(x, w, gamma, beta):
    y = ops.batch_normalization(ops.conv2d(x, w)).y
    return [mse(ops.relu(ops.normalize_by(y, *moving(5)[:2], gamma, beta)))]


def residual_block(x, w, gamma, beta):
    y = ops.batch_normalization(ops.conv2d(x, w, padding=((1, 1), (1, 1))), gamma, beta).y
    return [mse(ops.relu(ops.add(x, y)))]


def residual_of_two_norms(x, w, other):
    y, z = (ops.batch_normalization(ops.conv2d(x, kernel)).y for kernel in (w, other))
    return [mse(ops.add(y, z)), mse(x)]


def residual_conv(x, w, b, other):
    y = ops.bias_add(ops.conv2d(x, w, padding=((1, 1), (1, 1))), b)
    return [mse(ops.relu(ops.add(ops.conv2d(x, other), y)))]


def doubled_conv(x, w):
    y = ops.conv2d(x, w)
    return [mse(ops.add(y, y))]


def sum_sigmoid(x, w, other):
    return [mse(ops.sigmoid(ops.add(ops.dense(x, w), ops.dense(x, other))))]


def conv_tanh(x, w):
    return [mse(ops.tanh(ops.conv2d(x, w, strides=(2, 1), groups=3)))]


def depthwise(x, w, b):
    return [mse(ops.relu(ops.bias_add(ops.depthwise_conv2d(x, w, padding=((1, 1), (0, 0))), b)))]


def transposed(x, w, b):
    return [mse(ops.sigmoid(ops.bias_add(ops.conv2d_transpose(x, w, (12, 6), strides=(2, 1)), b)))]


def over_steps(x, w, b):
    y = ops.bias_add(ops.conv2d(ops.reshape(x, (None, 1, 6, 15)), w), b)
    return [mse(ops.tanh(ops.reshape(y, (None, 5, 4))))]


def pool_over_steps(x, w, b):
    y = ops.bias_add(ops.conv2d(ops.reshape(x, (None, 1, 9, 10)), w), b)
    y = ops.relu(ops.reshape(y, (None, 8, 4)))
    return [mse(ops.max_pool2d(ops.reshape(y, (None, 1, 8, 4)), (1, 3), (1, 3)))]


def reshape_and_back(x, w):  # a target stays; the reshape in the second loss goes
    y = ops.reshape(ops.dense(x, w), (None, 2, 3))
    back = ops.reshape(y, (None, 6))
    return [ops.add(mse(ops.tanh(back)), mse(y)), back]


def dense_bias(x, w, b):
    return [mse(ops.bias_add(ops.dense(x, w), b))]


def dense_sigmoid(x, w):
    return [mse(ops.sigmoid(ops.dense(x, w)))]


def dense_bias_relu(x, w, b):
    return [mse(ops.relu(ops.bias_add(ops.dense(x, w), b)))]


def conv_pool(x, w, b):  # few taps: the weight gradient looks the winners up
    return [mse(ops.max_pool2d(ops.relu(ops.bias_add(ops.conv2d(x, w), b)), (2, 2), (2, 2)))]


def conv_pool_of_many_taps(x, w):
    return [mse(ops.max_pool2d(ops.conv2d(x, w, padding=((1, 1), (2, 0))), (3, 2), (3, 2)))]


def conv_pool_with_a_layer_below(x, below, w, b):
    x = ops.reshape(ops.dense(x, below), (None, 6, 5, 3))
    return [mse(ops.max_pool2d(ops.relu(ops.bias_add(ops.conv2d(x, w, strides=(1, 2)), b)), (2, 2), (2, 2)))]


def conv_with_few_channels(x, below, w, b):
    x = ops.reshape(ops.dense(x, below), (None, 6, 5, 3))
    return [mse(ops.tanh(ops.bias_add(ops.conv2d(x, w, strides=(2, 1)), b)))]


def conv_of_a_plane(x, below, w, b):
    x = ops.reshape(ops.dense(x, below), (None, 7, 31, 1))
    return [mse(ops.tanh(ops.bias_add(ops.conv2d(x, w, strides=(2, 1)), b)))]


def conv_of_a_plane_and_pooling(x, below, w, b):  # one row of three fills no window
    x = ops.reshape(ops.dense(x, below), (None, 7, 31, 1))
    y = ops.tanh(ops.bias_add(ops.conv2d(x, w, strides=(2, 1)), b))
    return [mse(ops.average_pool2d(y, (2, 2), (2, 2)))]


def padded_conv(x, w):
    x = ops.pad(ops.conv2d(x, w), ((1, 0), (2, 1)))
    return [mse(ops.conv2d(x, w, strides=(1, 2), padding=((0, 1), (1, 0))))]


def shortcut(x, below, w):
    """Every second pixel, and channels of zeros on both sides, where a layer can only pad images (He et al. 2015)."""
    x = ops.reshape(ops.dense(x, below), (None, 6, 5, 3))
    pixels = ops.permute(ops.max_pool2d(x, (1, 1), (2, 2)), (1, 3, 2))
    wide = ops.permute(ops.pad(pixels, ((0, 0), (1, 2))), (1, 3, 2))
    return [mse(ops.tanh(ops.add(wide, ops.conv2d(x, w, strides=(2, 2), padding=((1, 0), (1, 1)))))), mse(x)]


def copies_of_copies(x, below):
    x = ops.reshape(ops.dense(x, below), (None, 6, 5, 3))
    y = ops.flip(ops.pad(x[:, ::2, 4:0:-1], ((1, 0), (0, 2), (1, 1)), 1.5), 2)
    z = ops.permute(ops.repeat(ops.permute(x, (3, 1, 2)), 2, 1), (2, 3, 1))[:, 1:, ::3]
    return [ops.add(mse(ops.tanh(y)), mse(z)), ops.tanh(y), ops.tanh(z)]


def softmax_sparse(x, y, w):
    p = ops.softmax(ops.dense(x, w))
    return [ops.sparse_categorical_crossentropy(y, p), p, ops.sparse_categorical_accuracy(y, p)]


def softmax_dense(x, y, w):
    p = ops.softmax(ops.dense(x, w))
    return [ops.categorical_crossentropy(y, p), p]


def softmax_and_a_second_loss(x, y, w):
    p = ops.softmax(ops.dense(x, w))
    return [ops.add(ops.categorical_crossentropy(y, p), ops.mean_squared_error(y, p)), p]


def softmax_whose_loss_is_only_watched(x, y, w):
    p = ops.softmax(ops.dense(x, w))
    return [ops.mean_squared_error(y, p), ops.categorical_crossentropy(y, p)]


def sigmoid_binary(x, y, w):
    p = ops.sigmoid(ops.dense(x, w))
    return [ops.binary_crossentropy(y, p), p, ops.binary_accuracy(y, p)]


def scaled_images(x, w):
    return [mse(ops.conv2d(ops.rescale(x, 1 / 255), w))]


CASES = [  # graph, pattern, its data, shapes of weights, ops that go, ops that come
    (padded_conv, fuse.padding, [IMAGES], [(2, 3, 3, 3)], {"Pad": 1}, {}),
    (conv_bias, fuse.bias, [IMAGES], [(3, 2, 3, 5), (5,)], {"BiasAdd": 1}, {}),
    (dense_bias, fuse.bias, [ROWS], [(9, 5), (5,)], {"BiasAdd": 1}, {}),
    (dense_bias, fuse.bias, [ROWS], [(9, 40), (40,)], {"BiasAdd": 1}, {}),
    (norm_relu, fuse.activation, [IMAGES], [(3, 2, 3, 5), (5,), (5,)], {"Activation": 1}, {}),
    (norm_relu6_over_steps, fuse.activation, [ROWS], [(9, 10), (10,)], {"Activation": 1}, {}),
    (frozen_norm_relu, fuse.activation, [IMAGES], [(3, 2, 3, 5), (5,), (5,)], {"Activation": 1}, {}),
    (residual_block, (fuse.residual, fuse.activation), [IMAGES], [(3, 3, 3, 3), (3,), (3,)],
     {"Add": 1, "Activation": 1}, {}),
    (residual_of_two_norms, fuse.residual, [IMAGES], [(3, 2, 3, 5), (3, 2, 3, 5)], {"Add": 1}, {}),
    (residual_conv, (fuse.bias, fuse.residual, fuse.activation), [IMAGES], [(3, 3, 3, 40), (40,), (1, 1, 3, 40)],
     {"BiasAdd": 1, "Add": 1, "Activation": 1}, {}),
    (residual_conv, (fuse.bias, fuse.residual, fuse.activation), [uniform(N, 6, 5, 16)],
     [(3, 3, 16, 40), (40,), (1, 1, 16, 40)], {"BiasAdd": 1, "Add": 1, "Activation": 1}, {}),
    (doubled_conv, fuse.residual, [IMAGES], [(3, 3, 3, 40)], {}, {}),
    (sum_sigmoid, fuse.activation, [ROWS], [(9, 40), (9, 40)], {"Activation": 1}, {}),
    (conv_tanh, fuse.activation, [IMAGES], [(3, 2, 1, 6)], {"Activation": 1}, {}),
    (depthwise, (fuse.bias, fuse.activation), [IMAGES], [(3, 2, 3, 2), (6,)], {"BiasAdd": 1, "Activation": 1}, {}),
    (transposed, (fuse.bias, fuse.activation), [IMAGES], [(2, 2, 4, 3), (4,)], {"BiasAdd": 1, "Activation": 1}, {}),
    (over_steps, (fuse.bias, fuse.activation), [IMAGES.reshape(N, 6, 15)], [(2, 15, 4), (4,)],
     {"BiasAdd": 1, "Activation": 1}, {}),
    (pool_over_steps, (fuse.bias, fuse.activation, fuse.reshapes, fuse.conv_pool), [IMAGES.reshape(N, 90)],
     [(2, 10, 4), (4,)], {"Conv2D": 1, "BiasAdd": 1, "Activation": 1, "MaxPool2D": 1, "Reshape": 2}, {"ConvPool2D": 1}),
    (shortcut, fuse.copies, [ROWS], [(9, 90), (3, 3, 3, 6)], {"Copy": 2, "Pad": 1}, {}),
    (copies_of_copies, fuse.copies, [ROWS], [(9, 90)], {"Copy": 2, "Pad": 1}, {}),  # a flip and a repetition stay
    (reshape_and_back, fuse.reshapes, [ROWS], [(9, 6)], {"Reshape": 1}, {}),
    (dense_sigmoid, fuse.activation, [ROWS], [(9, 5)], {"Activation": 1}, {}),
    (dense_sigmoid, fuse.activation, [ROWS], [(9, 40)], {"Activation": 1}, {}),
    (dense_bias_relu, (fuse.bias, fuse.activation), [ROWS], [(9, 5), (5,)], {"BiasAdd": 1, "Activation": 1}, {}),
    (conv_pool, (fuse.bias, fuse.activation, fuse.conv_pool), [IMAGES], [(3, 2, 3, 5), (5,)],
     {"Conv2D": 1, "BiasAdd": 1, "Activation": 1, "MaxPool2D": 1}, {"ConvPool2D": 1}),
    (conv_pool_of_many_taps, fuse.conv_pool, [uniform(N, 7, 6, 11)], [(3, 4, 11, 17)], {"Conv2D": 1, "MaxPool2D": 1},
     {"ConvPool2D": 1}),
    (conv_pool_with_a_layer_below, (fuse.bias, fuse.activation, fuse.conv_pool), [ROWS], [(9, 90), (3, 2, 3, 8), (8,)],
     {"Conv2D": 1, "BiasAdd": 1, "Activation": 1, "MaxPool2D": 1}, {"ConvPool2D": 1}),
    (conv_with_few_channels, (fuse.bias, fuse.activation, fuse.few_channels), [ROWS], [(9, 90), (3, 2, 3, 2), (2,)],
     {"Conv2D": 1, "Pack": 1, "BiasAdd": 1, "Activation": 1},
     {"MergedConv2D": 1, "Merge": 1, "Repeat": 1, "Reshape": 1}),
    (conv_of_a_plane, (fuse.bias, fuse.activation, fuse.few_channels), [ROWS], [(9, 217), (3, 2, 1, 2), (2,)],
     {"Conv2D": 1, "Pack": 1, "BiasAdd": 1, "Activation": 1}, {"LanesConv2D": 1}),
    (conv_of_a_plane_and_pooling, (fuse.bias, fuse.activation, fuse.few_channels, fuse.lanes_pool), [ROWS],
     [(9, 217), (3, 2, 1, 2), (2,)], {"Conv2D": 1, "Pack": 1, "BiasAdd": 1, "Activation": 1, "AveragePool2D": 1},
     {"LanesPool2D": 1}),
    (softmax_sparse, fuse.softmax_crossentropy, [ROWS, LABELS], [(9, 4)], {"Softmax": 1, "Loss": 1},
     {"SoftmaxCrossentropy": 1}),
    (softmax_dense, fuse.softmax_crossentropy, [ROWS, ONE_HOT], [(9, 4)], {"Softmax": 1, "Loss": 1},
     {"SoftmaxCrossentropy": 1}),
    (softmax_and_a_second_loss, fuse.softmax_crossentropy, [ROWS, ONE_HOT], [(9, 4)], {"Softmax": 1, "Loss": 1},
     {"SoftmaxCrossentropy": 1}),
    (softmax_whose_loss_is_only_watched, fuse.softmax_crossentropy, [ROWS, ONE_HOT], [(9, 4)],
     {"Softmax": 1, "Loss": 1}, {"SoftmaxCrossentropy": 1}),
    (sigmoid_binary, fuse.sigmoid_crossentropy, [ROWS, BITS], [(9, 4)], {}, {}),
    (scaled_images, fuse.gather_scale, [IMAGES], [(3, 2, 3, 5)], {"Rescale": 1}, {}),
]  # fmt: skip


def result(graph, data, shapes, patterns):
    """Names of the ops, and values of the targets and of the gradients of all weights."""
    feeds, w = dict(zip("xy", data, strict=False)), weights(*shapes)
    targets = graph(*gathers(**feeds), *w)
    fuse.fuse(targets, patterns)
    forward = names(targets)
    return forward, run([*targets, *differentiate(targets[0], w)], feeds, threads=2)


@pytest.mark.parametrize("graph, patterns, data, shapes, gone, new", CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_against_the_unfused_twin(graph, patterns, data, shapes, gone, new):
    patterns = patterns if isinstance(patterns, tuple) else (patterns,)
    plain, expected = result(graph, data, shapes, ())
    for chosen in (patterns, tuple(fuse.PATTERNS)):
        ops_left, got = result(graph, data, shapes, chosen)
        if chosen is patterns:
            wanted = {kind: plain.count(kind) - gone.get(kind, 0) + new.get(kind, 0) for kind in {*plain, *gone, *new}}
            assert {kind: ops_left.count(kind) for kind in wanted} == wanted
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6 * np.abs(b).max())


@pytest.mark.parametrize("pad", [
    lambda x: ops.pad(x, ((1, 1), (1, 1)), 0.5), lambda x: ops.pad(x, ((1, 1), (1, 1), (0, 1))),
    lambda x: ops.pad(ops.pad(x, ((0, 0), (0, 0), (0, 1))), ((1, 1),))[..., :3],
])  # fmt: skip
def test_other_padding_stays(pad):
    targets = [mse(ops.conv2d(pad(gathers(x=IMAGES)[0]), *weights((2, 2, pad(gathers(x=IMAGES)[0]).shape[3], 3))))]
    before = names(targets)
    fuse.fuse(targets, (fuse.padding,))
    assert names(targets) == before


def test_every_pattern_has_a_case():
    lists = [patterns if isinstance(patterns, tuple) else (patterns,) for _, patterns, *_ in CASES]
    assert {pattern for patterns in lists for pattern in patterns} == set(fuse.PATTERNS)


def moving(channels):
    """mean, variance, gamma, beta"""
    return [Parameter((channels,), abs(uniform(channels, seed=i)) + 0.5, "s") for i in range(4)]


def folded_conv_pool(x, w, b, *norm):
    y = ops.normalize_by(ops.bias_add(ops.conv2d(x, w), b), *norm)
    return [ops.max_pool2d(ops.relu(y), (2, 2), (2, 2))]


def folded_conv(x, w, b, *norm):
    return [ops.normalize_by(ops.conv2d(x, w), *norm[:2])]


def folded_depthwise(x, w, b, *norm):
    return [ops.relu6(ops.normalize_by(ops.bias_add(ops.depthwise_conv2d(x, w, strides=(1, 2)), b), *norm))]


def folded_residual(x, w, b, *norm):
    y = ops.normalize_by(ops.bias_add(ops.conv2d(x, w, padding=((1, 1), (1, 1))), b), *norm)
    return [ops.relu(ops.add(x, y))]


def folded_dense(x, w, b, *norm):
    return [ops.tanh(ops.normalize_by(ops.bias_add(ops.dense(x, w), b), *norm))]


@pytest.mark.parametrize("graph, x, shape, left", [
    (folded_conv_pool, IMAGES, (3, 2, 3, 5), ["ConvPool2D"]), (folded_conv, IMAGES, (3, 2, 3, 33), ["Conv2D"]),
    (folded_conv, IMAGES, (3, 2, 3, 2), ["MergedConv2D", "Reshape"]),
    (folded_residual, uniform(N, 6, 5, 16), (3, 3, 16, 16), ["Conv2D"]),
    (folded_residual, uniform(N, 6, 5, 33), (3, 3, 33, 33), ["Conv2D"]),
    (folded_depthwise, IMAGES, (3, 2, 3, 2), ["DepthwiseConv2D"]),
    (folded_depthwise, IMAGES, (3, 2, 3, 1), ["DepthwiseConv2D"]),
    (folded_dense, ROWS, (9, 5), ["Narrow"]), (folded_dense, ROWS, (9, 70), ["Dense"]),
])  # fmt: skip
def test_batch_normalization_goes_into_the_kernel_once(graph, x, shape, left):
    channels = shape[2] * shape[3] if graph is folded_depthwise else shape[-1]
    w, norm = weights(shape, (channels,)), moving(channels)
    plain, fused = (graph(*gathers(x=x), *w, *norm) for _ in range(2))
    fuse.fuse(fused, fuse.INFERENCE)
    prepared = {"MovingCoefficients", "FoldKernel", "FoldBias", "Pack", "Transpose", "Merge", "Repeat"}
    prepared.add("TransformWeights")
    assert [name for name in names(fused) if name not in prepared] == ["Gather", *left]
    feeds = {"x": Feed("f", x[0].size), "y": Feed("f", int(np.prod(fused[0].shape[1:])))}
    out = np.empty((N, *fused[0].shape[1:]), np.float32)
    feeds["x"].set(x)
    feeds["y"].set(out, write=True)
    cursor = Clock()
    program = build([Store(fused[0], "y")], N, Clock(), feeds, cursor=cursor)
    values = object()
    for weight in (*w, *norm):  # whichever changes, all is prepared again
        weight.assign(weight.value + 0.25)
        for kept in (object(), values):
            cursor.cursor = 0
            program.run(threads=2, weights=kept)
            np.testing.assert_allclose(out, run(plain, {"x": x})[0], rtol=1e-5, atol=1e-5)
        values = object()


def test_statistics_of_the_batch_are_not_folded():
    w, norm = weights((9, 5)), moving(5)
    (x,) = gathers(x=ROWS)
    y = ops.batch_normalization(ops.dense(x, w[0]), *norm[2:]).y
    fuse.fuse([y], fuse.INFERENCE)
    assert "Normalize" in names([y])


@pytest.mark.parametrize("graph, labels", [(softmax_sparse, LABELS), (softmax_dense, ONE_HOT)])
def test_one_pass_for_loss_and_gradient_has_the_bits_of_its_unfused_twin(graph, labels):
    def values(patterns):
        w = weights((9, 4))
        targets = graph(*gathers(x=ROWS, y=labels), *w)
        fuse.fuse(targets)
        targets += differentiate(targets[0], w)
        fuse.fuse(targets, patterns)
        return names(targets), run(targets, {"x": ROWS, "y": labels}, threads=2)

    (plain, expected), (fused, got) = values(()), values(fuse.BACKWARD)
    assert [name for name in plain if name not in ("MeanGradient", "SoftmaxCrossentropyGradient")] == fused
    assert all(a.tobytes() == b.tobytes() for a, b in zip(got, expected, strict=True))


def two_branches(x, v, w):
    """The sum of two gradients arrives at an activation that another op applies."""
    y = ops.relu(ops.dense(x, v))
    return [mse(ops.add(y, ops.dense(y, w)))]


def test_the_sum_of_gradients_has_the_bits_of_its_unfused_twin():
    def values(patterns):
        w = weights((9, 40), (40, 40))
        targets = two_branches(*gathers(x=ROWS), *w)
        fuse.fuse(targets)
        targets += differentiate(targets[0], w)
        fuse.fuse(targets, patterns)
        return names(targets), run(targets, {"x": ROWS}, threads=2)

    (plain, expected), (fused, got) = values(()), values(fuse.BACKWARD)
    assert plain.count("Add") == fused.count("Add") + 1
    assert all(a.tobytes() == b.tobytes() for a, b in zip(got, expected, strict=True))


def residual_norms(x, below, v, w, *norm):
    """Two blocks whose shortcuts are x itself and a slice of it, with batch normalisation in each: the gradients of a
    sum, of its activation, and the sums of each normalisation."""
    x = ops.reshape(ops.dense(x, below), (None, 4, 4, 3))
    x = ops.relu(ops.batch_normalization(x, *norm[:1]).y)
    y = ops.batch_normalization(ops.conv2d(x, v, padding=((1, 1), (1, 1))), *norm).y
    y = ops.relu6(ops.add(x, y))
    z = ops.batch_normalization(ops.conv2d(y, w, strides=(2, 2), padding=((1, 0), (1, 0))), *norm).y
    return [mse(ops.relu(ops.add(y[:, ::2, ::2], z)))]


@pytest.mark.parametrize("threads", [1, 3])
def test_gradients_on_their_way_through_blocks_have_the_bits_of_their_unfused_twins(threads):
    def values(patterns):
        w = weights((9, 48), (3, 3, 3, 3), (3, 3, 3, 3), (3,), (3,))
        targets = residual_norms(*gathers(x=ROWS), *w)
        fuse.fuse(targets)
        targets += differentiate(targets[0], w)
        fuse.fuse(targets, patterns)
        return names(targets), run(targets, {"x": ROWS}, threads)

    (plain, expected), (fused, got) = values(()), values(fuse.BACKWARD)
    gone = {name: plain.count(name) - fused.count(name) for name in {*plain, *fused}}
    assert {name: n for name, n in gone.items() if n} == {
        "Add": 2, "ActivationGradient": 2, "GradientSums": 3, "GradientAndSums": -3,
    }  # fmt: skip
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def test_another_gradient_than_that_of_the_mean_needs_its_own_pass():
    w = weights((9, 4))
    loss = softmax_sparse(*gathers(x=ROWS, y=LABELS), *w)[0]
    fuse.fuse([loss])
    scaled = ops.rescale(loss, 3.0)
    (gradient,) = differentiate(scaled, w)
    fuse.fuse([scaled, gradient], fuse.BACKWARD)
    assert "SoftmaxCrossentropyGradient" in names([gradient])


def test_the_sigmoid_is_gone_when_only_its_loss_read_it():
    x, y = gathers(x=ROWS, y=BITS)
    loss = ops.binary_crossentropy(y, ops.sigmoid(ops.dense(x, *weights((9, 4)))))
    fuse.fuse([loss])
    assert "Activation" not in names([loss]) and loss.op.name == "binary_crossentropy_logits"


def test_losses_of_extreme_logits_stay_finite():
    w = Parameter((9, 4), 1e4 * uniform(9, 4), "w")
    for graph, y in ((softmax_sparse, LABELS), (sigmoid_binary, BITS)):
        targets = graph(*gathers(x=ROWS, y=y), w)
        fuse.fuse(targets)
        loss, gradient = run([targets[0], *differentiate(targets[0], [w])], {"x": ROWS, "y": y})
        assert np.isfinite(loss).all() and loss.max() > 100 and np.isfinite(gradient).all() and gradient.any()


def conv_read_twice(x, w, b):
    y = ops.conv2d(x, w)
    return [mse(ops.bias_add(y, b)), mse(y)]


def conv_is_a_target(x, w, b):
    y = ops.conv2d(x, w)
    return [mse(ops.bias_add(y, b)), y]


def activation_of_a_target(x, w, b):
    y = ops.dense(x, w)
    return [mse(ops.tanh(y)), y]


def windows_that_overlap(x, w, b):
    return [mse(ops.max_pool2d(ops.relu(ops.conv2d(x, w)), (2, 2), (1, 1)))]


def sigmoid_before_the_pool(x, w, b):
    return [mse(ops.max_pool2d(ops.sigmoid(ops.conv2d(x, w)), (2, 2), (2, 2)))]


def convolution_before_the_pool_is_a_target(x, w, b):
    y = ops.conv2d(x, w)
    return [mse(ops.max_pool2d(y, (2, 2), (2, 2))), y]


def scale_with_offset(x, w, b):
    return [mse(ops.conv2d(ops.rescale(x, 0.5, 1.0), w))]


def images_read_twice(x, w, b):
    return [mse(ops.conv2d(ops.rescale(x, 0.5), w)), mse(x)]


@pytest.mark.parametrize("graph, x, kept", [
    (conv_read_twice, IMAGES, "BiasAdd"), (conv_is_a_target, IMAGES, "BiasAdd"),
    (activation_of_a_target, ROWS, "Activation"), (windows_that_overlap, IMAGES, "MaxPool2D"),
    (sigmoid_before_the_pool, IMAGES, "MaxPool2D"),
    (convolution_before_the_pool_is_a_target, IMAGES, "MaxPool2D"), (scale_with_offset, IMAGES, "Rescale"),
    (images_read_twice, IMAGES, "Rescale"),
])  # fmt: skip
def test_leaves_alone_what_it_must_not_touch(graph, x, kept):
    w = weights((3, 2, 3, 5) if x is IMAGES else (9, 5), (5,))
    plain, fused = (graph(*gathers(x=x), *w) for _ in range(2))
    fuse.fuse(fused)
    assert kept in names(fused)
    for a, b in zip(run(fused, {"x": x}), run(plain, {"x": x}), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_weights_are_packed_once():
    w = weights((40, 40))[0]
    (x,) = gathers(x=uniform(N, 40))
    y = ops.dense(ops.dense(x, w), w)
    feeds = {"x": Feed("f", 40), "y": Feed("f", 40)}
    store = Store(y, "y")
    assert names([y]).count("Pack") == 2
    build([store], N, Clock(), feeds)
    assert names([y]).count("Pack") == 1
