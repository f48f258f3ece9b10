# cython: language_level=3
"""Elementwise work on two or three operands whose shapes broadcast as NumPy's do, and the change of a dtype."""
from libc.stdint cimport int32_t, uint8_t

from dlcore.kernels.executor cimport Leaf, Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport (
    DLC_ADD, DLC_DIVIDE, DLC_EQUAL, DLC_GREATER, DLC_GREATER_EQUAL, DLC_MAXIMUM, DLC_MINIMUM, DLC_MULTIPLY, DLC_NOT_EQUAL,
    DLC_POW, DLC_PRELU, DLC_SUBTRACT, dlc_tiles, tiles,
)

KINDS = {"add": DLC_ADD, "subtract": DLC_SUBTRACT, "multiply": DLC_MULTIPLY, "divide": DLC_DIVIDE,
         "maximum": DLC_MAXIMUM, "minimum": DLC_MINIMUM, "power": DLC_POW, "prelu": DLC_PRELU,
         "equal": DLC_EQUAL, "not_equal": DLC_NOT_EQUAL, "greater": DLC_GREATER, "greater_equal": DLC_GREATER_EQUAL}

DEF RANK = 8               # axes of a sample that cannot be joined

cdef enum:
    OPERANDS = 3

ctypedef struct Map:
    const dlc_tiles *tiles
    Ref x[OPERANDS]
    Ref y
    Py_ssize_t row[OPERANDS]            # floats from one sample of an operand to the next
    Py_ssize_t step[RANK][OPERANDS]     # floats along each axis, 0 where the operand is repeated
    Py_ssize_t size[RANK]
    Py_ssize_t floats                   # of a sample of y
    int axes, operands, kind
    bint flat                           # all samples of a call are one row


cdef inline void apply(const Map *a, const float **x, const Py_ssize_t *step, float *y, Py_ssize_t n) noexcept nogil:
    if a.operands == 2:
        a.tiles.binary(a.kind, x[0], <int>step[0], x[1], <int>step[1], y, n)
    else:
        a.tiles.select(x[0], <int>step[0], x[1], <int>step[1], x[2], <int>step[2], y, n)

cdef void map_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Map *a = <const Map *>args
    cdef const float *x[OPERANDS]
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t index[RANK]
    cdef Py_ssize_t sample, n
    cdef int k, axis, last = a.axes - 1
    if a.flat:
        for k in range(a.operands):
            x[k] = <const float *>at(&a.x[k], begin, slot)
        apply(a, x, a.step[last], y, (end - begin) * a.floats)
        return
    if a.floats == 0:
        return
    n = a.size[last]
    for sample in range(end - begin):
        for k in range(a.operands):
            x[k] = <const float *>at(&a.x[k], begin, slot) + sample * a.row[k]
        for axis in range(a.axes):
            index[axis] = 0
        while True:
            apply(a, x, a.step[last], y, n)
            y += n
            axis = last - 1
            while axis >= 0:            # the next row
                index[axis] += 1
                if index[axis] < a.size[axis]:
                    for k in range(a.operands):
                        x[k] += a.step[axis][k]
                    break
                for k in range(a.operands):
                    x[k] -= a.step[axis][k] * (a.size[axis] - 1)
                index[axis] = 0
                axis -= 1
            if axis < 0:
                break


cdef Step bind(str what, tuple named, y, Map *a):
    cdef Buffer yb = buffer(y, "y", "f", -1, True), b
    cdef int k, axis
    cdef Py_ssize_t n = yb.shape[0]
    shape = yb.shape[1:]
    kept, steps = [yb], []
    a.tiles, a.y, a.floats, a.operands = tiles(), yb.rows(), yb.row_size(), len(named)
    for k, (name, x) in enumerate(named):
        b = x if isinstance(x, Buffer) else None
        if b is None:
            b = buffer(x, name, "f", memoryview(x).ndim if hasattr(x, "__array_interface__") else -1)
        elif b.dtype != "f":
            b = buffer(x, name, "f")
        own = b.shape
        rows = len(own) == len(yb.shape) and (own[0] == n and n != 1 or b.base == NULL)
        if len(own) == len(yb.shape) and own[0] in (1, n):
            own = own[1:]
        padded = (1,) * (len(shape) - len(own)) + own
        if len(padded) != len(shape) or any(p not in (1, s) for p, s in zip(padded, shape)):
            raise ValueError(f"broadcast.{what}: {name} of shape {b.shape} does not broadcast to y {yb.shape}")
        a.x[k] = b.rows() if b.shape else Ref(b.base, 0, 0)
        a.row[k] = b.row_size() if rows else 0
        if not rows:
            a.x[k].stride = 0
        strides, stride = [], 1
        for size in reversed(padded):
            strides.append(0 if size == 1 else stride)
            stride *= size
        steps.append(strides[::-1])
        kept.append(b)
    # join axes that every operand walks alike
    joined = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        step = [steps[k][axis] for k in range(len(steps))]
        if joined and all(before == now * size for before, now in zip(joined[len(joined) - 1][1], step)):
            joined[len(joined) - 1] = (joined[len(joined) - 1][0] * size, step)
        else:
            joined.append((size, step))
    one = not joined                    # one number a sample
    joined = joined or [(1, [0 if a.row[k] == 0 else 1 for k in range(len(steps))])]
    if len(joined) > RANK:
        raise ValueError(f"broadcast.{what}: more than {RANK} axes. Received: y {yb.shape}")
    a.axes = len(joined)
    for axis, (size, step) in enumerate(joined):
        a.size[axis] = size
        for k in range(len(steps)):
            a.step[axis][k] = step[k]
    a.flat = a.axes == 1 and (n == 1 and not one or all(
        (a.row[k] == 0) == (a.step[0][k] == 0) for k in range(len(steps))))
    return make_step(map_leaf, a, sizeof(Map), n, 2.0 * yb.size(), 0, tuple(kept))


def binary(a, b, y, str kind):
    """y = a op b, elementwise; y (n, ...) overwritten, y may be an operand of its own shape. One task per sample.

    Args:
        a, b: float32 whose shapes broadcast to that of y as NumPy's do: with the samples of y in front, or with 1 or
            nothing there, for what all samples share.
        kind: one of KINDS. Comparisons give 1.0 or 0.0; maximum and minimum of a NaN are NaN;
            prelu is a where a > 0, a * b elsewhere.
    """
    cdef Map args
    args.kind = KINDS[kind]
    return bind(kind, (("a", a), ("b", b)), y, &args)


def select(c, a, b, y):
    """y = a where c is not 0, b elsewhere; shapes as for `binary`. One task per sample."""
    cdef Map args
    args.kind = 0
    return bind("select", (("c", c), ("a", a), ("b", b)), y, &args)


# ---------------------------------------------------------------------------------------------------------------------
# dtypes

ctypedef struct Cast:
    Ref x, y
    Py_ssize_t size

cdef void int_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Cast *a = <const Cast *>args
    cdef const int32_t *x = <const int32_t *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.size):
        y[i] = <float>x[i]

cdef void byte_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Cast *a = <const Cast *>args
    cdef const uint8_t *x = <const uint8_t *>at(&a.x, begin, slot)
    cdef float *y = <float *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.size):
        y[i] = <float>x[i]

cdef void float_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Cast *a = <const Cast *>args
    cdef const float *x = <const float *>at(&a.x, begin, slot)
    cdef int32_t *y = <int32_t *>at(&a.y, begin, slot)
    cdef Py_ssize_t i
    for i in range((end - begin) * a.size):     # what no int32 can hold becomes the least one
        y[i] = <int32_t>x[i] if -2147483648.0 <= x[i] < 2147483648.0 else -2147483647 - 1

def cast(x, y, str source, str target):
    """y = x as another dtype, (n, ...) of one shape, y overwritten: "i" int32 or "B" uint8 to "f" float32, or "f" to "i",
    towards zero. One task per sample."""
    leaves = {("i", "f"), ("B", "f"), ("f", "i")}
    if (source, target) not in leaves:
        raise ValueError(f"broadcast.cast: expected one of {sorted(leaves)}. Received: {source!r} to {target!r}")
    cdef Buffer xb = buffer(x, "x", source), yb = buffer(y, "y", target, -1, True)
    cdef Cast a
    cdef Leaf leaf = float_leaf if source == "f" else int_leaf if source == "i" else byte_leaf
    if xb.shape != yb.shape:
        raise ValueError(f"broadcast.cast: expected y of shape {xb.shape}. Received: {yb.shape}")
    a.x, a.y, a.size = xb.rows(), yb.rows(), xb.row_size()
    return make_step(leaf, &a, sizeof(a), xb.shape[0], xb.size(), 0, (xb, yb))
