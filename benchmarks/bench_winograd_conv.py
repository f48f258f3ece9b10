"""3x3 convolution by Winograd. FLOP are those of the direct way: shares compare with bench_conv and may exceed 1."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import winograd_conv, winograd_weight_gradient

THREE = {name: shape for name, shape in shapes.CONVOLUTIONS.items() if shape[1] == (3, 3)}
FORMS = pytest.mark.parametrize("form", winograd_conv.FORMS, ids=str)
CASES = pytest.mark.parametrize("shape", THREE.values(), ids=THREE)
RELU = 1


@pytest.fixture
def transformed(random):
    """transformed(ic, oc, form): random weights as the kernels want them."""

    def run(ic, oc, form, transpose=False):
        u = np.empty(winograd_conv.weights_shape(*((oc, ic) if transpose else (ic, oc)), form), np.float32)
        winograd_conv.transform_weights(random(3, 3, ic, oc), u, transpose).run()
        return u

    return run


def sizes(shape):
    """x's shape, y's, the padding and the floating-point operations of the direct way."""
    (n, ih, iw, ic), _, oc, p = shape
    y = n, ih + 2 * p - 2, iw + 2 * p - 2, oc
    return (n, ih, iw, ic), y, ((p, p), (p, p)), 18 * ic * int(np.prod(y))


@CASES
@FORMS
def bench_forward(shape, form, measure, random, transformed):
    x, y, padding, flop = sizes(shape)
    u = transformed(x[3], y[3], form)
    measure(winograd_conv.conv2d_forward(random(*x), u, random(y[3]), random(*y), padding, RELU), flop)


@CASES
@FORMS
def bench_input_gradient(shape, form, measure, random, transformed):
    x, y, padding, flop = sizes(shape)
    u = transformed(x[3], y[3], form, True)
    measure(winograd_conv.conv2d_input_gradient(random(*y), u, random(*x), padding), flop)


@CASES
def bench_weight_gradient(shape, measure, random):
    x, y, padding, flop = sizes(shape)
    dw = random(1, 3, 3, x[3], y[3])
    measure(winograd_weight_gradient.conv2d_weight_gradient(random(*x), random(*y), dw, x[0], padding), flop)
