# cython: language_level=3
"""Where the operands of a step live."""

# Where a leaf finds an operand. A tensor of the whole batch has a base; a tensor that lives only from one step of a slab
# to the next has none, and starts at slot + offset for every slab.
ctypedef struct Ref:
    char *base
    Py_ssize_t offset
    Py_ssize_t stride  # bytes per task


cdef inline Py_ssize_t ceildiv(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b


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


cdef class Arena:
    cdef char *data
    cdef void *block
    cdef size_t mapped
    cdef readonly Py_ssize_t nbytes
