"""Two or three operands whose shapes broadcast, against NumPy; casts."""

import numpy as np
import pytest
from harness import F32, SIZES, assert_near, blank, results, uniform, whole

from dlcore.kernels import broadcast

pytestmark = pytest.mark.usefixtures("isa")

NUMPY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "maximum": np.maximum,
    "minimum": np.minimum, "power": np.power, "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "prelu": lambda a, b: np.where(a > 0, a, a * b),
}  # fmt: skip
PAIRS = [
    *[((n,), (n,)) for n in SIZES],
    ((5, 13), (13,)),
    ((5, 13), (5, 1)),
    ((5, 13), ()),
    ((5, 13), (1, 13)),
    ((1, 13), (1, 1)),
    ((1,), (1,)),
    ((3, 4, 5, 7), (7,)),
    ((3, 4, 5, 7), (4, 5, 7)),
    ((3, 4, 5, 7), (4, 1, 7)),
    ((3, 4, 5, 7), (3, 1, 1, 7)),
    ((3, 4, 5, 7), (3, 1, 5, 1)),
    ((3, 4, 5, 7), (1, 4, 1, 1)),
    ((3, 4, 1, 7), (3, 1, 5, 1)),
    ((3, 1, 5), (4, 1)),
    ((3, 3), (3,)),
    ((0, 3), (3,)),
    ((3, 0), (1,)),
]


@pytest.mark.parametrize("kind", broadcast.KINDS)
@pytest.mark.parametrize("shapes", PAIRS, ids=str)
def test_binary(kind, shapes):
    one, other = (np.asarray(3 * uniform(*shape, seed=i)) for i, shape in enumerate(shapes))
    if "equal" in kind:
        one, other = np.rint(one), np.rint(other)
    for a, b in ((one, other), (np.asarray(other), np.asarray(one))):
        if kind == "power":
            a = np.asarray(abs(a))
        with np.errstate(all="ignore"):
            expected = NUMPY[kind](np.float64(a), np.float64(b))
        if expected.shape[0] != (shapes[0][0]):  # who has no batch in front broadcasts to a batch of its own
            continue
        got = results(lambda y, a=a, b=b: broadcast.binary(a, b, y, kind), blank(*expected.shape))
        assert_near(got, expected, np.abs(expected) + 1e-30, roundings=3)


@pytest.mark.parametrize("n", [1, 7, 17])
def test_nan_and_infinity(n):
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], F32)
    a, b = (np.repeat(x.reshape(-1, 1), n, axis=1) for x in np.meshgrid(odd, odd))
    for kind, f in NUMPY.items():
        with np.errstate(all="ignore"):
            expected = f(a, b).astype(F32)
        got = results(lambda y, kind=kind: broadcast.binary(a, b, y, kind), blank(*a.shape))
        np.testing.assert_array_equal(got, expected)


def test_an_operand_may_be_overwritten():
    a, b = whole(3, 4, 7), whole(4, 1, seed=1)
    y = a.copy()
    broadcast.binary(y, b, y, "subtract").run(grain=1)
    np.testing.assert_array_equal(y, a - b)


@pytest.mark.parametrize(
    "shapes", [((3, 5, 7), (3, 5, 7), (3, 5, 7)), ((3, 5, 1), (7,), ()), ((7,), (3, 5, 7), (5, 1))]
)
def test_select(shapes):
    c, a, b = (whole(*shape, seed=i) for i, shape in enumerate(shapes))
    c = np.asarray(np.clip(c, 0, 1))
    c.flat[0] = np.nan  # is not 0
    got = results(lambda y: broadcast.select(c, a, b, y), blank(3, 5, 7))
    np.testing.assert_array_equal(got, np.where(c != 0, a, b) + np.zeros((3, 5, 7)))


@pytest.mark.parametrize("shape", [(5,), (3, 7), (0, 2)])
def test_cast(shape):
    i = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) - 3
    got = results(lambda y: broadcast.cast(i, y, "i", "f"), blank(*shape))
    np.testing.assert_array_equal(got, i.astype(F32))
    got = results(lambda y: broadcast.cast(abs(i).astype(np.uint8), y, "B", "f"), blank(*shape))
    np.testing.assert_array_equal(got, abs(i).astype(F32))
    x = (10 * uniform(*shape)).astype(F32)
    got = results(lambda y: broadcast.cast(x, y, "f", "i"), blank(*shape, dtype=np.int32))
    np.testing.assert_array_equal(got, x.astype(np.int32))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"broadcast.add: b of shape \(3,\) does not broadcast to y \(2, 4\)"):
        broadcast.binary(blank(2, 4), blank(3), blank(2, 4), "add")
    with pytest.raises(ValueError, match=r"broadcast.select: c of shape \(2, 4, 4\) does not broadcast"):
        broadcast.select(blank(2, 4, 4), blank(4), blank(4), blank(2, 4))
    with pytest.raises(ValueError, match=r"broadcast.cast: expected one of"):
        broadcast.cast(blank(2), blank(2), "f", "B")
