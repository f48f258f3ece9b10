# cython: language_level=3
"""Fetching ahead: what a thread's next chunk reads from memory, or writes there, comes into cache while this chunk
multiplies.

Products are bound by arithmetic and leave memory idle; the passes around them, such as those of a batch normalisation,
are bound by memory and leave arithmetic idle. They run one after the other, for each finds in cache what the one before
left. So a product, tile by tile, asks for as large a part of the next chunk's rows as it is of the chunk's multiply-adds.
Rows to be written are fetched as well: a processor reads a line before it writes a part of it. These are hints: results
do not depend on them, nor need the lines ever be used.
"""

cdef extern from *:
    """
    #include <stddef.h>

    enum { AHEAD_RANGES = 16, AHEAD_LINE = 64 };
    typedef struct { const char *next, *end; int write; } ahead_lines;

    static __thread struct { double rate, due; int at, count; ahead_lines lines[AHEAD_RANGES]; } ahead;

    static void ahead_begin(double rate) {
        ahead.rate = rate;
        ahead.due = 0;
        ahead.at = ahead.count = 0;
    }

    static void ahead_add(const char *base, ptrdiff_t n, int write) {
        const ahead_lines lines = {base, base + n, write};
        ahead.lines[ahead.count++] = lines;
    }

    static void ahead_some(double work) {
        if (ahead.at == ahead.count) return;
        ahead.due += work * ahead.rate;
        ptrdiff_t count = (ptrdiff_t)(ahead.due / AHEAD_LINE);
        ahead.due -= (double)(count * AHEAD_LINE);
        while (count > 0 && ahead.at < ahead.count) {
            ahead_lines *l = &ahead.lines[ahead.at];
            const char *p = l->next;
            for (; count > 0 && p < l->end; count--, p += AHEAD_LINE)
                if (l->write) __builtin_prefetch(p, 1, 2); else __builtin_prefetch(p, 0, 2);
            l->next = p;
            if (p >= l->end) ahead.at++;
        }
    }
    """
    void ahead_begin(double rate) noexcept nogil
    void ahead_add(const char *base, Py_ssize_t n, bint write) noexcept nogil
    void ahead_some(double work) noexcept nogil


cdef void fetch_from(const Ahead *ahead, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """From now on, the calling thread's `fetch_some` brings rows begin..end of these ranges, in order."""
    cdef const Range *r
    cdef int i
    ahead_begin(ahead.rate)
    for i in range(ahead.count if begin < end else 0):
        r = &ahead.range[i]
        ahead_add(r.base + begin * r.stride, (end - begin) * r.stride, r.write)


cdef void fetch_some(double work) noexcept nogil:
    """Fetch as much as belongs to so many multiply-adds."""
    ahead_some(work)
