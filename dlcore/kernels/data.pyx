# cython: language_level=3
"""The border between the caller's arrays and a program: gathering the rows of a batch, and storing predictions.

A Feed is where a program's input comes from, or its output goes. It is set per run; the rows of a batch follow the clock's
cursor, so one run can walk through many batches without coming back to Python.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from dlcore.kernels.executor cimport Clock, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

cdef class Feed:
    """A slot for an array of `row` elements a row.

    Args:
        dtype: "f" float32, "B" uint8 or "i" int32, of the array that `set` will get.
        row: elements per entry of axis 0.
    """
    cdef char *data
    cdef const int64_t *index
    cdef readonly str dtype
    cdef readonly Py_ssize_t row
    cdef object keep

    def __init__(self, str dtype, Py_ssize_t row):
        self.dtype, self.row = dtype, row

    def set(self, array, index=None, bint write=False):
        """Use the rows `array[index]`, or those of `array` in order; (rows, ...) C-contiguous.

        The caller has checked that `index`, int64, stays inside the array and that the run stays inside both.
        """
        cdef Buffer b = buffer(array, "array", self.dtype, -1, write), n = None
        if b.row_size() != self.row:
            raise ValueError(f"Feed: expected {self.row} elements a row. Received: shape {b.shape}")
        self.data, self.index = b.whole() if b.size() else NULL, NULL
        if index is not None:
            n = buffer(index, "index", "q", 1)
            self.index = <const int64_t *>n.whole()
        self.keep = (b, n)

    def clear(self):
        self.data, self.index, self.keep = NULL, NULL, None


ctypedef struct Transfer:
    const dlc_tiles *tiles
    Ref y
    char *const *data
    const int64_t *const *index
    const int64_t *cursor
    Py_ssize_t row, itemsize
    float scale
    bint convert

cdef void gather_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Transfer *a = <const Transfer *>args
    cdef char *y = at(&a.y, begin, slot)
    cdef const char *source
    cdef const int64_t *index = a.index[0]
    cdef int64_t i, row
    for i in range(end - begin):
        row = a.cursor[0] + begin + i
        source = a.data[0] + (index[row] if index != NULL else row) * a.row * a.itemsize
        if a.convert:
            a.tiles.scale_u8(<const uint8_t *>source, a.scale, <float *>y + i * a.row, a.row)
        elif a.scale != 1:
            a.tiles.scale(<const float *>source, a.scale, <float *>y + i * a.row, a.row)
        else:
            memcpy(y + i * a.row * a.itemsize, source, a.row * a.itemsize)

def gather(Feed feed not None, Clock clock not None, y, float scale=1):
    """y[i] = scale * feed rows[index[cursor + i]]: uint8 or float32 to float32, int32 to int32. One task per sample.

    Args:
        y: (n, ...) float32 or int32, overwritten.
        scale: factor, 1 for int32.
    """
    cdef Buffer yb = buffer(y, "y", "i" if feed.dtype == "i" else "f", -1, True)
    cdef Transfer a
    if yb.row_size() != feed.row or (feed.dtype == "i" and scale != 1):
        raise ValueError(f"data.gather: y {yb.shape} does not fit rows of {feed.row} {feed.dtype}, scale {scale}")
    a.tiles, a.y, a.row, a.scale, a.convert = tiles(), yb.rows(), feed.row, scale, feed.dtype == "B"
    a.itemsize = 1 if a.convert else 4
    a.data, a.index, a.cursor = &feed.data, &feed.index, &clock.cursor_
    return make_step(gather_leaf, &a, sizeof(a), yb.shape[0], yb.size(), 0, (yb, feed, clock))


cdef void store_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Transfer *a = <const Transfer *>args
    memcpy(a.data[0] + (a.cursor[0] + begin) * a.row * 4, at(&a.y, begin, slot), (end - begin) * a.row * 4)

def store(x, Feed feed not None, Clock clock not None):
    """feed rows[cursor + i] = x[i], float32. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f")
    cdef Transfer a
    if feed.dtype != "f" or xb.row_size() != feed.row:
        raise ValueError(f"data.store: x {xb.shape} does not fit rows of {feed.row} {feed.dtype}")
    a.y, a.row = xb.rows(), feed.row
    a.data, a.cursor = &feed.data, &clock.cursor_
    return make_step(store_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, feed, clock))
