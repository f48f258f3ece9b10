# cython: language_level=3
"""Normalisation over the batch, by channel.

Partial moments per slab are joined by a fixed tree into the *coefficients* (5, c) of the pass that applies them, whose rows
are the mean as a float, scale = gamma * rstd, offset, rstd = 1 / sqrt(variance + epsilon), and what the float lacks of the
mean. y = (x - mean) * scale + offset then loses nothing where the mean is large and the deviation small.

Ioffe & Szegedy, "Batch Normalization", arXiv 1502.03167.
"""
from array import array

from libc.math cimport sqrt
from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport DLC_LINEAR, DLC_RELU, DLC_RELU6, dlc_tiles, tiles

ACTIVATIONS = {"linear": DLC_LINEAR, "relu": DLC_RELU, "relu6": DLC_RELU6}  # that the passes apply, and look through

cdef Py_ssize_t BLOCK = 256     # channels per task

ctypedef struct Norm:
    const dlc_tiles *tiles
    Ref x, y, dy, add, g
    double *parts               # (chunks, 2 c + 1): mean, M2, count
    float *sums                 # (chunks, 2, c)
    const float *mean           # moving statistics
    const float *variance
    const int *index
    const float *gamma
    const float *beta
    float *coefficients         # (5, c)
    float *lines                # (3, c)
    float *a                    # small results
    float *b
    Py_ssize_t rows, n, grain, chunks
    double epsilon, count
    int kind, activation
    bint adds, sees, keeps
    float momentum, rest


cdef Buffer fit(str factory, object x, str name, tuple shape, bint write=False, str dtype="f"):
    """`x` as a buffer of this shape."""
    cdef Buffer b = buffer(x, name, dtype, -1, write)
    if b.shape != shape:
        raise ValueError(f"normalization.{factory}: expected {name} of shape {shape}. Received: {b.shape}")
    return b

cdef Buffer maybe(str factory, object x, str name, tuple shape, bint write=False):
    """The same, or None."""
    return None if x is None else fit(factory, x, name, shape, write)

cdef float *floats(Buffer b) except? NULL:
    return NULL if b is None else <float *>b.whole()

cdef Norm new(Buffer x) except *:
    """For x (batch, ..., c), by channel."""
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.tiles, a.n, a.x = tiles(), x.shape[len(x.shape) - 1], x.rows()
    a.rows = x.row_size() // a.n if a.n else 0
    return a

cdef Buffer image(str factory, object x, str name="x", bint write=False):
    cdef Buffer b = buffer(x, name, "f", -1, write)
    if len(b.shape) < 2:
        raise ValueError(f"normalization.{factory}: expected {name} of shape (n, ..., c). Received: {b.shape}")
    return b

cdef int known(str factory, str activation) except -1:
    if activation not in ACTIVATIONS:
        raise ValueError(f"normalization.{factory}: expected an activation among {tuple(ACTIVATIONS)}. "
                         f"Received: {activation!r}")
    return ACTIVATIONS[activation]

cdef Py_ssize_t chunks_of(str factory, Buffer x, Py_ssize_t grain) except -1:
    if grain < 1:
        raise ValueError(f"normalization.{factory}: expected a grain of at least 1. Received: {grain}")
    return (x.shape[0] + grain - 1) // grain


# ---------------------------------------------------------------------------------------------------------------------
# Over the batch

cdef void moments_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef double *part = a.parts + begin // a.grain * (2 * a.n + 1)
    a.tiles.moments(<const float *>at(&a.x, begin, slot), (end - begin) * a.rows, a.n, part, part + a.n)
    part[2 * a.n] = (end - begin) * a.rows

def batch_moments(x, parts, Py_ssize_t grain):
    """Of the samples of each chunk and by channel: mean, sum of (x - mean)^2, and how many. One task per sample.

    Args:
        x: (n, ..., c) float32.
        parts: (ceil(n / grain), 2 c + 1) float64, overwritten. The step must run with this grain.
    """
    cdef Buffer xb = image("batch_moments", x), pb
    cdef Norm a = new(xb)
    a.grain = grain
    pb = fit("batch_moments", parts, "parts", (chunks_of("batch_moments", xb, grain), 2 * a.n + 1), True, "d")
    a.parts = <double *>pb.whole()
    return make_step(moments_leaf, &a, sizeof(a), xb.shape[0], 4.0 * xb.size(), 0, (xb, pb), grain)


cdef void coefficients_of(const Norm *a, Py_ssize_t j, double mean, double variance) noexcept nogil:
    cdef float *c = a.coefficients
    cdef double rstd = 1 / sqrt(variance + a.epsilon), scale = rstd * a.gamma[j] if a.gamma != NULL else rstd
    cdef float shift = <float>mean
    c[j] = shift
    c[a.n + j] = <float>scale
    c[2 * a.n + j] = <float>((a.beta[j] if a.beta != NULL else 0) - (mean - shift) * scale)
    c[3 * a.n + j] = <float>rstd
    c[4 * a.n + j] = <float>(mean - shift)

cdef void join(double *into, double count, const double *other, double more, Py_ssize_t n, Py_ssize_t begin,
               Py_ssize_t end) noexcept nogil:
    """Chan's formula: `more` numbers join `count`."""
    cdef double share = more / (count + more) if count + more > 0 else 0, delta
    cdef Py_ssize_t j
    for j in range(begin, end):
        delta = other[j] - into[j]
        into[j] += delta * share
        into[n + j] += other[n + j] + delta * delta * share * count

cdef void batch_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef Py_ssize_t first = begin * BLOCK, last = min(end * BLOCK, a.n), step = 2 * a.n + 1, half = 1, i, k, j
    cdef double count, more, variance
    while half < a.chunks:      # neighbours first, as in elementwise.reduce_chunks; counts are shared, so only read
        i = 0
        while i + half < a.chunks:
            count = more = 0
            for k in range(i, i + half):
                count += a.parts[k * step + 2 * a.n]
            for k in range(i + half, min(i + 2 * half, a.chunks)):
                more += a.parts[k * step + 2 * a.n]
            join(a.parts + i * step, count, a.parts + (i + half) * step, more, a.n, first, last)
            i += 2 * half
        half *= 2
    count = 0
    for k in range(a.chunks):
        count += a.parts[k * step + 2 * a.n]
    for j in range(first, last):
        variance = a.parts[a.n + j] / count
        if variance < 0:
            variance = 0
        coefficients_of(a, j, a.parts[j], variance)
        if a.a != NULL:
            a.a[j] = <float>a.parts[j]
        if a.b != NULL:
            a.b[j] = <float>variance

def batch_coefficients(parts, gamma, beta, coefficients, mean=None, variance=None, double epsilon=1e-3):
    """The coefficients of one batch, from the moments of its chunks joined by a fixed tree. One task per 256 channels.

    Args:
        parts: (chunks, 2 c + 1) float64 from `batch_moments`, destroyed.
        gamma, beta: (c,) or None, for 1 and 0.
        coefficients: (5, c), overwritten.
        mean, variance: (c,) or None; overwritten. The variance divides by the number, as Keras does.
        epsilon: added to the variance.
    """
    cdef str me = "batch_coefficients"
    cdef Buffer pb = buffer(parts, "parts", "d", 2, True), cb = buffer(coefficients, "coefficients", "f", 2, True)
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.n, a.chunks, a.epsilon, a.tiles = cb.shape[1], pb.shape[0], epsilon, tiles()
    if cb.shape[0] != 5 or pb.shape[0] < 1 or pb.shape[1] != 2 * a.n + 1:
        raise ValueError(f"normalization.{me}: parts {pb.shape} and coefficients {cb.shape} do not fit together")
    gb, bb = maybe(me, gamma, "gamma", (a.n,)), maybe(me, beta, "beta", (a.n,))
    mb, vb = maybe(me, mean, "mean", (a.n,), True), maybe(me, variance, "variance", (a.n,), True)
    a.parts, a.coefficients = <double *>pb.whole(), floats(cb)
    a.gamma, a.beta, a.a, a.b = floats(gb), floats(bb), floats(mb), floats(vb)
    return make_step(batch_leaf, &a, sizeof(a), (a.n + BLOCK - 1) // BLOCK, 8.0 * pb.size(), 0, (pb, cb, gb, bb, mb, vb))


cdef void moving_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef Py_ssize_t j
    for j in range(begin * BLOCK, min(end * BLOCK, a.n)):
        coefficients_of(a, j, a.mean[j], a.variance[j])

def moving_coefficients(mean, variance, gamma, beta, coefficients, double epsilon=1e-3):
    """The coefficients of inference, from moving statistics: mean and variance (c,), gamma and beta (c,) or None;
    coefficients (5, c), overwritten. One task per 256 channels."""
    cdef str me = "moving_coefficients"
    cdef Buffer mb = buffer(mean, "mean", "f", 1), vb, gb, bb, cb
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.n, a.epsilon = mb.shape[0], epsilon
    vb = fit(me, variance, "variance", (a.n,))
    gb, bb = maybe(me, gamma, "gamma", (a.n,)), maybe(me, beta, "beta", (a.n,))
    cb = fit(me, coefficients, "coefficients", (5, a.n), True)
    a.mean, a.variance, a.gamma, a.beta, a.coefficients = floats(mb), floats(vb), floats(gb), floats(bb), floats(cb)
    return make_step(moving_leaf, &a, sizeof(a), (a.n + BLOCK - 1) // BLOCK, 8.0 * a.n, 0, (mb, vb, gb, bb, cb))


cdef void adapted_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef float *c = a.coefficients
    cdef Py_ssize_t j, n = a.n
    cdef double deviation
    for j in range(begin * BLOCK, min(end * BLOCK, n)):
        deviation = sqrt(a.variance[a.index[j]])
        if deviation < a.epsilon:
            deviation = a.epsilon
        c[j] = 0 if a.kind else a.mean[a.index[j]]
        c[n + j] = <float>(deviation if a.kind else 1 / deviation)
        c[2 * n + j] = a.mean[a.index[j]] if a.kind else 0
        c[3 * n + j], c[4 * n + j] = c[n + j], 0

def adapted_coefficients(mean, variance, coefficients, index, bint invert=False, double epsilon=1e-7):
    """The coefficients of (x - mean) / deviation, or of x * deviation + mean, where deviation = max(sqrt(variance),
    epsilon), for numbers of x in the order of `index`. One task per 256 of these.

    Args:
        mean, variance: (m,) float32.
        coefficients: (5, n), overwritten.
        index: n whole numbers below m: which mean belongs to a number.
        invert: the second formula.
    """
    cdef str me = "adapted_coefficients"
    cdef Buffer mb = buffer(mean, "mean", "f", 1), vb, cb, ib = buffer(array("i", index), "index", "i", 1)
    cdef Norm a
    memset(&a, 0, sizeof(a))
    if len(index) and not 0 <= min(index) <= max(index) < mb.shape[0]:
        raise ValueError(f"normalization.{me}: index must hold numbers from 0 to those of mean {mb.shape}")
    a.n, a.epsilon, a.kind = ib.shape[0], epsilon, invert
    vb, cb = fit(me, variance, "variance", mb.shape), fit(me, coefficients, "coefficients", (5, a.n), True)
    a.mean, a.variance, a.coefficients, a.index = floats(mb), floats(vb), floats(cb), <const int *>ib.whole()
    return make_step(adapted_leaf, &a, sizeof(a), (a.n + BLOCK - 1) // BLOCK, 8.0 * a.n, 0, (mb, vb, cb, ib))


cdef void normalize_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    a.tiles.affine(<const float *>at(&a.x, begin, slot), (end - begin) * a.rows, a.n, a.coefficients, a.kind,
                   <const float *>at(&a.add, begin, slot) if a.adds else NULL, a.activation, <float *>at(&a.y, begin, slot))

def normalize(x, coefficients, y, bint linear=False, add=None, str activation="linear"):
    """y = act((x - mean) * scale + offset + add) by channel. One task per sample.

    Args:
        x, y: (n, ..., c); y is overwritten, and may be x or add.
        coefficients: (5, c).
        linear: x * scale instead of the line.
        add: of the shape of x, or None.
        activation: one of ACTIVATIONS.
    """
    cdef Buffer xb = image("normalize", x), yb = fit("normalize", y, "y", xb.shape, True), cb, ab
    cdef Norm a = new(xb)
    cb, ab = fit("normalize", coefficients, "coefficients", (5, a.n)), maybe("normalize", add, "add", xb.shape)
    a.y, a.coefficients, a.kind, a.activation = yb.rows(), floats(cb), linear, known("normalize", activation)
    if ab is not None:
        a.add, a.adds = ab.rows(), True
    return make_step(normalize_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, yb, cb, ab))


cdef void fold_bias_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef const float *c = a.coefficients
    cdef Py_ssize_t j
    for j in range(begin * BLOCK, min(end * BLOCK, a.n)):
        a.a[j] = ((a.beta[j] if a.beta != NULL else 0) - c[j]) * c[a.n + j] + c[2 * a.n + j]

def fold_bias(b, coefficients, y):
    """y = (b - mean) * scale + offset: the bias of a linear layer that also normalises what it gives. b (c,), or None for
    0; coefficients (5, c); y (c,), overwritten. One task per 256 channels."""
    cdef str me = "fold_bias"
    cdef Buffer yb = buffer(y, "y", "f", 1, True), bb, cb
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.n = yb.shape[0]
    bb, cb = maybe(me, b, "b", yb.shape), fit(me, coefficients, "coefficients", (5, a.n))
    a.a, a.beta, a.coefficients = floats(yb), floats(bb), floats(cb)
    return make_step(fold_bias_leaf, &a, sizeof(a), (a.n + BLOCK - 1) // BLOCK, 3.0 * a.n, 0, (yb, bb, cb))


cdef void gradient_sums_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    a.tiles.affine_sums(<const float *>at(&a.dy, begin, slot), <const float *>at(&a.add, begin, slot) if a.adds else NULL,
                        <const float *>at(&a.y, begin, slot) if a.sees else NULL, <const float *>at(&a.x, begin, slot),
                        (end - begin) * a.rows, a.n, a.coefficients, a.activation,
                        <float *>at(&a.g, begin, slot) if a.keeps else NULL, a.sums + begin // a.grain * 2 * a.n)

def batch_gradient_sums(dy, x, coefficients, sums, Py_ssize_t grain, str activation="linear", add=None, y=None, g=None):
    """Of the samples of each chunk and by channel: sum of g, and of g * (x - mean), where g = (dy + add) * act'(normalize(x)),
    computed again as `normalize` does, or act' as seen from y, what the activation gave. One task per sample.

    Args:
        dy, x: (n, ..., c) float32.
        coefficients: (5, c).
        sums: (ceil(n / grain), 2, c), overwritten. The step must run with this grain.
        activation: one of ACTIVATIONS.
        add, y: of the shape of x, or None.
        g: likewise, overwritten, may be dy or add.
    """
    cdef str me = "batch_gradient_sums"
    cdef Buffer xb = image(me, x), gb = fit(me, dy, "dy", xb.shape), cb, sb, ab, yb, ob
    cdef Norm a = new(xb)
    ab, yb, ob = maybe(me, add, "add", xb.shape), maybe(me, y, "y", xb.shape), maybe(me, g, "g", xb.shape, True)
    if ab is not None:
        a.add, a.adds = ab.rows(), True
    if yb is not None:
        a.y, a.sees = yb.rows(), True
    if ob is not None:
        a.g, a.keeps = ob.rows(), True
    cb = fit(me, coefficients, "coefficients", (5, a.n))
    sb = fit(me, sums, "sums", (chunks_of(me, xb, grain), 2, a.n), True)
    a.dy, a.grain, a.coefficients, a.sums = gb.rows(), grain, floats(cb), floats(sb)
    a.activation = known(me, activation)
    return make_step(gradient_sums_leaf, &a, sizeof(a), xb.shape[0], 3.0 * xb.size(), 0, (xb, gb, cb, sb, ab, yb, ob),
                     grain)


cdef void gradient_reduce_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef Py_ssize_t first = begin * BLOCK, last = min(end * BLOCK, a.n), half = 1, i, j, k, n = a.n
    cdef const float *c = a.coefficients
    cdef float *part
    cdef double dgamma, dbeta, line
    while half < a.chunks:
        i = 0
        while i + half < a.chunks:
            for k in range(2):
                part = a.sums + (2 * i + k) * n + first
                a.tiles.add(part, part + 2 * half * n, part, last - first)
            i += 2 * half
        half *= 2
    for j in range(first, last):
        dbeta = a.sums[j]
        dgamma = c[3 * n + j] * (a.sums[n + j] - <double>c[4 * n + j] * dbeta)
        if a.a != NULL:
            a.a[j] = <float>dgamma
        if a.b != NULL:
            a.b[j] = <float>dbeta
        if a.lines != NULL:     # dx = scale * (dy - dbeta / count - xhat * dgamma / count)
            line = -c[n + j] * <double>c[3 * n + j] * dgamma / a.count
            a.lines[j] = c[n + j]
            a.lines[n + j] = <float>line
            a.lines[2 * n + j] = <float>(-c[n + j] * dbeta / a.count - line * c[4 * n + j])

def batch_gradient_reduce(sums, coefficients, dgamma, dbeta, lines, double count):
    """What `batch_gradient_sums` found, joined by a fixed tree. One task per 256 channels.

    Args:
        sums: (chunks, 2, c), destroyed.
        coefficients: (5, c).
        dgamma, dbeta: (c,) or None; overwritten.
        lines: (3, c) or None; overwritten: what `batch_input_gradient` needs.
        count: numbers in a channel, of the whole batch.
    """
    cdef str me = "batch_gradient_reduce"
    cdef Buffer sb = buffer(sums, "sums", "f", 3, True), cb = buffer(coefficients, "coefficients", "f", 2)
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.n, a.chunks, a.count, a.tiles = cb.shape[1], sb.shape[0], count, tiles()
    if cb.shape[0] != 5 or sb.shape[0] < 1 or sb.shape[1:] != (2, a.n):
        raise ValueError(f"normalization.{me}: sums {sb.shape} and coefficients {cb.shape} do not fit together")
    gb, bb = maybe(me, dgamma, "dgamma", (a.n,), True), maybe(me, dbeta, "dbeta", (a.n,), True)
    lb = maybe(me, lines, "lines", (3, a.n), True)
    a.sums, a.coefficients, a.a, a.b, a.lines = floats(sb), floats(cb), floats(gb), floats(bb), floats(lb)
    return make_step(gradient_reduce_leaf, &a, sizeof(a), (a.n + BLOCK - 1) // BLOCK, sb.size(), 0, (sb, cb, gb, bb, lb))


cdef void input_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    a.tiles.affine_gradient(<const float *>at(&a.dy, begin, slot), <const float *>at(&a.x, begin, slot),
                            (end - begin) * a.rows, a.n, a.coefficients, a.activation, a.lines,
                            <float *>at(&a.y, begin, slot))

def batch_input_gradient(dy, x, coefficients, lines, dx, str activation="linear"):
    """dx = g * lines[0] + (x - mean) * lines[1] + lines[2] by channel, where g = dy * act'(normalize(x)): dy, x and dx
    (n, ..., c), dx overwritten, may be dy; coefficients (5, c), lines (3, c); activation one of ACTIVATIONS. One task per
    sample."""
    cdef str me = "batch_input_gradient"
    cdef Buffer xb = image(me, x), gb = fit(me, dy, "dy", xb.shape), db = fit(me, dx, "dx", xb.shape, True), cb, lb
    cdef Norm a = new(xb)
    cb, lb = fit(me, coefficients, "coefficients", (5, a.n)), fit(me, lines, "lines", (3, a.n))
    a.dy, a.y, a.coefficients, a.lines = gb.rows(), db.rows(), floats(cb), floats(lb)
    a.activation = known(me, activation)
    return make_step(input_gradient_leaf, &a, sizeof(a), xb.shape[0], 3.0 * xb.size(), 0, (xb, gb, db, cb, lb))


cdef void moving_average_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef Py_ssize_t j
    for j in range(begin * BLOCK, min(end * BLOCK, a.n)):
        a.a[j] = a.a[j] * a.momentum + a.mean[j] * a.rest

def moving_average(parameter, statistic, double momentum):
    """parameter = parameter * momentum + statistic * (1 - momentum), of one shape. One task per 256 numbers."""
    cdef Buffer pb = buffer(parameter, "parameter", "f", -1, True)
    cdef Buffer sb = fit("moving_average", statistic, "statistic", pb.shape)
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.n, a.a, a.mean, a.momentum, a.rest = pb.size(), floats(pb), floats(sb), momentum, 1 - momentum
    return make_step(moving_average_leaf, &a, sizeof(a), (a.n + BLOCK - 1) // BLOCK, a.n, 0, (pb, sb))
