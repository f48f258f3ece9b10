"""Moving data on the maps of a layer."""

import pytest

from dlcore.kernels import shape

N, H, W, C = 8, 28, 28, 64
IMAGES, PADDED = (N, H, W, C), (N, H + 2, W + 2, C)
BORDER = [(H, W * C, (W + 2) * C), (W, C, C), (C, 1, 1)]
TWICE = [(H, W * C, 4 * W * C), (2, 0, 2 * W * C), (W, C, 2 * C), (2, 0, C), (C, 1, 1)]


def back(dims):
    return [(size, ys, xs) for size, xs, ys in dims]


CASES = {  # shapes of x and y, what binds
    "pad": (IMAGES, PADDED, lambda x, y: shape.copy(x, y, BORDER, y_offset=(W + 3) * C)),
    "crop": (PADDED, IMAGES, lambda x, y: shape.copy(x, y, back(BORDER), x_offset=(W + 3) * C)),
    "upsample": (IMAGES, (N, 2 * H, 2 * W, C), lambda x, y: shape.copy(x, y, TWICE)),
    "upsample gradient": ((N, 2 * H, 2 * W, C), IMAGES, lambda x, y: shape.copy(x, y, back(TWICE), accumulate=True)),
    "permute": (IMAGES, (N, C, H, W), lambda x, y: shape.copy(x, y, [(C, 1, H * W), (H * W, C, 1)])),
    "concatenate": (IMAGES, (N, H, W, 2 * C), lambda x, y: shape.concatenate([x, x], y, 3)),
}


@pytest.mark.parametrize("name", CASES)
def bench_shape(name, measure, random):
    x_shape, y_shape, bind = CASES[name]
    x, y = random(*x_shape), random(*y_shape)
    measure(bind(x, y), nbytes=x.nbytes + y.nbytes)
