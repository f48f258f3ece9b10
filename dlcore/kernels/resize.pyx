# cython: language_level=3
"""Resampling of images: each output pixel is a weighted sum of a few input pixels, rows and columns apart.

Which pixels and which weights comes from the caller, so nearest, bilinear and bicubic are one kernel.
"""
from libc.stdint cimport int32_t
from libc.string cimport memset

import numpy as np

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

ctypedef struct Axis:
    const int32_t *index       # (out, taps)
    const float *weight
    Py_ssize_t taps

ctypedef struct Resize:
    const dlc_tiles *tiles
    Ref x, y                   # in the gradient: dx, dy
    Axis rows, cols
    Py_ssize_t ih, iw, oh, ow, c


cdef inline void add_pixel(const Resize *a, float weight, const float *x, float *y) noexcept nogil:
    cdef Py_ssize_t i
    if a.c < 8:
        for i in range(a.c):
            y[i] += weight * x[i]
    else:
        a.tiles.axpy(weight, x, y, a.c)

cdef inline void set_pixel(const Resize *a, float weight, const float *x, float *y) noexcept nogil:
    cdef Py_ssize_t i
    if a.c < 8:
        for i in range(a.c):
            y[i] = weight * x[i]
    else:
        a.tiles.scale(x, weight, y, a.c)


cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Resize *a = <const Resize *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef float *line = <float *>slot               # a row of y, in the columns of x
    cdef Py_ssize_t i, oy, ox, t, row = a.iw * a.c
    cdef const int32_t *index
    cdef const float *weight
    for i in range(end - begin):
        for oy in range(a.oh):
            index, weight = a.rows.index + oy * a.rows.taps, a.rows.weight + oy * a.rows.taps
            a.tiles.scale(x + index[0] * row, weight[0], line, row)
            for t in range(1, a.rows.taps):
                if weight[t] != 0:
                    a.tiles.axpy(weight[t], x + index[t] * row, line, row)
            index, weight = a.cols.index, a.cols.weight
            for ox in range(a.ow):
                set_pixel(a, weight[0], line + index[0] * a.c, y)
                for t in range(1, a.cols.taps):
                    if weight[t] != 0:
                        add_pixel(a, weight[t], line + index[t] * a.c, y)
                index, weight, y = index + a.cols.taps, weight + a.cols.taps, y + a.c
        x += a.ih * row


cdef void gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Resize *a = <const Resize *>args
    cdef float *x = <float *>at(&a.x, begin, slot)
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef float *line = <float *>slot
    cdef Py_ssize_t i, oy, ox, t, row = a.iw * a.c
    cdef const int32_t *index
    cdef const float *weight
    memset(x, 0, (end - begin) * a.ih * row * sizeof(float))
    for i in range(end - begin):
        for oy in range(a.oh):
            memset(line, 0, row * sizeof(float))
            index, weight = a.cols.index, a.cols.weight
            for ox in range(a.ow):
                for t in range(a.cols.taps):
                    if weight[t] != 0:
                        add_pixel(a, weight[t], y, line + index[t] * a.c)
                index, weight, y = index + a.cols.taps, weight + a.cols.taps, y + a.c
            index, weight = a.rows.index + oy * a.rows.taps, a.rows.weight + oy * a.rows.taps
            for t in range(a.rows.taps):
                if weight[t] != 0:
                    a.tiles.axpy(weight[t], line, x + index[t] * row, row)
        x += a.ih * row


cdef object bind_axis(Axis *axis, str name, given, Py_ssize_t inputs, Py_ssize_t outputs):
    """Point `axis` at copies of the pair `given`; gives them, to be kept."""
    index, weight = (np.array(given[0], np.int32, order="C"), np.array(given[1], np.float32, order="C"))
    if (index.ndim != 2 or index.shape != weight.shape or index.shape[0] != outputs or index.shape[1] < 1
            or index.min(initial=0) < 0 or index.max(initial=0) >= inputs):
        raise ValueError(f"resize: {name} of shapes {index.shape} and {weight.shape} do not lead from {inputs} to {outputs}")
    cdef Buffer ib = buffer(index, name, "i"), wb = buffer(weight, name, "f")
    axis.index, axis.weight, axis.taps = <const int32_t *>ib.whole(), <const float *>wb.whole(), index.shape[1]
    return ib, wb

cdef Step bind(x, y, rows, cols, bint gradient):
    cdef Buffer xb = buffer(x, "dx" if gradient else "x", "f", 4, gradient)
    cdef Buffer yb = buffer(y, "dy" if gradient else "y", "f", 4, not gradient)
    cdef Resize a
    n, a.ih, a.iw, a.c = xb.shape
    outputs, a.oh, a.ow, channels = yb.shape
    if n != outputs or a.c != channels or min(a.ih, a.iw) < 1:
        raise ValueError(f"resize: {'dx' if gradient else 'x'} {xb.shape} and {'dy' if gradient else 'y'} {yb.shape} do "
                         "not fit together")
    keep = (xb, yb, bind_axis(&a.rows, "rows", rows, a.ih, a.oh), bind_axis(&a.cols, "cols", cols, a.iw, a.ow))
    a.tiles, a.x, a.y = tiles(), xb.rows(), yb.rows()
    return make_step(gradient_leaf if gradient else forward_leaf, &a, sizeof(a), n,
                     <double>(yb.size() * a.cols.taps + n * a.oh * a.iw * a.c * a.rows.taps),
                     a.iw * a.c * sizeof(float), keep)


def resize_forward(x, y, rows, cols):
    """y[n, oy, ox] = sum over s, t of row_weight[oy, s] col_weight[ox, t] x[n, row[oy, s], col[ox, t]]. One task per
    sample. A weight of zero, but for the first of a pixel, does not read its pixel.

    Args:
        x: (n, ih, iw, c) float32.
        y: (n, oh, ow, c), overwritten.
        rows, cols: pairs of index and weight, each (oh, taps) and (ow, taps), copied.
    """
    return bind(x, y, rows, cols, False)


def resize_gradient(dy, dx, rows, cols):
    """dx of the same sums, in the order of dy; dx (n, ih, iw, c) overwritten. One task per sample."""
    return bind(dx, dy, rows, cols, True)
