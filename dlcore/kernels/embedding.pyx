# cython: language_level=3
"""Rows of a table by number, the gradient of the table, and one-hot vectors.

Numbers are int32, or float32 that count as their whole part. One that is out of range gives NaN in `lookup`, where a
wrong answer would go unseen, zeros in `one_hot`, and is left out of the gradient.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_tiles, tiles

ctypedef struct Lookup:
    const dlc_tiles *tiles
    Ref ids, y                 # in the gradient: dy
    float *table               # (v, d); in the gradient: dtable
    Py_ssize_t positions, v, d # numbers a sample
    Py_ssize_t n, rows         # samples, rows of the table a task
    bint floats


cdef inline Py_ssize_t number(const void *ids, bint floats, Py_ssize_t i, Py_ssize_t v) noexcept nogil:
    """The i-th number, -1 if it is not one of 0..v-1, -2 if it is NaN."""
    cdef float x
    cdef int32_t k
    if floats:
        x = (<const float *>ids)[i]
        if x != x:
            return -2
        return <Py_ssize_t>x if x > -1 and x < v else -1
    k = (<const int32_t *>ids)[i]
    return k if 0 <= k < v else -1


cdef Buffer numbers(ids):
    """As a Buffer of int32 or float32."""
    try:
        return buffer(ids, "ids", "f")
    except TypeError:
        return buffer(ids, "ids", "i")


cdef void lookup_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Lookup *a = <const Lookup *>args
    cdef const char *ids = at(&a.ids, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i, j, k
    for i in range((end - begin) * a.positions):
        k = number(ids, a.floats, i, a.v)
        if k >= 0:
            memcpy(y + i * a.d, a.table + k * a.d, a.d * sizeof(float))
        else:
            for j in range(i * a.d, (i + 1) * a.d):
                y[j] = NAN

def lookup(ids, table, y):
    """y[n, ...] = table[ids[n, ...]]. One task per sample.

    Args:
        ids: (n, ...) int32 or float32.
        table: (v, d) float32.
        y: (n, ..., d), overwritten.
    """
    cdef Buffer nb = numbers(ids), tb = buffer(table, "table", "f", 2), yb = buffer(y, "y", "f", -1, True)
    cdef Lookup a
    a.v, a.d = tb.shape
    if yb.shape != (*nb.shape, a.d):
        raise ValueError(f"embedding.lookup: ids {nb.shape}, table {tb.shape} and y {yb.shape} do not fit together")
    a.tiles, a.ids, a.y, a.table, a.positions = tiles(), nb.rows(), yb.rows(), <float *>tb.whole(), nb.row_size()
    a.floats = nb.dtype == "f"
    return make_step(lookup_leaf, &a, sizeof(a), nb.shape[0], yb.size(), 0, (nb, tb, yb))


cdef void gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Lookup *a = <const Lookup *>args
    cdef const char *ids = a.ids.base
    cdef const float *dy = <const float *>a.y.base
    cdef Py_ssize_t first = begin * a.rows, last = min(end * a.rows, a.v), i, k
    memset(a.table + first * a.d, 0, (last - first) * a.d * sizeof(float))
    for i in range(a.n * a.positions):
        k = number(ids, a.floats, i, a.v)
        if first <= k < last:
            a.tiles.axpy(1, dy + i * a.d, a.table + k * a.d, a.d)

def gradient(dy, ids, dtable, Py_ssize_t rows):
    """dtable[k] = sum of dy[i] over all i with ids[i] = k, in the order of i. One task per `rows` rows of the table.

    A row belongs to one task, which looks at all the numbers: the sums have the same bits whoever does them.

    Args:
        dy: (n, ..., d) float32.
        ids: (n, ...) int32 or float32.
        dtable: (v, d), overwritten.
        rows: at least 1.
    """
    cdef Buffer nb = numbers(ids), tb = buffer(dtable, "dtable", "f", 2, True), yb = buffer(dy, "dy", "f")
    cdef Lookup a
    a.v, a.d = tb.shape
    if yb.shape != (*nb.shape, a.d) or rows < 1:
        raise ValueError(f"embedding.gradient: dy {yb.shape}, ids {nb.shape} and dtable {tb.shape} do not fit together, "
                         f"or rows {rows} < 1")
    nb.whole(), yb.whole()
    a.tiles, a.ids, a.y, a.table, a.positions = tiles(), nb.rows(), yb.rows(), <float *>tb.whole(), nb.row_size()
    a.floats, a.n, a.rows = nb.dtype == "f", nb.shape[0], rows
    return make_step(gradient_leaf, &a, sizeof(a), ceildiv(a.v, rows), yb.size() + tb.size(), 0, (nb, tb, yb))


cdef void one_hot_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Lookup *a = <const Lookup *>args
    cdef const char *ids = at(&a.ids, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i, j, k
    memset(y, 0, (end - begin) * a.positions * a.d * sizeof(float))
    for i in range((end - begin) * a.positions):
        k = number(ids, a.floats, i, a.d)
        if k >= 0:
            y[i * a.d + k] = 1
        elif k == -2:
            for j in range(i * a.d, (i + 1) * a.d):
                y[j] = NAN

def one_hot(ids, y):
    """y[n, ..., k] = 1 where k = ids[n, ...], else 0. One task per sample.

    Args:
        ids: (n, ...) int32 or float32; NaN gives NaN.
        y: (n, ..., classes) float32, overwritten.
    """
    cdef Buffer nb = numbers(ids), yb = buffer(y, "y", "f", -1, True)
    cdef Lookup a
    if yb.shape[:len(yb.shape) - 1] != nb.shape:
        raise ValueError(f"embedding.one_hot: ids {nb.shape} and y {yb.shape} do not fit together")
    a.ids, a.y, a.positions, a.d = nb.rows(), yb.rows(), nb.row_size(), yb.shape[len(yb.shape) - 1]
    a.floats = nb.dtype == "f"
    return make_step(one_hot_leaf, &a, sizeof(a), nb.shape[0], yb.size(), 0, (nb, yb))
