# cython: language_level=3
"""Convolution, bias, ReLU and max pooling in one pass, and the weight gradient straight from the pooled gradient.

The convolution's own output, `ph*pw` times as large as the pooled one, is never written, and neither is its gradient.
What backward needs is one byte per pooled element: the winner's position in its window, ph*pw where ReLU cut it off.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_conv_pool, dlc_tiles, tiles

cdef Py_ssize_t TABLE_BYTES = 32768    # of the lookup table in backward: what L1 holds


ctypedef struct ConvPool:
    const dlc_tiles *tiles
    Ref x, y, index
    Border border
    dlc_conv_pool tile                    # what is the same for every row of windows
    const float *packed
    const float *b
    Py_ssize_t x_size, y_size, row_step   # floats in a sample of x and y; of x from one row of windows to the next
    Py_ssize_t k, n, panels, rows, weights
    bint indexed, check_finite


cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const ConvPool *a = <const ConvPool *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef uint8_t *index = <uint8_t *>at(&a.index, begin, slot) if a.indexed else NULL
    cdef const float *image
    cdef Py_ssize_t i, row, panel, out
    cdef int nr = a.tiles.nr
    cdef float weight = a.tiles.magnitude(a.packed, a.weights) if a.check_finite else 0
    cdef bint finite = a.check_finite and (a.b == NULL or a.tiles.magnitude(a.b, a.n) < 1e37)
    cdef dlc_conv_pool t = a.tile
    for i in range(end - begin):
        image = bordered(&a.border, x + i * a.x_size, <float *>slot, i == 0)
        # a sum of k products below this bound cannot overflow, so the tile may leave NaN out of its comparisons
        t.finite = finite and a.tiles.magnitude(x + i * a.x_size, a.x_size) * weight * a.k < 1e37
        for row in range(a.rows):
            t.x = image + row * a.row_step
            for panel in range(a.panels):
                out = i * a.y_size + row * t.windows * t.y_step + panel * nr
                t.n = <int>min(a.n - panel * nr, nr)
                t.b = a.packed + panel * a.k * nr
                t.bias = a.b + panel * nr if a.b != NULL else NULL
                t.y = y + out
                t.index = index + out if index != NULL else NULL
                a.tiles.conv_pool(&t)


cdef check(str what, x, w, y, pool, strides, padding, dilation):
    """The output size of the convolution, after checking that everything fits together."""
    _, ih, iw, ic = x
    kh, kw, _, oc = w
    (top, bottom), (left, right) = padding
    oh = ow = 0
    if min(strides) > 0:
        oh = (ih + top + bottom - (kh - 1) * dilation[0] - 1) // strides[0] + 1
        ow = (iw + left + right - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    ph, pw = pool
    if (min(ph, pw, *strides, *dilation, kh, kw, ih, iw, ic) < 1 or ph * pw > 9 or min(top, bottom, left, right) < 0 or w[2] != ic
            or min(oh // ph, ow // pw) < 1 or tuple(y[1:]) != (oh // ph, ow // pw, oc) or y[0] != x[0]):
        raise ValueError(f"{what}: x {tuple(x)}, w {tuple(w)}, y {tuple(y)}, pool {tuple(pool)}, strides {tuple(strides)}, "
                         f"padding {padding}, dilation {tuple(dilation)} do not fit together (a window has 1 to 9 pixels)")
    return oh, ow


def conv_pool2d_forward(x, packed, b, y, index, kernel, pool, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                        bint relu=False):
    """y[n, i, j, o] = the maximum over the ph*pw pixels of window (i, j) of conv2d(x, w)[n, i*ph + py, j*pw + px, o],
    plus b[o], then ReLU if wanted. Windows do not overlap; rows and columns that fill no window are left out. The first
    maximum wins and a NaN beats everything. One task per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        packed: `dense.pack(w)` of w (kh, kw, ic, oc).
        b: (oc,) float32 or None.
        y: (n, oh // ph, ow // pw, oc), overwritten.
        index: uint8 workspace of y's shape, overwritten, or None: py*pw + px of the winner, ph*pw where ReLU made a 0.
        kernel, pool: (kh, kw), (ph, pw); ph*pw <= 9.
        strides, padding, dilation: of the convolution, as for `conv.conv2d_forward`.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), pb = buffer(packed, "packed", "f", 4), yb = buffer(y, "y", "f", 4, True)
    cdef Buffer bb = None, nb = None
    cdef ConvPool a
    n, ih, iw, ic = xb.shape
    kh, kw = kernel
    oc = yb.shape[3]
    check("conv_pool2d_forward", xb.shape, (kh, kw, ic, oc), yb.shape, pool, strides, padding, dilation)
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.y, a.packed = tiles(), xb.rows(), yb.rows(), <const float *>pb.whole()
    a.n, a.k, a.rows, a.weights = oc, kh * kw * ic, yb.shape[1], pb.size()
    a.panels = ceildiv(a.n, a.tiles.nr)
    if pb.shape != (1, a.panels, a.k, a.tiles.nr):
        raise ValueError(f"conv_pool2d_forward: packed {pb.shape} is not that of w {(kh, kw, ic, oc)}")
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != oc:
            raise ValueError(f"conv_pool2d_forward: expected b of shape ({oc},). Received: {bb.shape}")
        a.b = <const float *>bb.whole()
    a.indexed = index is not None
    if a.indexed:
        nb = buffer(index, "index", "B", 4, True)
        if nb.shape != yb.shape:
            raise ValueError(f"conv_pool2d_forward: expected index of shape {yb.shape}. Received: {nb.shape}")
        a.index = nb.rows()
    (top, bottom), (left, right) = padding
    a.border = make_border(ih, iw, ic, top, bottom, left, right)
    a.x_size, a.y_size = xb.row_size(), yb.row_size()
    ph, pw = pool
    width = a.border.pw * ic
    if dilation[1] == 1:  # the taps of a kernel row lie side by side in the image
        a.tile.kc = kw * ic
        taps = [ky * dilation[0] * width for ky in range(kh)]
    else:
        a.tile.kc = ic
        taps = [ky * dilation[0] * width + kx * dilation[1] * ic for ky in range(kh) for kx in range(kw)]
    storage = bytearray(len(taps) * sizeof(Py_ssize_t))
    cdef Py_ssize_t[::1] segments = memoryview(storage).cast("l")
    cdef Py_ssize_t i
    for i in range(len(taps)):
        segments[i] = taps[i]
    a.tile.a_segment, a.tile.segments, a.tile.b_step = &segments[0], len(taps), a.tiles.nr
    a.tile.pixels, a.tile.relu = ph * pw, relu
    for i in range(a.tile.pixels):
        a.tile.pixel[i] = <Py_ssize_t>(i // pw * strides[0] * width + i % pw * strides[1] * ic)
    a.tile.window_step, a.row_step = pw * strides[1] * ic, ph * strides[0] * width
    a.tile.windows, a.tile.y_step = yb.shape[2], oc
    a.check_finite = a.tile.pixels == 4 and a.k == 9
    return make_step(forward_leaf, &a, sizeof(a), n, <double>yb.size() * a.k * a.tile.pixels, border_bytes(&a.border),
                     (xb, pb, bb, yb, nb, segments))


# ---------------------------------------------------------------------------------------------------------------------
# weight gradient

ctypedef struct WeightGradient:
    const dlc_tiles *tiles
    Ref x, dy, index
    float *dw                             # (chunks, kh*kw*ic, oc)
    float *db                             # (chunks, oc)
    Border border
    Py_ssize_t x_size, dy_size, dw_size
    Py_ssize_t grain, windows, cols, block, oc, taps, table
    Py_ssize_t row_step, col_step
    Py_ssize_t pixel[4]
    const Py_ssize_t *tap

cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const uint8_t *index = <const uint8_t *>at(&a.index, begin, slot)
    cdef float *dw = a.dw + begin // a.grain * a.dw_size
    cdef float *db = a.db + begin // a.grain * a.oc
    cdef float *table = <float *>(slot + a.table)
    cdef const float *image
    cdef Py_ssize_t i, first, count, offset
    memset(dw, 0, a.dw_size * sizeof(float))
    memset(db, 0, a.oc * sizeof(float))
    for i in range(end - begin):
        image = bordered(&a.border, x + i * a.x_size, <float *>slot, i == 0)
        first = 0
        while first < a.windows:
            count = min(a.block, a.windows - first)
            a.tiles.conv_pool_table(image, first, count, a.cols, a.row_step, a.col_step, a.pixel, a.tap, a.taps, table)
            offset = i * a.dy_size + first * a.oc
            a.tiles.conv_pool_gradient(table, a.taps, dy + offset, index + offset, count, a.oc, dw, db)
            first += count


def conv_pool2d_weight_gradient(x, dy, index, dw, db, Py_ssize_t grain, strides=(1, 1), padding=((0, 0), (0, 0)),
                                dilation=(1, 1)):
    """Gradients of w and b of a convolution under 2x2 max pooling, from the pooled gradient and the winners: dw[ky, kx, i, o]
    = sum over samples and windows of x under tap (ky, kx), input channel i, seen from the winner, times dy, zero where
    index is 4. Partial sums, one per chunk of samples. One task per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        dy: (n, h, w, oc) float32, gradient of the pooled output.
        index: (n, h, w, oc) uint8, as `conv_pool2d_forward` saved it.
        dw, db: (ceil(n / grain), kh, kw, ic, oc) and (ceil(n / grain), oc), overwritten. The step must run with this grain.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), nb = buffer(index, "index", "B", 4)
    cdef Buffer wb = buffer(dw, "dw", "f", 5, True), bb = buffer(db, "db", "f", 2, True)
    cdef WeightGradient a
    n, ih, iw, ic = xb.shape
    chunks, kh, kw, _, oc = wb.shape
    check("conv_pool2d_weight_gradient", xb.shape, wb.shape[1:], gb.shape, (2, 2), strides, padding, dilation)
    if grain < 1 or chunks != ceildiv(n, grain) or bb.shape != (chunks, oc) or nb.shape != gb.shape:
        raise ValueError(f"conv_pool2d_weight_gradient: dy {gb.shape}, index {nb.shape}, dw {wb.shape} and db {bb.shape} do "
                         f"not fit {n} samples in chunks of {grain}")
    (top, bottom), (left, right) = padding
    a.tiles, a.x, a.dy, a.index = tiles(), xb.rows(), gb.rows(), nb.rows()
    a.dw, a.db = <float *>wb.whole(), <float *>bb.whole()
    a.border = make_border(ih, iw, ic, top, bottom, left, right)
    a.x_size, a.dy_size, a.dw_size = xb.row_size(), gb.row_size(), wb.row_size()
    a.grain, a.oc, a.taps = grain, oc, kh * kw * ic
    a.windows, a.cols = gb.shape[1] * gb.shape[2], gb.shape[2]
    a.block = max(1, TABLE_BYTES // (16 * a.taps))
    a.table = ceildiv(border_bytes(&a.border), 64) * 64
    width = a.border.pw * ic
    a.row_step, a.col_step = 2 * strides[0] * width, 2 * strides[1] * ic
    for i in range(4):
        a.pixel[<int>i] = i // 2 * strides[0] * width + i % 2 * strides[1] * ic
    storage = bytearray(a.taps * sizeof(Py_ssize_t))
    cdef Py_ssize_t[::1] taps = memoryview(storage).cast("l")
    cdef Py_ssize_t k
    for k in range(a.taps):
        taps[k] = <Py_ssize_t>(k // (kw * ic) * dilation[0] * width + k // ic % kw * dilation[1] * ic + k % ic)
    a.tap = &taps[0]
    return make_step(weight_gradient_leaf, &a, sizeof(a), n, <double>gb.size() * a.taps,
                     a.table + a.block * a.taps * 16, (xb, gb, nb, wb, bb, taps), grain)
