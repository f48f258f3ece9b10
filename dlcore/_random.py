"""Seeds and initial values. Everything random in dlcore comes from Philox streams that a seed and a counter name."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import factorial, pi, sqrt

import numpy as np


class Root:
    """Where seeds come from, and how many of them were drawn."""

    def __init__(self, root: int | None = None, count: int = 0):
        self.root, self.count = root, count


class _Seeds(Root):
    """Hands out seeds: all from one root once `set_random_seed` was called, from the system before."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self._own: ContextVar[Root | None] = ContextVar("own", default=None)

    @contextmanager
    def drawn_from(self, own: Root) -> Iterator[None]:
        """Meanwhile this thread draws from a root of its own, whatever others do."""
        token = self._own.set(own)
        try:
            yield
        finally:
            self._own.reset(token)

    def reset(self, root: int | None) -> None:
        with self.lock:
            source = self._own.get() or self
            source.root, source.count = root, 0

    def next(self) -> int:
        with self.lock:
            source = self._own.get() or self
            if source.root is None:
                return int.from_bytes(os.urandom(8), "little") >> 1
            source.count += 1
            return int(raw(source.root, 1, stream=source.count)[0] >> np.uint64(1))


def raw(seed: int, n: int, stream: int = 0) -> np.ndarray:
    """n uint64 numbers of the stream that (seed, stream) names: the same in every version of NumPy."""
    key = np.array([int(seed) & (2**64 - 1), int(stream) & (2**64 - 1)], np.uint64)
    return np.asarray(np.random.Philox(key=key).random_raw(n), np.uint64)


def uniform(seed: int, n: int, stream: int = 0) -> np.ndarray:
    """n float64 numbers in [0, 1)."""
    return np.asarray((raw(seed, n, stream) >> np.uint64(11)) * 2.0**-53)


def normal(seed: int, n: int, stream: int = 0) -> np.ndarray:
    """n float64 standard normal numbers (Box & Muller, 1958)."""
    u = uniform(seed, 2 * n, stream)
    return np.asarray(np.sqrt(-2.0 * _log(1.0 - u[:n])) * _cosine(u[n:]))


# The logarithm and the cosine of NumPy differ by a last place from one processor or version to the next. These use only
# operations that IEEE 754 rounds in one way.
LOG2 = 0.6931471805599453


def _horner(x: np.ndarray, coefficients: list[float]) -> np.ndarray:
    """Sum of coefficients[i] * x^i."""
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= x
        y += c
    return y


def _log(x: np.ndarray) -> np.ndarray:
    """log x for normal x > 0: x = m 2^e with m in [sqrt 1/2, sqrt 2), and log m = 2 artanh((m - 1) / (m + 1))."""
    m, e = np.frexp(x)
    small = m < sqrt(0.5)
    m, e = np.where(small, 2.0 * m, m), e - small
    s = (m - 1.0) / (m + 1.0)
    return np.asarray(e * LOG2 + 2.0 * s * _horner(s * s, [1.0 / (2 * i + 1) for i in range(11)]))


def _cosine(turns: np.ndarray) -> np.ndarray:
    """cos(2 pi turns) for turns in [0, 1], by the Taylor series about the nearest quarter."""
    quarter = np.rint(4.0 * turns)
    t = 2.0 * pi * (turns - 0.25 * quarter)
    even = _horner(t * t, [(-1.0) ** i / factorial(2 * i) for i in range(10)])
    odd = t * _horner(t * t, [(-1.0) ** i / factorial(2 * i + 1) for i in range(9)])
    values = np.where(quarter % 2 == 0, even, -odd)
    return np.asarray(np.where((quarter == 2) | (quarter == 3), -values, values))


def truncated_normal(seed: int, n: int) -> np.ndarray:
    """n float64 standard normal numbers within two standard deviations: others are drawn again."""
    values = normal(seed, n)
    stream = 1
    while (outside := np.flatnonzero(np.abs(values) > 2.0)).size:
        values[outside] = normal(seed, outside.size, stream)
        stream += 1
    return values


def permutation(seed: int, n: int, stream: int = 0) -> np.ndarray:
    """A random order of 0..n-1, int64.

    Each number stands in the low bits of a random one: sorting those is many times faster than a stable argsort, and as
    they differ, every sort gives the same order.
    """
    low = np.uint64((1 << n.bit_length()) - 1)
    keys = (raw(seed, n, stream) & ~low) | np.arange(n, dtype=np.uint64)
    keys.sort()
    return (keys & low).view(np.int64)


def orthonormal(rows: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span those of a float64 matrix (n, m), n <= m, by modified Gram-Schmidt.

    This is Q' of the QR decomposition of its transpose with a positive diagonal of R, so normal numbers give every
    orthogonal matrix alike (Stewart, SIAM J. Numer. Anal. 17, 1980). LAPACK's would differ from one library to the
    next; here the order of all sums is fixed.
    """
    q = np.array(rows, np.float64)
    for i, row in enumerate(q):
        row /= np.sqrt(_tree_sum(row * row))
        rest = q[i + 1 :]
        rest -= _tree_sum(rest * row)[:, None] * row
    return q


def _tree_sum(x: np.ndarray) -> np.ndarray:
    """Sum along the last axis, which is destroyed: the second half is added to the first until one is left."""
    n = x.shape[-1]
    while n > 1:
        half = (n + 1) // 2
        x[..., : n - half] += x[..., half:n]
        n = half
    return x[..., 0]


seeds = _Seeds()


def stream(seed: int | None, layer: str) -> int:
    """The stream of a layer's random numbers, 0 to 2^64 - 1: its seed, or the next of `seeds`.

    Raises:
        ValueError: not a whole number.
    """
    if seed is None:
        return seeds.next()
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(f"{layer}: seed must be a whole number or None. Received: seed={seed!r}")
    return int(seed) & (2**64 - 1)
