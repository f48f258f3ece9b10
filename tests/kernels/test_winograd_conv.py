"""Winograd: transform_weights, conv2d_forward, conv_pool2d_forward, conv2d_input_gradient."""

import numpy as np
import pytest
import reference as ref
from geometries import P1
from harness import blank, results, uniform, whole
from winograd_cases import CASES, assert_close, geometry

from dlcore.kernels import activations, simd
from dlcore.kernels import winograd_conv as winograd

FORMS = pytest.mark.parametrize("form", winograd.FORMS, ids=str)


def transformed(w, form, transpose=False):
    k, n = w.shape[:1:-1] if transpose else w.shape[2:]
    return results(lambda u: winograd.transform_weights(w, u, transpose), blank(*winograd.weights_shape(k, n, form)))


def forward(x, w, b, padding, form, activation=0, splits=1, residual=None):
    u = transformed(w, form)
    y = blank(*ref.conv2d(x[:, :, :, :1], w[:, :, :1], None, *geometry(padding)).shape)
    return results(lambda y: winograd.conv2d_forward(x, u, b, y, padding, activation, splits, residual), y)


def pooled(x, w, b, form, relu, splits=1, indexed=True):
    u, shape = transformed(w, form), (len(x), x.shape[1] // 2, x.shape[2] // 2, w.shape[3])
    if not indexed:
        return results(lambda y: winograd.conv_pool2d_forward(x, u, b, y, None, P1, relu, splits), blank(*shape))
    both = blank(*shape), blank(*shape, dtype=np.uint8)
    return results(lambda y, index: winograd.conv_pool2d_forward(x, u, b, y, index, P1, relu, splits), *both)


@pytest.mark.usefixtures("isa")
@FORMS
@pytest.mark.parametrize("x_shape, oc, padding", CASES)
def test_forward_and_input_gradient_against_reference(x_shape, oc, padding, form):
    x, w, b = uniform(*x_shape), uniform(3, 3, x_shape[3], oc, seed=1), uniform(oc, seed=2)
    expected = ref.conv2d(x, w, b, *geometry(padding))
    assert_close(forward(x, w, b, padding, form), expected, 9 * x_shape[3], form)
    dy, u = uniform(*expected.shape, seed=3), transformed(w, form, True)
    dx = results(lambda dx: winograd.conv2d_input_gradient(dy, u, dx, padding), blank(*x_shape))
    assert_close(dx, ref.conv2d_input_gradient(dy, w, x_shape, *geometry(padding)), 9 * oc, form)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("form, shape", [
    ((2, 2), (3, 9, 8, 5)), ((2, 2), (4, 2, 3, 1)),
    ((4, 2), (3, 9, 8, 5)), ((4, 2), (2, 14, 13, 33)), ((4, 2), (4, 2, 3, 1)),
    ((4, 4), (3, 9, 8, 5)), ((4, 4), (2, 13, 14, 33)),
])  # fmt: skip
def test_pooling_is_that_of_the_convolution(form, shape, relu, indexed):
    x, w, b = uniform(*shape), uniform(3, 3, shape[3], 19, seed=1), uniform(19, seed=2)
    z, got = forward(x, w, b, P1, form), pooled(x, w, b, form, relu, indexed=indexed)
    if indexed:
        got, won = got
    size = got.shape[1:3]
    four = z[:, : 2 * size[0], : 2 * size[1]].reshape(len(x), size[0], 2, size[1], 2, 19)
    four = four.transpose(0, 1, 3, 5, 2, 4).reshape(*got.shape, 4)
    best = four.max(axis=-1)
    np.testing.assert_array_equal(got, np.maximum(best, 0) if relu else best)
    if indexed:
        np.testing.assert_array_equal(won, np.where(relu & (best <= 0), 4, four.argmax(axis=-1)))


@pytest.mark.usefixtures("isa")
@FORMS
@pytest.mark.parametrize("splits", [2, 3, 7])
def test_splits_of_a_sample_give_the_same_bits(form, splits):
    for size in ((13, 10), (4, 4)):  # by rows of tiles, and by channels where these are few
        x, w, b = uniform(2, *size, 20), uniform(3, 3, 20, 70, seed=1), uniform(70, seed=2)
        residual = uniform(2, *size, 70, seed=3)
        one, many = (forward(x, w, b, P1, form, 1, n, residual) for n in (1, splits))
        np.testing.assert_array_equal(many, one)
        for one, many in zip(pooled(x, w, b, form, True), pooled(x, w, b, form, True, splits), strict=True):
            np.testing.assert_array_equal(many, one)


@pytest.mark.usefixtures("isa")
@FORMS
@pytest.mark.parametrize("kind", activations.KINDS)
@pytest.mark.parametrize("x_shape, oc, padding", CASES)
def test_a_residual_is_added_before_the_activation(x_shape, oc, padding, kind, form):
    x, w, b = uniform(*x_shape), uniform(3, 3, x_shape[3], oc, seed=1), uniform(oc, seed=2)
    plain = forward(x, w, b, padding, form)
    residual, twin = uniform(*plain.shape, seed=3), blank(*plain.shape)
    activations.forward(plain + residual, twin, kind).run()
    np.testing.assert_array_equal(forward(x, w, b, padding, form, activations.KINDS[kind], 1, residual), twin)


@pytest.mark.usefixtures("isa")
def test_small_integers_are_exact():
    """F(2x2, 3x3) only adds, and halves twice."""
    x, w, b = whole(2, 9, 8, 17), whole(3, 3, 17, 9, seed=1), whole(9, seed=2)
    expected = ref.conv2d(x, w, b, *geometry(P1))
    np.testing.assert_array_equal(forward(x, w, b, P1, (2, 2)), expected)


@pytest.mark.usefixtures("isa")
@FORMS
@pytest.mark.parametrize("kind", activations.KINDS)
def test_fused_activation_equals_its_unfused_twin(kind, form):
    x, w, b = uniform(2, 5, 6, 3), uniform(3, 3, 3, 33, seed=1), uniform(33, seed=2)
    plain = forward(x, w, b, P1, form)
    twin = blank(*plain.shape)
    activations.forward(plain, twin, kind).run()
    np.testing.assert_array_equal(forward(x, w, b, P1, form, activations.KINDS[kind]), twin)


@pytest.mark.usefixtures("isa")
@FORMS
def test_nan_reaches_at_least_its_window_and_at_most_its_tiles(form):
    x, w = uniform(1, 13, 12, 9), uniform(3, 3, 9, 17, seed=1)
    x[0, 6, 5, 4] = np.nan
    y, expected = forward(x, w, None, P1, form), ref.conv2d(x, w, None, *geometry(P1))
    assert np.isnan(y[np.isnan(expected)]).all()
    touched = {(oy // form[0], ox // form[1]) for oy in range(5, 8) for ox in range(4, 7)}
    for oy, ox in np.argwhere(np.isnan(y).any(axis=(0, 3))):
        assert (oy // form[0], ox // form[1]) in touched
    u, pooled = transformed(w, form), blank(1, 6, 6, 17)
    winograd.conv_pool2d_forward(x, u, None, pooled, None, P1, True).run()
    assert np.isnan(pooled[0, 2:4, 2:4]).all()


def test_shapes_are_checked():
    x, w, y, b = blank(2, 5, 6, 4), whole(3, 3, 4, 8), blank(2, 5, 6, 8), blank(8)
    u, turned = transformed(w, (2, 2)), transformed(w, (2, 2), True)
    with pytest.raises(ValueError, match=r"conv2d_forward: x .* do not fit together"):
        winograd.conv2d_forward(x, u, b, y)
    with pytest.raises(ValueError, match=r"conv2d_forward: expected u of one of the shapes \(.*, 16, 5, .*, 24, 5, "):
        winograd.conv2d_forward(x, turned, b, y, P1)
    with pytest.raises(ValueError, match=r"conv2d_forward: expected b of shape \(8,\)"):
        winograd.conv2d_forward(x, u, blank(7), y, P1)
    with pytest.raises(ValueError, match=r"conv2d_forward: expected residual of shape \(2, 5, 6, 8\)"):
        winograd.conv2d_forward(x, u, b, y, P1, residual=x)
    with pytest.raises(ValueError, match=r"conv2d_forward: expected splits of 1 or more\. Received: 0"):
        winograd.conv2d_forward(x, u, b, y, P1, splits=0)
    with pytest.raises(ValueError, match=r"conv2d_input_gradient: expected u of one of the shapes"):
        winograd.conv2d_input_gradient(y, u, x, P1)
    with pytest.raises(
        ValueError, match=r"conv_pool2d_forward: y \(2, 5, 6, 8\) is not what 2x2 windows leave of 5 x 6"
    ):
        winograd.conv_pool2d_forward(x, u, b, y, None, P1)
    with pytest.raises(ValueError, match=r"conv_pool2d_forward: expected index of shape \(2, 2, 3, 8\)"):
        winograd.conv_pool2d_forward(x, u, b, blank(2, 2, 3, 8), blank(2, 2, 2, 8, dtype=np.uint8), P1)
    with pytest.raises(ValueError, match=r"transform_weights: expected w of shape \(3, 3, ic, oc\)"):
        winograd.transform_weights(whole(2, 3, 4, 8), u)
    with pytest.raises(ValueError, match="transform_weights: expected u of one of the shapes"):
        winograd.transform_weights(w, blank(1, 16, 4, simd.nr() + 1))
