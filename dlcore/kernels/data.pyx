# cython: language_level=3
"""The border between the caller's arrays and a program: gathering the rows of a batch, and storing predictions.

A Feed is where a program's input comes from, or its output goes. It is set per run; the rows of a batch follow the clock's
cursor, so one run can walk through many batches without coming back to Python.

A Predictor is the short way from an array of one batch to its predictions: for small batches, checking and feeding in Python
takes longer than the kernels.
"""
import os

import numpy as np

from cpython.buffer cimport (Py_buffer, PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release,
                             PyObject_GetBuffer)
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, strcmp

from dlcore.kernels.executor cimport Clock, Step, make_step
from dlcore.kernels.locks cimport SharedLock
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

cdef class Feed:
    """A slot for an array of `row` elements a row.

    Args:
        dtype: "f" float32, "B" uint8 or "i" int32, of the array that `set` will get.
        row: elements per entry of axis 0.
    """
    cdef char *data
    cdef const int64_t *index
    cdef Py_ssize_t count                 # rows that a run may read
    cdef readonly str dtype
    cdef readonly Py_ssize_t row
    cdef object keep

    def __init__(self, str dtype, Py_ssize_t row):
        self.dtype, self.row = dtype, row

    def set(self, array, index=None, bint write=False):
        """Use the rows `array[index]`, or those of `array` in order; (rows, ...) C-contiguous.

        The caller has checked that `index`, int64, stays inside the array and that the run stays inside both.
        """
        cdef Buffer b = buffer(array, "array", self.dtype, -1, write), n = None
        if b.row_size() != self.row:
            raise ValueError(f"Feed: expected {self.row} elements a row. Received: shape {b.shape}")
        self.data, self.index = b.whole() if b.size() else NULL, NULL
        if index is not None:
            n = buffer(index, "index", "q", 1)
            self.index = <const int64_t *>n.whole()
        self.count = b.shape[0] if n is None else n.shape[0]
        self.keep = (b, n)

    def clear(self):
        self.data, self.index, self.keep = NULL, NULL, None


ctypedef struct Transfer:
    const dlc_tiles *tiles
    Ref y
    char *const *data
    const int64_t *const *index
    const Py_ssize_t *count
    const int64_t *cursor
    Py_ssize_t row, itemsize
    float scale
    bint convert

cdef extern from *:
    """
    static inline void dlc_fetch(const char *p, ptrdiff_t n) {
        for (ptrdiff_t i = 0; i < n; i += 64) __builtin_prefetch(p + i, 0, 2); /* into L2 */
    }
    """
    void fetch "dlc_fetch"(const char *p, Py_ssize_t n) noexcept nogil

cdef void gather_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Transfer *a = <const Transfer *>args
    cdef char *y = at(&a.y, begin, slot)
    cdef const char *source
    cdef const int64_t *index = a.index[0]
    cdef int64_t i, row, last = min(a.cursor[0] + 2 * end - begin, a.count[0])
    if index != NULL:  # shuffled rows come from anywhere in memory: ask for those of the next slab now
        for row in range(a.cursor[0] + end, last):
            fetch(a.data[0] + index[row] * a.row * a.itemsize, a.row * a.itemsize)
    for i in range(end - begin):
        row = a.cursor[0] + begin + i
        source = a.data[0] + (index[row] if index != NULL else row) * a.row * a.itemsize
        if a.convert:
            a.tiles.scale_u8(<const uint8_t *>source, a.scale, <float *>y + i * a.row, a.row)
        elif a.scale != 1:
            a.tiles.scale(<const float *>source, a.scale, <float *>y + i * a.row, a.row)
        else:
            memcpy(y + i * a.row * a.itemsize, source, a.row * a.itemsize)

def gather(Feed feed not None, Clock clock not None, y, float scale=1):
    """y[i] = scale * feed rows[index[cursor + i]]: uint8 or float32 to float32, int32 to int32. One task per sample.

    Args:
        y: (n, ...) float32 or int32, overwritten.
        scale: factor, 1 for int32.
    """
    cdef Buffer yb = buffer(y, "y", "i" if feed.dtype == "i" else "f", -1, True)
    cdef Transfer a
    if yb.row_size() != feed.row or (feed.dtype == "i" and scale != 1):
        raise ValueError(f"data.gather: y {yb.shape} does not fit rows of {feed.row} {feed.dtype}, scale {scale}")
    a.tiles, a.y, a.row, a.scale, a.convert = tiles(), yb.rows(), feed.row, scale, feed.dtype == "B"
    a.itemsize = 1 if a.convert else 4
    a.data, a.index, a.count, a.cursor = &feed.data, &feed.index, &feed.count, &clock.cursor_
    return make_step(gather_leaf, &a, sizeof(a), yb.shape[0], yb.size(), 0, (yb, feed, clock))


cdef void store_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Transfer *a = <const Transfer *>args
    memcpy(a.data[0] + (a.cursor[0] + begin) * a.row * 4, at(&a.y, begin, slot), (end - begin) * a.row * 4)

def store(x, Feed feed not None, Clock clock not None):
    """feed rows[cursor + i] = x[i], float32. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f")
    cdef Transfer a
    if feed.dtype != "f" or xb.row_size() != feed.row:
        raise ValueError(f"data.store: x {xb.shape} does not fit rows of {feed.row} {feed.dtype}")
    a.y, a.row = xb.rows(), feed.row
    a.data, a.cursor = &feed.data, &clock.cursor_
    return make_step(store_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, feed, clock))


cdef extern from "sync.h" nogil:
    double dlc_seconds()

cdef extern from *:
    """
    static __thread double dlc_last_prediction; /* OpenMP has other workers for each thread that calls it */
    """
    double dlc_last_prediction

cdef object ndarray = np.ndarray, empty = np.empty, float32 = np.dtype(np.float32)
cdef double WAKING_WORK = 1e7  # multiply-adds below which one thread is done before another one has woken: about 100 us
cdef double AWAKE_SECONDS = 0 if os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "passive" else 1e-3

cdef inline bint worth_waking(double work) noexcept:
    """Whether a program should use more threads than this one: not when it is small and the others sleep by now."""
    global dlc_last_prediction
    cdef double now = dlc_seconds(), before = dlc_last_prediction
    dlc_last_prediction = now
    return work >= WAKING_WORK or now - before < AWAKE_SECONDS


cdef class Predictor:
    """Programs that turn samples into predictions, by batch size. One thread at a time may use it.

    Args:
        function: has `programs`, an OrderedDict {batch: Program}, the one used last at its end, and their `cursor`.
        x, y: feeds of the programs, "f" or "B" and "f".
        sample, result: shapes of a sample and of its prediction.
    """
    cdef readonly object function
    cdef object programs
    cdef Clock cursor
    cdef Feed x, y
    cdef tuple sample, result
    cdef Py_ssize_t last       # samples of the last batch
    cdef tuple shape           # of its predictions

    def __init__(self, function, Feed x not None, Feed y not None, tuple sample not None, tuple result not None):
        self.function, self.programs, self.cursor = function, function.programs, function.cursor
        self.x, self.y, self.sample, self.result, self.last = x, y, sample, result, -1

    @property
    def dtype(self):
        """Of the samples, as for Feed."""
        return self.x.dtype

    cdef object predict(self, const Py_buffer *samples, threads, weights):
        """Predictions for a batch, or None where there is no program for it."""
        cdef Py_ssize_t i, n
        cdef Py_buffer room
        if samples.ndim != len(self.sample) + 1:
            return None
        for i in range(samples.ndim - 1):
            if samples.shape[i + 1] != <Py_ssize_t>self.sample[i]:
                return None
        n = samples.shape[0]
        program = self.programs.get(n)
        if program is None:
            return None
        if n != self.last:
            self.programs.move_to_end(n)
            self.last, self.shape = n, (n, *self.result)
        y = empty(self.shape, float32)
        PyObject_GetBuffer(y, &room, PyBUF_WRITABLE)
        self.x.data, self.x.index, self.y.data = <char *>samples.buf, NULL, <char *>room.buf
        self.cursor.cursor_ = 0
        try:
            program.run(1, threads() if not program.serial and worth_waking(program.work) else 1, weights)
        finally:
            self.x.data = self.y.data = NULL
            PyBuffer_Release(&room)
        return y


cdef class Predictors:
    """The idle predictors of a model. Called with an array, one of them predicts it: as many threads at a time as there are
    predictors.

    Args:
        lock: read while one predicts.
        threads: says how many threads a program that is not serial may use.
        weights: its `last` stands for the values of the weights, see `Program.run`.
    """
    cdef readonly dict idle  # {dtype of the samples: list of Predictor}
    cdef SharedLock lock
    cdef object threads, weights

    def __init__(self, SharedLock lock not None, threads, weights):
        self.lock, self.threads, self.weights, self.idle = lock, threads, weights, {"f": [], "B": []}

    def take(self, str dtype):
        """An idle predictor, None if there is none."""
        cdef list idle = self.idle[dtype]
        return idle.pop() if idle else None

    def give(self, Predictor predictor not None):
        """The predictor is idle now."""
        self.idle[predictor.dtype].append(predictor)

    def __call__(self, x):
        """Predictions (n, *result) float32 for a C-contiguous, aligned array of float32 or uint8 (n, *sample). None where
        that is not what `x` is, no idle predictor has a program for n samples, or somebody writes."""
        cdef Py_buffer samples
        cdef Predictor predictor
        cdef list idle
        if type(x) is not ndarray:
            return None
        try:
            PyObject_GetBuffer(x, &samples, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (ValueError, BufferError):
            return None
        try:
            if strcmp(samples.format, "f") == 0:
                idle = self.idle["f"]
            elif strcmp(samples.format, "B") == 0:
                idle = self.idle["B"]
            else:
                return None
            if <size_t>samples.buf % <size_t>samples.itemsize or not idle or not self.lock.enter():
                return None
            predictor = idle.pop()
            try:
                return predictor.predict(&samples, self.threads, self.weights.last)
            finally:
                idle.append(predictor)
                self.lock.leave()
        finally:
            PyBuffer_Release(&samples)
