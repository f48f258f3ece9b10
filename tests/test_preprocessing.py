"""Grey levels and scaling."""

import numpy as np
import pytest

from dlcore.preprocessing import scale_to_unit, to_grayscale


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 4), (2, 5, 4, 1), (2, 5, 4, 3), (2, 5, 4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_grayscale_shapes_and_values(shape, dtype):
    rng = np.random.default_rng(0)
    integer = np.dtype(dtype).kind == "u"
    x = rng.integers(0, np.iinfo(dtype).max, shape, dtype, True) if integer else rng.random(shape).astype(dtype)
    before = x.copy()
    y = to_grayscale(x)
    channels = x[..., None] if x.ndim == 2 else x
    want = channels.astype(np.float64)
    if want.shape[-1] > 1:
        want = want[..., :3] @ np.array([[0.299], [0.587], [0.114]])
    assert y.shape == want.shape and y.dtype == (dtype if integer else np.float32)
    if integer:
        assert np.abs(y - want).max() <= 0.5 + 1e-6
    else:
        np.testing.assert_allclose(y, want, rtol=1e-6)
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(x, before)


def test_grayscale_known_colours():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [7, 7, 7]]], np.uint8)
    assert to_grayscale(colours).ravel().tolist() == [76, 150, 29, 255, 0, 7]
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    np.testing.assert_array_equal(to_grayscale(grey), grey[..., :1])
    assert to_grayscale(colours[..., ::-1]).ravel().tolist()[:3] == [29, 150, 76]  # any strides


def test_grayscale_drops_alpha():
    rgba = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 4), dtype=np.uint8)
    np.testing.assert_array_equal(to_grayscale(rgba), to_grayscale(rgba[..., :3]))


def test_grayscale_as_pillow():
    image = pytest.importorskip("PIL.Image")
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pillow = np.asarray(image.fromarray(rgb).convert("L"))
    assert np.abs(to_grayscale(rgb)[..., 0].astype(int) - pillow).max() <= 1  # Pillow's weights are in 1/65536
    np.testing.assert_array_equal(to_grayscale(image.fromarray(rgb)), to_grayscale(rgb))


@pytest.mark.parametrize("shape", [(), (3,), (5, 4, 2), (5, 4, 5), (10, 28, 28), (2, 5, 4, 2), (1, 2, 5, 4, 3)])
def test_grayscale_bad_shape(shape):
    with pytest.raises(ValueError, match=rf"to_grayscale: expected .* got shape \({', '.join(map(str, shape))}"):
        to_grayscale(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("function", [to_grayscale, scale_to_unit])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.int32, np.int64, np.uint32, complex, object, "U1"])
def test_bad_dtype(function, dtype):
    with pytest.raises(TypeError, match=rf"{function.__name__}: expected .* got {np.dtype(dtype)}"):
        function(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3), (2, 4, 4), (2, 4, 4, 1), (0, 4, 4, 1)])
@pytest.mark.parametrize("dtype, largest", [(np.uint8, 255), (np.uint16, 65535), (np.int16, 32767), (np.float64, 1)])
def test_scale(shape, dtype, largest):
    x = (np.random.default_rng(0).random(shape) * largest).astype(dtype)
    x.flat[:2] = 0, largest
    y = scale_to_unit(x)
    assert y.dtype == np.float32 and y.shape == shape and not np.shares_memory(x, y)
    np.testing.assert_allclose(y, x.astype(np.float64) / largest, rtol=1e-6)
    assert x.size == 0 or (y.min() == 0 and y.max() == 1)


def test_scale_equals_what_scripts_do():
    x = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(scale_to_unit(x), x.astype("float32") / 255)
    np.testing.assert_array_equal(scale_to_unit(scale_to_unit(x)), scale_to_unit(x))


@pytest.mark.parametrize("value", [1.001, 255.0, -0.1, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scale_refuses_other_floats(value, dtype):
    x = np.full((4, 4), 0.5, dtype)
    x[1, 2] = value
    with pytest.raises(ValueError, match=r"scale_to_unit: expected float\d\d pixels in \[0, 1\], got \["):
        scale_to_unit(x)


def test_scale_refuses_negative_pixels():
    with pytest.raises(ValueError, match=r"expected int16 pixels in \[0, 32767\], got \[-3, 0\]"):
        scale_to_unit(np.array([[0, -3]], np.int16))


@pytest.mark.parametrize("shape", [(), (784,), (1, 1, 1, 1, 1)])
def test_scale_bad_rank(shape):
    with pytest.raises(ValueError, match="scale_to_unit: expected an image of 2 or 3 axes or a batch"):
        scale_to_unit(np.zeros(shape, np.uint8))
