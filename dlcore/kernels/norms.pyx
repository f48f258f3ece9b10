# cython: language_level=3
"""Penalties on weights and activations, and projections of weights onto norms."""
from libc.math cimport fabs, sqrt
from libc.string cimport memcpy

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer, ceildiv
from dlcore.kernels.simd cimport DLC_RELU, dlc_tiles, tiles

PARTS_BLOCK = 4096                       # floats per task, and per partial sum

cdef Py_ssize_t BLOCK = PARTS_BLOCK
cdef double EPSILON = 1e-7               # of norms that are divided by

ctypedef struct Penalty:
    const dlc_tiles *tiles
    const float *x
    const float *dy
    float *dx
    double *parts
    float *y
    Ref xs, ys, dxs
    Py_ssize_t size
    float l1, l2


# ---------------------------------------------------------------------------------------------------------------------
# of weights: sum over all of x, block by block

cdef void parts_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Penalty *a = <const Penalty *>args
    cdef Py_ssize_t i
    for i in range(begin, end):
        a.parts[i] = a.tiles.penalty(a.x + i * BLOCK, a.l1, a.l2, min(BLOCK, a.size - i * BLOCK))

def penalty_parts(x, parts, float l1, float l2):
    """parts[i] = l1 sum |x| + l2 sum x^2 over block i of x (...), 4096 floats; parts (blocks,) float64, overwritten. One
    task per block."""
    cdef Buffer xb = buffer(x, "x", "f"), pb = buffer(parts, "parts", "d", 1, True)
    cdef Penalty a
    a.size = xb.size()
    if pb.shape[0] != ceildiv(a.size, BLOCK):
        raise ValueError(f"norms.penalty_parts: x {xb.shape} and parts {pb.shape} do not fit together")
    a.tiles, a.x, a.parts, a.l1, a.l2 = tiles(), <const float *>xb.whole(), <double *>pb.whole(), l1, l2
    return make_step(parts_leaf, &a, sizeof(a), pb.shape[0], a.size, 0, (xb, pb))


cdef void total_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Penalty *a = <const Penalty *>args
    cdef double sum = 0
    cdef Py_ssize_t i
    for i in range(a.size):
        sum += a.parts[i]
    a.y[0] = <float>sum

def total(parts, y):
    """y = sum of parts, in order. parts (n,) float64, y (1,) float32, overwritten. One task."""
    cdef Buffer pb = buffer(parts, "parts", "d", 1), yb = buffer(y, "y", "f", 1, True)
    cdef Penalty a
    if yb.shape[0] != 1:
        raise ValueError(f"norms.total: expected y of shape (1,). Received: {yb.shape}")
    a.parts, a.y, a.size = <double *>pb.whole(), <float *>yb.whole(), pb.shape[0]
    return make_step(total_leaf, &a, sizeof(a), 1, a.size, 0, (pb, yb))


cdef void weight_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Penalty *a = <const Penalty *>args
    cdef Py_ssize_t i = begin * BLOCK
    a.tiles.penalty_gradient(a.x + i, a.dy[0] * a.l1, 2 * a.dy[0] * a.l2, a.dx + i, min(end * BLOCK, a.size) - i)

def weight_penalty_gradient(dy, x, dx, float l1, float l2):
    """dx = dy (l1 sign(x) + 2 l2 x), x and dx (...) of one shape, dy (1,); dx overwritten. One task per 4096 floats."""
    cdef Buffer gb = buffer(dy, "dy", "f", 1), xb = buffer(x, "x", "f"), db = buffer(dx, "dx", "f", -1, True)
    cdef Penalty a
    if gb.shape[0] != 1 or xb.shape != db.shape:
        raise ValueError(f"norms.weight_penalty_gradient: dy {gb.shape}, x {xb.shape} and dx {db.shape} do not fit "
                         "together")
    a.tiles, a.dy, a.x, a.dx = tiles(), <const float *>gb.whole(), <const float *>xb.whole(), <float *>db.whole()
    a.size, a.l1, a.l2 = xb.size(), l1, l2
    return make_step(weight_gradient_leaf, &a, sizeof(a), ceildiv(a.size, BLOCK), a.size, 0, (gb, xb, db))


# ---------------------------------------------------------------------------------------------------------------------
# of activations: one sum per sample

cdef void penalty_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Penalty *a = <const Penalty *>args
    cdef const float *x = <const float *>at(&a.xs, begin, slot)
    cdef float *y = <float *>at(&a.ys, begin, slot)
    cdef Py_ssize_t i
    for i in range(end - begin):
        y[i] = a.tiles.penalty(x + i * a.size, a.l1, a.l2, a.size)

def penalty(x, y, float l1, float l2):
    """y[n] = l1 sum |x[n]| + l2 sum x[n]^2; x (n, ...), y (n,), overwritten. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", 1, True)
    cdef Penalty a
    if xb.shape[0] != yb.shape[0]:
        raise ValueError(f"norms.penalty: x {xb.shape} and y {yb.shape} do not fit together")
    a.tiles, a.xs, a.ys, a.size, a.l1, a.l2 = tiles(), xb.rows(), yb.rows(), xb.row_size(), l1, l2
    return make_step(penalty_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, yb))


cdef void penalty_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Penalty *a = <const Penalty *>args
    cdef const float *x = <const float *>at(&a.xs, begin, slot)
    cdef const float *dy = <const float *>at(&a.ys, begin, slot)
    cdef float *dx = <float *>at(&a.dxs, begin, slot)
    cdef Py_ssize_t i
    for i in range(end - begin):
        a.tiles.penalty_gradient(x + i * a.size, dy[i] * a.l1, 2 * dy[i] * a.l2, dx + i * a.size, a.size)

def penalty_gradient(dy, x, dx, float l1, float l2):
    """dx[n] = dy[n] (l1 sign(x[n]) + 2 l2 x[n]); dy (n,), x and dx (n, ...), dx overwritten. One task per sample."""
    cdef Buffer gb = buffer(dy, "dy", "f", 1), xb = buffer(x, "x", "f"), db = buffer(dx, "dx", "f", -1, True)
    cdef Penalty a
    if gb.shape[0] != xb.shape[0] or xb.shape != db.shape:
        raise ValueError(f"norms.penalty_gradient: dy {gb.shape}, x {xb.shape} and dx {db.shape} do not fit together")
    a.tiles, a.ys, a.xs, a.dxs, a.size, a.l1, a.l2 = tiles(), gb.rows(), xb.rows(), db.rows(), xb.row_size(), l1, l2
    return make_step(penalty_gradient_leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (gb, xb, db))


# ---------------------------------------------------------------------------------------------------------------------
# orthogonality of the rows or columns of a matrix

ctypedef struct Orthogonal:
    const float *x
    const float *dy
    float *dx
    double *parts
    Py_ssize_t count, length, step, stride    # vectors, their length, from one to the next, within one
    double factor

cdef double dot(const Orthogonal *a, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    cdef const float *p = a.x + i * a.step
    cdef const float *q = a.x + j * a.step
    cdef double sum = 0
    cdef Py_ssize_t k
    for k in range(a.length):
        sum += <double>p[k * a.stride] * q[k * a.stride]
    return sum

cdef double inverse_norm(const Orthogonal *a, Py_ssize_t i) noexcept nogil:
    cdef double square = dot(a, i, i)
    return 1 / EPSILON if square < EPSILON * EPSILON else 1 / sqrt(square)

cdef Step bind_orthogonal(Leaf leaf, Orthogonal *a, str what, x, bint rows, double factor, keep):
    cdef Buffer xb = buffer(x, "x", "f", 2)
    cdef Py_ssize_t m = xb.shape[0], n = xb.shape[1]
    a.x = <const float *>xb.whole()
    a.count, a.length = (m, n) if rows else (n, m)
    a.step, a.stride = n if rows else 1, 1 if rows else n
    a.factor = factor / (a.count * (a.count - 1.0)) if a.count > 1 else 0
    if keep[0].shape != ((a.count,) if what == "orthogonal_parts" else xb.shape):
        raise ValueError(f"norms.{what}: x {xb.shape} and {'parts' if a.parts else 'dx'} {keep[0].shape} do not fit "
                         "together")
    return make_step(leaf, a, sizeof(Orthogonal), a.count, 2.0 * a.count * m * n, 0, (xb, *keep))


cdef void orthogonal_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Orthogonal *a = <const Orthogonal *>args
    cdef Py_ssize_t i, j
    cdef double sum
    for i in range(begin, end):
        sum = 0
        for j in range(a.count):
            if j != i:
                sum += fabs(dot(a, i, j)) * inverse_norm(a, j)
        a.parts[i] = a.factor * sum * inverse_norm(a, i)

def orthogonal_parts(x, parts, double factor, bint rows):
    """parts[i] = factor / (r (r - 1)) * sum over j != i of |n_i . n_j|, where n are the r rows (or columns) of the
    matrix x over their norms; parts (r,) float64, overwritten. One task per row."""
    cdef Orthogonal a
    cdef Buffer pb = buffer(parts, "parts", "d", 1, True)
    a.parts = <double *>pb.whole()
    return bind_orthogonal(orthogonal_leaf, &a, "orthogonal_parts", x, rows, factor, (pb,))


cdef void orthogonal_gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Orthogonal *a = <const Orthogonal *>args
    cdef const float *x
    cdef float *dx
    cdef Py_ssize_t i, j, k
    cdef double product, along, own, scale
    for i in range(begin, end):
        dx, own, along = a.dx + i * a.step, inverse_norm(a, i), 0
        for k in range(a.length):
            dx[k * a.stride] = 0
        for j in range(a.count):
            product = dot(a, i, j)
            if j == i or product == 0:
                continue
            x = a.x + j * a.step
            scale = (1 if product > 0 else -1 if product < 0 else product) * inverse_norm(a, j)  # a NaN stays
            for k in range(a.length):
                dx[k * a.stride] += <float>(scale * x[k * a.stride])
            along += scale * product
        x, scale = a.x + i * a.step, 2 * a.factor * a.dy[0] * own
        if own == 1 / EPSILON:  # such a norm is a constant
            along = 0
        for k in range(a.length):
            dx[k * a.stride] = <float>(scale * (dx[k * a.stride] - along * own * own * x[k * a.stride]))

def orthogonal_gradient(dy, x, dx, double factor, bint rows):
    """The gradient of the sum of `orthogonal_parts`, times dy (1,); dx like x, overwritten. One task per row."""
    cdef Orthogonal a
    cdef Buffer gb = buffer(dy, "dy", "f", 1), db = buffer(dx, "dx", "f", 2, True)
    if gb.shape[0] != 1:
        raise ValueError(f"norms.orthogonal_gradient: expected dy of shape (1,). Received: {gb.shape}")
    a.parts, a.dx, a.dy = NULL, <float *>db.whole(), <const float *>gb.whole()
    return bind_orthogonal(orthogonal_gradient_leaf, &a, "orthogonal_gradient", x, rows, factor, (db, gb))


# ---------------------------------------------------------------------------------------------------------------------
# projections

cdef enum:
    AXES = 16            # most groups of axes
    COLUMNS = 16         # norms that a task computes side by side

ctypedef struct Project:
    const dlc_tiles *tiles
    const float *x
    float *y
    Py_ssize_t size
    Py_ssize_t kept[AXES]             # sizes and strides of the axes that stay, and of those that are summed over
    Py_ssize_t kept_stride[AXES]
    Py_ssize_t summed[AXES]
    Py_ssize_t summed_stride[AXES]
    int kept_count, summed_count
    Py_ssize_t columns                # of the last kept axis where that is the last of all, else 1
    Py_ssize_t sums                   # product of the sizes summed over
    double low, high, rate

cdef inline Py_ssize_t offset(Py_ssize_t i, const Py_ssize_t *size, const Py_ssize_t *stride, int count) noexcept nogil:
    """Where number i lies, counted along the axes of `size`."""
    cdef Py_ssize_t found = 0
    cdef int axis
    for axis in range(count - 1, -1, -1):
        found += i % size[axis] * stride[axis]
        i //= size[axis]
    return found

cdef void project_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Project *a = <const Project *>args
    cdef double square[COLUMNS]
    cdef float scale[COLUMNS]
    cdef double norm, wanted
    cdef Py_ssize_t task, i, j, first, blocks = ceildiv(a.columns, COLUMNS), width, place
    for task in range(begin, end):
        first = task % blocks * COLUMNS
        width = min(<Py_ssize_t>COLUMNS, a.columns - first)
        first += offset(task // blocks, a.kept, a.kept_stride, a.kept_count)
        for j in range(width):
            square[j] = 0
        for i in range(a.sums):
            place = first + offset(i, a.summed, a.summed_stride, a.summed_count)
            for j in range(width):
                square[j] += <double>a.x[place + j] * a.x[place + j]
        for j in range(width):
            norm = sqrt(square[j])
            wanted = a.low if norm < a.low else a.high if norm > a.high else norm
            scale[j] = <float>((a.rate * wanted + (1 - a.rate) * norm) / (EPSILON + norm))
        for i in range(a.sums):
            place = first + offset(i, a.summed, a.summed_stride, a.summed_count)
            for j in range(width):
                a.y[place + j] = a.x[place + j] * scale[j]

def project(x, y, axes, double low, double high, double rate):
    """y = x * (rate clip(norm, low, high) + (1 - rate) norm) / (1e-7 + norm), norm that of x along `axes` (numbers from
    0). y like x, overwritten, y may be x. One task per 16 norms."""
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Project a
    cdef Py_ssize_t stride = 1, groups = 1
    if xb.shape != yb.shape or len(xb.shape) > AXES or not set(axes) <= set(range(len(xb.shape))):
        raise ValueError(f"norms.project: x {xb.shape}, y {yb.shape} and axes {axes} do not fit together")
    a.tiles, a.x, a.y = tiles(), <const float *>xb.whole(), <float *>yb.whole()
    a.low, a.high, a.rate, a.kept_count, a.summed_count, a.sums, a.columns = low, high, rate, 0, 0, 1, 1
    found = []  # axes, neighbours of one kind as one: [summed over, size, stride]
    for axis in reversed(range(len(xb.shape))):
        summed = axis in axes
        if found and found[0][0] == summed:
            found[0][1] *= xb.shape[axis]
        else:
            found.insert(0, [summed, xb.shape[axis], stride])
        stride *= <Py_ssize_t>xb.shape[axis]
    if not found[len(found) - 1][0]:
        a.columns = found.pop()[1]
    for summed, size, step in found:
        if summed:
            a.summed[a.summed_count], a.summed_stride[a.summed_count] = size, step
            a.summed_count += 1
            a.sums *= <Py_ssize_t>size
        else:
            a.kept[a.kept_count], a.kept_stride[a.kept_count] = size, step
            a.kept_count += 1
            groups *= <Py_ssize_t>size
    return make_step(project_leaf, &a, sizeof(a), groups * ceildiv(a.columns, COLUMNS), 4.0 * xb.size(), 0, (xb, yb))


cdef void non_negative_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Project *a = <const Project *>args
    cdef Py_ssize_t i = begin * BLOCK
    a.tiles.activate(DLC_RELU, a.x + i, a.y + i, min(end * BLOCK, a.size) - i)

cdef void copy_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Project *a = <const Project *>args
    cdef Py_ssize_t i = begin * BLOCK
    memcpy(a.y + i, a.x + i, (min(end * BLOCK, a.size) - i) * sizeof(float))

cdef Step bind_blocks(Leaf leaf, str what, x, y):
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Project a
    if xb.shape != yb.shape:
        raise ValueError(f"norms.{what}: expected y of shape {xb.shape}. Received: {yb.shape}")
    a.tiles, a.x, a.y, a.size = tiles(), <const float *>xb.whole(), <float *>yb.whole(), xb.size()
    return make_step(leaf, &a, sizeof(a), ceildiv(a.size, BLOCK), a.size, 0, (xb, yb))

def non_negative(x, y):
    """y = max(x, 0); y like x, overwritten, y may be x. One task per 4096 floats."""
    return bind_blocks(non_negative_leaf, "non_negative", x, y)

def copy(x, y):
    """y = x; y like x, overwritten. One task per 4096 floats."""
    return bind_blocks(copy_leaf, "copy", x, y)
