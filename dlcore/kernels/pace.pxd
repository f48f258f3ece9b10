# cython: language_level=3

cdef class Pace:
    cdef double fastest, alone, until
    cdef int threads
    cpdef int allowed(self, int threads, double now)
    cpdef void took(self, int threads, double seconds, double now)
