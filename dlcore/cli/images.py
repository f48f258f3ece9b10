"""Pictures from files, as a model takes them."""

from __future__ import annotations

import sys

import numpy as np

from dlcore.preprocessing import to_grayscale
from dlcore.utils.images import pillow, read_image


def read(path: str, shape: tuple[int, ...], invert: bool) -> np.ndarray:
    """A picture of any size as uint8 of `shape` (height, width, 1 or 3): turned as its EXIF says, put on white where it
    is transparent, made grey by luma, resized.

    Args:
        invert: turn dark into light.

    Raises:
        ImportError: Pillow is missing.
        FileNotFoundError, ValueError: no file, or not a picture of 8 bits a channel.
    """
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(f"expected a model of images (height, width, 1 or 3). Its input has shape {shape}")
    tools = pillow()
    image = read_image(path, upright=True).convert("RGBA")
    image = tools.alpha_composite(tools.new("RGBA", image.size, "white"), image).convert("RGB")
    pixels: np.ndarray = np.asarray(image)
    if shape[2] == 1:
        pixels = to_grayscale(pixels)
        image = tools.fromarray(pixels[..., 0])
    if image.size != (shape[1], shape[0]):
        pixels = np.asarray(image.resize((shape[1], shape[0]), tools.Resampling.BILINEAR)).reshape(shape)
    if invert:
        return 255 - pixels
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if edge.mean() > 127:
        print(f"dlcore: {path} looks dark on light; --invert turns it round", file=sys.stderr)
    return pixels
