# cython: language_level=3
"""Sums and other elementwise work: add, scale, bias, bias gradient, and the fixed tree that adds up partial sums."""
from libc.string cimport memcpy

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

ctypedef struct Rows:
    const dlc_tiles *tiles
    Ref a, b, y
    const float *bias
    Py_ssize_t size, n     # floats of a sample, of a row
    float alpha, offset
    int activation

cdef Py_ssize_t PIECE = 4096   # floats that a second pass finds in L1


cdef Step bind(Leaf leaf, Rows *a, str what, x, other, y, keep):
    cdef Buffer xb = buffer(x, "x" if other is None else "a", "f"), yb = buffer(y, "y", "f", -1, True), ob = None
    if other is not None:
        ob = buffer(other, "b", "f")
        a.b = ob.rows()
    if xb.shape != yb.shape or (ob is not None and ob.shape != xb.shape):
        shapes = (xb.shape, yb.shape) if ob is None else (xb.shape, ob.shape, yb.shape)
        raise ValueError(f"elementwise.{what}: expected arrays of one shape. Received: {', '.join(map(str, shapes))}")
    a.tiles, a.a, a.y, a.size = tiles(), xb.rows(), yb.rows(), xb.row_size()
    return make_step(leaf, a, sizeof(Rows), xb.shape[0], xb.size(), 0, (xb, yb, ob, keep))


cdef void add_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Rows *a = <const Rows *>args
    cdef const float *x = <const float *>at(&a.a, begin, slot)
    cdef const float *b = <const float *>at(&a.b, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i = 0, n = (end - begin) * a.size, count
    while i < n:
        count = min(PIECE, n - i) if a.activation else n
        a.tiles.add(x + i, b + i, y + i, count)
        if a.activation:
            a.tiles.activate(a.activation, y + i, y + i, count)
        i += count

def add(a, b, y, int activation=0):
    """y = act(a + b), elementwise, (n, ...) of one shape; y overwritten, y may be a or b; activation one of
    `activations.KINDS`. One task per sample."""
    cdef Rows args
    args.activation = activation
    return bind(add_leaf, &args, "add", a, b, y, None)


cdef void rescale_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Rows *a = <const Rows *>args
    cdef const float *x = <const float *>at(&a.a, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.size):
        y[i] = x[i] * a.alpha + a.offset

def rescale(x, y, float scale, float offset=0):
    """y = x * scale + offset, (n, ...) of one shape; y overwritten, y may be x. One task per sample."""
    cdef Rows args
    args.alpha, args.offset = scale, offset
    return bind(rescale_leaf, &args, "rescale", x, None, y, None)


cdef void bias_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Rows *a = <const Rows *>args
    cdef const float *x = <const float *>at(&a.a, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i = 0
    while i < (end - begin) * a.size:
        a.tiles.add(x + i, a.bias, y + i, a.n)
        i += a.n

def bias_add(x, b, y):
    """y = x + b, b (c,) along the last axis of x and y (n, ..., c); y overwritten, y may be x. One task per sample."""
    cdef Rows args
    cdef Buffer bb = buffer(b, "b", "f", 1), xb = buffer(x, "x", "f")
    args.n, args.bias = bb.shape[0], <const float *>bb.whole()
    if xb.shape[len(xb.shape) - 1] != args.n:
        raise ValueError(f"elementwise.bias_add: expected b of shape ({xb.shape[len(xb.shape) - 1]},). "
                         f"Received: {bb.shape}")
    return bind(bias_leaf, &args, "bias_add", x, None, y, bb)


# ---------------------------------------------------------------------------------------------------------------------
# sums over the batch

cdef enum:
    MOST_BESIDE = 128          # floats of the rows that are summed beside each other: some vectors of any width

ctypedef struct BiasGradient:
    const dlc_tiles *tiles
    Ref dy
    float *db                  # (chunks, c)
    Py_ssize_t grain, rows, n, beside

cdef void bias_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const BiasGradient *a = <const BiasGradient *>args
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef float *db = a.db + begin // a.grain * a.n
    cdef float wide[MOST_BESIDE]
    if a.beside == 1:
        a.tiles.sum_rows(dy, (end - begin) * a.rows, a.n, db, 0)
    else:
        a.tiles.sum_rows(dy, (end - begin) * (a.rows // a.beside), a.n * a.beside, wide, 0)
        a.tiles.sum_rows(wide, a.beside, a.n, db, 0)

def bias_gradient(dy, db, Py_ssize_t grain):
    """db[c] = sum over all axes but the last of the samples of chunk c of dy. One task per sample.

    Args:
        dy: (n, ..., units) float32.
        db: (ceil(n / grain), units), overwritten: one partial sum per chunk of `grain` samples. The step must run with
            this grain.
    """
    cdef Buffer gb = buffer(dy, "dy", "f"), bb = buffer(db, "db", "f", 2, True)
    cdef BiasGradient a
    a.n = gb.shape[len(gb.shape) - 1]
    if grain < 1 or bb.shape != ((gb.shape[0] + grain - 1) // grain, a.n):
        raise ValueError(f"elementwise.bias_gradient: db {bb.shape} does not fit dy {gb.shape} in chunks of {grain}")
    a.tiles, a.dy, a.db, a.grain = tiles(), gb.rows(), <float *>bb.whole(), grain
    a.rows = gb.row_size() // a.n if a.n else 0
    a.beside = 1               # few channels: rows side by side fill vectors
    while 0 < 2 * a.n * a.beside <= MOST_BESIDE and a.rows > 0 and a.rows % (2 * a.beside) == 0:
        a.beside *= 2
    return make_step(bias_gradient_leaf, &a, sizeof(a), gb.shape[0], gb.size(), 0, (gb, bb), grain)


ctypedef struct Reduce:
    const dlc_tiles *tiles
    float *parts
    float *y
    Py_ssize_t chunks, size

REDUCE_BLOCK = 1024            # floats per task

cdef Py_ssize_t BLOCK = REDUCE_BLOCK

cdef void reduce_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Reduce *a = <const Reduce *>args
    cdef Py_ssize_t first = begin * BLOCK, count = min(end * BLOCK, a.size) - begin * BLOCK, half = 1, i
    cdef float *part
    while half < a.chunks:     # neighbours first: ((0+1)+(2+3))+..., the same tree for any number of threads
        i = 0
        while i + half < a.chunks:
            part = a.parts + i * a.size + first
            a.tiles.add(part, part + half * a.size, part, count)
            i += 2 * half
        half *= 2
    memcpy(a.y + first, a.parts + first, count * sizeof(float))

def reduce_chunks(parts, y):
    """y = sum over c of parts[c] by a fixed binary tree. parts (chunks, ...) is destroyed, y (...) overwritten.
    One task per 1024 elements."""
    cdef Buffer pb = buffer(parts, "parts", "f", -1, True), yb = buffer(y, "y", "f", -1, True)
    cdef Reduce a
    if pb.shape[1:] != yb.shape or pb.shape[0] < 1:
        raise ValueError(f"elementwise.reduce_chunks: parts {pb.shape} and y {yb.shape} do not fit together")
    a.tiles, a.parts, a.y = tiles(), <float *>pb.whole(), <float *>yb.whole()
    a.chunks, a.size = pb.shape[0], yb.size()
    return make_step(reduce_leaf, &a, sizeof(a), (a.size + BLOCK - 1) // BLOCK, pb.size(), 0, (pb, yb))


ctypedef struct Fill:
    Ref y
    Py_ssize_t size
    float value

cdef void fill_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Fill *a = <const Fill *>args
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.size):
        y[i] = a.value

def fill(y, float value):
    """y = value everywhere; (n, ...), overwritten. One task per sample."""
    cdef Buffer yb = buffer(y, "y", "f", -1, True)
    cdef Fill a
    a.y, a.size, a.value = yb.rows(), yb.row_size(), value
    return make_step(fill_leaf, &a, sizeof(a), yb.shape[0], yb.size(), 0, yb)
