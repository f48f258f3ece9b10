"""Geometries that the tests of all convolution kernels run, and how hypothesis draws others."""

from harness import SIZES
from hypothesis import strategies as st
from reference import NO_PADDING as P0

S1 = (1, 1)
P1 = ((1, 1), (1, 1))
GEOMETRIES = [  # x shape, kernel, oc, strides, padding, dilation, groups
    ((1, 1, 1, 1), (1, 1), 1, S1, P0, S1, 1),
    ((3, 5, 7, 13), (1, 1), 33, S1, P0, S1, 1),  # a plain matrix product
    ((2, 7, 5, 3), (3, 2), 127, S1, ((2, 0), (0, 1)), S1, 1),  # asymmetric padding
    ((2, 7, 9, 4), (3, 3), 7, (2, 3), ((0, 1), (1, 1)), S1, 1),  # strides leave pixels unread
    ((2, 10, 9, 2), (2, 2), 8, (3, 4), P0, S1, 1),  # stride larger than kernel: gaps
    ((2, 9, 10, 3), (3, 2), 16, (1, 2), P1, (2, 3), 1),  # dilation
    ((2, 8, 8, 2), (2, 2), 5, (3, 2), ((1, 0), (0, 2)), (3, 2), 1),  # strides and dilation with a common factor
    ((1, 2, 2, 3), (5, 5), 2, S1, ((2, 2), (3, 1)), S1, 1),  # kernel larger than image
    ((2, 3, 4, 2), (2, 3), 3, S1, ((4, 3), (2, 5)), S1, 1),  # more padding than any tap can use
    ((2, 3, 3, 2), (1, 1), 3, (2, 2), ((1, 1), (2, 2)), S1, 1),
    ((2, 6, 7, 8), (3, 3), 12, S1, P1, S1, 2),  # groups
    ((2, 6, 6, 6), (3, 3), 6, (2, 1), P1, (1, 2), 6),  # depthwise
    ((1, 5, 6, 3), (2, 3), 51, S1, ((0, 1), (1, 1)), S1, 3),  # 17 outputs a group
    ((5, 1, 127, 2), (1, 5), 4, (1, 2), ((0, 0), (4, 0)), S1, 1),  # causal, one-dimensional
    ((2, 4, 1, 70), (4, 1), 3, S1, P0, S1, 1),
]
GEOMETRIES += [((2, 3, 4, SIZES[-i]), (2, 2), n, S1, P0, S1, 1) for i, n in enumerate(SIZES, 1)]

small = st.tuples(st.integers(1, 3), st.integers(1, 3))  # kernels, strides, dilations
padding = st.tuples(st.integers(0, 3), st.integers(0, 3))  # of one axis
channels = st.sampled_from([1, 2, 3, 5, 9, 17])
