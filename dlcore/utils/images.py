"""Pictures from files and into files, by Pillow (extra `image`)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore import _extras

COLOR_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow() -> Any:
    """The module PIL.Image.

    Raises:
        ImportError: Pillow is missing.
    """
    _extras.require("PIL", "image")
    from PIL import Image

    return Image


def read_image(path: Any, upright: bool = False, eight_bits: bool = True) -> Any:
    """The picture of a file, decoded, as a PIL.Image.

    Args:
        path: of the file, or a file object.
        upright: turn it as its EXIF says.
        eight_bits: refuse more bits a channel.

    Raises:
        ImportError: Pillow is missing.
        FileNotFoundError: no such file.
        ValueError: not a picture that can be read.
    """
    opener = pillow()
    from PIL import ImageOps

    try:
        with opener.open(path) as image:
            image.load()
            if eight_bits and image.mode[0] in "IF":
                raise ValueError(f"expected 8 bits a channel. Received: mode {image.mode}")
            return ImageOps.exif_transpose(image) if upright else image
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds
        raise ValueError(f"{path}: not an image that can be read: {error}") from error


def color_mode_of(color_mode: Any, where: str) -> str:
    """Pillow's name of Keras' color_mode."""
    if color_mode not in COLOR_MODES:
        raise ValueError(
            f"{where}: color_mode must be one of {tuple(COLOR_MODES)}. Received: color_mode={color_mode!r}"
        )
    return COLOR_MODES[color_mode]


def size_of(size: Any, where: str, argument: str) -> tuple[int, int]:
    """(height, width) of one positive whole number or two."""
    values = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in values)
    if len(values) != 2 or not whole:
        raise ValueError(
            f"{where}: {argument} must be (height, width), positive whole numbers. Received: {argument}={size!r}"
        )
    return int(values[0]), int(values[1])


def center_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest middle part of an image of `size` that has the shape of `target`."""
    (ih, iw), (height, width) = size, target
    h, w = max(min(ih, iw * height // width), 1), max(min(iw, ih * width // height), 1)
    return (ih - h) // 2, (iw - w) // 2, h, w


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Sequence[int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """A picture as a PIL.Image.

    https://keras.io/api/data_loading/image/

    Args:
        path: of the file, or a file object.
        color_mode: "rgb", "rgba" or "grayscale"; grey pictures of 16 or 32 bits stay so.
        target_size: None for the picture's own, or (height, width).
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos", by Pillow, which smooths when it
            makes pictures smaller.
        keep_aspect_ratio: cut off what would be distorted.

    Raises:
        ImportError: Pillow is missing.
        FileNotFoundError: no such file.
        ValueError: an argument does not fit, or not a picture that can be read.
    """
    mode = color_mode_of(color_mode, "load_img")
    if interpolation not in RESAMPLING:
        raise ValueError(
            f"load_img: interpolation must be one of {RESAMPLING}. Received: interpolation={interpolation!r}"
        )
    image = read_image(path, eight_bits=color_mode != "grayscale")
    if image.mode != mode and not (mode == "L" and image.mode[0] == "I"):
        image = image.convert(mode)
    if target_size is None:
        return image
    height, width = size_of(target_size, "load_img", "target_size")
    if image.size == (width, height):
        return image
    resample = getattr(pillow().Resampling, interpolation.upper())
    if not keep_aspect_ratio:
        return image.resize((width, height), resample)
    top, left, h, w = center_box(image.size[::-1], (height, width))
    return image.resize((width, height), resample, box=(left, top, left + w, top + h))


def _channels_last(data_format: Any, where: str) -> None:
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{where}: data_format must be 'channels_last', the one layout of dlcore. "
            f"Received: data_format={data_format!r}"
        )


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """A PIL.Image, or an array (height, width) or (height, width, channels), as an array (height, width, channels).

    https://keras.io/api/data_loading/image/

    Args:
        data_format: None or "channels_last".
        dtype: default float32; the values are those of the picture, 0 to 255.

    Raises:
        ValueError: another rank.
    """
    _channels_last(data_format, "img_to_array")
    x = np.asarray(img, np.float32 if dtype is None else dtype)
    if x.ndim == 2:
        return x[:, :, None]
    if x.ndim != 3:
        raise ValueError(f"img_to_array: expected a picture (height, width, channels). Received: shape {x.shape}")
    return x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array (height, width, 1, 3 or 4 channels) as a PIL.Image of 8 bits a channel; grey above 255 has 32 bits.

    https://keras.io/api/data_loading/image/

    Args:
        data_format: None or "channels_last".
        scale: whether the values are stretched to 0 to 255, default True; else they must lie there.
        dtype: of the computation, default float32.

    Raises:
        ImportError: Pillow is missing.
        ValueError: another shape.
    """
    _channels_last(data_format, "array_to_img")
    values = np.asarray(x, np.float32 if dtype is None else dtype)
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or values.size == 0:
        raise ValueError(f"array_to_img: expected an array (height, width, 1, 3 or 4). Received: shape {values.shape}")
    if scale:
        values = values - values.min()
        largest = values.max()
        values = values / (largest if largest != 0 else 1) * 255
    if values.shape[2] > 1:
        return pillow().fromarray(values.astype(np.uint8))
    return pillow().fromarray(values[:, :, 0].astype(np.int32 if values.max() > 255 else np.uint8))


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as a picture file.

    https://keras.io/api/data_loading/image/

    Args:
        path: of the file, or a file object.
        x: as for `array_to_img`; JPEG knows no alpha, so that is dropped with a warning.
        data_format: None or "channels_last".
        file_format: default the end of the path.
        scale: as for `array_to_img`.
        kwargs: for PIL.Image.save.
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:].lower()
    file_format = "jpeg" if file_format and file_format.lower() == "jpg" else file_format
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format and file_format.lower() == "jpeg":
        warnings.warn("save_img: JPEG has no alpha channel; it is dropped", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)
