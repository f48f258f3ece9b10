"""Matrix products that networks are made of, and the squares that everybody quotes: name: (m, n, k, options).

Options: "a" and "b" for operands that lie transposed, "+" for c += a b.
"""

SHAPES = {f"square {n}": (n, n, n, "") for n in (16, 32, 48, 64, 100, 128, 256, 500, 512, 1024, 2048)}
SHAPES |= {
    "square 1024, a transposed": (1024, 1024, 1024, "a"),
    "square 1024, b transposed": (1024, 1024, 1024, "b"),
    "square 512, both transposed": (512, 512, 512, "ab"),
    "square 512, c += a b": (512, 512, 512, "+"),
    "square 127": (127, 127, 127, ""),
    "vgg dense": (128, 256, 8192, ""),
    "vgg dense dx": (128, 8192, 256, "b"),
    "vgg dense dw": (8192, 256, 128, "a"),
    "mlp 784-512": (128, 512, 784, ""),
    "mlp 512-512": (128, 512, 512, ""),
    "mlp 512-512 dx": (128, 512, 512, "b"),
    "mlp 784-512 dw": (784, 512, 128, "a"),
    "mlp 512-10": (128, 10, 512, ""),
    "mlp 512-10 dx": (128, 512, 10, "b"),
    "mlp 512-10 dw": (512, 10, 128, "a"),
    "lenet 400-120": (128, 120, 400, ""),
    "lenet 120-84": (128, 84, 120, ""),
    "conv 3x3 64-64, 64x64": (4096, 64, 576, ""),
    "conv 3x3 64-64 dw": (576, 64, 4096, "a"),
    "conv 1x1 64-64": (32768, 64, 64, ""),
    "conv 7x7 3-64": (12544, 64, 147, ""),
    "mobilenet 1x1 32-64": (12544, 64, 32, ""),
    "mobilenet 1x1 64-128": (3136, 128, 64, ""),
    "mobilenet 1x1 512-512": (196, 512, 512, ""),
    "mobilenet 1x1 1024-1024": (49, 1024, 1024, ""),
    "tall": (4096, 16, 512, ""),
    "flat": (16, 4096, 512, ""),
    "8 rows": (8, 4096, 1024, ""),
    "8 rows, b transposed": (8, 4096, 1024, "b"),
    "row by matrix": (1, 2048, 2048, ""),
    "row by transposed matrix": (1, 2048, 2048, "b"),
    "matrix by column": (2048, 1, 2048, ""),
    "transposed matrix by column": (2048, 1, 2048, "a"),
    "k = 1": (1024, 1024, 1, ""),
    "k = 8": (1024, 1024, 8, ""),
}


def flop(name):
    m, n, k, _ = SHAPES[name]
    return 2 * m * n * k


def operands(name):
    """a, b as they lie, c, and the options."""
    import numpy as np

    m, n, k, options = SHAPES[name]
    rng = np.random.default_rng(0)
    a = rng.random((k, m) if "a" in options else (m, k), np.float32)
    b = rng.random((n, k) if "b" in options else (k, n), np.float32)
    return a, b, np.zeros((m, n), np.float32), options
