"""The gradient of whole graphs against central differences of the float64 reference."""

import numpy as np
import pytest
import reference as ref
from geometries import P0
from graphs import differentiate, gathers, names, run
from harness import uniform

from dlcore import ops
from dlcore.graph.gradient import gradients
from dlcore.ops.base import Parameter

SAME = ((1, 1), (1, 1))


def parameter(*shape, seed=0, scale=1.0):
    return Parameter(shape, uniform(*shape, seed=seed) * scale, f"w{seed}")


def differences(loss, arrays, h=1e-6):
    """d loss / d array for each array, entry by entry."""
    found = []
    for i, array in enumerate(arrays):
        slope = np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            ends = []
            for step in (h, -h):
                moved = [np.array(a, np.float64) for a in arrays]
                moved[i][at] += step
                ends.append(loss(*moved))
            slope[at] = (ends[0] - ends[1]) / (2 * h)
        found.append(slope)
    return found


def assert_close(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6 * max(np.abs(b).max(), 1e-3))


def cnn(t, x, w):
    """Convolutions, both poolings, a skip connection and two dense layers; gives cross-entropy."""
    y = ops.relu(ops.bias_add(ops.conv2d(x, w[0], padding=SAME), w[1]))
    y = ops.add(ops.tanh(y), y)
    y = ops.max_pool2d(y, (2, 2), (2, 2))
    y = ops.average_pool2d(ops.conv2d(y, w[2], groups=2, dilation=(1, 2)), (2, 1), (1, 1))
    y = ops.sigmoid(ops.dense(ops.reshape(y, (None, 4)), w[3]))
    return ops.sparse_categorical_crossentropy(t, ops.softmax(ops.bias_add(ops.dense(y, w[4]), w[5])))


def slow_cnn(t, x, w):
    y = ref.relu(ref.conv2d(x, w[0], w[1], padding=SAME))
    y = np.tanh(y) + y
    y = ref.max_pool2d(y, (2, 2), (2, 2))[0]
    y = ref.avg_pool2d(ref.conv2d(y, w[2], groups=2, dilation=(1, 2)), (2, 1), (1, 1))
    y = ref.sigmoid(ref.dense(y.reshape(len(x), 4), w[3]))
    return ref.sparse_categorical_crossentropy(t, ref.softmax(ref.dense(y, w[4], w[5])))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_whole_network(threads):
    w = [parameter(*shape, seed=i) for i, shape in
         enumerate([(3, 3, 2, 4), (4,), (2, 2, 2, 2), (4, 5), (5, 3), (3,)])]  # fmt: skip
    x, t = uniform(7, 8, 6, 2, seed=9), np.int32([0, 1, 2, 0, 1, 2, 2])
    a, b = gathers(x=x, t=t)
    loss = cnn(b, a, w)
    got = run([loss, *differentiate(loss, [a, *w])], {"x": x, "t": t}, threads)
    values = [p.value for p in w]
    np.testing.assert_allclose(got[0], slow_cnn(t, x, values), rtol=1e-5)
    assert_close(got[1:], differences(lambda x, *w: slow_cnn(t, x, w).mean(), [x, *values]))


@pytest.mark.parametrize("strides, padding", [((2, 2), ((0, 1), (0, 1))), ((2, 1), ((2, 0), (0, 0))), ((1, 1), P0)])
def test_weights_of_one_pixel_whose_images_have_one_size(strides, padding):
    """Strides may undo what padding adds; the pixels are others."""
    x, w = uniform(3, 2, 2, 16), parameter(1, 1, 16, 20)
    (images,) = gathers(x=x)
    y = ops.conv2d(images, w, strides, padding)
    assert y.shape[1:3] == (2, 2)
    dw = differentiate(ops.sum(y, axis=(1, 2, 3)), [w])
    (got,) = run(dw, {"x": x})
    expected = ref.conv2d_weight_gradient(x, np.full((3, 2, 2, 20), 1 / 3), w.shape, strides, padding)
    assert_close([got], [expected])


def test_a_tensor_used_twice_gets_an_add():
    x, t, w = uniform(5, 3), uniform(5, 3, seed=1), parameter(3, 3)
    a, b = gathers(x=x, t=t)
    y = ops.dense(a, w)
    loss = ops.mean_squared_error(b, ops.add(ops.tanh(y), ops.dense(y, w)))  # y twice, w twice
    found = differentiate(loss, [a, w])
    assert names([loss]).count("Add") == 1 and names(found).count("Add") == 3

    def slow(x, w):
        y = x @ w
        return ref.mean_squared_error(t, np.tanh(y) + y @ w).mean()

    assert_close(run(found, {"x": x, "t": t}), differences(slow, [x, w.value]))


def test_both_operands_of_an_add_may_be_one_tensor():
    x, t = uniform(4, 3), uniform(4, 3, seed=1)
    a, b = gathers(x=x, t=t)
    found = differentiate(ops.mean_squared_error(b, ops.add(a, a)), [a])
    np.testing.assert_allclose(run(found, {"x": x, "t": t})[0], 4 * (2 * x - t) / 12, rtol=1e-5, atol=1e-7)


def test_only_what_is_wanted_is_built():
    x, t = uniform(4, 3), uniform(4, 50, seed=1)
    first, last, other = parameter(3, 40), parameter(40, 50, seed=1), parameter(3, 2, seed=2)
    a, b = gathers(x=x, t=t)
    loss = ops.mean_squared_error(b, ops.dense(ops.dense(a, first), last))
    found = differentiate(loss, [last, other])
    assert found[1] is None  # the loss does not depend on it
    made = names([found[0]])  # the first layer needs no gradient, so nobody computes that of its output
    assert made.count("Dense") == 2 and made.count("DenseWeightGradient") == 1
    assert gradients(last, last, [first], ops.add) == [None]


def test_no_limit_on_depth():
    w = parameter(2, 2)
    a, b = gathers(x=uniform(3, 2), t=uniform(3, 2))
    y = ops.dense(a, w)
    for _ in range(3000):
        y = ops.rescale(y, -1.0)
    loss = ops.mean_squared_error(b, y)
    assert differentiate(loss, [w])[0].shape == (2, 2)


def test_what_has_no_gradient_says_so():
    w = parameter(2, 2)
    a, b = gathers(x=uniform(3, 2), t=uniform(3, 2))
    with pytest.raises(TypeError, match="Accuracy has no gradient"):
        differentiate(ops.categorical_accuracy(b, ops.dense(a, w)), [w])
