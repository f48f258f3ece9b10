# cython: language_level=3
"""Normalisation inside a sample: of rows, the last axes of it, and of groups of channels.

y = xhat * gamma + beta. What the gradients need is kept in `stats`, three numbers for each row or group: the mean as a
float, rstd = 1 / sqrt(variance + epsilon), and for what the float lacks of the mean, a row -lack * rstd, a group the lack.

Ba, Kiros & Hinton, "Layer Normalization", arXiv 1607.06450; Wu & He, "Group Normalization", arXiv 1803.08494; Zhang &
Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467.
"""
from libc.math cimport sqrt
from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport DLC_LINEAR, dlc_tiles, tiles

KINDS = {"layer": 0, "rms": 1, "unit": 2}
cdef enum: LAYER, RMS, UNIT
cdef double LARGEST = 1e12      # of 1 / norm

ctypedef struct Norm:
    const dlc_tiles *tiles
    Ref x, y, dy, stats
    bint keeps                  # stats; else they are forgotten
    bint backward               # to x
    const float *gamma          # NULL: 1
    const float *beta
    float *dgamma               # (chunks, size), NULL: not asked for
    float *dbeta
    Py_ssize_t rows, n, grain, groups
    double epsilon
    int kind


cdef Buffer fit(str factory, object x, str name, tuple shape, bint write=False):
    """`x` as a buffer of this shape, or None."""
    if x is None:
        return None
    cdef Buffer b = buffer(x, name, "f", -1, write)
    if b.shape != shape:
        raise ValueError(f"layer_normalization.{factory}: expected {name} of shape {shape}. Received: {b.shape}")
    return b

cdef float *floats(Buffer b) except? NULL:
    return NULL if b is None else <float *>b.whole()

cdef Buffer image(str factory, object x):
    cdef Buffer b = buffer(x, "x", "f")
    if len(b.shape) < 2:
        raise ValueError(f"layer_normalization.{factory}: expected x of shape (n, ..., c). Received: {b.shape}")
    return b

cdef Norm of_rows(str factory, Buffer x, int axes, str kind) except *:
    cdef Norm a
    memset(&a, 0, sizeof(a))
    if not 1 <= axes < len(x.shape) or kind not in KINDS:
        raise ValueError(f"layer_normalization.{factory}: cannot take {axes} axes of x {x.shape} in the way of {kind!r}")
    a.tiles, a.x, a.kind, a.n, a.rows = tiles(), x.rows(), KINDS[kind], 1, 1
    for size in x.shape[len(x.shape) - axes:]:
        a.n *= <Py_ssize_t>size
    for size in x.shape[1:len(x.shape) - axes]:
        a.rows *= <Py_ssize_t>size
    return a

cdef Norm of_groups(str factory, Buffer x, Py_ssize_t groups) except *:
    cdef Norm a
    memset(&a, 0, sizeof(a))
    a.tiles, a.x, a.n, a.groups = tiles(), x.rows(), x.shape[len(x.shape) - 1], groups
    if groups < 1 or a.n % groups != 0:
        raise ValueError(f"layer_normalization.{factory}: x {x.shape} cannot have {groups} groups of channels")
    a.rows = x.row_size() // a.n if a.n else 0
    return a

cdef int sums_of(Norm *a, str factory, Buffer x, object dgamma, object dbeta, tuple shape, Py_ssize_t grain,
                 list keep) except -1:
    """The partial sums of gamma's and beta's gradients, if either is asked for."""
    if dgamma is None and dbeta is None:
        return 0
    if grain < 1:
        raise ValueError(f"layer_normalization.{factory}: expected a grain of at least 1. Received: {grain}")
    shape = ((x.shape[0] + grain - 1) // grain, *shape)
    gb, bb = fit(factory, dgamma, "dgamma", shape, True), fit(factory, dbeta, "dbeta", shape, True)
    keep += [gb, bb]
    a.grain, a.dgamma, a.dbeta = grain, floats(gb), floats(bb)
    return 0

cdef inline float *part_of(const Norm *a, float *sums, Py_ssize_t begin) noexcept nogil:
    """The chunk's row of partial sums, all zero."""
    if sums == NULL:
        return NULL
    sums += begin // a.grain * a.n
    memset(sums, 0, a.n * sizeof(float))
    return sums


# ---------------------------------------------------------------------------------------------------------------------
# Rows

cdef void rows_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef float *stats = <float *>at(&a.stats, begin, slot) if a.keeps else NULL
    cdef float[3] s
    cdef double[2] m
    cdef double variance, rstd
    cdef Py_ssize_t i
    for i in range((end - begin) * a.rows):
        a.tiles.row_moments(x + i * a.n, a.n, a.kind == LAYER, m)
        if a.kind == UNIT:
            rstd = 1 / sqrt(m[1])
            if rstd > LARGEST:
                rstd = LARGEST
        else:
            variance = m[1] / a.n
            rstd = 1 / sqrt((0 if variance < 0 else variance) + a.epsilon)
        s[0], s[1] = <float>m[0], <float>rstd
        s[2] = <float>((s[0] - m[0]) * rstd)
        a.tiles.row_affine(x + i * a.n, a.n, s, a.gamma, a.beta, y + i * a.n)
        if stats != NULL:
            stats[3 * i], stats[3 * i + 1], stats[3 * i + 2] = s[0], s[1], s[2]

def rows_forward(x, gamma, beta, y, stats, int axes=1, str kind="layer", double epsilon=1e-3):
    """y = xhat * gamma + beta, where xhat is a row, the last `axes` axes of a sample: by kind

        layer  (x - mean) / sqrt(variance + epsilon)
        rms    x / sqrt(mean of x^2 + epsilon)
        unit   x * min(1 / sqrt(sum of x^2), 1e12), without epsilon

    One task per sample.

    Args:
        x, y: (n, ...) float32; y is overwritten, and may be x.
        gamma, beta: of the shape of the last `axes` axes, or None.
        stats: (n, rows, 3), overwritten; None where no gradient is wanted.
    """
    cdef str me = "rows_forward"
    cdef Buffer xb = image(me, x), yb = fit(me, y, "y", xb.shape, True), gb, bb, sb
    cdef Norm a = of_rows(me, xb, axes, kind)
    shape = xb.shape[len(xb.shape) - axes:]
    gb, bb, sb = fit(me, gamma, "gamma", shape), fit(me, beta, "beta", shape), None
    a.y, a.gamma, a.beta, a.epsilon, a.keeps = yb.rows(), floats(gb), floats(bb), epsilon, stats is not None
    if a.keeps:
        sb = fit(me, stats, "stats", (xb.shape[0], a.rows, 3), True)
        a.stats = sb.rows()
    return make_step(rows_leaf, &a, sizeof(a), xb.shape[0], 5.0 * xb.size(), 0, (xb, yb, gb, bb, sb))


cdef void rows_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const float *s = <const float *>at(&a.stats, begin, slot)
    cdef float *dx = <float *>at(&a.y, begin, slot)
    cdef float *dgamma = part_of(a, a.dgamma, begin)
    cdef float *dbeta = part_of(a, a.dbeta, begin)
    cdef double[2] m
    cdef Py_ssize_t i, j
    for i in range((end - begin) * a.rows):
        j = i * a.n
        a.tiles.row_sums(dy + j, x + j, a.n, s + 3 * i, a.gamma, dgamma, dbeta, m)
        if not a.backward:
            continue
        if a.kind == UNIT:
            m[1] = 0 if s[3 * i + 1] >= LARGEST else m[1]
        else:
            m[1] /= a.n
        m[0] = m[0] / a.n if a.kind == LAYER else 0
        a.tiles.row_gradient(dy + j, x + j, a.n, s + 3 * i, a.gamma, <float>m[0], <float>m[1], dx + j)

def rows_gradient(dy, x, stats, gamma, dx, dgamma=None, dbeta=None, int axes=1, str kind="layer", Py_ssize_t grain=0):
    """dx = rstd * (g - mean of g - xhat * mean of g * xhat) by row, with g = dy * gamma; without the second term for "rms"
    and "unit", and with the sum in place of the last mean for "unit". One task per sample.

    Args:
        dy, x, stats, gamma, axes, kind: as for `rows_forward`.
        dx: (n, ...), overwritten, may be dy; or None.
        dgamma, dbeta: (ceil(n / grain), ...) or None; overwritten: sums of dy * xhat and of dy over the rows of each
            chunk. The step must then run with this grain.
    """
    cdef str me = "rows_gradient"
    cdef Buffer xb = image(me, x), gb = buffer(dy, "dy", "f"), sb, mb, db
    cdef Norm a = of_rows(me, xb, axes, kind)
    shape = xb.shape[len(xb.shape) - axes:]
    gb, mb, db = fit(me, dy, "dy", xb.shape), fit(me, gamma, "gamma", shape), fit(me, dx, "dx", xb.shape, True)
    sb = fit(me, stats, "stats", (xb.shape[0], a.rows, 3))
    keep = [xb, gb, sb, mb, db]
    sums_of(&a, me, xb, dgamma, dbeta, shape, grain, keep)
    a.dy, a.stats, a.gamma, a.backward = gb.rows(), sb.rows(), floats(mb), dx is not None
    if a.backward:
        a.y = db.rows()
    return make_step(rows_gradient_leaf, &a, sizeof(a), xb.shape[0], 8.0 * xb.size(), 0, keep, a.grain)


# ---------------------------------------------------------------------------------------------------------------------
# Groups

cdef void groups_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef float *stats = <float *>at(&a.stats, begin, slot) if a.keeps else NULL
    cdef Py_ssize_t n = a.n, size = a.n // a.groups, i, g, j, k
    cdef double *mean = <double *>slot
    cdef double *m2 = mean + n
    cdef float *shift = <float *>(m2 + n)
    cdef float *scale = shift + n
    cdef float *offset = scale + n
    cdef double of_group, sum, delta, share, variance, rstd, lack
    cdef float s
    for i in range(end - begin):
        a.tiles.moments(x, a.rows, n, mean, m2)
        for g in range(a.groups):
            of_group, sum = mean[g * size], m2[g * size]
            for k in range(1, size):    # the channels of the group join, by Chan's formula
                j, share = g * size + k, 1.0 / (k + 1)
                delta = mean[j] - of_group
                of_group += delta * share
                sum += m2[j] + delta * delta * share * k * a.rows
            variance = sum / (size * a.rows)
            rstd = 1 / sqrt((0 if variance < 0 else variance) + a.epsilon)
            s = <float>of_group
            lack = of_group - s
            for j in range(g * size, (g + 1) * size):
                delta = rstd * a.gamma[j] if a.gamma != NULL else rstd
                shift[j], scale[j] = s, <float>delta
                offset[j] = <float>((a.beta[j] if a.beta != NULL else 0) - lack * delta)
            if stats != NULL:
                stats[3 * g], stats[3 * g + 1], stats[3 * g + 2] = s, <float>rstd, <float>lack
        a.tiles.affine(x, a.rows, n, shift, 0, NULL, DLC_LINEAR, y)  # scale and offset lie behind
        x += a.rows * n
        y += a.rows * n
        if stats != NULL:
            stats += 3 * a.groups

def groups_forward(x, gamma, beta, y, stats, Py_ssize_t groups, double epsilon=1e-3):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance those of a sample's group of channels at
    all positions. One task per sample.

    Args:
        x, y: (n, ..., c) float32; y is overwritten, and may be x.
        gamma, beta: (c,) or None.
        stats: (n, groups, 3), overwritten; None where no gradient is wanted.
        groups: of channels that follow each other; c is a multiple.
    """
    cdef str me = "groups_forward"
    cdef Buffer xb = image(me, x), yb = fit(me, y, "y", xb.shape, True), gb, bb, sb = None
    cdef Norm a = of_groups(me, xb, groups)
    gb, bb = fit(me, gamma, "gamma", (a.n,)), fit(me, beta, "beta", (a.n,))
    a.y, a.gamma, a.beta, a.epsilon, a.keeps = yb.rows(), floats(gb), floats(bb), epsilon, stats is not None
    if a.keeps:
        sb = fit(me, stats, "stats", (xb.shape[0], groups, 3), True)
        a.stats = sb.rows()
    return make_step(groups_leaf, &a, sizeof(a), xb.shape[0], 5.0 * xb.size(), 28 * a.n, (xb, yb, gb, bb, sb))


cdef void groups_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef const float *dy = <const float *>at(&a.dy, begin, slot)
    cdef const float *stats = <const float *>at(&a.stats, begin, slot)
    cdef float *dx = <float *>at(&a.y, begin, slot)
    cdef float *dgamma = part_of(a, a.dgamma, begin)
    cdef float *dbeta = part_of(a, a.dbeta, begin)
    cdef Py_ssize_t n = a.n, size = a.n // a.groups, count = size * a.rows, i, g, j
    cdef float *shift = <float *>slot
    cdef float *sums = shift + n
    cdef float *lines = sums + 2 * n
    cdef double s1, s2, by_gamma, rstd, lack, line
    for i in range(end - begin):
        for j in range(n):
            shift[j] = stats[j // size * 3]
        a.tiles.affine_sums(dy, NULL, NULL, x, a.rows, n, shift, DLC_LINEAR, NULL, sums)
        for g in range(a.groups):
            s1 = s2 = 0
            rstd, lack = stats[3 * g + 1], stats[3 * g + 2]
            for j in range(g * size, (g + 1) * size):
                by_gamma = rstd * (sums[n + j] - lack * sums[j])
                s1 += sums[j] * <double>(a.gamma[j] if a.gamma != NULL else 1)
                s2 += by_gamma * (a.gamma[j] if a.gamma != NULL else 1)
                if dgamma != NULL:
                    dgamma[j] += <float>by_gamma
                if dbeta != NULL:
                    dbeta[j] += sums[j]
            line = -rstd * rstd * s2 / count
            for j in range(g * size, (g + 1) * size):
                lines[j] = <float>(rstd * (a.gamma[j] if a.gamma != NULL else 1))
                lines[n + j], lines[2 * n + j] = <float>line, <float>(-rstd * s1 / count - line * lack)
        if a.backward:
            a.tiles.affine_gradient(dy, x, a.rows, n, shift, DLC_LINEAR, lines, dx)
            dx += a.rows * n
        x += a.rows * n
        dy += a.rows * n
        stats += 3 * a.groups

def groups_gradient(dy, x, stats, gamma, dx, dgamma=None, dbeta=None, Py_ssize_t groups=1, Py_ssize_t grain=0):
    """dx = rstd * (g - mean of g - xhat * mean of g * xhat) by group, with g = dy * gamma. One task per sample.

    Args:
        dy, x, stats, gamma, groups: as for `groups_forward`.
        dx: (n, ..., c), overwritten, may be dy; or None.
        dgamma, dbeta: (ceil(n / grain), c) or None; overwritten: sums of dy * xhat and of dy over the samples and
            positions of each chunk. The step must then run with this grain.
    """
    cdef str me = "groups_gradient"
    cdef Buffer xb = image(me, x), gb = buffer(dy, "dy", "f"), sb, mb, db
    cdef Norm a = of_groups(me, xb, groups)
    gb, mb, db = fit(me, dy, "dy", xb.shape), fit(me, gamma, "gamma", (a.n,)), fit(me, dx, "dx", xb.shape, True)
    sb = fit(me, stats, "stats", (xb.shape[0], groups, 3))
    keep = [xb, gb, sb, mb, db]
    sums_of(&a, me, xb, dgamma, dbeta, (a.n,), grain, keep)
    a.dy, a.stats, a.gamma, a.backward = gb.rows(), sb.rows(), floats(mb), dx is not None
    if a.backward:
        a.y = db.rows()
    return make_step(groups_gradient_leaf, &a, sizeof(a), xb.shape[0], 8.0 * xb.size(), 24 * a.n, keep, a.grain)
