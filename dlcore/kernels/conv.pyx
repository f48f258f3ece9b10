# cython: language_level=3
"""Convolution in NHWC: forward and input gradient for any kernel, stride, dilation, groups and padding.

Both are the same register tile fed by pointers into the image (im2col in its implicit form): a row of the tile is a
pixel, a segment of its sum is a tap. Padding is a zeroed border around a copy of one sample in the thread's scratch, so
that no tap needs a test; without padding the sample is used where it lies. With padding it is so, too, for the pixels
whose windows do not touch the border, where these are most; then only what the others see is copied.

The input gradient is a convolution of dy with the transposed kernel. A stride spreads its taps over sh*sw phases: input
pixels with the same (y mod sh, x mod sw) see the same taps at the same offsets, and taps that miss dy are never visited.
"""
from libc.string cimport memcpy, memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, clear_border, copy_rows, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport check_windows, phases_of, positions
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_gemm, dlc_tiles, tiles

cdef enum:
    SET = 1024  # floats from line to line of a set of L1: pixels so far apart push each other out,
    FEW = 8     # unless these are all of a tile
    ALL, FRAME, INNER    # pixels: those whose windows touch the border, and the others
    TILE = 12   # pixels that fill a register tile, or nearly so
    ROWS = 336  # pixels whose pointers are set up together and then used for every panel of output channels: whole tiles

# Rows of a panel that all those pixels meet before the next ones: 192 KB with the widest tile, to stay in L2.
cdef Py_ssize_t PASS = 1536
cdef Py_ssize_t BORDER_BYTES = 1 << 17    # of copies with a border that are made together
cdef Py_ssize_t SPLIT_WEIGHTS = 1 << 19   # bytes of weights up to which each block of pixels of a sample reads them all


# ---------------------------------------------------------------------------------------------------------------------
# forward and input gradient

# A grid of pixels of c, all with the same taps.
ctypedef struct Phase:
    Py_ssize_t rows, cols
    Py_ssize_t a_origin, a_row, a_col     # floats
    Py_ssize_t c_origin, c_row, c_col
    Py_ssize_t low, high                  # what the taps add to a pixel's place, from the first float to past the last
    Py_ssize_t segments
    const Py_ssize_t *a_segment
    const Py_ssize_t *b_segment
    Py_ssize_t top, bottom, left, right   # pixels whose windows do not touch the border: rows and columns
    Py_ssize_t x_row                      # what these read in the image without a border
    const Py_ssize_t *x_segment

ctypedef struct Pixels:
    Py_ssize_t count
    const float *source[ROWS]
    float *target[ROWS]

ctypedef struct Conv:
    const dlc_tiles *tiles
    Ref x, y, residual
    const float *packed
    const float *b
    Border border
    Py_ssize_t x_size, y_size             # floats in a sample
    Py_ssize_t image_size                 # in a sample as the taps see it
    Py_ssize_t together                   # samples whose pixels may share a tile
    Py_ssize_t splits, panel_splits       # tasks of a sample: blocks of pixels times blocks of panels
    Py_ssize_t k, kc, n, panels           # of one group: rows of packed, of one segment, output channels
    Py_ssize_t pass_segments
    Py_ssize_t a_group                    # input channels of one group
    int groups, activation, phases
    bint adds                             # the residual
    bint inner                            # worth the while: only what the others see is copied
    Py_ssize_t seen_top, seen_bottom      # rows of the copy that they see all of: above and from on
    Py_ssize_t seen_left, seen_right      # floats of the rows between, likewise
    Phase phase[1]                        # as many as there are, segments after them

# What of the samples, and of each of their phases, is computed.
ctypedef struct Part:
    Py_ssize_t samples, block, blocks     # one block of pixels, of so many
    Py_ssize_t first_panel, last_panel
    const float *add                      # of the residual and of y: the first of these samples
    const float *origin

cdef inline Py_ssize_t block_begin(Py_ssize_t pixels, Py_ssize_t block, Py_ssize_t blocks) noexcept nogil:
    return pixels * block // blocks

cdef void conv_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Conv *a = <const Conv *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef const float *residual = <const float *>at(&a.residual, begin, slot) if a.adds else NULL
    cdef const float *image
    cdef Py_ssize_t first = 0, i
    cdef Part part
    part.block, part.blocks, part.first_panel, part.last_panel = 0, 1, 0, a.panels
    while first < end - begin:
        part.samples = min(a.together, end - begin - first)
        image = x + first * a.x_size
        part.add, part.origin = residual + first * a.y_size if a.adds else NULL, y + first * a.y_size
        if has_border(&a.border):
            for i in range(part.samples):
                if a.inner:
                    copy_frame(a, image + i * a.x_size, <float *>slot + i * a.image_size, first == 0)
                else:
                    bordered(&a.border, image + i * a.x_size, <float *>slot + i * a.image_size, first == 0)
            if a.inner:
                conv_part(a, &part, INNER, image, y + first * a.y_size)
            image = <const float *>slot
        conv_part(a, &part, FRAME if a.inner else ALL, image, y + first * a.y_size)
        first += part.samples


cdef void copy_frame(const Conv *a, const float *x, float *copy, bint clear) noexcept nogil:
    """What pixels see whose windows touch the border."""
    cdef const Border *b = &a.border
    cdef Py_ssize_t y, row = b.pw * b.c, width = b.w * b.c, left = b.left * b.c
    cdef Py_ssize_t near = max(a.seen_left - left, 0), far = min(max(a.seen_right - left, near), width)
    if clear:
        clear_border(b, copy)
    copy_rows(b, x, copy, 0, a.seen_top, False)
    for y in range(max(a.seen_top, b.top), min(a.seen_bottom, b.top + b.h)):
        memcpy(copy + y * row + left, x + (y - b.top) * width, near * sizeof(float))
        memcpy(copy + y * row + left + far, x + (y - b.top) * width + far, (width - far) * sizeof(float))
    copy_rows(b, x, copy, a.seen_bottom, b.ph, False)


cdef void split_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    """A task is a block of pixels and panels of a sample."""
    cdef const Conv *a = <const Conv *>args
    cdef const float *image
    cdef float *y
    cdef Py_ssize_t task, low, high, width = a.border.pw * a.border.c
    cdef Part part
    for task in range(begin, end):
        part.samples, part.blocks = 1, a.splits // a.panel_splits
        part.block = task % part.blocks
        part.first_panel = a.panels * (task // part.blocks % a.panel_splits) // a.panel_splits
        part.last_panel = a.panels * (task // part.blocks % a.panel_splits + 1) // a.panel_splits
        image = <const float *>at(&a.x, task // a.splits, slot)
        if has_border(&a.border):
            reach(a, &part, &low, &high)
            if low < high:
                copy_rows(&a.border, image, <float *>slot, low // width, ceildiv(high, width), True)
            image = <const float *>slot
        y = <float *>at(&a.y, task // a.splits, slot)
        part.add = <const float *>at(&a.residual, task // a.splits, slot) if a.adds else NULL
        part.origin = y
        conv_part(a, &part, ALL, image, y)


cdef void reach(const Conv *a, const Part *part, Py_ssize_t *low, Py_ssize_t *high) noexcept nogil:
    """The floats of an image that a part sees lie between low and high."""
    cdef Py_ssize_t first, last
    cdef const Phase *p
    cdef int i
    low[0], high[0] = a.image_size, 0
    for i in range(a.phases):
        p = &a.phase[i]
        first = block_begin(p.rows * p.cols, part.block, part.blocks)
        last = block_begin(p.rows * p.cols, part.block + 1, part.blocks)
        if first < last and p.segments > 0:  # whole rows
            low[0] = min(low[0], p.a_origin + first // p.cols * p.a_row + p.low)
            high[0] = max(high[0], p.a_origin + (last - 1) // p.cols * p.a_row + (p.cols - 1) * p.a_col + p.high)


cdef void conv_part(const Conv *a, const Part *part, int which, const float *image, float *y) noexcept nogil:
    cdef int group, p
    for group in range(a.groups):
        for p in range(a.phases):
            conv_phase(a, &a.phase[p], part, which, group, image + group * a.a_group, y + group * a.n)


cdef void conv_phase(const Conv *a, const Phase *p, const Part *part, int which, int group, const float *image,
                     float *y) noexcept nogil:
    cdef Pixels list
    cdef Py_ssize_t pixels = p.rows * p.cols, first = block_begin(pixels, part.block, part.blocks)
    cdef Py_ssize_t last = block_begin(pixels, part.block + 1, part.blocks), sample, row, low, high
    cdef bint inside
    list.count = 0
    for sample in range(part.samples if first < last else 0):
        for row in range(first // p.cols, (last - 1) // p.cols + 1):
            low, high = max(first - row * p.cols, 0), min(last - row * p.cols, p.cols)
            inside = p.top <= row < p.bottom
            if which == ALL or which == FRAME and not inside:
                add_pixels(a, p, part, which, group, &list, image, y, sample, row, low, high)
            elif which == INNER and inside:
                add_pixels(a, p, part, which, group, &list, image, y, sample, row, p.left, p.right)
            elif which == FRAME:
                add_pixels(a, p, part, which, group, &list, image, y, sample, row, 0, p.left)
                add_pixels(a, p, part, which, group, &list, image, y, sample, row, p.right, p.cols)
    if list.count:
        conv_rows(a, p, part, which, group, &list)


cdef void add_pixels(const Conv *a, const Phase *p, const Part *part, int which, int group, Pixels *list,
                     const float *image, float *y, Py_ssize_t sample, Py_ssize_t row, Py_ssize_t low,
                     Py_ssize_t high) noexcept nogil:
    """Pixels low..high-1 of a row."""
    cdef const float *source = image + low * p.a_col
    cdef float *target = y + sample * a.y_size + p.c_origin + row * p.c_row + low * p.c_col
    cdef Py_ssize_t run, r
    if which == INNER:
        source += sample * a.x_size + row * p.x_row
    else:
        source += sample * a.image_size + p.a_origin + row * p.a_row
    while low < high:
        run = min(high - low, ROWS - list.count)
        for r in range(run):
            list.source[list.count + r] = source + r * p.a_col
            list.target[list.count + r] = target + r * p.c_col
        list.count += run
        low, source, target = low + run, source + run * p.a_col, target + run * p.c_col
        if list.count == ROWS:
            conv_rows(a, p, part, which, group, list)
            list.count = 0


cdef void conv_rows(const Conv *a, const Phase *p, const Part *part, int which, int group, Pixels *list) noexcept nogil:
    """Panel by panel, so that a panel's weights meet all pixels while they are in cache."""
    cdef dlc_gemm t
    cdef Py_ssize_t panel, segment, r, count = list.count, most = count if p.a_col % SET else FEW
    cdef const Py_ssize_t *a_segment = p.x_segment if which == INNER else p.a_segment
    cdef int nr = a.tiles.nr
    cdef bint done
    cdef const float *bias
    memset(&t, 0, sizeof(t))
    t.kc, t.origin = a.kc, part.origin
    for r in range(count if part.first_panel > 0 else 0):
        list.target[r] += part.first_panel * nr
    for panel in range(part.first_panel, part.last_panel):
        t.n = <int>min(a.n - panel * nr, nr)
        t.b = a.packed + (group * a.panels + panel) * a.k * nr
        bias = a.b + group * a.n + panel * nr if a.b != NULL else NULL
        segment = 0
        done = False
        while not done:  # once even where no tap meets a pixel
            t.a_segment, t.b_segment = a_segment + segment, p.b_segment + segment
            t.segments = min(a.pass_segments, p.segments - segment)
            t.accumulate = segment > 0
            segment += t.segments
            done = segment == p.segments
            t.bias = bias if done else NULL
            t.add = part.add if done else NULL
            t.activation = a.activation if done else 0
            r = 0
            while r < count:
                t.a, t.c, t.m = list.source + r, list.target + r, min(most, count - r)
                a.tiles.gemm(&t)
                r += t.m
        for r in range(count):
            list.target[r] += nr


cdef Py_ssize_t unpadded(const Border *b, Py_ssize_t place):
    """The float of an image at a place of its copy with a border."""
    return (place // (b.pw * b.c) - b.top) * b.w * b.c + place % (b.pw * b.c) - b.left * b.c


cdef void find_inner(Conv *a, list taps):
    """The pixels whose windows do not touch the border, and what the others see; `taps`: of each phase (a_origin, taps)."""
    cdef const Border *b = &a.border
    cdef Phase *p
    cdef Py_ssize_t row = b.pw * b.c, inner = 0, pixels = 0, reach = a.kc + (a.groups - 1) * a.a_group
    a.seen_bottom, a.seen_right = b.ph, row
    for i, (origin, tap) in enumerate(taps):
        p = &a.phase[<Py_ssize_t>i]
        p.x_row = p.a_row // row * b.w * b.c
        pixels += p.rows * p.cols
        if not tap:
            continue
        ys, xs = [(origin + place) // row for place, _ in tap], [(origin + place) % row for place, _ in tap]
        step, low, high = p.a_row // row, min(ys), max(ys)
        p.top = min(max(ceildiv(b.top - low, step), 0), p.rows)
        p.bottom = max(min((b.top + b.h - 1 - high) // step + 1, p.rows), p.top)
        first, past = min(xs), max(xs) + reach
        p.left = min(max(ceildiv(b.left * b.c - first, p.a_col), 0), p.cols)
        p.right = max(min(((b.left + b.w) * b.c - past) // p.a_col + 1, p.cols), p.left)
        inner += (p.bottom - p.top) * (p.right - p.left)
        if p.top > 0:
            a.seen_top = max(a.seen_top, high + (p.top - 1) * step + 1)
        if p.bottom < p.rows:
            a.seen_bottom = min(a.seen_bottom, low + p.bottom * step)
        if p.left > 0:
            a.seen_left = max(a.seen_left, past + (p.left - 1) * p.a_col)
        if p.right < p.cols:
            a.seen_right = min(a.seen_right, first + p.right * p.a_col)
    a.seen_bottom = max(a.seen_bottom, a.seen_top)
    a.inner = 2 * inner >= pixels


cdef Step make_conv(Conv *head, list phases, double work, Py_ssize_t n, Py_ssize_t splits, str what, object keep):
    """Conv with its phases and their segment lists in one block; a phase is (rows, cols, a_origin, a_row, a_col,
    c_origin, c_row, c_col, [(a_segment, b_segment), ...])."""
    cdef Py_ssize_t segments, used = 0, i, pixels = max(1, min([rows * cols for rows, cols, *_ in phases])), parts
    cdef size_t phases_size = sizeof(Conv) + (len(phases) - 1) * sizeof(Phase)
    cdef Conv *a
    cdef Py_ssize_t *segment
    # as many equal cuts of a segment as it takes for one to fit a pass
    parts = next((i for i in range(ceildiv(head.kc, PASS), head.kc // 64 + 1) if head.kc % i == 0), 1)
    head.kc //= parts
    head.pass_segments = max(1, PASS // head.kc)
    phases = [(*phase[:8], [(a_offset + i * head.kc, b_offset + i * head.kc * head.tiles.nr)
                            for a_offset, b_offset in phase[8] for i in range(parts)]) for phase in phases]
    segments = sum([len(phase[8]) for phase in phases])
    # the segment lists are pointed at from the phases, so they need an address of their own that lives with the step
    storage = bytearray(max(3 * segments, 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t[::1] lists = memoryview(storage).cast("l")
    block = bytearray(phases_size)
    cdef unsigned char[::1] view = block
    a = <Conv *>&view[0]
    a[0] = head[0]
    a.phases = len(phases)
    for i, (rows, cols, a_origin, a_row, a_col, c_origin, c_row, c_col, taps) in enumerate(phases):
        a.phase[i].rows, a.phase[i].cols = rows, cols
        a.phase[i].a_origin, a.phase[i].a_row, a.phase[i].a_col = a_origin, a_row, a_col
        a.phase[i].c_origin, a.phase[i].c_row, a.phase[i].c_col = c_origin, c_row, c_col
        a.phase[i].low = min([tap[0] for tap in taps], default=0)
        a.phase[i].high = max([tap[0] for tap in taps], default=0) + a.kc + (a.groups - 1) * a.a_group
        a.phase[i].segments = len(taps)
        segment = &lists[0] + used
        a.phase[i].a_segment, a.phase[i].b_segment = segment, segment + len(taps)
        a.phase[i].x_segment = segment + 2 * len(taps)
        for j, (a_offset, b_offset) in enumerate(taps):
            segment[<Py_ssize_t>j] = a_offset
            segment[<Py_ssize_t>(j + len(taps))] = b_offset
            segment[<Py_ssize_t>(j + 2 * len(taps))] = unpadded(&a.border, a_origin + a_offset)
        used += 3 * len(taps)
    if has_border(&a.border):
        find_inner(a, [(phase[2], phase[8]) for phase in phases])
    a.image_size, a.together = a.x_size, max(n, 1)
    if has_border(&a.border):
        a.image_size = a.border.ph * a.border.pw * a.border.c
        a.together = max(1, min(ceildiv(ROWS, pixels), n, BORDER_BYTES // border_bytes(&a.border)))
    if splits < 1 or splits > 1 and (a.x.base == NULL or a.y.base == NULL or a.adds and a.residual.base == NULL):
        raise ValueError(f"{what}: expected splits of 1 or more, and of 1 on slab tensors. Received: {splits}")
    a.splits, a.panel_splits = splits, 1
    if a.groups * a.k * a.n * <Py_ssize_t>sizeof(float) > SPLIT_WEIGHTS or pixels < splits * TILE:
        a.panel_splits = max([i for i in range(1, splits + 1) if splits % i == 0 and i <= a.panels])
    return make_step(conv_leaf if splits == 1 else split_leaf, a, phases_size, n * splits, work,
                     a.together * border_bytes(&a.border), (keep, lists))


def output_size(size, kernel, stride, before, after, dilation):
    """Output positions of a window along one axis; 0 or less when it does not fit once."""
    return positions(size, kernel, stride, before, after, dilation)


def check(what, x, w, y, strides, padding, dilation, groups):
    """Shapes of one convolution, all known: raises ValueError where they do not fit together."""
    check_windows(what, x, w, y, strides, padding, dilation, groups)


def conv2d_forward(x, packed, b, y, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), int groups=1,
                   int activation=0, Py_ssize_t splits=1, residual=None):
    """y[n, oy, ox, o] = act(b[o] + sum over ky, kx, i of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i]
    * w[ky, kx, i, o] + residual[n, oy, ox, o]), zero outside x; with groups, o sums only over its own group's i. `splits` tasks per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        packed: `dense.pack(w, groups=groups)` of w (kh, kw, ic / groups, oc).
        b: (oc,) float32 or None.
        y: (n, oh, ow, oc), overwritten.
        kernel: (kh, kw).
        padding: ((top, bottom), (left, right)).
        splits: tasks per sample: more than one needs tensors of the whole batch. The bits are the same for any.
        residual: of y's shape, apart from y, or None.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), pb = buffer(packed, "packed", "f", 4), yb = buffer(y, "y", "f", 4, True)
    cdef Buffer bb = None, rb = None if residual is None else buffer(residual, "residual", "f", 4)
    cdef Conv a
    n, ih, iw, ic = xb.shape
    oh, ow, oc = yb.shape[1:]
    kh, kw = kernel
    icg = ic // groups if groups > 0 else 0
    check_windows("conv2d_forward", xb.shape, (kh, kw, icg, oc), yb.shape, strides, padding, dilation, groups)
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.y, a.packed = tiles(), xb.rows(), yb.rows(), <const float *>pb.whole()
    a.n, a.k, a.groups, a.activation, a.a_group = oc // groups, kh * kw * icg, groups, activation, icg
    a.panels = ceildiv(a.n, a.tiles.nr)
    if pb.shape != (groups, a.panels, a.k, a.tiles.nr):
        raise ValueError(f"conv2d_forward: packed {pb.shape} is not that of w {(kh, kw, icg, oc)} in {groups} groups")
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != oc:
            raise ValueError(f"conv2d_forward: expected b of shape ({oc},). Received: {bb.shape}")
        a.b = <const float *>bb.whole()
    if rb is not None:
        if rb.shape != yb.shape:
            raise ValueError(f"conv2d_forward: expected residual of shape {yb.shape}. Received: {rb.shape}")
        a.residual, a.adds = rb.rows(), True
    (top, bottom), (left, right) = padding
    a.border = make_border(ih, iw, ic, top, bottom, left, right)
    a.x_size, a.y_size = xb.row_size(), yb.row_size()
    pw = a.border.pw
    if groups == 1 and dilation[1] == 1:  # the taps of a kernel row lie side by side in the image
        a.kc = kw * ic
        taps = [(ky * dilation[0] * pw * ic, ky * a.kc * a.tiles.nr) for ky in range(kh)]
    else:
        a.kc = icg
        taps = [((ky * dilation[0] * pw + kx * dilation[1]) * ic, (ky * kw + kx) * icg * a.tiles.nr)
                for ky in range(kh) for kx in range(kw)]
    phase = (oh, ow, 0, strides[0] * pw * ic, strides[1] * ic, 0, ow * oc, oc, taps)
    return make_conv(&a, [phase], <double>yb.size() * a.k, n, splits, "conv2d_forward", (xb, pb, bb, yb, rb))


def conv2d_input_gradient(dy, packed, dx, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                          int groups=1, b=None, int activation=0, Py_ssize_t splits=1):
    """dx[n, iy, ix, i] = act(b[i] + sum of dy[n, oy, ox, o] * w[ky, kx, i, o] over all o and all (oy, ky) with
    oy*sh + ky*dh - top = iy, (ox, kx) likewise). `splits` tasks per sample, as in `conv2d_forward`. With bias and
    activation it is the transposed convolution, whose input is dy.

    Args:
        dy: (n, oh, ow, oc) float32.
        packed: `dense.pack(w, transpose=True, groups=groups)` of w (kh, kw, ic / groups, oc).
        dx: (n, ih, iw, ic), overwritten.
        b: (ic,) float32 or None.
    """
    cdef Buffer gb = buffer(dy, "dy", "f", 4), pb = buffer(packed, "packed", "f", 4), xb = buffer(dx, "dx", "f", 4, True)
    cdef Buffer bb = None
    cdef Conv a
    n, ih, iw, ic = xb.shape
    oh, ow, oc = gb.shape[1:]
    kh, kw = kernel
    icg = ic // groups if groups > 0 else 0
    check_windows("conv2d_input_gradient", xb.shape, (kh, kw, icg, oc), gb.shape, strides, padding, dilation, groups)
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.y, a.packed = tiles(), gb.rows(), xb.rows(), <const float *>pb.whole()
    a.a_group = a.kc = ocg = oc // groups
    a.n, a.k, a.groups, a.activation = icg, kh * kw * ocg, groups, activation
    a.panels = ceildiv(a.n, a.tiles.nr)
    if pb.shape != (groups, a.panels, a.k, a.tiles.nr):
        raise ValueError(f"conv2d_input_gradient: packed {pb.shape} is not the transpose of w {(kh, kw, icg, oc)} in "
                         f"{groups} groups")
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != ic:
            raise ValueError(f"conv2d_input_gradient: expected b of shape ({ic},). Received: {bb.shape}")
        a.b = <const float *>bb.whole()
    ys, top, bottom = phases_of(ih, oh, kh, strides[0], padding[0][0], dilation[0])
    xs, left, right = phases_of(iw, ow, kw, strides[1], padding[1][0], dilation[1])
    a.border = make_border(oh, ow, oc, top, bottom, left, right)
    a.x_size, a.y_size = gb.row_size(), xb.row_size()
    pw = a.border.pw
    phases = []
    for py, rows, y_taps in ys:
        for px, cols, x_taps in xs:
            taps = [((oy * pw + ox) * oc, (ky * kw + kx) * ocg * a.tiles.nr)
                    for ky, oy in y_taps for kx, ox in x_taps]
            phases.append((rows, cols, (top * pw + left) * oc, pw * oc, oc,
                           (py * iw + px) * ic, strides[0] * iw * ic, strides[1] * ic, taps))
    return make_conv(&a, phases, <double>gb.size() * kh * kw * icg, n, splits, "conv2d_input_gradient",
                     (gb, pb, bb, xb))
