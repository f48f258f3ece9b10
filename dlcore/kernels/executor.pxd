# cython: language_level=3
"""What every kernel module shares: where operands live (Ref, Buffer) and what a bound step is (Leaf, Step)."""
from libc.stdint cimport int64_t

# One leaf call: tasks begin..end of a bound step. `slot` is memory of the calling thread alone: scratch at slot[0:],
# tensors that live only within a slab below it.
ctypedef void (*Leaf)(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil

# Where a leaf finds an operand. A tensor of the whole batch has a base; a tensor that lives only from one step of a slab
# to the next has none, and starts at slot + offset for every slab.
ctypedef struct Ref:
    char *base
    Py_ssize_t offset
    Py_ssize_t stride  # bytes per task


cdef inline char *at(const Ref *r, Py_ssize_t begin, char *slot) noexcept nogil:
    """The operand's first byte for task `begin`, which is the first task of this call."""
    if r.base == NULL:
        return slot + r.offset
    return r.base + begin * r.stride


cdef class Buffer:
    """A dense array that a step reads or writes: an address, or an offset into each thread's slot."""
    cdef readonly tuple shape
    cdef readonly str dtype
    cdef readonly bint writable
    cdef char *base
    cdef Py_ssize_t offset
    cdef object owner

    cdef Ref rows(self)                          # one task per entry of axis 0
    cdef char *whole(self) except NULL           # all of it; refuses slot tensors
    cdef Py_ssize_t size(self)                   # elements
    cdef Py_ssize_t row_size(self)               # elements per entry of axis 0


cdef Buffer buffer(object x, str name, str dtype, int ndim=*, bint write=*)


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
