"""The weight gradient in Winograd's domain, by slabs and over the batch."""

import numpy as np
import pytest
import reference as ref
from geometries import P1
from harness import blank, results, uniform
from winograd_cases import CASES, assert_close, geometry

from dlcore.kernels import winograd_weight_gradient as gradient

FORM = 4, 2  # pixels of dy in a tile


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("x_shape, oc, padding", CASES)
def test_weight_gradient_against_reference(x_shape, oc, padding):
    x, w_shape, grain = uniform(*x_shape), (3, 3, x_shape[3], oc), 2
    dy = uniform(*ref.conv2d(x, np.zeros(w_shape, np.float32), None, *geometry(padding)).shape, seed=3)
    chunks = blank(-(-len(x) // grain), *w_shape)
    runs = [(threads, grain) for threads in (1, 2, 3, 4)]
    got = results(lambda dw: gradient.conv2d_weight_gradient(x, dy, dw, grain, padding), chunks, runs=runs)
    for i, part in enumerate(got):
        some = np.s_[grain * i : grain * (i + 1)]
        expected = ref.conv2d_weight_gradient(x[some], dy[some], w_shape, *geometry(padding))
        assert_close(part, expected, dy[some, ..., 0].size, FORM)
    got = results(lambda dw: gradient.conv2d_batch_weight_gradient(x, dy, dw, padding), blank(*w_shape))
    assert_close(got, ref.conv2d_weight_gradient(x, dy, w_shape, *geometry(padding)), dy[..., 0].size, FORM)


@pytest.mark.usefixtures("isa")
def test_weight_gradient_in_blocks_of_channels():
    x, dy, w_shape = uniform(5, 7, 9, 133), uniform(5, 7, 9, 290, seed=1), (3, 3, 133, 290)
    expected = ref.conv2d_weight_gradient(x, dy, w_shape, *geometry(P1))
    dw, chunks = blank(*w_shape), blank(1, *w_shape)
    got = results(lambda dw: gradient.conv2d_batch_weight_gradient(x, dy, dw, P1), dw)
    assert_close(got, expected, dy[..., 0].size, FORM)
    gradient.conv2d_weight_gradient(x, dy, chunks, 5, P1).run()
    assert_close(chunks[0], expected, dy[..., 0].size, FORM)


def test_shapes_are_checked():
    x, y = blank(2, 5, 6, 4), blank(2, 5, 6, 8)
    with pytest.raises(ValueError, match=r"conv2d_weight_gradient: expected dw of shape \(chunks, 3, 3, 4, 8\)"):
        gradient.conv2d_weight_gradient(blank(2, 5, 6, 4), blank(2, 4, 7, 8), blank(1, 2, 2, 4, 8), 2, ((0, 0), (1, 1)))
    with pytest.raises(ValueError, match="dw has 2 chunks for 2 samples in chunks of 2"):
        gradient.conv2d_weight_gradient(x, y, blank(2, 3, 3, 4, 8), 2, P1)
    with pytest.raises(ValueError, match=r"conv2d_batch_weight_gradient: expected dw of shape \(3, 3, 4, 8\)"):
        gradient.conv2d_batch_weight_gradient(blank(2, 5, 6, 4), blank(2, 4, 7, 8), blank(2, 2, 4, 8), ((0, 0), (1, 1)))
