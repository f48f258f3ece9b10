# cython: language_level=3
"""Functions of one variable, elementwise, and their gradients: a vocabulary of mathematics, and the activations that no
tile has in its epilogue."""
from libc.math cimport NAN

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, Ref, at, buffer
from dlcore.kernels.simd cimport (
    DLC_ABS, DLC_CEIL, DLC_CELU, DLC_CLIP, DLC_COS, DLC_ELU, DLC_ERF, DLC_EXP, DLC_EXPM1, DLC_FLOOR, DLC_GELU, DLC_GELU_TANH,
    DLC_HARD_SHRINK, DLC_HARD_SIGMOID, DLC_HARD_SILU, DLC_LOG, DLC_LOG1P, DLC_LOG_SIGMOID, DLC_MISH, DLC_POWER, DLC_RAMP,
    DLC_RECIPROCAL, DLC_ROUND, DLC_RSQRT, DLC_SIGN, DLC_SILU, DLC_SIN, DLC_SOFTPLUS, DLC_SOFTSIGN, DLC_SOFT_SHRINK,
    DLC_SPARSE_PLUS, DLC_SQRT, DLC_SQUARE, DLC_SQUAREPLUS, DLC_TANH_SHRINK, DLC_THRESHOLD, dlc_tiles, tiles,
)

# name: (number in C, parameters, whether the gradient reads the output "y" or the input "x"; None: the slope is 0)
KINDS = {
    "abs": (DLC_ABS, 0, "x"),
    "sign": (DLC_SIGN, 0, None),
    "square": (DLC_SQUARE, 0, "x"),
    "sqrt": (DLC_SQRT, 0, "y"),
    "rsqrt": (DLC_RSQRT, 0, "y"),
    "reciprocal": (DLC_RECIPROCAL, 0, "y"),
    "exp": (DLC_EXP, 0, "y"),
    "expm1": (DLC_EXPM1, 0, "y"),
    "log": (DLC_LOG, 0, "x"),
    "log1p": (DLC_LOG1P, 0, "x"),
    "power": (DLC_POWER, 1, "x"),            # the exponent
    "clip": (DLC_CLIP, 2, "x"),              # the bounds
    "floor": (DLC_FLOOR, 0, None),
    "ceil": (DLC_CEIL, 0, None),
    "round": (DLC_ROUND, 0, None),
    "sin": (DLC_SIN, 0, "x"),
    "cos": (DLC_COS, 0, "x"),
    "erf": (DLC_ERF, 0, "x"),
    "softplus": (DLC_SOFTPLUS, 0, "x"),
    "log_sigmoid": (DLC_LOG_SIGMOID, 0, "x"),
    "ramp": (DLC_RAMP, 3, "x"),              # slope below the threshold, threshold, most
    "elu": (DLC_ELU, 2, "x"),                # scale * elu(x, alpha): alpha, scale
    "celu": (DLC_CELU, 1, "x"),              # alpha
    "gelu": (DLC_GELU, 0, "x"),
    "gelu_tanh": (DLC_GELU_TANH, 0, "x"),
    "silu": (DLC_SILU, 0, "x"),
    "mish": (DLC_MISH, 0, "x"),
    "softsign": (DLC_SOFTSIGN, 0, "x"),
    "hard_sigmoid": (DLC_HARD_SIGMOID, 0, "x"),
    "hard_silu": (DLC_HARD_SILU, 0, "x"),
    "soft_shrink": (DLC_SOFT_SHRINK, 1, "x"),  # threshold
    "hard_shrink": (DLC_HARD_SHRINK, 1, "x"),  # threshold
    "tanh_shrink": (DLC_TANH_SHRINK, 0, "x"),
    "threshold": (DLC_THRESHOLD, 2, "x"),    # threshold, value below it
    "squareplus": (DLC_SQUAREPLUS, 1, "x"),  # b
    "sparse_plus": (DLC_SPARSE_PLUS, 0, "x"),
}

ctypedef struct Unary:
    const dlc_tiles *tiles
    Ref x, v, y
    Py_ssize_t size       # floats per task
    int kind
    float parameters[3]

cdef void forward_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Unary *a = <const Unary *>args
    a.tiles.unary(a.kind, a.parameters, <const float *>at(&a.x, begin, slot), <float *>at(&a.y, begin, slot),
                  (end - begin) * a.size)

cdef void gradient_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Unary *a = <const Unary *>args
    a.tiles.unary_gradient(a.kind, a.parameters, <const float *>at(&a.x, begin, slot),
                           <const float *>at(&a.v, begin, slot), <float *>at(&a.y, begin, slot), (end - begin) * a.size)

cdef int prepare(Unary *a, str kind, parameters) except -1:
    code, count, _ = KINDS[kind]
    if len(parameters) != count:
        raise ValueError(f"unary.{kind}: expected {count} parameters. Received: {parameters}")
    given = [float(value) for value in parameters]
    a.tiles, a.kind = tiles(), code
    for i in range(3):
        a.parameters[i] = given[i] if i < count else <float>NAN
    return 0


def forward(x, y, str kind, parameters=()):
    """y = f(x), elementwise; x and y (n, ...) float32 of one shape, y overwritten, y may be x. One task per sample."""
    cdef Buffer xb = buffer(x, "x", "f"), yb = buffer(y, "y", "f", -1, True)
    cdef Unary a
    if xb.shape != yb.shape:
        raise ValueError(f"unary.forward: expected y of shape {xb.shape}. Received: {yb.shape}")
    prepare(&a, kind, parameters)
    a.x, a.y, a.size = xb.rows(), yb.rows(), xb.row_size()
    return make_step(forward_leaf, &a, sizeof(a), xb.shape[0], 4.0 * xb.size(), 0, (xb, yb))


def gradient(dy, v, dx, str kind, parameters=()):
    """dx = dy * f'(x), where v is x, or y = f(x) for the kinds that say so in KINDS; all (n, ...) of one shape, dx
    overwritten, dx may be dy. One task per sample."""
    cdef Buffer gb = buffer(dy, "dy", "f"), vb = buffer(v, "v", "f"), xb = buffer(dx, "dx", "f", -1, True)
    cdef Unary a
    if gb.shape != vb.shape or gb.shape != xb.shape:
        raise ValueError(f"unary.gradient: dy {gb.shape}, v {vb.shape} and dx {xb.shape} must have one shape")
    prepare(&a, kind, parameters)
    a.x, a.v, a.y, a.size = gb.rows(), vb.rows(), xb.rows(), gb.row_size()
    return make_step(gradient_leaf, &a, sizeof(a), gb.shape[0], 4.0 * gb.size(), 0, (gb, vb, xb))
