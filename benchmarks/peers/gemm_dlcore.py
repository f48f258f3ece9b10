"""dlcore's gemm, packing included."""

CONFIGS = {"gemm": {"environment": {}}}


def build(x, y, threads):
    """Return (versions, jobs)."""
    import gemm_shapes
    import numpy as np

    import dlcore
    from dlcore.kernels import gemm
    from dlcore.kernels.executor import Program

    def job(name):
        a, b, c, options = gemm_shapes.operands(name)
        (m, n), k, ta, tb = c.shape, a.shape["a" not in options], "a" in options, "b" in options
        packed, stages = None, []
        if gemm.shares_b(m, n, k, ta, tb):
            packed = np.zeros(gemm.packed_shape(k, n), np.float32)
            stages.append([([gemm.pack_b(b, packed, tb)], 2)])
        stages.append([([gemm.gemm(a, b, c, ta, tb, beta="+" in options, packed=packed)], 1)])
        program = Program(stages)

        def run(count):
            for _ in range(count):
                program.run(threads=threads)

        return run

    return {"dlcore": dlcore.__version__}, {name: job(name) for name in gemm_shapes.SHAPES}
