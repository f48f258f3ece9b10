# cython: language_level=3
"""Random changes of images: sampling along an affine map (flip, translation, rotation, zoom, crop) and its transpose, and
contrast and brightness.

What happens to a sample is a function of seed, training step and number of the sample: it takes its uniform numbers in
[0, 1) from the words of philox4x32((sample, 0, step), seed), each word / 2^32. The gradient draws them again.
"""
import math

from libc.math cimport M_PI, cos, sin
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dlcore.kernels.executor cimport Clock, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

cdef enum:
    FLIP, TRANSLATE, ROTATE, ZOOM, CROP
    CONSTANT = 0, NEAREST, REFLECT, WRAP

KINDS = {"flip": FLIP, "translate": TRANSLATE, "rotate": ROTATE, "zoom": ZOOM, "crop": CROP}
FILLS = {"constant": CONSTANT, "nearest": NEAREST, "reflect": REFLECT, "wrap": WRAP}

ctypedef struct Affine:
    const dlc_tiles *tiles
    Ref x, y
    const int64_t *step
    Py_ssize_t ih, iw, oh, ow, c
    uint64_t seed
    int kind, fill
    bint linear, transposed
    double low[2]
    double high[2]             # of the parameters along height and width
    float value


cdef inline void draw(const dlc_tiles *t, Py_ssize_t sample, const int64_t *step, uint64_t seed, double *u) noexcept nogil:
    cdef uint32_t words[4]
    cdef int i
    t.random_words(<uint64_t>sample, 0, <uint32_t>step[0], seed, words)
    for i in range(4):
        u[i] = words[i] * (1.0 / 4294967296.0)


cdef bint matrix(const Affine *a, Py_ssize_t sample, double *m) noexcept nogil:
    """The map from output (x, y) to input (m0 x + m1 y + m2, m3 x + m4 y + m5); whether it changes anything."""
    cdef double u[4]
    cdef double p[2]
    cdef double cx = (a.iw - 1) * 0.5, cy = (a.ih - 1) * 0.5
    cdef int i
    draw(a.tiles, sample, a.step, a.seed, u)
    for i in range(2):
        p[i] = a.low[i] + u[i] * (a.high[i] - a.low[i])
    m[0], m[1], m[2], m[3], m[4], m[5] = 1, 0, 0, 0, 1, 0
    if a.kind == FLIP:
        if u[0] > 0.5:
            return False
        if a.high[0] > 0:
            m[4], m[5] = -1, <double>(a.ih - 1)
        if a.high[1] > 0:
            m[0], m[2] = -1, <double>(a.iw - 1)
    elif a.kind == TRANSLATE:
        m[2], m[5] = -p[1] * a.iw, -p[0] * a.ih
    elif a.kind == ROTATE:
        m[0] = m[4] = cos(2 * M_PI * p[0])
        m[3] = sin(2 * M_PI * p[0])
        m[1] = -m[3]
        m[2] = cx - cx * m[0] - cy * m[1]
        m[5] = cy - cx * m[3] - cy * m[4]
    elif a.kind == ZOOM:
        m[4] = 1 + p[0]
        m[0] = m[4] if a.high[1] < a.low[1] else 1 + p[1]
        m[2], m[5] = cx * (1 - m[0]), cy * (1 - m[4])
    else:  # crop: the bounds are whole numbers, both included
        m[2] = a.low[1] + <double><Py_ssize_t>(u[1] * (a.high[1] - a.low[1] + 1))
        m[5] = a.low[0] + <double><Py_ssize_t>(u[0] * (a.high[0] - a.low[0] + 1))
    return True


cdef inline Py_ssize_t floor_of(double v) noexcept nogil:
    cdef Py_ssize_t i = <Py_ssize_t>v
    return i - (i > v)


cdef inline Py_ssize_t inside(Py_ssize_t i, Py_ssize_t n, int fill) noexcept nogil:
    """The pixel of 0..n-1 that stands at i, -1 for the fill value."""
    if 0 <= i < n:
        return i
    if fill == CONSTANT:
        return -1
    if fill == NEAREST:
        return 0 if i < 0 else n - 1
    cdef Py_ssize_t period = n if fill == WRAP else 2 * n
    i %= period
    if i < 0:
        i += period
    return i if i < n else period - 1 - i


cdef inline float *pixel(const Affine *a, float *x, Py_ssize_t iy, Py_ssize_t ix, float *outside) noexcept nogil:
    iy = inside(iy, a.ih, a.fill)
    ix = inside(ix, a.iw, a.fill)
    return outside if iy < 0 or ix < 0 else x + (iy * a.iw + ix) * a.c


cdef void sample(const Affine *a, const double *m, float *x, float *y, float *outside) noexcept nogil:
    """One image. `outside` is a pixel of the fill value; of no interest in the transpose, which adds there what is lost."""
    cdef Py_ssize_t oy, ox, y0, x0, k, right, down, row = a.iw * a.c
    cdef double u, v
    cdef float fy, fx, w00, w01, w10, w11
    cdef float *p00
    cdef float *p01
    cdef float *p10
    cdef float *p11
    for oy in range(a.oh):
        for ox in range(a.ow):
            u = m[0] * ox + m[1] * oy + m[2]
            v = m[3] * ox + m[4] * oy + m[5]
            if not a.linear:
                x0 = <Py_ssize_t>(u + 0.5) if u >= 0 else -<Py_ssize_t>(0.5 - u)
                y0 = <Py_ssize_t>(v + 0.5) if v >= 0 else -<Py_ssize_t>(0.5 - v)
                p00 = pixel(a, x, y0, x0, outside)
                if a.transposed:
                    for k in range(a.c):
                        p00[k] += y[k]
                else:
                    for k in range(a.c):
                        y[k] = p00[k]
                y += a.c
                continue
            x0, y0 = floor_of(u), floor_of(v)
            fx, fy = <float>(u - x0), <float>(v - y0)
            right, down = fx > 0, fy > 0  # weights of 0 read nothing, so that a NaN stays where it is
            if x0 >= 0 and y0 >= 0 and x0 + right < a.iw and y0 + down < a.ih:
                p00 = x + (y0 * a.iw + x0) * a.c
                p01 = p00 + right * a.c
                p10 = p00 + down * row
                p11 = p10 + right * a.c
            else:
                p00 = pixel(a, x, y0, x0, outside)
                p01 = pixel(a, x, y0, x0 + right, outside)
                p10 = pixel(a, x, y0 + down, x0, outside)
                p11 = pixel(a, x, y0 + down, x0 + right, outside)
            w00, w01, w10, w11 = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
            if a.transposed:
                for k in range(a.c):
                    p00[k] += w00 * y[k]
                    p01[k] += w01 * y[k]
                    p10[k] += w10 * y[k]
                    p11[k] += w11 * y[k]
            else:
                for k in range(a.c):
                    y[k] = (w00 * p00[k] + w01 * p01[k]) + (w10 * p10[k] + w11 * p11[k])
            y += a.c


cdef void affine_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Affine *a = <const Affine *>args
    cdef float *x = <float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef float *outside = <float *>slot
    cdef Py_ssize_t i, k, x_size = a.ih * a.iw * a.c, y_size = a.oh * a.ow * a.c
    cdef double m[6]
    for k in range(a.c):
        outside[k] = a.value
    for i in range(begin, end):
        if matrix(a, i, m):
            if a.transposed:
                memset(x, 0, x_size * sizeof(float))
            if a.kind == CROP:
                crop(a, x + (<Py_ssize_t>m[5] * a.iw + <Py_ssize_t>m[2]) * a.c, y)
            else:
                sample(a, m, x, y, outside)
        elif a.transposed:
            memcpy(x, y, x_size * sizeof(float))
        else:
            memcpy(y, x, x_size * sizeof(float))
        x += x_size
        y += y_size


cdef void crop(const Affine *a, float *x, float *y) noexcept nogil:
    cdef Py_ssize_t oy, row = a.ow * a.c
    for oy in range(a.oh):
        if a.transposed:
            memcpy(x + oy * a.iw * a.c, y + oy * row, row * sizeof(float))
        else:
            memcpy(y + oy * row, x + oy * a.iw * a.c, row * sizeof(float))


def affine(x, y, str kind, tuple height, tuple width, uint64_t seed, Clock clock not None, str fill_mode="constant",
           str interpolation="nearest", float fill_value=0):
    """y = x read at the points where a map takes the pixels of y. The map is drawn for each sample. One task per sample.

        flip       half of the samples, upside down where height is (1, 1), left to right where width is
        translate  by p of the height down and q of the width to the right
        rotate     by p turns counter-clockwise about the middle
        zoom       out, to 1 / (1 + p) of the height and 1 / (1 + q) of the width, about the middle
        crop       y begins at row p and column q of x

    with p uniform in [height[0], height[1]) and q in [width[0], width[1]); width (0, -1) in zoom is q = p. In crop these are
    whole numbers, both bounds included.

    Args:
        x: (n, ih, iw, c) float32.
        y: (n, oh, ow, c) overwritten; oh, ow differ from ih, iw in crop only.
        fill_mode: of what stands outside of x. "constant": fill_value; "nearest": the nearest pixel, aa|abcd|dd; "reflect":
            ba|abcd|dc; "wrap": cd|abcd|ab.
        interpolation: "nearest" (halves away from zero) or "bilinear".
    """
    cdef Affine a
    a.transposed = False
    cdef Buffer xb = buffer(x, "x", "f", 4), yb = buffer(y, "y", "f", 4, True)
    return bind(&a, "affine", xb, yb, kind, height, width, seed, clock, fill_mode, interpolation, fill_value)


def affine_gradient(dy, dx, str kind, tuple height, tuple width, uint64_t seed, Clock clock not None,
                    str fill_mode="constant", str interpolation="nearest"):
    """dx = the transpose of `affine` on dy: each pixel of dy is added where it was read from. One task per sample.

    Args:
        dy: (n, oh, ow, c) float32.
        dx: (n, ih, iw, c) overwritten. The others are those of `affine`.
    """
    cdef Affine a
    a.transposed = True
    cdef Buffer gb = buffer(dy, "dy", "f", 4), xb = buffer(dx, "dx", "f", 4, True)
    return bind(&a, "affine_gradient", xb, gb, kind, height, width, seed, clock, fill_mode, interpolation, 0)


cdef Step bind(Affine *a, str what, Buffer xb, Buffer yb, str kind, tuple height, tuple width, uint64_t seed, Clock clock,
               str fill_mode, str interpolation, float fill_value):
    if kind not in KINDS or fill_mode not in FILLS or interpolation not in ("nearest", "bilinear"):
        raise ValueError(f"augmentation.{what}: unknown kind {kind!r}, fill_mode {fill_mode!r} or interpolation "
                         f"{interpolation!r}")
    fits = xb.shape[0] == yb.shape[0] and xb.shape[3] == yb.shape[3] and len(height) == len(width) == 2
    if fits and kind == "crop":
        fits = (0 <= height[0] <= height[1] <= xb.shape[1] - yb.shape[1]
                and 0 <= width[0] <= width[1] <= xb.shape[2] - yb.shape[2])
    elif fits:
        fits = xb.shape == yb.shape and all(-1e6 < bound < 1e6 for bound in height + width)
    if not fits:
        raise ValueError(f"augmentation.{what}: {kind} with x {xb.shape}, y {yb.shape}, height {height}, width {width} do "
                         "not fit together")
    a.tiles, a.x, a.y, a.step, a.seed = tiles(), xb.rows(), yb.rows(), &clock.step_, seed
    a.ih, a.iw, a.oh, a.ow, a.c = xb.shape[1], xb.shape[2], yb.shape[1], yb.shape[2], xb.shape[3]
    a.kind, a.fill, a.linear, a.value = KINDS[kind], FILLS[fill_mode], interpolation == "bilinear", fill_value
    a.low[0], a.high[0] = height
    a.low[1], a.high[1] = width
    return make_step(affine_leaf, a, sizeof(Affine), xb.shape[0], 2.0 * xb.size() + 10.0 * yb.size(),
                     a.c * sizeof(float), (xb, yb, clock))


# ---------------------------------------------------------------------------------------------------------------------
# contrast and brightness

ctypedef struct Adjust:
    const dlc_tiles *tiles
    Ref x, y, dy
    const int64_t *step
    Py_ssize_t pixels, c
    uint64_t seed
    double contrast[2]
    double brightness[2]
    float low, high
    bint gradient


cdef inline float adjusted(float x, float factor, float mean, float shift) noexcept nogil:
    return (x - mean) * factor + mean + shift


cdef void adjust_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Adjust *a = <const Adjust *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot) if a.gradient else NULL
    cdef double *sums = <double *>slot
    cdef float *mean = <float *>(sums + a.c)
    cdef Py_ssize_t i, p, k, size = a.pixels * a.c
    cdef double u[4]
    cdef float factor, shift, v
    for i in range(begin, end):
        draw(a.tiles, i, a.step, a.seed, u)
        factor = <float>(a.contrast[0] + u[0] * (a.contrast[1] - a.contrast[0]))
        shift = <float>(a.brightness[0] + u[1] * (a.brightness[1] - a.brightness[0]))
        for k in range(a.c):
            sums[k] = mean[k] = 0
        if factor != 1:
            for p in range(a.pixels):
                for k in range(a.c):
                    sums[k] += x[p * a.c + k]
            for k in range(a.c):
                mean[k] = <float>(sums[k] / a.pixels)
                sums[k] = 0
        if not a.gradient:
            for p in range(a.pixels):
                for k in range(a.c):
                    v = adjusted(x[p * a.c + k], factor, mean[k], shift)
                    v = a.low if v < a.low else v
                    y[p * a.c + k] = a.high if v > a.high else v
        else:
            for p in range(a.pixels):
                for k in range(a.c):
                    v = adjusted(x[p * a.c + k], factor, mean[k], shift)
                    v = 0 if v < a.low or v > a.high else dy[p * a.c + k]
                    y[p * a.c + k] = factor * v
                    sums[k] += v
            if factor != 1:
                for k in range(a.c):
                    mean[k] = <float>((1 - factor) * sums[k] / a.pixels)
                for p in range(a.pixels):
                    for k in range(a.c):
                        y[p * a.c + k] += mean[k]
            dy += size
        x += size
        y += size


def adjust(x, y, tuple contrast, tuple brightness, tuple value_range, uint64_t seed, Clock clock not None):
    """y = clip((x - mean) * f + mean + b, value_range), with the mean of each channel of each sample, f uniform in
    [contrast[0], contrast[1]) and b in [brightness[0], brightness[1]) drawn for each sample. One task per sample.

    Args:
        x, y: (n, h, w, c) float32 of one shape, y overwritten, y may be x.
    """
    return adjusting("adjust", x, None, y, contrast, brightness, value_range, seed, clock)


def adjust_gradient(dy, x, dx, tuple contrast, tuple brightness, tuple value_range, uint64_t seed, Clock clock not None):
    """dx = f g + (1 - f) mean(g) over each channel, g being dy where `adjust` of x stayed within value_range, else 0. One
    task per sample.

    Args:
        dy, x, dx: (n, h, w, c) float32 of one shape, dx overwritten, dx may be dy. The others are those of `adjust`.
    """
    return adjusting("adjust_gradient", x, dy, dx, contrast, brightness, value_range, seed, clock)


cdef Step adjusting(str what, x, dy, y, tuple contrast, tuple brightness, tuple value_range, uint64_t seed, Clock clock):
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = None
    cdef Buffer yb = buffer(y, "y" if dy is None else "dx", "f", 4, True)
    cdef Adjust a
    if dy is not None:
        gb = buffer(dy, "dy", "f", 4)
        a.dy = gb.rows()
    bounds = contrast + brightness + value_range
    if (xb.shape != yb.shape or (gb is not None and gb.shape != xb.shape) or any(len(pair) != 2 for pair in (contrast, brightness, value_range))
            or not all(-math.inf < bound < math.inf for bound in bounds)):
        raise ValueError(f"augmentation.{what}: x {xb.shape}, y {yb.shape}, contrast {contrast}, brightness {brightness}, "
                         f"value_range {value_range} do not fit together")
    a.tiles, a.x, a.y, a.step, a.seed = tiles(), xb.rows(), yb.rows(), &clock.step_, seed
    a.c = xb.shape[3]
    a.pixels, a.gradient = xb.shape[1] * xb.shape[2], gb is not None
    a.contrast[0], a.contrast[1] = contrast
    a.brightness[0], a.brightness[1] = brightness
    a.low, a.high = value_range
    return make_step(adjust_leaf, &a, sizeof(a), xb.shape[0], 6.0 * xb.size(), a.c * (sizeof(double) + sizeof(float)),
                     (xb, yb, gb, clock))
