"""`pytest benchmarks` times kernels on one thread and relates them to what the machine can do."""

import functools

import numpy as np
import pytest
from peak import Peak

from dlcore.kernels import dense, simd
from dlcore.kernels.executor import Program


@functools.cache
def machine():
    return Peak(simd.isa())


@functools.cache
def flops():
    return machine().flops()


@functools.cache
def bandwidth(nbytes):
    return machine().bandwidth(nbytes)


@pytest.fixture
def measure(benchmark):
    """measure(step, flop=...) or measure(step, nbytes=...): time the step.

    extra_info has GFLOP/s and the share of the peak of multiply-adds from registers; or GB/s, where every byte that
    must be read or written counts once, and the share of what a triad of the same footprint reaches. A kernel that
    writes less than a third of its bytes, or the ones it has read, may come above 1.
    """

    def run(step, flop=0, nbytes=0):
        program = Program([[([step], step.grain or max(step.tasks, 1))]])
        benchmark(program.run)
        if benchmark.disabled:
            return
        if flop:
            rate, best, unit = flop / benchmark.stats.stats.median, flops(), "GFLOP/s"
        else:
            rate, best, unit = nbytes / benchmark.stats.stats.median, bandwidth(nbytes), "GB/s"
        benchmark.extra_info.update({unit: round(rate / 1e9, 1), "share": round(rate / best, 3)})
        benchmark.extra_info["isa"] = simd.isa()

    return run


@pytest.fixture
def random():
    """random(*shape): float32 in [-1, 1)."""
    return lambda *shape: np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture
def pack(random):
    """pack(kh, kw, ic, oc) or pack(k, units): random weights as the kernels want them."""

    def run(*shape, transpose=False):
        *taps, ic, oc = shape
        k, n = (oc, ic) if transpose else (ic, oc)
        packed = np.empty(dense.packed_shape(int(np.prod(taps)) * k, n), np.float32)
        dense.pack(random(*shape), packed, transpose=transpose).run()
        return packed

    return run


def pytest_terminal_summary(terminalreporter, config):
    """The rates, which pytest-benchmark keeps for its JSON."""
    session = getattr(config, "_benchmarksession", None)
    found = [b for b in getattr(session, "benchmarks", []) if "share" in b.extra_info]
    if found:
        terminalreporter.section("rates, one thread")
    for b in found:
        unit = "GFLOP/s" if "GFLOP/s" in b.extra_info else "GB/s"
        what = "of the FMA peak" if unit == "GFLOP/s" else "of a triad"
        name, rate, share = b.fullname.rpartition("/")[2], b.extra_info[unit], b.extra_info["share"]
        terminalreporter.write_line(f"{name:70} {rate:8.1f} {unit:8} {share:6.1%} {what}")
