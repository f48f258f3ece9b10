"""The best this machine can do, measured: multiply-adds a second from registers, bytes a second at some footprint."""

import ctypes
import os
import pathlib
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

FLAGS = {  # instruction set: vector bytes, chains, flags
    "baseline": (16, 12, []),
    "avx2": (32, 12, ["-mavx2", "-mfma"]),
    "avx512": (64, 20, ["-mavx512f", "-mprefer-vector-width=512"]),
    "neon": (16, 20, []),
}


class Peak:
    """The functions of peak.c for one instruction set.

    Args:
        isa: as `dlcore.kernels.simd.isa()` says.
    """

    def __init__(self, isa):
        size, chains, flags = FLAGS[isa]
        self.per_round = chains * size // 4  # multiply-adds of one thread
        macros = [f"-DVECTOR={size}", f"-DCHAINS={chains}"]
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "peak.so")
            source = pathlib.Path(__file__).with_name("peak.c")
            command = [*os.environ.get("CC", "cc").split(), "-O3", "-ffp-contract=fast", "-shared", "-fPIC"]
            subprocess.run([*command, *flags, *macros, str(source), "-o", target], check=True)
            self.library = ctypes.CDLL(target)
        self.library.multiply_add.argtypes = [ctypes.c_long]
        self.library.multiply_add.restype = ctypes.c_float
        self.library.triad.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_long] * 2
        self.pool = None

    def multiply_add(self, count, cpus):
        """Do at least `count` multiply-adds, an equal share on each of these CPUs."""
        if self.pool is None:
            self.pool = ThreadPoolExecutor(len(cpus))
        rounds = -(-count // (self.per_round * len(cpus)))

        def share(cpu):
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, [cpu])  # 0 is this thread
            self.library.multiply_add(rounds)

        list(self.pool.map(share, cpus))

    def flops(self, seconds=0.1):
        """Floating-point operations a second of one core: best of five."""
        count, best = 1 << 20, 0.0
        for _ in range(5):
            start = time.perf_counter()
            self.library.multiply_add(count)
            passed = time.perf_counter() - start
            best = max(best, 2 * count * self.per_round / passed)
            count = max(1, int(count * seconds / passed))
        return best

    def bandwidth(self, nbytes, seconds=0.02):
        """Bytes read and written a second by one core when three arrays have this many bytes in all: best of five."""
        n, count, best = max(1, nbytes // 12), 1, 0.0
        arrays = [np.ones(n, np.float32) for _ in range(3)]
        for _ in range(8):
            start = time.perf_counter()
            self.library.triad(*(array.ctypes.data for array in arrays), n, count)
            passed = time.perf_counter() - start
            best = max(best, 12 * n * count / passed)
            count = max(1, min(count * 100, int(count * seconds / max(passed, 1e-9))))
        return best
