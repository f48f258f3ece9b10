# cython: language_level=3
"""What a bound step is: a leaf function and its arguments."""
from libc.stdint cimport int64_t

# One leaf call: tasks begin..end of a bound step. `slot` is memory of the calling thread alone: scratch at slot[0:],
# tensors that live only within a slab below it.
ctypedef void (*Leaf)(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil

cdef class Step:
    cdef Leaf leaf
    cdef void *args
    cdef readonly Py_ssize_t tasks
    cdef readonly double work
    cdef readonly Py_ssize_t scratch
    cdef readonly Py_ssize_t grain               # the only grain it may run with, 0 for any
    cdef object keep


cdef Step make_step(Leaf leaf, const void *args, size_t size, Py_ssize_t tasks, double work, Py_ssize_t scratch,
                    object keep, Py_ssize_t grain=*)


cdef class Clock:
    """Where a run stands: optimizer steps done, and the first row of the batch in work."""
    cdef int64_t step_
    cdef int64_t cursor_
