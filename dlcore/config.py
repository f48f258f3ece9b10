"""Threads, precision, and what this build is.

The number of threads of a call is, in this order: `with threads(n)` in this thread, `set_num_threads(n)`,
DLCORE_NUM_THREADS, OMP_NUM_THREADS, the smaller of the CPU affinity and the cgroup quota. A limit that somebody else
puts on OpenMP later (threadpoolctl, omp_set_num_threads) is obeyed on top.

The precision is that of `set_precision`, else of DLCORE_PRECISION, else "default".
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import numpy as np

from dlcore._version import __version__
from dlcore.kernels import executor, simd

MOST_THREADS = 1024
PRECISIONS = ("default", "fast")

_precision = os.environ.get("DLCORE_PRECISION", "") or "default"
if _precision not in PRECISIONS:
    raise ImportError(f"DLCORE_PRECISION must be one of {', '.join(PRECISIONS)}. Received: {_precision!r}")

precision_listeners: list[Callable[[], object]] = []  # told of each change

_local = threading.local()
_initial_limit = executor.openmp_limit()


class _Choice:
    """The process-wide number of threads and where it came from."""

    def __init__(self, count: int, source: str):
        self.count, self.source = count, source


def _default() -> _Choice:
    for variable in ("DLCORE_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(variable, "").split(",")[0].strip()  # OMP_NUM_THREADS may list nested levels
        if not value:
            continue
        if value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_THREADS:
            return _Choice(int(value), variable)
        if variable == "DLCORE_NUM_THREADS":
            raise ImportError(f"{variable} must be a whole number from 1 to {MOST_THREADS}. Received: {value!r}")
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    affinity = max(affinity, executor.openmp_processors())  # OMP_PROC_BIND may have bound this thread alone already
    quota = cpu_quota()
    if quota is not None and ceil(quota) < affinity:
        return _Choice(max(1, ceil(quota)), "cgroup quota")
    return _Choice(affinity, "CPU affinity")


def cpu_quota(membership: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> float | None:
    """CPUs that the control groups of this process may use, None without a limit (Linux, cgroup v1 and v2)."""
    limits = []
    try:
        lines = Path(membership).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        v2 = controllers == ""
        if not v2 and "cpu" not in controllers.split(","):
            continue
        base = Path(root) if v2 else Path(root, controllers)
        base = base if base.is_dir() else Path(root, "cpu")
        folder = base / path.lstrip("/")
        # a limit of a parent group holds too; in a container the path may not exist under the mount: its root then does
        for group in [folder, *folder.parents]:
            quota = _group_quota(group, v2)
            if quota is not None:
                limits.append(quota)
            if group == base:
                break
    return min(limits, default=None)


def _group_quota(group: Path, v2: bool) -> float | None:
    try:
        if v2:
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = (group / "cpu.cfs_quota_us").read_text(), (group / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None


_choice = _default()


def _count(n: object) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= MOST_THREADS:
        raise ValueError(f"threads must be a whole number from 1 to {MOST_THREADS}. Received: {n!r}")
    return int(n)


def set_num_threads(n: int) -> None:
    """Use n threads from now on, in the whole process.

    Raises:
        ValueError: not a whole number from 1 to 1024.
    """
    _choice.count, _choice.source = _count(n), "set_num_threads"


def get_num_threads() -> int:
    """Threads that a call in this thread would use now."""
    count: int = getattr(_local, "count", None) or _choice.count
    limit = executor.openmp_limit()
    return min(count, limit) if limit != _initial_limit else count


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use n threads for calls of this thread inside a `with` block.

    Raises:
        ValueError: not a whole number from 1 to 1024.
    """
    before = getattr(_local, "count", None)
    _local.count = _count(n)
    try:
        yield
    finally:
        _local.count = before


def set_precision(precision: str) -> None:
    """How exact float32 results have to be, in the whole process: "default", or "fast", which lets large 3x3
    convolutions use F(4x4, 3x3) of Winograd's algorithms, with twice the rounding errors. Models that have been
    used follow with their next call; what runs meanwhile ends as it began.

    Raises:
        ValueError: neither of them.
    """
    global _precision
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}")
    _precision = precision
    for listen in precision_listeners:
        listen()


def get_precision() -> str:
    """ "default" or "fast"; see `set_precision`."""
    return _precision


def show_config() -> None:
    """Print version, compiler, flags, instruction sets, OpenMP runtime, and threads with where their number came
    from."""
    for key, value in config().items():
        print(f"{key:18} {value}")


def config() -> dict[str, str]:
    """What `show_config` prints."""
    from dlcore import _build_config as build

    source = "threads(n)" if getattr(_local, "count", None) else _choice.source
    if executor.openmp_limit() != _initial_limit and executor.openmp_limit() <= get_num_threads():
        source = "limit on OpenMP in this thread"
    return {
        "dlcore-engine": __version__,
        "python": f"{platform.python_version()} ({sys.platform}, {platform.machine()})",
        "numpy": np.__version__,
        "compiler": build.COMPILER,
        "flags": " ".join(build.CFLAGS),
        "instruction set": f"{simd.isa()} (can use: {', '.join(simd.usable())})",
        "openmp": executor.openmp_runtime() or "none: this build is serial",
        "precision": get_precision(),
        "threads": f"{get_num_threads()} (from {source})",
    }
