"""How to convolve: one function of the shape for each direction.

Environment:
    DLCORE_CONV=auto|direct|winograd|winograd4   the algorithm of all convolutions that it fits; see `algorithm`
"""

from __future__ import annotations

import os
from math import prod
from typing import Any

from dlcore import config
from dlcore.kernels import conv_narrow as narrow_kernels
from dlcore.kernels import simd

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "input gradient", "weight gradient"
TILES = {"winograd": 2, "winograd4": 4}  # outputs of a Winograd tile, one side
SLAB_SAMPLES = 6  # in a slab of most networks

_forced = os.environ.get("DLCORE_CONV", "") or "auto"
if _forced not in ("auto", "direct", *TILES):
    raise ImportError(f"DLCORE_CONV must be auto, direct, winograd or winograd4. Received: {_forced!r}")


def algorithm(
    direction: str,
    x_shape: tuple[Any, ...],
    w_shape: tuple[int, ...],
    y_shape: tuple[Any, ...],
    geometry: dict[str, Any],
) -> str:
    """How to convolve in one direction, for a convolution of x with w that gives y.

    "winograd" needs 2.25 times fewer multiplications, "winograd4" four times (but not for the weight gradient). Each
    channel of each tile is transformed for it, a vector of channels at a time: a vector of them on either side pays for
    that, with AVX2 and AVX-512.
    "winograd4" also has some ten times the rounding errors: `config.set_precision("fast")` has to allow it.
    "overlap", an input gradient, has sums for the pixels under each window and adds them up where windows overlap: with
    few input channels these fill vectors better than sums for each pixel do.
    "batch", a weight gradient, sums over the whole batch at once. Partial sums for each slab would be larger than what
    they are made from, x and dy of the slab.
    "direct" is none of them: sums over the taps for each pixel, or over the pixels of a slab for each weight.

    Args:
        direction: FORWARD, INPUT_GRADIENT or WEIGHT_GRADIENT.
        w_shape: (kh, kw, ic / groups, oc).
    """
    kh, kw, ic, oc = w_shape
    (sh, sw), groups = geometry["strides"], geometry["groups"]
    if (kh, kw) == (3, 3) and geometry["strides"] == geometry["dilation"] == (1, 1) and groups == 1:
        if _forced in TILES:
            return "winograd" if direction == WEIGHT_GRADIENT else _forced
        size = x_shape[1:3] if direction == INPUT_GRADIENT else y_shape[1:3]
        missed = direction == INPUT_GRADIENT and min(size) < 2  # by most taps, which "direct" never visits
        if _forced == "auto" and min(ic, oc) >= max(8, simd.nr() // 2) and not missed:
            fast = config.get_precision() == "fast" and direction != WEIGHT_GRADIENT and min(size) > 4
            return "winograd4" if fast and _products(4, size) < 0.75 * _products(2, size) else "winograd"
    if direction == INPUT_GRADIENT and groups == 1:  # count multiply-adds of a vector
        windows = prod(y_shape[1:3]) * kh * (oc + 1) * narrow_kernels.vectors(kw * ic)
        pixels = prod(x_shape[1:3]) * kh * kw / (sh * sw) * oc * narrow_kernels.vectors(ic)
        return "overlap" if windows < 0.8 * pixels else "direct"
    if direction == WEIGHT_GRADIENT and prod(w_shape) > SLAB_SAMPLES * (prod(x_shape[1:]) + prod(y_shape[1:])):
        return "batch"
    return "direct"


def _products(m: int, size: tuple[int, ...]) -> int:
    """Multiplications of Winograd from one channel to one channel, with what hangs over of tiles of m x m outputs."""
    return int((m + 2) ** 2 * -(-size[0] // m) * -(-size[1] // m))
