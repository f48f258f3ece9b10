# cython: language_level=3
"""Depthwise convolution in NHWC: forward, input gradient and weight gradient for any kernel, stride, dilation, padding and
depth multiplier.

Channels lie in SIMD lanes and are never summed, so weights are read as they lie and nothing is packed or given a border.
Kernels of three by three slide along two rows at a time. For all others, pixels whose windows hang over the border the same
way are phases of their own, with fewer taps; the phases of a stride are as in `conv`. A depth multiplier m > 1 repeats each
channel m times in the thread's scratch, and the rest is the same loop over m times as many channels.
"""
from libc.string cimport memset

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.geometry cimport check_windows, phases_of
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport (dlc_depthwise, dlc_depthwise_gradient, dlc_depthwise_rows, dlc_depthwise_rows_gradient,
                                  dlc_depthwise_transposed, dlc_tiles, tiles)

# Input pixels (in the gradient) or output pixels that see the same taps.
ctypedef struct Phase:
    Py_ssize_t rows, cols
    Py_ssize_t x_origin, x_row
    Py_ssize_t y_origin, y_row, y_step
    Py_ssize_t above                      # rows before its first one
    Py_ssize_t first, taps                # in the lists of taps

ctypedef struct Depthwise:
    const dlc_tiles *tiles
    Ref x, y                              # x is dy in the input gradient, y is dy in the weight gradient
    const float *w
    const float *b
    float *dw
    Py_ssize_t x_size, y_size, dw_size    # floats in a sample as it lies, in a chunk's sum
    Py_ssize_t height, width, c           # of x, with the channels repeated
    Py_ssize_t y_height, y_width
    Py_ssize_t top, left, stride, w_step  # where the kernel is three by three
    Py_ssize_t multiplier                 # times that x's channels are repeated
    Py_ssize_t rows                       # of y, or of its strides
    Py_ssize_t splits                     # tasks of a sample, each with its share of them
    Py_ssize_t sums                       # floats in a sample of y before the channels of a multiplier are summed
    Py_ssize_t summed                     # channels in each sum
    Py_ssize_t grain
    int activation
    Py_ssize_t x_step, phases             # where it is another one
    const Phase *phase
    const Py_ssize_t *x_tap
    const Py_ssize_t *w_tap

ctypedef void (*Rows)(const Depthwise *a, const float *x, float *y, Py_ssize_t first, Py_ssize_t last) noexcept nogil


cdef const float *widened(const Depthwise *a, const float *x, float *copy) noexcept nogil:
    """x, each channel repeated."""
    if a.multiplier == 1:
        return x
    a.tiles.spread(x, a.x_size, a.multiplier, copy)
    return copy


cdef inline void each_task(const Depthwise *a, Py_ssize_t begin, Py_ssize_t end, char *slot, Rows rows) noexcept nogil:
    cdef Py_ssize_t sample = begin // a.splits, task, i
    cdef const float *x = <const float *>at(&a.x, sample, slot)
    cdef float *y = <float *>at(&a.y, sample, slot)
    for task in range(begin, end):
        i = task // a.splits - sample
        rows(a, widened(a, x + i * a.x_size, <float *>slot), <float *>slot if a.sums else y + i * a.y_size,
             a.rows * (task % a.splits) // a.splits, a.rows * (task % a.splits + 1) // a.splits)
        if a.sums:
            a.tiles.gather_sums(<float *>slot, a.y_size, a.summed, y + i * a.y_size)


cdef inline void under_windows(const Depthwise *a, const float *x, Py_ssize_t row, const float **rows) noexcept nogil:
    """The rows of x under the windows of `row` and the next one, NULL for those outside."""
    cdef Py_ssize_t i
    for i in range(5):
        rows[i] = x + (row + i) * a.width * a.c if 0 <= row + i < a.height else NULL


cdef void rows_of_windows(const Depthwise *a, const float *x, float *y, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef dlc_depthwise_rows t
    t.width, t.left, t.stride, t.w, t.w_step = a.width, <int>a.left, <int>a.stride, a.w, a.w_step
    t.bias, t.pixels, t.c, t.activation, t.y_row = a.b, a.y_width, a.c, a.activation, a.y_width * a.c
    while first < last:
        under_windows(a, x, first * a.stride - a.top, t.x)
        t.y, t.rows = y + first * t.y_row, <int>min(last - first, 2)
        a.tiles.depthwise_rows(&t)
        first += t.rows


cdef void rows_of_transposed(const Depthwise *a, const float *x, float *y, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Pairs of rows of y, the first of which meets the middle of the kernel in a row of x."""
    cdef dlc_depthwise_transposed t
    cdef Py_ssize_t m, i, row
    t.pixels, t.w, t.width, t.c, t.left = a.width, a.w, a.y_width, a.c, <int>a.left
    for m in range(first + a.top - 1, last + a.top - 1):
        for i in range(2):
            row = 2 * m + 1 - a.top + i
            t.dy[i] = x + (m + i) * a.width * a.c if 0 <= m + i < a.height else NULL
            t.dx[i] = y + row * a.y_width * a.c if 0 <= row < a.y_height else NULL
        a.tiles.depthwise_transposed(&t)


cdef void rows_of_phases(const Depthwise *a, const float *x, float *y, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const Phase *p
    cdef Py_ssize_t k, row, r
    cdef dlc_depthwise t
    t.x_step, t.c, t.w, t.bias, t.activation = a.x_step, a.c, a.w, a.b, a.activation
    for row in range(first, last):
        for k in range(a.phases):
            p = &a.phase[k]
            r = row - p.above
            if 0 <= r < p.rows:
                t.x_tap, t.w_tap, t.taps = a.x_tap + p.first, a.w_tap + p.first, p.taps
                t.pixels, t.y_step = p.cols, p.y_step
                t.x = x + p.x_origin + r * p.x_row
                t.y = y + p.y_origin + r * p.y_row
                a.tiles.depthwise(&t)


cdef void windows_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    each_task(<const Depthwise *>args, begin, end, slot, rows_of_windows)


cdef void transposed_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    each_task(<const Depthwise *>args, begin, end, slot, rows_of_transposed)


cdef void phases_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    each_task(<const Depthwise *>args, begin, end, slot, rows_of_phases)


cdef bint slides(kernel, strides, padding, dilation):
    """Whether the words for kernels of three by three are for this one."""
    return ((*kernel, *dilation) == (3, 3, 1, 1) and strides[0] == strides[1] <= 2
            and max(*padding[0], *padding[1]) <= 1)


cdef list split(Py_ssize_t count, Py_ssize_t stride, Py_ssize_t size, taps):
    """Positions of one axis that have the same taps inside: [(first, positions, [(k, offset), ...]), ...], where the tap
    k of position i is at i*stride + offset of `size`."""
    runs = []
    for i in range(count):
        inside = [(k, offset) for k, offset in taps if 0 <= i * stride + offset < size]
        if runs and runs[len(runs) - 1][2] == inside:
            runs[len(runs) - 1][1] += 1
        else:
            runs.append([i, 1, inside])
    return runs


cdef list regions(rows, cols, Py_ssize_t width, Py_ssize_t c, strides, tuple y_place, kw):
    """Phases for each of `rows` with each of `cols`, of `split`, in an image `width` pixels wide. y_place is (origin, row,
    step) of the first position."""
    phases = []
    origin, y_row, y_step = y_place
    for row, height, y_taps in rows:
        for col, pixels, x_taps in cols:
            taps = sorted(((oy * width + ox) * c, (ky * kw + kx) * c) for ky, oy in y_taps for kx, ox in x_taps)
            phases.append((height, pixels, (row * strides[0] * width + col * strides[1]) * c, strides[0] * width * c,
                           origin + row * y_row + col * y_step, y_row, y_step, taps))
    return phases


cdef object place_phases(Depthwise *head, list phases):
    """Returns what the lists in `head` live in. A phase is (rows, cols, x_origin, x_row, y_origin, y_row, y_step,
    [(x_tap, w_tap), ...]), the taps in rising order. Phases take turns row by row, so that they meet in cache what they
    share."""
    cdef Py_ssize_t i, taps = sum([len(phase[7]) for phase in phases]), used = 0
    storage = bytearray(max(2 * taps, 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t[::1] lists = memoryview(storage).cast("l")
    block = bytearray(len(phases) * sizeof(Phase))
    cdef unsigned char[::1] view = block
    cdef Phase *p = <Phase *>&view[0]
    for i, (rows, cols, x_origin, x_row, y_origin, y_row, y_step, offsets) in enumerate(phases):
        p[i].rows, p[i].cols, p[i].x_origin, p[i].x_row = rows, cols, x_origin, x_row
        p[i].y_origin, p[i].y_row, p[i].y_step = y_origin, y_row, y_step
        p[i].first, p[i].taps, p[i].above = used, len(offsets), y_origin // max(y_row, 1)
        head.rows = max(head.rows, p[i].above + p[i].rows)
        for x_tap, w_tap in offsets:
            lists[used], lists[taps + used] = x_tap, w_tap
            used += 1
    head.phase, head.phases = p, len(phases)
    head.x_tap, head.w_tap = &lists[0], &lists[0] + taps
    return lists, view


cdef list window_phases(tuple x_size, tuple y_size, Py_ssize_t c, kernel, strides, padding, dilation):
    """Of y's pixels, by the taps of their windows that are inside of x."""
    (top, _), (left, _) = padding
    rows = split(y_size[0], strides[0], x_size[0], [(k, k * dilation[0] - top) for k in range(kernel[0])])
    cols = split(y_size[1], strides[1], x_size[1], [(k, k * dilation[1] - left) for k in range(kernel[1])])
    return regions(rows, cols, x_size[1], c, strides, (0, y_size[1] * c, c), kernel[1])


cdef tuple kernel_of(str what, Buffer w, kernel, c):
    """(kh, kw, multiplier) of weights (kh, kw, c, multiplier) or, the same numbers, (kh, kw, 1, c * multiplier); kh may be
    left out where it is 1."""
    kh, kw = kernel
    shape = w.shape if len(w.shape) == 4 or kh != 1 else (1, *w.shape)
    multiplier = 0
    if len(shape) == 4 and c > 0:
        multiplier = shape[3] if shape[2] == c else shape[3] // c if shape[2] == 1 and shape[3] % c == 0 else 0
    elif len(shape) == 4:
        multiplier = max(shape[3], 1)
    if multiplier < 1 or shape[:2] != (kh, kw):
        raise ValueError(f"{what}: w {w.shape} is not a kernel of {(kh, kw)} over {c} channels")
    return kh, kw, multiplier


def depthwise_forward(x, w, b, y, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), int activation=0,
                      Py_ssize_t splits=1):
    """y[n, oy, ox, i*m + q] = act(b[i*m + q] + sum over ky, kx of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i]
    * w[ky, kx, i, q]), zero outside x. `splits` tasks per sample, each of some rows.

    Args:
        x: (n, ih, iw, c) float32.
        w: (kh, kw, c, m), or (kh, kw, 1, c*m), which lies in memory alike; without kh where it is 1.
        b: (c*m,) float32 or None.
        y: (n, oh, ow, c*m), overwritten.
        kernel: (kh, kw).
        padding: ((top, bottom), (left, right)).
        splits: more than one needs tensors of the whole batch, and m = 1. The bits are the same for any.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), wb = buffer(w, "w", "f"), yb = buffer(y, "y", "f", 4, True), bb = None
    cdef Depthwise a
    n, ih, iw, c = xb.shape
    _, oh, ow, oc = yb.shape
    kh, kw, m = kernel_of("depthwise_forward", wb, kernel, c)
    check_windows("depthwise_forward", xb.shape, (kh, kw, 1, c * m), yb.shape, strides, padding, dilation, max(c, 1))
    memset(&a, 0, sizeof(a))
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != oc:
            raise ValueError(f"depthwise_forward: expected b of shape ({oc},). Received: {bb.shape}")
        a.b = <const float *>bb.whole()
    a.tiles, a.x, a.y, a.w, a.activation = tiles(), xb.rows(), yb.rows(), <const float *>wb.whole(), activation
    a.x_size, a.y_size, a.c, a.multiplier = xb.row_size(), yb.row_size(), oc, m
    a.height, a.width, a.y_height, a.y_width, a.splits = ih, iw, oh, ow, splits
    if splits < 1 or splits > 1 and (m > 1 or a.x.base == NULL or a.y.base == NULL):
        raise ValueError("depthwise_forward: expected splits of 1 or more, and of 1 on slab tensors or with several outputs "
                         f"per channel. Received: {splits}")
    if slides((kh, kw), strides, padding, dilation):
        a.top, a.left, a.stride, a.w_step, a.rows, lists = padding[0][0], padding[1][0], strides[0], oc, oh, None
    else:
        a.x_step = strides[1] * oc
        lists = place_phases(&a, window_phases((ih, iw), (oh, ow), oc, (kh, kw), strides, padding, dilation))
    return make_step(windows_leaf if a.stride else phases_leaf, &a, sizeof(a), n * splits, <double>yb.size() * kh * kw,
                     scratch_of(&a), (xb, wb, bb, yb, lists))


def depthwise_input_gradient(dy, w, dx, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """dx[n, iy, ix, i] = sum of dy[n, oy, ox, i*m + q] * w[ky, kx, i, q] over all q and all (oy, ky) with
    oy*sh + ky*dh - top = iy, (ox, kx) likewise. One task per sample; dx (n, ih, iw, c) is overwritten."""
    cdef Buffer gb = buffer(dy, "dy", "f", 4), wb = buffer(w, "w", "f"), xb = buffer(dx, "dx", "f", 4, True)
    cdef Depthwise a
    n, ih, iw, c = xb.shape
    _, oh, ow, oc = gb.shape
    kh, kw, m = kernel_of("depthwise_input_gradient", wb, kernel, c)
    check_windows("depthwise_input_gradient", xb.shape, (kh, kw, 1, c * m), gb.shape, strides, padding, dilation,
                  max(c, 1))
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.y, a.w = tiles(), gb.rows(), xb.rows(), <const float *>wb.whole()
    a.x_size, a.y_size, a.c, a.multiplier, a.splits = gb.row_size(), xb.row_size(), oc, 1, 1
    a.height, a.width, a.y_height, a.y_width = oh, ow, ih, iw
    if m > 1:  # dy has all the channels: it is dx whose channels are summed
        a.sums, a.summed = ih * iw * oc, m
    cdef Leaf leaf = phases_leaf
    lists = None
    if slides((kh, kw), strides, padding, dilation) and strides[0] == 2:
        leaf, a.top, a.left = transposed_leaf, padding[0][0], padding[1][0]
        a.rows = (ih - a.top) // 2 + 1
    elif slides((kh, kw), strides, padding, dilation) and min(*padding[0], *padding[1]) == 1:
        a.top = a.left = a.stride = 1  # a convolution with the kernel turned round
        a.w, a.w_step, a.rows = a.w + 8 * a.c, -a.c, ih
        leaf = windows_leaf
    else:
        a.x_step, phases = oc, []
        for py, rows, y_taps in phases_of(ih, oh, kh, strides[0], padding[0][0], dilation[0])[0]:
            for px, cols, x_taps in phases_of(iw, ow, kw, strides[1], padding[1][0], dilation[1])[0]:
                place = ((py * iw + px) * oc, strides[0] * iw * oc, strides[1] * oc)
                phases += regions(split(rows, 1, oh, y_taps), split(cols, 1, ow, x_taps), ow, oc, (1, 1), place, kw)
        lists = place_phases(&a, phases)
    return make_step(leaf, &a, sizeof(a), n, <double>gb.size() * kh * kw, a.sums * <Py_ssize_t>sizeof(float),
                     (gb, wb, xb, lists))


cdef Py_ssize_t scratch_of(const Depthwise *a):
    """Bytes that `widened` needs."""
    return 0 if a.multiplier == 1 else a.x_size * a.multiplier * <Py_ssize_t>sizeof(float)


# ---------------------------------------------------------------------------------------------------------------------
# weight gradient

cdef void gradient_of_windows(const Depthwise *a, const float *x, const float *dy, float *dw) noexcept nogil:
    cdef dlc_depthwise_rows_gradient t
    cdef Py_ssize_t row = 0
    t.width, t.left, t.stride, t.pixels, t.c, t.dw = a.width, <int>a.left, <int>a.stride, a.y_width, a.c, dw
    while row < a.y_height:
        under_windows(a, x, row * a.stride - a.top, t.x)
        t.dy, t.rows = dy + row * a.y_width * a.c, <int>min(a.y_height - row, 2)
        a.tiles.depthwise_rows_gradient(&t)
        row += t.rows


cdef void gradient_of_phases(const Depthwise *a, const float *x, const float *dy, float *dw) noexcept nogil:
    cdef dlc_depthwise_gradient t
    cdef Py_ssize_t k
    cdef const Phase *p
    t.x_step, t.c, t.dw = a.x_step, a.c, dw
    for k in range(a.phases):
        p = &a.phase[k]
        t.x, t.x_row, t.x_tap, t.w_tap, t.taps = x + p.x_origin, p.x_row, a.x_tap + p.first, a.w_tap + p.first, p.taps
        t.dy, t.dy_row, t.rows, t.cols = dy + p.y_origin, p.y_row, p.rows, p.cols
        a.tiles.depthwise_gradient(&t)


cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Depthwise *a = <const Depthwise *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.y, begin, slot)
    cdef const float *image
    cdef float *dw = a.dw + begin // a.grain * a.dw_size
    cdef Py_ssize_t i
    memset(dw, 0, a.dw_size * sizeof(float))
    for i in range(end - begin):
        image = widened(a, x + i * a.x_size, <float *>slot)
        if a.stride:
            gradient_of_windows(a, image, dy + i * a.y_size, dw)
        else:
            gradient_of_phases(a, image, dy + i * a.y_size, dw)


def depthwise_weight_gradient(x, dy, dw, Py_ssize_t grain, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """dw[k][ky, kx, i, q] = sum over the samples n of chunk k and all oy, ox of
    x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] * dy[n, oy, ox, i*m + q]. One task per sample.

    Args:
        x: (n, ih, iw, c) float32.
        dy: (n, oh, ow, c*m) float32.
        dw: (ceil(n / grain), kh, kw, c, m), overwritten: one partial sum per chunk of `grain` samples, to be added up by
            `elementwise.reduce_chunks`. The step must run with this grain.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), wb = buffer(dw, "dw", "f", 5, True)
    cdef Depthwise a
    n, ih, iw, c = xb.shape
    _, oh, ow, oc = gb.shape
    chunks, kh, kw, wc, m = wb.shape
    if wc != c:
        raise ValueError(f"depthwise_weight_gradient: dw {wb.shape} is not that of {c} channels")
    check_windows("depthwise_weight_gradient", xb.shape, (kh, kw, 1, c * m), gb.shape, strides, padding, dilation,
                  max(c, 1))
    if grain < 1 or chunks != ceildiv(n, grain):
        raise ValueError(f"depthwise_weight_gradient: dw has {chunks} chunks for {n} samples in chunks of {grain}")
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.y, a.dw = tiles(), xb.rows(), gb.rows(), <float *>wb.whole()
    a.x_size, a.y_size, a.dw_size = xb.row_size(), gb.row_size(), wb.row_size()
    a.height, a.width, a.y_height, a.y_width, a.c = ih, iw, oh, ow, oc
    a.grain, a.multiplier, lists = grain, max(m, 1), None
    if slides((kh, kw), strides, padding, dilation):
        a.top, a.left, a.stride = padding[0][0], padding[1][0], strides[0]
    else:
        a.x_step = strides[1] * oc
        lists = place_phases(&a, window_phases((ih, iw), (oh, ow), oc, (kh, kw), strides, padding, dilation))
    return make_step(weight_gradient_leaf, &a, sizeof(a), n, <double>gb.size() * kh * kw, scratch_of(&a),
                     (xb, gb, wb, lists), grain)
