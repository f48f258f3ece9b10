# cython: language_level=3
"""Sums, maxima and minima over axes of a sample, over the samples of a slab, and the way back."""

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport DLC_MAX, DLC_MIN, DLC_SUM, dlc_tiles, tiles

KINDS = {"sum": DLC_SUM, "max": DLC_MAX, "min": DLC_MIN}

DEF RANK = 8                # runs of axes that are all reduced, or all kept

ctypedef struct Reduction:
    const dlc_tiles *tiles
    Ref x, y
    Py_ssize_t size[RANK]
    Py_ssize_t step[RANK]   # floats of y along each run, 0 where it is reduced
    Py_ssize_t floats, kept # of a sample of x, of y
    Py_ssize_t grain        # samples to a row of y; 0: one
    int runs, kind
    float scale


cdef void reduce_sample(const Reduction *a, const float *x, float *y, bint accumulate) noexcept nogil:
    """The last run, with the one before it where that is reduced and the last one kept, by a word; the others here."""
    cdef Py_ssize_t index[RANK]
    cdef int last = a.runs - 1, axis, outer
    cdef Py_ssize_t n = a.size[last], rows = 1, offset = 0
    cdef bint columns = a.step[last] != 0, again
    cdef float value
    outer = last
    if columns and last > 0:            # runs alternate
        outer = last - 1
        rows = a.size[outer]
    for axis in range(outer):
        index[axis] = 0
    while True:
        again = accumulate
        for axis in range(outer):
            if a.step[axis] == 0 and index[axis] > 0:
                again = True
        if columns:
            a.tiles.reduce_rows(a.kind, x, rows, n, y + offset, again)
        else:
            value = a.tiles.reduce(a.kind, x, n)
            if again:
                a.tiles.reduce_rows(a.kind, &value, 1, 1, y + offset, True)
            else:
                y[offset] = value
        x += rows * n
        axis = outer - 1
        while axis >= 0:
            index[axis] += 1
            if index[axis] < a.size[axis]:
                offset += a.step[axis]
                break
            offset -= a.step[axis] * (a.size[axis] - 1)
            index[axis] = 0
            axis -= 1
        if axis < 0:
            return


cdef void reduce_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Reduction *a = <const Reduction *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin // a.grain if a.grain else begin, slot)
    cdef Py_ssize_t sample, i
    for sample in range(end - begin):
        if a.floats == 0:
            for i in range(a.kept):
                y[i] = 0
        else:
            reduce_sample(a, x, y, a.grain > 0 and sample > 0)
        if a.scale != 1:
            for i in range(a.kept):
                y[i] *= a.scale
        x += a.floats
        if a.grain == 0:
            y += a.kept


cdef int prepare(Reduction *a, str what, shape, axes) except -1:
    """Runs of kept and reduced axes of a sample of `shape`."""
    cdef Py_ssize_t stride
    if any(not 0 <= axis < len(shape) for axis in axes) or len(set(axes)) != len(axes):
        raise ValueError(f"reduction.{what}: axes {tuple(axes)} are not axes of a sample of shape {shape}")
    runs = []
    for axis, size in enumerate(shape):
        reduced = int(axis in axes)
        if size == 1:
            continue
        if runs and runs[len(runs) - 1][1] == reduced:
            runs[len(runs) - 1] = (runs[len(runs) - 1][0] * size, reduced)
        else:
            runs.append((size, reduced))
    runs = runs or [(1, False)]
    if len(runs) > RANK:
        raise ValueError(f"reduction.{what}: more than {RANK} axes. Received: {shape}")
    a.tiles, a.runs, a.grain, a.scale, stride = tiles(), len(runs), 0, 1, 1
    for i in reversed(range(len(runs))):
        a.size[i] = runs[i][0]
        a.step[i] = 0 if runs[i][1] else stride
        stride *= 1 if runs[i][1] else runs[i][0]
    a.kept, a.floats = stride, 1
    for size in shape:
        a.floats *= size
    return 0


cdef shapes(Buffer b, bint whole):
    """(samples, shape of one): a tensor without a batch is one sample."""
    return (1, b.shape) if whole else (b.shape[0], b.shape[1:])


def reduce(x, y, str kind, axes, float scale=1, bint whole=False):
    """y = scale * the sum (maximum, minimum) of x over axes of a sample. One task per sample.

    Args:
        x: (n, ...) float32; with `whole`, one sample (...).
        y: overwritten; the kept axes of x, with or without ones for the others. A sum over nothing is 0.
        axes: numbers of axes of a sample, from 0.
    """
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Reduction a
    n, shape = shapes(xb, whole)
    prepare(&a, "reduce", shape, axes)
    if yb.size() != n * a.kept or (not whole and yb.shape[0] != n):
        raise ValueError(f"reduction.reduce: y {yb.shape} does not fit x {xb.shape} without its axes {tuple(axes)}")
    if a.floats == 0 and kind != "sum":
        raise ValueError(f"reduction.reduce: {kind} over no elements. Received: x {xb.shape}")
    a.x, a.y, a.kind, a.scale = xb.rows(), yb.rows(), KINDS[kind], scale
    return make_step(reduce_leaf, &a, sizeof(a), n, xb.size(), 0, (xb, yb))


def batch_sum(x, y, axes, Py_ssize_t grain):
    """y[chunk] = sum of x over the samples of the chunk and over axes of a sample. One task per sample.

    Args:
        x: (n, ...) float32.
        y: (ceil(n / grain), ...), overwritten: the kept axes of x, with or without ones for the others. The step must
            run with this grain.
        axes: numbers of axes of a sample, from 0.
    """
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Reduction a
    prepare(&a, "batch_sum", xb.shape[1:], axes)
    if grain < 1 or yb.shape[0] != (xb.shape[0] + grain - 1) // grain or yb.row_size() != a.kept:
        raise ValueError(f"reduction.batch_sum: y {yb.shape} does not fit x {xb.shape} in chunks of {grain}")
    yb.whole()
    a.x, a.y, a.kind, a.grain = xb.rows(), yb.rows(), DLC_SUM, grain
    return make_step(reduce_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, yb), grain)


cdef void expand_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Reduction *a = <const Reduction *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef float *x = <float *>at(&a.x, begin, slot)
    cdef Py_ssize_t index[RANK]
    cdef Py_ssize_t sample, i, n = a.size[a.runs - 1], offset
    cdef int last = a.runs - 1, axis
    cdef float value
    if a.floats == 0:
        return
    for sample in range(end - begin):
        for axis in range(last):
            index[axis] = 0
        offset = 0
        while True:
            if a.step[last]:
                a.tiles.scale(y + offset, a.scale, x, n)
            else:
                value = y[offset] * a.scale
                for i in range(n):
                    x[i] = value
            x += n
            axis = last - 1
            while axis >= 0:
                index[axis] += 1
                if index[axis] < a.size[axis]:
                    offset += a.step[axis]
                    break
                offset -= a.step[axis] * (a.size[axis] - 1)
                index[axis] = 0
                axis -= 1
            if axis < 0:
                break
        y += a.grain        # 0: all samples have one y

def expand(y, x, axes, float scale=1, bint shared=False, bint whole=False):
    """x = scale * y, repeated along axes of a sample: the gradient of a sum. One task per sample.

    Args:
        y: the kept axes of x, with or without ones for the others, float32; with `shared`, one for all samples.
        x: (n, ...), overwritten; with `whole`, one sample (...).
        axes: numbers of axes of a sample, from 0.
    """
    cdef Buffer yb = buffer(y, "y", "f"), xb = buffer(x, "x", "f", -1, True)
    cdef Reduction a
    n, shape = shapes(xb, whole)
    prepare(&a, "expand", shape, axes)
    if yb.size() != (1 if shared else n) * a.kept or (not shared and not whole and yb.shape[0] != n):
        raise ValueError(f"reduction.expand: y {yb.shape} does not fit x {xb.shape} without its axes {tuple(axes)}")
    a.x, a.y, a.scale, a.kind = xb.rows(), yb.rows(), scale, DLC_SUM
    a.grain = 0 if shared else a.kept
    if shared:
        a.y.stride = 0
    return make_step(expand_leaf, &a, sizeof(a), n, xb.size(), 0, (xb, yb))


# ---------------------------------------------------------------------------------------------------------------------

ctypedef struct ArgMax:
    Ref x, y
    Py_ssize_t outer, n, inner

cdef void argmax_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const ArgMax *a = <const ArgMax *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t o, i, j, best
    cdef float top, value
    for o in range((end - begin) * a.outer):
        for j in range(a.inner):
            best, top = 0, x[j]
            for i in range(1, a.n):
                value = x[i * a.inner + j]
                if value > top or (value != value and top == top):
                    best, top = i, value
            y[o * a.inner + j] = <float>best
        x += a.n * a.inner

def argmax(x, y, Py_ssize_t axis):
    """y = number of the first maximum along `axis` of a sample, from 0, as a float; the first NaN comes before all.
    x (n, ...), y the same without that axis, or with 1 there, overwritten. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef ArgMax a
    shape = xb.shape[1:]
    if not 0 <= axis < len(shape) or shape[axis] < 1:
        raise ValueError(f"reduction.argmax: axis {axis} is not one of a sample of x {xb.shape}")
    a.n, a.outer, a.inner = shape[axis], 1, 1
    for size in shape[:axis]:
        a.outer *= size
    for size in shape[axis + 1:]:
        a.inner *= size
    if yb.shape[0] != xb.shape[0] or yb.row_size() != a.outer * a.inner:
        raise ValueError(f"reduction.argmax: y {yb.shape} does not fit x {xb.shape} without axis {axis}")
    a.x, a.y = xb.rows(), yb.rows()
    return make_step(argmax_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, yb))
