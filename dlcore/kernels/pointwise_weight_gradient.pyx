# cython: language_level=3
"""The weight gradient of convolution with a kernel of one pixel that leaves none out: a product of matrices, by the tile
`outer` (csrc/README.md), which reads both where they lie. See `conv_weight_gradient` for all others.
"""
from libc.string cimport memset

from dlcore.kernels.executor cimport Step, make_step
from dlcore.kernels.geometry cimport tile_rows
from dlcore.kernels.memory cimport Buffer, buffer, ceildiv
from dlcore.kernels.simd cimport dlc_outer, dlc_tiles, tiles

cdef Py_ssize_t ZERO = 0                  # the one segment of a plain matrix product
cdef Py_ssize_t PRODUCT_PIXELS = 400      # of equal cuts: x of a task's rows and dy share L2, and dw passes by once for each

ctypedef struct Product:
    const dlc_tiles *tiles
    const float *x
    const float *dy
    float *dw                             # (ic, oc)
    Py_ssize_t ic, oc, pixels, rows, kc


cdef void product_leaf(const void *args, Py_ssize_t begin, Py_ssize_t end, char *slot) noexcept nogil:
    cdef const Product *a = <const Product *>args
    cdef Py_ssize_t first = begin * a.rows, last = min(end * a.rows, a.ic), stop, pixel, row, column
    cdef int most
    cdef dlc_outer t
    memset(&t, 0, sizeof(t))
    t.a_segment, t.b_segment, t.segments, t.a_step, t.c_step = &ZERO, &ZERO, 1, a.ic, a.oc
    while first < last:
        stop = min(first + a.rows, last)
        pixel = 0
        while True:  # once even for no pixels: the sum is then zero
            t.kc, t.accumulate = min(a.kc, a.pixels - pixel), pixel > 0
            column = 0
            while column < a.oc:
                t.n = <int>min(a.oc - column, a.tiles.nr)
                t.b, t.b_step = a.dy + pixel * a.oc + column, a.oc
                if t.n % a.tiles.width:
                    a.tiles.copy_rows(t.b, a.oc, t.kc, t.n, <float *>slot, a.tiles.nr)
                    t.b, t.b_step = <const float *>slot, a.tiles.nr
                most = tile_rows(stop - first, t.n, a.tiles)
                row = first
                while row < stop:
                    t.m = <int>min(most, stop - row)
                    t.a, t.c = a.x + pixel * a.ic + row, a.dw + row * a.oc + column
                    t.next = t.c
                    a.tiles.outer(&t)
                    row += most
                column += t.n
            pixel += t.kc
            if pixel >= a.pixels:
                break
        first = stop


def conv2d_weight_gradient(x, dy, dw, Py_ssize_t rows):
    """dw[0, 0, i, o] = sum over all n, oy, ox of x[n, oy, ox, i] * dy[n, oy, ox, o], in this order. One task per `rows`
    rows of dw; needs the whole batch.

    Args:
        x: (n, h, w, ic) float32.
        dy: (n, h, w, oc) float32.
        dw: (1, 1, ic, oc), overwritten.
    """
    cdef Buffer xb = buffer(x, "x", "f", 4), gb = buffer(dy, "dy", "f", 4), wb = buffer(dw, "dw", "f", 4, True)
    cdef Product a
    n, h, w, a.ic = xb.shape
    a.oc = gb.shape[3]
    if gb.shape[:3] != (n, h, w) or wb.shape != (1, 1, a.ic, a.oc) or rows < 1:
        raise ValueError(f"conv2d_weight_gradient: x {xb.shape}, dy {gb.shape} and dw {wb.shape} do not fit "
                         f"together, or rows is less than 1: {rows}")
    a.tiles, a.x, a.dy, a.dw = tiles(), <const float *>xb.whole(), <const float *>gb.whole(), <float *>wb.whole()
    a.pixels, a.rows = n * h * w, rows
    a.kc = ceildiv(a.pixels, max(ceildiv(a.pixels, PRODUCT_PIXELS), 1))
    scratch = a.kc * a.tiles.nr * sizeof(float) if a.oc % a.tiles.width else 0
    return make_step(product_leaf, &a, sizeof(a), ceildiv(a.ic, rows), <double>gb.size() * a.ic, scratch, (xb, gb, wb))
