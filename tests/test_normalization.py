"""Normalization layers: values, gradients and moving statistics in a training step, against float64."""

import json

import numpy as np
import pytest
import reference as ref
from graphs import Constant, differentiate, gathers, run
from harness import uniform

from dlcore import layers, ops
from dlcore.graph.fuse import fuse
from dlcore.graph.program import build
from dlcore.kernels.data import Feed
from dlcore.kernels.executor import Clock
from dlcore.layers.trace import tracing
from dlcore.ops.base import Parameter
from dlcore.ops.data import gather
from dlcore.ops.normalization import MovingAverage


def trained(layer, x, *more, threads=1, steps=1):
    """(y, dx, *gradients of the weights), for the mean of (y - 0.5)^2, and the layer's updates, which have then run
    `steps` times. The layer is called on `more` too."""
    feeds = {f"x{i}": value for i, value in enumerate([x, *more])}
    with tracing(True) as trace:
        symbolic = gathers(**feeds)
        outputs = [layer(a) for a in symbolic]
    found = trace.updates
    losses = [ops.mean_squared_error(Constant(y, 0.5).output, y) for y in outputs]
    loss = losses[0]
    for other in losses[1:]:
        loss = ops.add(loss, other)
    fuse([*outputs, loss])
    values = run([outputs[0], *differentiate(loss, [symbolic[0], *layer.trainable_weights])], feeds, threads)
    sources = {name: Feed("f", value[0].size) for name, value in feeds.items()}
    for name, value in feeds.items():
        sources[name].set(value)
    if found:
        cursor = Clock()
        program = build(found, len(x), Clock(), sources, {}, training=True, cursor=cursor)
        for _ in range(steps):
            cursor.cursor = 0
            program.run(threads=threads)
    return values, found


def built(layer, shape):
    """The layer with weights that are not 0 and 1; statistics that a batch could have."""
    layer(gather("x", shape))
    layer.set_weights([abs(uniform(*w.shape, seed=i + 2)) + 0.5 for i, w in enumerate(layer.weights)])
    return layer


def axes(x):
    return tuple(range(x.ndim - 1))


SHAPES = [(5,), (1,), (4, 3, 6), (7, 9), (3, 2, 2, 17), (20, 20, 65)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("center, scale", [(True, True), (True, False), (False, True), (False, False)])
def test_batch_normalization_in_training(shape, center, scale):
    layer, x = built(layers.BatchNormalization(center=center, scale=scale), shape), 2 * uniform(9, *shape) + 1
    gamma, beta = (w.numpy() if w is not None else d for w, d in ((layer.gamma, 1.0), (layer.beta, 0.0)))
    before = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    (y, dx, *dw), _ = trained(layer, x, threads=2)
    expected = ref.normalize(x, axes(x), gamma, beta)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    dy = 2 * (expected - 0.5) / x.size
    by_x, by_gamma = ref.normalize_gradient(dy, x, axes(x), gamma)
    np.testing.assert_allclose(dx, by_x, rtol=1e-4, atol=2e-6 * abs(dy).max())
    wanted = [ref.bias_gradient(by_gamma)] * scale + [ref.bias_gradient(dy)] * center
    for got, value in zip(dw, wanted, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-6)
    found = layer.moving_mean, layer.moving_variance
    for moving, old, new in zip(found, before, ref.moments(x, axes(x)), strict=True):
        np.testing.assert_allclose(moving.value, old * 0.99 + new.reshape(-1) * 0.01, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("trainable", [True, False])
def test_batch_normalization_in_inference(shape, trainable):
    layer, x = built(layers.BatchNormalization(epsilon=0.01, trainable=trainable), shape), uniform(4, *shape)
    gamma, beta, mean, variance = layer.get_weights()
    expected = (x - mean) / np.sqrt(np.float64(variance) + 0.01) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6, atol=2e-6)
    if trainable:
        return
    (y, dx), found = trained(layer, x)  # frozen, it does in training what it does in inference
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=2e-6)
    dy = 2 * (expected - 0.5) / x.size
    np.testing.assert_allclose(dx, dy * gamma / np.sqrt(np.float64(variance) + 0.01), rtol=1e-5, atol=1e-7)
    assert found == [] and len(layer.non_trainable_weights) == 4


def test_gamma_and_beta_may_be_trained_on_moving_statistics():
    layer, x = built(layers.BatchNormalization(), (5, 6)), uniform(4, 5, 6)
    _, _, mean, variance = layer.get_weights()
    (a,) = gathers(x=x)
    y = layer(a)
    loss = ops.mean_squared_error(Constant(y, 0.5).output, y)
    dgamma, dbeta = run(differentiate(loss, layer.trainable_weights), {"x": x})
    dy = 2 * (np.float64(layer(x)) - 0.5) / x.size
    xhat = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(dgamma, ref.bias_gradient(dy * xhat), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(dbeta, ref.bias_gradient(dy), rtol=1e-4, atol=1e-6)


def test_the_weights_are_in_the_order_of_keras():
    layer = built(layers.BatchNormalization(name="me"), (3, 4))
    assert [w.name for w in layer.weights] == ["me/gamma", "me/beta", "me/moving_mean", "me/moving_variance"]
    assert layer.trainable_weights == layer.weights[:2] and layer.non_trainable_weights == layer.weights[2:]
    fresh = layers.BatchNormalization()
    fresh(gather("x", (2,)))
    np.testing.assert_array_equal(fresh.get_weights(), [[1, 1], [0, 0], [0, 0], [1, 1]])


def test_moving_statistics_follow_step_by_step():
    layer, x = built(layers.BatchNormalization(momentum=0.9), (3, 4)), uniform(5, 3, 4) + 2
    expected = layer.moving_mean.numpy().astype(np.float64)
    for _ in range(10):
        expected = 0.9 * expected + 0.1 * x.mean(axis=(0, 1), dtype=np.float64)
    trained(layer, x, steps=10)
    np.testing.assert_allclose(layer.moving_mean.value, expected, rtol=1e-5)


@pytest.mark.parametrize("c", [5, 1500])
def test_a_shared_layer_follows_both_of_its_batches_in_order(c):
    layer, x, z = built(layers.BatchNormalization(momentum=0.5), (c,)), uniform(6, c), uniform(6, c, seed=9) + 3
    before = layer.moving_mean.numpy()
    trained(layer, x, z, threads=2)
    np.testing.assert_allclose(layer.moving_mean.value, before / 4 + x.mean(axis=0) / 4 + z.mean(axis=0) / 2, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 6, 25])
def test_the_same_bits_for_any_number_of_threads(batch):
    x, first = uniform(batch, 13, 11, 37), None
    for threads in (1, 2, 3, 4):
        layer = built(layers.BatchNormalization(), (13, 11, 37))
        values, _ = trained(layer, x, threads=threads)
        found = [value.tobytes() for value in (*values, *layer.get_weights())]
        first = first or found
        assert found == first


def test_one_sample_of_one_position_gives_beta():
    layer = built(layers.BatchNormalization(), (4,))
    x = uniform(1, 4)
    (y, dx, *_), _ = trained(layer, x)
    np.testing.assert_allclose(y, layer.beta.value[None], rtol=1e-6)
    np.testing.assert_allclose(dx, 0, atol=1e-5)


def test_a_moving_average_of_anything():
    p, x = Parameter((3,), np.ones(3), "p"), uniform(4, 5, 3)
    (a,) = gathers(x=x)
    _, mean, _ = ops.batch_normalization(a)
    source = Feed("f", 15)
    source.set(x)
    build([MovingAverage(p, mean, 0.75)], 4, Clock(), {"x": source}, {}).run()
    np.testing.assert_allclose(p.value, 0.75 + 0.25 * x.mean(axis=(0, 1)), rtol=1e-6)


def by_group(groups):
    """x (n, ..., c) as (n, ..., groups, c / groups), and the axes that share a mean."""

    def apart(x):
        return x.reshape(*x.shape[:-1], groups, -1), (*range(1, x.ndim - 1), x.ndim)

    return apart


def last(count):
    return lambda x: (x, tuple(range(-count, 0)))


ALIKE = [  # layer class, arguments, shape of a sample, shape of the weights, how the reference sees x
    ("LayerNormalization", dict(), (5, 17), (17,), last(1)),
    ("LayerNormalization", dict(axis=[1, 3, 2]), (4, 3, 6), (4, 3, 6), last(3)),
    ("LayerNormalization", dict(axis=(-1, -2)), (4, 3, 6), (3, 6), last(2)),
    ("GroupNormalization", dict(), (5, 4, 64), (64,), by_group(32)),
    ("GroupNormalization", dict(groups=3), (12,), (12,), by_group(3)),
    ("GroupNormalization", dict(groups=-1), (7, 6, 9), (9,), by_group(9)),
    ("GroupNormalization", dict(groups=1), (7, 6, 9), (9,), by_group(1)),
]


@pytest.mark.parametrize("name, arguments, shape, weights, seen", ALIKE)
@pytest.mark.parametrize("center, scale", [(True, True), (True, False), (False, True), (False, False)])
def test_layer_and_group(name, arguments, shape, weights, seen, center, scale):
    layer = built(getattr(layers, name)(**arguments, center=center, scale=scale), shape)
    x = 2 * uniform(7, *shape) + 1
    assert [w.shape for w in layer.weights] == [weights] * (center + scale)
    gamma, beta = (w.numpy() if w is not None else d for w, d in ((layer.gamma, 1.0), (layer.beta, 0.0)))
    apart, axes = seen(x)
    expected = ref.normalize(apart, axes).reshape(x.shape) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)
    (y, dx, *dw), _ = trained(layer, x, threads=2)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    dy = 2 * (expected - 0.5) / x.size
    by_x, _ = ref.normalize_gradient((dy * gamma).reshape(apart.shape), apart, axes)
    np.testing.assert_allclose(dx, by_x.reshape(x.shape), rtol=1e-4, atol=4e-6 * abs(dy).max())
    lead = tuple(range(x.ndim - len(weights)))
    by_gamma = dy * ref.normalize(apart, axes).reshape(x.shape)
    wanted = [by_gamma.sum(axis=lead)] * scale + [dy.sum(axis=lead)] * center
    for got, value in zip(dw, wanted, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis, shape", [(-1, (5, 17)), ([1, 2], (5, 17)), ([-1], (130,))])
def test_rms_and_unit(axis, shape):
    x, axes = uniform(6, *shape) + 0.2, tuple(axis) if isinstance(axis, list) else axis
    layer = built(layers.RMSNormalization(axis=axis), shape)
    square = (x.astype(np.float64) ** 2).sum(axis=axes, keepdims=True)
    mean = (x.astype(np.float64) ** 2).mean(axis=axes, keepdims=True)
    np.testing.assert_allclose(layer(x), x / np.sqrt(mean + 1e-6) * layer.scale.value, rtol=1e-5)
    np.testing.assert_allclose(layers.UnitNormalization(axis=axis)(x), x / np.sqrt(square), rtol=1e-5)
    (y, dx, dscale), _ = trained(layer, x)
    dy, hat = 2 * (np.float64(y) - 0.5) / x.size, x / np.sqrt(mean + 1e-6)
    lead = tuple(range(x.ndim - layer.scale.ndim))
    np.testing.assert_allclose(dscale, (dy * hat).sum(axis=lead), rtol=1e-4, atol=1e-6)
    g = dy * layer.scale.value
    expected = (g - hat * (g * hat).mean(axis=axes, keepdims=True)) / np.sqrt(mean + 1e-6)
    np.testing.assert_allclose(dx, expected, rtol=1e-3, atol=1e-6)


REFUSED = [  # layer class, arguments, what the message says
    ("BatchNormalization", dict(momentum=1.5), r"me: momentum must be a number in \[0, 1\]. Received: momentum=1.5"),
    ("BatchNormalization", dict(epsilon=-1), "me: epsilon must be a number of at least 0. Received: epsilon=-1"),
    ("BatchNormalization", dict(epsilon="a"), "me: epsilon must be a number of at least 0. Received: epsilon='a'"),
    ("BatchNormalization", dict(axis=1.5), "me: axis must be a whole number. Received: axis=1.5"),
    ("BatchNormalization", dict(renorm=True), "me: renorm must be False. Received: renorm=True"),
    ("BatchNormalization", dict(synchronized=True), "me: synchronized must be False. Received: synchronized=True"),
    *[
        ("GroupNormalization", dict(groups=bad), f"me: groups must be a .* or -1. Received: groups={bad!r}")
        for bad in (0, -2, 1.5, True, None)
    ],
    ("RMSNormalization", dict(epsilon=None), "me: epsilon must be a number of at least 0. Received: epsilon=None"),
]


@pytest.mark.parametrize("name, arguments, message", REFUSED, ids=lambda value: str(value)[:40])
def test_refuses_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")


@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization", "UnitNormalization"])
@pytest.mark.parametrize("axis", ["a", 1.5, [1, None], True])
def test_refuses_an_axis_that_is_no_number(name, axis):
    with pytest.raises(TypeError, match=r"me: axis must be a whole number or a list of them. Received: axis="):
        getattr(layers, name)(axis=axis, name="me")


LAST = "me: axis must name the last axis or the last few, without the batch. Received: axis="
UNFIT = [  # layer class, arguments, shape of a sample it cannot take, what the message says
    ("BatchNormalization", dict(axis=1), (4, 4, 3), r"me: axis must be -1, .*axis=1 for .*\(None, 4, 4, 3\)"),
    ("BatchNormalization", dict(), (), r"me: expected an input of shape \(batch, ..., channels\). Received: \(None,\)"),
    ("GroupNormalization", dict(groups=4), (4, 6), r"me: the number of channels must be .*groups=4 .*\(None, 4, 6\)"),
    ("GroupNormalization", dict(), (4, 6), r"me: the number of channels must be .*groups=32 .*\(None, 4, 6\)"),
    ("LayerNormalization", dict(axis=1), (4, 6), LAST + r"1 .*\(None, 4, 6\)"),
    ("LayerNormalization", dict(axis=[0, 1, 2]), (4, 6), LAST + r"\[0, 1, 2\]"),
    ("LayerNormalization", dict(axis=[]), (4, 6), LAST + r"\[\]"),
    ("UnitNormalization", dict(axis=-4), (4, 6), LAST + "-4"),
    ("RMSNormalization", dict(axis=[2, 2]), (4, 6), LAST),
]


@pytest.mark.parametrize("name, arguments, shape, message", UNFIT)
def test_refuses_inputs(name, arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")(gather("x", shape))


@pytest.mark.parametrize("name", ["BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization"])
def test_a_built_layer_refuses_other_channels(name):
    layer = built(getattr(layers, name)(name="me"), (4, 32))
    with pytest.raises(ValueError, match=r"me: expected an input of shape .*32.*Received: \(None, 4, 33\)"):
        layer(gather("x", (4, 33)))


DATA = [  # axis, shape of a sample
    (-1, (5, 4, 3)), (-1, (7,)), (None, (5, 4, 3)), (None, (3,)), ((1, 3), (5, 4, 3)), (2, (5, 4, 3)),
    ((-1, 1, 2), (5, 4, 3)), (1, (30, 90)), (-1, (20, 300)),
]  # fmt: skip


@pytest.mark.parametrize("axis, shape", DATA)
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_adapts_and_inverts(axis, shape, invert):
    x = 3 * uniform(50, *shape) + 100
    layer = layers.Normalization(axis=axis, invert=invert)
    layer.adapt(x)
    kept = [] if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    mean, variance = ref.moments(x, tuple(a for a in range(x.ndim) if a not in kept))
    sizes = tuple(x.shape[a] for a in sorted(kept))
    assert [w.shape for w in layer.weights] == [sizes, sizes, ()] and layer.trainable_weights == []
    np.testing.assert_allclose(layer.mean.value, mean.reshape(sizes), rtol=1e-6)
    np.testing.assert_allclose(layer.variance.value, variance.reshape(sizes), rtol=1e-6)
    expected = x * np.sqrt(variance) + mean if invert else (x - mean) / np.sqrt(variance)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=2e-5)
    given = layers.Normalization(axis=axis, invert=invert, mean=mean.reshape(sizes), variance=variance.reshape(sizes))
    np.testing.assert_allclose(given(x), expected, rtol=1e-5, atol=2e-5)
    again = layers.Normalization.from_config(json.loads(json.dumps(given.get_config())))
    np.testing.assert_array_equal(again(x), given(x))
    assert given.weights == []
    (y, dx), _ = trained(given, x)
    factor = np.sqrt(variance) if invert else 1 / np.sqrt(variance)
    np.testing.assert_allclose(dx, 2 * (y - 0.5) / x.size * factor, rtol=1e-4)


def test_adapt_takes_batches_bytes_and_large_means():
    x = (np.random.default_rng(0).integers(0, 256, (90, 4, 5, 3))).astype(np.uint8)
    whole, parts, pairs = layers.Normalization(), layers.Normalization(), layers.Normalization()
    whole.adapt(x)
    parts.adapt([x[:7], x[7:8], x[8:]])
    pairs.adapt((x[i : i + 9], None) for i in range(0, 90, 9))
    for layer in (whole, parts, pairs):
        np.testing.assert_allclose(layer.mean.value, x.mean(axis=(0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(layer.variance.value, x.var(axis=(0, 1, 2)), rtol=1e-6)
    x = 1e6 + np.random.default_rng(1).standard_normal((400, 2))
    parts = layers.Normalization()
    parts.adapt([x[:100], x[100:]])
    np.testing.assert_allclose(parts.variance.value, x.var(axis=0), rtol=1e-6)
    parts.adapt(x[:50])  # anew
    np.testing.assert_allclose(parts.variance.value, x[:50].var(axis=0), rtol=1e-6)
    parts.set_weights([np.zeros(2), np.full(2, 4), 0])  # what is prepared of them follows
    np.testing.assert_allclose(parts(np.ones((1, 2), np.float32)), [[0.5, 0.5]])


def test_a_constant_column_is_not_divided_by_zero():
    layer = layers.Normalization()
    layer.adapt(np.ones((5, 2)))
    np.testing.assert_array_equal(layer(np.ones((3, 2), np.float32)), np.zeros((3, 2)))


@pytest.mark.parametrize("scale, offset", [
    ([1, 2, 3], 0), (2.0, [1, 2, 3]), (np.arange(12).reshape(4, 3), [[1], [2], [3], [4]]), (np.ones((1, 1, 1, 3)), 1),
])  # fmt: skip
def test_rescaling_by_arrays(scale, offset):
    layer, x = layers.Rescaling(scale, offset), uniform(6, 5, 4, 3)
    np.testing.assert_allclose(layer(x), x * np.asarray(scale) + np.asarray(offset), rtol=1e-6, atol=1e-6)
    again = layers.Rescaling.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(again(x), layer(x))
    (_, dx), _ = trained(layer, x)
    assert dx.shape == x.shape


@pytest.mark.parametrize("make, message", [
    (lambda: layers.Rescaling("a", name="me"), "me: scale must be a number or an array of them. Received: scale='a'"),
    (lambda: layers.Rescaling(1, [np.nan], name="me"), r"me: offset must be a number or an array .*offset=\[nan\]"),
    (lambda: layers.Rescaling([1, 2], name="me")(np.ones((2, 3))), r"me: scale and offset must fit .*\(None, 3\)"),
    (lambda: layers.Rescaling(np.ones((2, 3)), name="me")(np.ones((2, 3))), r"me: scale and offset must fit"),
    (lambda: layers.Normalization(axis=1.5, name="me"), "me: axis must be whole numbers or None. Received: axis=1.5"),
    (lambda: layers.Normalization(mean=1, name="me"), "me: mean and variance must be given both .*variance=None"),
    (lambda: layers.Normalization(mean="a", variance=1, name="me"), "me: mean must be a number or an array"),
    (lambda: layers.Normalization(mean=1, variance=[1, 2], name="me"), r"me: mean and variance must have one shape"),
    (lambda: layers.Normalization(None, [1], [1], name="me"), r"me: mean and variance must have one shape"),
    (lambda: layers.Normalization(mean=[1, 2], variance=[1, 2], name="me")(np.ones((2, 3))), r"me: .* sizes \(3,\)"),
    (lambda: layers.Normalization(mean=1, variance=1, name="me").adapt(np.ones((2, 3))), "me: adapt cannot change"),
    (lambda: layers.Normalization(axis=0, name="me").adapt(np.ones((2, 3))), r"me: axis must name axes .*\(0,\)"),
    (lambda: layers.Normalization(axis=(1, -1), name="me")(np.ones((2, 3))), r"me: axis must name axes .*each once"),
    (lambda: layers.Normalization(name="me").adapt([]), "me: adapt needs at least one sample"),
    (lambda: layers.Normalization(name="me").adapt([np.ones((2, 3)), np.ones((2, 4))]), r"me: expected data of sizes"),
])  # fmt: skip
def test_preprocessing_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_normalization_refuses_what_holds_no_arrays_and_other_inputs():
    layer = layers.Normalization(name="me")
    with pytest.raises(TypeError, match=r"me: adapt takes an array or an iterable of batches. Received: int"):
        layer.adapt(3)
    layer.adapt(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"me: expected an input of sizes \(3,\) along axes \(-1,\).*\(None, 4\)"):
        layer(np.ones((2, 4)))


def test_a_call_by_hand_moves_the_statistics_in_training_only():
    layer = layers.BatchNormalization(momentum=0.0)
    x = np.random.default_rng(0).normal(5, 10, (50, 3)).astype(np.float32)
    layer(x)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), 0)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x.var(0), rtol=1e-5)
    np.testing.assert_allclose(layer(x), layer(x, training=True), atol=1e-5)
    np.testing.assert_array_equal(np.asarray(layer.gamma), 1)
