"""Arenas and buffers: aligned, zeroed, checked, alive as long as something reads them."""

import gc
import sys
import weakref

import numpy as np
import pytest
from harness import BALLAST, F32, blank

from dlcore.kernels import elementwise
from dlcore.kernels.executor import Program
from dlcore.kernels.memory import Arena, slot_buffer

HEAVY = ([BALLAST], 8)  # a group worth threads


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("nbytes", [0, 1, 100, 2**19 - 1, 2**19, 2**21 - 1, 2**21, 5 * 2**20 + 3])
def test_arena_is_zero_and_aligned(nbytes, busy):
    arena = Arena(nbytes, busy)
    view = np.frombuffer(arena, np.uint8) if nbytes else np.zeros(0, np.uint8)
    assert (arena.nbytes, view.size) == (nbytes, nbytes)
    assert not view.any()
    if nbytes:
        assert view.ctypes.data % (64 if nbytes < (2**19 if busy else 2**21) else 2**21) == 0
        view[-1] = 1


def test_arena_refuses():
    for nbytes in (2**62, sys.maxsize):
        with pytest.raises(MemoryError, match=f"cannot allocate {nbytes} bytes"):
            Arena(nbytes)
    with pytest.raises(ValueError, match=r"must not be negative. Received: -1"):
        Arena(-1)
    arena = Arena(100)
    assert repr(arena.buffer(36, (4, 4), "f")) == "<Buffer float32[4, 4]>"
    for offset, shape, dtype in [
        (37, (4, 4), "f"),
        (-4, (1,), "f"),
        (0, (2**62, 4), "f"),
        (0, (-1,), "f"),
        (0, (13,), "d"),
    ]:
        with pytest.raises(ValueError, match="does not fit in 100 bytes"):
            arena.buffer(offset, shape, dtype)


def test_arena_buffers_are_operands():
    arena = Arena(4096)
    x, y = arena.buffer(0, (5, 3), "f"), arena.buffer(64, (5, 3), "f")
    elementwise.fill(x, 2).run()
    elementwise.add(x, x, y).run()
    floats = np.frombuffer(arena, F32)
    np.testing.assert_array_equal(floats[:15], np.full(15, 2))
    np.testing.assert_array_equal(floats[16:31], np.full(15, 4))
    assert not floats[31:].any()
    with pytest.raises(TypeError, match=r"x: expected dtype float32. Received: uint8"):
        elementwise.rescale(arena.buffer(0, (5, 3), "B"), y, 1)


def test_buffers_live_as_long_as_their_steps():
    class Array(np.ndarray):
        """One that can be watched."""

    y, arena = np.zeros((3, 5), F32).view(Array), Arena(64)
    gone = [weakref.ref(y), weakref.ref(y)]
    program = Program([[([elementwise.add(y, arena.buffer(0, (3, 5), "f"), y)], 1)]])
    del y, arena
    gc.collect()
    assert gone[0]() is not None
    program.run()
    del program
    gc.collect()
    assert gone[1]() is None


def test_out_of_memory_leaves_a_usable_program():
    program = Program([[HEAVY]], slot_bytes=2**60)
    for _ in range(2):  # the second time it is not said to be running
        with pytest.raises(MemoryError):
            program.run()
    y = blank(3, 4)
    slab = slot_buffer(-48, (3, 4), "f")
    Program([[([elementwise.fill(slab, 3), elementwise.rescale(slab, y, 2)], 3)]], slot_bytes=64).run()
    assert (y == 6).all()
