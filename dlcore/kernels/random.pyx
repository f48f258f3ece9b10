# cython: language_level=3
"""Dropout from counter-based random numbers: the mask is a function of seed, layer, step and element, so the gradient
draws it again instead of storing it, and no thread count changes it."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from dlcore.kernels.executor cimport Clock, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

ctypedef struct Dropout:
    const dlc_tiles *tiles
    Ref x, y
    const int64_t *step
    Py_ssize_t size
    uint64_t seed
    uint32_t layer, threshold
    float scale

cdef void leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Dropout *a = <const Dropout *>args
    a.tiles.dropout(<const float *>at(&a.x, begin, slot), <float *>at(&a.y, begin, slot), (end - begin) * a.size,
                    <uint64_t>(begin * a.size), a.layer, <uint32_t>a.step[0], a.seed, a.threshold, a.scale)

def dropout(x, y, double rate, uint64_t seed, uint32_t layer, Clock clock not None):
    """y = x / (1 - rate) where word e % 4 of philox4x32((e // 4, layer, step), seed) >= floor(rate * 2^32), else 0, for
    element e of the batch and the clock's step. The gradient is the same step on dy. One task per sample.

    Args:
        x, y: (n, ...) float32 of one shape, y overwritten, y may be x.
        rate: share of elements dropped, 0 <= rate < 1.
    """
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Dropout a
    if xb.shape != yb.shape or not 0 <= rate < 1:
        raise ValueError(f"random.dropout: x {xb.shape}, y {yb.shape}, rate {rate} do not fit together")
    a.tiles, a.x, a.y, a.size, a.step = tiles(), xb.rows(), yb.rows(), xb.row_size(), &clock.step_
    a.seed, a.layer, a.threshold, a.scale = seed, layer, <uint32_t>(rate * 4294967296.0), <float>(1 / (1 - rate))
    return make_step(leaf, &a, sizeof(a), xb.shape[0], 8.0 * xb.size(), 0, (xb, yb, clock))
