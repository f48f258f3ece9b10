"""dense.pack, dense_forward and dense_input_gradient."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, packed, results, uniform, whole

from dlcore.kernels import activations, dense, simd

pytestmark = pytest.mark.usefixtures("isa")

# rows, k, n: every size once in each place; then cuts of k at 256, and rows beyond one tile of 6
SHAPES = [(n, SIZES[-i], SIZES[i - 4]) for i, n in enumerate(SIZES, 1)]
SHAPES += [(6, 255, 3), (5, 256, 3), (4, 257, 3), (13, 600, 40), (3, 5, 64)]


def forward(x, w, b, activation=0):
    p = packed(w)
    return results(lambda y: dense.dense_forward(x, p, b, y, activation), blank(len(x), w.shape[1]))


def input_gradient(dy, w):
    p = packed(w, transpose=True)
    return results(lambda dx: dense.dense_input_gradient(dy, p, dx), blank(len(dy), len(w)))


@pytest.mark.parametrize("n, k, units", SHAPES)
def test_against_reference(n, k, units):
    x, w, b, dy = uniform(n, k), uniform(k, units, seed=1), uniform(units, seed=2), uniform(n, units, seed=3)
    magnitude = ref.dense(abs(x), abs(w), abs(b))
    assert_near(forward(x, w, b), ref.dense(x, w, b), magnitude)
    assert_near(forward(x, w, None), ref.dense(x, w), magnitude)
    assert_near(input_gradient(dy, w), ref.dense_input_gradient(dy, w), ref.dense_input_gradient(abs(dy), abs(w)))


@pytest.mark.parametrize("n, k, units", SHAPES)
def test_integers_are_exact(n, k, units):
    x, w, b, dy = whole(n, k), whole(k, units, seed=1), whole(units, seed=2), whole(n, units, seed=3)
    np.testing.assert_array_equal(forward(x, w, b), ref.dense(x, w, b))
    np.testing.assert_array_equal(input_gradient(dy, w), ref.dense_input_gradient(dy, w))


@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("n, k, units", [(7, 5, 3), (3, 300, 37)])
def test_fused_activation_equals_its_unfused_twin(kind, n, k, units):
    x, w, b = uniform(n, k), uniform(k, units, seed=1), uniform(units, seed=2)
    fused = forward(x, w, b, activations.KINDS[kind])
    twin = blank(n, units)
    activations.forward(forward(x, w, b), twin, kind).run()
    np.testing.assert_array_equal(fused, twin)


@pytest.mark.parametrize("n, k, units", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_zero_sizes(n, k, units):
    x, w, b = whole(n, k), whole(k, units), whole(units, seed=2)
    np.testing.assert_array_equal(forward(x, w, b), ref.dense(x, w, b))
    np.testing.assert_array_equal(
        input_gradient(whole(n, units), w), np.zeros((n, k)) + ref.dense(whole(n, units), w.T)
    )


@pytest.mark.parametrize("units", [1, 7, 17])
def test_nan_spoils_its_row_or_column_only(units):
    x, w, dy = whole(9, 5), whole(5, units, seed=1), whole(9, units, seed=2)
    for j in range(units):
        bad, bad_dy = w.copy(), dy.copy()
        bad[3, j] = bad_dy[8, j] = np.nan
        np.testing.assert_array_equal(forward(x, bad, None), ref.dense(x, bad))
        np.testing.assert_array_equal(input_gradient(bad_dy, w), ref.dense_input_gradient(bad_dy, w))
        x[4, 2] = np.nan
    for kind in activations.KINDS.values():
        assert (np.isnan(forward(x, w, None, kind)).all(axis=1) == (np.arange(9) == 4)).all()


@pytest.mark.parametrize(
    "taps, ic, oc, groups", [((), 5, 33, 1), ((3, 2), 4, 18, 1), ((2, 2), 3, 12, 3), ((1, 1), 1, 70, 2)]
)
@pytest.mark.parametrize("transpose", [False, True])
def test_pack_layout(taps, ic, oc, groups, transpose):
    """packed[g, j, t*k + i, l] = B[g, t][i, j*nr + l], zero beyond the n columns."""
    w, nr = uniform(*taps, ic, oc), simd.nr()
    matrices = np.stack(np.split(w.reshape(-1, ic, oc), groups, axis=2))  # (groups, taps, ic, oc / groups)
    if transpose:
        matrices = matrices.swapaxes(2, 3)
    g, t, k, n = matrices.shape
    panels = -(-n // nr)
    expected = np.zeros((g, t * k, panels * nr), F32)
    expected[..., :n] = matrices.reshape(g, t * k, n)
    expected = expected.reshape(g, t * k, panels, nr).swapaxes(1, 2)
    got = results(lambda p: dense.pack(w, p, transpose, groups), blank(*dense.packed_shape(t * k, n, groups)))
    np.testing.assert_array_equal(got, expected)
