"""Image preparation: grey levels and scaling, for one image or a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["scale_to_unit", "to_grayscale"]


def to_grayscale(images: ArrayLike) -> NDArray[Any]:
    """Grey levels of colour images by the luma weights of Rec. ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.

    The channel axis stays, with size 1, as in ``keras.ops.image.rgb_to_grayscale``. Alpha is dropped, not composited:
    the colours count as they are stored. Images with one channel keep their values.

    Args:
        images: one image (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), or a batch (n, h, w, 1 | 3 | 4); uint8, uint16 or
            float. For a batch of grey images without channel axis pass ``images[..., None]``.

    Returns:
        (h, w, 1) or (n, h, w, 1). uint8 and uint16 keep their type, rounded half up; floats become float32.

    Raises:
        TypeError: another dtype.
        ValueError: another rank or number of channels.
    """
    x = np.asarray(images)
    integer = x.dtype in (np.uint8, np.uint16)
    if not integer and x.dtype.kind != "f":
        raise TypeError(f"to_grayscale: expected images of uint8, uint16 or float, got {x.dtype}")
    _check_rank("to_grayscale", x)
    if x.ndim == 2:
        x = x[..., None]
    if x.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"to_grayscale: expected 1, 3 or 4 channels on the last axis, got shape {x.shape}; "
            "give grey images a channel axis with images[..., None]"
        )
    if x.shape[-1] == 1:
        return x.copy() if integer else x.astype(np.float32)
    red, green, blue = (x[..., k : k + 1].astype(np.uint32 if integer else np.float32) for k in range(3))
    if integer:  # exact, where floats could round the wrong way
        return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(x.dtype)
    return np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue


def scale_to_unit(images: ArrayLike) -> NDArray[np.float32]:
    """Pixels as float32 in [0, 1], whatever they come as.

    Integers are divided by the largest value of their type: uint8 by 255, uint16 by 65535, int16 by 32767. Floats must
    already lie in [0, 1]: 0..255 in floats cannot be told from data on another scale, so it is refused, not guessed.

    Args:
        images: one image (h, w) or (h, w, c), or a batch (n, h, w) or (n, h, w, c); uint8, uint16, int16 or float.

    Returns:
        A new float32 array of the same shape.

    Raises:
        TypeError: another dtype.
        ValueError: another rank, a negative pixel, a float above 1, NaN or infinity.
    """
    x = np.asarray(images)
    integer = x.dtype in (np.uint8, np.uint16, np.int16)
    if not integer and x.dtype.kind != "f":
        raise TypeError(f"scale_to_unit: expected images of uint8, uint16, int16 or float, got {x.dtype}")
    _check_rank("scale_to_unit", x)
    largest = np.iinfo(x.dtype).max if integer else 1
    if x.size and x.dtype.kind != "u":
        low, high = x.min(), x.max()  # NaN if any pixel is
        if not (low >= 0 and high <= largest):
            raise ValueError(f"scale_to_unit: expected {x.dtype} pixels in [0, {largest}], got [{low}, {high}]")
    scaled: NDArray[np.float32] = np.divide(x, np.float32(largest), dtype=np.float32, casting="same_kind")
    return scaled


def _check_rank(name: str, x: NDArray[Any]) -> None:
    if x.ndim not in (2, 3, 4):
        raise ValueError(f"{name}: expected an image of 2 or 3 axes or a batch of up to 4, got shape {x.shape}")
