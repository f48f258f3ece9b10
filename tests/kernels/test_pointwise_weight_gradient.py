"""The weight gradient of a kernel of one pixel."""

import numpy as np
import pytest
import reference as ref
from geometries import P0, S1
from harness import blank, results, whole

from dlcore.kernels import pointwise_weight_gradient as kernels


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, oc, rows", [((3, 5, 7, 13), 33, 5), ((2, 20, 21, 70), 64, 64), ((1, 1, 1, 1), 1, 8)])
def test_against_reference(x_shape, oc, rows):
    x, dy, w_shape = whole(*x_shape), whole(*x_shape[:3], oc, seed=1), (1, 1, x_shape[3], oc)
    got = results(lambda dw: kernels.conv2d_weight_gradient(x, dy, dw, rows), blank(*w_shape))
    np.testing.assert_array_equal(got, ref.conv2d_weight_gradient(x, dy, w_shape, S1, P0, S1, 1))


def test_shapes_are_checked():
    x, dw = whole(2, 3, 4, 5), blank(1, 1, 5, 6)
    for dy, rows in ((whole(2, 3, 3, 6), 4), (whole(2, 3, 4, 7), 4), (whole(2, 3, 4, 6), 0)):
        with pytest.raises(ValueError, match=r"conv2d_weight_gradient: x .* do not fit together"):
            kernels.conv2d_weight_gradient(x, dy, dw, rows)
