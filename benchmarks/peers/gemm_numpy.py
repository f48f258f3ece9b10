"""numpy.matmul into an array that is there; c += a b by way of a second one, as NumPy has no other."""

CONFIGS = {"matmul": {"environment": {}}}


def build(x, y, threads):
    """Return (versions, jobs)."""
    import gemm_shapes
    import numpy as np

    def job(name):
        a, b, c, options = gemm_shapes.operands(name)
        a, b = a.T if "a" in options else a, b.T if "b" in options else b
        product = np.empty_like(c)

        def run(count):
            for _ in range(count):
                if "+" in options:
                    np.add(c, np.matmul(a, b, out=product), out=c)
                else:
                    np.matmul(a, b, out=c)

        return run

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = {"numpy": np.__version__, blas["name"]: blas["version"]}
    return versions, {name: job(name) for name in gemm_shapes.SHAPES}
