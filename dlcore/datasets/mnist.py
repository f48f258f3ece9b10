"""MNIST, 70,000 handwritten digits, by Y. LeCun, C. Cortes and C. J. C. Burges (CC BY-SA 3.0)."""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ._files import DataError, cache_dir, read_npz, write_atomically
from .idx import Split, find_idx, find_idx_files, read_idx

# file -> (its array's name in Keras' npz, shape, SHA-256 of the uncompressed idx file)
_FILES: dict[str, tuple[str, tuple[int, ...], str]] = {
    "train-images-idx3-ubyte": (
        "x_train", (60000, 28, 28), "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (
        "y_train", (60000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (
        "x_test", (10000, 28, 28), "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (
        "y_test", (10000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}  # fmt: skip
_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_PATIENCE = 4.0  # seconds in which a mirror must have answered


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load MNIST, as ``keras.datasets.mnist.load_data`` does.

    The first of these places that has it is taken; contents are checked against SHA-256 wherever they come from:

    1. `path`, if given: a folder with the four idx files (each plain or ``.gz``), or an ``.npz`` file as made by Keras;
    2. ``$DLCORE_DATA_HOME/mnist/``, the four idx files;
    3. the cache, ``$XDG_CACHE_HOME/dlcore/mnist/`` or ``~/.cache/dlcore/mnist/``;
    4. the file Keras keeps, ``$KERAS_HOME/datasets/mnist.npz`` or ``~/.keras/datasets/mnist.npz``;
    5. the network, into the cache (needs pooch, extra ``data``). No answer is noticed within 5 seconds.

    Args:
        path: see above. Default None; Keras' default, the bare name ``"mnist.npz"``, means the same.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 (60000, 28, 28) and (10000, 28, 28) in [0, 255], labels
        uint8 (60000,) and (10000,) in [0, 9].

    Raises:
        DataError: `path` has no MNIST, a place has a damaged or incomplete one, or no place has it.
    """
    if path is not None and os.fspath(path) != "mnist.npz":
        path = Path(path)
        return _load_npz(path) if path.suffix == ".npz" else _load_folder(path)
    tried = []
    if home := os.environ.get("DLCORE_DATA_HOME"):
        folder = Path(home) / "mnist"
        if any(find_idx(folder, name) for name in _FILES):
            return _load_folder(folder)
        tried.append(f"{folder} (DLCORE_DATA_HOME): nothing there")
    cache = cache_dir() / "mnist"
    if all(find_idx(cache, name) for name in _FILES):
        return _load_folder(cache)
    tried.append(f"{cache} (cache): not complete" if os.path.exists(cache) else f"{cache} (cache): nothing there")
    keras = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "mnist.npz"
    if os.path.exists(keras):
        return _load_npz(keras)
    tried.append(f"{keras} (Keras' cache): nothing there")
    _download(cache, tried)
    return _load_folder(cache)


def _load_folder(folder: Path) -> tuple[Split, Split]:
    paths = find_idx_files(folder)
    try:
        x_train, y_train, x_test, y_test = (
            read_idx(path, shape=shape, dtype=np.uint8, sha256=sha256)
            for path, (_, shape, sha256) in zip(paths, _FILES.values(), strict=True)
        )
    except DataError as error:
        raise DataError(
            f"{error}. This is not MNIST as published: replace or delete the file; another data set in the same layout "
            "is loaded by dlcore.datasets.load_idx_directory"
        ) from error
    return (x_train, y_train), (x_test, y_test)


def _load_npz(path: Path) -> tuple[Split, Split]:
    arrays = read_npz(path, {name: shape for name, shape, _ in _FILES.values()})
    for name, shape, sha256 in _FILES.values():
        # The published hash is that of the idx file: a header of magic number and sizes, then these very bytes.
        header = np.array([0x0800 + len(shape), *shape], ">u4").tobytes()
        digest = hashlib.sha256(header + arrays[name].tobytes()).hexdigest()
        if digest != sha256:
            raise DataError(f"{path}: expected '{name}' with SHA-256 (as idx file) {sha256}, found {digest}")
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def _download(cache: Path, tried: list[str]) -> None:
    """Fetch the files the cache lacks from the mirrors. Raises DataError, telling all that was tried."""
    try:
        import pooch
    except ImportError:
        tried.append("download: needs pooch, pip install 'dlcore-engine[data]'")
    else:
        get = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=(_PATIENCE, 15))
        for mirror in _answering(get, tried):
            try:
                for name, (_, shape, sha256) in _FILES.items():
                    if find_idx(cache, name) is None:
                        _fetch(get, f"{mirror}{name}.gz", cache / f"{name}.gz", shape, sha256)
                return
            except (OSError, ValueError) as error:  # requests' errors are OSErrors, DataError is a ValueError
                tried.append(f"{mirror}: {error}")
    raise DataError(
        "MNIST was not found and could not be downloaded. Tried:\n  " + "\n  ".join(tried) + "\n"
        f"Put its four idx files ({', '.join(_FILES)}, plain or .gz) into a folder 'mnist' and set DLCORE_DATA_HOME to "
        "the folder above it, or use dlcore.datasets.digits28, which needs no network."
    )


def _fetch(get: Callable[..., object], url: str, path: Path, shape: tuple[int, ...], sha256: str) -> None:
    """Download one file; it gets its name only after its content was checked."""

    def write(temporary: Path) -> None:
        get(url, str(temporary), None)
        read_idx(temporary, shape=shape, dtype=np.uint8, sha256=sha256)

    write_atomically(path, write)


def _answering(get: Callable[..., object], tried: list[str]) -> Iterator[str]:
    """The mirrors that answer, quickest first; those that fail, or are silent for _PATIENCE seconds, go on `tried`.

    They are asked at the same time in daemon threads: no time-out of an HTTP library covers name look-up, or the
    several addresses of a host together.
    """
    answers: queue.Queue[tuple[str, str]] = queue.Queue()

    def ask(mirror: str) -> None:
        try:
            there = get(f"{mirror}{next(iter(_FILES))}.gz", None, None, check_only=True)
            answers.put((mirror, "" if there else "does not have the files"))
        except Exception as error:  # whatever it is, the waiting side reports it
            answers.put((mirror, str(error)))

    deadline = time.monotonic() + _PATIENCE
    silent = list(_MIRRORS)
    for mirror in _MIRRORS:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    while silent:
        try:
            mirror, failure = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            break
        silent.remove(mirror)
        if failure:
            tried.append(f"{mirror}: {failure}")
        else:
            yield mirror
    tried.extend(f"{mirror}: no answer in {_PATIENCE:g} seconds" for mirror in silent)
