# cython: language_level=3
"""Who may touch the weights when."""

cdef class SharedLock:
    """Many predictions at a time, or one training step: a prediction never sees half-updated weights.

    Fair to both: predictions that come while a step waits or runs go before the next step, and later ones after it.
    """
    cdef readonly object condition
    cdef readonly Py_ssize_t readers
    cdef readonly Py_ssize_t writers         # waiting or writing
    cdef readonly Py_ssize_t waiting         # readers that the present write holds up
    cdef readonly Py_ssize_t due             # readers that it held up and that have not woken yet
    cdef readonly Py_ssize_t writes
    cdef readonly bint writing
    cdef object lock, unlock

    cdef bint enter(self) noexcept           # begin to read, unless it has to wait
    cdef int leave(self) except -1           # end what `enter` began


cdef class Changes:
    """When something changed last, so that nobody needs to look at all of it at every call."""
    cdef readonly object last                # another object after every change
