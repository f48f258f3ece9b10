# cython: language_level=3
"""Convolution in NHWC: forward and input gradient for any kernel, stride, dilation, groups and padding.

Both are the same register tile fed by pointers into the image (im2col in its implicit form): a row of the tile is a
pixel, a segment of its sum is a tap. Padding is a zeroed border around a copy of one sample in the thread's scratch, so
that no tap needs a test; without padding the sample is used where it lies.

The input gradient is a convolution of dy with the transposed kernel. A stride spreads its taps over sh*sw phases: input
pixels with the same (y mod sh, x mod sw) see the same taps at the same offsets, and taps that miss dy are never visited.
"""
from libc.stdlib cimport malloc
from libc.string cimport memset

from dlcore.kernels.border cimport Border, border_bytes, bordered, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport check_windows, phases_of, positions
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport DLC_MR, dlc_gemm, dlc_tiles, tiles

cdef enum:
    BLOCK = 8   # tiles whose pointers are set up together and then used for every panel of output channels


# ---------------------------------------------------------------------------------------------------------------------
# forward and input gradient

# A grid of pixels of c, all with the same taps.
ctypedef struct Phase:
    Py_ssize_t rows, cols
    Py_ssize_t a_origin, a_row, a_col     # floats
    Py_ssize_t c_origin, c_row, c_col
    Py_ssize_t segments
    const Py_ssize_t *a_segment
    const Py_ssize_t *b_segment

ctypedef struct Conv:
    const dlc_tiles *tiles
    Ref x, y
    const float *packed
    const float *b
    Border border
    Py_ssize_t x_size, y_size             # floats in a sample
    Py_ssize_t k, kc, n, panels           # of one group: rows of packed, of one segment, output channels
    Py_ssize_t a_group                    # input channels of one group
    int groups, activation, phases
    Phase phase[1]                        # as many as there are, segments after them

cdef void conv_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Conv *a = <const Conv *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef const float *image
    cdef Py_ssize_t i
    cdef int group, p
    for i in range(end - begin):
        image = bordered(&a.border, x + i * a.x_size, <float *>slot, i == 0)
        for group in range(a.groups):
            for p in range(a.phases):
                conv_phase(a, &a.phase[p], group, image + group * a.a_group, y + i * a.y_size + group * a.n)


cdef void conv_phase(const Conv *a, const Phase *p, int group, const float *image, float *y) noexcept nogil:
    cdef dlc_gemm t[BLOCK]
    cdef Py_ssize_t pixel = 0, pixels = p.rows * p.cols, row = 0, col = 0, panel
    cdef const float *source = NULL
    cdef float *target = NULL
    cdef int nr = a.tiles.nr, count, i, r
    memset(t, 0, sizeof(t))
    while pixel < pixels:
        count = 0
        while count < BLOCK and pixel < pixels:
            t[count].m = <int>min(pixels - pixel, DLC_MR)
            for r in range(DLC_MR):
                if r < t[count].m:
                    source = image + p.a_origin + row * p.a_row + col * p.a_col
                    target = y + p.c_origin + row * p.c_row + col * p.c_col
                    col += 1
                    if col == p.cols:
                        col = 0
                        row += 1
                t[count].a[r] = source
                t[count].c[r] = target
            t[count].a_segment, t[count].b_segment, t[count].segments = p.a_segment, p.b_segment, p.segments
            t[count].kc, t[count].a_step, t[count].b_step = a.kc, 1, nr
            t[count].b_padded, t[count].activation = 1, a.activation
            pixel += t[count].m
            count += 1
        for panel in range(a.panels):
            for i in range(count):
                t[i].n = <int>min(a.n - panel * nr, nr)
                t[i].b = a.packed + (group * a.panels + panel) * a.k * nr
                t[i].bias = a.b + group * a.n + panel * nr if a.b != NULL else NULL
                a.tiles.gemm(&t[i])
                for r in range(t[i].m):
                    t[i].c[r] += nr


cdef Step make_conv(Conv *head, list phases, double work, Py_ssize_t tasks, object keep):
    """Conv with its phases and their segment lists in one block; a phase is (rows, cols, a_origin, a_row, a_col,
    c_origin, c_row, c_col, [(a_segment, b_segment), ...])."""
    cdef Py_ssize_t segments = sum([len(phase[8]) for phase in phases]), used = 0, i
    cdef size_t phases_size = sizeof(Conv) + (len(phases) - 1) * sizeof(Phase)
    cdef Conv *a
    cdef Py_ssize_t *segment
    # the segment lists are pointed at from the phases, so they need an address of their own that lives with the step
    storage = bytearray(max(2 * segments, 1) * sizeof(Py_ssize_t))
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
        a.phase[i].segments = len(taps)
        segment = &lists[0] + used
        a.phase[i].a_segment, a.phase[i].b_segment = segment, segment + len(taps)
        for j, (a_offset, b_offset) in enumerate(taps):
            segment[<Py_ssize_t>j] = a_offset
            segment[<Py_ssize_t>(j + len(taps))] = b_offset
        used += 2 * len(taps)
    return make_step(conv_leaf, a, phases_size, tasks, work, border_bytes(&a.border), (keep, lists))


def output_size(size, kernel, stride, before, after, dilation):
    """Output positions of a window along one axis; 0 or less when it does not fit once."""
    return positions(size, kernel, stride, before, after, dilation)


def check(what, x, w, y, strides, padding, dilation, groups):
    """Shapes of one convolution, all known: raises ValueError where they do not fit together."""
    check_windows(what, x, w, y, strides, padding, dilation, groups)


def conv2d_forward(x, packed, b, y, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), int groups=1,
                   int activation=0):
    """y[n, oy, ox, o] = act(b[o] + sum over ky, kx, i of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i]
    * w[ky, kx, i, o]), zero outside x; with groups, o sums only over its own group's i. One task per sample.

    Args:
        x: (n, ih, iw, ic) float32.
        packed: `dense.pack(w, groups=groups)` of w (kh, kw, ic / groups, oc).
        b: (oc,) float32 or None.
        y: (n, oh, ow, oc), overwritten.
        kernel: (kh, kw).
        padding: ((top, bottom), (left, right)).
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), pb = buffer(packed, "packed", "f", 4), yb = buffer(y, "y", "f", 4, True)
    cdef Buffer bb = None
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
    return make_conv(&a, [phase], <double>yb.size() * a.k, n, (xb, pb, bb, yb))


def conv2d_input_gradient(dy, packed, dx, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                          int groups=1, b=None, int activation=0):
    """dx[n, iy, ix, i] = act(b[i] + sum of dy[n, oy, ox, o] * w[ky, kx, i, o] over all o and all (oy, ky) with
    oy*sh + ky*dh - top = iy, (ox, kx) likewise). One task per sample. With bias and activation it is the transposed
    convolution, whose input is dy.

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
    return make_conv(&a, phases, <double>gb.size() * kh * kw * icg, n, (gb, pb, bb, xb))
