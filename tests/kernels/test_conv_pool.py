"""conv_pool2d_forward and its weight gradient against convolution, max pooling, bias and ReLU one after the other."""

import numpy as np
import pytest
import reference as ref
from harness import F32, SIZES, assert_near, blank, packed, results, same_bits, uniform, whole

from dlcore.kernels import conv_pool
from dlcore.kernels.memory import slot_buffer

pytestmark = pytest.mark.usefixtures("isa")

P0, P1, S1, POOL = ref.NO_PADDING, ((1, 1), (1, 1)), (1, 1), (2, 2)
CASES = [  # x shape, kernel, oc, pool, strides, padding, dilation
    *(((3, 8, 8, 1), (3, 3), oc, POOL, S1, P0, S1) for oc in (*SIZES, 64)),  # the first layer has code of its own
    ((3, 28, 28, 1), (3, 3), 16, POOL, S1, P1, S1),
    ((2, 7, 9, 3), (3, 1), 5, POOL, S1, P0, (2, 1)),  # nine weights as well
    ((2, 5, 11, 3), (1, 3), 17, POOL, S1, P0, (1, 3)),
    *(((2, 6, 5, c), (3, 3), 9, POOL, S1, P1, S1) for c in (2, 7, 13)),
    ((2, 9, 10, 2), (2, 3), 33, (3, 3), S1, P0, S1),  # nine pixels, rows and columns left over
    ((2, 6, 11, 2), (2, 2), 7, (2, 3), S1, ((1, 0), (0, 2)), S1),
    ((2, 6, 9, 2), (3, 3), 15, (1, 4), S1, P1, S1),
    ((2, 5, 5, 4), (2, 2), 4, (1, 1), S1, P0, S1),
    ((2, 12, 13, 2), (3, 2), 8, POOL, (2, 3), P1, S1),
    *(((2, 40, 12, c), (3, 3), 19, POOL, S1, P1, S1) for c in (1, 3, 4)),  # few channels, more than L1 holds at once
    ((1, 4, 70, 1), (3, 3), 17, POOL, S1, P0, S1),  # more than one block of tiles in a row
    ((2, 15, 17, 3), (7, 7), 17, POOL, S1, P0, S1),
    ((2, 15, 17, 1), (7, 7), 33, (3, 3), S1, P1, S1),
    ((2, 9, 9, 13), (5, 5), 7, POOL, S1, P1, S1),
    ((2, 12, 13, 2), (3, 2), 8, POOL, (1, 2), P1, (2, 3)),
    ((0, 6, 6, 1), (3, 3), 3, POOL, S1, P0, S1),
]


def reference(x, w, b, pool, strides, padding, dilation, relu):
    """y and index; and the shape of the convolution's output."""
    z = ref.conv2d(x, w, None, strides, padding, dilation)
    y, index = ref.max_pool2d(z, pool, pool)
    y += b
    return (ref.relu(y), np.where(y <= 0, pool[0] * pool[1], index), z.shape) if relu else (y, index, z.shape)


def forward(x, w, b, pool, strides, padding, dilation, relu, indexed=True, splits=1):
    oh, ow = (ref.out_size(x.shape[a + 1], w.shape[a], strides[a], padding[a], dilation[a]) // pool[a] for a in (0, 1))
    p, y = packed(w), blank(len(x), oh, ow, w.shape[3])

    def bind(y, index=None):
        return conv_pool.conv_pool2d_forward(
            x, p, b, y, index, w.shape[:2], pool, strides, padding, dilation, relu=relu, splits=splits
        )

    return results(bind, y, blank(*y.shape, dtype=np.uint8)) if indexed else results(bind, y)


@pytest.mark.parametrize("x_shape, kernel, oc, pool, strides, padding, dilation", CASES)
@pytest.mark.parametrize("relu", [False, True])
def test_against_reference(x_shape, kernel, oc, pool, strides, padding, dilation, relu):
    how = pool, strides, padding, dilation
    x, w, b = whole(*x_shape), whole(*kernel, x_shape[3], oc, seed=1), whole(oc, seed=2)
    y, index = forward(x, w, b, *how, relu)
    expected, expected_index, z_shape = reference(x, w, b, *how, relu)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_array_equal(forward(x, w, b, *how, relu, indexed=False), expected)
    for splits in (2, 5):
        assert all(
            same_bits(*pair) for pair in zip(forward(x, w, b, *how, relu, splits=splits), (y, index), strict=True)
        )
    grain, dy = 2, whole(*y.shape, seed=3)
    outs = blank(-(-len(x) // grain), *w.shape), blank(-(-len(x) // grain), oc)
    runs = [(threads, grain) for threads in (1, 2, 3, 4)]
    dw, db = results(
        lambda dw, db: conv_pool.conv_pool2d_weight_gradient(x, dy, index, dw, db, grain, *how[1:], pool),
        *outs,
        runs=runs,
    )
    alive = np.where(index == pool[0] * pool[1], 0, dy)
    np.testing.assert_array_equal(db.sum(axis=0), ref.bias_gradient(alive))
    dz = ref.max_pool2d_gradient(alive, index, z_shape, pool, pool)
    np.testing.assert_array_equal(dw.sum(axis=0), ref.conv2d_weight_gradient(x, dz, w.shape, *how[1:]))
    x, w, b = uniform(*x_shape), uniform(*kernel, x_shape[3], oc, seed=1), uniform(oc, seed=2)
    bound = ref.conv2d(abs(x), abs(w), None, *how[1:])
    got, expected = forward(x, w, b, *how, relu, indexed=False), reference(x, w, b, *how, relu)[0]
    assert_near(got, expected, ref.max_pool2d(bound, pool, pool)[0] + abs(b))


@pytest.mark.parametrize("ic, oc, pool", [(1, 1, POOL), (1, 17, POOL), (1, 33, POOL), (3, 7, POOL), (1, 7, (2, 3))])
@pytest.mark.parametrize("relu", [False, True])
def test_special_values(ic, oc, pool, relu):
    how = pool, S1, P1, S1
    for where in range(4):
        for value in (np.nan, np.inf):
            x, w, b = whole(3, 5, 6, ic), whole(3, 3, ic, oc, seed=1), whole(oc, seed=2)
            spot = (x[1, 2, 3], w[1, 1, :, -1], w[..., oc // 2], b[-1:])[where]
            spot[...] = value
            with np.errstate(invalid="ignore"):
                expected, expected_index, _ = reference(x, w, b, *how, relu)
            y, index = forward(x, w, b, *how, relu)
            np.testing.assert_array_equal(y, expected)
            np.testing.assert_array_equal(index, expected_index)


@pytest.mark.parametrize("ic, oc", [(1, 1), (3, 17)])
@pytest.mark.parametrize("pixel, weight", [(3e38, 1e-6), (2e38, 0), (1e-6, 3e38), (1e-3, 1e38)])
def test_huge_numbers_that_convolution_can_bear(ic, oc, pixel, weight):
    x, w, b = uniform(2, 6, 6, ic) * F32(pixel), uniform(3, 3, ic, oc, seed=1) * F32(weight), uniform(oc, seed=2)
    y, _ = forward(x, w, b, POOL, S1, P1, S1, False)
    bound = ref.conv2d(abs(x), abs(w), None, S1, P1, S1)
    assert_near(y, reference(x, w, b, POOL, S1, P1, S1, False)[0], ref.max_pool2d(bound, POOL, POOL)[0] + abs(b))


@pytest.mark.parametrize("pixel", [8e37, 1.5e38, 3e38])
def test_huge_pixels_in_the_weight_gradient(pixel):
    x, dy, index = np.zeros((1, 6, 6, 1), F32), np.zeros((1, 2, 2, 1), F32), np.zeros((1, 2, 2, 1), np.uint8)
    x[0, 2], dy[0, 0, 0] = pixel, 1  # of the first window's winner
    dw, _ = results(
        lambda dw, db: conv_pool.conv_pool2d_weight_gradient(x, dy, index, dw, db, 1),
        *(blank(1, 3, 3, 1, 1), blank(1, 1)),
        runs=[(1, 1)],
    )
    np.testing.assert_array_equal(dw[0], x[0, :3, :3, :, None])


BAD = [
    dict(strides=(0, 1)),
    dict(dilation=(1, 0)),
    dict(pool=(0, 2)),
    dict(pool=(2, 5)),
    dict(padding=((-1, 0), (0, 0))),
    dict(y=(2, 3, 2, 8)),
    dict(y=(1, 2, 2, 8)),
    dict(x=(2, 2, 6, 4), y=(2, 0, 2, 8)),
    dict(x=(2, 6, 6, 0)),
]


def test_refuses_splits_of_slab_tensors():
    x, y, p = blank(2, 6, 6, 4), blank(2, 2, 2, 8), packed(whole(3, 3, 4, 8))
    for a, splits in ((x, 0), (slot_buffer(-x.nbytes, x.shape, "f"), 2)):
        with pytest.raises(ValueError, match=f"splits of 1 or more, and of 1 on slab tensors. Received: {splits}"):
            conv_pool.conv_pool2d_forward(a, p, None, y, None, (3, 3), POOL, splits=splits)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses_shapes_that_do_not_fit(bad):
    case = dict(x=(2, 6, 6, 4), y=(2, 2, 2, 8), kernel=(3, 3), pool=POOL, strides=S1, padding=P0, dilation=S1) | bad
    x, y = blank(*case.pop("x")), blank(*case.pop("y"))
    kernel, pool, *how = case.values()
    p, index = packed(whole(3, 3, x.shape[3], y.shape[3])), blank(*y.shape, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"conv_pool2d_forward: x \(.*w \(.*y \(.*do not fit together"):
        conv_pool.conv_pool2d_forward(x, p, None, y, index, kernel, pool, *how)
    with pytest.raises(ValueError, match=r"conv_pool2d_weight_gradient: .*do not fit"):
        outs = blank(1, 3, 3, x.shape[3], y.shape[3]), blank(1, y.shape[3])
        conv_pool.conv_pool2d_weight_gradient(x, y, index, *outs, 2, *how, pool)
