# cython: language_level=3
"""Optimizer steps: every array is read once and written once.

All steps take these arguments besides their own:
    w: (...) float32, updated; the slots (m, v, ...) likewise, of the same shape.
    g: likewise, read.
    learning_rate: (r,) float64, r a power of two; that of step t is learning_rate[t mod r], read at every step.
    clock: says which step it is; may be None where nothing depends on it.
    block: floats per task.
and these of any optimizer:
    weight_decay: w -= w * weight_decay * learning rate, before the step.
    clip: the gradient is clipped to [-clip, clip].
    scale: (1,) float64 factor of the gradient, from `clip_norm`, or None.
    factor: a constant factor of it.
    every, acc: with every > 1 there is a step at each step number `every` only, with the mean of the gradients since, whose
        sum is in acc, like w, updated. A step number t of the formulas counts those.
    average, ema_momentum: average = ema_momentum * average + (1 - ema_momentum) * w after the step, like w, updated; it is
        w at first.
    overwrite: every so many steps, w = average.
"""
from libc.math cimport INFINITY, pow, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from dlcore.kernels.executor cimport Clock, Step, make_step
from dlcore.kernels.memory cimport Buffer, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_tiles, tiles

BLOCK = 2048     # floats per task, where the caller has no wish
NORM_BLOCK = 1024
MORE = ("acc", "average", "clip", "ema_momentum", "every", "factor", "overwrite", "scale", "weight_decay")

cdef enum:
    PIECE = 1024   # (NORM_BLOCK) floats that stay in L1 from one word to the next

ctypedef struct Update:
    const dlc_tiles *tiles
    void (*rule)(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil
    float *w
    const float *g
    float *slots[3]
    float *acc
    float *average
    const double *learning_rate
    const double *scale
    const int64_t *step
    int64_t rates, every, overwrite
    Py_ssize_t size, block                  # floats, and floats per task
    double beta1, beta2, epsilon            # momentum and rho are beta1
    double weight_decay, clip, factor, ema_momentum
    bint nesterov, plain, prepared          # plain: the rule is all; prepared: it needs the gradient as it is

ctypedef void (*Rule)(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil


cdef void leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Update *a = <const Update *>args
    cdef Py_ssize_t i = begin * a.block, last = min(end * a.block, a.size)
    cdef int64_t step = a.step[0] if a.step != NULL else 0
    cdef double lr = a.learning_rate[step & (a.rates - 1)]
    if a.plain:
        a.rule(a, i, a.g + i, last - i, lr, <double>(step + 1))
    else:
        while i < last:
            piece(a, i, min(<Py_ssize_t>PIECE, last - i), lr, step, <float *>slot)
            i += PIECE

cdef void piece(const Update *a, Py_ssize_t i, Py_ssize_t n, double lr, int64_t step, float *room) noexcept nogil:
    """All that belongs to a step, for floats i..i+n."""
    cdef const float *g = a.g + i
    cdef float *w = a.w + i
    cdef int64_t t = step // a.every
    cdef double keep
    if a.every > 1 and (step + 1) % a.every:
        a.tiles.add(a.acc + i, g, a.acc + i, n)
    else:
        if not a.prepared:
            a.tiles.optimizer_gradient(g, a.acc + i if a.acc != NULL else NULL,
                                       <float>(a.factor * (a.scale[0] if a.scale != NULL else 1) / a.every),
                                       <float>a.clip, room, n)
            g = room
        if a.acc != NULL:
            memset(a.acc + i, 0, n * sizeof(float))
        if a.weight_decay != 0:
            a.tiles.axpy(<float>(-a.weight_decay * lr), w, w, n)
        a.rule(a, i, g, n, lr, <double>(t + 1))
    if a.average != NULL:
        keep = a.ema_momentum if t > 0 else 0
        a.tiles.moving_average(w, a.average + i, <float>keep, <float>(1 - keep), n)
        if a.overwrite > 0 and (t + 1) % a.overwrite == 0:
            memcpy(w, a.average + i, n * sizeof(float))


cdef Step bind(str what, Rule rule, Update *a, w, g, dict slots, learning_rate, Clock clock, double cost,
               Py_ssize_t block, dict more):
    """`slots`: by name, those that a step has none of are None. `more`: what any optimizer takes."""
    if set(more) - set(MORE):
        raise TypeError(f"optimizers.{what}: unknown arguments {sorted(set(more) - set(MORE))}")
    scale, acc, average = more.get("scale"), more.get("acc"), more.get("average")
    cdef int64_t every = more.get("every", 1)
    cdef Buffer wb = buffer(w, "w", "f", -1, True), gb = buffer(g, "g", "f"), b = None
    cdef Buffer rb = buffer(learning_rate, "learning_rate", "d", 1)
    cdef float *found[5]
    cdef int i
    keep = [wb, gb, rb, clock]
    for i, (name, x) in enumerate([*slots.items(), *[(None, None)] * (3 - len(slots)), ("acc", acc), ("average", average)]):
        found[i] = NULL
        if x is None:
            continue
        b = buffer(x, name, "f", -1, True)
        if b.shape != wb.shape:
            raise ValueError(f"optimizers: expected {name} of shape {wb.shape}. Received: {b.shape}")
        found[i] = <float *>b.whole()
        keep.append(b)
    a.slots, a.acc, a.average = [found[0], found[1], found[2]], found[3], found[4]
    a.scale = NULL
    if scale is not None:
        b = buffer(scale, "scale", "d", 1)
        if b.shape[0] != 1:
            raise ValueError(f"optimizers: expected scale of shape (1,). Received: {b.shape}")
        a.scale = <const double *>b.whole()
        keep.append(b)
    a.rates = rb.shape[0]
    if gb.shape != wb.shape or a.rates < 1 or a.rates & (a.rates - 1) or block < 1 or every < 1:
        raise ValueError(f"optimizers: w {wb.shape}, g {gb.shape}, learning_rate {rb.shape}, block {block} and every "
                         f"{every} do not fit together")
    if (every > 1) != (acc is not None):
        raise ValueError(f"optimizers: acc goes with every > 1. Received: every={every}")
    if clock is None and (a.rates > 1 or every > 1 or average is not None):
        raise ValueError(f"optimizers.{what}: expected a clock. Received: None")
    a.tiles, a.w, a.g, a.size, a.block = tiles(), <float *>wb.whole(), <const float *>gb.whole(), wb.size(), block
    a.rule, a.learning_rate, a.step = rule, <const double *>rb.whole(), &clock.step_ if clock is not None else NULL
    a.weight_decay, a.clip, a.factor = more.get("weight_decay", 0), more.get("clip", INFINITY), more.get("factor", 1)
    a.every, a.ema_momentum, a.overwrite = every, more.get("ema_momentum", 0), more.get("overwrite", 0)
    a.prepared = every == 1 and scale is None and a.clip == INFINITY and a.factor == 1
    a.plain = a.prepared and a.weight_decay == 0 and average is None
    return make_step(leaf, a, sizeof(Update), ceildiv(a.size, block), cost * a.size, 0 if a.plain else PIECE * sizeof(float),
                     tuple(keep))


cdef void need(str what, list names, tuple given) except *:
    if any(x is None for x in given):
        raise ValueError(f"optimizers.{what}: expected {', '.join(names[:len(names) - 1])} and {names[len(names) - 1]}. "
                         "Received: None")


# ---------------------------------------------------------------------------------------------------------------------

cdef void sgd_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    a.tiles.sgd(a.w + i, g, a.slots[0] + i if a.slots[0] != NULL else NULL, <float>lr, <float>a.beta1, a.nesterov, n)

def sgd(w, g, v, learning_rate, double momentum=0, bint nesterov=False, Py_ssize_t block=BLOCK, Clock clock=None, **more):
    """v = momentum v - lr g; w += v, with Nesterov w += momentum v - lr g. v may be None without momentum."""
    cdef Update a
    if momentum != 0 and v is None:
        raise ValueError("optimizers.sgd: momentum needs v. Received: None")
    a.beta1, a.nesterov = momentum, nesterov
    return bind("sgd", sgd_rule, &a, w, g, {"v": v}, learning_rate, clock, 1, block, more)


cdef void adam_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    cdef double alpha = lr * sqrt(1 - pow(a.beta2, t)) / (1 - pow(a.beta1, t))
    if a.slots[2] == NULL:
        a.tiles.adam(a.w + i, g, a.slots[0] + i, a.slots[1] + i, <float>alpha, <float>(1 - a.beta1),
                     <float>(1 - a.beta2), <float>a.epsilon, n)
    else:
        a.tiles.amsgrad(a.w + i, g, a.slots[0] + i, a.slots[1] + i, a.slots[2] + i, <float>alpha, <float>(1 - a.beta1),
                        <float>(1 - a.beta2), <float>a.epsilon, n)

def adam(w, g, m, v, learning_rate, Clock clock, double beta1=0.9, double beta2=0.999, double epsilon=1e-7,
         Py_ssize_t block=BLOCK, h=None, **more):
    """Adam (Kingma & Ba, arXiv 1412.6980) as Keras 3 computes it, with t = clock.step + 1:
    m += (1-b1)(g-m); v += (1-b2)(g^2-v); w -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon). With h (AMSGrad),
    h = max(h, v) stands in the place of v."""
    cdef Update a
    need("adam", ["m", "v", "clock"], (m, v, clock))
    a.beta1, a.beta2, a.epsilon = beta1, beta2, epsilon
    return bind("adam", adam_rule, &a, w, g, {"m": m, "v": v, "h": h}, learning_rate, clock, 10, block, more)


cdef void nadam_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    cdef double decay = 1, now = 0, product = 1, next, s = 0
    while s < t and product > 1e-12:   # beyond, 1 - product is 1
        decay *= 0.96
        product *= a.beta1 * (1 - 0.5 * decay)
        s += 1
    now = a.beta1 * (1 - 0.5 * pow(0.96, t))
    next = a.beta1 * (1 - 0.5 * pow(0.96, t + 1))
    a.tiles.nadam(a.w + i, g, a.slots[0] + i, a.slots[1] + i, <float>(lr * next / (1 - product * next)),
                  <float>(lr * (1 - now) / (1 - product)), <float>(1 - a.beta1), <float>(1 - a.beta2),
                  <float>(1 / (1 - pow(a.beta2, t))), <float>a.epsilon, n)

def nadam(w, g, m, v, learning_rate, Clock clock, double beta1=0.9, double beta2=0.999, double epsilon=1e-7,
          Py_ssize_t block=BLOCK, **more):
    """Nadam (Dozat, 2016) as Keras 3 computes it, with t = clock.step + 1, u_t = b1 (1 - 0.96^t / 2) and U_t the product
    of u_1 to u_t: m and v as in Adam; w -= lr (u_{t+1} m / (1 - U_{t+1}) + (1 - u_t) g / (1 - U_t)) /
    (sqrt(v / (1 - b2^t)) + epsilon)."""
    cdef Update a
    need("nadam", ["m", "v", "clock"], (m, v, clock))
    a.beta1, a.beta2, a.epsilon = beta1, beta2, epsilon
    return bind("nadam", nadam_rule, &a, w, g, {"m": m, "v": v}, learning_rate, clock, 12, block, more)


cdef void adamax_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    a.tiles.adamax(a.w + i, g, a.slots[0] + i, a.slots[1] + i, <float>(lr / (1 - pow(a.beta1, t))),
                   <float>(1 - a.beta1), <float>a.beta2, <float>a.epsilon, n)

def adamax(w, g, m, u, learning_rate, Clock clock, double beta1=0.9, double beta2=0.999, double epsilon=1e-7,
           Py_ssize_t block=BLOCK, **more):
    """Adamax (Kingma & Ba, section 7.1), with t = clock.step + 1: m += (1-b1)(g-m); u = max(b2 u, |g|);
    w -= lr / (1-b1^t) m / (u + epsilon)."""
    cdef Update a
    need("adamax", ["m", "u", "clock"], (m, u, clock))
    a.beta1, a.beta2, a.epsilon = beta1, beta2, epsilon
    return bind("adamax", adamax_rule, &a, w, g, {"m": m, "u": u}, learning_rate, clock, 8, block, more)


cdef void rmsprop_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    a.tiles.rmsprop(a.w + i, g, a.slots[0] + i, a.slots[1] + i if a.slots[1] != NULL else NULL,
                    a.slots[2] + i if a.slots[2] != NULL else NULL, <float>lr, <float>a.beta1, <float>(1 - a.beta1),
                    <float>a.beta2, <float>a.epsilon, n)

def rmsprop(w, g, v, m, mean, learning_rate, double rho=0.9, double momentum=0, double epsilon=1e-7,
            Py_ssize_t block=BLOCK, Clock clock=None, **more):
    """v = rho v + (1-rho) g^2; step = lr g / sqrt(v + epsilon); w -= step. With m: m = momentum m + step; w -= m. With
    mean (centered): mean = rho mean + (1-rho) g, and v - mean^2 stands in the place of v."""
    cdef Update a
    need("rmsprop", ["w", "v"], (w, v))
    if momentum != 0 and m is None:
        raise ValueError("optimizers.rmsprop: momentum needs m. Received: None")
    a.beta1, a.beta2, a.epsilon = rho, momentum, epsilon
    return bind("rmsprop", rmsprop_rule, &a, w, g, {"v": v, "m": m, "mean": mean}, learning_rate, clock, 10, block, more)


cdef void adagrad_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    a.tiles.adagrad(a.w + i, g, a.slots[0] + i, <float>lr, <float>a.epsilon, n)

def adagrad(w, g, s, learning_rate, double epsilon=1e-7, Py_ssize_t block=BLOCK, Clock clock=None, **more):
    """s += g^2; w -= lr g / sqrt(s + epsilon)."""
    cdef Update a
    need("adagrad", ["w", "s"], (w, s))
    a.epsilon = epsilon
    return bind("adagrad", adagrad_rule, &a, w, g, {"s": s}, learning_rate, clock, 8, block, more)


cdef void adadelta_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    a.tiles.adadelta(a.w + i, g, a.slots[0] + i, a.slots[1] + i, <float>lr, <float>a.beta1, <float>(1 - a.beta1),
                     <float>a.epsilon, n)

def adadelta(w, g, s, d, learning_rate, double rho=0.95, double epsilon=1e-7, Py_ssize_t block=BLOCK, Clock clock=None,
             **more):
    """s = rho s + (1-rho) g^2; step = sqrt(d + epsilon) g / sqrt(s + epsilon); d = rho d + (1-rho) step^2;
    w -= lr step."""
    cdef Update a
    need("adadelta", ["s", "d"], (s, d))
    a.beta1, a.epsilon = rho, epsilon
    return bind("adadelta", adadelta_rule, &a, w, g, {"s": s, "d": d}, learning_rate, clock, 14, block, more)


cdef void lion_rule(const Update *a, Py_ssize_t i, const float *g, Py_ssize_t n, double lr, double t) noexcept nogil:
    a.tiles.lion(a.w + i, g, a.slots[0] + i, <float>lr, <float>a.beta1, <float>(1 - a.beta1), <float>a.beta2,
                 <float>(1 - a.beta2), n)

def lion(w, g, m, learning_rate, double beta1=0.9, double beta2=0.99, Py_ssize_t block=BLOCK, Clock clock=None, **more):
    """w -= lr sign(b1 m + (1-b1) g); m = b2 m + (1-b2) g."""
    cdef Update a
    need("lion", ["w", "m"], (w, m))
    a.beta1, a.beta2 = beta1, beta2
    return bind("lion", lion_rule, &a, w, g, {"m": m}, learning_rate, clock, 4, block, more)


# ---------------------------------------------------------------------------------------------------------------------
# norms of gradients

ctypedef struct Norm:
    const dlc_tiles *tiles
    const float *g
    const float *acc
    double *parts
    double *scale
    Py_ssize_t size
    double limit, factor
    bint whole

cdef void squares_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef Py_ssize_t task, i, n
    cdef const float *g
    for task in range(begin, end):
        i = task * PIECE
        n, g = min(<Py_ssize_t>PIECE, a.size - i), a.g + i
        if a.acc != NULL:
            a.tiles.add(g, a.acc + i, <float *>slot, n)
            g = <const float *>slot
        a.parts[task] = a.tiles.penalty(g, 0, 1, n)

def squares(g, parts, acc=None):
    """parts[i] = sum of (g + acc)^2 over block i, 1024 floats; g and acc (...) of one shape, acc may be None; parts
    (blocks,) float64, overwritten. One task per block."""
    cdef Buffer gb = buffer(g, "g", "f"), pb = buffer(parts, "parts", "d", 1, True), ab = None
    cdef Norm a
    a.acc = NULL
    if acc is not None:
        ab = buffer(acc, "acc", "f")
        a.acc = <const float *>ab.whole()
    a.size = gb.size()
    if pb.shape[0] != ceildiv(a.size, PIECE) or (ab is not None and ab.shape != gb.shape):
        raise ValueError(f"optimizers.squares: g {gb.shape}, acc {ab and ab.shape} and parts {pb.shape} do not fit together")
    a.tiles, a.g, a.parts = tiles(), <const float *>gb.whole(), <double *>pb.whole()
    return make_step(squares_leaf, &a, sizeof(a), pb.shape[0], a.size, PIECE * sizeof(float), (gb, pb, ab))


cdef void clip_norm_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Norm *a = <const Norm *>args
    cdef double sum = 0, norm
    cdef Py_ssize_t i
    for i in range(a.size):
        sum += a.parts[i]
    norm = sqrt(sum) * a.factor
    a.scale[0] = 1 if norm <= a.limit else a.limit / norm        # a NaN stays
    if a.whole:
        a.scale[0] += norm - norm

def clip_norm(parts, scale, double limit, double factor=1, bint whole=False):
    """scale = limit / max(limit, norm), norm = factor * sqrt(sum of parts), in order; if `whole` (of all gradients), an
    infinite norm gives NaN. parts (n,) float64, scale (1,) float64, overwritten. One task."""
    cdef Buffer pb = buffer(parts, "parts", "d", 1), sb = buffer(scale, "scale", "d", 1, True)
    cdef Norm a
    if sb.shape[0] != 1:
        raise ValueError(f"optimizers.clip_norm: expected scale of shape (1,). Received: {sb.shape}")
    a.parts, a.scale, a.size = <double *>pb.whole(), <double *>sb.whole(), pb.shape[0]
    a.limit, a.factor, a.whole = limit, factor, whole
    return make_step(clip_norm_leaf, &a, sizeof(a), 1, a.size, 0, (pb, sb))
