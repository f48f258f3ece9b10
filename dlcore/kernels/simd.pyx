# cython: language_level=3
"""Owns csrc: finds out once which instruction set to use, and hands the table to the other kernels.

`DLCORE_ISA` caps the choice. A step keeps the table it was bound with, so the tests can bind under `use("baseline")`.
"""
import os
from contextlib import contextmanager

cdef const dlc_tiles *current = NULL


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
    cap = os.environ.get("DLCORE_ISA", "")
    names = usable()
    if cap and cap not in names:
        raise ImportError(f"DLCORE_ISA={cap!r} cannot be used here. Expected one of {names}")
    _select(cap or names[len(names) - 1])


_choose()
