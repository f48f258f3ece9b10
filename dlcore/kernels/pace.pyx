# cython: language_level=3
"""Whether other threads are worth their while on processors that somebody else uses, too.

A thread whose processor is taken away comes back milliseconds later, at the kernel's next tick, and all others wait for
it: a prediction of 200 us takes 4 ms. So a step that took longer than one thread would have needed for the whole of it
(at most `threads` times the fastest step seen) is followed by steps of one thread: for as long as was lost, and twice as
long each time that several threads are tried again in vain, up to a second.
"""

cdef double DISTURBED = 1e-3       # seconds that a step takes longer where somebody else has the processor of a thread
cdef double ALONE_SECONDS = 1      # the longest that one thread stays alone after that


cdef class Pace:
    """Of one program."""

    cpdef int allowed(self, int threads, double now, Py_ssize_t steps=1):
        """Threads of a run of `steps` that begins at `now` (seconds): one while that is for the better, but not for a
        run that would outlast it."""
        return threads if now + steps * self.fastest >= self.until else 1

    cpdef void took(self, int threads, double seconds, double now):
        """A step ended at `now`, on several threads, or on one where `allowed` said so."""
        if threads == 1:
            if self.alone > 0 and seconds >= self.disturbed:  # all of the machine became slower
                self.fastest, self.alone, self.until = self.disturbed, 0, 0
            return
        if threads != self.threads or seconds < self.fastest:
            self.threads, self.fastest = threads, seconds
        if seconds < threads * self.fastest + DISTURBED:
            self.alone = 0
        else:
            self.alone = min(2 * self.alone, ALONE_SECONDS) if self.alone > 0 else min(seconds, ALONE_SECONDS)
            self.until, self.disturbed = now + self.alone, seconds
