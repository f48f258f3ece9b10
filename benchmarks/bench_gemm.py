"""Matrix products of the shapes that compare_gemm.py has, one thread; packing of b."""

import pathlib
import sys

import numpy as np
import pytest

from dlcore.kernels import gemm

sys.path.insert(0, str(pathlib.Path(__file__).parent / "peers"))
import gemm_shapes


@pytest.mark.parametrize("name", gemm_shapes.SHAPES)
def bench_gemm(name, measure):
    a, b, c, options = gemm_shapes.operands(name)
    step = gemm.gemm(a, b, c, "a" in options, "b" in options, beta="+" in options)
    measure(step, flop=gemm_shapes.flop(name))


@pytest.mark.parametrize("transpose", [False, True])
def bench_pack_b(transpose, measure, random):
    b, packed = random(1024, 1024), np.zeros(gemm.packed_shape(1024, 1024), np.float32)
    measure(gemm.pack_b(b, packed, transpose), nbytes=8 * b.size)
