"""Handwritten-looking digits, drawn by this module: a labelled set that needs no network.

How an image is made: take a style of the digit (`_strokes`), move its control points, bend and slant the plane, fit the
strokes into a box of 20x20 pixels and put the middle of the ink into the middle of the image, as MNIST was made. Then
ink the strokes. With points q_k every ds along a stroke and s about a pixel,

    f(p) = sum_k  ds / (sqrt(2 pi) s) * exp(-|p - q_k|^2 / (2 s^2))         d(p) = s * sqrt(-2 log f(p))

d is the distance from pixel p to a straight stroke, and slightly less where strokes meet, just where ink runs together.
The exponential is a factor in x times a factor in y, so f of a whole image is one (28, K) by (K, 28) matrix product.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._files import DataError, cache_dir, read_npz, write_atomically
from ._strokes import F32, POINTS, styles
from .idx import Split

_VERSION = 1  # part of the cache file's name: raise it whenever other images come out
_CHUNK = 1000  # images drawn together; each chunk has its own random stream and the same number of each digit

# Standard deviations, unless they say otherwise. The digit's box has height 1 here; it becomes up to 20 pixels.
_WOBBLE = 0.09  # of each control point, each way
_BEND = 0.07  # of two random waves that bend the plane
_NARROW, _ASPECT = 0.85, 0.17  # mean width of the box; logarithm of its factor
_LEAN, _SLANT, _TURN = 0.15, 0.26, 0.10  # mean slant to the right; slant; rotation in radians
_THIN, _THICK = 0.6, 2.5  # range of the stroke's radius, pixels
_PRESSURE = 0.5  # logarithm of the ink along the stroke
_SHIFT = 1.0  # largest shift from the middle, pixels
_SOFT = 1.2  # pixels over which the edge of a stroke fades
_SIGMA = 0.85  # s above, pixels


def load_data(
    n_train: int = 60000, n_test: int = 10000, seed: int = 0, cache: bool = True, verbose: bool = True
) -> tuple[Split, Split]:
    """Labelled images of handwritten-looking digits, in MNIST's layout, with no download.

    They are more varied, and so harder, than MNIST: a small convolutional network that reads nine in ten of them reads
    more than nine in ten of MNIST's, which it never saw.

    The first images of a set do not depend on how many are asked for, and the test set never repeats the training set.
    The same arguments give the same set again; on another kind of processor a pixel may differ by one grey level, since
    NumPy's exp and matrix product are not rounded alike everywhere.

    Args:
        n_train, n_test: number of images. Default 60000 and 10000, as MNIST.
        seed: integer >= 0; another seed, another set. Default 0.
        cache: keep the set in `dlcore.datasets.cache_dir` and read it from there next time. A damaged file is replaced;
            a folder that cannot be written is no error. Default True.
        verbose: show a progress bar while drawing, if on a terminal. Default True.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 (n, 28, 28), white (255) on black (0); labels uint8
        (n,) in [0, 9], shuffled, each digit 100 times in every thousand.

    Raises:
        ValueError: a negative number or seed.
        TypeError: one that is no integer.
    """
    for name, value in (("n_train", n_train), ("n_test", n_test), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"digits28.load_data: expected {name} to be an integer, got {value!r}")
        if value < 0:
            raise ValueError(f"digits28.load_data: expected {name} >= 0, got {value}")
    path = cache_dir() / "digits28" / f"v{_VERSION}-seed{seed}-{n_train}-{n_test}.npz"
    if cache and os.path.exists(path) and (kept := _read(path, n_train, n_test)):
        return kept
    from tqdm import tqdm

    with tqdm(total=n_train + n_test, desc="drawing digits28", unit="img", disable=None if verbose else True) as bar:
        train, test = (_draw_set(n, [seed, split], bar.update) for split, n in enumerate((n_train, n_test)))
    if cache:
        _keep(path, train, test)
    return train, test


def _read(path: Path, n_train: int, n_test: int) -> tuple[Split, Split] | None:
    shapes = {"x_train": (n_train, 28, 28), "y_train": (n_train,), "x_test": (n_test, 28, 28), "y_test": (n_test,)}
    try:
        kept = read_npz(path, shapes)
    except DataError:
        return None  # damaged: draw it again
    return (kept["x_train"], kept["y_train"]), (kept["x_test"], kept["y_test"])


def _keep(path: Path, train: Split, test: Split) -> None:
    arrays = {"x_train": train[0], "y_train": train[1], "x_test": test[0], "y_test": test[1]}
    with contextlib.suppress(OSError):  # the cache only saves time
        write_atomically(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]


def _draw_set(n: int, key: list[int], progress: Callable[[int], object]) -> Split:
    """The first n images and labels of the endless set named by `key`."""
    images, labels = np.empty((n, 28, 28), np.uint8), np.empty(n, np.uint8)
    for start in range(0, n, _CHUNK):
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([*key, start // _CHUNK])))
        y = (np.argsort(rng.random(_CHUNK)) % 10).astype(np.uint8)
        count = min(_CHUNK, n - start)
        images[start : start + count] = _ink(*_write(y, rng))[:count]
        labels[start : start + count] = y[:count]
        progress(count)
    return images, labels


def _write(labels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[F32, F32, F32]:
    """Write labels by hand: the pen's points (n, POINTS, 2), the ink at each (n, POINTS), its radius (n,); pixels."""
    n = len(labels)

    def uniform(*shape: int) -> F32:  # in [0, 1)
        return rng.random((n, *shape), dtype=np.float32)

    def bell(*shape: int) -> F32:  # nearly normal, standard deviation 1, never beyond 3
        total: F32 = rng.random((3, n, *shape), dtype=np.float32).sum(0)
        return 2 * total - 3

    table = styles()
    style = np.searchsorted(table.upto, labels + rng.random(n), side="right")
    pen = table.controls[style] - np.float32(0.5)
    pen += _WOBBLE * bell(*pen.shape[1:])
    for _ in range(2):
        wave = np.sin(pen @ (3 * bell(2, 1)) + 2 * np.pi * uniform(1, 1), dtype=np.float32)
        pen += wave * (_BEND * bell(1, 2))
    pen = pen @ _affine(bell(), bell(), bell())
    points, velocity = table.points[style] @ pen, table.velocity[style] @ pen

    radius = _THIN + (_THICK - _THIN) * uniform() * (0.4 + 0.6 * uniform())  # thin is more frequent than thick
    extent = (points.max(1) - points.min(1)).max(1)
    scale = (20 - _SOFT / 2 - 2 * radius) / extent
    points *= scale[:, None, None]
    ink = np.sqrt((velocity**2).sum(2)) * scale[:, None]  # the length of stroke around each point
    middle = (points * ink[:, :, None]).sum(1, keepdims=True) / ink.sum(1)[:, None, None]
    points += 14 - middle + _SHIFT * (2 * uniform(1, 2) - 1)
    along = np.linspace(0, 2 * np.pi, POINTS, dtype=np.float32)
    ink *= np.exp(_PRESSURE * bell(1) * np.sin((0.3 + uniform(1)) * along + 2 * np.pi * uniform(1)))
    return points.astype(np.float32, copy=False), ink, radius.astype(np.float32, copy=False)


def _affine(aspect: F32, slant: F32, turn: F32) -> F32:
    """(n, 2, 2) matrices for row vectors: scale x, slant (y points down), then rotate."""
    wide = _NARROW * np.exp(_ASPECT * aspect)
    lean = -(_LEAN + _SLANT * slant)
    cos, sin = np.cos(_TURN * turn), np.sin(_TURN * turn)
    return np.stack([wide * cos, wide * sin, lean * cos - sin, lean * sin + cos], axis=-1).reshape(-1, 2, 2)


def _ink(points: F32, ink: F32, radius: F32) -> NDArray[np.uint8]:
    """Draw strokes, given as `_write` returns them: (n, 28, 28)."""
    pixel = np.arange(28, dtype=np.float32)[:, None]
    across = points.transpose(0, 2, 1)[:, :, None] - pixel  # (n, 2, 28, POINTS)
    across *= across
    across *= -1 / (2 * _SIGMA**2)
    np.maximum(across, -30, out=across)  # far from ink; beyond, denormal numbers make the product 10 times slower
    np.exp(across, out=across)
    across[:, 1] *= (ink / (math.sqrt(2 * math.pi) * _SIGMA))[:, None]
    f = across[:, 1] @ across[:, 0].transpose(0, 2, 1)
    distance = _SIGMA * np.sqrt(-2 * np.log(np.minimum(f, 1)))
    level = (radius[:, None, None] - distance) * (255 / _SOFT) + 127.5
    grey: NDArray[np.uint8] = np.rint(level.clip(0, 255)).astype(np.uint8)
    return grey
