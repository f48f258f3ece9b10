# cython: language_level=3
"""Accuracies of one value per sample or position, and the running totals of losses and metrics: sums, counts by threshold,
confusion matrices. Totals are float64 and added to by one task in the order of the samples."""
from libc.math cimport NAN, ceil
from libc.stdint cimport int32_t

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer

ctypedef struct Accuracy:
    Ref y, p, out
    Py_ssize_t units, rows, n   # values of one sample, rows of one value, entries of a row
    float threshold             # as p is: Keras compares in float32
    Py_ssize_t k                # the label is to be among so many greatest


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
    for i in range((end - begin) * a.units):
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
    for i in range((end - begin) * a.units):
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
    for i in range((end - begin) * a.units):
        right = 0
        for j in range(i * size, (i + 1) * size):
            right += (p[j] > a.threshold) == y[j]
        out[i] = <float>right / size


cdef inline bint among(const float *p, Py_ssize_t n, Py_ssize_t label, Py_ssize_t k) noexcept nogil:
    """Whether fewer than k entries of p beat p[label]; a NaN does not."""
    cdef Py_ssize_t j, greater = 0
    if not 0 <= label < n or p[label] - p[label] != 0:  # not finite
        return False
    for j in range(n):
        greater += not p[j] <= p[label]
    return greater < k

cdef void sparse_top_k_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Accuracy *a = <const Accuracy *>args
    cdef const int32_t *labels = <const int32_t *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *out = <float *>at(&a.out, begin, slot)
    cdef Py_ssize_t i, row, right
    for i in range((end - begin) * a.units):
        right = 0
        for row in range(i * a.rows, (i + 1) * a.rows):
            right += among(p + row * a.n, a.n, labels[row], a.k)
        out[i] = <float>right / a.rows

cdef void top_k_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Accuracy *a = <const Accuracy *>args
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef const float *p = <const float *>at(&a.p, begin, slot)
    cdef float *out = <float *>at(&a.out, begin, slot)
    cdef Py_ssize_t i, row, right
    for i in range((end - begin) * a.units):
        right = 0
        for row in range(i * a.rows, (i + 1) * a.rows):
            right += among(p + row * a.n, a.n, argmax(y + row * a.n, a.n), a.k)
        out[i] = <float>right / a.rows


cdef Step bind(Leaf leaf, str what, y, p, out, bint sparse, double threshold, Py_ssize_t k=1):
    cdef Buffer pb = buffer(p, "p", "f"), yb = buffer(y, "y", "i" if sparse else "f"), ob = buffer(out, "out", "f", -1, True)
    cdef Accuracy a
    expected = pb.shape[:len(pb.shape) - 1] if sparse else pb.shape
    if yb.shape != expected or len(pb.shape) < 2 or ob.shape not in (pb.shape[:1], pb.shape[:len(pb.shape) - 1]):
        raise ValueError(f"{what}: y {yb.shape}, p {pb.shape} and out {ob.shape} do not fit together")
    a.y, a.p, a.out, a.threshold, a.k = yb.rows(), pb.rows(), ob.rows(), threshold, k
    a.n, a.units = pb.shape[len(pb.shape) - 1], ob.row_size()
    a.rows = pb.row_size() // (a.n * a.units) if a.n and a.units else 0
    return make_step(leaf, &a, sizeof(a), pb.shape[0], pb.size(), 0, (yb, pb, ob))


def sparse_categorical_accuracy(y, p, out):
    """out[n] = share of the rows of sample n with argmax p = y. y (n, ...) int32, p (n, ..., c), out (n,) overwritten; or
    (n, ...), one value for each row, here and below."""
    return bind(sparse_categorical_leaf, "sparse_categorical_accuracy", y, p, out, True, 0)

def categorical_accuracy(y, p, out):
    """out[n] = share of the rows of sample n with argmax p = argmax y. y and p (n, ..., c), out (n,) overwritten."""
    return bind(categorical_leaf, "categorical_accuracy", y, p, out, False, 0)

def binary_accuracy(y, p, out, double threshold=0.5):
    """out[n] = share of the entries of sample n with (p > threshold) = y. y and p (n, ..., c), out (n,) overwritten."""
    return bind(binary_leaf, "binary_accuracy", y, p, out, False, threshold)

def sparse_top_k_categorical_accuracy(y, p, out, Py_ssize_t k=5):
    """out[n] = share of the rows of sample n where fewer than k entries of p are greater than p[y], which must be finite.
    y (n, ...) int32, p (n, ..., c), out (n,) overwritten."""
    return bind(sparse_top_k_leaf, "sparse_top_k_categorical_accuracy", y, p, out, True, 0, k)

def top_k_categorical_accuracy(y, p, out, Py_ssize_t k=5):
    """The same for the label argmax y. y and p (n, ..., c), out (n,) overwritten."""
    return bind(top_k_leaf, "top_k_categorical_accuracy", y, p, out, False, 0, k)


# ---------------------------------------------------------------------------------------------------------------------
# running totals

ctypedef struct Total:
    const float *x
    double *total
    Py_ssize_t n, size

cdef void accumulate_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Total *a = <const Total *>args
    cdef Py_ssize_t i, j
    cdef double sum = 0
    if a.size == 1:
        for i in range(a.n):
            sum += a.x[i]
        a.total[0] += sum
    else:
        for i in range(a.n):
            for j in range(a.size):
                a.total[j] += a.x[i * a.size + j]
    a.total[a.size] += <double>a.n

def accumulate(x, total):
    """total[j] += sum over n of x[n, j], total[size] += n, in double. x (n, ...) float32 with `size` entries a sample,
    total (size + 1,) float64, updated. One task."""
    cdef Buffer xb = buffer(x, "x", "f"), tb = buffer(total, "total", "d", 1, True)
    cdef Total a
    a.size = xb.row_size()
    if tb.shape[0] != a.size + 1:
        raise ValueError(f"metrics.accumulate: expected total of shape ({a.size + 1},). Received: {tb.shape}")
    a.x, a.total, a.n = <const float *>xb.whole(), <double *>tb.whole(), xb.shape[0]
    return make_step(accumulate_leaf, &a, sizeof(a), 1, xb.size(), 0, (xb, tb))


ctypedef struct Counts:
    const float *y
    const float *p
    const float *weight
    const float *thresholds
    double *total
    Py_ssize_t rows, n          # of all samples, entries of a row
    Py_ssize_t per_weight       # entries that share a weight
    Py_ssize_t count            # of thresholds
    Py_ssize_t column, k        # the entry of a row that counts, or -1; how many of the greatest count, 0 for all
    bint even, below, by_column

cdef inline void cut(const float *p, Py_ssize_t n, Py_ssize_t k, float *value, Py_ssize_t *index) noexcept nogil:
    """The k-th entry in the order of falling p, the first of equals before the others."""
    cdef Py_ssize_t i, j, best
    value[0], index[0] = 0, -1
    for i in range(k if k < n else n):
        best = -1
        for j in range(n):
            if i and not (p[j] < value[0] or p[j] == value[0] and j > index[0]):
                continue
            if best < 0 or p[j] > p[best]:
                best = j
        if best < 0:  # NaN
            return
        value[0], index[0] = p[best], best

cdef inline Py_ssize_t bucket(const Counts *a, float p) noexcept nogil:
    """How many thresholds are less than p."""
    cdef Py_ssize_t low = 0, high = a.count, middle
    if a.even:  # the arithmetic of Keras in float32, which rounds as this does
        p = 0 if p < 0 else 1 if p > 1 else p
        low = <Py_ssize_t>ceil(p * <float>(a.count - 1))
        return 1 if a.below and low < 1 else low
    while low < high:
        middle = (low + high) // 2
        if a.thresholds[middle] < p:
            low = middle + 1
        else:
            high = middle
    return low

cdef void threshold_counts_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Counts *a = <const Counts *>args
    cdef const float *p
    cdef Py_ssize_t row, j, where, cut_index, first = 0, last = a.n
    cdef float cut_value
    cdef double weight
    cdef double *total
    if a.column >= 0:
        first, last = a.column, a.column + 1
    for row in range(a.rows):
        p = a.p + row * a.n
        if a.k:
            cut(p, a.n, a.k, &cut_value, &cut_index)
        for j in range(first, last):
            weight = a.weight[(row * a.n + j) // a.per_weight] if a.weight != NULL else 1
            if p[j] != p[j]:
                where, weight = a.count, NAN
            elif a.k and (p[j] < cut_value or p[j] == cut_value and j > cut_index):
                where = 0
            else:
                where = bucket(a, p[j])
            total = a.total + (j * 2 * (a.count + 1) if a.by_column else 0)
            total[(a.y[row * a.n + j] != 0) * (a.count + 1) + where] += weight

def threshold_counts(y, p, weight, thresholds, total, column=None, top_k=None, bint even=False):
    """total[l, y != 0, number of thresholds less than p] += weight, over all entries of y and p. One task.

    Args:
        y, p: (n, ..., c). A NaN in p makes its counts NaN.
        weight: (n,), (n, ...) or (n, ..., c), or None for 1.
        thresholds: (t,) float32, ascending.
        total: (l, 2, t + 1) float64, updated; l is c, a count for each column, or 1.
        column: only this entry of the last axis counts.
        top_k: entries that are not among so many greatest of their row are less than all thresholds.
        even: the thresholds are 0, 1/(t-1), ..., 1, the first and the last perhaps moved outwards by 1e-7: p is clipped to
            [0, 1] and its place found by arithmetic.
    """
    cdef Buffer yb = buffer(y, "y", "f"), pb = buffer(p, "p", "f"), wb = None, hb = buffer(thresholds, "thresholds", "f", 1)
    cdef Buffer tb = buffer(total, "total", "d", 3, True)
    cdef Counts a
    shape = pb.shape
    if yb.shape != shape or len(shape) < 2:
        raise ValueError(f"metrics.threshold_counts: expected y and p of one shape (n, ..., c). Received: {yb.shape}, {shape}")
    a.n, a.count = shape[len(shape) - 1], hb.shape[0]
    if tb.shape not in ((1, 2, a.count + 1), (a.n, 2, a.count + 1)):
        raise ValueError(f"metrics.threshold_counts: expected total of shape (1 or {a.n}, 2, {a.count + 1}) for thresholds "
                         f"of shape {hb.shape}. Received: {tb.shape}")
    a.weight, a.per_weight = NULL, 1
    if weight is not None:
        wb = buffer(weight, "weight", "f")
        if wb.shape not in (shape[:1], shape[:len(shape) - 1], shape):
            raise ValueError(f"metrics.threshold_counts: weight {wb.shape} does not go with p {shape}")
        a.weight, a.per_weight = <const float *>wb.whole(), pb.size() // max(wb.size(), 1)
    a.column, a.k = -1 if column is None else column, top_k or 0
    if not (-1 <= a.column < a.n) or a.k < 0:
        raise ValueError(f"metrics.threshold_counts: no column {column} of {a.n}, or top_k={top_k}")
    a.rows = pb.size() // a.n if a.n else 0
    a.y, a.p, a.thresholds = <const float *>yb.whole(), <const float *>pb.whole(), <const float *>hb.whole()
    a.total, a.by_column, a.even = <double *>tb.whole(), tb.shape[0] > 1, even
    a.below = even and a.count > 0 and a.thresholds[0] < 0
    return make_step(threshold_counts_leaf, &a, sizeof(a), 1, 8.0 * pb.size(), 0, (yb, pb, wb, hb, tb))


ctypedef struct Confusion:
    const float *y
    const float *p
    const float *weight
    double *total
    Py_ssize_t size, per_weight, classes
    double ignore
    bint ignores

cdef void confusion_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Confusion *a = <const Confusion *>args
    cdef Py_ssize_t i
    cdef float y, p
    for i in range(a.size):
        y, p = a.y[i], a.p[i]
        if y > -1 and y < a.classes and p > -1 and p < a.classes and not (a.ignores and y == a.ignore):
            a.total[<Py_ssize_t>y * a.classes + <Py_ssize_t>p] += a.weight[i // a.per_weight] if a.weight != NULL else 1

def confusion(y, p, weight, total, ignore=None):
    """total[y, p] += weight, over all class numbers in y and p. One task.

    Args:
        y, p: class numbers (n, ...) float32, cut off to whole ones. Others than 0..classes-1 do not count.
        weight: (n,) or (n, ...), or None for 1.
        total: (classes, classes) float64, updated.
        ignore: entries with this y do not count.
    """
    cdef Buffer yb = buffer(y, "y", "f"), pb = buffer(p, "p", "f"), wb = None, tb = buffer(total, "total", "d", 2, True)
    cdef Confusion a
    if yb.shape != pb.shape:
        raise ValueError(f"metrics.confusion: expected y and p of one shape. Received: {yb.shape}, {pb.shape}")
    if tb.shape[0] != tb.shape[1]:
        raise ValueError(f"metrics.confusion: expected a square total. Received: {tb.shape}")
    a.weight, a.per_weight = NULL, 1
    if weight is not None:
        wb = buffer(weight, "weight", "f")
        if wb.shape not in (pb.shape[:1], pb.shape):
            raise ValueError(f"metrics.confusion: weight {wb.shape} does not go with p {pb.shape}")
        a.weight, a.per_weight = <const float *>wb.whole(), pb.size() // max(wb.size(), 1)
    a.y, a.p, a.total = <const float *>yb.whole(), <const float *>pb.whole(), <double *>tb.whole()
    a.size, a.classes, a.ignores, a.ignore = pb.size(), tb.shape[0], ignore is not None, ignore or 0
    return make_step(confusion_leaf, &a, sizeof(a), 1, 4.0 * pb.size(), 0, (yb, pb, wb, tb))
