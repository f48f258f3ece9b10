# cython: language_level=3
"""Padding for the convolution kernels: a sample with a zeroed border, copied to scratch, so that no tap needs a test."""
from libc.string cimport memcpy, memset

ctypedef struct Border:
    Py_ssize_t h, w, c                # of the sample
    Py_ssize_t top, left, ph, pw      # of the copy

cdef inline Border make_border(Py_ssize_t h, Py_ssize_t w, Py_ssize_t c, top, bottom, left, right):
    cdef Border b
    b.h, b.w, b.c, b.top, b.left = h, w, c, top, left
    b.ph, b.pw = h + top + bottom, w + left + right
    return b

cdef inline bint has_border(const Border *b) noexcept nogil:
    return b.ph != b.h or b.pw != b.w

cdef inline Py_ssize_t border_bytes(const Border *b) noexcept nogil:
    return b.ph * b.pw * b.c * <Py_ssize_t>sizeof(float) if has_border(b) else 0

cdef inline const float *bordered(const Border *b, const float *x, float *copy, bint clear) noexcept nogil:
    """x, or its copy with the border, which only the first copy of a leaf call has to clear."""
    cdef Py_ssize_t y
    if not has_border(b):
        return x
    if clear:
        memset(copy, 0, border_bytes(b))
    for y in range(b.h):
        memcpy(copy + ((y + b.top) * b.pw + b.left) * b.c, x + y * b.w * b.c, b.w * b.c * sizeof(float))
    return copy
