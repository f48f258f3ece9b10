"""The pen strokes of the built-in digits: data for `digits28`, and its translation into matrices.

A style is one way to write a digit: strokes parted by ``|``. A stroke is a list of points ``x,y`` in percent of the
digit's box, x to the right and y down, which the pen passes in order on a Catmull-Rom spline. Points with equal
coordinates are one control point, so strokes that share a point stay joined however far it is moved. That is how a
corner is written (end a stroke and begin the next at the same point) and how a loop is closed.

Spline: E. Catmull and R. Rom, "A class of local interpolating splines", 1974.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

POINTS = 64  # samples along a digit: about one for each pixel of the longest
_FINE = 8  # samples on each spline piece when its length is measured

# digit -> styles as (how often, strokes)
_STYLES: dict[int, tuple[tuple[float, str], ...]] = {
    0: (
        (3, "55,0 22,18 10,55 24,90 52,100 80,82 90,45 78,12 55,0"),
        (2, "62,5 30,8 8,45 15,86 46,100 80,80 92,42 76,8 48,0 36,12"),
        (1, "40,2 12,28 10,70 38,100 72,92 92,58 84,20 55,2 30,14"),
        (1, "70,10 45,2 14,30 12,72 40,100 76,84 92,46 82,14 66,0 58,16"),
    ),
    1: (
        (6, "50,0 50,50 50,100"),
        (2, "55,0 47,48 50,100"),
        (1, "28,24 52,0 | 52,0 50,50 50,100"),
        (0.6, "26,20 52,0 | 52,0 50,50 50,100 | 18,100 82,99"),
    ),
    2: (
        (3, "12,24 38,0 74,8 78,34 50,66 10,98 | 10,98 50,95 92,97"),
        (3, "16,20 46,0 76,14 70,46 44,78 16,96 4,84 24,72 56,88 96,96"),
        (2, "20,14 50,0 78,18 66,50 40,82 14,98 2,82 22,66 48,80 66,96 98,86"),
        (2, "8,18 45,0 80,18 66,50 36,80 12,95 20,82 50,88 92,100"),
        (2, "14,12 50,2 84,22 60,56 8,92 | 8,92 50,86 95,92"),
        (1, "20,32 22,10 55,0 80,22 62,60 20,100 | 20,100 55,92 90,98"),
        (1, "4,12 40,6 76,4 | 76,4 46,48 6,96 | 6,96 50,94 94,90"),
    ),
    3: (
        (3, "14,12 46,0 78,16 68,40 36,48 | 36,48 74,54 86,76 58,98 10,90"),
        (2, "12,10 50,0 80,20 58,44 40,46 70,54 84,78 54,100 8,92"),
        (2, "22,16 56,0 86,14 70,38 34,50 | 34,50 66,56 72,78 44,100 6,94"),
        (1, "10,4 46,3 82,2 | 82,2 42,40 | 42,40 80,54 84,82 48,100 8,90"),
        (1, "18,18 42,0 76,14 64,40 42,48 34,42 50,44 82,62 76,92 40,100 12,84"),
        (1, "10,20 30,2 66,4 76,26 46,46 | 46,46 84,58 82,88 44,100 12,90 6,74"),
    ),
    4: (
        (3, "22,4 12,52 | 12,52 50,52 88,46 | 78,0 70,50 64,100"),
        (2, "20,5 14,40 32,56 62,48 82,2 | 82,2 72,50 66,100"),
        (1.5, "66,0 36,34 6,64 | 6,64 50,63 94,60 | 66,0 64,50 62,100"),
        (1, "30,2 10,50 40,58 80,46 | 72,20 62,60 56,100"),
        (1, "26,6 10,46 36,54 76,32 82,6 | 82,6 70,60 68,100"),
    ),
    5: (
        (3, "30,4 24,42 | 24,42 58,36 84,60 70,92 36,100 8,88 | 30,4 60,4 92,0"),
        (2, "86,3 58,5 32,4 | 32,4 20,44 | 20,44 60,46 76,70 54,96 8,94"),
        (2, "86,2 40,8 26,38 60,50 80,72 52,98 10,90"),
        (1, "26,8 22,46 | 22,46 56,40 82,66 62,96 30,98 14,80 | 26,8 55,10 88,4"),
    ),
    6: (
        (3, "68,0 34,28 14,66 28,96 60,98 76,74 54,56 22,72"),
        (2, "52,0 24,40 14,76 38,100 74,86 66,60 38,60 18,80"),
        (1, "84,6 46,12 16,52 20,90 52,100 82,78 66,54 34,58 20,78"),
        (1, "44,0 22,45 20,84 46,100 76,86 70,64 44,66 24,88"),
    ),
    7: (
        (3, "8,10 46,8 88,4 | 88,4 60,46 42,100"),
        (2, "10,28 12,10 | 12,10 50,8 86,4 | 86,4 66,46 58,100"),
        (1.5, "8,14 46,6 86,6 | 86,6 60,50 44,100 | 34,52 82,46"),
        (1.5, "6,22 24,4 56,12 88,4 | 88,4 58,48 38,100"),
        (1, "10,16 44,0 78,8 72,46 54,100"),
        (1.5, "6,36 12,8 | 12,8 50,7 90,4 | 90,4 74,50 62,100"),
    ),
    8: (
        (3, "78,16 48,0 22,18 48,46 80,74 52,100 18,80 48,50 80,24 78,16"),
        (2, "50,0 22,20 50,46 78,22 50,0 | 50,46 16,72 48,100 84,72 50,46"),
        (2, "82,8 44,2 24,24 62,56 70,88 40,100 20,80 50,48 86,16"),
        (1, "60,46 26,34 28,8 60,0 78,18 50,52 22,78 40,100 72,92 74,66 42,44"),
        (1, "88,20 62,0 24,8 22,30 60,54 68,84 42,100 26,84 46,54 88,20"),
        (1, "30,14 62,0 82,16 50,48 14,72 26,98 62,94 66,66 34,36 22,16 46,4"),
    ),
    9: (
        (3, "80,18 50,2 16,28 36,52 72,38 80,18 | 80,18 76,58 66,100"),
        (2, "80,20 48,4 18,32 42,52 78,30 80,20 | 80,20 80,70 54,98 20,90"),
        (2, "72,12 36,6 18,36 46,52 74,30 72,12 | 72,12 60,58 46,100"),
        (1, "76,22 54,0 22,10 20,40 52,50 78,26 72,4 | 78,26 70,64 64,100"),
        (1, "84,10 42,4 16,30 40,46 82,18 | 82,18 66,60 56,100"),
        (1, "86,6 52,0 14,14 8,36 40,42 84,14 | 84,14 80,60 76,100"),
        (1, "74,16 50,0 30,14 34,36 58,36 74,16 | 74,16 58,58 36,100"),
    ),
}


class Styles(NamedTuple):
    """All styles of all digits, stacked; those with fewer control points are padded with zeros.

    A sampled point and its velocity (the way to the next sample) are linear in the control points, so moving control
    points moves whole strokes by two matrix products: ``points[s] @ controls[s]`` and ``velocity[s] @ controls[s]``.
    """

    upto: NDArray[np.float64]  # (styles,) digit + the share of its samples that has this style or an earlier one
    controls: F32  # (styles, p, 2), x and y in [0, 1]
    points: F32  # (styles, POINTS, p)
    velocity: F32  # (styles, POINTS, p)


@cache
def styles() -> Styles:
    """The table of `_STYLES`, worked out once."""
    upto: list[float] = []
    sampled = []
    for digit, ways in _STYLES.items():
        share = np.cumsum([often for often, _ in ways])
        upto += list(digit + share / share[-1])
        sampled += [_sample(strokes) for _, strokes in ways]
    most = max(len(controls) for controls, _, _ in sampled)
    controls = np.zeros((len(sampled), most, 2), np.float32)
    points, velocity = np.zeros((2, len(sampled), POINTS, most), np.float32)
    for k, (c, p, v) in enumerate(sampled):
        controls[k, : len(c)], points[k, :, : len(c)], velocity[k, :, : len(c)] = c, p, v
    return Styles(np.array(upto), controls, points, velocity)


def _sample(strokes: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """One style's control points (p, 2) and the matrices (POINTS, p) of its points and velocity."""
    paths = [[tuple(int(v) / 100 for v in at.split(",")) for at in stroke.split()] for stroke in strokes.split("|")]
    names = list(dict.fromkeys(point for path in paths for point in path))
    controls = np.array(names)
    unit = np.eye(len(names))
    pieces = []  # the coefficients of 1, t, t^2, t^3 of each spline piece, as rows over the control points
    for path in paths:
        at = [names.index(point) for point in path]
        for before, start, end, after in zip([at[0], *at], at, at[1:], [*at[2:], at[-1]], strict=False):
            p0, p1, p2, p3 = unit[[before, start, end, after]]
            pieces.append([p1, (p2 - p0) / 2, p0 - 2.5 * p1 + 2 * p2 - p3 / 2, (p3 - p0) / 2 + 1.5 * (p1 - p2)])
    cubics = np.array(pieces)

    # POINTS samples at equal distances along the unmoved style, each in the middle of its share.
    t = (np.arange(_FINE) + 0.5) / _FINE
    speed = np.linalg.norm(np.einsum("tk,mkp,pd->mtd", _powers_slope(t), cubics, controls), axis=-1).ravel() / _FINE
    length = np.concatenate([[0], np.cumsum(speed)])
    share = length[-1] / POINTS
    where = np.interp((np.arange(POINTS) + 0.5) * share, length, np.arange(len(length)) / _FINE)
    piece = where.astype(int)
    points = np.einsum("kc,kcp->kp", _powers(where - piece), cubics[piece])
    slope = np.einsum("kc,kcp->kp", _powers_slope(where - piece), cubics[piece])
    return controls, points, slope * (share / np.linalg.norm(slope @ controls, axis=1))[:, None]


def _powers(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(t), t, t**2, t**3], axis=-1)


def _powers_slope(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.zeros_like(t), np.ones_like(t), 2 * t, 3 * t**2], axis=-1)
