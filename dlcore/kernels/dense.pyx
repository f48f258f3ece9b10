# cython: language_level=3
"""Dense layers on slabs: y = act(x w + b), its input gradient, and the packed weights that both directions use.

Packed weights are panels (ceil(n / nr), k, nr) of the right-hand matrix (k, n), zero beyond n, so that the register tile
always loads whole vectors; see csrc/README.md.
"""
from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_gemm, dlc_tiles, tiles

cdef enum:
    ROWS = 84   # whose pointers are set up together: whole tiles

cdef Py_ssize_t ZERO = 0   # the one segment of a plain matrix product

# Rows of b kept in L1 while the tile walks down x: 256 x 32 x 4 bytes. K is cut into equal parts of at most this.
cdef Py_ssize_t KC = 256


def packed_shape(k, n, groups=1):
    """Shape of the packed form of `groups` matrices (k, n) with the instruction set in use: (groups, panels, k, nr)."""
    return groups, ceildiv(n, tiles().nr), k, tiles().nr


# ---------------------------------------------------------------------------------------------------------------------
# pack

ctypedef struct Pack:
    const dlc_tiles *tiles
    const float *w
    float *packed
    Py_ssize_t taps, k, n, panels
    Py_ssize_t tap_stride, row_stride, col_stride, group_stride

cdef void pack_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Pack *a = <const Pack *>args
    cdef Py_ssize_t task, group, panel, tap
    cdef int nr = a.tiles.nr
    cdef const float *w
    cdef float *to
    for task in range(begin, end):
        group, panel = task // a.panels, task % a.panels
        for tap in range(a.taps):
            w = a.w + group * a.group_stride + tap * a.tap_stride + panel * nr * a.col_stride
            to = a.packed + (task * a.taps + tap) * a.k * nr
            if a.row_stride == 1 and a.n - panel * nr >= nr:
                a.tiles.transpose(w, a.col_stride, nr, a.k, to, nr)
            else:
                a.tiles.pack(w, a.row_stride, a.col_stride, a.k, min(a.n - panel * nr, nr), to)


def pack(w, packed, bint transpose=False, int groups=1, bint joined=False):
    """packed[g, j, t*k + i, l] = B[g, t][i, j*nr + l], zero beyond its n columns. One task per (group, panel).

    Args:
        w: (taps..., ic, oc) float32: a dense kernel (no taps) or a convolution kernel (kh, kw, ic / groups, oc).
        packed: `packed_shape(taps * k, n, groups)`, overwritten.
        transpose: False for B[g, t] = w[t][:, columns of g], as the forward pass multiplies; True for its transpose, as
            the input gradient does.
        joined: the taps of a kernel row side by side: w is taken as (kh, kw*ic, oc).
    """
    cdef Buffer wb = buffer(w, "w", "f"), pb = buffer(packed, "packed", "f", 4, True)
    cdef Pack a
    if len(wb.shape) < 2:
        raise ValueError(f"pack: expected w with 2 dimensions or more. Received: {wb.shape}")
    cdef Py_ssize_t ic = wb.shape[len(wb.shape) - 2], oc = wb.shape[len(wb.shape) - 1], ocg
    if groups < 1 or oc % groups:
        raise ValueError(f"pack: {oc} output channels cannot be split into {groups} groups")
    ocg = oc // groups
    a.tiles = tiles()
    a.taps = 1
    for d in wb.shape[:len(wb.shape) - 2]:
        a.taps *= <Py_ssize_t>d
    if joined and len(wb.shape) > 2:
        ic *= <Py_ssize_t>wb.shape[len(wb.shape) - 3]
        a.taps //= <Py_ssize_t>wb.shape[len(wb.shape) - 3]
    a.w, a.packed = <const float *>wb.whole(), <float *>pb.whole()
    a.tap_stride, a.group_stride = ic * oc, ocg
    if transpose:
        a.k, a.n, a.row_stride, a.col_stride = ocg, ic, 1, oc
    else:
        a.k, a.n, a.row_stride, a.col_stride = ic, ocg, oc, 1
    if pb.shape != packed_shape(a.taps * a.k, a.n, groups):
        raise ValueError(f"pack: expected packed of shape {packed_shape(a.taps * a.k, a.n, groups)} for w {wb.shape}. "
                         f"Received: {pb.shape}")
    a.panels = pb.shape[1]
    return make_step(pack_leaf, &a, sizeof(a), groups * a.panels, wb.size(), 0, (wb, pb))


# ---------------------------------------------------------------------------------------------------------------------
# forward (and, on packed transposed weights, the input gradient)

ctypedef struct Dense:
    const dlc_tiles *tiles
    Ref x, y
    const float *packed
    const float *b
    Py_ssize_t k, n, kc, panels
    int activation

cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Dense *a = <const Dense *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t rows = end - begin, row, k0, panel
    cdef Py_ssize_t r
    cdef int nr = a.tiles.nr
    cdef const float *source[ROWS]
    cdef float *target[ROWS]
    cdef dlc_gemm t
    memset(&t, 0, sizeof(t))
    t.a, t.c = source, target
    t.a_segment = t.b_segment = &ZERO
    t.segments = 1
    k0 = 0
    while True:  # once even for k = 0: the sum is then zero
        t.kc = min(a.kc, a.k - k0)
        t.accumulate = k0 > 0
        t.activation = a.activation if k0 + t.kc == a.k else 0
        if rows == 1:
            a.tiles.gemm_row(x + k0, t.kc, a.packed + k0 * nr, a.k * nr, a.n, a.b if k0 + t.kc == a.k else NULL, t.accumulate,
                             t.activation, y)
        for panel in range(a.panels if rows > 1 else 0):
            t.n = <int>min(a.n - panel * nr, nr)
            t.b = a.packed + (panel * a.k + k0) * nr
            t.bias = a.b + panel * nr if a.b != NULL and k0 + t.kc == a.k else NULL
            row = 0
            while row < rows:
                t.m = min(rows - row, ROWS)
                for r in range(t.m):
                    source[r], target[r] = x + (row + r) * a.k + k0, y + (row + r) * a.n + panel * nr
                a.tiles.gemm(&t)
                row += t.m
        k0 += t.kc
        if k0 >= a.k:
            break


def dense_forward(x, packed, b, y, int activation=0):
    """y = act(x w + b). One task per row.

    Args:
        x: (rows, k) float32.
        packed: `pack(w)` of w (k, n).
        b: (n,) float32 or None.
        y: (rows, n), overwritten.
        activation: one of `activations.KINDS`.
    """
    return bind("dense_forward", "x", "y", x, packed, b, y, activation)


cdef Step bind(str what, str x_name, str y_name, x, packed, b, y, int activation):
    cdef Buffer xb = buffer(x, x_name, "f", 2), pb = buffer(packed, "packed", "f", 4), bb = None
    cdef Buffer yb = buffer(y, y_name, "f", 2, True)
    cdef Dense a
    a.k, a.n = xb.shape[1], yb.shape[1]
    if xb.shape[0] != yb.shape[0] or pb.shape != packed_shape(a.k, a.n):
        raise ValueError(f"{what}: {x_name} {xb.shape}, packed {pb.shape} and {y_name} {yb.shape} do not fit together")
    a.b = NULL
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != a.n:
            raise ValueError(f"{what}: expected b of shape ({a.n},). Received: {bb.shape}")
        a.b = <const float *>bb.whole()
    a.tiles, a.x, a.y, a.packed = tiles(), xb.rows(), yb.rows(), <const float *>pb.whole()
    a.panels, a.activation = pb.shape[1], activation
    a.kc = ceildiv(a.k, max(ceildiv(a.k, KC), 1))
    return make_step(forward_leaf, &a, sizeof(a), xb.shape[0], xb.shape[0] * <double>a.k * a.n, 0, (xb, pb, bb, yb))


def dense_input_gradient(dy, packed, dx):
    """dx = dy w^T, with `packed` of `pack(w, transpose=True)`: the forward kernel with the roles of k and n exchanged."""
    return bind("dense_input_gradient", "dy", "dx", dy, packed, None, dx, 0)
