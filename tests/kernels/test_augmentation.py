"""Sampling along affine maps, its transpose, contrast and brightness, against float64."""

import numpy as np
import pytest
import reference as ref
from harness import F32, assert_near, blank, results, uniform

from dlcore.kernels import augmentation
from dlcore.kernels.executor import Clock

pytestmark = pytest.mark.usefixtures("isa")

SEED, STEP = 0x0123456789ABCDEF, 3
FILLS = ["constant", "nearest", "reflect", "wrap"]
HOW = [  # kind, height, width
    ("flip", (1, 1), (0, 0)), ("flip", (0, 0), (1, 1)), ("flip", (1, 1), (1, 1)),
    ("translate", (-0.7, 0.9), (-1, 0.3)), ("translate", (0.4, 0.4), (0, 0)), ("rotate", (-1, 1), (0, 0)),
    ("rotate", (0.1, 0.1), (0, 0)), ("zoom", (-0.9, 1), (-0.4, 0.8)), ("zoom", (-0.5, 1), (0, -1)),
]  # fmt: skip


def clock():
    now = Clock()
    now.step = STEP
    return now


def matrices(n, kind, height, width, ih, iw):
    """Of each sample, None where it stays as it is."""
    found = []
    for u in ref.sample_numbers(n, SEED, STEP):
        p, q = height[0] + u[0] * (height[1] - height[0]), width[0] + u[1] * (width[1] - width[0])
        if kind == "flip":
            p, q = height[0], width[0]
        elif kind == "zoom" and width == (0, -1):
            q = p
        elif kind == "crop":
            p, q = (int(v * (b - a + 1)) + a for v, (a, b) in zip(u, (height, width), strict=False))
        moved = kind != "flip" or u[0] <= 0.5
        found.append(ref.affine_matrix(kind, p, q, ih, iw) if moved else None)
    return found


def expected(x, kind, height, width, size, *fill):
    found = matrices(len(x), kind, height, width, *x.shape[1:3])
    return np.array(
        [np.float64(a) if m is None else ref.affine(a, m, size, *fill) for a, m in zip(x, found, strict=True)]
    )


def affine(x, size, *how):
    return results(
        lambda y: augmentation.affine(x, y, *how[:3], SEED, clock(), *how[3:]), blank(len(x), *size, x.shape[3])
    )


@pytest.mark.parametrize("kind, height, width", HOW, ids=str)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_against_reference(kind, height, width, interpolation):
    for fill_mode in FILLS if kind != "flip" else FILLS[:1]:
        for shape in ((5, 6, 9, 3), (4, 7, 4, 1), (3, 1, 5, 17)):
            x = uniform(*shape)
            fill = fill_mode, interpolation, 0.25
            y = affine(x, shape[1:3], kind, height, width, *fill)
            np.testing.assert_allclose(y, expected(x, kind, height, width, shape[1:3], *fill), atol=2e-6)


@pytest.mark.parametrize("shape, size, height, width", [
    ((5, 9, 8, 3), (4, 3), (0, 5), (0, 5)), ((5, 9, 8, 1), (9, 3), (0, 0), (2, 2)),
    ((3, 4, 4, 2), (4, 4), (0, 0), (0, 0)),
])  # fmt: skip
def test_crop(shape, size, height, width):
    x = uniform(*shape)
    np.testing.assert_array_equal(affine(x, size, "crop", height, width), expected(x, "crop", height, width, size))


@pytest.mark.parametrize("kind, height, width", [*HOW, ("crop", (0, 2), (1, 4))], ids=str)
def test_gradient_is_the_transpose(kind, height, width):
    """sum(A x * g) = sum(x * A' g), and by each pixel: A' g is the derivative of that sum, A being linear."""
    size = (4, 5) if kind == "crop" else (6, 9)
    x, g = uniform(3, 6, 9, 2), uniform(3, *size, 2, seed=1)
    for fill_mode in FILLS:
        for interpolation in ("nearest", "bilinear"):
            how = kind, height, width, SEED
            fill = fill_mode, interpolation
            dx = results(lambda dx: augmentation.affine_gradient(g, dx, *how, clock(), *fill), blank(*x.shape))  # noqa: B023
            y = affine(x, size, kind, height, width, *fill, 0.0)
            assert np.vdot(np.float64(y), g) == pytest.approx(np.vdot(np.float64(x), dx), abs=1e-4)
            for at in ((0, 0, 0, 1), (1, 5, 8, 0), (2, 3, 4, 1)):
                unit = np.zeros_like(x)
                unit[at] = 1
                y = affine(unit, size, kind, height, width, *fill, 0.0)
                assert np.vdot(np.float64(y), g) == pytest.approx(dx[at], abs=1e-5)


def test_half_of_the_samples_are_flipped_and_bounds_are_kept():
    n = 4000
    x = np.tile(np.arange(11, dtype=F32)[:, None], (n, 1, 1, 1)).reshape(n, 1, 11, 1)
    flipped = affine(x, (1, 11), "flip", (0, 0), (1, 1))[:, 0, 0, 0] == 10
    assert abs(flipped.mean() - 0.5) < 5 * 0.5 / n**0.5
    moved = 5 - affine(x, (1, 11), "translate", (0, 0), (-2 / 11, 3 / 11), "reflect", "bilinear")[:, 0, 5, 0]
    assert -2 <= moved.min() < -1.98 and 2.98 < moved.max() <= 3
    assert abs(moved.mean() - 0.5) < 5 * (25 / 12 / n) ** 0.5 and abs(moved.var() - 25 / 12) < 0.1
    first = affine(x, (1, 8), "crop", (0, 0), (0, 3))[:, 0, 0, 0]
    counts = np.bincount(first.astype(int))
    assert len(counts) == 4 and abs(counts - n / 4).max() < 5 * (n * 3 / 16) ** 0.5


@pytest.mark.parametrize("lane", range(4))
def test_nan_stays_where_it_is_read(lane):
    x = uniform(2, 3, 4, 5)
    x[:, 1, lane, 2] = np.nan
    for kind, height, width in (
        ("translate", (1 / 3, 1 / 3), (0, 0)),
        ("flip", (0, 0), (1, 1)),
        ("zoom", (0, 0), (0, 0)),
    ):
        y = affine(x, (3, 4), kind, height, width, "wrap", "bilinear", 0.0)
        assert np.isnan(y).sum() == 2
    y = affine(x, (3, 4), "translate", (0.1, 0.1), (0.1, 0.1), "constant", "bilinear", 0.0)
    assert 2 <= np.isnan(y).sum() <= 8


# ---------------------------------------------------------------------------------------------------------------------
# contrast and brightness


@pytest.mark.parametrize("shape", [(5, 3, 4, 3), (4, 1, 1, 1), (3, 7, 5, 17), (0, 3, 3, 2), (3, 0, 3, 2)])
@pytest.mark.parametrize(
    "contrast, brightness", [((0.2, 1.9), (0, 0)), ((1, 1), (-0.7, 0.7)), ((0.5, 0.5), (0.1, 0.3))]
)
def test_adjust_and_its_gradient(shape, contrast, brightness):
    x, dy, limits = uniform(*shape), uniform(*shape, seed=1), (-0.6, 0.8)
    how = contrast, brightness, limits, SEED
    y = results(lambda y: augmentation.adjust(x, y, *how, clock()), blank(*shape))
    dx = results(lambda dx: augmentation.adjust_gradient(dy, x, dx, *how, clock()), blank(*shape))
    if x.size == 0:
        return
    u = ref.sample_numbers(len(x), SEED, STEP)[:, :2, None, None, None]
    f, b = (low + u[:, i] * (high - low) for i, (low, high) in enumerate((contrast, brightness)))
    assert_near(y, ref.adjust(x, f, b, limits), scale=np.full(shape, 8))
    free = ref.adjust(x, f, b, (-np.inf, np.inf))
    g = np.where((free >= limits[0]) & (free <= limits[1]), dy, 0)
    assert_near(dx, f * g + (1 - f) * g.mean(axis=(1, 2), keepdims=True), scale=np.full(shape, 8))
    if shape == (5, 3, 4, 3):  # and by differences, away from the limits
        for at in ((0, 1, 2, 0), (3, 2, 3, 2)):
            if np.abs(free[at[0]] - limits[0]).min() > 1e-4 < np.abs(free[at[0]] - limits[1]).min():
                step = np.zeros(shape)
                step[at] = 1e-5
                slope = (ref.adjust(x + step, f, b, limits) - ref.adjust(x - step, f, b, limits)) / 2e-5
                assert np.vdot(slope, dy) == pytest.approx(dx[at], abs=1e-4)


def test_adjust_lets_nan_through_in_its_channel():
    x = uniform(2, 3, 4, 3)
    x[0, 1, 2, 1] = np.nan
    y = blank(2, 3, 4, 3)
    augmentation.adjust(x, y, (1, 1), (0.1, 0.1), (0, 1), SEED, clock()).run()
    assert np.argwhere(np.isnan(y)).tolist() == [[0, 1, 2, 1]]
    augmentation.adjust(x, y, (0.5, 0.5), (0, 0), (0, 1), SEED, clock()).run()
    assert np.isnan(y[0, :, :, 1]).all() and np.isnan(y).sum() == 12


X = blank(2, 4, 4, 1)


@pytest.mark.parametrize("arguments, message", [
    ((X, X, "shear", (0, 0), (0, 0)), "unknown kind 'shear'"),
    ((X, blank(2, 4, 3, 1), "flip", (0, 0), (0, 0)), "flip with x .* do not fit together"),
    ((X, blank(2, 2, 2, 1), "crop", (0, 3), (0, 0)), "crop with x .* do not fit together"),
    ((X, blank(2, 2, 2, 1), "crop", (-1, 0), (0, 0)), "crop with x .* do not fit together"),
    ((X, blank(2, 2, 2, 2), "crop", (0, 0), (0, 0)), "crop with x .* do not fit together"),
    ((X, X, "zoom", (0, np.nan), (0, 0)), "zoom with x .* do not fit together"),
    ((X, X, "zoom", (0, 1, 2), (0,)), "zoom with x .* do not fit together"),
])  # fmt: skip
def test_affine_refuses(arguments, message):
    for factory in (augmentation.affine, lambda x, y, *how: augmentation.affine_gradient(y, x, *how)):
        with pytest.raises(ValueError, match=r"augmentation.affine\w*: " + message):
            factory(*arguments, 1, Clock())
    with pytest.raises(ValueError, match=r"augmentation.adjust: x .* do not fit together"):
        augmentation.adjust(X, X, (0, np.inf), (0, 0), (0, 1), 1, Clock())
