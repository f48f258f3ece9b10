# cython: language_level=3
"""Moving data: any strided region of a sample to any other, and concatenation.

One copy serves slices, padding, cropping, permutation, flips, repetition and their gradients: they differ in strides and
offsets only. Runs that are contiguous on both sides go by memcpy, and zeros are written where no run goes.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer

cdef extern from *:
    """
    /* Runs are mostly the channels of a pixel or some of them: shorter than what a call of memcpy or memset pays for. */
    enum { DLC_LONG = 128 };

    static inline void dlc_move_words(uint32_t *y, const uint32_t *x, ptrdiff_t n) {
        if (n >= DLC_LONG) memcpy(y, x, (size_t)n * 4);
        else if (n < 4) for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i];
        else {
            for (ptrdiff_t i = 0; i < n - 4; i += 4) memcpy(y + i, x + i, 16);
            memcpy(y + n - 4, x + n - 4, 16);
        }
    }

    static inline void dlc_fill_words(uint32_t *y, ptrdiff_t n, uint32_t value) {
        const uint32_t four[4] = {value, value, value, value};
        if (n >= DLC_LONG && value == 0) memset(y, 0, (size_t)n * 4);
        else if (n < 4) for (ptrdiff_t i = 0; i < n; i++) y[i] = value;
        else {
            for (ptrdiff_t i = 0; i < n - 4; i += 4) memcpy(y + i, four, 16);
            memcpy(y + n - 4, four, 16);
        }
    }
    """
    void move_words "dlc_move_words"(uint32_t *y, const uint32_t *x, Py_ssize_t n) nogil
    void fill "dlc_fill_words"(uint32_t *y, Py_ssize_t n, uint32_t value) nogil

cdef enum:
    MOST = 12                  # dimensions of a region

MOST_DIMS = MOST

ctypedef struct Copy:
    Ref x, y, onto
    Py_ssize_t x_size, y_size, x_offset, y_offset      # floats: of a sample, of the first element of the region
    Py_ssize_t size[MOST]
    Py_ssize_t xs[MOST]
    Py_ssize_t ys[MOST]
    int rank
    uint32_t value
    bint empty, fill, gaps, accumulate, adds


cdef inline void move(const uint32_t *x, uint32_t *y, Py_ssize_t n, Py_ssize_t xs, Py_ssize_t ys) noexcept nogil:
    cdef Py_ssize_t i
    if ys == 1 and xs == 1:
        move_words(y, x, n)
    elif ys == 1 and xs == 0:
        fill(y, n, x[0])
    elif ys == 1:
        for i in range(n):
            y[i] = x[i * xs]
    else:
        for i in range(n):
            y[i * ys] = x[i * xs]

cdef inline void sum_to(const float *x, float *y, Py_ssize_t n, Py_ssize_t xs, Py_ssize_t ys) noexcept nogil:
    cdef Py_ssize_t i
    cdef float sum
    if ys == 1 and xs == 1:
        for i in range(n):
            y[i] += x[i]
    elif ys == 0:
        sum = y[0]
        for i in range(n):
            sum += x[i * xs]
        y[0] = sum
    else:
        for i in range(n):
            y[i * ys] += x[i * xs]


cdef void copy_sample(const Copy *a, const uint32_t *x, const uint32_t *onto, uint32_t *y) noexcept nogil:
    cdef Py_ssize_t count[MOST]
    cdef Py_ssize_t from_ = a.x_offset, to = a.y_offset, done = 0, j, p, q
    cdef int d, inner = a.rank - 1, row = a.rank - 2
    if onto != NULL:
        if onto != y:
            move_words(y, onto, a.y_size)
    elif a.fill and not a.gaps:
        fill(y, a.y_size, a.value)
    for d in range(a.rank):
        count[d] = 0
    while not a.empty:
        p, q = from_, to
        for j in range(a.size[row]):
            if a.accumulate:
                sum_to(<const float *>x + p, <float *>y + q, a.size[inner], a.xs[inner], a.ys[inner])
            else:
                if a.gaps:
                    fill(y + done, q - done, a.value)
                    done = q + a.size[inner]
                move(x + p, y + q, a.size[inner], a.xs[inner], a.ys[inner])
            p += a.xs[row]
            q += a.ys[row]
        d = row - 1
        while d >= 0:
            count[d] += 1
            from_ += a.xs[d]
            to += a.ys[d]
            if count[d] < a.size[d]:
                break
            from_ -= a.size[d] * a.xs[d]
            to -= a.size[d] * a.ys[d]
            count[d] = 0
            d -= 1
        if d < 0:
            break
    if a.gaps:
        fill(y + done, a.y_size - done, a.value)


cdef void copy_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Copy *a = <const Copy *>args
    cdef const uint32_t *x = <const uint32_t *>at(&a.x, begin, slot)
    cdef const uint32_t *onto = <const uint32_t *>at(&a.onto, begin, slot) if a.adds else NULL
    cdef uint32_t *y = <uint32_t *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range(end - begin):
        copy_sample(a, x + i * a.x_size, onto + i * a.y_size if a.adds else NULL, y + i * a.y_size)


cdef list merged(dims):
    """The same region in as few dimensions as it has: none of size 1, and neighbours joined where both sides allow."""
    found = []
    for size, xs, ys in dims:
        if size == 1:
            continue
        if found and found[len(found) - 1][1:] == (size * xs, size * ys):
            size *= found.pop()[0]
        found.append((size, xs, ys))
    return [(1, 0, 0)] * (2 - len(found)) + found


def copy(x, y, dims, Py_ssize_t x_offset=0, Py_ssize_t y_offset=0, value=0, bint accumulate=False, bint whole=False,
         str dtype="f", onto=None):
    """y[y_offset + sum_d i_d ys_d] = x[x_offset + sum_d i_d xs_d] for all 0 <= i_d < size_d, in each sample; the rest of y
    is `value`. One task per sample.

    Args:
        x: (n, ...) of `dtype`.
        y: (n, ...), overwritten.
        dims: (size, xs, ys) of each dimension, outermost first; strides in elements of a sample, of either sign. Where
            `accumulate` is not set, no two indices may meet in y.
        x_offset, y_offset: where the first element lies in a sample.
        value: what y holds outside the region.
        accumulate: y is zero, and then the sum, in order, of all that meets in an element; float32 only.
        whole: x and y are one sample, of all of their elements; one task.
        dtype: "f" float32 or "i" int32.
        onto: what y is, with `accumulate`, before the sum, instead of zero; of the shape of y, and may be y.
    """
    cdef Buffer xb = buffer(x, "x", dtype), yb = buffer(y, "y", dtype, -1, True), ob = None
    cdef Copy a
    cdef Py_ssize_t count = 1, span
    cdef int d
    a.x_size, a.y_size = (xb.size(), yb.size()) if whole else (xb.row_size(), yb.row_size())
    dims = [tuple(dim) for dim in dims]
    ends = {}
    for name, size, offset, axis in (("x", a.x_size, x_offset, 1), ("y", a.y_size, y_offset, 2)):
        ends[name] = (offset + sum(min(0, (dim[0] - 1) * dim[axis]) for dim in dims) >= 0
                      and offset + sum(max(0, (dim[0] - 1) * dim[axis]) for dim in dims) < size)
    a.empty = any(dim[0] == 0 for dim in dims)
    regions = merged(dims)
    if ((not whole and xb.shape[0] != yb.shape[0]) or dtype not in "fi" or (accumulate and (dtype != "f" or value != 0))
            or len(regions) > MOST or min([dim[0] for dim in dims], default=0) < 0
            or not (a.empty or (ends["x"] and ends["y"]))):
        raise ValueError(f"shape.copy: x {xb.shape}, y {yb.shape} and dims {dims} from {x_offset} to {y_offset} do not "
                         f"fit together, or are more than {MOST} dimensions")
    a.adds = onto is not None
    if a.adds:
        ob = buffer(onto, "onto", "f")
        a.onto = ob.rows()
        if ob.shape != yb.shape or not accumulate:
            raise ValueError(f"shape.copy: expected onto of shape {yb.shape}, to accumulate. Received: {ob.shape}")
    a.x, a.y, a.x_offset, a.y_offset, a.accumulate, a.rank = xb.rows(), yb.rows(), x_offset, y_offset, accumulate, len(regions)
    for d, (size, xs, ys) in enumerate(regions):
        a.size[d], a.xs[d], a.ys[d] = size, xs, ys
        count *= size
    a.fill = accumulate or a.empty or count != a.y_size
    # the runs come in the order of y, one after the other: what lies between them can be filled on the way
    span = a.size[a.rank - 1] if a.ys[a.rank - 1] in (0, 1) else -1
    a.gaps = a.fill and not accumulate and not a.empty and span >= 0
    for d in range(a.rank - 2, -1, -1):
        if a.size[d] > 1:
            a.gaps = a.gaps and a.ys[d] >= span
            span = (a.size[d] - 1) * a.ys[d] + span
    if a.size[a.rank - 1] > 1 and a.ys[a.rank - 1] != 1:
        a.gaps = False
    set_value(&a.value, value, dtype)
    return make_step(copy_leaf, &a, sizeof(a), 1 if whole else yb.shape[0], yb.size(), 0, (xb, yb, ob))


cdef int set_value(uint32_t *word, value, str dtype) except -1:
    cdef float number
    cdef int whole_number
    if dtype == "f":
        number = value
        memcpy(word, &number, sizeof(number))
    else:
        whole_number = value
        memcpy(word, &whole_number, sizeof(whole_number))
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# concatenation

ctypedef struct Piece:
    Ref x
    Py_ssize_t run             # floats that lie together, in x and in y

ctypedef struct Concatenate:
    Ref y
    const Piece *pieces
    Py_ssize_t count, outer, run


cdef void concatenate_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Concatenate *a = <const Concatenate *>args
    cdef uint32_t *y
    cdef const uint32_t *x
    cdef Py_ssize_t i, k, n, first = 0, rows = (end - begin) * a.outer
    for k in range(a.count):
        n = a.pieces[k].run
        x = <const uint32_t *>at(&a.pieces[k].x, begin, slot)
        y = <uint32_t *>at(&a.y, begin, slot) + first
        for i in range(rows):
            move(x + i * n, y + i * a.run, n, 1, 1)
        first += n

def concatenate(xs, y, int axis, bint whole=False, str dtype="f"):
    """y = the arrays of `xs` behind each other along `axis`. One task per sample.

    Args:
        xs: arrays (n, ...) of `dtype` and of one shape, but for `axis`.
        y: (n, ...), overwritten.
        axis: from 1 on, or from 0 on with `whole`.
        whole: axis 0 is not the batch; one task.
        dtype: "f" float32 or "i" int32.
    """
    cdef Buffer yb = buffer(y, "y", dtype, -1, True), xb
    cdef list given = [buffer(x, f"x{i}", dtype) for i, x in enumerate(xs)]
    cdef Concatenate a
    cdef bytearray memory = bytearray(max(len(given), 1) * sizeof(Piece))
    cdef Piece *pieces = <Piece *><char *>memory
    cdef Py_ssize_t inner = 1, i
    shape = yb.shape
    fits = dtype in "fi" and (0 if whole else 1) <= axis < len(shape)
    fits = fits and all(x.shape[:axis] == shape[:axis] and x.shape[axis + 1:] == shape[axis + 1:] for x in given)
    if not fits or sum(x.shape[axis] for x in given) != shape[axis]:
        raise ValueError(f"shape.concatenate: arrays {', '.join(f'x{i} {x.shape}' for i, x in enumerate(given))} do not "
                         f"fit into y {shape} along axis {axis}")
    a.outer = 1
    for i, size in enumerate(shape):
        if i > axis:
            inner *= size
        elif (whole or i > 0) and i < axis:
            a.outer *= size
    for i, x in enumerate(given):
        xb = x
        pieces[i].x, pieces[i].run = xb.rows(), <Py_ssize_t>xb.shape[axis] * inner
    a.y, a.pieces, a.count, a.run = yb.rows(), pieces, len(given), <Py_ssize_t>shape[axis] * inner
    return make_step(concatenate_leaf, &a, sizeof(a), 1 if whole else shape[0], yb.size(), 0, (given, yb, memory))
