"""gemm.gemm and gemm.pack_b."""

import re

import numpy as np
import pytest
from harness import F32, SIZES, assert_near, blank, results, uniform, whole

from dlcore.kernels import activations, gemm

pytestmark = pytest.mark.usefixtures("isa")

# m, n, k: every size once in each place; then cuts of k, several blocks, and each way that `path_of` knows
SHAPES = [(n, SIZES[-i], SIZES[i - 4]) for i, n in enumerate(SIZES, 1)]
SHAPES += [(61, 90, 777), (600, 33, 130), (300, 64, 385), (3, 1000, 300), (1, 700, 400), (400, 1, 300), (40, 3, 200)]
SHAPES += [(100, 300, 9), (29, 640, 390), (300, 5, 400), (90, 1, 1200)]
TRANSPOSES = [(False, False), (True, False), (False, True), (True, True)]


def flip(x, transpose):
    return np.ascontiguousarray(x.swapaxes(-1, -2)) if transpose else x


def product(a, b, ta=False, tb=False, share=False, c=None, **options):
    """c = op(a) op(b) on 1 to 4 threads, which all give the same bits; `share` packs b for all blocks."""
    a, b = flip(a, ta), flip(b, tb)
    m, n, k = a.shape[-1 if ta else -2], b.shape[-2 if tb else -1], b.shape[-1 if tb else -2]
    if share:
        matrices = int(np.prod(b.shape[:-2]))
        options["packed"] = results(lambda p: gemm.pack_b(b, p, tb), np.zeros(gemm.packed_shape(k, n, matrices), F32),
                                    runs=[(1, None)])  # fmt: skip

    def bind(y):
        if c is not None:
            y[...] = c
        return gemm.gemm(a, b, y, ta, tb, **options)

    return results(bind, blank(*(a.shape[:-2] or b.shape[:-2]), m, n))


@pytest.mark.parametrize("m, n, k", SHAPES)
def test_against_reference(m, n, k):
    a, b, bias = uniform(m, k), uniform(k, n, seed=1), uniform(n, seed=2)
    expected, scale = np.float64(a) @ b + bias, np.abs(np.float64(a)) @ abs(b) + abs(bias)
    for ta, tb in TRANSPOSES:
        assert_near(product(a, b, ta, tb, bias=bias), expected, scale)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("m, n, k", SHAPES)
def test_integers_are_exact(m, n, k, share):
    a, b, bias, c = whole(m, k), whole(k, n, seed=1), whole(n, seed=2), whole(m, n, seed=3)
    for ta, tb in TRANSPOSES:
        np.testing.assert_array_equal(product(a, b, ta, tb, share), a @ b)
        got = product(a, b, ta, tb, share, c=c, alpha=2, beta=-0.5, bias=bias, activation=1)
        np.testing.assert_array_equal(got, np.maximum(2 * (a @ b) - 0.5 * c + bias, 0))
        rows = 2 * gemm.tile_rows()
        np.testing.assert_array_equal(product(a, b, ta, tb, share, rows=rows), a @ b)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("ta, tb", TRANSPOSES)
@pytest.mark.parametrize("m, n, k", [(5, 7, 3), (31, 40, 33), (1, 9, 17), (70, 2, 100)])
def test_batches_of_matrices(m, n, k, ta, tb, share):
    a, b = whole(2, 3, m, k), whole(2, 3, k, n, seed=1)
    np.testing.assert_array_equal(product(a, b, ta, tb, share), a @ b)
    np.testing.assert_array_equal(product(a, b[0, 0], ta, tb, share), a @ b[0, 0])
    np.testing.assert_array_equal(product(a[0, 0], b, ta, tb, share), a[0, 0] @ b)
    if not tb:
        flat = results(lambda y: gemm.gemm(a, whole(2, 3, m, n), y, transpose_a=True), blank(k, n))
        np.testing.assert_array_equal(flat, np.einsum("abmk,abmn->kn", a, whole(2, 3, m, n)))


@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("m, n, k", [(7, 3, 5), (40, 37, 400), (9, 1, 300)])
def test_fused_activation_equals_its_unfused_twin(kind, m, n, k):
    a, b, bias = uniform(m, k), uniform(k, n, seed=1), uniform(n, seed=2)
    fused, twin = product(a, b, bias=bias, activation=activations.KINDS[kind]), blank(m, n)
    activations.forward(product(a, b, bias=bias), twin, kind).run()
    np.testing.assert_array_equal(fused, twin)


@pytest.mark.parametrize("m, n, k", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 40, 0), (0, 0, 0)])
def test_zero_sizes(m, n, k):
    for ta, tb in TRANSPOSES:
        bias, c = whole(n), whole(m, n, seed=1)
        got = product(whole(m, k), whole(k, n), ta, tb, c=c, beta=2, bias=bias)
        np.testing.assert_array_equal(got, whole(m, k) @ whole(k, n) + 2 * c + bias)


@pytest.mark.parametrize("m, n, k", [(9, 17, 5), (31, 65, 300), (1, 30, 40), (30, 1, 80)])
def test_nan_spoils_its_row_or_column_only(m, n, k):
    a, b = whole(m, k), whole(k, n, seed=1)
    a[m // 2, k // 3] = b[k // 2, n // 3] = np.nan
    for ta, tb in TRANSPOSES:
        for activation in (0, 1):
            expected = np.zeros((m, n), bool)
            expected[m // 2] = expected[:, n // 3] = True
            np.testing.assert_array_equal(np.isnan(product(a, b, ta, tb, activation=activation)), expected)


def test_blocks_change_no_bit():
    a, b = uniform(130, 500), uniform(500, 96, seed=1)
    for ta, tb in TRANSPOSES:
        first = product(a, b, ta, tb, rows=gemm.tile_rows())
        assert first.tobytes() == product(a, b, ta, tb, rows=130).tobytes()
        assert first.tobytes() == product(a, b, ta, tb, share=True).tobytes()


def test_refusals():
    a, b, c = uniform(3, 4), uniform(4, 5), blank(3, 5)
    for bad in ((a, b, blank(3, 4)), (a, uniform(5, 4), c), (uniform(2, 3, 4), b, c), (a[0], b, c)):
        with pytest.raises(ValueError, match=r"gemm: a .* do not fit together"):
            gemm.gemm(*bad)
    with pytest.raises(ValueError, match=re.escape("gemm: expected bias of shape (5,). Received: (4,)")):
        gemm.gemm(a, b, c, bias=uniform(4))
    with pytest.raises(ValueError, match="gemm: expected packed of shape"):
        gemm.gemm(a, b, c, packed=blank(1, 1, 4, 3))
    with pytest.raises(ValueError, match=r"gemm: expected activation from 0 to 4. Received: 5"):
        gemm.gemm(a, b, c, activation=5)
    with pytest.raises(ValueError, match="gemm: rows must not be negative"):
        gemm.gemm(a, b, c, rows=-1)
    with pytest.raises(ValueError, match="pack_b: expected packed of shape"):
        gemm.pack_b(b, blank(1, 1, 4, 3))
