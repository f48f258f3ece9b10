# cython: language_level=3
"""Dense layers with at most 32 outputs, such as a classifier's last one, on the transposed weights wt (n, k): outputs in
vector lanes would leave most of them empty, so forward sums along k, and backward has the features in lanes."""
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_tiles, tiles

MAX_UNITS = 32

FEATURES = 128         # per task of the weight gradient and of the transpose

cdef Py_ssize_t BLOCK = FEATURES


cdef int check(str what, Py_ssize_t n, bint fits, str given) except -1:
    if not fits or not 1 <= n <= MAX_UNITS:
        raise ValueError(f"{what}: {given} do not fit together, with 1 to {MAX_UNITS} units")
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# transpose

ctypedef struct Transpose:
    const dlc_tiles *tiles
    const float *w
    float *wt
    Py_ssize_t k, n

cdef void transpose_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Transpose *a = <const Transpose *>args
    cdef Py_ssize_t first = begin * BLOCK, count = min(end * BLOCK, a.k) - begin * BLOCK
    a.tiles.transpose(a.w + first * a.n, a.n, count, a.n, a.wt + first, a.k)

def transpose(w, wt):
    """wt = w^T: w (k, n), wt (n, k) overwritten. One task per 128 rows of w."""
    cdef Buffer wb = buffer(w, "w", "f", 2), tb = buffer(wt, "wt", "f", 2, True)
    cdef Transpose a
    a.k, a.n = wb.shape
    check("narrow.transpose", a.n, tb.shape == (a.n, a.k), f"w {wb.shape} and wt {tb.shape}")
    a.tiles, a.w, a.wt = tiles(), <const float *>wb.whole(), <float *>tb.whole()
    return make_step(transpose_leaf, &a, sizeof(a), ceildiv(a.k, BLOCK), wb.size(), 0, (wb, tb))


# ---------------------------------------------------------------------------------------------------------------------
# forward

ctypedef struct Narrow:
    const dlc_tiles *tiles
    Ref x, y
    const float *wt
    const float *b
    Py_ssize_t k, n
    int activation

cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Narrow *a = <const Narrow *>args
    a.tiles.dot(<const float *>at(&a.x, begin, slot), a.k, end - begin, a.wt, a.k, a.n, a.b, a.activation,
                <float *>at(&a.y, begin, slot))

def narrow_forward(x, wt, b, y, int activation=0):
    """y = act(x wt^T + b). One task per row.

    Args:
        x: (rows, k) float32.
        wt: (n, k), n <= 32.
        b: (n,) or None.
        y: (rows, n), overwritten.
        activation: one of `activations.KINDS`.
    """
    cdef Buffer xb = buffer(x, "x", "f", 2), tb = buffer(wt, "wt", "f", 2), yb = buffer(y, "y", "f", 2, True), bb = None
    cdef Narrow a
    a.n, a.k = tb.shape
    a.b = NULL
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        a.b = <const float *>bb.whole()
    check("narrow_forward", a.n, xb.shape[1] == a.k and yb.shape == (xb.shape[0], a.n)
          and (bb is None or bb.shape[0] == a.n), f"x {xb.shape}, wt {tb.shape}, b {bb and bb.shape} and y {yb.shape}")
    a.tiles, a.x, a.y, a.wt, a.activation = tiles(), xb.rows(), yb.rows(), <const float *>tb.whole(), activation
    return make_step(forward_leaf, &a, sizeof(a), xb.shape[0], <double>xb.size() * a.n, 0, (xb, tb, bb, yb))


# ---------------------------------------------------------------------------------------------------------------------
# input gradient

cdef void input_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Narrow *a = <const Narrow *>args
    a.tiles.dot_input_gradient(<const float *>at(&a.y, begin, slot), end - begin, a.n, a.wt, a.k,
                               <float *>at(&a.x, begin, slot))

def narrow_input_gradient(dy, wt, dx):
    """dx = dy wt: dy (rows, n), wt (n, k), n <= 32, dx (rows, k) overwritten. One task per row."""
    cdef Buffer gb = buffer(dy, "dy", "f", 2), tb = buffer(wt, "wt", "f", 2), xb = buffer(dx, "dx", "f", 2, True)
    cdef Narrow a
    a.n, a.k = tb.shape
    check("narrow_input_gradient", a.n, gb.shape[1] == a.n and xb.shape == (gb.shape[0], a.k),
          f"dy {gb.shape}, wt {tb.shape} and dx {xb.shape}")
    a.tiles, a.x, a.y, a.wt, a.b, a.activation = tiles(), xb.rows(), gb.rows(), <const float *>tb.whole(), NULL, 0
    return make_step(input_gradient_leaf, &a, sizeof(a), gb.shape[0], <double>xb.size() * a.n, 0, (gb, tb, xb))


# ---------------------------------------------------------------------------------------------------------------------
# weight gradient

ctypedef struct WeightGradient:
    const dlc_tiles *tiles
    const float *x
    const float *dy
    float *dw
    Py_ssize_t rows, k, n

cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef Py_ssize_t first = begin * BLOCK, count = min(end * BLOCK, a.k) - begin * BLOCK
    a.tiles.dot_weight_gradient(a.x + first, a.k, a.rows, count, a.dy, a.n, a.dw + first * a.n)

def narrow_weight_gradient(x, dy, dw):
    """dw = x^T dy, summed over the batch in order: x (rows, k), dy (rows, n), n <= 32, dw (k, n) overwritten. One task per
    128 rows of dw; needs the whole batch."""
    cdef Buffer xb = buffer(x, "x", "f", 2), gb = buffer(dy, "dy", "f", 2), wb = buffer(dw, "dw", "f", 2, True)
    cdef WeightGradient a
    a.rows, a.k = xb.shape
    a.n = gb.shape[1]
    check("narrow_weight_gradient", a.n, gb.shape[0] == a.rows and wb.shape == (a.k, a.n),
          f"x {xb.shape}, dy {gb.shape} and dw {wb.shape}")
    a.tiles, a.x, a.dy, a.dw = tiles(), <const float *>xb.whole(), <const float *>gb.whole(), <float *>wb.whole()
    return make_step(weight_gradient_leaf, &a, sizeof(a), ceildiv(a.k, BLOCK), <double>a.rows * a.k * a.n, 0,
                     (xb, gb, wb))
