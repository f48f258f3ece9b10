# cython: language_level=3
"""Fetching ahead: see `ahead.pyx`."""

cdef enum:
    RANGES = 16

# Where rows of the batch lie that a chunk reads from memory, or writes there.
ctypedef struct Range:
    char *base
    Py_ssize_t stride  # bytes per task
    bint write

ctypedef struct Ahead:
    int count
    double rate        # bytes of a task per multiply-add of it in steps that call `fetch_some`
    Range range[RANGES]

cdef void fetch_from(const Ahead *ahead, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
cdef void fetch_some(double work) noexcept nogil
