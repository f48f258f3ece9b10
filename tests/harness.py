"""What the kernel tests share: awkward inputs, blank outputs, runs on 1 to 4 threads, error bounds, guarded memory."""

import ctypes
import mmap
import sys

import numpy as np

from dlcore.kernels import dense, simd
from dlcore.kernels.executor import Program

F32 = np.float32
HALF_ULP = 2.0**-24  # largest relative error of one rounding to float32
LEAST = float(np.finfo(F32).tiny)  # below it the executor flushes to zero
SIZES = [1, 2, 7, 8, 13, 15, 16, 17, 33, 127]  # around and between the vector widths 4, 8, 16 and tiles 8, 16, 32
RUNS = [(1, None), (2, 1), (3, 2), (4, 3)]  # (threads, grain); None: all tasks in one chunk


def uniform(*shape, seed=0):
    """float32 in [-1, 1)."""
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape).astype(F32)


def whole(*shape, seed=0):
    """float32 integers in -4..4: sums of their products are exact, in whatever order."""
    return np.random.default_rng([seed, *shape]).integers(-4, 5, shape).astype(F32)


def blank(*shape, dtype=F32):
    """An output to be overwritten: NaN, or a number that nobody expects."""
    y = np.empty(shape, dtype)
    y[...] = np.nan if y.dtype.kind == "f" else 99
    return y


def packed(w, transpose=False, groups=1, joined=False):
    """w as the convolution and dense kernels want it, for the instruction set in use."""
    if joined:
        w = w.reshape(w.shape[0], -1, w.shape[3])
    *taps, ic, oc = w.shape
    k, n = (oc // groups, ic) if transpose else (ic, oc // groups)
    p = blank(*dense.packed_shape(int(np.prod(taps)) * k, n, groups))
    dense.pack(w, p, transpose=transpose, groups=groups).run()
    return p


def _ballast():
    """A step of enough work that the executor finds threads worth while."""
    x, w = np.zeros((128, 128), F32), np.zeros((128, 64), F32)
    return dense.dense_forward(x, packed(w), None, np.empty((128, 64), F32))


with simd.use(simd.usable()[-1]):
    BALLAST = _ballast()


def run(step, threads=1, grain=None):
    Program([[([step], grain or step.grain or max(step.tasks, 1))], [([BALLAST], 8)]]).run(threads=threads)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def results(bind, *outputs, runs=RUNS):
    """The outputs of `bind(*outputs).run`, blank before; asserts that they have the same bits for all runs."""
    first = None
    for threads, grain in runs:
        fresh = [blank(*y.shape, dtype=y.dtype) for y in outputs]
        run(bind(*fresh), threads, grain)
        first = first or fresh
        for a, b in zip(first, fresh, strict=True):
            assert same_bits(a, b), f"{threads} threads, grain {grain}: other bits than 1 thread"
    return first if len(first) > 1 else first[0]


def assert_near(got, expected, scale=None, roundings=4):
    """|got - expected| <= `roundings` roundings of `scale` (default |expected|); NaN and infinity at the same places.

    For sums of products, scale is the sum of their magnitudes: the error bound then grows with the length of the sum as
    the terms do, and is far below any wrong term.
    """
    got, expected = got.astype(np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    odd = ~np.isfinite(expected)
    np.testing.assert_array_equal(got[odd], expected[odd])
    scale = np.abs(expected) if scale is None else np.asarray(scale, np.float64)
    bound = np.broadcast_to(roundings * HALF_ULP * scale + LEAST, got.shape)
    with np.errstate(invalid="ignore"):
        wrong = ~odd & ~(np.abs(got - expected) <= bound)
    if wrong.any():
        i = tuple(np.argwhere(wrong)[0])
        raise AssertionError(f"{wrong.sum()} of {wrong.size} wrong, first at {i}: {got[i]!r}, expected {expected[i]!r}")


def ulps(got, expected):
    """Largest distance in units of the last place of float32, where expected is a normal number."""
    expected = np.asarray(expected, np.float64)
    normal = np.abs(expected) >= LEAST
    spacing = np.spacing(np.abs(expected[normal]).astype(F32)).astype(np.float64)
    return float(np.max(np.abs(got.astype(np.float64)[normal] - expected[normal]) / spacing, initial=0))


def guarded(x, at_end=True):
    """A copy of x whose last byte (or first) touches a page that must not be read or written."""
    page = mmap.PAGESIZE
    size = -(-max(x.nbytes, 1) // page) * page
    block = mmap.mmap(-1, size + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    libc = ctypes.CDLL(None, use_errno=True)
    for guard in (address, address + page + size):
        assert libc.mprotect(ctypes.c_void_p(guard), page, 0) == 0, ctypes.get_errno()
    start = page + (size - x.nbytes if at_end else 0)
    y = np.frombuffer(block, x.dtype, x.size, start).reshape(x.shape)
    y[...] = x
    return y


def lines_of(*values):
    """For scripts run by a test: print and flush at once, a crash may follow."""
    print(*values)
    sys.stdout.flush()
