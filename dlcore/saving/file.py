"""A safetensors file with a description in its metadata: reading and writing it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from dlcore.saving.atomic import write_atomically
from dlcore.saving.tree import Tree

T = TypeVar("T")

SUFFIX = ".safetensors"
KEY = "dlcore"  # of the one metadata entry: several would be written in random order
VERSION = 2
FORMAT = f"safetensors, dlcore version {VERSION}"
MAX_HEADER = 8 << 20  # bytes; that of 1000 layers has about one million


class ModelFileError(ValueError):
    """A file is not a dlcore model, is damaged, or was written by a newer version. The message names the file."""


def check_filepath(filepath: str | os.PathLike[str], suffix: str = SUFFIX) -> str:
    """`filepath` as text.

    Raises:
        ValueError: it does not end in .safetensors.
        TypeError: not a path.
    """
    path = os.fsdecode(filepath)
    if not path.endswith(suffix):
        what = "weights" if suffix.startswith(".weights") else "models"
        raise ValueError(
            f"filepath: dlcore writes {what} as safetensors, so the name must end in {suffix!r}. "
            f"Received: filepath={path!r}"
        )
    return path


def write_file(path: str, tensors: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """All of it or nothing: the old file stays until the new one is complete on the disk.

    Raises:
        ValueError: something in the description has no form in JSON.
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save

    text = json.dumps({"version": VERSION, **description}, default=plain)
    write_atomically(path, save(dict(tensors), {KEY: text}))


class Contents:
    """An open file.

    Attributes:
        description: the JSON object of the metadata; empty where a file of weights has none.
        left: names of the tensors that nobody has read.
    """

    def __init__(self, file: Any, foreign: bool):
        self.file = file
        metadata = file.metadata() or {}
        self.description: dict[str, Any] = {} if foreign and KEY not in metadata else _description(metadata)
        self.names = set(file.keys())
        self.left = set(self.names)

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A float32 tensor, once.

        Raises:
            ValueError: it is not there, or another.
        """
        if name not in self.left:
            raise ValueError(f"no weight {name!r} is left in the file")
        part = self.file.get_slice(name)
        if part.get_dtype() != "F32" or tuple(part.get_shape()) != shape:
            raise ValueError(
                f"{name}: expected F32 of shape {shape}. Found: {part.get_dtype()} of shape {tuple(part.get_shape())}"
            )
        self.left.remove(name)
        value: np.ndarray = self.file.get_tensor(name)
        return value

    def fits(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether `read` would give it."""
        if name not in self.left:
            return False
        part = self.file.get_slice(name)
        return part.get_dtype() == "F32" and tuple(part.get_shape()) == shape


def read_file(
    filepath: str | os.PathLike[str], read: Callable[[Contents], T], what: str = "model", foreign: bool = False
) -> T:
    """What `read` makes of the file.

    Args:
        what: the file should be, for messages.
        foreign: whether a file that another program wrote will do.

    Raises:
        ModelFileError: the file is damaged, or not what it should be.
        FileNotFoundError, OSError: it is not there, or cannot be read.
    """
    from safetensors import safe_open

    path = os.fsdecode(filepath)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ModelFileError(f"{path}: expected a file, found a folder or a device")
    with open(path, "rb") as raw:  # says in the usual way why a file cannot be opened
        header = int.from_bytes(raw.read(8), "little")
    if header > MAX_HEADER:
        raise ModelFileError(f"{path}: not a dlcore {what}: its header would have {header} bytes")
    try:
        with safe_open(path, framework="np") as file:
            return read(Contents(file, foreign))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a layer makes of arguments that no user gave
        says = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{path}: not a dlcore {what}, or damaged: {says}") from error


def _description(metadata: dict[str, str]) -> dict[str, Any]:
    if KEY not in metadata:
        raise ValueError(f"a safetensors file without the entry {KEY!r} in its metadata, so another program's")
    description = json.loads(metadata[KEY], object_pairs_hook=_object)
    if not isinstance(description, dict) or type(description.get("version")) is not int:
        raise ValueError(f"expected a JSON object with a version in the metadata. Found: {metadata[KEY]:.100}")
    if not 1 <= description["version"] <= VERSION:
        raise ValueError(f"its format has version {description['version']}; this dlcore reads versions 1 to {VERSION}")
    return description


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. A key given twice would mean one thing to this reader and another to the next."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a JSON object gives a key twice: {[key for key, _ in pairs]!r:.200}")
    return found


def plain(value: Any) -> Any:
    """NumPy's numbers, as Python's."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise ValueError(f"{value!r} cannot be written to a file: it is no number and no text")


def streams_of(tree: Tree) -> dict[str, int]:
    """Names of the random numbers of layers, by path."""
    return {path: layer._stream for path, layer in tree.streams.items()}


def check_streams(streams: Any, tree: Tree) -> dict[str, int]:
    """Streams from a file, each of a layer of the model.

    Raises:
        ValueError: others.
    """
    if not isinstance(streams, dict) or set(streams) != set(tree.streams):
        raise ValueError(f"expected random numbers for {sorted(tree.streams)[:5]}. Found: {streams!r:.200}")
    if not all(type(stream) is int and 0 <= stream < 2**64 for stream in streams.values()):
        raise ValueError(f"expected numbers below 2**64 as names of random numbers. Found: {streams!r:.200}")
    return streams
