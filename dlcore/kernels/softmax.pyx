# cython: language_level=3
"""Softmax over the last axis, and softmax fused with cross-entropy, which never takes the log of a probability."""
from libc.math cimport NAN
from libc.stdint cimport int32_t

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport dlc_tiles, tiles

ctypedef struct Softmax:
    const dlc_tiles *tiles
    Ref x, y, dy, labels, loss
    Py_ssize_t rows, n      # rows of one sample (of one value, in cross-entropy), entries of a row
    Py_ssize_t units        # values of one sample
    int32_t ignore          # label of rows that count as 0
    bint sparse, backward, ignores
    float dloss


cdef Softmax new(Buffer x):
    cdef Softmax a
    a.tiles, a.n = tiles(), x.shape[len(x.shape) - 1]
    a.rows = x.row_size() // a.n if a.n else 0
    return a


cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Softmax *a = <const Softmax *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.rows):
        a.tiles.softmax(x + i * a.n, y + i * a.n, a.n)

def forward(x, y):
    """y = exp(x - max x) / sum exp(x - max x) over the last axis; (n, ..., c), y overwritten. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    if xb.shape != yb.shape or len(xb.shape) < 2:
        raise ValueError(f"softmax.forward: expected x and y of one shape (n, ..., c). Received: {xb.shape}, {yb.shape}")
    cdef Softmax a = new(xb)
    a.x, a.y = xb.rows(), yb.rows()
    return make_step(forward_leaf, &a, sizeof(a), xb.shape[0], 20.0 * xb.size(), 0, (xb, yb))


cdef void gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Softmax *a = <const Softmax *>args
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const float *y = <const float *>at(&a.y, begin, slot)
    cdef float *dx = <float *>at(&a.x, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.rows):
        a.tiles.softmax_gradient(dy + i * a.n, y + i * a.n, dx + i * a.n, a.n)

def gradient(dy, y, dx):
    """dx = y * (dy - sum over the last axis of dy * y); (n, ..., c), dx overwritten. One task per sample."""
    cdef Buffer gb = buffer(dy, "dy", "f"), yb = buffer(y, "y", "f"), xb = buffer(dx, "dx", "f", -1, True)
    if gb.shape != yb.shape or gb.shape != xb.shape or len(gb.shape) < 2:
        raise ValueError(f"softmax.gradient: dy {gb.shape}, y {yb.shape} and dx {xb.shape} must have one shape (n, ..., c)")
    cdef Softmax a = new(gb)
    a.dy, a.y, a.x = gb.rows(), yb.rows(), xb.rows()
    return make_step(gradient_leaf, &a, sizeof(a), gb.shape[0], 4.0 * gb.size(), 0, (gb, yb, xb))


cdef inline void gradient_of_row(const Softmax *a, const float *p, const char *labels, Py_ssize_t row, float scale,
                                 float *dx) noexcept nogil:
    """dx = scale * (p * sum of the targets - targets), for one row of p, labels and dx."""
    cdef const float *target
    cdef Py_ssize_t j
    cdef int32_t label
    cdef float mass = 0
    p += row * a.n
    dx += row * a.n
    if a.sparse:
        label = (<const int32_t *>labels)[row]
        if a.ignores and label == a.ignore:
            for j in range(a.n):
                dx[j] = 0
            return
        for j in range(a.n):
            dx[j] = p[j] * scale
        if 0 <= label < a.n:
            dx[label] -= scale
    else:
        target = <const float *>labels + row * a.n
        for j in range(a.n):
            mass += target[j]
        for j in range(a.n):
            dx[j] = scale * (p[j] * mass - target[j])

cdef void crossentropy_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Softmax *a = <const Softmax *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *p = <float *>at(&a.y, begin, slot)
    cdef char *labels = at(&a.labels, begin, slot)
    cdef float *loss = <float *>at(&a.loss, begin, slot)
    cdef float *dx = <float *>at(&a.dy, begin, slot) if a.backward else NULL
    cdef const float *target
    cdef Py_ssize_t i, r, j, row
    cdef int32_t label
    cdef float normaliser
    cdef double sum
    for i in range((end - begin) * a.units):
        sum = 0
        for r in range(a.rows):
            row = i * a.rows + r
            normaliser = a.tiles.softmax(x + row * a.n, p + row * a.n, a.n)
            if a.sparse:
                label = (<const int32_t *>labels)[row]
                if not (a.ignores and label == a.ignore):
                    sum += normaliser - x[row * a.n + label] if 0 <= label < a.n else NAN
            else:
                target = <const float *>labels + row * a.n
                for j in range(a.n):
                    if target[j] != 0:
                        sum += target[j] * (normaliser - x[row * a.n + j])
            if dx != NULL:
                gradient_of_row(a, p, labels, row, a.dloss / a.rows, dx)
        loss[i] = <float>(sum / a.rows)

def crossentropy(logits, labels, loss, p, dlogits=None, float dloss=0, ignore=None):
    """p = softmax(logits); loss[n] = mean over the rows r of sample n of -sum_j target[n, r, j] * log p[n, r, j],
    computed as log sum exp - logits[label]. One task per sample.

    Args:
        logits: (n, ..., c) float32.
        labels: class numbers (n, ...) int32, or targets (n, ..., c) float32 (one-hot, or any distribution). A class
            number outside 0..c-1 gives NaN.
        loss: (n,) float32, overwritten; or (n, ...), one value for each row.
        p: (n, ..., c), overwritten; what `crossentropy_gradient` needs.
        dlogits, dloss: also do what `crossentropy_gradient` does, where all entries of its dloss are one number. dlogits
            (n, ..., c), overwritten, or None.
        ignore: rows with this class number count as 0 and have no gradient; None for no such.
    """
    cdef Buffer xb = buffer(logits, "logits", "f"), pb = buffer(p, "p", "f", -1, True), lb
    cdef Buffer ob = buffer(loss, "loss", "f", -1, True), db = None
    cdef Softmax a = new(xb)
    lb = labels_of(xb, labels, &a.sparse)
    if pb.shape != xb.shape or ob.shape not in (xb.shape[:1], xb.shape[:len(xb.shape) - 1]):
        raise ValueError(f"softmax.crossentropy: logits {xb.shape}, loss {ob.shape} and p {pb.shape} do not fit together")
    a.x, a.y, a.labels, a.loss = xb.rows(), pb.rows(), lb.rows(), ob.rows()
    values_of(&a, ob, ignore)
    a.backward, a.dloss = dlogits is not None, dloss
    if a.backward:
        db = buffer(dlogits, "dlogits", "f", -1, True)
        if db.shape != xb.shape:
            raise ValueError(f"softmax.crossentropy: expected dlogits of shape {xb.shape}. Received: {db.shape}")
        a.dy = db.rows()
    return make_step(crossentropy_leaf, &a, sizeof(a), xb.shape[0], 24.0 * xb.size(), 0, (xb, pb, lb, ob, db))


cdef void values_of(Softmax *a, Buffer loss, ignore):
    """How many values a sample has, of how many rows each, and which label is ignored."""
    a.units = loss.row_size()
    a.rows = a.rows // a.units if a.units else 0
    a.ignores, a.ignore = ignore is not None, ignore or 0


cdef Buffer labels_of(Buffer x, labels, bint *sparse):
    """Class numbers of x's shape without its last axis, or float32 targets of x's shape."""
    cdef Buffer b
    try:
        b = buffer(labels, "labels", "i")
    except TypeError:
        try:
            b = buffer(labels, "labels", "f")
        except TypeError as error:
            raise TypeError(str(error).replace("float32", "int32 or float32", 1)) from None
    if len(x.shape) < 2:
        raise ValueError(f"softmax.crossentropy: expected logits and p of shape (n, ..., c). Received: {x.shape}")
    sparse[0] = b.dtype == "i"
    expected = x.shape[:len(x.shape) - 1] if sparse[0] else x.shape
    if b.shape != expected:
        raise ValueError(f"softmax.crossentropy: expected labels of shape {expected}. Received: {b.shape}")
    return b


cdef void crossentropy_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Softmax *a = <const Softmax *>args
    cdef const float *p = <const float *>at(&a.y, begin, slot)
    cdef float *dx = <float *>at(&a.x, begin, slot)
    cdef char *labels = at(&a.labels, begin, slot)
    cdef const float *dloss = <const float *>at(&a.loss, begin, slot)
    cdef Py_ssize_t i, r
    for i in range((end - begin) * a.units):
        for r in range(a.rows):
            gradient_of_row(a, p, labels, i * a.rows + r, dloss[i] / a.rows, dx)

def crossentropy_gradient(dloss, labels, p, dlogits, ignore=None):
    """dlogits = dloss[n] / rows * (p * sum_j target - target), rows being those of one value. One task per sample.

    Args: as for `crossentropy`; dloss (n,) or (n, ...) float32, dlogits (n, ..., c) overwritten.
    """
    cdef Buffer pb = buffer(p, "p", "f"), xb = buffer(dlogits, "dlogits", "f", -1, True), lb
    cdef Buffer ob = buffer(dloss, "dloss", "f")
    cdef Softmax a = new(pb)
    lb = labels_of(pb, labels, &a.sparse)
    if pb.shape != xb.shape or ob.shape not in (pb.shape[:1], pb.shape[:len(pb.shape) - 1]):
        raise ValueError(f"softmax.crossentropy_gradient: dloss {ob.shape}, p {pb.shape} and dlogits {xb.shape} do not "
                         "fit together")
    a.x, a.y, a.labels, a.loss = xb.rows(), pb.rows(), lb.rows(), ob.rows()
    values_of(&a, ob, ignore)
    return make_step(crossentropy_gradient_leaf, &a, sizeof(a), pb.shape[0], 2.0 * pb.size(), 0, (pb, xb, lb, ob))
