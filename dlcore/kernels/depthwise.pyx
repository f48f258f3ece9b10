# cython: language_level=3
"""Depthwise convolution in NHWC: forward, input gradient and weight gradient for any kernel, stride, dilation, padding and
depth multiplier.

Channels lie in SIMD lanes and are never summed, so weights are read as they lie and nothing is packed. Pixels whose
windows hang over the border the same way are phases of their own, with fewer taps, so that nothing is copied; the phases
of a stride are as in `conv`. Only the weight gradient copies a sample with its border. A depth multiplier m > 1 repeats
each channel m times in the thread's scratch, and the rest is the same loop over m times as many channels.
"""
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport check_windows, phases_of
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_depthwise, dlc_depthwise_gradient, dlc_tiles, tiles

# Input pixels (in the gradient) or output pixels that see the same taps.
ctypedef struct Phase:
    Py_ssize_t rows, cols
    Py_ssize_t x_origin, x_row
    Py_ssize_t y_origin, y_row, y_step
    Py_ssize_t above                      # rows before its first one
    Py_ssize_t first, taps                # in the lists of taps

ctypedef struct Depthwise:
    const dlc_tiles *tiles
    Ref x, y
    const float *w
    const float *b
    Border image                          # x, with c channels
    Py_ssize_t x_size, y_size             # floats in a sample as it lies
    Py_ssize_t c, multiplier, x_step, phases
    Py_ssize_t rows                       # of y, or of its strides
    Py_ssize_t splits                     # tasks of a sample, each with its share of them
    Py_ssize_t sums                       # floats in a sample of y before the channels of a multiplier are summed
    bint gradient
    int activation
    const Phase *phase
    const Py_ssize_t *x_tap
    const Py_ssize_t *w_tap


cdef const float *widened(const Border *b, Py_ssize_t multiplier, const dlc_tiles *words, const float *x, float *copy,
                          bint clear) noexcept nogil:
    """x with its border, each channel repeated; b.c counts the repeated ones."""
    cdef Py_ssize_t y, row = b.w * (b.c // multiplier)
    if multiplier == 1:
        return bordered(b, x, copy, clear)
    if clear and has_border(b):
        memset(copy, 0, b.ph * b.pw * b.c * sizeof(float))
    for y in range(b.h):
        words.spread(x + y * row, row, multiplier, copy + ((y + b.top) * b.pw + b.left) * b.c)
    return copy


cdef void leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Depthwise *a = <const Depthwise *>args
    cdef Py_ssize_t sample = begin // a.splits, task, i, k, row, r
    cdef const float *x = <const float *>at(&a.x, sample, slot)
    cdef float *y = <float *>at(&a.y, sample, slot)
    cdef float *target
    cdef const float *image
    cdef const Phase *p
    cdef dlc_depthwise t
    memset(&t, 0, sizeof(t))
    t.x_step, t.c, t.w, t.bias, t.activation = a.x_step, a.c, a.w, a.b, a.activation
    for task in range(begin, end):
        i = task // a.splits - sample
        # the gradient's repeated channels are those of its output: its input has all of them already
        image = widened(&a.image, 1 if a.gradient else a.multiplier, a.tiles, x + i * a.x_size, <float *>slot, False)
        target = <float *>slot if a.sums else y + i * a.y_size
        for row in range(a.rows * (task % a.splits) // a.splits, a.rows * (task % a.splits + 1) // a.splits):
            for k in range(a.phases):
                p = &a.phase[k]
                r = row - p.above
                if 0 <= r < p.rows:
                    t.x_tap, t.w_tap, t.taps = a.x_tap + p.first, a.w_tap + p.first, p.taps
                    t.pixels, t.y_step = p.cols, p.y_step
                    t.x = image + p.x_origin + r * p.x_row
                    t.y = target + p.y_origin + r * p.y_row
                    a.tiles.depthwise(&t)
        if a.sums:
            a.tiles.gather_sums(target, a.y_size, a.multiplier, y + i * a.y_size)


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


cdef Step make_depthwise(Depthwise *head, list phases, double work, Py_ssize_t tasks, Py_ssize_t scratch, object keep):
    """A phase is (rows, cols, x_origin, x_row, y_origin, y_row, y_step, [(x_tap, w_tap), ...]), the taps in rising
    order. Phases take turns row by row, so that they meet in cache what they share."""
    cdef Py_ssize_t i, taps = sum([len(phase[7]) for phase in phases]), used = 0
    # lists that the step points at live as long as it does
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
    return make_step(leaf, head, sizeof(Depthwise), tasks * head.splits, work, scratch, (keep, lists, view))


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
    (top, bottom), (left, right) = padding
    a.tiles, a.x, a.y, a.w, a.activation = tiles(), xb.rows(), yb.rows(), <const float *>wb.whole(), activation
    a.image = make_border(ih, iw, oc, 0, 0, 0, 0)
    a.x_size, a.y_size, a.c, a.multiplier = xb.row_size(), yb.row_size(), oc, m
    a.x_step, a.splits = strides[1] * oc, splits
    if splits < 1 or splits > 1 and (m > 1 or a.x.base == NULL or a.y.base == NULL):
        raise ValueError("depthwise_forward: expected splits of 1 or more, and of 1 on slab tensors or with several outputs "
                         f"per channel. Received: {splits}")
    rows = split(oh, strides[0], ih, [(k, k * dilation[0] - top) for k in range(kh)])
    cols = split(ow, strides[1], iw, [(k, k * dilation[1] - left) for k in range(kw)])
    phases = regions(rows, cols, iw, oc, strides, (0, ow * oc, oc), kw)
    return make_depthwise(&a, phases, <double>yb.size() * kh * kw, n, scratch_of(&a.image, m),
                          (xb, wb, bb, yb))


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
    a.tiles, a.x, a.y, a.w, a.gradient = tiles(), gb.rows(), xb.rows(), <const float *>wb.whole(), True
    a.image = make_border(oh, ow, oc, 0, 0, 0, 0)
    a.x_size, a.y_size, a.c, a.multiplier, a.x_step, a.splits = gb.row_size(), xb.row_size(), oc, m, oc, 1
    a.sums = ih * iw * oc if m > 1 else 0
    phases = []
    for py, rows, y_taps in phases_of(ih, oh, kh, strides[0], padding[0][0], dilation[0])[0]:
        for px, cols, x_taps in phases_of(iw, ow, kw, strides[1], padding[1][0], dilation[1])[0]:
            place = ((py * iw + px) * oc, strides[0] * iw * oc, strides[1] * oc)
            phases += regions(split(rows, 1, oh, y_taps), split(cols, 1, ow, x_taps), ow, oc, (1, 1), place, kw)
    return make_depthwise(&a, phases, <double>gb.size() * kh * kw, n,
                          a.sums * <Py_ssize_t>sizeof(float), (gb, wb, xb))


cdef Py_ssize_t scratch_of(const Border *b, Py_ssize_t multiplier):
    """Bytes that `widened` needs."""
    return border_bytes(b) if multiplier == 1 else b.ph * b.pw * b.c * <Py_ssize_t>sizeof(float)


# ---------------------------------------------------------------------------------------------------------------------
# weight gradient

ctypedef struct WeightGradient:
    dlc_depthwise_gradient t              # all but x, dy, dw and accumulate
    const dlc_tiles *tiles
    Ref x, dy
    float *dw
    Border border
    Py_ssize_t x_size, dy_size, dw_size, grain, multiplier


cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const WeightGradient *a = <const WeightGradient *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef dlc_depthwise_gradient t = a.t
    cdef Py_ssize_t i
    t.dw = a.dw + begin // a.grain * a.dw_size
    for i in range(end - begin):
        t.x = widened(&a.border, a.multiplier, a.tiles, x + i * a.x_size, <float *>slot, i == 0)
        t.dy, t.accumulate = dy + i * a.dy_size, i > 0
        a.tiles.depthwise_gradient(&t)


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
    cdef WeightGradient a
    n, ih, iw, c = xb.shape
    _, oh, ow, oc = gb.shape
    chunks, kh, kw, wc, m = wb.shape
    if wc != c:
        raise ValueError(f"depthwise_weight_gradient: dw {wb.shape} is not that of {c} channels")
    check_windows("depthwise_weight_gradient", xb.shape, (kh, kw, 1, c * m), gb.shape, strides, padding, dilation,
                  max(c, 1))
    if grain < 1 or chunks != ceildiv(n, grain):
        raise ValueError(f"depthwise_weight_gradient: dw has {chunks} chunks for {n} samples in chunks of {grain}")
    (top, bottom), (left, right) = padding
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.dy, a.dw = tiles(), xb.rows(), gb.rows(), <float *>wb.whole()
    a.border = make_border(ih, iw, oc, top, bottom, left, right)
    a.x_size, a.dy_size, a.dw_size = xb.row_size(), gb.row_size(), wb.row_size()
    a.grain, a.multiplier = grain, max(m, 1)
    pw = a.border.pw
    a.t.x_row, a.t.x_step, a.t.taps = strides[0] * pw * oc, strides[1] * oc, kh * kw
    a.t.rows, a.t.cols, a.t.c = oh, ow, oc
    storage = bytearray(kh * kw * sizeof(Py_ssize_t))
    cdef Py_ssize_t[::1] taps = memoryview(storage).cast("l")
    for ky in range(kh):
        for kx in range(kw):
            taps[<Py_ssize_t>(ky * kw + kx)] = (ky * dilation[0] * pw + kx * dilation[1]) * oc
    a.t.tap = &taps[0]
    return make_step(weight_gradient_leaf, &a, sizeof(a), n, <double>gb.size() * kh * kw,
                     scratch_of(&a.border, a.multiplier), (xb, gb, wb, taps), grain)
