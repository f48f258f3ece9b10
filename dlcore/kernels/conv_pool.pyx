# cython: language_level=3
"""Convolution, bias, ReLU and max pooling in one pass, and the weight gradient straight from the pooled gradient.

The convolution's own output, `ph*pw` times as large as the pooled one, is never written, and neither is its gradient.
What backward needs is one byte per pooled element: the winner's position in its window, ph*pw where ReLU cut it off.

3x3 kernels with stride 1 on images of a few channels, the usual first layer, go through Winograd's F(2x2, 3x3), whose tile
is just one pooling window: 16 multiplications a window and channel forward and backward instead of 36. An image whose sums
might overflow takes the direct way, so that infinities and NaN end up where convolution puts them.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, copy_rows, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport array_of
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport DLC_TILES, dlc_conv_pool, dlc_conv_pool_gradient, dlc_tiles, dlc_winograd_pool, tiles

cdef Py_ssize_t L1_BYTES = 24576       # of an image transformed or tabulated at a time: what L1 holds beside the rest
cdef Py_ssize_t WINOGRAD_CHANNELS = 4
cdef float HUGE = 1e37                 # numbers and sums below it cannot overflow in Winograd's domain


# ---------------------------------------------------------------------------------------------------------------------
# images in Winograd's domain

ctypedef struct Winograd:
    Py_ssize_t ic, rows, cols             # channels; rows of windows and windows in a row
    Py_ssize_t height, width              # of the padded image
    Py_ssize_t block                      # rows of windows transformed at a time
    Py_ssize_t d_row, d_channel           # floats of the transformed tiles of a row of windows, and of a channel
    Py_ssize_t planes, d, end             # bytes in the slot: where the channels apart and the tiles begin, and the end

cdef Winograd make_winograd(const Border *border, Py_ssize_t rows, Py_ssize_t cols):
    cdef Winograd v
    v.ic, v.rows, v.cols, v.height, v.width = border.c, rows, cols, border.ph, border.pw
    v.d_row = ceildiv(cols, DLC_TILES) * DLC_TILES * 16
    v.block = min(rows, max(1, L1_BYTES // (v.ic * v.d_row * <Py_ssize_t>sizeof(float))))
    v.d_channel = v.block * v.d_row
    v.planes = ceildiv(border_bytes(border), 64) * 64
    v.d = v.planes + (ceildiv(v.ic * v.height * v.width, 16) * 64 if v.ic > 1 else 0)
    v.end = v.d + v.ic * v.d_channel * <Py_ssize_t>sizeof(float)
    return v

cdef bint suits_winograd(Py_ssize_t ic, kernel, pool, strides, dilation):
    return ic <= WINOGRAD_CHANNELS and tuple(kernel) == (3, 3) and tuple(pool) == (2, 2) \
        and tuple(strides) == (1, 1) and tuple(dilation) == (1, 1)

cdef inline const float *channels_apart(const Winograd *v, const dlc_tiles *tiles, const float *image,
                                        char *slot) noexcept nogil:
    """The image (height, width, ic) as (ic, height, width)."""
    cdef float *planes = <float *>(slot + v.planes)
    if v.ic == 1:
        return image
    tiles.transpose(image, v.ic, v.height * v.width, v.ic, planes, v.height * v.width)
    return planes

cdef inline float *transformed(const Winograd *v, const dlc_tiles *tiles, const float *planes, Py_ssize_t first,
                               Py_ssize_t rows, char *slot) noexcept nogil:
    """The tiles under window rows first..first+rows-1, transformed."""
    cdef float *d = <float *>(slot + v.d)
    cdef Py_ssize_t c
    for c in range(v.ic):
        tiles.winograd_input(planes + (c * v.height + 2 * first) * v.width, v.width, rows, v.cols, d + c * v.d_channel,
                             v.d_row)
    return d


# ---------------------------------------------------------------------------------------------------------------------
# forward

ctypedef struct ConvPool:
    const dlc_tiles *tiles
    Ref x, y, index
    Border border
    dlc_conv_pool tile                    # what is the same for every row of windows
    const float *packed
    const float *b
    Py_ssize_t x_size, y_size, row_step   # floats in a sample of x and y; of x from one row of windows to the next
    Py_ssize_t reach                      # floats from the first to past the last that a row of windows sees
    Py_ssize_t k, n, panels, rows, weights, splits
    Winograd winograd
    Py_ssize_t u, u_step                  # bytes in the slot where the transformed weights begin, and their rows
    bint indexed, use_winograd


cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    """A task is a block of rows of windows of a sample."""
    cdef const ConvPool *a = <const ConvPool *>args
    cdef Py_ssize_t first_sample = begin // a.splits, task, sample, first, last, width = a.border.pw * a.border.c
    cdef const float *x = <const float *>at(&a.x, first_sample, slot)
    cdef float *y = <float *>at(&a.y, first_sample, slot)
    cdef uint8_t *index = <uint8_t *>at(&a.index, first_sample, slot) if a.indexed else NULL
    cdef const float *image
    cdef float weight = 0
    cdef bint small = a.use_winograd
    if small:
        weight = a.tiles.magnitude(a.packed, a.weights)
        small = weight < HUGE and (a.b == NULL or a.tiles.magnitude(a.b, a.n) < HUGE)
    if small:
        transform_weights(a, slot)
    for task in range(begin, end):
        sample = task // a.splits - first_sample
        first, last = a.rows * (task % a.splits) // a.splits, a.rows * (task % a.splits + 1) // a.splits
        image = x + sample * a.x_size
        if a.splits > 1 and not a.use_winograd and has_border(&a.border) and first < last:
            copy_rows(&a.border, image, <float *>slot, first * a.row_step // width,
                      ceildiv((last - 1) * a.row_step + a.reach, width), True)
            image = <const float *>slot
        else:
            image = bordered(&a.border, image, <float *>slot, task == begin)
        if small and sums_are_small(a, x + sample * a.x_size, weight):
            by_winograd(a, first, last, image, y + sample * a.y_size, index + sample * a.y_size if a.indexed else NULL,
                        slot)
        else:
            directly(a, first, last, image, y + sample * a.y_size, index + sample * a.y_size if a.indexed else NULL)


cdef inline bint sums_are_small(const ConvPool *a, const float *x, float weight) noexcept nogil:
    """Whether nothing can overflow on the way through Winograd's domain, where pixels are added before they meet weights."""
    cdef float pixel = a.tiles.magnitude(x, a.x_size)
    return pixel < HUGE and pixel * weight * a.k < HUGE


cdef void directly(const ConvPool *a, Py_ssize_t first, Py_ssize_t last, const float *image, float *y,
                   uint8_t *index) noexcept nogil:
    cdef dlc_conv_pool t = a.tile
    cdef Py_ssize_t row, panel, out
    cdef int nr = a.tiles.nr
    for row in range(first, last):
        t.x = image + row * a.row_step
        for panel in range(a.panels):
            out = row * t.windows * t.y_step + panel * nr
            t.n = <int>min(a.n - panel * nr, nr)
            t.b = a.packed + panel * a.k * nr
            t.bias = a.b + panel * nr if a.b != NULL else NULL
            t.y = y + out
            t.index = index + out if index != NULL else NULL
            a.tiles.conv_pool(&t)


cdef void transform_weights(const ConvPool *a, char *slot) noexcept nogil:
    cdef Py_ssize_t panel, c, nr = a.tiles.nr
    for panel in range(a.panels):
        for c in range(a.winograd.ic):
            a.tiles.winograd_weights(a.packed + (panel * a.k + c) * nr, a.winograd.ic * nr, nr,
                                     <float *>(slot + a.u) + c * 16 * a.u_step + panel * nr, a.u_step)


cdef void by_winograd(const ConvPool *a, Py_ssize_t first, Py_ssize_t last, const float *image, float *y, uint8_t *index,
                      char *slot) noexcept nogil:
    cdef const Winograd *v = &a.winograd
    cdef const float *planes = channels_apart(v, a.tiles, image, slot)
    cdef dlc_winograd_pool t
    cdef Py_ssize_t rows
    t.d_row, t.d_channel, t.cols, t.channels = v.d_row, v.d_channel, v.cols, v.ic
    t.u, t.u_step = <const float *>(slot + a.u), a.u_step
    t.bias, t.y_step, t.n, t.relu = a.b, a.n, a.n, a.tile.relu
    while first < last:
        rows = min(v.block, last - first)
        t.d = transformed(v, a.tiles, planes, first, rows, slot)
        t.rows = rows
        t.y = y + first * v.cols * a.n
        t.index = index + first * v.cols * a.n if index != NULL else NULL
        a.tiles.winograd_pool(&t)
        first += rows


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


cdef segments_of(kh, kw, ic, width, dilation):
    """(offsets in the image, taps of each): the rows of the kernel, or its pixels where dilation spreads a row."""
    if dilation[1] == 1:
        offsets = [ky * dilation[0] * width for ky in range(kh)]
    else:
        offsets = [ky * dilation[0] * width + kx * dilation[1] * ic for ky in range(kh) for kx in range(kw)]
    return array_of(offsets), kw * ic if dilation[1] == 1 else ic


def conv_pool2d_forward(x, packed, b, y, index, kernel, pool, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                        bint relu=False, Py_ssize_t splits=1):
    """y[n, i, j, o] = the maximum over the ph*pw pixels of window (i, j) of conv2d(x, w)[n, i*ph + py, j*pw + px, o],
    plus b[o], then ReLU if wanted. Windows do not overlap; rows and columns that fill no window are left out. The first
    maximum wins and a NaN beats everything. `splits` tasks per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        packed: `dense.pack(w)` of w (kh, kw, ic, oc).
        b: (oc,) float32 or None.
        y: (n, oh // ph, ow // pw, oc), overwritten.
        index: uint8 workspace of y's shape, overwritten, or None: py*pw + px of the winner, ph*pw where ReLU made a 0.
        kernel, pool: (kh, kw), (ph, pw); ph*pw <= 9.
        strides, padding, dilation: of the convolution, as for `conv.conv2d_forward`.
        splits: tasks per sample: more than one needs tensors of the whole batch. The bits are the same for any.
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
    storage, a.tile.kc = segments_of(kh, kw, ic, width, dilation)
    cdef Py_ssize_t[::1] segments = storage
    cdef Py_ssize_t i
    a.tile.a_segment, a.tile.segments, a.tile.b_step = &segments[0], len(segments), a.tiles.nr
    a.tile.pixels, a.tile.relu = ph * pw, relu
    for i in range(a.tile.pixels):
        a.tile.pixel[i] = <Py_ssize_t>(i // pw * strides[0] * width + i % pw * strides[1] * ic)
    a.tile.window_step, a.row_step = pw * strides[1] * ic, ph * strides[0] * width
    a.tile.windows, a.tile.y_step = yb.shape[2], oc
    a.reach = ((a.tile.windows - 1) * a.tile.window_step + a.tile.pixel[a.tile.pixels - 1]
               + segments[a.tile.segments - 1] + a.tile.kc)
    a.splits = splits
    if splits < 1 or splits > 1 and (a.x.base == NULL or a.y.base == NULL or a.indexed and a.index.base == NULL):
        raise ValueError(f"conv_pool2d_forward: expected splits of 1 or more, and of 1 on slab tensors. Received: {splits}")
    scratch = border_bytes(&a.border)
    a.use_winograd = suits_winograd(ic, kernel, pool, strides, dilation)
    if a.use_winograd:
        a.winograd = make_winograd(&a.border, yb.shape[1], yb.shape[2])
        a.u, a.u_step = a.winograd.end, a.panels * a.tiles.nr
        scratch = a.u + a.winograd.ic * 16 * a.u_step * sizeof(float)
    return make_step(forward_leaf, &a, sizeof(a), n * splits, <double>yb.size() * a.k * a.tile.pixels, scratch,
                     (xb, pb, bb, yb, nb, storage))


# ---------------------------------------------------------------------------------------------------------------------
# weight gradient

ctypedef struct WeightGradient:
    const dlc_tiles *tiles
    Ref x, dy, index
    float *dw                             # (chunks, kh*kw*ic, oc)
    float *db                             # (chunks, oc)
    Border border
    dlc_conv_pool_gradient tile           # what is the same for every block of rows of windows
    Py_ssize_t x_size, dy_size, dw_size
    Py_ssize_t grain, rows, block, oc, table, reach
    Py_ssize_t pixel[9]
    Winograd winograd
    Py_ssize_t s                          # bytes in the slot where the sums of the transformed gradient begin
    bint use_winograd

cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const uint8_t *index = <const uint8_t *>at(&a.index, begin, slot)
    cdef float *dw = a.dw + begin // a.grain * a.dw_size
    cdef float *db = a.db + begin // a.grain * a.oc
    cdef const float *image
    cdef Py_ssize_t i
    if a.use_winograd and sum_by_winograd(a, x, dy, index, begin, end, dw, db, slot):
        return
    memset(dw, 0, a.dw_size * sizeof(float))
    memset(db, 0, a.oc * sizeof(float))
    for i in range(end - begin):
        image = bordered(&a.border, x + i * a.x_size, <float *>slot, i == 0)
        add_by_lookup(a, image, dy + i * a.dy_size, index + i * a.dy_size, dw, db, slot)


cdef bint sum_by_winograd(const WeightGradient *a, const float *x, const float *dy, const uint8_t *index,
                          Py_ssize_t begin, Py_ssize_t end, float *dw, float *db, char *slot) noexcept nogil:
    """False when something was not finite, or might not stay so: it is in the sums then, but not where convolution would
    put it."""
    cdef float *s = <float *>(slot + a.s)
    cdef const float *image
    cdef Py_ssize_t i, size = a.winograd.ic * 16 * a.oc
    memset(s, 0, size * sizeof(float))
    memset(db, 0, a.oc * sizeof(float))
    for i in range(end - begin):
        image = bordered(&a.border, x + i * a.x_size, <float *>slot, i == 0)
        add_by_winograd(a, image, dy + i * a.dy_size, index + i * a.dy_size, s, db, slot)
    if not a.tiles.magnitude(s, size) < HUGE:
        return False
    for i in range(a.winograd.ic):
        a.tiles.winograd_weight_gradient(s + i * 16 * a.oc, a.oc, a.oc, dw + i * a.oc, a.winograd.ic * a.oc)
    return True


cdef void add_by_lookup(const WeightGradient *a, const float *image, const float *dy, const uint8_t *index, float *dw,
                        float *db, char *slot) noexcept nogil:
    cdef dlc_conv_pool_gradient t = a.tile
    cdef float *table = <float *>(slot + a.table)
    cdef Py_ssize_t first = 0
    t.table, t.dw, t.db = table, dw, db
    while first < a.rows:
        t.rows = min(a.block, a.rows - first)
        a.tiles.conv_pool_table(image + first * t.row_step, (t.rows - 1) * t.row_step + a.reach, a.pixel, t.pixels, table)
        t.dy, t.index = dy + first * t.cols * a.oc, index + first * t.cols * a.oc
        a.tiles.conv_pool_gradient(&t)
        first += t.rows


cdef void add_by_winograd(const WeightGradient *a, const float *image, const float *dy, const uint8_t *index, float *s,
                          float *db, char *slot) noexcept nogil:
    cdef const Winograd *v = &a.winograd
    cdef const float *planes = channels_apart(v, a.tiles, image, slot)
    cdef const float *d
    cdef Py_ssize_t first = 0, rows, c, at
    while first < v.rows:
        rows = min(v.block, v.rows - first)
        d = transformed(v, a.tiles, planes, first, rows, slot)
        at = first * v.cols * a.oc
        for c in range(v.ic):
            a.tiles.winograd_pool_gradient(d + c * v.d_channel, v.d_row, rows, v.cols, dy + at, index + at, a.oc,
                                           s + c * 16 * a.oc, a.oc, db if c == 0 else NULL)
        first += rows


def conv_pool2d_weight_gradient(x, dy, index, dw, db, Py_ssize_t grain, strides=(1, 1), padding=((0, 0), (0, 0)),
                                dilation=(1, 1), pool=(2, 2)):
    """Gradients of w and b of a convolution under max pooling, from the pooled gradient and the winners: dw[ky, kx, i, o]
    = sum over samples and windows of x under tap (ky, kx), input channel i, seen from the winner, times dy, zero where
    index is ph*pw. Partial sums, one per chunk of samples. One task per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        dy: (n, h, w, oc) float32, gradient of the pooled output.
        index: (n, h, w, oc) uint8, as `conv_pool2d_forward` saved it.
        pool: (ph, pw), ph*pw <= 9.
        dw, db: (ceil(n / grain), kh, kw, ic, oc) and (ceil(n / grain), oc), overwritten. The step must run with this grain.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), nb = buffer(index, "index", "B", 4)
    cdef Buffer wb = buffer(dw, "dw", "f", 5, True), bb = buffer(db, "db", "f", 2, True)
    cdef WeightGradient a
    n, ih, iw, ic = xb.shape
    chunks, kh, kw, _, oc = wb.shape
    check("conv_pool2d_weight_gradient", xb.shape, wb.shape[1:], gb.shape, pool, strides, padding, dilation)
    if grain < 1 or chunks != ceildiv(n, grain) or bb.shape != (chunks, oc) or nb.shape != gb.shape:
        raise ValueError(f"conv_pool2d_weight_gradient: dy {gb.shape}, index {nb.shape}, dw {wb.shape} and db {bb.shape} do "
                         f"not fit {n} samples in chunks of {grain}")
    (top, bottom), (left, right) = padding
    a.tiles, a.x, a.dy, a.index = tiles(), xb.rows(), gb.rows(), nb.rows()
    a.dw, a.db = <float *>wb.whole(), <float *>bb.whole()
    a.border = make_border(ih, iw, ic, top, bottom, left, right)
    a.x_size, a.dy_size, a.dw_size = xb.row_size(), gb.row_size(), wb.row_size()
    a.grain, a.oc, a.rows = grain, oc, gb.shape[1]
    ph, pw = pool
    width = a.border.pw * ic
    a.tile.cols, a.tile.c, a.tile.pixels = gb.shape[2], oc, ph * pw
    a.tile.row_step, a.tile.col_step = ph * strides[0] * width, pw * strides[1] * ic
    for i in range(ph * pw):
        a.pixel[<int>i] = i // pw * strides[0] * width + i % pw * strides[1] * ic
    storage, a.tile.kc = segments_of(kh, kw, ic, width, dilation)
    cdef Py_ssize_t[::1] segments = storage
    a.tile.a_segment, a.tile.segments = &segments[0], len(segments)
    # entries of the table that a row of windows needs: from its first pixel under the first tap to its last under the last
    a.reach = (a.tile.cols - 1) * a.tile.col_step + segments[a.tile.segments - 1] + a.tile.kc
    cdef Py_ssize_t entry = 16 if ph * pw <= 4 else 64
    a.block = min(a.rows, max(1, (L1_BYTES // entry - a.reach) // a.tile.row_step + 1))
    a.table = ceildiv(border_bytes(&a.border), 64) * 64
    scratch = a.table + entry * ((a.block - 1) * a.tile.row_step + a.reach)
    a.use_winograd = a.tiles.masked_fma and suits_winograd(ic, (kh, kw), pool, strides, dilation)
    if a.use_winograd:
        a.winograd = make_winograd(&a.border, a.rows, a.tile.cols)
        a.s = a.winograd.end
        scratch = max(scratch, a.s + ic * 16 * oc * sizeof(float))
    return make_step(weight_gradient_leaf, &a, sizeof(a), n, <double>gb.size() * kh * kw * ic, scratch,
                     (xb, gb, nb, wb, bb, storage), grain)
