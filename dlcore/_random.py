"""Seeds and initial values. Everything random in dlcore comes from Philox streams that a seed and a counter name."""

from __future__ import annotations

import os
import threading

import numpy as np


class _Seeds:
    """Hands out seeds: all from one root once `set_random_seed` was called, from the system before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.root: int | None = None
        self.count = 0

    def reset(self, root: int | None) -> None:
        with self.lock:
            self.root, self.count = root, 0

    def next(self) -> int:
        with self.lock:
            if self.root is None:
                return int.from_bytes(os.urandom(8), "little") >> 1
            self.count += 1
            return int(raw(self.root, 1, stream=self.count)[0] >> np.uint64(1))


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
    return np.asarray(np.sqrt(-2.0 * np.log1p(-u[:n])) * np.cos(2.0 * np.pi * u[n:]))


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


seeds = _Seeds()
