# cython: language_level=3
"""Dropout and noise from counter-based random numbers: what is drawn is a function of seed, layer, step and element, so the
gradient draws it again instead of storing it, and no thread count changes it."""
import math

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


# ---------------------------------------------------------------------------------------------------------------------
# one mask for many elements

cdef enum:
    DIMS = 8

ctypedef struct Masked:
    const dlc_tiles *tiles
    Ref x, y
    const int64_t *step
    Py_ssize_t size, mask_size     # elements of a sample, of its mask
    Py_ssize_t shape[DIMS]         # of a sample, axes of one kind taken together
    Py_ssize_t stride[DIMS]        # of its mask along them, 0 where it is the same
    int ndim
    bint one                       # mask for the batch
    uint64_t seed
    uint32_t layer, threshold
    float scale, shift, low


cdef void masked_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Masked *a = <const Masked *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef float *mask = <float *>slot
    cdef const float *m
    cdef Py_ssize_t i, j, k, d, at_mask, inner = a.shape[a.ndim - 1], unit = a.stride[a.ndim - 1]
    cdef Py_ssize_t index[DIMS]
    for i in range(begin, end):
        if i == begin or not a.one:
            for k in range(a.mask_size):
                mask[k] = 1
            a.tiles.dropout(mask, mask, a.mask_size, 0 if a.one else <uint64_t>(i * a.mask_size), a.layer,
                            <uint32_t>a.step[0], a.seed, a.threshold, 1)
        for d in range(a.ndim):
            index[d] = 0
        at_mask = j = 0
        while j < a.size:
            m = mask + at_mask
            if unit:
                for k in range(inner):
                    y[k] = x[k] * a.scale + a.shift if m[k] != 0 else a.low
            elif m[0] != 0:
                for k in range(inner):
                    y[k] = x[k] * a.scale + a.shift
            else:
                for k in range(inner):
                    y[k] = a.low
            x += inner
            y += inner
            j += inner
            d = a.ndim - 2
            while d >= 0:
                index[d] += 1
                at_mask += a.stride[d]
                if index[d] < a.shape[d]:
                    break
                at_mask -= a.stride[d] * a.shape[d]
                index[d] = 0
                d -= 1


def masked(x, y, tuple noise_shape, double rate, uint64_t seed, uint32_t layer, Clock clock not None, double scale,
           double shift=0, double low=0):
    """y = x * scale + shift where the mask keeps x, else low. The mask has `noise_shape`, a 1 there being one number for the
    whole axis; its elements are kept as in `dropout`. One task per sample.

    Args:
        x, y: (n, ...) float32 of one shape, y overwritten, y may be x.
        noise_shape: sizes of x or 1, the batch in front; up to 8 runs of axes of one kind.
        rate: share of mask elements dropped, 0 <= rate < 1.
    """
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Masked a
    cdef list runs = [], run = None
    if (xb.shape != yb.shape or not 0 <= rate < 1 or len(noise_shape) != len(xb.shape)
            or any(m not in (1, n) for m, n in zip(noise_shape, xb.shape))):
        raise ValueError(f"random.masked: x {xb.shape}, y {yb.shape}, noise {noise_shape}, rate {rate} do not fit together")
    for m, n in zip(noise_shape[1:], xb.shape[1:]):
        if n == 1:
            continue
        if run is not None and run[1] == (m == n):
            run[0] *= n
        else:
            run = [n, m == n]
            runs.append(run)
    runs = runs or [[1, True]]
    if len(runs) > DIMS:
        raise ValueError(f"random.masked: noise {noise_shape} alternates between shared and own axes more than {DIMS} times")
    a.ndim, a.mask_size = len(runs), 1
    for d in reversed(range(a.ndim)):
        a.shape[d], a.stride[d] = runs[d][0], a.mask_size if runs[d][1] else 0
        a.mask_size *= runs[d][0] if runs[d][1] else 1
    a.tiles, a.x, a.y, a.size, a.step = tiles(), xb.rows(), yb.rows(), xb.row_size(), &clock.step_
    a.one = noise_shape[0] == 1 and xb.shape[0] != 1
    a.seed, a.layer, a.threshold = seed, layer, <uint32_t>(rate * 4294967296.0)
    a.scale, a.shift, a.low = scale, shift, low
    return make_step(masked_leaf, &a, sizeof(a), xb.shape[0], 2.0 * xb.size() + 8.0 * a.mask_size * xb.shape[0],
                     a.mask_size * sizeof(float), (xb, yb, clock))


# ---------------------------------------------------------------------------------------------------------------------
# normal noise

ctypedef struct Gaussian:
    const dlc_tiles *tiles
    Ref x, y
    const int64_t *step
    Py_ssize_t size
    uint64_t seed
    uint32_t layer
    float stddev
    bint multiply

cdef void gaussian_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Gaussian *a = <const Gaussian *>args
    a.tiles.gaussian(<const float *>at(&a.x, begin, slot), <float *>at(&a.y, begin, slot), (end - begin) * a.size,
                     <uint64_t>(begin * a.size), a.layer, <uint32_t>a.step[0], a.seed, a.stddev, a.multiply)

def gaussian(x, y, double stddev, uint64_t seed, uint32_t layer, Clock clock not None, bint multiply=False):
    """y = x + stddev * z, or x * (1 + stddev * z), with z the standard normal number (Box & Muller, 1958) of an element of
    the batch and the clock's step. The gradient of the product is the same step on dy. One task per sample.

    Args:
        x, y: (n, ...) float32 of one shape, y overwritten, y may be x.
        stddev: not negative.
    """
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Gaussian a
    if xb.shape != yb.shape or not 0 <= stddev < math.inf:
        raise ValueError(f"random.gaussian: x {xb.shape}, y {yb.shape}, stddev {stddev} do not fit together")
    a.tiles, a.x, a.y, a.size, a.step = tiles(), xb.rows(), yb.rows(), xb.row_size(), &clock.step_
    a.seed, a.layer, a.stddev, a.multiply = seed, layer, stddev, multiply
    return make_step(gaussian_leaf, &a, sizeof(a), xb.shape[0], 20.0 * xb.size(), 0, (xb, yb, clock))
