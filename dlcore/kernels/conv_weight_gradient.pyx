# cython: language_level=3
"""Weight gradients of convolution: dw[ky, kx, i, o] = sum over samples n and pixels oy, ox of
x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] * dy[n, oy, ox, o], zero outside x.

A matrix product over pixels, by the tile `outer` (csrc/README.md). There are two ways to share it among threads:

- By samples: each chunk of samples has a partial sum of its own, to be added up later. The tile reads x where it lies.
- By rows of dw: a task sums its rows over the whole batch, in order. Nothing is added up later, but every task reads all
  of dy. Both operands are packed block by block.

The first is better where there are many pixels to few weights, as in the first layers of a network, the second where
there are few pixels to many weights, as in its last.

Of the first there is a second form for so few output channels that they would leave most lanes idle: pixels in the lanes,
by the tile `correlate`.
"""
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport array_of, check_windows, tile_rows
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport DLC_NR_MAX, dlc_correlate, dlc_outer, dlc_tiles, tiles

cdef Py_ssize_t BLOCK_PIXELS = 512      # that the tile adds up at a time: fewer, and loading and storing dw shows
cdef Py_ssize_t SINGLE_ROWS = 8         # of a tap, worth tiles of their own, which leave out what lies outside the image
cdef Py_ssize_t LANES_FLOATS = 1 << 14  # of both, with pixels in the lanes: no more than a few samples
cdef Py_ssize_t BLOCK_FLOATS = 1 << 16  # of x and dy under them: what stays in L2 besides dw


cdef tuple inside(offset, stride, size, pixels):
    """The output pixels low..high-1 whose stride * pixel + offset lies within size, of `pixels`."""
    low = min(max(-(offset // stride), 0), pixels)
    return low, max(low, min(-((offset - size) // stride), pixels))


# ---------------------------------------------------------------------------------------------------------------------
# by samples

ctypedef struct Run:                      # weight rows whose x are neighbours, and the pixels whose x lie inside the image
    Py_ssize_t a, b                       # x and dy of the first row and pixel, from where the segments begin
    Py_ssize_t kc                         # pixels in a segment
    Py_ssize_t taps                       # kernel row: segments first[taps][s] .. first[taps][s + 1] - 1 are within segment s

ctypedef struct BySamples:
    const dlc_tiles *tiles
    Ref x, dy
    float *dw                             # (chunks, kh*kw*icg, oc)
    Border border                         # none where runs are single taps
    Py_ssize_t x_size, a_size, dy_size, dw_size  # floats: a sample of x, of what the tile reads, of dy; a chunk of dw
    Py_ssize_t grain
    Py_ssize_t samples                    # to a block
    Py_ssize_t segments, block            # of a sample, and how many of them the tile adds up at a time
    Py_ssize_t kc, a_step                 # pixels in a segment, floats between those of x
    Py_ssize_t n, oc, icg
    Py_ssize_t x_segment                  # floats of x under a segment, or 0 where few of them are read
    Py_ssize_t runs, run_rows
    int groups
    bint packed                           # dy is copied first, to whole vectors
    const Run *run
    const Py_ssize_t *first               # (rows of the kernel, samples * segments + 1)
    const Py_ssize_t *a_segment
    const Py_ssize_t *b_segment
    const Py_ssize_t *panel_segment       # of dy when packed


cdef void by_samples_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const BySamples *a = <const BySamples *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef float *dw = a.dw + begin // a.grain * a.dw_size
    cdef const float *image
    cdef Py_ssize_t first, count, i, segment
    cdef bint copied = has_border(&a.border)
    first = 0
    while first < end - begin:
        count = min(a.samples, end - begin - first)
        image = x + first * a.x_size
        if copied:
            for i in range(count):
                bordered(&a.border, image + i * a.x_size, <float *>slot + i * a.a_size, first == 0)
            image = <const float *>slot
        segment = 0
        while segment < count * a.segments:
            add_block(a, image, dy + first * a.dy_size, segment, min(a.block, count * a.segments - segment), dw,
                      first + segment > 0, <float *>slot + (a.samples * a.a_size if copied else 0),
                      x + first * a.x_size + segment * a.x_segment + (count * a.x_size if copied else a.block * a.x_segment))
            segment += a.block
        first += count


cdef void add_block(const BySamples *a, const float *image, const float *dy, Py_ssize_t segment, Py_ssize_t segments,
                    float *dw, bint accumulate, float *panel, const float *x_next) noexcept nogil:
    """What the pixels of some segments add to dw. Meanwhile memory brings what comes next, as much of it."""
    cdef Py_ssize_t column, run, row, s, begin
    cdef Py_ssize_t dy_left = segments * a.kc * a.oc, x_left = segments * a.x_segment
    cdef const float *dy_next = dy + (segment + segments) * a.kc * a.oc
    cdef const Py_ssize_t *first
    cdef int group, rows
    cdef dlc_outer t
    memset(&t, 0, sizeof(t))
    t.a_step, t.b_step, t.c_step, t.accumulate = a.a_step, a.oc, a.oc, accumulate
    for group in range(a.groups):
        column = group * a.n
        while column < (group + 1) * a.n:
            t.n = <int>min((group + 1) * a.n - column, a.tiles.nr)
            if a.packed:
                a.tiles.copy_rows(dy + segment * a.kc * a.oc + column, a.oc, segments * a.kc, t.n, panel, a.tiles.nr)
                t.b_step = a.tiles.nr
            rows = tile_rows(a.run_rows, t.n, a.tiles)
            for run in range(a.runs):
                first = a.first + a.run[run].taps * (a.samples * a.segments + 1) + segment
                begin = first[0]
                t.segments, t.kc, t.a_segment = first[segments] - begin, a.run[run].kc, a.a_segment + begin
                if a.packed:
                    t.b = panel + (a.run[run].b - segment * a.kc) * a.tiles.nr
                    t.b_segment = a.panel_segment + begin
                else:
                    t.b, t.b_segment = dy + column + a.run[run].b * a.oc, a.b_segment + begin
                row = 0
                while row < a.run_rows:
                    t.m = <int>min(rows, a.run_rows - row)
                    t.a = image + a.run[run].a + group * a.icg + row
                    t.c = dw + (run * a.run_rows + row) * a.oc + column
                    t.next = t.c
                    if dy_left > 0:
                        t.next = dy_next
                        dy_next += t.segments * t.kc * 16
                        dy_left -= t.segments * t.kc * 16
                    elif x_left > 0:
                        t.next = x_next
                        x_next += t.segments * t.kc * 16
                        x_left -= t.segments * t.kc * 16
                    a.tiles.outer(&t)
                    row += rows
            column += t.n


def conv2d_weight_gradient(x, dy, dw, Py_ssize_t grain, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                           int groups=1):
    """dw[c][ky, kx, i, o] = sum over the samples n of chunk c and all oy, ox of
    x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] * dy[n, oy, ox, o]. One task per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        dy: (n, oh, ow, oc) float32.
        dw: (ceil(n / grain), kh, kw, ic / groups, oc), overwritten: one partial sum per chunk of `grain` samples, to be
            added up by `elementwise.reduce_chunks`. The step must run with this grain.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), wb = buffer(dw, "dw", "f", 5, True)
    cdef BySamples a
    n, ih, iw, ic = xb.shape
    _, oh, ow, oc = gb.shape
    chunks, kh, kw, icg = wb.shape[:4]
    check_windows("conv2d_weight_gradient", xb.shape, wb.shape[1:], gb.shape, strides, padding, dilation, groups)
    if grain < 1 or chunks != ceildiv(n, grain):
        raise ValueError(f"conv2d_weight_gradient: dw has {chunks} chunks for {n} samples in chunks of {grain}")
    if suits_lanes(ow, oc, strides, groups):
        return bind_lanes(xb, gb, wb, grain, padding, dilation)
    (top, bottom), (left, right) = padding
    a.tiles, a.x, a.dy, a.dw, a.grain, a.groups = tiles(), xb.rows(), gb.rows(), <float *>wb.whole(), grain, groups
    a.n, a.oc, a.icg, a.a_step = oc // groups, oc, icg, strides[1] * ic
    padded = top > 0 or bottom > 0 or left > 0 or right > 0
    single = groups > 1 or dilation[1] > 1 or (padded and icg >= SINGLE_ROWS)
    a.run_rows = icg if single else kw * icg
    if single:  # taps outside the image are left out
        a.border = make_border(ih, iw, ic, 0, 0, 0, 0)
    else:
        a.border = make_border(ih, iw, ic, top, bottom, left, right)
        top = left = 0
    a.x_size, a.dy_size, a.dw_size, a.a_size = xb.row_size(), gb.row_size(), wb.row_size(), a.border.ph * a.border.pw * ic
    row_step = strides[0] * a.border.pw * ic
    rows = 1  # of pixels that make one segment, where the image has them side by side
    if row_step == ow * a.a_step and not (single and padded):
        rows = max(r for r in range(1, oh + 1) if oh % r == 0 and (r == 1 or r * ow <= BLOCK_PIXELS))
    a.kc, a.segments = rows * ow, oh // rows
    a.x_segment = a.x_size // a.segments if kh >= strides[0] and kw >= strides[1] else 0
    a.packed = a.n % a.tiles.width != 0
    a.samples = min(grain, max(n, 1), max(1, BLOCK_PIXELS // (oh * ow)), max(1, BLOCK_FLOATS // (a.a_size + a.dy_size)))
    count = a.samples * a.segments
    a.block = ceildiv(count, ceildiv(count, max(1, BLOCK_PIXELS // a.kc)))  # of equal size
    runs, first, a_segment, b_segment = [], [], [], []
    for ky in range(kh):
        low, high = inside(ky * dilation[0] - top, strides[0], a.border.ph, oh)
        for s in range(count):
            first.append(len(b_segment))
            if low <= s % a.segments * rows < high:
                a_segment.append(s // a.segments * a.a_size + s % a.segments * rows * row_step
                                 + (ky * dilation[0] - top) * a.border.pw * ic)
                b_segment.append(s * a.kc)
        first.append(len(b_segment))
        for kx in range(kw if single else 1):
            low, high = inside(kx * dilation[1] - left, strides[1], a.border.pw, ow)
            runs += [(low * strides[1] + kx * dilation[1] - left) * ic, low, rows * ow - ow + high - low, ky]
    a.runs = len(runs) // 4
    cdef Py_ssize_t[::1] numbers = array_of(
        runs + first + a_segment + [s * oc for s in b_segment] + [s * a.tiles.nr for s in b_segment])
    a.run = <const Run *>&numbers[0]
    a.first = &numbers[0] + len(runs)
    a.a_segment = a.first + len(first)
    a.b_segment = a.a_segment + len(a_segment)
    a.panel_segment = a.b_segment + len(b_segment)
    scratch = a.samples * border_bytes(&a.border) + a.packed * a.block * a.kc * a.tiles.nr * sizeof(float)
    return make_step(by_samples_leaf, &a, sizeof(a), n, <double>gb.size() * kh * kw * icg, scratch, (xb, gb, wb, numbers),
                     grain)


# ---------------------------------------------------------------------------------------------------------------------
# by samples, with pixels in the lanes

ctypedef struct ByLanes:
    const dlc_tiles *tiles
    Ref x, dy
    float *dw
    Border border
    Py_ssize_t x_size, a_size, dy_size, dw_size, grain, samples   # as in BySamples
    Py_ssize_t ic, oc, oh, ow, lanes      # floats of a row of dy with its zeros
    Py_ssize_t borders, planes, sums      # in scratch: where the copies of x, the planes of dy and the sums begin
    dlc_correlate tile


cdef bint suits_lanes(ow, oc, strides, groups):
    """Whether pixels fill the lanes better than output channels do."""
    cdef Py_ssize_t width = tiles().width
    return groups == 1 and tuple(strides) == (1, 1) and 2 * oc * ceildiv(ow, width) <= ow


cdef void by_lanes_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const ByLanes *a = <const ByLanes *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const float *image
    cdef float *copies = <float *>slot + a.borders
    cdef float *planes = <float *>slot + a.planes
    cdef Py_ssize_t first = 0, count, i, row
    cdef dlc_correlate t = a.tile
    t.dy, t.sums = planes, <float *>slot + a.sums
    memset(planes, 0, a.oc * t.dy_plane * sizeof(float))
    while first < end - begin:
        count = min(a.samples, end - begin - first)
        t.x = x + first * a.x_size
        for i in range(count):
            if has_border(&a.border):
                image = bordered(&a.border, x + (first + i) * a.x_size, copies + (i * a.a_size if a.ic == 1 else 0),
                                 first == 0 and (i == 0 or a.ic == 1))
                t.x = copies
            else:
                image = x + (first + i) * a.x_size
            if a.ic > 1:
                a.tiles.transpose(image, a.ic, a.border.ph * a.border.pw, a.ic, <float *>slot + i * a.a_size,
                                  a.border.ph * a.border.pw)
                t.x = <const float *>slot
            for row in range(a.oh):
                a.tiles.transpose(dy + (first + i) * a.dy_size + row * a.ow * a.oc, a.oc, a.ow, a.oc,
                                  planes + (i * a.oh + row) * a.lanes, t.dy_plane)
        t.segments, t.accumulate = count * a.oh, first > 0
        first += count
        t.dw = a.dw + begin // a.grain * a.dw_size if first == end - begin else NULL
        a.tiles.correlate(&t)


cdef Step bind_lanes(Buffer xb, Buffer gb, Buffer wb, Py_ssize_t grain, padding, dilation):
    cdef ByLanes a
    cdef Py_ssize_t n, ih, iw, pixels
    n, ih, iw, a.ic = xb.shape
    _, a.oh, a.ow, a.oc = gb.shape
    _, kh, kw, _, _ = wb.shape
    (top, bottom), (left, right) = padding
    a.tiles, a.x, a.dy, a.dw, a.grain = tiles(), xb.rows(), gb.rows(), <float *>wb.whole(), grain
    a.border = make_border(ih, iw, a.ic, top, bottom, left, right)
    pixels = a.border.ph * a.border.pw
    a.x_size, a.dy_size, a.dw_size, a.a_size = xb.row_size(), gb.row_size(), wb.row_size(), pixels * a.ic
    a.lanes = ceildiv(a.ow, a.tiles.width) * a.tiles.width
    a.samples = min(grain, max(n, 1), max(1, LANES_FLOATS // (a.a_size + a.oh * a.lanes * a.oc)))
    cdef Py_ssize_t[::1] numbers = array_of(
        [i * a.a_size + row * a.border.pw for i in range(a.samples) for row in range(a.oh)]
        + [i * pixels + ky * dilation[0] * a.border.pw + kx * dilation[1]
           for ky in range(kh) for kx in range(kw) for i in range(a.ic)])
    memset(&a.tile, 0, sizeof(a.tile))
    a.tile.x_segment, a.tile.tap = &numbers[0], &numbers[0] + a.samples * a.oh
    a.tile.taps, a.tile.n = kh * kw * a.ic, a.oc
    a.tile.cols, a.tile.dy_segment, a.tile.dy_plane = a.ow, a.lanes, a.samples * a.oh * a.lanes
    a.borders = a.samples * a.a_size if a.ic > 1 else 0
    a.planes = a.borders + (border_bytes(&a.border) // sizeof(float)) * (1 if a.ic > 1 else a.samples)
    a.sums = a.planes + a.oc * a.tile.dy_plane
    scratch = (a.sums + a.tile.taps * a.oc * a.tiles.width) * sizeof(float)
    return make_step(by_lanes_leaf, &a, sizeof(a), n, <double>gb.size() * kh * kw * a.ic, scratch, (xb, gb, wb, numbers),
                     grain)


# ---------------------------------------------------------------------------------------------------------------------
# by rows of dw

ctypedef struct ByRows:
    const dlc_tiles *tiles
    const float *x
    const float *dy
    float *dw                             # (kh*kw*icg, oc)
    Py_ssize_t rows, n, oc, ic, icg, kw
    Py_ssize_t ih, iw, oh, ow, pixels     # of dy, all samples
    Py_ssize_t sh, sw, dh, dw_, top, left
    int groups

cdef float[DLC_NR_MAX] ZEROS
cdef Py_ssize_t ZERO = 0                  # the one segment of packed operands

cdef Py_ssize_t KC = 128                  # pixels that are packed at a time: a panel of x and one of dy share L1

# Rows of dw that read a panel of dy while it is there: more, and rows of 4 KB are on more pages than a TLB holds.
SHARING_ROWS = 64
cdef Py_ssize_t SHARING = SHARING_ROWS


def weight_rows():
    """Rows of dw per task of `conv2d_batch_weight_gradient`, with the instruction set in use."""
    return tiles().nr


cdef void by_rows_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const ByRows *a = <const ByRows *>args
    cdef Py_ssize_t first, group, strips = SHARING // a.tiles.nr
    for group in range(a.groups):
        first = begin
        while first < end:
            add_strips(a, group, first, min(end - first, strips), <float *>slot)
            first += strips


cdef void add_strips(const ByRows *a, Py_ssize_t group, Py_ssize_t first, Py_ssize_t strips, float *scratch) noexcept nogil:
    """Some strips of nr rows of dw, in the columns of one group."""
    cdef Py_ssize_t nr = a.tiles.nr, pixel = 0, column, strip, row, rows
    cdef float *panel = scratch + SHARING * KC
    cdef int most
    cdef dlc_outer t
    memset(&t, 0, sizeof(t))
    t.a_segment, t.b_segment, t.segments = &ZERO, &ZERO, 1
    t.a_step, t.b_step, t.c_step, t.b, t.next = nr, nr, a.oc, panel, panel
    while True:  # once even for no pixels: the sum is then zero
        t.kc, t.accumulate = min(KC, a.pixels - pixel), pixel > 0
        for strip in range(strips):
            gather_strip(a, group, (first + strip) * nr, pixel, t.kc, scratch + strip * KC * nr)
        column = group * a.n
        while column < (group + 1) * a.n:
            t.n = <int>min((group + 1) * a.n - column, nr)
            a.tiles.copy_rows(a.dy + pixel * a.oc + column, a.oc, t.kc, t.n, panel, nr)
            for strip in range(strips):
                rows = min(nr, a.rows - (first + strip) * nr)
                most = tile_rows(rows, t.n, a.tiles)
                row = 0
                while row < rows:
                    t.m = <int>min(most, rows - row)
                    t.a = scratch + strip * KC * nr + row
                    t.c = a.dw + ((first + strip) * nr + row) * a.oc + column
                    a.tiles.outer(&t)
                    row += most
            column += t.n
        pixel += t.kc
        if pixel >= a.pixels:
            break


cdef void gather_strip(const ByRows *a, Py_ssize_t group, Py_ssize_t first, Py_ssize_t pixel, Py_ssize_t kc,
                       float *strip) noexcept nogil:
    """strip[k][j] = what row first + j of dw multiplies with pixel + k of dy, j < nr."""
    cdef Py_ssize_t nr = a.tiles.nr, rows = min(nr, a.rows - first), j = 0, tap, i, count, k, line, ox, iy, x0, low, high
    cdef Py_ssize_t start, stop
    cdef float *to
    while j < rows:
        tap, i = (first + j) // a.icg, (first + j) % a.icg
        count = min(a.icg - i, rows - j)
        x0 = tap % a.kw * a.dw_ - a.left  # where the tap of output pixel 0 lies; it is inside for low <= ox < high
        low = ceildiv(-x0, a.sw) if x0 < 0 else 0
        high = ceildiv(a.iw - x0, a.sw) if x0 < a.iw else 0
        k = 0
        while k < kc:
            line, ox = (pixel + k) // a.ow, (pixel + k) % a.ow
            iy = line % a.oh * a.sh + tap // a.kw * a.dh - a.top
            stop = min(a.ow, ox + kc - k)
            to = strip + k * nr + j
            k += stop - ox
            start = stop if iy < 0 or iy >= a.ih else min(max(low, ox), stop)
            a.tiles.copy_rows(ZEROS, 0, start - ox, count, to, nr)
            to += (start - ox) * nr
            ox = max(start, min(high, stop))
            a.tiles.copy_rows(a.x + ((line // a.oh * a.ih + iy) * a.iw + start * a.sw + x0) * a.ic + group * a.icg + i,
                              a.sw * a.ic, ox - start, count, to, nr)
            a.tiles.copy_rows(ZEROS, 0, stop - ox, count, to + (ox - start) * nr, nr)
        j += count


def conv2d_batch_weight_gradient(x, dy, dw, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), int groups=1):
    """dw[ky, kx, i, o] = sum over all n, oy, ox of
    x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] * dy[n, oy, ox, o], in this order. One task per `weight_rows()` rows
    (ky, kx, i) of dw; needs the whole batch.

    Args:
        x: (n, ih, iw, ic) float32.
        dy: (n, oh, ow, oc) float32.
        dw: (kh, kw, ic / groups, oc), overwritten.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), wb = buffer(dw, "dw", "f", 4, True)
    cdef ByRows a
    n, a.ih, a.iw, a.ic = xb.shape
    _, a.oh, a.ow, a.oc = gb.shape
    kh, a.kw, a.icg, _ = wb.shape
    check_windows("conv2d_batch_weight_gradient", xb.shape, wb.shape, gb.shape, strides, padding, dilation, groups)
    a.tiles, a.x, a.dy, a.dw = tiles(), <const float *>xb.whole(), <const float *>gb.whole(), <float *>wb.whole()
    a.rows, a.n, a.groups, a.pixels = kh * a.kw * a.icg, a.oc // groups, groups, n * a.oh * a.ow
    (a.sh, a.sw), (a.dh, a.dw_), ((a.top, _), (a.left, _)) = strides, dilation, padding
    if a.rows == a.icg and a.pixels == n * a.ih * a.iw and a.sh == a.sw == 1:  # plain matrices: one row of pixels
        a.oh = a.ih = 1
        a.ow = a.iw = a.pixels
    scratch = (SHARING + a.tiles.nr) * KC * sizeof(float)
    return make_step(by_rows_leaf, &a, sizeof(a), ceildiv(a.rows, a.tiles.nr), <double>gb.size() * a.rows, scratch,
                     (xb, gb, wb))
