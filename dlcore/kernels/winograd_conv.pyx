# cython: language_level=3
"""3x3 convolution with stride 1 in Winograd's domain: forward and input gradient; see csrc/winograd_conv.inc.

F(2x2, 3x3) needs 16 multiplications for four outputs instead of 36, F(4x2, 3x3) 24 for eight instead of 72, F(4x4, 3x3) 36
for sixteen instead of 144, at the price of transforms, and of rounding errors relative to the largest pixel and weight of a
tile: of 64 channels some 0.6, 1.1 and 2 times those of `conv`, whose sums are nine times as long. A NaN or an infinity
reaches all outputs of its tiles. `Step.work` counts the multiply-adds of the definition, as for any other convolution.

A block of tiles is transformed, multiplied point by point and transformed back, so that what is between lies in L2.
A block takes whatever tiles come next, from several samples where images are small, and images are never copied: a tile at
the border knows which of its pixels exist.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport check_windows, positions
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport DLC_LINEAR, DLC_RELU, dlc_tiles, dlc_winograd_tile, tiles
from dlcore.kernels.winograd_tiles cimport (
    APART, ROWS, Tile, Tiling, advance, block_tiles, crop, first_tile, locate, make_tiling, most_tiles,
)

cdef Py_ssize_t BLOCK_BYTES = 48 * 1024    # of the transformed tiles of a block: L2 holds products and weights, too
cdef Py_ssize_t NEAR_BYTES = 8 << 20       # of weights that L3 gives as fast as a block of a few tiles reads them
cdef Py_ssize_t WEIGHT_ROWS = 64           # rows of weights per task


# ---------------------------------------------------------------------------------------------------------------------
# tiles

cdef inline void transform_block(const Tiling *g, const dlc_tiles *tiles, const float *image, Tile t, Py_ssize_t count,
                                 dlc_winograd_tile p, float *v) noexcept nogil:
    """v = B' x B of `count` tiles from t on."""
    cdef Py_ssize_t run, y0, x0
    while count > 0:
        run = min(count, g.cols - t.col)
        y0, x0 = t.row * g.mr - g.top, t.col * g.mc - g.left
        crop(&p, g.mr + 2, run * g.mc + 2, y0, x0, g.ih, g.iw)
        p.x, p.tile, p.count = image + ((t.sample * g.ih + y0) * g.iw + x0) * p.pixel_step, v, <int>run
        tiles.winograd_conv_input(g.mr, g.mc, &p)
        advance(g, &t, run)
        v += run * tiles.width
        count -= run


# ---------------------------------------------------------------------------------------------------------------------
# weights

ctypedef struct Transform:
    const dlc_tiles *tiles
    const float *w
    float *u
    Py_ssize_t ic, oc, k, n, blocks, u_point
    int mr, mc
    bint transpose


cdef void transform_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Transform *a = <const Transform *>args
    cdef Py_ssize_t task, panel, first, rows, tap, n, width = a.tiles.width
    cdef float *u
    cdef float *turned = <float *>slot     # (rows, 3, 3, width)
    for task in range(begin, end):
        panel, first = task // a.blocks, task % a.blocks * WEIGHT_ROWS
        rows, n = min(a.k - first, WEIGHT_ROWS), min(a.n - panel * width, width)
        u = a.u + panel * (a.mr + 2) * (a.mc + 2) * a.u_point + first * width
        if a.transpose:
            for tap in range(9):
                a.tiles.transpose(a.w + ((8 - tap) * a.ic + panel * width) * a.oc + first, a.oc, n, rows,
                                  turned + tap * width, 9 * width)
            a.tiles.winograd_conv_weights(a.mr, a.mc, turned, width, 9 * width, rows, n, u, a.u_point)
        else:
            a.tiles.winograd_conv_weights(a.mr, a.mc, a.w + first * a.oc + panel * width, a.ic * a.oc, a.oc, rows, n, u,
                                          a.u_point)


FORMS = ((2, 2), (4, 2), (4, 4))  # rows and columns of pixels that a tile gives


def weights_shape(k, n, form):
    """Shape of transformed weights for k channels read and n written: (panels, points, rows, floats of a vector). There is
    a row for each k, and one that nobody reads if k is even: rows of all points would else fall into the same few sets of
    L1, which takes six times as long to write."""
    return ceildiv(n, tiles().width), (form[0] + 2) * (form[1] + 2), k | 1, tiles().width


cdef tuple form_of(str what, Buffer u, k, n):
    """The form of tiles that transformed weights are for."""
    for form in FORMS:
        if u.shape == weights_shape(k, n, form):
            return form
    shapes = ", ".join(str(weights_shape(k, n, form)) for form in FORMS)
    raise ValueError(f"{what}: expected u of one of the shapes {shapes}. Received: {u.shape}")


def transform_weights(w, u, bint transpose=False):
    """u[panel, :, i, j] = G w[:, :, i, panel*width + j] G', zero beyond the last channel; with `transpose`, of
    w[2 - ky, 2 - kx, panel*width + j, i], as the input gradient reads them. One task per panel and 32 rows.

    Args:
        w: (3, 3, ic, oc) float32.
        u: `weights_shape(ic, oc, m)`, or `weights_shape(oc, ic, m)` of the transpose, overwritten; m is 2 or 4.
    """
    cdef Buffer wb = buffer(w, "w", "f", 4), ub = buffer(u, "u", "f", 4, True)
    cdef Transform a
    if wb.shape[:2] != (3, 3):
        raise ValueError(f"transform_weights: expected w of shape (3, 3, ic, oc). Received: {wb.shape}")
    a.ic, a.oc, a.transpose = wb.shape[2], wb.shape[3], transpose
    a.k, a.n = (a.oc, a.ic) if transpose else (a.ic, a.oc)
    a.mr, a.mc = form_of("transform_weights", ub, a.k, a.n)
    a.tiles, a.w, a.u = tiles(), <const float *>wb.whole(), <float *>ub.whole()
    a.blocks, a.u_point = ceildiv(a.k, WEIGHT_ROWS), ub.shape[2] * a.tiles.width
    return make_step(transform_leaf, &a, sizeof(a), ub.shape[0] * a.blocks, <double>wb.size() * 4,
                     WEIGHT_ROWS * 9 * a.tiles.width * sizeof(float) if transpose else 0, (wb, ub))


# ---------------------------------------------------------------------------------------------------------------------
# forward and input gradient

ctypedef struct Conv:
    const dlc_tiles *tiles
    Ref x, y, index, residual
    const float *u
    const float *b
    Tiling tiling
    Py_ssize_t ic, oc, panels, panel_splits   # tasks of a sample: blocks of rows times blocks of panels
    Py_ssize_t x_tile, y_tile             # floats of a sample for each of its tiles, roughly
    Py_ssize_t most                       # tiles in a block
    Py_ssize_t u_point                    # floats from one to the next of the weights
    Py_ssize_t panel_step, v_point, m_point   # floats from one to the next in the slot
    Py_ssize_t products                   # float of the slot where the products begin
    Py_ssize_t zeros                      # byte of the slot where a vector of zeros begins
    int activation
    bint pool, indexed, adds


cdef void conv_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Conv *a = <const Conv *>args
    cdef Py_ssize_t blocks = a.tiling.splits, pairs = ceildiv(a.panels, 2), task, block, part
    if a.panel_splits == 1:
        conv_tiles(a, first_tile(&a.tiling, begin), first_tile(&a.tiling, end), 0, a.panels, slot)
        return
    for task in range(begin, end):
        block = task // (blocks * a.panel_splits) * blocks + task % blocks
        part = task // blocks % a.panel_splits
        conv_tiles(a, first_tile(&a.tiling, block), first_tile(&a.tiling, block + 1), 2 * (pairs * part // a.panel_splits),
                   min(2 * (pairs * (part + 1) // a.panel_splits), a.panels), slot)


cdef void conv_tiles(const Conv *a, Py_ssize_t tile, Py_ssize_t last, Py_ssize_t first_panel, Py_ssize_t last_panel,
                     char *slot) noexcept nogil:
    """Some panels of output channels of the tiles tile..last-1, counted from sample 0."""
    cdef const Tiling *g = &a.tiling
    cdef Py_ssize_t sample = tile // (g.rows * g.cols), count, share, panel, point, width = a.tiles.width
    cdef Py_ssize_t points = (g.mr + 2) * (g.mc + 2), u_panel = points * a.u_point
    cdef const float *x = <const float *>at(&a.x, sample, slot)
    cdef float *y = <float *>at(&a.y, sample, slot)
    cdef const float *residual = <const float *>at(&a.residual, sample, slot) if a.adds else NULL
    cdef uint8_t *index = <uint8_t *>at(&a.index, sample, slot) if a.indexed else NULL
    cdef float *v = <float *>slot
    cdef float *m = <float *>slot + a.products
    cdef Tile t
    cdef dlc_winograd_tile p
    memset(&p, 0, sizeof(p))
    p.n, p.pixel_step, p.row_step, p.point_step, p.panel_step = a.ic, a.ic, g.iw * a.ic, a.v_point, a.panel_step
    memset(slot + a.zeros, 0, width * sizeof(float))
    p.zeros = <const float *>(slot + a.zeros)
    tile -= sample * g.rows * g.cols
    last -= sample * g.rows * g.cols
    while tile < last:
        count = block_tiles(last - tile, a.most)
        t = locate(g, tile)
        transform_block(g, a.tiles, x, t, count, p, v)
        share = ceildiv(count, points)
        for panel in range(first_panel, last_panel, 2):
            for point in range(points):
                if panel == first_panel:  # while this multiplies, memory brings what comes next
                    a.tiles.prefetch(y + (tile + point * share) * a.y_tile, share * a.y_tile, 1)
                    if tile + count < last:
                        a.tiles.prefetch(x + (tile + count + point * share) * a.x_tile, share * a.x_tile, 0)
                a.tiles.winograd_multiply(v + point * a.v_point, a.panel_step, a.ic,
                                          a.u + panel * u_panel + point * a.u_point, u_panel, m + point * a.m_point,
                                          a.panel_step, ceildiv(count, 4) * 4,
                                          min(a.oc, last_panel * width) - panel * width)
            store_block(a, y + panel * width, residual + panel * width if a.adds else NULL,
                        index + panel * width if a.indexed else NULL, m, t, count, panel, last_panel)
        tile += count


cdef inline void store_block(const Conv *a, float *y, const float *residual, uint8_t *index, float *m, Tile t,
                             Py_ssize_t count, Py_ssize_t panel, Py_ssize_t last_panel) noexcept nogil:
    """y = act(b + A' m A + residual) of `count` tiles from t on and two panels, or what 2x2 max pooling leaves of it."""
    cdef const Tiling *g = &a.tiling
    cdef dlc_winograd_tile p
    cdef Py_ssize_t run, y0, x0, out, width = a.tiles.width
    cdef int mr = g.mr // 2 if a.pool else g.mr, mc = g.mc // 2 if a.pool else g.mc
    cdef Py_ssize_t oh = g.oh // 2 if a.pool else g.oh, ow = g.ow // 2 if a.pool else g.ow
    memset(&p, 0, sizeof(p))
    p.n = min(a.oc, min(panel + 2, last_panel) * width) - panel * width
    p.pixel_step, p.row_step, p.point_step = a.oc, ow * a.oc, a.m_point
    p.bias, p.activation, p.panel_step = a.b + panel * width if a.b != NULL else NULL, a.activation, a.panel_step
    while count > 0:
        run = min(count, g.cols - t.col)
        y0, x0 = t.row * mr, t.col * mc
        crop(&p, mr, run * mc, y0, x0, oh, ow)
        p.tile = m
        out = ((t.sample * oh + y0) * ow + x0) * a.oc
        if a.pool:
            a.tiles.winograd_conv_pool(g.mr, g.mc, &p, y + out, index + out if index != NULL else NULL)
        else:
            p.add = residual + out if residual != NULL else NULL
            a.tiles.winograd_conv_output(g.mr, g.mc, &p, y + out)
        advance(g, &t, run)
        m += run * width
        count -= run


cdef Step make_conv(str what, Buffer xb, Buffer ub, Buffer bb, Buffer yb, padding, int activation, Py_ssize_t splits,
                    bint pool=False, Buffer index=None, Buffer residual=None):
    """y = x convolved with the weights of u, with this padding before the image, which may be negative."""
    cdef Conv a
    cdef Py_ssize_t points, in_panels, width = tiles().width
    n, _, _, ic = xb.shape
    oc = yb.shape[3]
    mr, mc = form_of(what, ub, ic, oc)
    if splits < 1:
        raise ValueError(f"{what}: expected splits of 1 or more. Received: {splits}")
    memset(&a, 0, sizeof(a))
    if bb is not None:
        if bb.shape[0] != oc:
            raise ValueError(f"{what}: expected b of shape ({oc},). Received: {bb.shape}")
        a.b = <const float *>bb.whole()
    a.tiles, a.x, a.y, a.u = tiles(), xb.rows(), yb.rows(), <const float *>ub.whole()
    y_shape = (n, 2 * yb.shape[1], 2 * yb.shape[2], oc) if pool else yb.shape
    a.panel_splits = panel_splits_of(splits, ceildiv(y_shape[1], mr) * ceildiv(y_shape[2], mc), ceildiv(ub.shape[0], 2))
    a.tiling = make_tiling(mr, mc, xb.shape, y_shape, padding, splits // a.panel_splits)
    a.ic, a.oc, a.panels, a.activation, a.pool, a.indexed = ic, oc, ub.shape[0], activation, pool, index is not None
    if a.indexed:
        a.index = index.rows()
    if residual is not None:
        if residual.shape != yb.shape:
            raise ValueError(f"{what}: expected residual of shape {yb.shape}. Received: {residual.shape}")
        a.residual, a.adds = residual.rows(), True
    a.x_tile = xb.row_size() // (a.tiling.rows * a.tiling.cols)
    a.y_tile = yb.row_size() // (a.tiling.rows * a.tiling.cols)
    points, in_panels = (mr + 2) * (mc + 2), ceildiv(a.ic, width)
    least = ROWS if ub.size() * <Py_ssize_t>sizeof(float) <= NEAR_BYTES else 3 * ROWS
    a.most = most_tiles(points * in_panels * width, BLOCK_BYTES, least, n * a.tiling.rows * a.tiling.cols)
    a.u_point, a.panel_step = ub.shape[2] * width, a.most * width
    a.v_point = in_panels * a.panel_step + APART
    a.m_point = min(a.panels, 2) * a.panel_step + APART
    a.products = points * a.v_point
    a.zeros = (a.products + points * a.m_point) * <Py_ssize_t>sizeof(float)
    return make_step(conv_leaf, &a, sizeof(a), n * splits,
                     <double>n * y_shape[1] * y_shape[2] * 9 * a.ic * a.oc,
                     a.zeros + width * sizeof(float), (xb, ub, bb, yb, index, residual))


cdef Py_ssize_t panel_splits_of(Py_ssize_t splits, Py_ssize_t tiles_of_sample, Py_ssize_t pairs):
    """Into how many blocks to cut the pairs of panels: as few as leave enough tiles to a task, for each transforms them anew."""
    cdef Py_ssize_t i
    for i in range(1, splits):
        if splits % i == 0 and i <= pairs and tiles_of_sample >= splits // i * ROWS:
            return i
    return max([i for i in range(1, splits + 1) if splits % i == 0 and i <= pairs])


def conv2d_forward(x, u, b, y, padding=((0, 0), (0, 0)), int activation=0, Py_ssize_t splits=1, residual=None):
    """y[n, oy, ox, o] = act(b[o] + sum over ky, kx, i of x[n, oy + ky - top, ox + kx - left, i] * w[ky, kx, i, o]
    + residual[n, oy, ox, o]), zero outside x. `splits` tasks per sample, each of some rows of tiles and output channels.

    Args:
        x: (n, ih, iw, ic) float32.
        u: `transform_weights(w, u)` of w (3, 3, ic, oc); its shape says whether tiles have 2x2 or 4x4 outputs.
        b: (oc,) float32 or None.
        y: (n, oh, ow, oc), overwritten.
        padding: ((top, bottom), (left, right)).
        residual: of y's shape, apart from y, or None.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), ub = buffer(u, "u", "f", 4), yb = buffer(y, "y", "f", 4, True)
    cdef Buffer bb = None if b is None else buffer(b, "b", "f", 1)
    cdef Buffer rb = None if residual is None else buffer(residual, "residual", "f", 4)
    check_windows("conv2d_forward", xb.shape, (3, 3, xb.shape[3], yb.shape[3]), yb.shape, (1, 1), padding, (1, 1), 1)
    return make_conv("conv2d_forward", xb, ub, bb, yb, (padding[0][0], padding[1][0]), activation, splits, False, None,
                     rb)


def conv_pool2d_forward(x, u, b, y, index, padding=((0, 0), (0, 0)), bint relu=False, Py_ssize_t splits=1):
    """y[n, i, j, o] = the maximum over the 2x2 pixels of window (i, j) of conv2d(x, w)[n, 2i + py, 2j + px, o], plus b[o],
    then ReLU if wanted; an odd last row or column is left out. `splits` tasks per sample.

    Args:
        x, u, b, padding: as for `conv2d_forward`.
        y: (n, oh // 2, ow // 2, oc), overwritten.
        index: uint8 workspace of y's shape, overwritten, or None: 2*py + px of the winner, 4 where ReLU made a 0.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), ub = buffer(u, "u", "f", 4), yb = buffer(y, "y", "f", 4, True)
    cdef Buffer bb = None if b is None else buffer(b, "b", "f", 1)
    cdef Buffer nb = None if index is None else buffer(index, "index", "B", 4, True)
    if nb is not None and nb.shape != yb.shape:
        raise ValueError(f"conv_pool2d_forward: expected index of shape {yb.shape}. Received: {nb.shape}")
    size = [positions(d, 3, 1, before, after, 1) for d, (before, after) in zip(xb.shape[1:3], padding)]
    if min(size) < 2 or yb.shape != (xb.shape[0], size[0] // 2, size[1] // 2, yb.shape[3]):
        raise ValueError(f"conv_pool2d_forward: y {yb.shape} is not what 2x2 windows leave of {size[0]} x {size[1]} pixels")
    check_windows("conv_pool2d_forward", xb.shape, (3, 3, xb.shape[3], yb.shape[3]), (xb.shape[0], *size, yb.shape[3]),
                  (1, 1), padding, (1, 1), 1)
    return make_conv("conv_pool2d_forward", xb, ub, bb, yb, (padding[0][0], padding[1][0]), DLC_RELU if relu else DLC_LINEAR,
                     splits, True, nb)


def conv2d_input_gradient(dy, u, dx, padding=((0, 0), (0, 0)), b=None, int activation=0, Py_ssize_t splits=1):
    """dx[n, iy, ix, i] = act(b[i] + sum over ky, kx, o of dy[n, iy + top - ky, ix + left - kx, o] * w[ky, kx, i, o]): a
    convolution of dy with the kernel turned around. `splits` tasks per sample.

    Args:
        dy: (n, oh, ow, oc) float32.
        u: `transform_weights(w, u, transpose=True)` of w (3, 3, ic, oc).
        dx: (n, ih, iw, ic), overwritten.
        padding: that of the convolution.
        b: (ic,) float32 or None.
    """
    cdef Buffer gb = buffer(dy, "dy", "f", 4), ub = buffer(u, "u", "f", 4), xb = buffer(dx, "dx", "f", 4, True)
    cdef Buffer bb = None if b is None else buffer(b, "b", "f", 1)
    check_windows("conv2d_input_gradient", xb.shape, (3, 3, xb.shape[3], gb.shape[3]), gb.shape, (1, 1), padding, (1, 1), 1)
    return make_conv("conv2d_input_gradient", gb, ub, bb, xb, (2 - padding[0][0], 2 - padding[1][0]), activation, splits)
