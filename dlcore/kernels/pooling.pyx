# cython: language_level=3
"""Max and average pooling in NHWC with any window, stride and padding, and their gradients.

Padding is never read: a window is clipped to the image, so it cannot win a maximum and does not count in a mean (as in
Keras). Windows that lie wholly in the padding are refused.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

MOST_OF_A_BYTE = 256  # pixels of a window whose positions fit a byte

ctypedef struct Pool:
    const dlc_tiles *tiles
    Ref x, y, index            # in the gradients: dx, dy
    Py_ssize_t ih, iw, oh, ow, c, sh, sw, top, left
    Py_ssize_t inner, whole    # columns of windows from `inner` on, `whole` of them, are not clipped
    int kh, kw
    bint average, gradient, overlapping
    bint single                # one window, the whole image
    int indexed                # bytes of an index, 0 for none: more than a byte where windows have more than 256 pixels


cdef void leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Pool *a = <const Pool *>args
    cdef float *x = <float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef char *index = at(&a.index, begin, slot) if a.indexed else NULL
    cdef Py_ssize_t i, oy, ox, x_size = a.ih * a.iw * a.c, y_size = a.oh * a.ow * a.c
    for i in range(end - begin):
        if a.single and a.average:
            whole_average(a, x, y)
        else:
            if a.gradient and a.overlapping:
                memset(x, 0, x_size * sizeof(float))
            for oy in range(a.oh):
                for ox in range(a.inner):
                    windows(a, x, y, index, oy, ox, 1)
                if a.whole:
                    windows(a, x, y, index, oy, a.inner, a.whole)
                for ox in range(a.inner + a.whole, a.ow):
                    windows(a, x, y, index, oy, ox, 1)
        x += x_size
        y += y_size
        if index != NULL:
            index += y_size * a.indexed


cdef void whole_average(const Pool *a, float *x, float *y) noexcept nogil:
    """One window over the whole image: a sum of rows, or one row written again and again."""
    cdef Py_ssize_t pixels = a.ih * a.iw, done = 1
    cdef float inverse = <float>(1.0 / pixels)
    if not a.gradient:
        a.tiles.sum_rows(x, pixels, a.c, y, 0)
        a.tiles.scale(y, inverse, y, a.c)
        return
    a.tiles.scale(y, inverse, x, a.c)
    while done < pixels:
        memcpy(x + done * a.c, x, min(done, pixels - done) * a.c * sizeof(float))
        done *= 2


cdef void windows(const Pool *a, float *x, float *y, char *index, Py_ssize_t oy, Py_ssize_t ox,
                  Py_ssize_t count) noexcept nogil:
    """`count` windows of output row oy from column ox on, all clipped alike."""
    cdef Py_ssize_t iy = oy * a.sh - a.top, ix = ox * a.sw - a.left
    cdef Py_ssize_t y0 = max(iy, 0), x0 = max(ix, 0), out = (oy * a.ow + ox) * a.c
    cdef int kh = <int>(min(iy + a.kh, a.ih) - y0), kw = <int>(min(ix + a.kw, a.iw) - x0)
    cdef int first = <int>((y0 - iy) * a.kw + (x0 - ix))
    cdef Py_ssize_t row = a.iw * a.c, step = a.sw * a.c
    x += (y0 * a.iw + x0) * a.c
    y += out
    if index != NULL:
        index += out * a.indexed
    if a.gradient:
        if a.average:
            a.tiles.average_pool_gradient(y, row, step, count, a.c, kh, kw, x, a.overlapping)
        elif a.indexed > 1:
            a.tiles.max_pool_gradient_wide(y, <const float *>index, row, step, count, a.c, a.kw, first, x)
        else:
            a.tiles.max_pool_gradient(y, <const uint8_t *>index, row, step, count, a.c, kh, kw, a.kw, first, x, a.overlapping)
    elif a.average:
        a.tiles.average_pool(x, row, step, count, a.c, kh, kw, y)
    elif a.indexed > 1:
        a.tiles.max_pool_wide(x, row, step, count, a.c, kh, kw, a.kw, first, y, <float *>index)
    else:
        a.tiles.max_pool(x, row, step, count, a.c, kh, kw, a.kw, first, y, <uint8_t *>index)


cdef Step bind(str what, x, y, index, pool, strides, padding, bint average, bint gradient):
    cdef Buffer xb = buffer(x, "dx" if gradient else "x", "f", 4, gradient)
    cdef Buffer yb = buffer(y, "dy" if gradient else "y", "f", 4, not gradient), nb = None
    cdef Pool a
    n, a.ih, a.iw, a.c = xb.shape
    a.kh, a.kw = pool
    a.sh, a.sw = strides
    (a.top, bottom), (a.left, right) = padding
    cdef Py_ssize_t free_h = a.ih + a.top + bottom - a.kh, free_w = a.iw + a.left + right - a.kw
    a.oh = free_h // a.sh + 1 if free_h >= 0 and a.sh > 0 else 0
    a.ow = free_w // a.sw + 1 if free_w >= 0 and a.sw > 0 else 0
    if (min(a.kh, a.kw, a.sh, a.sw, a.oh, a.ow, a.ih, a.iw) < 1 or min(a.top, bottom, a.left, right) < 0
            or a.top >= a.kh or a.left >= a.kw or (a.oh - 1) * a.sh - a.top >= a.ih
            or (a.ow - 1) * a.sw - a.left >= a.iw or yb.shape != (n, a.oh, a.ow, a.c)
            or <Py_ssize_t>a.kh * a.kw > 1 << 24):
        raise ValueError(f"{what}: {'dx' if gradient else 'x'} {xb.shape}, {'dy' if gradient else 'y'} {yb.shape}, "
                         f"pool {tuple(pool)}, strides {tuple(strides)}, padding {padding} do not fit together (a "
                         "window holds at least one pixel of the image, and at most 2^24 of all)")
    a.tiles, a.average, a.gradient = tiles(), average, gradient
    a.indexed = 0 if index is None else 1 if a.kh * a.kw <= MOST_OF_A_BYTE else sizeof(float)
    a.x, a.y = xb.rows(), yb.rows()
    if a.indexed:
        nb = buffer(index, "index", "B" if a.indexed == 1 else "f", 4, not gradient)
        if nb.shape != yb.shape:
            raise ValueError(f"{what}: expected index of shape {yb.shape}. Received: {nb.shape}")
        a.index = nb.rows()
    # windows that do not tile dx exactly need it cleared first and added to
    a.overlapping = (a.indexed > 1 or a.sh != a.kh or a.sw != a.kw or a.top or a.left or a.oh * a.kh != a.ih
                     or a.ow * a.kw != a.iw)
    a.single = a.oh == a.ow == 1 and a.kh - a.top >= a.ih and a.kw - a.left >= a.iw
    a.inner = min((a.left + a.sw - 1) // a.sw, a.ow)
    a.whole = max(min((a.iw - a.kw + a.left) // a.sw + 1, a.ow) - a.inner, 0) if a.iw >= a.kw - a.left else 0
    return make_step(leaf, &a, sizeof(a), n, <double>yb.size() * a.kh * a.kw, 0, (xb, yb, nb))


def max_pool2d_forward(x, y, index, pool, strides, padding=((0, 0), (0, 0))):
    """y[n, oy, ox, c] = maximum of the window of x at (oy*sh - top, ox*sw - left). One task per sample.

    The first maximum wins; the first NaN beats everything.

    Args:
        x: (n, ih, iw, c) float32.
        y: (n, oh, ow, c), overwritten.
        index: (n, oh, ow, c) workspace, overwritten, or None: position ky*kw + kx of the winner in its window; uint8,
            or float32 where a window has more than `MOST_OF_A_BYTE` pixels.
        pool, strides: (kh, kw), (sh, sw); kh*kw <= 2^24.
        padding: ((top, bottom), (left, right)).
    """
    return bind("max_pool2d_forward", x, y, index, pool, strides, padding, False, False)


def max_pool2d_gradient(dy, index, dx, pool, strides, padding=((0, 0), (0, 0))):
    """dx = dy at the winner of each window, summed where windows overlap, 0 elsewhere; dx (n, ih, iw, c) overwritten."""
    if index is None:
        raise ValueError("max_pool2d_gradient: expected the index that max_pool2d_forward saved. Received: None")
    return bind("max_pool2d_gradient", dx, dy, index, pool, strides, padding, False, True)


def average_pool2d_forward(x, y, pool, strides, padding=((0, 0), (0, 0))):
    """y[n, oy, ox, c] = mean of the window of x, padding not counted. Arguments as for `max_pool2d_forward`."""
    return bind("average_pool2d_forward", x, y, None, pool, strides, padding, True, False)


def average_pool2d_gradient(dy, dx, pool, strides, padding=((0, 0), (0, 0))):
    """dx = dy / (pixels of the window) over each window, summed where windows overlap; dx overwritten."""
    return bind("average_pool2d_gradient", dx, dy, None, pool, strides, padding, True, True)
