# cython: language_level=3
"""Where the tiles of convolution in Winograd's domain lie."""
from dlcore.kernels.memory cimport ceildiv
from dlcore.kernels.simd cimport dlc_winograd_tile

cdef enum:
    ROWS = 12                             # a block is cut so that tiles fill the register tile
    APART = 16                            # floats between points, which would else fall into the same few sets of L1

# The tiles of a batch of images, row by row, and the samples' rows one after the other.
ctypedef struct Tiling:
    int mr, mc                            # rows and columns of pixels of a tile's output: of its input two more
    Py_ssize_t ih, iw, oh, ow             # of the images
    Py_ssize_t top, left                  # padding, negative where the first pixels are cropped
    Py_ssize_t rows, cols                 # tiles of a sample
    Py_ssize_t splits                     # tasks of a sample: each has its share of the rows

# Where a tile lies.
ctypedef struct Tile:
    Py_ssize_t sample, row, col


cdef inline Tiling make_tiling(int mr, int mc, x_shape, y_shape, padding, Py_ssize_t splits):
    cdef Tiling g
    g.mr, g.mc, g.splits = mr, mc, splits
    _, g.ih, g.iw, _ = x_shape
    _, g.oh, g.ow, _ = y_shape
    g.top, g.left = padding
    g.rows, g.cols = ceildiv(g.oh, mr), ceildiv(g.ow, mc)
    return g


cdef inline Py_ssize_t first_tile(const Tiling *g, Py_ssize_t task) noexcept nogil:
    """The first tile of a task, counted from sample 0."""
    return (task // g.splits * g.rows + task % g.splits * g.rows // g.splits) * g.cols


cdef inline Tile locate(const Tiling *g, Py_ssize_t tile) noexcept nogil:
    cdef Tile t
    t.sample, t.row, t.col = tile // (g.rows * g.cols), tile // g.cols % g.rows, tile % g.cols
    return t


cdef inline void advance(const Tiling *g, Tile *t, Py_ssize_t run) noexcept nogil:
    """`run` tiles on, at most to the end of the row."""
    t.col += run
    if t.col == g.cols:
        t.col = 0
        t.row += 1
        if t.row == g.rows:
            t.row = 0
            t.sample += 1


cdef inline void crop(dlc_winograd_tile *p, Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t y, Py_ssize_t x, Py_ssize_t h,
                      Py_ssize_t w) noexcept nogil:
    """Which of rows x cols pixels from (y, x) on are inside an image of h x w."""
    p.top, p.left = <int>min(max(-y, 0), rows), <int>min(max(-x, 0), cols)
    p.bottom, p.right = <int>max(min(h - y, rows), 0), <int>max(min(w - x, cols), 0)


cdef inline Py_ssize_t most_tiles(Py_ssize_t floats, Py_ssize_t nbytes, Py_ssize_t least, Py_ssize_t all_tiles) noexcept nogil:
    """Tiles in a block of so many bytes, of so many floats each."""
    cdef Py_ssize_t most = max(nbytes // (floats * <Py_ssize_t>sizeof(float)), least)
    return max(ceildiv(min(most, all_tiles), ROWS), 1) * ROWS


cdef inline Py_ssize_t block_tiles(Py_ssize_t left, Py_ssize_t most) noexcept nogil:
    """Tiles in the next block when `left` are left: equal blocks."""
    return min(left, ceildiv(ceildiv(left, ceildiv(left, most)), ROWS) * ROWS)
