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

cdef inline void copy_rows(const Border *b, const float *x, float *copy, Py_ssize_t first, Py_ssize_t last,
                           bint clear) noexcept nogil:
    """Rows first..last-1 of the copy, with their border if `clear`."""
    cdef Py_ssize_t y, begin = min(max(first, b.top), last), end = max(min(last, b.top + b.h), begin)
    cdef Py_ssize_t row = b.pw * b.c, left = b.left * b.c, width = b.w * b.c
    if clear:
        memset(copy + first * row, 0, ((begin - first) * row + (left if end > begin else 0)) * sizeof(float))
    for y in range(begin, end):
        memcpy(copy + y * row + left, x + (y - b.top) * width, width * sizeof(float))
        if clear and y + 1 < end:  # to the right of this row and to the left of the next one
            memset(copy + y * row + left + width, 0, (row - width) * sizeof(float))
    if clear and end > begin:
        memset(copy + (end - 1) * row + left + width, 0, ((last - end + 1) * row - left - width) * sizeof(float))
    elif clear:
        memset(copy + begin * row, 0, (last - begin) * row * sizeof(float))

cdef inline const float *bordered(const Border *b, const float *x, float *copy, bint clear) noexcept nogil:
    """x, or its copy with the border, which only the first copy of a leaf call has to clear."""
    if not has_border(b):
        return x
    copy_rows(b, x, copy, 0, b.ph, clear)
    return copy
