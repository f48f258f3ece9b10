"""What the tests of all kernels in Winograd's domain run, and how far from the reference they may be."""

import numpy as np
from geometries import P0, P1
from harness import HALF_ULP

CASES = [  # x shape, oc, padding
    ((1, 3, 3, 1), 1, P0),  # one pixel
    ((2, 8, 8, 16), 16, P1),
    ((3, 9, 7, 13), 33, P1),  # odd sizes: tiles hang over
    ((5, 4, 4, 33), 17, P1),  # several samples in a block of tiles
    ((2, 7, 15, 40), 7, ((0, 0), (2, 1))),
    ((1, 5, 4, 3), 127, ((3, 0), (1, 4))),  # more padding than any tap can use
    ((2, 33, 30, 64), 64, P1),  # several blocks
    ((1, 1, 127, 15), 8, ((1, 1), (0, 0))),
    ((1, 6, 5, 127), 65, ((2, 2), (2, 2))),
]
# Largest errors, in roundings of (largest pixel) * (largest weight) * sqrt(length of the sum): those of the sums, and
# those of the transforms, which grow with the tile.
ROUNDINGS = {(2, 2): 16, (4, 2): 32, (4, 4): 64}


def geometry(padding):
    return (1, 1), padding, (1, 1), 1


def assert_close(got, expected, terms, form):
    """For factors up to 1."""
    assert not np.isnan(got).any()
    error = np.abs(got.astype(np.float64) - expected).max(initial=0)
    assert error <= ROUNDINGS[form] * HALF_ULP * (1 + np.sqrt(terms)), error / (HALF_ULP * (1 + np.sqrt(terms)))
