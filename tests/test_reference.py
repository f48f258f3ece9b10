"""The float64 reference against finite differences, independent definitions, hand values and published vectors."""

import itertools
import math

import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal


def normal(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape)


def distinct(*shape):
    """Values at least 0.1 apart and 0.05 from zero, so that a small step meets no kink."""
    size = math.prod(shape)
    return (np.random.default_rng(size).permutation(size).reshape(shape) - size // 2 + 0.5) / 10


def check_gradient(forward, x, gradient, h=1e-5):
    """gradient(dy) against central differences of sum(forward(x) * dy), for every element of x."""
    dy = np.random.default_rng(7).normal(size=np.shape(forward(x)))
    numeric = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        numeric[i] = ((forward(x + step) - forward(x - step)) * dy).sum() / (2 * h)
    got = gradient(dy)
    assert got.shape == x.shape and got.dtype == np.float64
    assert_allclose(got, numeric, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------------------------------------------------------------
# Dense


@pytest.mark.parametrize("lead", [(1,), (5,), (2, 3)])
def test_dense(lead):
    x, w, b = normal(*lead, 7), normal(7, 3), normal(3)
    y = ref.dense(x, w, b)
    expected = np.zeros((*lead, 3))
    for i, o in itertools.product(range(7), range(3)):
        expected[..., o] += x[..., i] * w[i, o]
    assert_allclose(y, expected + b)
    assert_allclose(ref.matmul(x, w), ref.dense(x, w))
    check_gradient(lambda x: ref.dense(x, w, b), x, lambda dy: ref.dense_input_gradient(dy, w))
    check_gradient(lambda w: ref.dense(x, w, b), w, lambda dy: ref.dense_weight_gradient(x, dy))
    check_gradient(lambda b: ref.dense(x, w, b), b, ref.bias_gradient)


def test_inputs_are_cast_to_float64():
    x = np.full((1, 3), 16777217, dtype=np.int64)  # 2^24 + 1, not a float32
    assert_array_equal(ref.dense(x, np.ones((3, 1), np.float32)), [[3 * 16777217]])


# ---------------------------------------------------------------------------------------------------------------------
# Windows


@pytest.mark.parametrize(
    "args, expected",
    [
        ((28, 3, 1), (1, 1)),
        ((28, 3, 2), (0, 1)),
        ((7, 3, 2), (1, 1)),
        ((5, 2, 1), (0, 1)),
        ((10, 3, 3), (1, 1)),
        ((9, 1, 2), (0, 0)),
        ((28, 3, 1, 2), (2, 2)),
        ((224, 7, 2), (2, 3)),
    ],
)
def test_same_padding(args, expected):
    assert ref.same_padding(*args) == expected


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_same_padding_keeps_size_over_stride(size, kernel, stride, dilation):
    padding = ref.same_padding(size, kernel, stride, dilation)
    assert 0 <= padding[0] <= padding[1] <= padding[0] + 1
    assert ref.out_size(size, kernel, stride, padding, dilation) == math.ceil(size / stride)


def test_out_size():
    assert ref.out_size(28, 3) == 26
    assert ref.out_size(28, 3, 2) == 13
    assert ref.out_size(5, 3, 1, (2, 1), 2) == 4
    with pytest.raises(ValueError, match="does not fit"):
        ref.out_size(4, 5)


# ---------------------------------------------------------------------------------------------------------------------
# Convolution

P0 = ref.NO_PADDING
CONV = [  # x_shape, (kh, kw), oc, strides, padding, dilation, groups
    ((1, 1, 1, 1), (1, 1), 1, (1, 1), P0, (1, 1), 1),
    ((2, 5, 4, 3), (3, 3), 2, (1, 1), P0, (1, 1), 1),
    ((2, 5, 7, 2), (3, 2), 3, (1, 1), ((1, 1), (0, 1)), (1, 1), 1),
    ((1, 7, 6, 2), (3, 3), 2, (2, 3), ((0, 1), (2, 1)), (1, 1), 1),  # stride leaves a row unread
    ((1, 8, 7, 2), (3, 2), 2, (1, 2), ((2, 1), (1, 3)), (2, 3), 1),
    ((2, 4, 5, 4), (2, 3), 6, (1, 1), ((0, 0), (1, 1)), (1, 1), 2),
    ((1, 5, 5, 3), (3, 3), 6, (2, 1), ((1, 1), (1, 1)), (1, 2), 3),  # depthwise, multiplier 2
    ((1, 3, 3, 2), (1, 1), 3, (2, 2), P0, (1, 1), 1),
    ((1, 2, 2, 1), (5, 5), 2, (1, 1), ((2, 2), (3, 1)), (1, 1), 1),  # kernel larger than image
]


def conv2d_direct(x, w, b, strides, padding, dilation, groups):
    """Seven loops over numbers, straight from the definition."""
    (n, ih, iw, _), (kh, kw, icg, oc) = x.shape, w.shape
    (top, bottom), (left, right) = padding
    oh = len(range(-top, ih + bottom - (kh - 1) * dilation[0], strides[0]))
    ow = len(range(-left, iw + right - (kw - 1) * dilation[1], strides[1]))
    y = np.zeros((n, oh, ow, oc))
    for s, oy, ox, o in np.ndindex(y.shape):
        y[s, oy, ox, o] = b[o]
        for ky, kx, i in np.ndindex(kh, kw, icg):
            iy = oy * strides[0] + ky * dilation[0] - top
            ix = ox * strides[1] + kx * dilation[1] - left
            if 0 <= iy < ih and 0 <= ix < iw:
                y[s, oy, ox, o] += x[s, iy, ix, o // (oc // groups) * icg + i] * w[ky, kx, i, o]
    return y


@pytest.mark.parametrize("x_shape, kernel, oc, strides, padding, dilation, groups", CONV)
def test_conv2d(x_shape, kernel, oc, strides, padding, dilation, groups):
    how = strides, padding, dilation, groups
    x, w, b = normal(*x_shape), normal(*kernel, x_shape[-1] // groups, oc), normal(oc)
    assert_allclose(ref.conv2d(x, w, b, *how), conv2d_direct(x, w, b, *how), atol=1e-12)
    check_gradient(lambda x: ref.conv2d(x, w, b, *how), x, lambda dy: ref.conv2d_input_gradient(dy, w, x.shape, *how))
    check_gradient(lambda w: ref.conv2d(x, w, b, *how), w, lambda dy: ref.conv2d_weight_gradient(x, dy, w.shape, *how))
    check_gradient(lambda b: ref.conv2d(x, w, b, *how), b, ref.bias_gradient)


small = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(small, st.tuples(st.integers(1, 6), st.integers(1, 6)), small, small, st.tuples(small, small), st.integers(1, 3))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_conv2d_any_geometry(kernel, size, strides, dilation, padding, groups):
    if any(size[a] + sum(padding[a]) <= (kernel[a] - 1) * dilation[a] for a in (0, 1)):
        return
    how = strides, padding, dilation, groups
    x, w, b = normal(1, *size, groups), normal(*kernel, 1, 2 * groups), np.zeros(2 * groups)
    y = ref.conv2d(x, w, b, *how)
    assert_allclose(y, conv2d_direct(x, w, b, *how), atol=1e-12)
    dy = normal(*y.shape)  # y is linear in x and in w, so both gradients must return the same sum
    assert_allclose((ref.conv2d_input_gradient(dy, w, x.shape, *how) * x).sum(), (dy * y).sum(), atol=1e-10)
    assert_allclose((ref.conv2d_weight_gradient(x, dy, w.shape, *how) * w).sum(), (dy * y).sum(), atol=1e-10)


def test_conv2d_refuses_wrong_groups():
    with pytest.raises(ValueError, match="groups"):
        ref.conv2d(normal(1, 3, 3, 4), normal(1, 1, 2, 3), groups=2)


# ---------------------------------------------------------------------------------------------------------------------
# Normalisation


@pytest.mark.parametrize("axes, sizes", [((0, 1, 2), (5,)), ((3,), (5,)), ((1, 2, 3), (4, 3, 5)), ((1, 2), (5,))])
def test_normalize(axes, sizes):
    x, gamma, beta = normal(2, 4, 3, 5), normal(*sizes), normal(*sizes[::-1]).reshape(sizes)
    y = ref.normalize(x, axes, epsilon=0)
    assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    assert_allclose(y.var(axis=axes), 1)
    assert_allclose(ref.normalize(x, axes, gamma, beta, 0), y * gamma + beta)
    lead, gradient = tuple(range(x.ndim - gamma.ndim)), ref.normalize_gradient
    check_gradient(lambda x: ref.normalize(x, axes, gamma, beta), x, lambda dy: gradient(dy, x, axes, gamma)[0])
    check_gradient(lambda g: ref.normalize(x, axes, g), gamma, lambda dy: gradient(dy, x, axes)[1].sum(axis=lead))


# ---------------------------------------------------------------------------------------------------------------------
# Pooling

POOL = [  # x_shape, pool, strides, padding
    ((1, 1, 1, 1), (1, 1), (1, 1), P0),
    ((2, 4, 6, 3), (2, 2), (2, 2), P0),
    ((1, 5, 7, 2), (2, 3), (2, 3), P0),  # a row and a column are left over
    ((2, 5, 6, 2), (3, 3), (1, 2), P0),  # overlapping
    ((1, 5, 4, 2), (3, 2), (2, 1), ((1, 1), (0, 1))),
    ((1, 7, 5, 1), (2, 2), (3, 3), ((0, 1), (1, 0))),  # gaps between windows
    ((1, 3, 3, 2), (3, 3), (1, 1), ((2, 1), (1, 2))),
]


def padded_windows(x, pool, strides, padding):
    """(n, oh, ow, c, kh * kw) windows of x, NaN outside the image."""
    x = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(x, pool, axis=(1, 2))[:, :: strides[0], :: strides[1]]
    return windows.reshape(*windows.shape[:4], -1)


@pytest.mark.parametrize("x_shape, pool, strides, padding", POOL)
def test_max_pool2d(x_shape, pool, strides, padding):
    how = pool, strides, padding
    x = distinct(*x_shape) - 100  # all negative: a zero in the padding would win
    windows = padded_windows(x, *how)
    y, index = ref.max_pool2d(x, *how)
    assert_array_equal(y, np.nanmax(windows, axis=-1))
    assert_array_equal(index, np.nanargmax(windows, axis=-1))
    assert index.dtype == np.uint8
    check_gradient(
        lambda x: ref.max_pool2d(x, *how)[0], x, lambda dy: ref.max_pool2d_gradient(dy, index, x.shape, *how)
    )


def test_max_pool2d_corner_cases():
    nan, inf = np.nan, np.inf

    def pool(*values, padding=P0):
        x = np.reshape(values, (1, 2, 2, 1))
        y, index = ref.max_pool2d(x, (2, 2), (2, 2), padding)
        return y.ravel().tolist(), index.ravel().tolist()

    assert pool(1.0, 3.0, 3.0, 2.0) == ([3.0], [1])  # a tie goes to the first
    assert pool(-inf, -inf, -inf, -inf) == ([-inf], [0])
    assert pool(-inf, -1.0, -2.0, -3.0, padding=((1, 1), (1, 1))) == ([-inf, -1.0, -2.0, -3.0], [3, 2, 1, 0])
    y, index = pool(inf, nan, 5.0, nan)
    assert np.isnan(y) and index == [1]  # the first NaN
    y, index = pool(nan, 1.0, 2.0, 3.0)
    assert np.isnan(y) and index == [0]


def test_pool_refuses_windows_of_padding_only():
    x = normal(1, 2, 2, 1)
    for pool2d in ref.max_pool2d, ref.avg_pool2d:
        with pytest.raises(ValueError, match="only padding"):
            pool2d(x, (2, 2), (2, 2), ((2, 0), (0, 0)))


@pytest.mark.parametrize("x_shape, pool, strides, padding", POOL)
def test_avg_pool2d(x_shape, pool, strides, padding):
    how = pool, strides, padding
    x = normal(*x_shape)
    assert_allclose(ref.avg_pool2d(x, *how), np.nanmean(padded_windows(x, *how), axis=-1))
    check_gradient(lambda x: ref.avg_pool2d(x, *how), x, lambda dy: ref.avg_pool2d_gradient(dy, x.shape, *how))


# ---------------------------------------------------------------------------------------------------------------------
# Activations


@pytest.mark.parametrize("name", ["relu", "relu6", "sigmoid", "tanh", "softmax"])
@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 3, 5)])
def test_activation_gradient(name, shape):
    forward, gradient = getattr(ref, name), getattr(ref, name + "_gradient")
    x = distinct(*shape)
    check_gradient(forward, x, lambda dy: gradient(dy, forward(x)))


def test_activation_values():
    assert_array_equal(ref.relu([-1.0, 0.0, 2.0, np.inf, np.nan]), [0.0, 0.0, 2.0, np.inf, np.nan])
    assert_array_equal(ref.relu_gradient([1.0, 2.0, 3.0, 4.0], [0.0, 0.5, np.nan, 0.0]), [0.0, 2.0, 3.0, 0.0])
    assert_array_equal(ref.relu6([-1.0, 2.0, 6.0, np.inf, np.nan]), [0.0, 2.0, 6.0, 6.0, np.nan])
    assert_array_equal(ref.relu6_gradient([1.0, 2.0, 3.0, 4.0], [0.0, 0.5, np.nan, 6.0]), [0.0, 2.0, 3.0, 0.0])
    assert_allclose(ref.sigmoid([-1000.0, -math.log(3), 0.0, math.log(3), 1000.0]), [0.0, 0.25, 0.5, 0.75, 1.0])
    assert_allclose(ref.tanh([0.5]), [math.tanh(0.5)])
    assert np.isnan(ref.sigmoid(np.nan)) and np.isnan(ref.tanh(np.nan))


def test_softmax_values():
    assert_allclose(ref.softmax(normal(4, 5, 6) * 50).sum(axis=-1), np.ones((4, 5)))
    assert_allclose(ref.softmax(np.log([[1.0, 2.0, 5.0]])), [[0.125, 0.25, 0.625]])
    assert_allclose(ref.softmax([1000.0, 1000.0, -1000.0]), [0.5, 0.5, 0.0])
    assert np.isnan(ref.softmax([0.0, np.nan, 1.0])).all()


# ---------------------------------------------------------------------------------------------------------------------
# Losses


def targets(name, shape):
    rng = np.random.default_rng(3)
    if name in ("sparse_categorical_crossentropy", "softmax_cross_entropy"):
        return rng.integers(shape[-1], size=shape[:-1])
    return rng.random(shape)  # soft labels that do not sum to 1


LOSSES = {
    "sparse_categorical_crossentropy": 0.05 + 0.9 * np.random.default_rng(1).random((2, 3, 5)),
    "categorical_crossentropy": 0.05 + 0.9 * np.random.default_rng(2).random((2, 3, 5)),
    "binary_crossentropy": 0.05 + 0.9 * np.random.default_rng(3).random((2, 3, 5)),
    "softmax_cross_entropy": normal(2, 3, 5),
    "softmax_cross_entropy_dense": normal(2, 3, 5),
    "binary_crossentropy_logits": distinct(2, 3, 5),
    "mean_squared_error": normal(2, 3, 5),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [np.s_[0, :1], np.s_[1], np.s_[:], np.s_[:, :, :1]])
def test_loss_gradient(name, rows):
    loss, gradient = getattr(ref, name), getattr(ref, name + "_gradient")
    p = LOSSES[name][rows]
    y = targets(name, p.shape)
    assert loss(y, p).shape == p.shape[:-1]
    check_gradient(lambda p: loss(y, p), p, lambda dloss: gradient(dloss, y, p))


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"])
def test_loss_gradient_where_clipped(name):
    loss, gradient = getattr(ref, name), getattr(ref, name + "_gradient")
    p = np.array([[1.5, -0.3, 0.4], [-0.2, 0.6, 1.1], [0.3, -0.1, 0.9]])
    y = np.array([0, 0, 2]) if name.startswith("sparse") else targets(name, p.shape)
    check_gradient(lambda p: loss(y, p), p, lambda dloss: gradient(dloss, y, p))


def test_loss_values():
    log = math.log
    p = [[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]]
    assert_allclose(ref.sparse_categorical_crossentropy([1, 0], p), [log(2), -log(1e-7)])
    assert_allclose(ref.sparse_categorical_crossentropy([1], [[0.0, 1.0]]), [2**-23], rtol=1e-6)
    assert_allclose(ref.sparse_categorical_crossentropy([1, 0], [[1.0, 3.0], [0.0, 5.0]]), [log(4 / 3), -log(1e-7)])
    assert_allclose(ref.categorical_crossentropy([[0, 1, 0], [0.5, 0.5, 0]], np.multiply(p, 3))[0], log(2))
    assert_allclose(ref.categorical_crossentropy([[1.0, 0.0]], [[2.0, 6.0]]), [log(4)])
    logits = np.log([[1.0, 2.0, 5.0]])
    assert_allclose(ref.softmax_cross_entropy([1], logits), [log(4)])
    assert_allclose(ref.softmax_cross_entropy([1], [[0.0, -5000.0]]), [5000.0])  # no clip
    assert_allclose(ref.softmax_cross_entropy_dense([[0.5, 0.5, 0]], logits), [0.5 * log(8) + 0.5 * log(4)])
    assert_allclose(ref.binary_crossentropy([[1.0, 0.0]], [[0.25, 0.5]]), [(log(4) + log(2)) / 2])
    assert_allclose(ref.binary_crossentropy([[1.0], [0.0]], [[0.0], [1.0]]), [-log(1e-7), 23 * log(2)])
    assert_allclose(ref.binary_crossentropy_logits([[1.0, 0.0]], [[-log(3), 0.0]]), [(log(4) + log(2)) / 2])
    assert_allclose(ref.binary_crossentropy_logits([[1.0, 0.0]], [[-800.0, -800.0]]), [400.0])
    assert_allclose(ref.mean_squared_error([[1.0, 2.0]], [[4.0, 3.0]]), [5.0])


@pytest.mark.parametrize("name", LOSSES)
def test_loss_nan(name):
    p = LOSSES[name][0].copy()
    y = targets(name, p.shape)
    p[0] = np.nan
    loss, dp = getattr(ref, name)(y, p), getattr(ref, name + "_gradient")(np.ones(3), y, p)
    assert_array_equal(np.isnan(loss), [True, False, False])
    assert_array_equal(np.isnan(dp).any(axis=-1), [True, False, False])


def test_loss_twins():
    z, labels = normal(4, 5), np.array([0, 4, 2, 2])
    p, hot, ones = ref.softmax(z), np.eye(5)[labels], np.ones(4)
    from_logits = ref.softmax_cross_entropy(labels, z)
    assert_allclose(from_logits, ref.softmax_cross_entropy_dense(hot, z))
    assert_allclose(from_logits, ref.sparse_categorical_crossentropy(labels, p))
    assert_allclose(from_logits, ref.categorical_crossentropy(hot, p))
    dz = ref.softmax_cross_entropy_gradient(ones, labels, z)
    assert_allclose(dz, ref.softmax_cross_entropy_dense_gradient(ones, hot, z))
    dp = ref.sparse_categorical_crossentropy_gradient(ones, labels, p)
    assert_allclose(dz, ref.softmax_gradient(dp, p), atol=1e-15)
    dp = ref.categorical_crossentropy_gradient(ones, hot, p)
    assert_allclose(dz, ref.softmax_gradient(dp, p), atol=1e-15)
    s = ref.sigmoid(z)
    assert_allclose(ref.binary_crossentropy_logits(hot, z), ref.binary_crossentropy(hot, s))
    ds = ref.binary_crossentropy_gradient(ones, hot, s)
    assert_allclose(ref.binary_crossentropy_logits_gradient(ones, hot, z), ref.sigmoid_gradient(ds, s), atol=1e-15)


# ---------------------------------------------------------------------------------------------------------------------
# Metrics


def test_metrics():
    p = [[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.3, 0.3, 0.4]]
    assert_array_equal(ref.sparse_categorical_accuracy([1, 1, 2], p), [1, 0, 1])  # a tie goes to the first
    assert_array_equal(ref.categorical_accuracy(np.eye(3)[[1, 0, 0]], p), [1, 1, 0])
    assert_array_equal(ref.binary_accuracy([[0, 1], [1, 1]], [[0.5, 0.6], [0.5, 0.51]]), [1, 0.5])  # 0.5 counts as 0
    assert_array_equal(ref.binary_accuracy([[0], [1]], [[0.7], [0.9]], threshold=0.8), [1, 1])


# ---------------------------------------------------------------------------------------------------------------------
# Optimizers


def test_sgd_by_hand():
    w, v = ref.sgd([1.0], [2.0], [0.0], 0.1)
    assert_allclose([w, v], [[0.8], [-0.2]])
    w, v = np.array([1.0]), np.array([0.0])
    for g, expected in [(2.0, 0.8), (1.0, 0.6), (-1.0, 0.6)]:  # v = -0.2, -0.2, 0.0
        w, v = ref.sgd(w, [g], v, 0.1, momentum=0.5)
        assert_allclose(w, [expected])
    assert_allclose(v, [0.0], atol=1e-15)
    w, v = np.array([1.0]), np.array([0.0])
    for g, expected in [(2.0, 0.7), (1.0, 0.5), (-1.0, 0.6)]:  # w += 0.5 v - 0.1 g
        w, v = ref.sgd(w, [g], v, 0.1, momentum=0.5, nesterov=True)
        assert_allclose(w, [expected])


def test_adam_by_hand():
    # b1 = 0.5, b2 = 0.75, eps = 1.  Step 1: m = 2, v = 4, alpha = sqrt(1/4) / (1/2) = 1, w = 10 - 2 / 3.
    w, m, v = ref.adam([10.0], [4.0], [0.0], [0.0], 1, 1.0, 0.5, 0.75, 1.0)
    assert_allclose([w, m, v], [[10 - 2 / 3], [2.0], [4.0]])
    # Step 2, g = -2: m = 0, v = 4.  Step 3, g = 4: m = 2, v = 7, alpha = sqrt(37/64) / (7/8) = sqrt(37) / 7.
    w, m, v = ref.adam(w, [-2.0], m, v, 2, 1.0, 0.5, 0.75, 1.0)
    assert_allclose([w, m, v], [[10 - 2 / 3], [0.0], [4.0]])
    w, m, v = ref.adam(w, [4.0], m, v, 3, 1.0, 0.5, 0.75, 1.0)
    assert_allclose([w, m, v], [[10 - 2 / 3 - math.sqrt(37) / 7 * 2 / (math.sqrt(7) + 1)], [2.0], [7.0]])
    # With the defaults the first step is lr against the sign of g.
    w, _, _ = ref.adam([0.0, 0.0], [3.0, -0.5], 0.0, 0.0, 1, 0.001)
    assert_allclose(w, [-0.001, 0.001], rtol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# Random numbers and data

PHILOX = [  # counter, key, words: the known-answer vectors of Random123 (kat_vectors, philox4x32 10)
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("counter, key, expected", PHILOX)
def test_philox_known_answers(counter, key, expected):
    got = ref.philox4x32(words(counter), words(key))
    assert got.dtype == np.uint32 and got.tolist() == words(expected)


def test_philox_arrays():
    counters, keys, expected = (np.array([words(row[i]) for row in PHILOX]).T for i in range(3))
    assert_array_equal(ref.philox4x32(counters, keys), expected)
    assert ref.philox4x32((np.arange(5), 0, 0, 1), (2, 3)).shape == (4, 5)


def test_dropout_mask_layout():
    seed, layer, step, rate = 0x0123456789ABCDEF, 5, 2**32 + 9, 0.3
    mask = ref.dropout_mask((3, 7), rate, seed, layer, step).ravel()
    for e in range(21):
        word = ref.philox4x32((e // 4, 0, layer, 9), (0x89ABCDEF, 0x01234567))[e % 4]
        assert mask[e] == (int(word) >= math.floor(rate * 2**32))
    assert mask.dtype == bool and 0 < mask.sum() < 21
    word = int(ref.philox4x32((0, 0, layer, 9), (0x89ABCDEF, 0x01234567))[1])
    assert ref.dropout_mask((2,), word / 2**32, seed, layer, step)[1]  # a word at the limit is kept
    assert not ref.dropout_mask((2,), (word + 1) / 2**32, seed, layer, step)[1]
    longer = ref.dropout_mask((40, 7), rate, seed, layer, step).ravel()
    assert_array_equal(longer[:21], mask)  # an element does not depend on the batch around it
    assert (ref.dropout_mask((3, 7), rate, seed, layer + 1, step).ravel() != mask).any()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_rate(rate):
    n = 40000
    kept = ref.dropout_mask((n,), rate, 1, 2, 3).mean()
    assert abs(kept - (1 - rate)) <= 5 * math.sqrt(rate * (1 - rate) / n)
    x = normal(3, 5)
    y = ref.dropout(x, rate, 1, 2, 3)
    assert_allclose(y, np.where(ref.dropout_mask((3, 5), rate, 1, 2, 3), x / (1 - rate), 0.0))
    check_gradient(lambda x: ref.dropout(x, rate, 1, 2, 3), x, lambda dy: ref.dropout_gradient(dy, rate, 1, 2, 3))


def test_dropout_refuses_rate_one():
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        ref.dropout_mask((3,), 1.0, 1, 2, 3)


def test_gather():
    data = np.arange(24, dtype=np.uint8).reshape(4, 2, 3) * 10
    assert_allclose(ref.gather(data, [3, 0, 3], 1 / 255), np.stack([data[3], data[0], data[3]]) / 255)
    assert_array_equal(ref.gather(data, np.array([2])), [data[2]])


# ---------------------------------------------------------------------------------------------------------------------
# Tables, and images of another size


def test_embedding_gradient():
    ids = np.array([[0, 2], [2, 2], [4, 0]])
    check_gradient(lambda table: table[ids], normal(5, 3), lambda dy: ref.embedding_gradient(dy, ids, 5))


def test_resample():
    x = normal(2, 3, 4, 2)
    rows = np.array([[0, 1], [2, 2]]), np.array([[0.25, 0.75], [0.5, 1.0]])
    cols = np.array([[3], [0], [1]]), np.array([[1.0], [2.0], [-1.0]])
    y = ref.resample(x, rows, cols)
    lines = np.stack([0.25 * x[:, 0] + 0.75 * x[:, 1], 1.5 * x[:, 2]], axis=1)
    assert_allclose(y, np.stack([lines[:, :, 3], 2 * lines[:, :, 0], -lines[:, :, 1]], axis=2))
    check_gradient(lambda x: ref.resample(x, rows, cols), x, lambda dy: ref.resample_gradient(dy, x.shape, rows, cols))
