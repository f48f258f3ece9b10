# cython: language_level=3
"""The weight gradient of 3x3 convolution with stride 1 in Winograd's domain, F(3x3, 4x2): see
csrc/winograd_weight_gradient.inc, and `winograd_conv` for what holds of it, too. Rounding errors are relative to the largest
pixel and gradient of a tile.

The weights are cut into blocks of both kinds of channels. Of a block, the points are taken row by row, so that L2 holds
six times as many tiles, and the sums are read and written for as many at a time.
"""
from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport check_windows
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_tiles, dlc_winograd_tile, tiles
from dlcore.kernels.winograd_tiles cimport (
    APART, ROWS, Tile, Tiling, advance, block_tiles, crop, locate, make_tiling, most_tiles,
)

cdef Py_ssize_t BLOCK_BYTES = 192 * 1024   # of the transformed tiles of a block, whose sums are read and written for each
cdef Py_ssize_t MOST_TILES = 96            # of these at most: more save little of that
cdef Py_ssize_t BLOCK_CHANNELS = 128       # of both sides of a block of weights, whose sums stay near

ctypedef struct WeightGradient:
    const dlc_tiles *tiles
    Ref x, dy
    float *dw                             # (chunks, 3, 3, ic, oc)
    Tiling tiling
    Py_ssize_t n, grain, dw_size, ic, oc
    Py_ssize_t rows, cols                 # panels of x and of dy in a block of dw
    Py_ssize_t row_blocks, col_blocks
    Py_ssize_t most                       # tiles in a block
    Py_ssize_t walk                       # tiles that pass by before the next row of points
    Py_ssize_t panel_step, x_point, dy_point   # floats from one to the next in the slot
    Py_ssize_t products, sums, zeros      # bytes of the slot where A dy A', the sums, and zeros begin


cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    """Of a chunk of samples."""
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef Py_ssize_t block
    for block in range(a.row_blocks * a.col_blocks):
        block_gradient(a, <const float *>at(&a.x, begin, slot), <const float *>at(&a.dy, begin, slot), end - begin, block,
                       a.dw + begin // a.grain * a.dw_size, slot)


cdef void batch_weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    """Of the batch."""
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef Py_ssize_t block
    for block in range(begin, end):
        block_gradient(a, <const float *>a.x.base, <const float *>a.dy.base, a.n, block, a.dw, slot)


cdef void block_gradient(const WeightGradient *a, const float *x, const float *dy, Py_ssize_t samples, Py_ssize_t block,
                         float *dw, char *slot) noexcept nogil:
    """A block of dw from some samples."""
    cdef const Tiling *g = &a.tiling
    cdef Py_ssize_t width = a.tiles.width, row = block // a.col_blocks * a.rows * width
    cdef Py_ssize_t col = block % a.col_blocks * a.cols * width
    cdef Py_ssize_t ic = min(a.ic - row, a.rows * width), oc = min(a.oc - col, a.cols * width)
    cdef Py_ssize_t rows = ceildiv(ic, 4) * 4   # the register tile has multiples of 4 rows
    cdef Py_ssize_t s_point = rows * width + APART, s_panel = 24 * s_point
    cdef Py_ssize_t first = 0, tile, last = samples * g.rows * g.cols, until, count, i, panel
    cdef float *v = <float *>slot
    cdef float *d = <float *>(slot + a.products)
    cdef float *s = <float *>(slot + a.sums)
    cdef int points, point
    cdef Tile t
    cdef dlc_winograd_tile p, q
    memset(slot + a.zeros, 0, width * sizeof(float))
    memset(&p, 0, sizeof(p))
    p.zeros, p.panel_step = <const float *>(slot + a.zeros), a.panel_step
    q = p
    p.n, p.pixel_step, p.row_step, p.point_step = ic, a.ic, g.iw * a.ic, a.x_point
    q.n, q.pixel_step, q.row_step, q.point_step = oc, a.oc, g.ow * a.oc, a.dy_point
    if last == 0:
        memset(s, 0, a.zeros - a.sums)
    while first < last:
        until = first + block_tiles(last - first, a.walk)
        for points in range(6):
            tile = first
            while tile < until:
                count = block_tiles(until - tile, a.most)
                t = locate(g, tile)
                transform_row(a, points, x + row, t, count, p, v, False)
                transform_row(a, points, dy + col, t, count, q, d, True)
                for point in range(4):
                    for panel in range(0, ceildiv(oc, width), 2):
                        for i in range(ceildiv(ic, width)):
                            a.tiles.winograd_multiply_transposed(
                                v + point * a.x_point + i * a.panel_step, count,
                                d + point * a.dy_point + panel * a.panel_step, a.panel_step,
                                s + panel * s_panel + (4 * points + point) * s_point + i * width * width, s_panel,
                                min(rows - i * width, width), oc - panel * width, tile > 0)
                tile += count
        first = until
    for i in range(ic):
        for panel in range(ceildiv(oc, width)):
            a.tiles.winograd_gradient_weights(s + panel * s_panel + i * width, s_point, min(oc - panel * width, width),
                                              dw + (row + i) * a.oc + col + panel * width, a.ic * a.oc)


cdef inline void transform_row(const WeightGradient *a, int points, const float *image, Tile t, Py_ssize_t count,
                               dlc_winograd_tile p, float *v, bint gradient) noexcept nogil:
    """v = a row of points of B' x B of `count` tiles from t on, or of A dy A'."""
    cdef const Tiling *g = &a.tiling
    cdef Py_ssize_t run, y0, x0, more = 0 if gradient else 2, h = g.oh if gradient else g.ih, w = g.ow if gradient else g.iw
    while count > 0:
        run = min(count, g.cols - t.col)
        y0, x0 = t.row * 4 - (0 if gradient else g.top), t.col * 2 - (0 if gradient else g.left)
        crop(&p, 4 + more, run * 2 + more, y0, x0, h, w)
        p.x, p.tile, p.count = image + ((t.sample * h + y0) * w + x0) * p.pixel_step, v, <int>run
        if gradient:
            a.tiles.winograd_gradient_output(points, &p)
        else:
            a.tiles.winograd_gradient_input(points, &p)
        advance(g, &t, run)
        v += run * a.tiles.width
        count -= run


cdef Step make_weight_gradient(str what, Buffer xb, Buffer gb, Buffer wb, Py_ssize_t grain, padding):
    """Sums over chunks of `grain` samples, or of the batch if it is 0."""
    cdef WeightGradient a
    cdef Py_ssize_t width = tiles().width, f = sizeof(float)
    cdef tuple w_shape = wb.shape[1:] if grain else wb.shape
    n, _, _, a.ic = xb.shape
    a.oc = gb.shape[3]
    check_windows(what, xb.shape, w_shape, gb.shape, (1, 1), padding, (1, 1), 1)
    if w_shape != (3, 3, a.ic, a.oc):
        raise ValueError(f"{what}: expected dw of shape ({'chunks, ' if grain else ''}3, 3, {a.ic}, {a.oc}). "
                         f"Received: {wb.shape}")
    a.tiles, a.dw, a.dw_size, a.n, a.grain = tiles(), <float *>wb.whole(), wb.row_size(), n, grain
    a.x, a.dy = xb.rows(), gb.rows()
    a.tiling = make_tiling(4, 2, xb.shape, gb.shape, (padding[0][0], padding[1][0]), 1)
    a.row_blocks, a.col_blocks = ceildiv(a.ic, BLOCK_CHANNELS), ceildiv(a.oc, BLOCK_CHANNELS)
    a.rows, a.cols = ceildiv(ceildiv(a.ic, width), a.row_blocks), ceildiv(ceildiv(a.oc, width), a.col_blocks)
    a.most = most_tiles(4 * (a.rows + a.cols) * width, BLOCK_BYTES, 2 * ROWS,
                        min(MOST_TILES, (grain or n) * a.tiling.rows * a.tiling.cols))
    a.walk = a.most if grain else n * a.tiling.rows * a.tiling.cols
    a.panel_step = a.most * width
    a.x_point, a.dy_point = a.rows * a.panel_step + APART, a.cols * a.panel_step + APART
    a.products = 4 * a.x_point * f
    a.sums = a.products + 4 * a.dy_point * f
    a.zeros = a.sums + 24 * (a.rows * width * width + APART) * a.cols * f
    return make_step(weight_gradient_leaf if grain else batch_weight_gradient_leaf, &a, sizeof(a),
                     n if grain else a.row_blocks * a.col_blocks, <double>gb.size() * 9 * a.ic, a.zeros + width * f,
                     (xb, gb, wb), grain)


def conv2d_weight_gradient(x, dy, dw, Py_ssize_t grain, padding=((0, 0), (0, 0))):
    """dw[c][ky, kx, i, o] = sum over the samples n of chunk c and all oy, ox of
    x[n, oy + ky - top, ox + kx - left, i] * dy[n, oy, ox, o], by F(3x3, 4x2). One task per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        dy: (n, oh, ow, oc) float32.
        dw: (ceil(n / grain), 3, 3, ic, oc), overwritten: one partial sum per chunk of `grain` samples, to be added up by
            `elementwise.reduce_chunks`. The step must run with this grain.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), wb = buffer(dw, "dw", "f", 5, True)
    if grain < 1 or wb.shape[0] != ceildiv(xb.shape[0], grain):
        raise ValueError(f"conv2d_weight_gradient: dw has {wb.shape[0]} chunks for {xb.shape[0]} samples in chunks of {grain}")
    return make_weight_gradient("conv2d_weight_gradient", xb, gb, wb, grain, padding)


def conv2d_batch_weight_gradient(x, dy, dw, padding=((0, 0), (0, 0))):
    """dw[ky, kx, i, o] = sum over all n, oy, ox of x[n, oy + ky - top, ox + kx - left, i] * dy[n, oy, ox, o], by
    F(3x3, 4x2). One task per block of dw; needs the whole batch.

    Args:
        x: (n, ih, iw, ic) float32.
        dy: (n, oh, ow, oc) float32.
        dw: (3, 3, ic, oc), overwritten.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), wb = buffer(dw, "dw", "f", 4, True)
    xb.whole()
    gb.whole()
    return make_weight_gradient("conv2d_batch_weight_gradient", xb, gb, wb, 0, padding)
