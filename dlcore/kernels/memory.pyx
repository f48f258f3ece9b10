# cython: language_level=3
"""Memory of programs, and arrays as steps see them: Arena and Buffer."""
import math

from cpython.buffer cimport (Py_buffer, PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_SIMPLE, PyBUF_WRITABLE,
                             PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer)

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>

    /* Large blocks are mapped on a 2 MB border, in huge pages where the system offers them on request: a step walks all of
     * its arena, and with 4 KB pages that misses the TLB. */
    enum { DLC_HUGE = 2 << 20, DLC_BUSY = 512 << 10 };
    static void *dlc_map(size_t n, int busy, void **block, size_t *mapped) {
        if (n < (busy ? DLC_BUSY : DLC_HUGE)) {
            void *p = NULL;
            if (posix_memalign(&p, 64, n ? n : 64)) return NULL;
            memset(p, 0, n ? n : 64);
            *block = p;
            *mapped = 0;
            return p;
        }
        n = (n + DLC_HUGE - 1) & ~(size_t)(DLC_HUGE - 1); /* or the rest would lie in small pages */
        *mapped = n + DLC_HUGE;
        *block = mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (*block == MAP_FAILED) return NULL;
        char *p = (char *)(((size_t)*block + DLC_HUGE - 1) & ~(size_t)(DLC_HUGE - 1));
    #ifdef MADV_HUGEPAGE
        madvise(p, n, MADV_HUGEPAGE);
    #endif
        return p;
    }
    static void dlc_unmap(void *block, size_t mapped) { if (mapped) munmap(block, mapped); else free(block); }
    """
    void *dlc_map(size_t n, int busy, void **block, size_t *mapped)
    void dlc_unmap(void *block, size_t mapped)


cdef class Arena:
    """`nbytes` of zeroed memory on a 64-byte border (2 MB and huge pages when large), seen through the buffer protocol.

    Args:
        busy: threads work in it all the time. It is large from 512 KB on, not only from 2 MB: small pages fall into the
            same few sets of L2, by chance, and then a step takes up to a third longer.

    Raises:
        MemoryError: the system has no such block.
    """
    def __cinit__(self, Py_ssize_t nbytes, bint busy=False):
        if nbytes < 0:
            raise ValueError(f"Arena: nbytes must not be negative. Received: {nbytes}")
        self.nbytes = nbytes
        self.data = <char *>dlc_map(nbytes, busy, &self.block, &self.mapped)
        if self.data == NULL:
            raise MemoryError(f"cannot allocate {nbytes} bytes")

    def __dealloc__(self):
        if self.data != NULL:
            dlc_unmap(self.block, self.mapped)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.nbytes, 0, flags)

    def buffer(self, Py_ssize_t offset, tuple shape, str dtype):
        """The array of `shape` at `offset` bytes."""
        cdef Buffer b = Buffer.__new__(Buffer)
        b.shape, b.dtype, b.owner, b.writable = shape, dtype, self, True
        b.base = self.data + offset
        if offset < 0 or min(shape, default=1) < 0 or offset + math.prod(shape) * ITEMSIZE[dtype] > self.nbytes:
            raise ValueError(f"Arena.buffer: {shape} {dtype} at {offset} does not fit in {self.nbytes} bytes")
        return b


ITEMSIZE = {"f": 4, "i": 4, "B": 1, "d": 8, "q": 8}
_NAMES = {"f": "float32", "i": "int32", "B": "uint8", "d": "float64", "q": "int64"}


cdef class Buffer:
    cdef Ref rows(self):
        cdef Ref r
        r.base, r.offset = self.base, self.offset
        r.stride = self.row_size() * <Py_ssize_t>ITEMSIZE[self.dtype]
        return r

    cdef char *whole(self) except NULL:
        if self.base == NULL:
            raise ValueError(f"a {self.shape} tensor of one slab was given where one of the whole batch is needed")
        return self.base

    cdef Py_ssize_t size(self):
        cdef Py_ssize_t n = 1
        for d in self.shape:
            n *= <Py_ssize_t>d
        return n

    cdef Py_ssize_t row_size(self):
        cdef Py_ssize_t n = 1
        for d in self.shape[1:]:
            n *= <Py_ssize_t>d
        return n

    def reshape(self, tuple shape):
        """The same memory in another shape."""
        cdef Buffer b = Buffer.__new__(Buffer)
        b.shape, b.dtype, b.writable, b.owner = shape, self.dtype, self.writable, self.owner
        b.base, b.offset = self.base, self.offset
        if b.size() != self.size():
            raise ValueError(f"{self!r} cannot have the shape {shape}")
        return b

    def __repr__(self):
        return f"<Buffer {_NAMES[self.dtype]}{list(self.shape)}{'' if self.base else ' of a slab'}>"


def slot_buffer(Py_ssize_t offset, tuple shape, str dtype):
    """A tensor of one slab at `offset` bytes from each thread's slot. `shape[0]` is that of the whole batch."""
    cdef Buffer b = Buffer.__new__(Buffer)
    b.shape, b.dtype, b.offset, b.writable = shape, dtype, offset, True
    return b


cdef Buffer buffer(object x, str name, str dtype, int ndim=-1, bint write=False):
    """`x` as a Buffer: checks dtype, rank, contiguity, and that an output may be written."""
    cdef Py_buffer view
    cdef Buffer b
    if isinstance(x, Buffer):
        b = x
    else:
        b = Buffer.__new__(Buffer)
        try:
            PyObject_GetBuffer(x, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (TypeError, ValueError, BufferError) as error:
            raise TypeError(f"{name}: expected a C-contiguous {_NAMES[dtype]} array. "
                            f"Received: {type(x).__name__} ({error})") from None
        try:
            b.dtype = {"l": "q", "q": "q"}.get(view.format.decode(), view.format.decode())
            b.shape = tuple([view.shape[i] for i in range(view.ndim)])
            b.base = <char *>view.buf
            b.writable = not view.readonly
            b.owner = memoryview(x)  # keeps the memory alive and unresizable
        finally:
            PyBuffer_Release(&view)
    if b.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {_NAMES[dtype]}. Received: {_NAMES.get(b.dtype, b.dtype)}")
    if ndim < 0 and not b.shape:
        raise ValueError(f"{name}: expected at least 1 dimension. Received: a scalar")
    if ndim >= 0 and len(b.shape) != ndim:
        raise ValueError(f"{name}: expected {ndim} dimensions. Received: shape {b.shape}")
    if write and not b.writable:
        raise ValueError(f"{name}: expected a writable array. Received: a read-only one")
    return b
