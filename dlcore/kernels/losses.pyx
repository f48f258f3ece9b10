# cython: language_level=3
"""Losses and their gradients: cross-entropies on probabilities, binary cross-entropy, squared error. A sample with several
positions (its axes between the first and the last) has the mean over them where `loss` is (n,), or one value for each
where `loss` has their shape, that of p without its last axis.

Probabilities are clipped to [1e-7, 1 - 1e-7] in float32, and a clipped one has no gradient, as in Keras 3.
"""
from libc.math cimport NAN, exp, fabs, log, log1p
from libc.stdint cimport int32_t

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

cdef float LOW = 1e-7
cdef float HIGH = <float>(1.0 - 1e-7)

ctypedef struct Loss:
    const dlc_tiles *tiles
    Ref y, p, loss, dp      # targets or labels, predictions, loss or its gradient, gradient of p
    Py_ssize_t units, rows, n   # values of one sample, rows of one value, entries of a row
    int32_t ignore          # label of rows that count as 0
    bint ignores


cdef Step bind(Leaf leaf, str what, y, p, loss, dp, bint sparse, double cost, ignore=None):
    """The one place where losses check their buffers: y is int32 (n, ...) if sparse, else like p (n, ..., c)."""
    cdef str p_name = "z" if "logits" in what else "p", loss_name = "loss" if dp is None else "dloss"
    cdef Buffer pb = buffer(p, p_name, "f"), yb = buffer(y, "y", "i" if sparse else "f")
    cdef Buffer lb = buffer(loss, loss_name, "f", -1, dp is None), db = None
    cdef Loss a
    expected = pb.shape[:len(pb.shape) - 1] if sparse else pb.shape
    if yb.shape != expected or len(pb.shape) < 2 or lb.shape not in (pb.shape[:1], pb.shape[:len(pb.shape) - 1]):
        raise ValueError(f"{what}: y {yb.shape}, {p_name} {pb.shape} and {loss_name} {lb.shape} do not fit together")
    a.tiles, a.y, a.p, a.loss = tiles(), yb.rows(), pb.rows(), lb.rows()
    a.n = pb.shape[len(pb.shape) - 1]
    a.units = lb.row_size()
    a.rows = pb.row_size() // (a.n * a.units) if a.n and a.units else 0
    a.ignores, a.ignore = ignore is not None, ignore or 0
    if dp is not None:
        db = buffer(dp, "d" + p_name, "f", -1, True)
        if db.shape != pb.shape:
            raise ValueError(f"{what}: expected d{p_name} of shape {pb.shape}. Received: {db.shape}")
        a.dp = db.rows()
    return make_step(leaf, &a, sizeof(a), pb.shape[0], cost * pb.size(), 0, (yb, pb, lb, db))


cdef inline double row_sum(const float *p, Py_ssize_t n) noexcept nogil:
    cdef double sum = 0
    cdef Py_ssize_t j
    for j in range(n):
        sum += p[j]
    return sum

cdef inline double clip(double p) noexcept nogil:
    return LOW if p < LOW else HIGH if p > HIGH else p

cdef inline bint clipped(double p) noexcept nogil:
    return p < LOW or p > HIGH


# ---------------------------------------------------------------------------------------------------------------------
# categorical cross-entropy on probabilities: -sum_j y_j log clip(p_j / sum p)

cdef void sparse_categorical_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const int32_t *labels = <const int32_t *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *loss = <float *>at(&a.loss, begin, slot)
    cdef Py_ssize_t i, row
    cdef double sum
    for i in range((end - begin) * a.units):
        sum = 0
        for row in range(i * a.rows, (i + 1) * a.rows):
            if a.ignores and labels[row] == a.ignore:
                continue
            if 0 <= labels[row] < a.n:
                sum -= log(clip(p[row * a.n + labels[row]] / row_sum(p + row * a.n, a.n)))
            else:
                sum = NAN
        loss[i] = <float>(sum / a.rows)

cdef void sparse_categorical_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end,
                                           char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const int32_t *labels = <const int32_t *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef const float *dloss = <const float *>at(&a.loss, begin, slot)
    cdef float *dp = <float *>at(&a.dp, begin, slot)
    cdef Py_ssize_t i, row, j
    cdef int32_t label
    cdef double scale, total
    for i in range((end - begin) * a.units):
        scale = dloss[i] / a.rows
        for row in range(i * a.rows, (i + 1) * a.rows):
            label, total = labels[row], row_sum(p + row * a.n, a.n)
            for j in range(a.n):
                dp[row * a.n + j] = 0
            if a.ignores and label == a.ignore:
                continue
            if 0 <= label < a.n and not clipped(p[row * a.n + label] / total):
                for j in range(a.n):
                    dp[row * a.n + j] = <float>(scale / total)
                dp[row * a.n + label] = <float>(scale * (1 / total - 1 / <double>p[row * a.n + label]))

def sparse_categorical_crossentropy(y, p, loss, ignore=None):
    """loss[n] = mean over rows of -log clip(p[label] / sum p), 0 where the label is `ignore`.
    y (n, ...) int32, p (n, ..., c), loss (n,) or (n, ...) overwritten."""
    return bind(sparse_categorical_leaf, "sparse_categorical_crossentropy", y, p, loss, None, True, 2, ignore)

def sparse_categorical_crossentropy_gradient(dloss, y, p, dp, ignore=None):
    """dp from dloss (n,) or (n, ...); dp (n, ..., c) overwritten."""
    return bind(sparse_categorical_gradient_leaf, "sparse_categorical_crossentropy_gradient", y, p, dloss, dp, True, 2,
                ignore)


cdef void categorical_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *loss = <float *>at(&a.loss, begin, slot)
    cdef Py_ssize_t i, row, j
    cdef double sum, total
    for i in range((end - begin) * a.units):
        sum = 0
        for row in range(i * a.rows, (i + 1) * a.rows):
            total = row_sum(p + row * a.n, a.n)
            for j in range(row * a.n, (row + 1) * a.n):
                sum -= y[j] * log(clip(p[j] / total))
        loss[i] = <float>(sum / a.rows)

cdef void categorical_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef const float *dloss = <const float *>at(&a.loss, begin, slot)
    cdef float *dp = <float *>at(&a.dp, begin, slot)
    cdef Py_ssize_t i, row, j
    cdef double scale, total, mass, q
    for i in range((end - begin) * a.units):
        scale = dloss[i] / a.rows
        for row in range(i * a.rows, (i + 1) * a.rows):
            total, mass = row_sum(p + row * a.n, a.n), 0
            for j in range(row * a.n, (row + 1) * a.n):
                if not clipped(p[j] / total):
                    mass += y[j]
            for j in range(row * a.n, (row + 1) * a.n):
                q = 0 if clipped(p[j] / total) else y[j] / <double>p[j]
                dp[j] = <float>(scale * (mass / total - q))

def categorical_crossentropy(y, p, loss):
    """loss[n] = mean over rows of -sum_j y_j log clip(p_j / sum p). y and p (n, ..., c), loss (n,) overwritten."""
    return bind(categorical_leaf, "categorical_crossentropy", y, p, loss, None, False, 20)

def categorical_crossentropy_gradient(dloss, y, p, dp):
    """dp from dloss (n,); dp (n, ..., c) overwritten."""
    return bind(categorical_gradient_leaf, "categorical_crossentropy_gradient", y, p, dloss, dp, False, 4)


# ---------------------------------------------------------------------------------------------------------------------
# binary cross-entropy, the mean over the last axis

cdef void binary_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *loss = <float *>at(&a.loss, begin, slot)
    cdef Py_ssize_t i, j, size = a.rows * a.n
    cdef double sum, q
    for i in range((end - begin) * a.units):
        sum = 0
        for j in range(i * size, (i + 1) * size):
            q = clip(p[j])
            sum -= y[j] * log(q) + (1 - y[j]) * log(1 - q)
        loss[i] = <float>(sum / size)

cdef void binary_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef const float *dloss = <const float *>at(&a.loss, begin, slot)
    cdef float *dp = <float *>at(&a.dp, begin, slot)
    cdef Py_ssize_t i, j, size = a.rows * a.n
    cdef double q
    for i in range((end - begin) * a.units):
        for j in range(i * size, (i + 1) * size):
            q = p[j]
            dp[j] = 0 if clipped(q) else <float>(dloss[i] / size * (q - y[j]) / (q * (1 - q)))

def binary_crossentropy(y, p, loss):
    """loss[n] = mean of -(y log p + (1 - y) log(1 - p)), p clipped. y and p (n, ..., c), loss (n,) overwritten."""
    return bind(binary_leaf, "binary_crossentropy", y, p, loss, None, False, 40)

def binary_crossentropy_gradient(dloss, y, p, dp):
    """dp = dloss[n] / size * (p - y) / (p (1 - p)), 0 where p was clipped; dp (n, ..., c) overwritten."""
    return bind(binary_gradient_leaf, "binary_crossentropy_gradient", y, p, dloss, dp, False, 8)


cdef void binary_logits_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *z = <const float *>at(&a.p, begin, slot)
    cdef float *loss = <float *>at(&a.loss, begin, slot)
    cdef Py_ssize_t i, j, size = a.rows * a.n
    cdef double sum, q
    for i in range((end - begin) * a.units):
        sum = 0
        for j in range(i * size, (i + 1) * size):
            q = z[j]
            sum += (0 if q < 0 else q) - q * y[j] + log1p(exp(-fabs(q)))
        loss[i] = <float>(sum / size)

cdef void binary_logits_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *z = <const float *>at(&a.p, begin, slot)
    cdef const float *dloss = <const float *>at(&a.loss, begin, slot)
    cdef float *dz = <float *>at(&a.dp, begin, slot)
    cdef Py_ssize_t i, size = a.rows * a.n, j
    for i in range((end - begin) * a.units):
        for j in range(i * size, (i + 1) * size):
            dz[j] = <float>(dloss[i] / size * (1 / (1 + exp(-<double>z[j])) - y[j]))

def binary_crossentropy_logits(y, z, loss):
    """loss[n] = mean of max(z, 0) - z y + log(1 + exp(-|z|)): binary cross-entropy of sigmoid(z) without overflow."""
    return bind(binary_logits_leaf, "binary_crossentropy_logits", y, z, loss, None, False, 40)

def binary_crossentropy_logits_gradient(dloss, y, z, dz):
    """dz = dloss[n] / size * (sigmoid(z) - y); dz (n, ..., c) overwritten."""
    return bind(binary_logits_gradient_leaf, "binary_crossentropy_logits_gradient", y, z, dloss, dz, False, 20)


# ---------------------------------------------------------------------------------------------------------------------
# squared error

cdef void squared_error_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *loss = <float *>at(&a.loss, begin, slot)
    cdef Py_ssize_t i, size = a.rows * a.n
    for i in range((end - begin) * a.units):
        loss[i] = a.tiles.squared_error(y + i * size, p + i * size, size) / size

cdef void squared_error_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef const float *dloss = <const float *>at(&a.loss, begin, slot)
    cdef float *dp = <float *>at(&a.dp, begin, slot)
    cdef Py_ssize_t i, size = a.rows * a.n
    for i in range((end - begin) * a.units):
        a.tiles.squared_error_gradient(y + i * size, p + i * size, 2 * dloss[i] / size, dp + i * size, size)

def mean_squared_error(y, p, loss):
    """loss[n] = mean of (p - y)^2. y and p (n, ..., c), loss (n,) overwritten."""
    return bind(squared_error_leaf, "mean_squared_error", y, p, loss, None, False, 1)

def mean_squared_error_gradient(dloss, y, p, dp):
    """dp = 2 dloss[n] / size * (p - y); dp (n, ..., c) overwritten."""
    return bind(squared_error_gradient_leaf, "mean_squared_error_gradient", y, p, dloss, dp, False, 1)
