"""How to convolve: one function of the shape for each direction.

Environment:
    DLCORE_CONV=auto|direct|winograd2x2|winograd4x2|winograd4x4   the algorithm of all convolutions that it fits; see
        `algorithm`
"""

from __future__ import annotations

import os
from math import prod
from typing import Any

from dlcore import config
from dlcore.kernels import simd
from dlcore.kernels.conv_narrow import vectors
from dlcore.kernels.winograd_conv import FORMS
from dlcore.ops.base import SLAB_SAMPLES, changes

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "input gradient", "weight gradient"
TILES = {f"winograd{rows}x{cols}": (rows, cols) for rows, cols in FORMS}  # pixels that a Winograd tile gives
LEAST_CHANNELS = 8  # by Winograd: fewer are not worth its rounding errors
LEAST_TILES = 2  # of a sample, for the weight gradient by Winograd: its sums are 24 numbers for each pair of channels

# What a vector's multiply-add costs, that of Winograd's products being 1, and the transforms of a vector of channels of
# a tile, for each point and each float of a vector: a wide vector saves little in moving data. Those of tiles of 4x4 do
# not fit the registers.
DIRECT = 1.25
OVERLAP = 1.5
TRANSFORM = 7 / 16
OUTGROWN = 1.2

config.precision_listeners.append(changes.note)  # models that have been used choose again

_forced = os.environ.get("DLCORE_CONV", "") or "auto"
if _forced not in ("auto", "direct", *TILES):
    raise ImportError(f"DLCORE_CONV must be one of auto, direct, {', '.join(TILES)}. Received: {_forced!r}")


def algorithm(
    direction: str,
    x_shape: tuple[Any, ...],
    w_shape: tuple[int, ...],
    y_shape: tuple[Any, ...],
    geometry: dict[str, Any],
) -> str:
    """How to convolve in one direction, for a convolution of x with w that gives y: what costs least, counted in
    multiply-adds of a vector, with weights that were fitted to measurements.

    "winograd2x2" needs 2.25 times fewer multiplications, "winograd4x2" three times and "winograd4x4" four times, with
    what hangs over of an image's last tiles. Each channel of each tile is transformed for it, a vector of channels at a
    time: a vector of them on either side, or most of a wide one, pays for that.
    "winograd4x2" rounds about as much as "direct" does; "winograd4x4" twice as much, which
    `config.set_precision("fast")` has to allow. The weight gradient has but "winograd4x2".
    "overlap", an input gradient, has sums for the pixels under each window, which must be neighbours, and adds them up
    where windows overlap: with few input channels these fill vectors better than sums for each pixel do.
    "direct" is none of them: sums over the taps for each pixel, or over the pixels of a slab for each weight.

    Args:
        direction: FORWARD, INPUT_GRADIENT or WEIGHT_GRADIENT.
        w_shape: (kh, kw, ic / groups, oc).
    """
    kh, kw, ic, oc = w_shape
    (sh, sw), groups, back = geometry["strides"], geometry["groups"], direction == INPUT_GRADIENT
    size, (read, written) = (x_shape if back else y_shape)[1:3], (oc, ic) if back else (ic, oc)
    costs = {"direct": DIRECT * prod(size) * kh * kw / (sh * sw if back else 1) * read * vectors(written)}
    if direction == FORWARD and vectors(2 * written) == 1:  # two neighbours are one pixel; see `ops.conv_narrow`
        costs["direct"] *= (kw + sw) / (2 * kw)
    if back and groups == geometry["dilation"][1] == 1:
        costs["overlap"] = OVERLAP * prod(y_shape[1:3]) * kh * (oc + 1) * vectors(kw * ic)
    if (kh, kw) == (3, 3) and geometry["strides"] == geometry["dilation"] == (1, 1) and groups == 1:
        if _forced in TILES:
            return _forced if direction != WEIGHT_GRADIENT else "winograd4x2"
        missed = back and min(size) < 2  # by most taps, which "direct" never visits
        few = direction == WEIGHT_GRADIENT and _products((4, 2), size) < 24 * LEAST_TILES
        if _forced == "auto" and not (missed or few or min(ic, oc) < LEAST_CHANNELS):
            point = read * vectors(written) + TRANSFORM * simd.nr() / 2 * (vectors(read) + vectors(written))
            if direction != WEIGHT_GRADIENT:
                costs["winograd2x2"] = _products((2, 2), size) * point
                if config.get_precision() == "fast" and min(size) > 4:
                    costs["winograd4x4"] = OUTGROWN * _products((4, 4), size) * point
            costs["winograd4x2"] = _products((4, 2), size) * point
    return min(costs, key=lambda name: costs[name])


def outgrow(w_shape: tuple[int, ...], *images: tuple[Any, ...], samples: int = SLAB_SAMPLES) -> bool:
    """Whether weights are larger than so many samples of these images."""
    return prod(w_shape) > samples * sum(prod(shape[1:]) for shape in images)


def _products(form: tuple[int, int], size: tuple[int, ...]) -> int:
    """Multiplications of Winograd from one channel to one channel, with what hangs over of tiles of this form."""
    rows, cols = form
    return int((rows + 2) * (cols + 2) * -(-size[0] // rows) * -(-size[1] // cols))
