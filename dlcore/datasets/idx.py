"""Reader of the idx format, in which MNIST and its relatives are published.

    two zero bytes, type code, rank, `rank` big-endian uint32 sizes, then the elements, big-endian, last axis fastest

Format: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ._files import DataError, read_at_most

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images, labels

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_RANK = 8  # the format allows 255, but nothing sensible has more
_GZIP_RATIO = 1032  # deflate cannot do better than 258 bytes in 2 bits


def read_idx(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int | None, ...] | None = None,
    dtype: Any = None,
    sha256: str | None = None,
    max_bytes: int = 1 << 32,
) -> NDArray[Any]:
    """Read one idx file, gzip-compressed or not (told by its first bytes, not by its name).

    Args:
        path: the file.
        shape: expected sizes, None for any: ``(None, 28, 28)``. Default: whatever the file says.
        dtype: expected type, for instance ``"uint8"``. Default: whatever the file says.
        sha256: expected SHA-256 (hex) of the uncompressed file, header included. Default: not checked.
        max_bytes: refuse a file whose elements take more than this. Default 4 GiB.

    Returns:
        A writable array in native byte order: uint8, int8, int16, int32, float32 or float64.

    Raises:
        DataError: the file is missing, unreadable, damaged, longer or shorter than its header says, or not what the
            arguments ask for. Nothing is inflated past one byte more than the header promises.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise DataError(f"{path}: expected an idx file, found {'a folder' if os.path.isdir(path) else 'nothing'}")
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            room = os.fstat(file.fileno()).st_size * (_GZIP_RATIO if zipped else 1)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if zipped else file
            return _parse(path, stream, min(room, max_bytes), shape, dtype, sha256)
    except (OSError, EOFError, zlib.error) as error:  # not readable; CRC or length wrong; cut short; not deflate
        raise DataError(f"{path}: expected an idx file, gzip-compressed or not: {error}") from error


def _parse(
    path: Path, stream: BinaryIO, room: int, shape: tuple[int | None, ...] | None, dtype: Any, sha256: str | None
) -> NDArray[Any]:
    start = stream.read(4)
    if len(start) < 4:
        raise DataError(f"{path}: expected an idx header of at least 4 bytes, found {len(start)}")
    if start[:2] != b"\0\0" or start[2] not in _DTYPES or not 1 <= start[3] <= _MAX_RANK:
        raise DataError(
            f"{path}: expected an idx header: two zero bytes, a type code of "
            f"{', '.join(f'0x{code:02x}' for code in _DTYPES)} and a rank of 1 to {_MAX_RANK}; found {start.hex(' ')}"
        )
    found, rank = np.dtype(_DTYPES[start[2]]), start[3]
    dims = stream.read(4 * rank)
    if len(dims) < 4 * rank:
        raise DataError(f"{path}: expected {4 * rank} bytes of sizes for rank {rank}, found {len(dims)}")
    sizes = tuple(int(n) for n in np.frombuffer(dims, ">u4"))

    if dtype is not None and found.newbyteorder("=") != np.dtype(dtype):
        raise DataError(f"{path}: expected elements of {np.dtype(dtype)}, found {found.newbyteorder('=')}")
    if shape is not None and (len(shape) != rank or any(s not in (None, n) for s, n in zip(shape, sizes, strict=True))):
        wanted = " x ".join("any" if s is None else str(s) for s in shape)
        raise DataError(f"{path}: expected sizes {wanted}, found {' x '.join(map(str, sizes))}")
    count = math.prod(sizes) * found.itemsize  # Python integers: cannot overflow
    if count > room:
        raise DataError(f"{path}: the header promises {count} bytes, the file has room for at most {room}")

    data = read_at_most(stream, count + 1)  # the byte too many shows trailing data, or makes gzip check its CRC
    if len(data) != count:
        came = "more" if len(data) > count else str(len(data))
        raise DataError(f"{path}: expected {count} bytes for sizes {' x '.join(map(str, sizes))}, found {came}")
    if sha256 is not None:
        digest = hashlib.sha256(start + dims)
        digest.update(data)
        if digest.hexdigest() != sha256:
            raise DataError(f"{path}: expected content with SHA-256 {sha256}, found {digest.hexdigest()}")
    return np.frombuffer(data, found).reshape(sizes).astype(found.newbyteorder("="), copy=False)


def find_idx(directory: Path, name: str) -> Path | None:
    """The file of that name in a folder, plain or ``.gz``, spelt ``-idx3`` or ``.idx3``; None if it is not there."""
    for stem in (name, name.replace("-idx", ".idx")):
        for candidate in (directory / stem, directory / f"{stem}.gz"):
            if os.path.exists(candidate):  # unlike Path.exists, no error in a closed folder
                return candidate
    return None


def find_idx_files(directory: str | os.PathLike[str]) -> list[Path]:
    """The four files of MNIST's layout in a folder, in the order of IDX_FILES. Raises DataError if one is not there."""
    folder = Path(directory)
    if not os.path.isdir(folder):
        came = "a file" if os.path.exists(folder) else "nothing"
        raise DataError(f"{folder}: expected a folder with idx files, found {came}")
    found = [find_idx(folder, name) for name in IDX_FILES]
    if None in found:
        missing = [name for name, path in zip(IDX_FILES, found, strict=True) if path is None]
        expected = f"{', '.join(IDX_FILES)} (each may end in .gz)"
        raise DataError(f"{folder}: expected {expected}; missing: {', '.join(missing)}")
    return cast("list[Path]", found)


def load_idx_directory(directory: str | os.PathLike[str]) -> tuple[Split, Split]:
    """Load a data set in MNIST's layout (Fashion-MNIST, KMNIST, your own) from a folder with its four idx files.

    Args:
        directory: folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
            t10k-labels-idx1-ubyte, each plain or with ``.gz``.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 (n, height, width), labels uint8 (n,), any value.

    Raises:
        DataError: a file is missing or damaged, is no uint8 images or labels, or holds nothing; images and labels
            differ in number, or training and test images in size.
    """
    paths = find_idx_files(directory)
    splits = []
    for images, labels in (paths[:2], paths[2:]):
        x = read_idx(images, shape=(None, None, None), dtype=np.uint8)
        y = read_idx(labels, shape=(None,), dtype=np.uint8)
        if x.size == 0:
            raise DataError(f"{images}: expected images, found sizes {' x '.join(map(str, x.shape))}")
        if len(x) != len(y):
            raise DataError(f"{labels}: expected {len(x)} labels, one for each image of {images.name}, found {len(y)}")
        splits.append((x, y))
    train, test = splits
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{paths[2]}: expected images of {train[0].shape[1:]}, as in {paths[0].name}, found {test[0].shape[1:]}"
        )
    return train, test
