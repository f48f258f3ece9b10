# cython: language_level=3
"""Convolution where the channels of a pixel do not fill a vector: both ways make wider rows of pixels that are neighbours.

Few output channels. The channels of p neighbours of a row lie side by side, so one tile of p*oc columns computes them all,
from the columns of the image that any of them sees, with zeros in the kernel where one does not: `merge` makes that kernel,
and a convolution with p times the stride uses it.

One input channel as well, and neighbours one apart: pixels lie side by side as they are, and fill the lanes by themselves
(`conv2d_lanes`).

Few input channels, in the input gradient. The kw pixels under a kernel row lie side by side, too. Each pixel of dy times
the kernel gives the kw*ic sums that it adds to them; those of neighbours overlap and are added up afterwards (col2im, a
row at a time). That is kh*oc steps of kw*ic columns for a pixel of dy, not kh*kw*oc steps of ic columns for one of dx.
"""
from libc.string cimport memcpy, memset

from dlcore.kernels.border cimport Border, border_bytes, copy_rows, has_border, make_border
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport array_of, check_windows
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_convolve, dlc_gemm, dlc_tiles, tiles

cdef enum:
    ROWS = 168  # pixels whose pointers are set up together: whole tiles
    LINE = 16   # floats; sums of a phase begin with a line, and not a multiple of 4 KB apart

# Bytes of sums of one band of rows: they stay in L1 with the weights.
cdef Py_ssize_t BAND = 16 * 1024


def vectors(n):
    """Vectors that n floats take with the instruction set in use."""
    return ceildiv(n, tiles().width)


# ---------------------------------------------------------------------------------------------------------------------
# few output channels

ctypedef struct Merge:
    const dlc_tiles *tiles
    const float *source
    float *target
    Py_ssize_t kh, kw, c, n, pixels, step

cdef void merge_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Merge *a = <const Merge *>args
    a.tiles.merge_pixels(a.source, a.kh, a.kw, a.c, a.n, a.pixels, a.step, a.target, a.tiles.nr)


def merge(w, packed, Py_ssize_t pixels, Py_ssize_t step):
    """`dense.pack` of v[ky, kx, i, p*oc + o] = w[ky, kx - p*step, i, o], zero outside w: the convolution with v and
    `pixels` times the horizontal stride gives what that with w and a horizontal stride of `step` does. One task.

    Args:
        w: (kh, kw, ic, oc) float32; pixels * oc <= the columns of a panel.
        packed: (1, 1, kh * (kw + (pixels-1) * step) * ic, nr), overwritten.
    """
    cdef Buffer wb = buffer(w, "w", "f", 4), pb = buffer(packed, "packed", "f", 4, True)
    cdef Merge a
    a.tiles, a.pixels, a.step = tiles(), pixels, step
    a.kh, a.kw, a.c, a.n = wb.shape
    if pixels < 1 or step < 0 or pixels * a.n > a.tiles.nr:
        raise ValueError(f"merge: {pixels} pixels {step} apart of {a.n} channels: expected at most {a.tiles.nr} channels")
    expected = (1, 1, a.kh * (a.kw + (pixels - 1) * step) * a.c, a.tiles.nr)
    if pb.shape != expected:
        raise ValueError(f"merge: expected packed of shape {expected} for w {wb.shape}. Received: {pb.shape}")
    a.source, a.target = <const float *>wb.whole(), <float *>pb.whole()
    return make_step(merge_leaf, &a, sizeof(a), 1, pb.size(), 0, (wb, pb))


# ---------------------------------------------------------------------------------------------------------------------
# few output channels of an image of one

ctypedef struct Lanes:
    const dlc_tiles *tiles
    Ref x, y
    Border border
    Py_ssize_t x_size, y_size             # floats in a sample
    Py_ssize_t splits                     # tasks of a sample, each some of its rows
    Py_ssize_t sh, oh, reach              # rows of x under one of y
    dlc_convolve tile

cdef void lanes_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Lanes *a = <const Lanes *>args
    cdef Py_ssize_t task, first = begin // a.splits, sample, row, last, image
    cdef const float *x = <const float *>at(&a.x, first, slot)
    cdef float *y = <float *>at(&a.y, first, slot)
    cdef dlc_convolve t = a.tile
    for task in range(begin, end):
        sample = task // a.splits - first
        row = a.oh * (task % a.splits) // a.splits
        last = a.oh * (task % a.splits + 1) // a.splits
        t.x = x + sample * a.x_size
        if has_border(&a.border):
            copy_rows(&a.border, t.x, <float *>slot, row * a.sh, (last - 1) * a.sh + a.reach, task == begin or a.splits > 1)
            t.x = <const float *>slot
        t.y = y + sample * a.y_size + row * t.cols * t.n
        t.segments, t.x_segment = last - row, a.tile.x_segment + row
        a.tiles.convolve(&t)


def conv2d_lanes(x, w, b, y, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), int activation=0,
                 Py_ssize_t splits=1):
    """y of `conv.conv2d_forward`, whose arguments these are but for the weights, for one input channel and a horizontal
    stride of 1, with pixels in the lanes. `splits` tasks per sample.

    Args:
        x: (n, ih, iw, 1) float32.
        w: (kh, kw, 1, oc), as it is.
        splits: 1 to oh.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), wb = buffer(w, "w", "f", 4), yb = buffer(y, "y", "f", 4, True), bb = None
    cdef Lanes a
    memset(&a, 0, sizeof(a))
    n, ih, iw, ic = xb.shape
    _, a.oh, ow, oc = yb.shape
    kh, kw = wb.shape[:2]
    check_windows("conv2d_lanes", xb.shape, wb.shape, yb.shape, strides, padding, dilation, 1)
    if ic != 1 or strides[1] != 1:
        raise ValueError(f"conv2d_lanes: expected one input channel and strides (s, 1). Received: x {xb.shape}, strides "
                         f"{tuple(strides)}")
    a.tiles, a.x, a.y, a.tile.w = tiles(), xb.rows(), yb.rows(), <const float *>wb.whole()
    if splits < 1 or splits > a.oh or splits > 1 and (a.x.base == NULL or a.y.base == NULL):
        raise ValueError(f"conv2d_lanes: expected splits of 1 to {a.oh}, and of 1 on slab tensors. Received: {splits}")
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != oc:
            raise ValueError(f"conv2d_lanes: expected b of shape ({oc},). Received: {bb.shape}")
        a.tile.bias = <const float *>bb.whole()
    (top, bottom), (left, right) = padding
    a.border = make_border(ih, iw, 1, top, bottom, left, right)
    a.x_size, a.y_size, a.splits, a.sh = xb.row_size(), yb.row_size(), splits, strides[0]
    a.reach = (kh - 1) * dilation[0] + 1
    lists = [row * a.sh * a.border.pw for row in range(a.oh)]
    lists += [ky * dilation[0] * a.border.pw + kx * dilation[1] for ky in range(kh) for kx in range(kw)]
    cdef Py_ssize_t[::1] numbers = array_of(lists)
    a.tile.x_segment, a.tile.tap = &numbers[0], &numbers[0] + a.oh
    a.tile.cols, a.tile.taps, a.tile.n, a.tile.activation = ow, kh * kw, oc, activation
    return make_step(lanes_leaf, &a, sizeof(a), n * splits, <double>yb.size() * kh * kw, border_bytes(&a.border),
                     (xb, wb, bb, yb, numbers))


# ---------------------------------------------------------------------------------------------------------------------
# few input channels: the input gradient

# Rows of dx, `step` apart, that the same kernel rows meet.
ctypedef struct Band:
    Py_ssize_t first, step, rows
    Py_ssize_t segments
    const Py_ssize_t *a_segment
    const Py_ssize_t *b_segment

ctypedef struct InputGradient:
    const dlc_tiles *tiles
    Ref dy, dx
    const float *packed
    const float *b
    Py_ssize_t dy_size, dx_size           # floats in a sample
    Py_ssize_t iw, ic, ow, oc
    Py_ssize_t k, columns, panels         # rows of packed, kw*ic, panels of columns
    Py_ssize_t phases, plane              # sets of windows; floats in the rows of one
    Py_ssize_t width, left                # floats in a row of sums, in front of dx
    const Py_ssize_t *place               # of the windows of a band in the sums
    int activation, bands
    Band band[1]                          # as many as there are


cdef void input_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const InputGradient *a = <const InputGradient *>args
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef float *dx = <float *>at(&a.dx, begin, slot)
    cdef float *sums = <float *>slot
    cdef float *bias = sums + a.phases * a.plane
    cdef Py_ssize_t i, row, line = a.iw * a.ic
    cdef const Band *band
    cdef int j
    memset(sums, 0, a.phases * a.plane * sizeof(float))  # windows write the same places in every band
    for i in range(a.iw if a.b != NULL else 0):
        memcpy(bias + i * a.ic, a.b, a.ic * sizeof(float))
    for i in range(end - begin):
        for j in range(a.bands):
            band = &a.band[j]
            if band.segments:
                band_sums(a, band, dy + i * a.dy_size, sums)
            for row in range(band.rows):
                a.tiles.gather_windows(sums + row * a.width + a.left, a.plane, a.phases if band.segments else 0, line,
                                       bias if a.b != NULL else NULL, a.activation,
                                       dx + i * a.dx_size + (band.first + row * band.step) * line)


cdef void band_sums(const InputGradient *a, const Band *band, const float *dy, float *sums) noexcept nogil:
    """What each pixel of dy adds to the pixels under its window, for the rows of a band. Windows of a phase lie side by side."""
    cdef Py_ssize_t pixels = band.rows * a.ow, pixel = 0, panel, r, oc = a.oc
    cdef const Py_ssize_t *place = a.place
    cdef const float *source[ROWS]
    cdef float *target[ROWS]
    cdef int nr = a.tiles.nr
    cdef dlc_gemm t
    memset(&t, 0, sizeof(t))
    t.a, t.c = source, target
    t.a_segment, t.b_segment, t.segments = band.a_segment, band.b_segment, band.segments
    t.kc = a.oc
    while pixel < pixels:
        t.m = min(pixels - pixel, ROWS)
        for r in range(t.m):
            source[r], target[r] = dy + (pixel + r) * oc, sums + place[pixel + r]
        for panel in range(a.panels):
            t.n = <int>min(a.columns - panel * nr, nr)
            t.b = a.packed + panel * a.k * nr
            a.tiles.gemm(&t)
            for r in range(t.m if panel + 1 < a.panels else 0):
                target[r] += nr
        pixel += t.m


def conv2d_input_gradient(dy, packed, dx, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                          int groups=1, b=None, int activation=0):
    """dx of `conv.conv2d_input_gradient`, whose arguments these are but for the weights, in another order of sums. One
    task per sample.

    Args:
        packed: `dense.pack(w, transpose=True, joined=True)` of w (kh, kw, ic, oc).
        dilation: (d, 1).
        groups: 1.
    """
    cdef Buffer gb = buffer(dy, "dy", "f", 4), pb = buffer(packed, "packed", "f", 4), xb = buffer(dx, "dx", "f", 4, True)
    cdef Buffer bb = None
    cdef InputGradient head
    cdef InputGradient *a
    cdef Py_ssize_t i, used, most
    n, ih, iw, ic = xb.shape
    oh, ow, oc = gb.shape[1:]
    kh, kw = kernel
    check_windows("conv2d_input_gradient", xb.shape, (kh, kw, ic, oc), gb.shape, strides, padding, dilation, groups)
    memset(&head, 0, sizeof(head))
    head.tiles, head.dy, head.dx, head.packed = tiles(), gb.rows(), xb.rows(), <const float *>pb.whole()
    head.iw, head.ic, head.ow, head.oc, head.activation = iw, ic, ow, oc, activation
    head.dy_size, head.dx_size, head.k, head.columns = gb.row_size(), xb.row_size(), kh * oc, kw * ic
    nr = head.tiles.nr
    head.panels = ceildiv(head.columns, nr)
    if groups != 1 or dilation[1] != 1 or pb.shape != (1, head.panels, head.k, nr):
        raise ValueError(f"conv2d_input_gradient: packed {pb.shape} in {groups} groups is not the joined transpose of w "
                         f"{(kh, kw, ic, oc)}, or dilation {tuple(dilation)} not (d, 1)")
    if b is not None:
        bb = buffer(b, "b", "f", 1)
        if bb.shape[0] != ic:
            raise ValueError(f"conv2d_input_gradient: expected b of shape ({ic},). Received: {bb.shape}")
        head.b = <const float *>bb.whole()
    head.phases, head.left, step = min(ceildiv(kw, strides[1]), ow), padding[1][0] * ic, strides[1] * ic
    head.width = max((ow - 1) * step + head.columns, head.left + iw * ic)
    most = max(BAND // (4 * head.phases * head.width), 1)
    bands = rows_alike(ih, oh, kh, strides[0], padding[0][0], dilation[0], most)
    rows = max(rows for _, rows, _, _ in bands)
    head.plane = ceildiv(rows * head.width, LINE) * LINE + LINE
    places = [ox % head.phases * head.plane + row * head.width + ox * step for row in range(rows) for ox in range(ow)]
    segments = [number for _, _, _, taps in bands for column in ([oy * ow * oc for _, oy in taps],
                                                                 [ky * oc * nr for ky, _ in taps]) for number in column]
    cdef Py_ssize_t[::1] numbers = array_of([*places, *segments])
    head.place, head.bands = &numbers[0], len(bands)
    size = sizeof(InputGradient) + (len(bands) - 1) * sizeof(Band)
    block = bytearray(size)
    cdef unsigned char[::1] view = block
    a = <InputGradient *>&view[0]
    a[0] = head
    used = len(places)
    for i, (first, rows, step, taps) in enumerate(bands):
        a.band[i].first, a.band[i].step, a.band[i].rows, a.band[i].segments = first, step, rows, len(taps)
        a.band[i].a_segment, a.band[i].b_segment = &numbers[0] + used, &numbers[0] + used + <Py_ssize_t>len(taps)
        used += 2 * len(taps)
    scratch = (head.phases * head.plane + iw * ic) * sizeof(float)
    return make_step(input_gradient_leaf, a, size, n, <double>gb.size() * kh * kw * ic, scratch,
                     (gb, pb, bb, xb, numbers))


cdef rows_alike(size, out, kernel, stride, before, dilation, most):
    """Bands of rows: (first, rows, step, [(ky, oy of the first row), ...]), at most `most` rows to a band."""
    bands = []
    for phase in range(min(stride, size)):
        band, previous = None, None
        for iy in range(phase, size, stride):
            taps = [(ky, (iy + before - ky * dilation) // stride) for ky in range(kernel)
                    if (iy + before - ky * dilation) % stride == 0]
            taps = [(ky, oy) for ky, oy in taps if 0 <= oy < out]
            kinds = [ky for ky, _ in taps]
            if kinds == previous and band[1] < most:
                band[1] += 1
            else:
                band = [iy, 1, stride, taps]
                bands.append(band)
            previous = kinds
    return bands
