# cython: language_level=3
"""Matrix products: c = act(alpha op(a) op(b) + beta c + bias), also of batches of matrices.

A task is one block of c. It walks over k in cuts of at most KC, packs its rows of a and its columns of b for the cut into
scratch and multiplies them: the five loops of Goto & van de Geijn (2008), the outer two being the tasks. Where many blocks
of rows share b, a step of its own packs it for all (`pack_b`). Every sum runs over k in order within a cut, and over the cuts
in order: blocks, and so threads, change no bit. `path_of` names the other ways, for matrices that are not worth packing.
"""
import os
from math import prod

from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.memory cimport Buffer, buffer, ceildiv
from dlcore.kernels.simd cimport DLC_RELU, dlc_matmul, dlc_tiles, tiles

# A cut of k, in equal parts of at most this: MM_NR columns of b of such height are half of L1 or all of it, and c passes by
# once for each. It decides the last bits of a result, so it is the same on every machine.
cdef Py_ssize_t KC = 384


def _cache(name, default):
    """Bytes of a cache, where the system says so."""
    try:
        return os.sysconf(name) or default
    except (ValueError, OSError, AttributeError):
        return default


# What a task packs stays in L2: rows of a, and columns of b where no other step packed it.
cdef Py_ssize_t L2 = max(_cache("SC_LEVEL2_CACHE_SIZE", 1 << 19), 1 << 18)
cdef Py_ssize_t MC = min(L2 * 3 // 8 // (4 * KC), 512)
cdef Py_ssize_t NC = min(L2 // 2 // (4 * KC), 1024)

cdef Py_ssize_t TASKS = 15      # blocks that large products are cut into at least, to keep many threads busy
cdef double TASK = 1 << 19      # multiply-adds that a block is worth
cdef Py_ssize_t LIES = 1 << 18  # floats of b that stay in L2, so that tiles may read them as they lie
cdef double MUCH = 1 << 27      # multiply-adds from which on an a that lies transposed is worth packing, if b is not narrow

cdef enum Path:
    LYING    # both as they lie: where b is small or has few readers
    TALL     # a as it lies, b packed: few columns
    PACKED   # both packed
    DOT      # sums in lanes of k: one column, or few columns of long rows
    ACROSS   # rows of c in lanes: a lies transposed, few columns


ctypedef struct Gemm:
    const dlc_tiles *tiles
    const float *a
    const float *b
    const float *packed     # b in panels, or NULL
    float *c
    const float *bias
    Py_ssize_t m, n, k, kc, a_row, a_step, b_step, b_col, a_batch, b_batch, c_batch
    Py_ssize_t rows, cols, row_blocks, col_blocks   # of a block; blocks of one matrix
    float alpha, beta
    int path, activation
    bint lying              # b is read as it lies


cdef Path path_of(const dlc_tiles *t, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, bint a_across, bint b_across) noexcept:
    """How to multiply (m, k) by (k, n); `across` says that a matrix lies transposed."""
    if not a_across and k >= 4 * t.width and n <= 4 and (n == 1 or b_across):
        return DOT
    if a_across and not b_across and n < t.width:
        return ACROSS
    if not b_across and (m <= t.matmul_lying or (m <= 2 * t.matmul_rows and k <= KC) or k <= 16
                         or (k * n <= LIES and (not a_across or <double>m * n * k <= MUCH))
                         or (a_across and n <= 2 * t.matmul_nr)):
        return LYING
    if n <= 2 * t.matmul_nr:
        return TALL
    return PACKED


cdef bint b_lies(const dlc_tiles *t, Py_ssize_t m, Py_ssize_t n, bint b_across) noexcept:
    """Whether the tiles of PACKED read b as it lies: whole vectors, for few rows, and not a page for each."""
    return not b_across and n % t.width == 0 and m <= (MC if n <= 512 else 2 * t.matmul_lying)


cdef void cut(Gemm *g, Py_ssize_t batch, Py_ssize_t rows):
    """Blocks as large as the caches allow, then smaller ones until there are enough. `rows`: a size that is given."""
    cdef Py_ssize_t mr = g.tiles.matmul_rows, nr = g.tiles.matmul_nr, row_tiles, col_tiles, r, c
    cdef bint narrow = g.path == DOT or g.path == ACROSS, adjacent = g.path == LYING and g.a_row == 1 and g.k > 16
    if g.path == ACROSS:
        mr = 2 * g.tiles.width
    elif g.path != PACKED and not adjacent:
        mr = g.tiles.matmul_lying
    if g.path == LYING and g.m <= g.tiles.matmul_wide:
        nr = 8 * g.tiles.width
        if g.m == 1 and g.n >= 1024:
            nr = 512  # half a page of each row of b, one after the other
    row_tiles, col_tiles = max(ceildiv(g.m, mr), 1), max(ceildiv(g.n, nr), 1)
    r, c = min(row_tiles, max(MC // mr, 1)), col_tiles
    if g.packed == NULL:
        c = ceildiv(col_tiles, ceildiv(col_tiles, max(NC // nr, 1)))
    if g.path == LYING and g.k <= 16:
        r = min(r, 2)  # little work, so c is what counts: it is written row by row
    cdef bint rows_first = g.packed != NULL or g.lying or g.path != PACKED
    while (batch * ceildiv(row_tiles, r) * ceildiv(col_tiles, c) < TASKS
           and <double>min(r * mr, g.m) * min(c * nr, g.n) * g.k > TASK):
        if rows_first and ((r * mr >= 48 and (r * mr * 16 >= c * nr or c == 1)) or (g.path != PACKED and r > 4)):
            r = ceildiv(r, 2)
        elif c * nr >= 128 and c > 1 and not narrow:
            c = ceildiv(c, 2)
        elif r * mr >= 48 or (g.path != PACKED and r > (2 if adjacent else 1)):
            r = ceildiv(r, 2)
        else:
            break
    if narrow:
        c = col_tiles
    r = ceildiv(row_tiles, r)
    if r > 1 and batch * ceildiv(col_tiles, c) % 2:
        r += r % 2  # two threads do the same
    if rows:
        g.rows, c = rows, col_tiles
    else:
        g.rows = max(ceildiv(g.m, r), 1)  # equal blocks
    g.cols = nr * ceildiv(col_tiles, ceildiv(col_tiles, c))
    g.row_blocks, g.col_blocks = ceildiv(g.m, g.rows), ceildiv(g.n, g.cols)


cdef Py_ssize_t room_of_a(const Gemm *g) noexcept nogil:
    """Floats of scratch in front of b's."""
    return ceildiv(min(g.rows, g.m) * g.kc + 16, 16) * 16 if g.path == PACKED else 0


cdef void leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef Py_ssize_t task
    for task in range(begin, end):
        block(<const Gemm *>args, task, <float *>slot)


cdef void block(const Gemm *g, Py_ssize_t task, float *scratch) noexcept nogil:
    cdef Py_ssize_t blocks = g.row_blocks * g.col_blocks, matrix = task // blocks, i = task % blocks
    cdef Py_ssize_t row = i // g.col_blocks * g.rows, col = i % g.col_blocks * g.cols, k0 = 0, r
    cdef Py_ssize_t nr = g.tiles.matmul_nr, panels = ceildiv(g.n, nr)
    cdef const float *a = g.a + matrix * g.a_batch + row * g.a_row
    cdef const float *b = g.b + matrix * g.b_batch + col * g.b_col
    cdef const float *bias = g.bias + col if g.bias != NULL else NULL
    cdef float *packed_b = scratch + room_of_a(g)
    cdef dlc_matmul t
    t.c, t.c_row = g.c + matrix * g.c_batch + row * g.n + col, g.n
    t.m, t.n = min(g.rows, g.m - row), min(g.cols, g.n - col)
    if g.path == DOT:
        g.tiles.dot(a, g.a_row, t.m, b, g.k, g.n, bias, g.activation, t.c)
        return
    if g.path == ACROSS:
        g.tiles.dot_weight_gradient(a, g.a_step, g.k, t.m, b, g.n, t.c)
        return
    t.alpha, t.packed = g.alpha, g.path == PACKED
    while True:  # once even for k = 0: the sum is then zero
        t.k = min(g.kc, g.k - k0)
        t.beta = g.beta if k0 == 0 else 1.0
        t.bias = bias if k0 + t.k == g.k else NULL
        t.relu = g.activation == DLC_RELU and k0 + t.k == g.k
        t.plain = t.alpha == 1 and (t.beta == 0 or t.beta == 1) and t.bias == NULL and not t.relu
        if g.lying:
            t.b, t.b_step, t.b_panel = b + k0 * g.b_step, g.b_step, 0
        elif g.packed != NULL:
            t.b = g.packed + ((matrix * panels if g.b_batch else 0) + col // nr) * g.k * nr + k0 * nr
            t.b_step, t.b_panel = nr, g.k * nr
        else:
            g.tiles.matmul_pack_b(b + k0 * g.b_step, g.b_step, g.b_col, t.k, t.n, t.k * nr, packed_b)
            t.b, t.b_step, t.b_panel = packed_b, nr, t.k * nr
        if g.path == PACKED:
            g.tiles.matmul_pack_a(a + k0 * g.a_step, g.a_row, g.a_step, t.m, t.k, scratch)
            t.a, t.a_row, t.a_step = scratch, 0, 0
        else:
            t.a, t.a_row, t.a_step = a + k0 * g.a_step, g.a_row, g.a_step
        g.tiles.matmul(&t)
        k0 += t.k
        if k0 >= g.k:
            break
    if g.activation > DLC_RELU:
        for r in range(t.m):
            g.tiles.activate(g.activation, t.c + r * g.n, t.c + r * g.n, t.n)


# ---------------------------------------------------------------------------------------------------------------------
# packing b for all blocks

ctypedef struct PackB:
    const dlc_tiles *tiles
    const float *b
    float *packed
    Py_ssize_t n, k, b_step, b_col, b_batch, panels

cdef void pack_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const PackB *p = <const PackB *>args
    cdef Py_ssize_t nr = p.tiles.matmul_nr, task, matrix, panel, count
    task = begin
    while task < end:  # neighbouring panels of one matrix together: their rows touch
        matrix, panel = task // p.panels, task % p.panels
        count = min(end - task, p.panels - panel)
        p.tiles.matmul_pack_b(p.b + matrix * p.b_batch + panel * nr * p.b_col, p.b_step, p.b_col, p.k,
                              min(p.n - panel * nr, count * nr), p.k * nr, p.packed + task * p.k * nr)
        task += count


def packed_shape(k, n, batch=1):
    """Shape of `pack_b` of `batch` matrices (k, n) with the instruction set in use."""
    return batch, ceildiv(n, tiles().matmul_nr), k, tiles().matmul_nr


def pack_b(b, packed, bint transpose=False):
    """packed[i, p, j, l] = op(b[i])[j, p*nr + l]; beyond column n finite numbers stand if b has them. One task per (i, p).

    Args:
        b: (..., k, n) float32, or with `transpose` (..., n, k).
        packed: `packed_shape(k, n, matrices)`, overwritten.
    """
    cdef Buffer bb = buffer(b, "b", "f"), pb = buffer(packed, "packed", "f", 4, True)
    cdef PackB p
    cdef Py_ssize_t rank = len(bb.shape), batch
    if rank < 2:
        raise ValueError(f"pack_b: expected b with 2 dimensions or more. Received: {bb.shape}")
    batch = prod(bb.shape[:rank - 2])
    p.k, p.n = bb.shape[rank - 2], bb.shape[rank - 1]
    p.b_step, p.b_col, p.b_batch = p.n, 1, p.k * p.n
    if transpose:
        p.k, p.n, p.b_step, p.b_col = p.n, p.k, 1, p.n
    if pb.shape != packed_shape(p.k, p.n, batch):
        raise ValueError(f"pack_b: expected packed of shape {packed_shape(p.k, p.n, batch)} for b {bb.shape}. "
                         f"Received: {pb.shape}")
    p.tiles, p.b, p.packed, p.panels = tiles(), <const float *>bb.whole(), <float *>pb.whole(), pb.shape[1]
    return make_step(pack_leaf, &p, sizeof(p), batch * p.panels, bb.size(), 0, (bb, pb))


# ---------------------------------------------------------------------------------------------------------------------
# the product

def gemm(a, b, c, bint transpose_a=False, bint transpose_b=False, float alpha=1, float beta=0, bias=None,
         int activation=0, packed=None, Py_ssize_t rows=0):
    """c = act(alpha op(a) op(b) + beta c + bias). One task per block of c; blocks come row by row, matrix by matrix.

    Args:
        a: (..., m, k) float32; with `transpose_a`, (..., k, m).
        b: (..., k, n); with `transpose_b`, (..., n, k). The leading axes of a and b are the same, or one of them has none
            and serves all matrices of the other.
        c: (..., m, n), overwritten; read only where beta is not 0. With `transpose_a` and c (m, n), a (..., m) and
            b (..., n) are summed over all axes but the last.
        bias: (n,) or None.
        activation: DLC_LINEAR, DLC_RELU, DLC_SIGMOID, DLC_TANH or DLC_RELU6.
        packed: `pack_b` of b, for products with many blocks of rows (see `shares_b`), or None: each task packs what it
            needs.
        rows: rows of c to a block, all columns wide; 0: as is best.
    """
    cdef Buffer ab = buffer(a, "a", "f"), bb = buffer(b, "b", "f"), cb = buffer(c, "c", "f", -1, True), pb = None, vb = None
    cdef Gemm g
    cdef Py_ssize_t batch, rank = len(cb.shape), ra = len(ab.shape), rb = len(bb.shape), scratch
    cdef tuple sa = ab.shape, sb = bb.shape
    if transpose_a and not transpose_b and rank == 2 and ra == rb > 2 and sa[:ra - 1] == sb[:rb - 1]:
        sa, sb, ra, rb = (prod(sa[:ra - 1]), sa[ra - 1]), (prod(sb[:rb - 1]), sb[rb - 1]), 2, 2
    cdef tuple lead = cb.shape[:max(rank - 2, 0)]
    cdef bint fits = ra >= 2 and rb >= 2 and rank >= 2 and rank == max(ra, rb)
    memset(&g, 0, sizeof(g))
    if fits:
        g.m, g.k = sa[ra - 2], sa[ra - 1]
        g.a_row, g.a_step = g.k, 1
        if transpose_a:
            g.m, g.k, g.a_row, g.a_step = g.k, g.m, 1, g.k
        g.n, g.b_step, g.b_col = sb[rb - 1], sb[rb - 1], 1
        if transpose_b:
            g.n, g.b_step, g.b_col = sb[rb - 2], 1, g.b_step
        batch = prod(lead)
        fits = (sb[rb - 1 if transpose_b else rb - 2] == g.k and cb.shape[rank - 2:] == (g.m, g.n)
                and (ra == 2 or sa[:ra - 2] == lead) and (rb == 2 or sb[:rb - 2] == lead))
    if not fits:
        raise ValueError(f"gemm: a {ab.shape}{' transposed' if transpose_a else ''}, b {bb.shape}"
                         f"{' transposed' if transpose_b else ''} and c {cb.shape} do not fit together")
    if rows < 0:
        raise ValueError(f"gemm: rows must not be negative. Received: {rows}")
    if not 0 <= activation <= 4:
        raise ValueError(f"gemm: expected activation from 0 to 4. Received: {activation}")
    if bias is not None:
        vb = buffer(bias, "bias", "f", 1)
        if vb.shape[0] != g.n:
            raise ValueError(f"gemm: expected bias of shape ({g.n},). Received: {vb.shape}")
        g.bias = <const float *>vb.whole()
    if packed is not None:
        pb = buffer(packed, "packed", "f", 4)
        if pb.shape != packed_shape(g.k, g.n, batch if rb > 2 else 1):
            raise ValueError(f"gemm: expected packed of shape {packed_shape(g.k, g.n, batch if rb > 2 else 1)}. "
                             f"Received: {pb.shape}")
        g.packed = <const float *>pb.whole()
    g.a_batch, g.b_batch, g.c_batch = g.m * g.k if ra > 2 else 0, g.n * g.k if rb > 2 else 0, g.m * g.n
    if ra > 2 and rb == 2 and not transpose_a:  # one tall matrix
        g.m, batch = batch * g.m, 1
    g.tiles, g.a, g.b, g.c = tiles(), <const float *>ab.whole(), <const float *>bb.whole(), <float *>cb.whole()
    g.alpha, g.beta, g.activation = alpha, beta, activation
    if batch == 1 and bias is None and packed is None and not rows and (
            (g.m == 1 and g.n > 1 and transpose_b) or (g.n == 1 and g.m > 1 and transpose_a)):
        # a vector: c^T = b^T a^T reads the matrix along its rows
        g.a, g.b, g.m, g.n = g.b, g.a, g.n, g.m
        g.a_row, g.a_step, g.b_step, g.b_col = g.b_col, g.b_step, g.a_step, g.a_row
        transpose_a, transpose_b = g.a_step != 1, g.b_col != 1
    g.path = path_of(g.tiles, g.m, g.n, g.k, transpose_a, transpose_b)
    if g.packed != NULL:
        g.path = TALL if g.n <= 2 * g.tiles.matmul_nr and not transpose_a else PACKED
    elif g.path == DOT and (alpha != 1 or beta != 0):
        g.path = TALL
    elif g.path == ACROSS and (alpha != 1 or beta != 0 or bias is not None or activation):
        g.path = LYING
    g.lying = g.packed == NULL and (g.path == LYING or (g.path == PACKED and b_lies(g.tiles, g.m, g.n, transpose_b)))
    g.kc = ceildiv(g.k, max(ceildiv(g.k, KC), 1))
    cut(&g, batch, rows)
    scratch = 0
    if g.path == PACKED or g.path == TALL:
        scratch = room_of_a(&g)
        if g.packed == NULL and not g.lying:
            scratch += g.kc * ceildiv(min(g.cols, g.n), g.tiles.matmul_nr) * g.tiles.matmul_nr + 16
    return make_step(leaf, &g, sizeof(g), batch * g.row_blocks * g.col_blocks, <double>batch * g.m * g.n * g.k,
                     4 * scratch, (ab, bb, cb, vb, pb), 0)


def tile_rows():
    """Rows of a packed tile with the instruction set in use: good numbers of rows are multiples."""
    return tiles().matmul_rows


def shares_b(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, bint transpose_a=False, bint transpose_b=False):
    """Whether b is worth a step that packs it: many blocks of rows read it."""
    return path_of(tiles(), m, n, k, transpose_a, transpose_b) in (PACKED, TALL) and m > MC and n > 1
