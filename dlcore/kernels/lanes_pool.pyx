# cython: language_level=3
"""Convolution with few output channels of an image of one channel, bias, activation and average pooling of 2x2 pixels in one
pass, with pixels in the lanes (csrc/lanes_pool.inc).

Backward needs the activation's output. It stays as the convolution leaves it: a plane of pixels for each channel, whose
rows go on to the end of a vector. The weight gradient makes the gradient of that, sample by sample in L1, and correlates
it with the image as `conv_weight_gradient` does; nobody else sees it.
"""
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, copy_rows, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport array_of, check_windows, positions
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_correlate, dlc_lanes_pool, dlc_lanes_pool_gradient, dlc_tiles, tiles


def row_floats(cols):
    """Floats of a row of planes with `cols` windows, with the instruction set in use."""
    return ceildiv(2 * cols, tiles().width) * tiles().width


cdef check(str what, x, w, y, planes, strides, padding, dilation):
    n, ih, iw, ic = x
    kh, kw, _, oc = w
    (top, bottom), (left, right) = padding
    oh = ow = 0
    if min(*strides, *dilation) >= 1:
        oh = positions(ih, kh, strides[0], top, bottom, dilation[0])
        ow = positions(iw, kw, strides[1], left, right, dilation[1])
    check_windows(what, x, w, (n, oh, ow, oc), strides, padding, dilation, 1)
    rows, cols = oh // 2, ow // 2
    if (ic != 1 or strides[1] != 1 or min(rows, cols) < 1 or tuple(y) != (n, rows, cols, oc)
            or planes is not None and tuple(planes) != (n, oc, 2 * rows, row_floats(cols))):
        raise ValueError(f"{what}: x {tuple(x)}, w {tuple(w)}, y {tuple(y)}, planes {planes}, strides {tuple(strides)} do not "
                         "fit together (one input channel, a horizontal stride of 1, windows of 2x2 pixels)")


cdef Py_ssize_t[::1] taps_of(kernel, dilation, Py_ssize_t width):
    kh, kw = kernel
    return array_of([ky * dilation[0] * width + kx * dilation[1] for ky in range(kh) for kx in range(kw)])


# ---------------------------------------------------------------------------------------------------------------------
# forward

ctypedef struct Forward:
    const dlc_tiles *tiles
    Ref x, y, planes
    Border border
    Py_ssize_t x_size, y_size, planes_size    # floats in a sample
    Py_ssize_t rows, splits                   # of windows; tasks of a sample, each some of its rows
    Py_ssize_t reach                          # rows of x under a row of the convolution
    Py_ssize_t sh, pooled                     # pooled: where in scratch the planes of y begin
    bint kept
    dlc_lanes_pool tile

cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Forward *a = <const Forward *>args
    cdef Py_ssize_t task, first = begin // a.splits, sample, row, last
    cdef const float *x = <const float *>at(&a.x, first, slot)
    cdef float *y = <float *>at(&a.y, first, slot)
    cdef float *planes = <float *>at(&a.planes, first, slot) if a.kept else NULL
    cdef dlc_lanes_pool t = a.tile
    t.pooled = <float *>slot + a.pooled
    for task in range(begin, end):
        sample = task // a.splits - first
        row = a.rows * (task % a.splits) // a.splits
        last = a.rows * (task % a.splits + 1) // a.splits
        t.x = x + sample * a.x_size
        if has_border(&a.border):
            copy_rows(&a.border, t.x, <float *>slot, 2 * row * a.sh, (2 * last - 1) * a.sh + a.reach,
                      task == begin or a.splits > 1)
            t.x = <const float *>slot
        t.x += 2 * row * t.x_row
        t.y = planes + sample * a.planes_size + 2 * row * t.y_row if a.kept else NULL
        t.rows, t.pooled_plane = last - row, (last - row) * t.cols
        a.tiles.lanes_pool(&t)
        a.tiles.transpose(t.pooled, t.pooled_plane, t.n, t.pooled_plane, y + sample * a.y_size + row * t.cols * t.n, t.n)


def conv2d_forward(x, w, b, y, planes, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), int activation=0,
                   Py_ssize_t splits=1):
    """y[n, i, j, o] = the mean over the four pixels of window (i, j) of act(conv2d(x, w)[n, 2i + py, 2j + px, o] + b[o]). Rows
    and columns that fill no window are left out. `splits` tasks per sample.

    Args:
        x: (n, ih, iw, 1) float32.
        w: (kh, kw, 1, oc), as it is.
        b: (oc,) float32 or None.
        y: (n, oh // 2, ow // 2, oc), overwritten.
        planes: workspace (n, oc, 2 * (oh // 2), `row_floats(ow // 2)`), overwritten, or None: the convolution's output.
        strides, padding, dilation: of the convolution, as for `conv.conv2d_forward`; strides (s, 1).
        splits: 1 to oh // 2; more than one needs tensors of the whole batch. The bits are the same for any.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), wb = buffer(w, "w", "f", 4), yb = buffer(y, "y", "f", 4, True)
    cdef Buffer bb = None, pb = buffer(planes, "planes", "f", 4, True) if planes is not None else None
    cdef Forward a
    check("conv2d_forward", xb.shape, wb.shape, yb.shape, None if pb is None else pb.shape, strides, padding, dilation)
    memset(&a, 0, sizeof(a))
    n, ih, iw, _ = xb.shape
    kh, kw, _, a.tile.n = wb.shape
    _, a.rows, a.tile.cols, _ = yb.shape
    a.tiles, a.x, a.y, a.tile.w, a.kept = tiles(), xb.rows(), yb.rows(), <const float *>wb.whole(), pb is not None
    if a.kept:
        a.planes, a.planes_size = pb.rows(), pb.row_size()
    if splits < 1 or splits > a.rows or splits > 1 and (a.x.base == NULL or a.y.base == NULL
                                                        or a.kept and a.planes.base == NULL):
        raise ValueError(f"conv2d_forward: expected splits of 1 to {a.rows}, and of 1 on slab tensors. Received: {splits}")
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != a.tile.n:
            raise ValueError(f"conv2d_forward: expected b of shape ({a.tile.n},). Received: {bb.shape}")
        a.tile.bias = <const float *>bb.whole()
    (top, bottom), (left, right) = padding
    a.border = make_border(ih, iw, 1, top, bottom, left, right)
    a.x_size, a.y_size, a.splits, a.sh = xb.row_size(), yb.row_size(), splits, strides[0]
    a.reach = (kh - 1) * dilation[0] + 1
    cdef Py_ssize_t[::1] taps = taps_of((kh, kw), dilation, a.border.pw)
    a.tile.tap, a.tile.taps, a.tile.activation = &taps[0], kh * kw, activation
    a.tile.x_row, a.tile.y_row = a.sh * a.border.pw, row_floats(a.tile.cols)
    a.tile.y_plane = 2 * a.rows * a.tile.y_row
    a.pooled = border_bytes(&a.border) // sizeof(float)
    scratch = (a.pooled + yb.row_size()) * sizeof(float)
    return make_step(forward_leaf, &a, sizeof(a), n * splits, 4.0 * yb.size() * kh * kw, scratch, (xb, wb, bb, yb, pb, taps))


# ---------------------------------------------------------------------------------------------------------------------
# backward

ctypedef struct WeightGradient:
    const dlc_tiles *tiles
    Ref x, dy, planes
    float *dw
    float *db
    Border border
    Py_ssize_t x_size, dy_size, planes_size, dw_size, grain
    Py_ssize_t pooled, dz, sums           # in scratch: where planes of dy, planes of dz and the sums begin
    dlc_lanes_pool_gradient pool
    dlc_correlate tile

cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const float *planes = <const float *>at(&a.planes, begin, slot)
    cdef float *pooled = <float *>slot + a.pooled
    cdef Py_ssize_t i, windows = a.pool.rows * a.pool.cols
    cdef dlc_lanes_pool_gradient p = a.pool
    cdef dlc_correlate t = a.tile
    p.dy, p.dz, p.db = pooled, <float *>slot + a.dz, a.db + begin // a.grain * t.n
    t.dy, t.sums = p.dz, <float *>slot + a.sums
    memset(p.db, 0, t.n * sizeof(float))
    for i in range(end - begin):
        a.tiles.transpose(dy + i * a.dy_size, t.n, windows, t.n, pooled, windows)
        p.y = planes + i * a.planes_size
        a.tiles.lanes_pool_gradient(&p)
        t.x = bordered(&a.border, x + i * a.x_size, <float *>slot, i == 0)
        t.accumulate = i > 0
        if i + 1 == end - begin:
            t.dw = a.dw + begin // a.grain * a.dw_size
        a.tiles.correlate(&t)


def conv2d_weight_gradient(x, dy, planes, dw, db, Py_ssize_t grain, strides=(1, 1), padding=((0, 0), (0, 0)),
                           dilation=(1, 1), int activation=0):
    """dw[c] and db[c]: the gradients of w and b of `conv2d_forward`, summed over the samples of chunk c, from dy, that of y.
    One task per sample.

    Args:
        x, planes, strides, padding, dilation, activation: as for `conv2d_forward`.
        dy: (n, oh // 2, ow // 2, oc).
        dw, db: (ceil(n / grain), kh, kw, 1, oc) and (ceil(n / grain), oc), overwritten: one partial sum per chunk of `grain`
            samples, to be added up by `elementwise.reduce_chunks`. The step must run with this grain.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), pb = buffer(planes, "planes", "f", 4)
    cdef Buffer wb = buffer(dw, "dw", "f", 5, True), bb = buffer(db, "db", "f", 2, True)
    cdef WeightGradient a
    n, ih, iw, _ = xb.shape
    chunks, kh, kw, _, oc = wb.shape
    check("conv2d_weight_gradient", xb.shape, wb.shape[1:], gb.shape, pb.shape, strides, padding, dilation)
    if grain < 1 or chunks != ceildiv(n, grain) or bb.shape != (chunks, oc):
        raise ValueError(f"conv2d_weight_gradient: dw {wb.shape} and db {bb.shape} are not those of {n} samples in chunks of "
                         f"{grain}")
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.dy, a.planes, a.grain = tiles(), xb.rows(), gb.rows(), pb.rows(), grain
    a.dw, a.db = <float *>wb.whole(), <float *>bb.whole()
    (top, bottom), (left, right) = padding
    a.border = make_border(ih, iw, 1, top, bottom, left, right)
    a.x_size, a.dy_size, a.planes_size, a.dw_size = xb.row_size(), gb.row_size(), pb.row_size(), wb.row_size()
    _, a.pool.rows, a.pool.cols, a.pool.n = gb.shape
    a.pool.y_row, a.pool.activation = pb.shape[3], activation
    a.pool.y_plane, a.pool.dy_plane = 2 * a.pool.rows * a.pool.y_row, a.pool.rows * a.pool.cols
    cdef Py_ssize_t[::1] taps = taps_of((kh, kw), dilation, a.border.pw)
    cdef Py_ssize_t[::1] segments = array_of([i * strides[0] * a.border.pw for i in range(2 * a.pool.rows)])
    a.tile.tap, a.tile.taps, a.tile.x_segment, a.tile.segments = &taps[0], kh * kw, &segments[0], 2 * a.pool.rows
    a.tile.n, a.tile.cols, a.tile.dy_segment, a.tile.dy_plane = oc, 2 * a.pool.cols, a.pool.y_row, a.pool.y_plane
    a.pooled = border_bytes(&a.border) // sizeof(float)
    a.dz = a.pooled + ceildiv(a.dy_size, a.tiles.width) * a.tiles.width
    a.sums = a.dz + a.planes_size
    scratch = (a.sums + kh * kw * oc * a.tiles.width) * sizeof(float)
    return make_step(weight_gradient_leaf, &a, sizeof(a), n, 4.0 * gb.size() * kh * kw, scratch,
                     (xb, gb, pb, wb, bb, taps, segments), grain)
