# cython: language_level=3
"""Owns csrc: finds out once which instruction set to use, and hands the table to the other kernels.

The best that this processor runs is used, but AVX-512 only on processors where it was measured to be faster than AVX2: some
lower their clock for it, some run it in halves. `DLCORE_ISA` overrides the choice. A step keeps the table it was bound with,
so the tests can bind under `use("baseline")`.
"""
import os
from contextlib import contextmanager

cdef const dlc_tiles *current = NULL

# (vendor, family): models, of processors on which benchmarks/ found AVX-512 faster
AVX512_MEASURED = {
    ("AuthenticAMD", 0x1A): range(0x20),  # Zen 5 with units of 512 bits: EPYC 9005
}


cdef const dlc_tiles *tiles() noexcept:
    return current


def known():
    """Names of all instruction sets dlcore has ever heard of, worst first."""
    names, i = [], 0
    while dlc_isas[i] != NULL:
        names.append((<bytes>dlc_isas[i]).decode())
        i += 1
    return names


def usable():
    """Names of the instruction sets that this build has and this processor runs, worst first."""
    return [name for name in known() if dlc_find(name.encode()) != NULL]


def processor():
    """(vendor, family, model) as cpuid has them; ("", 0, 0) where there is no cpuid."""
    cdef char vendor[13]
    cdef int family, model
    dlc_processor(vendor, &family, &model)
    return (<bytes>vendor).decode("ascii", "replace"), family, model


def preferred(names, str vendor, int family, int model):
    """The best of `names`, worst first, for that processor: "avx512" only where it was measured."""
    names = [name for name in names if name != "avx512" or model in AVX512_MEASURED.get((vendor, family), ())]
    return names[len(names) - 1]


def isa():
    """Name of the instruction set in use."""
    return (<bytes>current.isa).decode()


def nr():
    """Columns of the register tile in use: the width of a packed panel."""
    return current.nr


def _select(name):
    global current
    cdef const dlc_tiles *found = dlc_find(name.encode())
    if found == NULL:
        raise ValueError(f"instruction set {name!r} is not available here. Expected one of {usable()}")
    current = found


@contextmanager
def use(name):
    """Bind steps with another instruction set inside a `with` block (for tests; not thread-safe)."""
    before = isa()
    _select(name)
    try:
        yield
    finally:
        _select(before)


def _choose():
    wish = os.environ.get("DLCORE_ISA", "")
    names = usable()
    if wish and wish not in names:
        raise ImportError(f"DLCORE_ISA={wish!r} cannot be used here. Expected one of {names}")
    _select(wish or preferred(names, *processor()))


_choose()
