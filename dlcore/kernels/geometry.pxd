# cython: language_level=3
"""Where windows lie: what the convolution kernels share of shapes, at binding time."""
from dlcore.kernels.memory cimport ceildiv
from dlcore.kernels.simd cimport dlc_tiles


cdef inline positions(size, kernel, stride, before, after, dilation):
    """Output positions of a window along one axis; 0 or less when it does not fit once."""
    return (size + before + after - (kernel - 1) * dilation - 1) // stride + 1


cdef inline check_windows(what, x, w, y, strides, padding, dilation, groups):
    """Shapes of one convolution, all known: raises ValueError where they do not fit together."""
    n, ih, iw, ic = x
    kh, kw, icg, oc = w
    (top, bottom), (left, right) = padding
    expected = None
    if min(*strides, *dilation) >= 1:
        expected = (n, positions(ih, kh, strides[0], top, bottom, dilation[0]),
                    positions(iw, kw, strides[1], left, right, dilation[1]), oc)
    if (groups < 1 or icg * groups != ic or oc % groups or min(kh, kw, ih, iw, icg, oc) < 1
            or min(top, bottom, left, right) < 0 or tuple(y) != expected or min(expected[1:3]) < 1):
        raise ValueError(f"{what}: x {tuple(x)}, w {tuple(w)}, y {tuple(y)}, strides {tuple(strides)}, padding "
                         f"{padding}, dilation {tuple(dilation)}, groups {groups} do not fit together")


cdef inline phases_of(size, out, kernel, stride, before, dilation):
    """One axis of the input gradient: input position p + stride*j, j < count, takes tap k from output position j + shift.

    Returns ([(p, count, [(k, shift), ...])], border before, border after) with the border that dy needs so that every
    j + shift is inside it.
    """
    phases = []
    low, high = 0, out - 1
    for p in range(min(stride, size)):
        count = (size - p + stride - 1) // stride
        taps = [(k, (p + before - k * dilation) // stride) for k in range(kernel)
                if (p + before - k * dilation) % stride == 0]
        # a tap that meets dy for no j would only widen the border
        taps = [(k, shift) for k, shift in taps if shift + count > 0 and shift < out]
        for _, shift in taps:
            low, high = min(low, shift), max(high, shift + count - 1)
        phases.append((p, count, taps))
    return phases, -low, high - (out - 1)


cdef inline Py_ssize_t[::1] array_of(list numbers):
    """Places that a leaf reads: an array with an address of its own, to be kept with the step."""
    cdef Py_ssize_t[::1] found = memoryview(bytearray(len(numbers) * sizeof(Py_ssize_t))).cast("l")
    for i, number in enumerate(numbers):
        found[<Py_ssize_t>i] = number
    return found


cdef inline int tile_rows(Py_ssize_t rows, Py_ssize_t columns, const dlc_tiles *tiles) noexcept nogil:
    """Rows to a tile of the word `outer`, so that all tiles of `rows` are about as large."""
    return <int>ceildiv(rows, ceildiv(rows, tiles.outer_rows if columns > tiles.width else tiles.outer_rows_1))
