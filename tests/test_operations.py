"""The vocabulary of mathematics in dlcore.ops against NumPy, and its gradients against differences."""

import numpy as np
import pytest
from graphs import differentiate, gathers, names, run
from harness import uniform
from reference_unary import UNARY, erf
from test_gradient import assert_close, differences

import dlcore.ops as ops
from dlcore.graph.eager import compute
from dlcore.ops.base import Parameter

X, Z = uniform(5, 2, 3, 4), uniform(5, 2, 1, 4, seed=1) + 3


def parameter(*shape, seed=3, shift=0.0):
    return Parameter(shape, uniform(*shape, seed=seed) + shift, f"w{seed}")


def check(function, slow, arrays, weights=(), threads=(1, 3)):
    """Value of function(*tensors, *weights), and the gradient of the mean of sum(y * y), against slow(*arrays)."""
    tensors = gathers(**{f"x{i}": a for i, a in enumerate(arrays)})
    y = function(*tensors, *weights)
    loss = ops.sum(ops.square(y))
    values = [np.float64(a) for a in [*arrays, *(w.value for w in weights)]]

    def slow_loss(*values):
        return (slow(*values) ** 2).reshape(len(arrays[0]), -1).sum(axis=1).mean()

    expected = differences(slow_loss, values)
    feeds = {f"x{i}": a for i, a in enumerate(arrays)}
    first = None
    for count in threads:
        got = run([y, *differentiate(loss, [*tensors, *weights])], feeds, count)
        np.testing.assert_allclose(got[0], slow(*values), rtol=2e-5, atol=1e-6)
        assert_close(got[1:], expected)
        first = first or got
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, got, strict=True))


BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "maximum": np.maximum,
    "minimum": np.minimum, "power": np.power,
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_and_their_gradients(name):
    shift = 3.0 if name == "power" else 0.0
    op, slow = getattr(ops, name), BINARY[name]
    check(op, slow, [X + shift, Z])
    check(lambda a, b: op(b, a), lambda a, b: slow(b, a), [X + shift, Z])
    for shape in ((4,), (3, 4), (2, 1, 1), (1, 3, 1), (1,), (1, 2, 3, 4), (1, 1, 1, 1)):
        check(op, slow, [X + shift], [parameter(*shape, shift=3.0)])
        check(lambda a, w: op(w, a), lambda a, w: slow(w, a), [X + shift], [parameter(*shape, shift=3.0)])
    for number in (2, 0.5, 3.7):
        check(lambda a, n=number: op(a, n), lambda a, n=number: slow(a, n), [X + shift])
        check(lambda a, n=number: op(n, a), lambda a, n=number: slow(n, a), [X + shift])


def test_power_of_numbers():
    for number in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.7):
        check(lambda a, n=number: a**n, lambda a, n=number: a**n, [X + 2])


def test_python_operators():
    def both(a, b):
        return (2 - a) * b / (a + 3) ** 2 + abs(-a) - 1 / b + 2**a

    check(both, both, [X, Z])
    for f in (lambda a: a > 0.2, lambda a: a >= 0.2, lambda a: a < 0.2, lambda a: a <= 0.2):
        np.testing.assert_array_equal(compute(f, X), f(X) * 1.0)
    x, y = gathers(a=X, b=X)
    assert x == x and x != y and {x: 1}[x] == 1
    assert isinstance(np.ones(4, np.float32) + x, ops.Tensor)
    np.testing.assert_allclose(compute(lambda a: np.arange(4) * a, X), X * np.arange(4), rtol=1e-6)


def test_comparisons_and_where():
    a, b = np.rint(3 * X), np.rint(2 * uniform(5, 2, 3, 4, seed=9))
    for name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
        got = compute(getattr(ops, name), a, b)
        np.testing.assert_array_equal(got, getattr(np, name)(a, b) * 1.0)
    for name in ("logical_and", "logical_or"):
        np.testing.assert_array_equal(compute(getattr(ops, name), a, b), getattr(np, name)(a, b) * 1.0)
    np.testing.assert_array_equal(compute(ops.logical_not, a), (a == 0) * 1.0)
    check(lambda x, z: ops.where(x > 0, x * z, z), lambda x, z: np.where(x > 0, x * z, z), [X, Z])
    check(lambda x: ops.where(x, 3 * x, -1.0), lambda x: np.where(x != 0, 3 * x, -1.0), [X])
    check(lambda x, w: ops.where(x < 0, w, x), lambda x, w: np.where(x < 0, w, x), [X], [parameter(3, 1)])


PUBLIC = [kind for kind in UNARY if hasattr(ops, kind) and kind not in ("power", "clip", "relu", "elu", "threshold")]


@pytest.mark.parametrize("kind", [kind for kind in PUBLIC if not UNARY[kind][0]])
def test_functions_of_one_variable(kind):
    _, f, slope, (low, high) = UNARY[kind]
    x = uniform(5, 7) * min((high - low) / 2, 2)
    x = x + (low - x.min() + 0.5 if low > -1 else 0)
    if slope:
        check(getattr(ops, kind), f, [x])
        check(lambda x, w: getattr(ops, kind)(w) * x, lambda x, w: f(w) * x, [x[:3]], [Parameter((7,), x[4], "w")])
    else:
        np.testing.assert_allclose(compute(getattr(ops, kind), x), f(x), rtol=1e-6)


def test_clip_and_stop_gradient():
    check(lambda x: ops.clip(x, -0.5, 0.25), lambda x: np.clip(x, -0.5, 0.25), [X])
    x, *_ = gathers(x=X)
    loss = ops.sum(ops.stop_gradient(x) * x)
    np.testing.assert_allclose(run(differentiate(loss, [x]), {"x": X})[0], X / 5, rtol=1e-6)
    w = parameter(4)
    assert differentiate(ops.sum(ops.stop_gradient(w) * ops.floor(x)), [x, w]) == [None, None]
    with pytest.raises(ValueError, match=r"clip: x_min must not be more than x_max. Received: x_min=1, x_max=0"):
        ops.clip(x, 1, 0)


AXES = [None, 1, -1, (1, 2), (1, 3), (2,), [3, 1], (1, 2, 3)]


def numbered(axis):
    return (1, 2, 3) if axis is None else tuple(axis) if isinstance(axis, (list, tuple)) else axis


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "variance", "logsumexp"])
def test_reductions(name, axis):
    slow = {
        "variance": np.var,
        "logsumexp": lambda x, axis, keepdims: np.log(np.exp(x).sum(axis=axis, keepdims=keepdims)),
    }.get(name) or getattr(np, name)
    x = X + Z  # no ties
    for keepdims in (False, True):
        check(
            lambda t, keep=keepdims: getattr(ops, name)(t, axis, keepdims=keep),
            lambda a, keep=keepdims: slow(a, axis=numbered(axis), keepdims=keep),
            [x],
        )


def test_equal_maxima_share_the_gradient():
    x = np.array([[1, 3, 3], [2, 2, 2]], np.float32)
    (t,) = gathers(x=x)
    got = run(differentiate(ops.max(t, axis=1), [t]), {"x": x})[0]
    np.testing.assert_allclose(got, np.array([[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]]) / 2, rtol=1e-6)


def test_sums_of_weights():
    """What a regularizer is made of: no batch anywhere, then the same number for all samples."""
    x = uniform(5)
    check(lambda t, w: t + 0.5 * ops.sum(w * w), lambda t, w: t + 0.5 * (w * w).sum(), [x], [parameter(3, 4)])
    check(lambda t, w: t * ops.max(w, axis=0), lambda t, w: t * w.max(axis=0), [X], [parameter(3, 4)])
    check(
        lambda t, w, v: t + ops.mean(w * v, axis=(0, 1), keepdims=True),
        lambda t, w, v: t + (w * v).mean(axis=(0, 1), keepdims=True),
        [uniform(5, 4)],
        [parameter(3, 4), parameter(4, seed=8)],
    )
    assert ops.sum(parameter(3, 4)).shape == (1,)


def test_over_the_batch():
    check(
        lambda x: (x - ops.batch_mean(x)) / ops.sqrt(ops.batch_mean(ops.square(x - ops.batch_mean(x))) + 0.1),
        lambda x: (x - x.mean(axis=0, keepdims=True)) / np.sqrt(x.var(axis=0, keepdims=True) + 0.1),
        [X],
    )
    check(lambda x: x * ops.batch_sum(x), lambda x: x * x.sum(axis=0, keepdims=True), [X])
    check(ops.scale_by_batch, lambda x: x * len(x), [X])
    check(lambda x: ops.scale_by_batch(x, -1), lambda x: x / len(x), [X])
    check(lambda x: x / ops.batch_sum(ops.mean(x)), lambda x: x / x.mean(axis=(1, 2, 3)).sum(), [X + 2])


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_softmax_and_log_softmax_along_an_axis(axis):
    def soft(x):
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    x = 5 * X
    check(lambda t: ops.softmax(t, axis), soft, [x])
    check(lambda t: ops.log_softmax(t, axis), lambda x: np.log(soft(x)), [x])
    far = np.array([[1000.0, 0.0], [-1000.0, 0.0]], np.float32)
    np.testing.assert_array_equal(compute(lambda t: ops.log_softmax(t), far), [[0, -1000], [-1000, 0]])
    np.testing.assert_array_equal(compute(lambda t: ops.logsumexp(t), far), [1000, 0])


def test_argmax_and_cast():
    np.testing.assert_array_equal(compute(lambda t: ops.argmax(t, 2), X), X.argmax(axis=2))
    labels = np.arange(5, dtype=np.int32).reshape(5, 1)
    x = uniform(5, 3)
    for f in (lambda t, x: ops.cast(t, "float32") * x, lambda t, x: t * x):
        np.testing.assert_array_equal(compute(f, labels, x), labels.astype(np.float32) * x)
    whole = compute(lambda x: ops.cast(ops.cast(x, "int32"), "float32"), 10 * x)
    np.testing.assert_array_equal(whole, np.trunc(10 * x))
    np.testing.assert_array_equal(compute(lambda t, x: ops.equal(t, 3) + 0 * x, labels, x), (labels == 3) + 0 * x)


def test_what_was_fast_stays_so():
    """Same shapes, biases and numbers keep the ops that fusion knows."""
    (x,) = gathers(x=X)
    assert names([x + x])[-1] == "Add"
    assert names([x + parameter(4)])[-1] == "BiasAdd"
    assert names([2 * x - 1])[-2:] == ["Rescale", "Rescale"]
    assert names([x / 4])[-1] == "Rescale"
    assert names([-x])[-1] == "Rescale"


def test_refusals():
    x, y = gathers(x=X, y=uniform(5, 3))
    with pytest.raises(ValueError, match=r"add: the shapes do not broadcast. Received: \(None, 2, 3, 4\), \(None, 3\)"):
        x + y
    with pytest.raises(ValueError, match=r"multiply: the shapes do not broadcast. Received: \(None, 3\), \(4,\)"):
        y * parameter(4)
    with pytest.raises(TypeError, match=r"maximum: expected at least one tensor. Received: 1, 2"):
        ops.maximum(1, 2)
    with pytest.raises(TypeError, match=r"add: expected tensors, arrays or numbers. Received: 'a'"):
        x + "a"
    with pytest.raises(TypeError, match=r"exp: expected a float32 tensor. Received: 3"):
        ops.exp(3)
    with pytest.raises(ValueError, match=r"sum: axis 0 is the batch, see batch_sum and batch_mean. Received: axis=0"):
        ops.sum(x, axis=0)
    with pytest.raises(ValueError, match=r"mean: axis must name axes of the shape .*, each once. Received: axis=4"):
        ops.mean(x, axis=4)
    with pytest.raises(ValueError, match=r"max: axis must name axes .* Received: axis=\(1, -3\)"):
        ops.max(x, axis=(1, -3))
    for op in (ops.batch_sum, ops.argmax):
        with pytest.raises(ValueError, match=r": expected a tensor with a batch. Received: shape \(4,\)"):
            op(parameter(4))
    with pytest.raises(ValueError, match=r"cast: dtype must be one of .* Received: dtype='float64'"):
        ops.cast(x, "float64")


def test_erf_is_that_of_the_library():
    assert erf(np.array([0.5]))[0] == pytest.approx(0.5204998778)
