"""Ops that move data: values and gradients against NumPy, with a batch and without, and what they refuse."""

import numpy as np
import pytest
import reference as ref
from graphs import differentiate, gathers, run
from harness import uniform

from dlcore import ops
from dlcore.graph.eager import compute
from dlcore.ops.base import Parameter
from dlcore.ops.data import gather

CASES = {  # name: op, the same in NumPy, shape of a sample
    "reshape": (lambda x: ops.reshape(x, (None, 6, -1)), lambda x: x.reshape(len(x), 6, -1), (4, 3, 2)),
    "batch -1": (lambda x: ops.reshape(x, (-1, 24)), lambda x: x.reshape(len(x), 24), (4, 3, 2)),
    "expand": (lambda x: ops.expand_dims(x, -1), lambda x: x[..., None], (4, 3)),
    "expand 1": (lambda x: ops.expand_dims(x, 1), lambda x: x[:, None], (4, 3)),
    "squeeze": (lambda x: ops.squeeze(x), lambda x: x[:, 0, :, 0], (1, 3, 1)),
    "squeeze 3": (lambda x: ops.squeeze(x, -1), lambda x: x[..., 0], (1, 3, 1)),
    "slice": (lambda x: x[:, 1:3, ::2], lambda x: x[:, 1:3, ::2], (4, 5, 3)),
    "slice ...": (lambda x: x[..., 1:2], lambda x: x[..., 1:2], (4, 5, 3)),
    "slice back": (lambda x: x[:, ::-2, 4:0:-1], lambda x: x[:, ::-2, 4:0:-1], (4, 5, 3)),
    "number": (lambda x: x[:, -1, ..., None, 2], lambda x: x[:, -1, ..., None, 2], (4, 5, 3)),
    "whole": (lambda x: x[:], lambda x: x, (4, 3)),
    "split": (lambda x: ops.split(x, 3, 1)[1], lambda x: np.split(x, 3, 1)[1], (6, 5)),
    "split at": (lambda x: ops.split(x, [1, 4])[2], lambda x: np.split(x, [1, 4], -1)[2], (3, 5)),
    "crop": (lambda x: ops.crop(x, ((1, 0), (2, 1))), lambda x: x[:, 1:, 2:-1], (4, 5, 3)),
    "pad": (lambda x: ops.pad(x, ((1, 2), (0, 3))), lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))), (4, 5, 3)),
    "pad by": (
        lambda x: ops.pad(x, ((0, 0), (0, 0), (2, 1)), 1.5),
        lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1)), constant_values=1.5),
        (4, 5),
    ),
    "permute": (lambda x: ops.permute(x, (3, 1, 2)), lambda x: x.transpose(0, 3, 1, 2), (4, 5, 3)),
    "transpose": (lambda x: ops.transpose(x), lambda x: x.transpose(0, 3, 2, 1), (4, 5, 3)),
    "transpose to": (lambda x: ops.transpose(x, (0, -1, 1, 2)), lambda x: x.transpose(0, 3, 1, 2), (4, 5, 3)),
    "flip": (lambda x: ops.flip(x, (1, -1)), lambda x: x[:, ::-1, :, ::-1], (4, 5, 3)),
    "repeat": (lambda x: ops.repeat(x, 3, 2), lambda x: x.repeat(3, 2), (4, 5, 3)),
    "repeat last": (lambda x: ops.repeat(x, 3, -1), lambda x: x.repeat(3, -1), (4, 5)),
    "upsample": (lambda x: ops.upsample(x, (2, 3)), lambda x: x.repeat(2, 1).repeat(3, 2), (4, 5, 3)),
    "broadcast": (
        lambda x: ops.broadcast_to(x, (None, 3, 4, 5)),
        lambda x: np.broadcast_to(x, (len(x), 3, 4, 5)),
        (3, 1, 5),
    ),
    "concatenate": (
        lambda x: ops.concatenate([x, ops.flip(x, 1), x[:, :, 1:]], -1),
        lambda x: np.concatenate([x, x[:, ::-1], x[:, :, 1:]], -1),
        (4, 5),
    ),
    "stack": (lambda x: ops.stack([x, ops.flip(x, 1)], 2), lambda x: np.stack([x, x[:, ::-1]], 2), (4, 5)),
}
cases = pytest.mark.parametrize("name", CASES)


def slopes(slow, x, dy):
    """The gradient of sum(slow(x) * dy): these ops are linear, or nearly."""
    grad = np.zeros(x.shape)
    zero = slow(np.zeros_like(x))
    for at in np.ndindex(x.shape[1:]):
        one = np.zeros_like(x)
        one[(slice(None), *at)] = 1
        grad[(slice(None), *at)] = ((slow(one) - zero) * dy).reshape(len(x), -1).sum(axis=1)
    return grad


@cases
def test_values_and_gradients(name):
    op, slow, shape = CASES[name]
    x = uniform(5, *shape)
    expected = slow(x)
    np.testing.assert_array_equal(compute(op, x), expected)
    t = uniform(*expected.shape, seed=1)
    a, b = gathers(x=x, t=t)
    found = differentiate(ops.mean_squared_error(b, op(a)), [a])
    for threads in (1, 3):
        got = run(found, {"x": x, "t": t}, threads)[0]
        np.testing.assert_allclose(got, slopes(slow, x, 2 * (expected - t) / t.size), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("op, slow, shape", [
    (lambda w: ops.reshape(w, (2, 1, -1)), lambda w: w.reshape(2, 1, 6), (4, 3)),
    (lambda w: w[1:3, ..., None], lambda w: w[1:3, ..., None], (4, 3)),
    (lambda w: ops.transpose(w), lambda w: w.T, (4, 3)),
    (lambda w: ops.concatenate([w, ops.flip(w, 0)], 0), lambda w: np.concatenate([w, w[::-1]], 0), (4, 3)),
    (lambda w: ops.pad(w, ((1, 0), (0, 2))), lambda w: np.pad(w, ((1, 0), (0, 2))), (4, 3)),
    (lambda w: ops.repeat(w, 2, 0), lambda w: w.repeat(2, 0), (4, 3)),
])  # fmt: skip
def test_parameters(op, slow, shape):
    w = Parameter(shape, uniform(*shape), "w")
    y = slow(w.value)
    got = run([op(w)], {"x": uniform(2, 1)})[0]
    np.testing.assert_array_equal(got, y)
    flat = ops.reshape(op(w), (y.size, 1))
    x, t = uniform(3, y.size), uniform(3, 1)
    a, b = gathers(x=x, t=t)
    found = differentiate(ops.mean_squared_error(b, ops.dense(a, flat)), [w])
    error = 2 * (x @ y.reshape(-1, 1) - t) / t.size
    grad = np.zeros(shape)
    for at in np.ndindex(shape):
        one = np.zeros(shape)
        one[at] = 1
        grad[at] = (slow(one) * (x * error).sum(axis=0).reshape(y.shape)).sum()
    np.testing.assert_allclose(run(found, {"x": x, "t": t})[0], grad, rtol=1e-5, atol=1e-6)


def test_whole_numbers_stay_so():
    t, x = np.arange(12, dtype=np.int32).reshape(3, 4), uniform(3, 1)
    got = compute(lambda t, x: ops.concatenate([ops.one_hot(ops.flip(t, 1), 12), ops.one_hot(t[:, :2], 12)], 1), t, x)
    np.testing.assert_array_equal(got, np.eye(12, dtype=np.float32)[np.concatenate([t[:, ::-1], t[:, :2]], 1)])
    ids = gather("t", (4,), "i")
    assert ops.reshape(ids, (None, 2, 2)).dtype == ids[:, ::-1].dtype == ops.pad(ids, ((1, 1),)).dtype == "i"


def test_embedding():
    table, t = Parameter((7, 3), uniform(7, 3), "w"), uniform(5, 4, 3, seed=1)
    for ids in (np.random.default_rng(0).integers(0, 7, (5, 4)).astype(np.int32), np.full((5, 4), 2.0, np.float32)):
        a, b = gathers(x=ids, t=t)
        y = ops.embedding(table, a)
        found = [y, *differentiate(ops.mean_squared_error(b, y), [table])]
        values = [run(found, {"x": ids, "t": t}, threads) for threads in (1, 4)]
        expected = table.value[ids.astype(int)]
        np.testing.assert_array_equal(values[0][0], expected)
        slope = ref.embedding_gradient(2 * (expected - t) / t.size, ids, 7)
        np.testing.assert_allclose(values[0][1], slope, rtol=1e-5, atol=1e-7)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(*values, strict=True))


def weights(interpolation, size, out):
    """(out, size), from the definitions: centres at halves; what lies outside is left out and the rest sums to 1."""
    centre = (np.arange(out)[:, None] + 0.5) * size / out - 0.5
    d = abs(centre - np.arange(size))
    if interpolation == "nearest":
        return np.eye(size)[np.floor((np.arange(out) + 0.5) * size / out + 1e-9).astype(int)]
    if interpolation == "bilinear":
        w = np.maximum(1 - d, 0)
    else:
        w = np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, np.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))
    return w / w.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(
    "size, out", [((4, 5), (8, 10)), ((7, 3), (3, 7)), ((5, 6), (5, 6)), ((1, 2), (3, 1)), ((28, 9), (9, 32))]
)
def test_resize(interpolation, size, out):
    x = uniform(3, *size, 2)
    rows, cols = (weights(interpolation, *axis) for axis in zip(size, out, strict=True))

    def slow(x):
        return np.einsum("ai,bj,nijc->nabc", rows, cols, np.float64(x))

    def op(x):
        return ops.resize(x, out, interpolation)

    np.testing.assert_allclose(compute(op, x), slow(x), rtol=1e-5, atol=1e-5)
    t = uniform(3, *out, 2, seed=1)
    a, b = gathers(x=x, t=t)
    found = differentiate(ops.mean_squared_error(b, op(a)), [a])
    expected = np.einsum("ai,bj,nabc->nijc", rows, cols, 2 * (slow(x) - t) / t.size)
    np.testing.assert_allclose(run(found, {"x": x, "t": t}, 3)[0], expected, rtol=1e-4, atol=1e-6)


def test_resize_to_the_same_size_changes_nothing():
    x = uniform(1, 3, 4, 2)
    x[0, 1, 1] = np.nan, np.inf
    for interpolation in ("nearest", "bilinear", "bicubic"):
        np.testing.assert_array_equal(compute(lambda x, i=interpolation: ops.resize(x, (3, 4), i), x), x)


X = gather("x", (4, 5, 3))
REFUSED = [
    (lambda: ops.reshape(X, (None, 7, -1)), ValueError, r"reshape: cannot give .* the shape \(None, 7, -1\)"),
    (lambda: ops.reshape(X, (None, -1, -1)), ValueError, "reshape: cannot give"),
    (lambda: ops.reshape(X, (3, 20)), ValueError, "reshape: cannot give"),
    (lambda: ops.expand_dims(X, 0), ValueError, r"expand_dims: axis must be one of 1 to 4 .*axis=0 .*\(None, 4,"),
    (lambda: ops.squeeze(X, 1), ValueError, "squeeze: expected axes of size 1. Received: axis=1"),
    (lambda: X[0], ValueError, "the batch, axis 0, must be taken whole"),
    (lambda: X[1:], ValueError, "the batch, axis 0, must be taken whole"),
    (lambda: X[:, 4], IndexError, "index 4 is out of range for axis 1"),
    (lambda: X[:, 2:2], ValueError, "nothing is left of a tensor"),
    (lambda: X[:, :, :, :, :], IndexError, "too many indices"),
    (lambda: X[:, [0, 1]], TypeError, r"an index must be a whole number, a slice, ... or None. Received: \[0, 1\]"),
    (lambda: iter(X), TypeError, "not iterable"),
    (lambda: ops.split(X, 3, 1), ValueError, "split: an axis of size 4 cannot be cut into 3 equal parts"),
    (lambda: ops.split(X, [3, 2], 1), ValueError, r"split: cuts must rise, between 0 and 4. Received: \[3, 2\]"),
    (lambda: ops.crop(X, ((2, 2),)), ValueError, "crop: nothing is left"),
    (lambda: ops.crop(X, ((-1, 0),)), ValueError, r"crop: expected \(before, after\), not negative"),
    (lambda: ops.pad(X, ((0, 0), (-1, 0))), ValueError, r"pad: expected \(before, after\), not negative"),
    (lambda: ops.pad(X, ((1, 0), (0, 0), (0, 0), (0, 0))), ValueError, "pad: expected .* for axes from 1 on"),
    (lambda: ops.permute(X, (1, 2)), ValueError, "transpose: expected each axis once, the batch first"),
    (lambda: ops.transpose(X, (1, 0, 2, 3)), ValueError, "transpose: expected each axis once, the batch first"),
    (lambda: ops.flip(X, 0), ValueError, "flip: axis must be one of 1 to 3"),
    (lambda: ops.repeat(X, 0, 1), ValueError, "upsample: expected positive factors"),
    (lambda: ops.upsample(X, (1, 1, 1, 1)), ValueError, "upsample: expected positive factors"),
    (lambda: ops.broadcast_to(X, (None, 4, 5, 6)), ValueError, "broadcast_to: cannot repeat"),
    (lambda: ops.concatenate([X, X[:, :2]], -1), ValueError, "concatenate: expected shapes that differ in axis 3 only"),
    (lambda: ops.concatenate([X, X], 0), ValueError, "concatenate: axis must be one of 1 to 3"),
    (lambda: ops.concatenate([]), ValueError, "concatenate: expected at least one tensor"),
    (lambda: ops.concatenate([X, gather("t", (4, 5, 3), "i")]), ValueError, "concatenate: expected one dtype"),
    (lambda: ops.stack([X, X[..., :2]]), ValueError, "stack: expected tensors of one shape"),
    (lambda: ops.embedding(X, X), ValueError, r"embedding: expected a table of shape \(numbers, features\)"),
    (lambda: ops.one_hot(X, 0), ValueError, "one_hot: num_classes must be a positive whole number"),
    (lambda: ops.resize(X[..., 0], (2, 2)), ValueError, "resize: expected images"),
    (lambda: ops.resize(X, (2, 0)), ValueError, r"resize: expected a size .* Received: \(2, 0\)"),
    (lambda: ops.resize(X, (2, 2), "lanczos3"), ValueError, "resize: expected one of .*interpolation='lanczos3'"),
]


@pytest.mark.parametrize("call, error, message", REFUSED)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_gradient_for_numbers():
    t = uniform(3, 4)
    a, b = gathers(x=uniform(3), t=t)
    with pytest.raises(TypeError, match="one_hot has no gradient"):
        differentiate(ops.mean_squared_error(b, ops.one_hot(a, 4)), [a])
    with pytest.raises(TypeError, match="embedding has no gradient with respect to the numbers"):
        table = Parameter((9, 4), uniform(9, 4), "w")
        differentiate(ops.mean_squared_error(b, ops.embedding(table, a)), [a])
