"""Convolution with few channels: the input gradient by overlapping rows of sums, beside that of `bench_conv`."""

import pytest

from dlcore.kernels import conv, conv_narrow, dense

CASES = pytest.mark.parametrize(
    "x_shape, kernel, oc",
    [((64, 14, 14, 6), 5, 16), ((64, 32, 32, 3), 3, 64), ((16, 32, 32, 1), 4, 64)],
    ids=["lenet5", "rgb", "grey"],
)


@pytest.mark.parametrize("kernels", [conv, conv_narrow], ids=["plain", "narrow"])
@CASES
def bench_input_gradient(kernels, x_shape, kernel, oc, measure, random):
    n, h, w, ic = x_shape
    size = h - kernel + 1, w - kernel + 1
    joined = kernels is conv_narrow
    shape = (kernel * oc, kernel * ic) if joined else (kernel * kernel * oc, ic)
    packed = random(*dense.packed_shape(*shape))
    dy, dx = random(n, *size, oc), random(*x_shape)
    flop = 2 * n * size[0] * size[1] * oc * kernel * kernel * ic
    measure(kernels.conv2d_input_gradient(dy, packed, dx, (kernel, kernel)), flop)
