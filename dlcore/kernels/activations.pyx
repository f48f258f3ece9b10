# cython: language_level=3
"""Elementwise activations and their gradients, which need only the output: relu, relu6, sigmoid, tanh."""
from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport DLC_LINEAR, DLC_RELU, DLC_RELU6, DLC_SIGMOID, DLC_TANH, dlc_tiles, tiles

KINDS = {"linear": DLC_LINEAR, "relu": DLC_RELU, "sigmoid": DLC_SIGMOID, "tanh": DLC_TANH,
         "relu6": DLC_RELU6}

ctypedef struct Activation:
    const dlc_tiles *tiles
    Ref x, y, dx, more
    Py_ssize_t size       # floats per task
    int kind
    bint sums

cdef Py_ssize_t PIECE = 4096   # floats that a second pass finds in L1

cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Activation *a = <const Activation *>args
    a.tiles.activate(a.kind, <const float *>at(&a.x, begin, slot), <float *>at(&a.y, begin, slot),
                     (end - begin) * a.size)

cdef void gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Activation *a = <const Activation *>args
    cdef const float *dy = <const float *>at(&a.x, begin, slot)
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *more = <const float *>at(&a.more, begin, slot) if a.sums else NULL
    cdef float *dx = <float *>at(&a.dx, begin, slot)
    cdef Py_ssize_t i = 0, n = (end - begin) * a.size, count
    while i < n:
        count = min(PIECE, n - i) if a.sums else n
        if a.sums:
            a.tiles.add(dy + i, more + i, dx + i, count)
        a.tiles.activate_gradient(a.kind, (dx if a.sums else dy) + i, y + i, dx + i, count)
        i += count


def forward(x, y, str kind):
    """y = act(x), elementwise; x and y (n, ...) float32 of one shape, y overwritten, y may be x. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Activation a
    if xb.shape != yb.shape:
        raise ValueError(f"activations.forward: expected y of shape {xb.shape}. Received: {yb.shape}")
    a.tiles, a.kind, a.x, a.y, a.size = tiles(), KINDS[kind], xb.rows(), yb.rows(), xb.row_size()
    return make_step(forward_leaf, &a, sizeof(a), xb.shape[0], 4.0 * xb.size(), 0, (xb, yb))


def gradient(dy, y, dx, str kind, more=None):
    """dx = (dy + more) * act'(x), from the output y = act(x); all (n, ...) of one shape, more may be None; dx overwritten, dx
    may be dy or more. One task per sample."""
    cdef Buffer gb = buffer(dy, "dy", "f"), yb = buffer(y, "y", "f"), xb = buffer(dx, "dx", "f", -1, True), mb = None
    cdef Activation a
    a.sums = more is not None
    if a.sums:
        mb = buffer(more, "more", "f")
        a.more = mb.rows()
        if mb.shape != gb.shape:
            raise ValueError(f"activations.gradient: expected more of shape {gb.shape}. Received: {mb.shape}")
    if gb.shape != yb.shape or gb.shape != xb.shape:
        raise ValueError(f"activations.gradient: dy {gb.shape}, y {yb.shape} and dx {xb.shape} must have one shape")
    a.tiles, a.kind, a.x, a.y, a.dx, a.size = tiles(), KINDS[kind], gb.rows(), yb.rows(), xb.rows(), gb.row_size()
    return make_step(gradient_leaf, &a, sizeof(a), gb.shape[0], gb.size(), 0, (gb, yb, xb, mb))
