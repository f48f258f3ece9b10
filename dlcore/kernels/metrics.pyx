# cython: language_level=3
"""Accuracies of one value per sample, and the running totals of losses and metrics."""
from libc.stdint cimport int32_t

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer

ctypedef struct Accuracy:
    Ref y, p, out
    Py_ssize_t rows, n
    double threshold


cdef inline Py_ssize_t argmax(const float *p, Py_ssize_t n) noexcept nogil:
    """The first maximum; the first NaN beats everything, as in NumPy."""
    cdef Py_ssize_t j
    cdef float top = p[0]
    cdef bint odd = top != top
    for j in range(1, n):  # without branches, which labels make unpredictable
        odd |= p[j] != p[j]
        top = p[j] if p[j] > top else top
    for j in range(n):
        if p[j] != p[j] if odd else p[j] == top:
            return j
    return 0

cdef void sparse_categorical_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Accuracy *a = <const Accuracy *>args
    cdef const int32_t *labels = <const int32_t *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *out = <float *>at(&a.out, begin, slot)
    cdef Py_ssize_t i, row, right
    for i in range(end - begin):
        right = 0
        for row in range(i * a.rows, (i + 1) * a.rows):
            right += argmax(p + row * a.n, a.n) == labels[row]
        out[i] = <float>right / a.rows

cdef void categorical_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Accuracy *a = <const Accuracy *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *out = <float *>at(&a.out, begin, slot)
    cdef Py_ssize_t i, row, right
    for i in range(end - begin):
        right = 0
        for row in range(i * a.rows, (i + 1) * a.rows):
            right += argmax(p + row * a.n, a.n) == argmax(y + row * a.n, a.n)
        out[i] = <float>right / a.rows

cdef void binary_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Accuracy *a = <const Accuracy *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *out = <float *>at(&a.out, begin, slot)
    cdef Py_ssize_t i, j, right, size = a.rows * a.n
    for i in range(end - begin):
        right = 0
        for j in range(i * size, (i + 1) * size):
            right += (p[j] > a.threshold) == y[j]
        out[i] = <float>right / size


cdef Step bind(Leaf leaf, str what, y, p, out, bint sparse, double threshold):
    cdef Buffer pb = buffer(p, "p", "f"), yb = buffer(y, "y", "i" if sparse else "f"), ob = buffer(out, "out", "f", 1, True)
    cdef Accuracy a
    expected = pb.shape[:len(pb.shape) - 1] if sparse else pb.shape
    if yb.shape != expected or ob.shape[0] != pb.shape[0] or len(pb.shape) < 2:
        raise ValueError(f"{what}: y {yb.shape}, p {pb.shape} and out {ob.shape} do not fit together")
    a.y, a.p, a.out, a.threshold = yb.rows(), pb.rows(), ob.rows(), threshold
    a.n = pb.shape[len(pb.shape) - 1]
    a.rows = pb.row_size() // a.n if a.n else 0
    return make_step(leaf, &a, sizeof(a), pb.shape[0], pb.size(), 0, (yb, pb, ob))


def sparse_categorical_accuracy(y, p, out):
    """out[n] = share of the rows of sample n with argmax p = y. y (n, ...) int32, p (n, ..., c), out (n,) overwritten."""
    return bind(sparse_categorical_leaf, "sparse_categorical_accuracy", y, p, out, True, 0)

def categorical_accuracy(y, p, out):
    """out[n] = share of the rows of sample n with argmax p = argmax y. y and p (n, ..., c), out (n,) overwritten."""
    return bind(categorical_leaf, "categorical_accuracy", y, p, out, False, 0)

def binary_accuracy(y, p, out, double threshold=0.5):
    """out[n] = share of the entries of sample n with (p > threshold) = y. y and p (n, ..., c), out (n,) overwritten."""
    return bind(binary_leaf, "binary_accuracy", y, p, out, False, threshold)


# ---------------------------------------------------------------------------------------------------------------------
# running totals

ctypedef struct Total:
    const float *x
    double *total
    Py_ssize_t n

cdef void accumulate_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Total *a = <const Total *>args
    cdef Py_ssize_t i
    cdef double sum = 0
    for i in range(a.n):
        sum += a.x[i]
    a.total[0] += sum
    a.total[1] += <double>a.n

def accumulate(x, total):
    """total[0] += sum of x, total[1] += n, in double. x (n,) float32, total (2,) float64, updated. One task."""
    cdef Buffer xb = buffer(x, "x", "f", 1), tb = buffer(total, "total", "d", 1, True)
    cdef Total a
    if tb.shape[0] != 2:
        raise ValueError(f"metrics.accumulate: expected total of shape (2,). Received: {tb.shape}")
    a.x, a.total, a.n = <const float *>xb.whole(), <double *>tb.whole(), xb.shape[0]
    return make_step(accumulate_leaf, &a, sizeof(a), 1, xb.shape[0], 0, (xb, tb))
