# cython: language_level=3

cdef class Pace:
    cdef double fastest, alone, until, disturbed
    cdef int threads
    cpdef int allowed(self, int threads, double now, Py_ssize_t steps=*)
    cpdef void took(self, int threads, double seconds, double now)
