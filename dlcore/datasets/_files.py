"""What the data sets share on disk: the error type, the cache folder, atomic writes and a strict npz reader."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """A data set cannot be had: a file is missing, unreadable or not what it should be, or nothing could be downloaded.

    The message names the file or the places tried, what was expected and what came.
    """


def cache_dir() -> Path:
    """Folder where data sets are kept: ``$XDG_CACHE_HOME/dlcore``, else ``~/.cache/dlcore``. It need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlcore"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, then rename it, so that no reader ever sees half a file.

    Raises OSError where the folder cannot be made or written, and what `write` raises; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.name)
    os.close(handle)
    try:
        write(Path(name))
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_at_most(stream: IO[bytes], size: int, chunk: int = 1 << 20) -> bytearray:
    """Up to `size` bytes of a stream; memory grows with what is there, not with what was promised."""
    data = bytearray()
    while len(data) < size and (piece := stream.read(min(chunk, size - len(data)))):
        data += piece
    return data


def read_npz(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.uint8]]:
    """The uint8 arrays of an npz file, each of exactly the shape named in `shapes`; other members are not touched.

    Every byte is checked against the zip's CRC-32, and no member is inflated past its expected size.
    Raises DataError if the file is missing, damaged or holds something else.
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: expected an .npz file, found {'a folder' if os.path.isdir(path) else 'nothing'}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_member(archive, name, shape) for name, shape in shapes.items()}
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError, SyntaxError, MemoryError,
            zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        # Each of these can come out of zipfile or numpy's header parser when bytes are damaged.
        raise DataError(f"{path}: expected an .npz file with uint8 arrays {dict(shapes)}: {error}") from error


def _read_member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found, fortran, dtype = header(stream)
        if found != shape or dtype != np.uint8 or fortran:
            raise ValueError(f"'{name}' is {dtype} {found}{' in Fortran order' if fortran else ''}")
        size = int(np.prod(shape, dtype=np.int64))
        data = read_at_most(stream, size + 1)  # the byte too many also makes zipfile reach the end and check the CRC
    if len(data) != size:
        came = "more" if len(data) > size else str(len(data))
        raise ValueError(f"'{name}' should have {size} bytes by its header, found {came}")
    return np.frombuffer(data, np.uint8).reshape(shape)
