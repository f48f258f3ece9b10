"""ops.matmul against NumPy, and its gradients against differences."""

import numpy as np
import pytest
from graphs import gathers
from harness import uniform
from test_operations import check, parameter

from dlcore import ops
from dlcore.graph.eager import compute

LEADS = [(), (2,), (2, 3)]
TRANSPOSES = [(False, False), (True, False), (False, True), (True, True)]


def matrix(lead, rows, cols, transpose, seed=0):
    return uniform(*lead, *((cols, rows) if transpose else (rows, cols)), seed=seed)


def slow(transpose_a, transpose_b):
    return lambda a, b: (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)


@pytest.mark.parametrize("ta, tb", TRANSPOSES)
@pytest.mark.parametrize("lead", LEADS)
def test_batches_of_matrices(lead, ta, tb):
    a, b = matrix((3, *lead), 4, 5, ta), matrix((3, *lead), 5, 2, tb, seed=1)
    check(lambda a, b: ops.matmul(a, b, ta, tb), slow(ta, tb), [a, b])


@pytest.mark.parametrize("ta, tb", TRANSPOSES)
@pytest.mark.parametrize("lead", LEADS)
def test_a_weight_serves_all_matrices(lead, ta, tb):
    right, left = parameter(*((2, 5) if tb else (5, 2))), parameter(*((5, 4) if ta else (4, 5)))
    check(lambda a, w: ops.matmul(a, w, ta, tb), slow(ta, tb), [matrix((3, *lead), 4, 5, ta)], [right])
    b = matrix((3, *lead), 5, 2, tb)
    check(lambda b, w: ops.matmul(w, b, ta, tb), lambda b, w: slow(ta, tb)(w, b), [b], [left])


@pytest.mark.parametrize("tb", [False, True])
def test_rows_of_the_batch(tb):
    check(lambda a, w: ops.matmul(a, w, transpose_b=tb), slow(False, tb), [uniform(7, 5)],
          [parameter(*((3, 5) if tb else (5, 3)))])  # fmt: skip


def test_operator_and_arrays_in_any_order():
    a, b = uniform(2, 3, 4), np.asfortranarray(uniform(4, 5, seed=1))
    np.testing.assert_array_equal(compute(lambda x: x @ b, a), compute(lambda x: ops.matmul(x, b.copy("C")), a))
    c = uniform(5, 3, seed=2)
    np.testing.assert_allclose(compute(lambda x: c @ x, a), c @ a, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="matmul: expected tensors or arrays"):
        compute(lambda x: ops.matmul(x, None), a)


def test_arrays():
    a, b = uniform(2, 37, 65), uniform(2, 65, 33, seed=1)
    np.testing.assert_allclose(compute(ops.matmul, a, b), a @ b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compute(lambda a: ops.matmul(a, b[0]), a), a @ b[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "a, b, options, message",
    [
        ((4, 5), (4, 2), {}, "do not fit together"),
        ((4, 5), (5, 2), {"transpose_b": True}, "do not fit together"),
        ((2, 4, 5), (3, 5, 2), {}, "do not fit together"),
        ((5,), (5, 2), {}, "batch is no axis"),
        ((5,), (5,), {"transpose_b": True}, "batch is no axis"),
        ((), (5, 2), {}, "2 axes or more"),
    ],
)
def test_refusals(a, b, options, message):
    x, y = gathers(a=uniform(3, *a), b=uniform(3, *b))
    with pytest.raises(ValueError, match=f"matmul: .*{message}"):
        ops.matmul(x, y, **options)
