# cython: language_level=3
"""Convolution in NHWC: forward and input gradient for any kernel, stride, dilation, groups and padding.

Both are the same register tile fed by pointers into the image (im2col in its implicit form): a row of the tile is a
pixel, a segment of its sum is a tap. Pixels whose windows touch the border are told apart by the taps that meet the image,
where they are few. Else padding is a zeroed border around a copy of one sample in the thread's scratch, so that no tap
needs a test.

The input gradient is a convolution of dy with the transposed kernel. A stride spreads its taps over sh*sw phases: input
pixels with the same (y mod sh, x mod sw) see the same taps at the same offsets, and taps that miss dy are never visited.
"""
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, copy_rows, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport check_windows, phases_of, positions
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_gemm, dlc_tiles, tiles

cdef enum:
    SET = 1024  # floats from line to line of a set of L1: pixels so far apart push each other out,
    FEW = 8     # unless these are all of a tile
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
    Py_ssize_t segments, kc, pass_segments
    const Py_ssize_t *a_segment
    const Py_ssize_t *b_segment

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
    Py_ssize_t k, n, panels               # of one group: rows of packed, output channels
    Py_ssize_t a_group                    # input channels of one group
    int groups, activation, phases
    bint adds                             # the residual
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
        if has_border(&a.border):
            image = <const float *>slot
            for i in range(part.samples):
                bordered(&a.border, x + (first + i) * a.x_size, <float *>slot + i * a.image_size, first == 0)
        part.add, part.origin = residual + first * a.y_size if a.adds else NULL, y + first * a.y_size
        conv_part(a, &part, image, y + first * a.y_size)
        first += part.samples


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
        conv_part(a, &part, image, y)


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


cdef void conv_part(const Conv *a, const Part *part, const float *image, float *y) noexcept nogil:
    cdef int group, p
    for group in range(a.groups):
        for p in range(a.phases):
            conv_phase(a, &a.phase[p], part, group, image + group * a.a_group, y + group * a.n)


cdef void conv_phase(const Conv *a, const Phase *p, const Part *part, int group, const float *image,
                     float *y) noexcept nogil:
    cdef const float *source[ROWS]
    cdef float *target[ROWS]
    cdef Py_ssize_t pixels = p.rows * p.cols, first = block_begin(pixels, part.block, part.blocks)
    cdef Py_ssize_t left = part.samples * (block_begin(pixels, part.block + 1, part.blocks) - first)
    cdef Py_ssize_t sample = 0, row = first // p.cols if left > 0 else 0, col = first - row * p.cols, count, run, r
    cdef const float *from_
    cdef float *to
    while left > 0:
        count = 0
        while count < ROWS and left > 0:
            from_ = image + sample * a.image_size + p.a_origin + row * p.a_row + col * p.a_col
            to = y + sample * a.y_size + p.c_origin + row * p.c_row + col * p.c_col
            run = min(p.cols - col, min(ROWS - count, left))
            for r in range(run):
                source[count + r] = from_ + r * p.a_col
                target[count + r] = to + r * p.c_col
            count += run
            left -= run
            col += run
            if col == p.cols:
                col = 0
                row += 1
                if row == p.rows:
                    row = 0
                    sample += 1
        conv_rows(a, p, part, group, source, target, count)


cdef void conv_rows(const Conv *a, const Phase *p, const Part *part, int group, const float **source, float **target,
                    Py_ssize_t count) noexcept nogil:
    """`count` pixels, panel by panel, so that a panel's weights meet all of them while they are in cache."""
    cdef dlc_gemm t
    cdef Py_ssize_t panel, segment, r, most = count if p.a_col % SET else FEW
    cdef int nr = a.tiles.nr
    cdef bint done
    cdef const float *bias
    memset(&t, 0, sizeof(t))
    t.kc, t.origin = p.kc, part.origin
    for r in range(count if part.first_panel > 0 else 0):
        target[r] += part.first_panel * nr
    for panel in range(part.first_panel, part.last_panel):
        t.n = <int>min(a.n - panel * nr, nr)
        t.b = a.packed + (group * a.panels + panel) * a.k * nr
        bias = a.b + group * a.n + panel * nr if a.b != NULL else NULL
        segment = 0
        done = False
        while not done:  # once even where no tap meets a pixel
            t.a_segment, t.b_segment = p.a_segment + segment, p.b_segment + segment
            t.segments = min(p.pass_segments, p.segments - segment)
            t.accumulate = segment > 0
            segment += t.segments
            done = segment == p.segments
            t.bias = bias if done else NULL
            t.add = part.add if done else NULL
            t.activation = a.activation if done else 0
            r = 0
            while r < count:
                t.a, t.c, t.m = source + r, target + r, min(most, count - r)
                a.tiles.gemm(&t)
                r += t.m
        for r in range(count):
            target[r] += nr


cdef cut_segments(kc, taps, nr):
    """As many equal cuts of a segment as it takes for one to fit a pass: (kc, taps)."""
    parts = next((i for i in range(ceildiv(kc, PASS), kc // 64 + 1) if kc % i == 0), 1)
    kc //= parts
    return kc, [(a + i * kc, b + i * kc * nr) for a, b in taps for i in range(parts)]


cdef list runs(count, taps, step, size):
    """The positions of an axis by the taps that meet the image: [(first, count, taps), ...]. A tap is (k, offset): from
    position i it sees pixel i*step + offset of `size`."""
    seen = [[(k, offset) for k, offset in taps if 0 <= i * step + offset < size] for i in range(count)]
    first = [i for i in range(count) if i == 0 or seen[i] != seen[i - 1]]
    return [(i, past - i, seen[i]) for i, past in zip(first, [*first[1:], count])]


cdef list lay(Conv *a, ys, xs, steps, image, border, kw, channels, bint joined, target, target_steps):
    """The phases of a convolution, and its border.

    Where most windows do not touch the border, pixels are told apart by the taps that meet the image, and no border is
    needed. Else each phase is one, and the image is copied with a border of zeros.

    Args:
        ys, xs: the phases of each axis, [(place in the target, count, taps), ...], taps as in `runs`.
        steps: pixels of the image from pixel to pixel of a phase.
        image, target: (h, w, channels); border: (top, bottom, left, right).
        channels: of the image, in one group.
        joined: the taps of a row are one segment: they see neighbours.
    """
    (h, w, c), (_, tw, tc), (top, bottom, left, right) = image, target, border
    y_runs, x_runs = [runs(n, taps, steps[0], h) for _, n, taps in ys], [runs(n, taps, steps[1], w) for _, n, taps in xs]
    rows = sum([max([n for _, n, inside in found if inside == taps], default=0)
                for (_, _, taps), found in zip(ys, y_runs)])
    cols = sum([max([n for _, n, inside in found if inside == taps], default=0)
                for (_, _, taps), found in zip(xs, x_runs)])
    if 2 * rows * cols >= sum([n for _, n, _ in ys]) * sum([n for _, n, _ in xs]):
        top = bottom = left = right = 0
    else:
        y_runs, x_runs = [[(0, n, taps)] for _, n, taps in ys], [[(0, n, taps)] for _, n, taps in xs]
    a.border = make_border(h, w, c, top, bottom, left, right)
    pw, nr, phases = a.border.pw, a.tiles.nr, []
    for (py, _, _), y_found in zip(ys, y_runs):
        for (px, _, _), x_found in zip(xs, x_runs):
            for y0, rows, y_taps in y_found:
                for x0, cols, x_taps in x_found:
                    kc, x_segments = (len(x_taps) * c, x_taps[:1]) if joined and x_taps else (channels, x_taps)
                    taps = [((oy * pw + ox) * c, (ky * kw + kx) * channels * nr)
                            for ky, oy in y_taps for kx, ox in x_segments]
                    phases.append((rows, cols, ((y0 * steps[0] + top) * pw + x0 * steps[1] + left) * c,
                                   steps[0] * pw * c, steps[1] * c,
                                   ((py + y0 * target_steps[0]) * tw + px + x0 * target_steps[1]) * tc,
                                   target_steps[0] * tw * tc, target_steps[1] * tc, kc, taps))
    return phases


cdef Step make_conv(Conv *head, list phases, double work, Py_ssize_t n, Py_ssize_t splits, str what, object keep):
    """Conv with its phases and their segment lists in one block; a phase is (rows, cols, a_origin, a_row, a_col,
    c_origin, c_row, c_col, kc, [(a_segment, b_segment), ...])."""
    cdef Py_ssize_t segments, used = 0, i, pixels = max([rows * cols for rows, cols, *_ in phases])
    cdef size_t phases_size = sizeof(Conv) + (len(phases) - 1) * sizeof(Phase)
    cdef Conv *a
    cdef Py_ssize_t *segment
    phases = [(*phase[:8], *cut_segments(phase[8], phase[9], head.tiles.nr)) for phase in phases]
    segments = sum([len(phase[9]) for phase in phases])
    # the segment lists are pointed at from the phases, so they need an address of their own that lives with the step
    storage = bytearray(max(2 * segments, 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t[::1] lists = memoryview(storage).cast("l")
    block = bytearray(phases_size)
    cdef unsigned char[::1] view = block
    a = <Conv *>&view[0]
    a[0] = head[0]
    a.phases = len(phases)
    for i, (rows, cols, a_origin, a_row, a_col, c_origin, c_row, c_col, kc, taps) in enumerate(phases):
        a.phase[i].rows, a.phase[i].cols = rows, cols
        a.phase[i].a_origin, a.phase[i].a_row, a.phase[i].a_col = a_origin, a_row, a_col
        a.phase[i].c_origin, a.phase[i].c_row, a.phase[i].c_col = c_origin, c_row, c_col
        a.phase[i].low = min([tap[0] for tap in taps], default=0)
        a.phase[i].high = max([tap[0] for tap in taps], default=0) + kc + (a.groups - 1) * a.a_group
        a.phase[i].kc, a.phase[i].pass_segments = kc, max(1, PASS // kc)
        a.phase[i].segments = len(taps)
        segment = &lists[0] + used
        a.phase[i].a_segment, a.phase[i].b_segment = segment, segment + len(taps)
        for j, (a_offset, b_offset) in enumerate(taps):
            segment[<Py_ssize_t>j] = a_offset
            segment[<Py_ssize_t>(j + len(taps))] = b_offset
        used += 2 * len(taps)
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
    a.x_size, a.y_size = xb.row_size(), yb.row_size()
    ys = [(0, oh, [(k, k * dilation[0] - top) for k in range(kh)])]
    xs = [(0, ow, [(k, k * dilation[1] - left) for k in range(kw)])]
    phases = lay(&a, ys, xs, strides, (ih, iw, ic), (top, bottom, left, right), kw, icg,
                 groups == 1 and dilation[1] == 1, (oh, ow, oc), (1, 1))
    return make_conv(&a, phases, <double>yb.size() * a.k, n, splits, "conv2d_forward", (xb, pb, bb, yb, rb))


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
    a.a_group = ocg = oc // groups
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
    a.x_size, a.y_size = gb.row_size(), xb.row_size()
    phases = lay(&a, ys, xs, (1, 1), (oh, ow, oc), (top, bottom, left, right), kw, ocg, False, (ih, iw, ic), strides)
    return make_conv(&a, phases, <double>gb.size() * kh * kw * icg, n, splits, "conv2d_input_gradient",
                     (gb, pb, bb, xb))
