# cython: language_level=3
"""Optimizer steps: every array is read once and written once."""
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t

from dlcore.kernels.executor cimport Clock, Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_tiles, tiles

BLOCK = 2048     # floats per task, where the caller has no wish

ctypedef struct Update:
    const dlc_tiles *tiles
    float *w
    const float *g
    float *m
    float *v
    const double *learning_rate
    const int64_t *step
    Py_ssize_t size, block          # floats, and floats per task
    double beta1, beta2, epsilon    # momentum is beta1
    bint nesterov


cdef Step bind(Leaf leaf, Update *a, w, g, m, v, learning_rate, Clock clock, double cost, Py_ssize_t block):
    cdef Buffer wb = buffer(w, "w", "f", -1, True), gb = buffer(g, "g", "f"), mb = None, vb = None
    cdef Buffer rb = buffer(learning_rate, "learning_rate", "d", 1)
    for name, x in (("m", m), ("v", v)):
        if x is not None and buffer(x, name, "f", -1, True).shape != wb.shape:
            raise ValueError(f"optimizers: expected {name} of shape {wb.shape}. Received: {buffer(x, name, 'f').shape}")
    if gb.shape != wb.shape or rb.shape[0] != 1 or block < 1:
        raise ValueError(f"optimizers: w {wb.shape}, g {gb.shape}, learning_rate {rb.shape} and block {block} do not fit "
                         "together")
    a.tiles, a.w, a.g, a.size, a.block = tiles(), <float *>wb.whole(), <const float *>gb.whole(), wb.size(), block
    a.learning_rate = <const double *>rb.whole()
    a.m = a.v = NULL
    if m is not None:
        mb = buffer(m, "m", "f", -1, True)
        a.m = <float *>mb.whole()
    if v is not None:
        vb = buffer(v, "v", "f", -1, True)
        a.v = <float *>vb.whole()
    a.step = &clock.step_ if clock is not None else NULL
    return make_step(leaf, a, sizeof(Update), ceildiv(a.size, block), cost * a.size, 0, (wb, gb, mb, vb, rb, clock))


cdef void sgd_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Update *a = <const Update *>args
    cdef Py_ssize_t i = begin * a.block
    a.tiles.sgd(a.w + i, a.g + i, a.v + i if a.v != NULL else NULL, <float>a.learning_rate[0], <float>a.beta1, a.nesterov,
                min(end * a.block, a.size) - i)

def sgd(w, g, v, learning_rate, double momentum=0, bint nesterov=False, Py_ssize_t block=BLOCK):
    """v = momentum v - lr g; w += v, with Nesterov w += momentum v - lr g. One task per `block` floats.

    Args:
        w, v: (...) float32 of one shape, updated; v may be None without momentum.
        g: likewise.
        learning_rate: (1,) float64, read at every step.
    """
    cdef Update a
    if momentum != 0 and v is None:
        raise ValueError("optimizers.sgd: momentum needs v. Received: None")
    a.beta1, a.nesterov = momentum, nesterov
    return bind(sgd_leaf, &a, w, g, None, v, learning_rate, None, 1, block)


cdef void adam_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Update *a = <const Update *>args
    cdef Py_ssize_t i = begin * a.block
    cdef double t = <double>(a.step[0] + 1)
    cdef double alpha = a.learning_rate[0] * sqrt(1 - pow(a.beta2, t)) / (1 - pow(a.beta1, t))
    a.tiles.adam(a.w + i, a.g + i, a.m + i, a.v + i, <float>alpha, <float>(1 - a.beta1), <float>(1 - a.beta2),
                 <float>a.epsilon, min(end * a.block, a.size) - i)

def adam(w, g, m, v, learning_rate, Clock clock, double beta1=0.9, double beta2=0.999, double epsilon=1e-7,
         Py_ssize_t block=BLOCK):
    """Adam (Kingma & Ba, arXiv 1412.6980) as Keras 3 computes it, with t = clock.step + 1:
    m += (1-b1)(g-m); v += (1-b2)(g^2-v); w -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon). One task per `block`
    floats.

    Args:
        w, m, v: (...) float32 of one shape, updated.
        g: likewise.
        learning_rate: (1,) float64, read at every step.
    """
    cdef Update a
    if m is None or v is None or clock is None:
        raise ValueError("optimizers.adam: expected m, v and clock. Received: None")
    a.beta1, a.beta2, a.epsilon = beta1, beta2, epsilon
    return bind(adam_leaf, &a, w, g, m, v, learning_rate, clock, 10, block)
