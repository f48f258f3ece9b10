"""Every loss: values against the float64 twin, gradients against its central differences, with weights and reductions;
by hand, as functions, and as training sees them."""

import json

import numpy as np
import pytest
import reference as ref
import reference_losses as twins
from graphs import differentiate, gathers, names, run
from harness import uniform

from dlcore import losses, ops
from dlcore.graph.fuse import PATTERNS, fuse


def unit(*shape, seed=0):
    return 0.05 + 0.9 * abs(uniform(*shape, seed=seed))


def shares(*shape, seed=0):
    x = unit(*shape, seed=seed)
    return (x / x.sum(axis=-1, keepdims=True)).astype(np.float32)


def labels_of(shape):
    return (np.arange(int(np.prod(shape[:-1]))) * 7 // 3 % shape[-1]).reshape(shape[:-1]).astype(np.int32)


def hot(*shape):
    return np.eye(shape[-1], dtype=np.float32)[labels_of(shape)]


def bits(*shape, seed=5):
    return (uniform(*shape, seed=seed) > 0).astype(np.float32)


def real(*shape, seed=0):
    return 2 * uniform(*shape, seed=seed)


def sigmoid_then(twin):
    return lambda y, z: twin(y, ref.sigmoid(z))


def softmax_then(twin):
    return lambda y, z: twin(y, ref.softmax(z))


CASES = [  # class, arguments, targets, predictions, slow twin
    ("MeanSquaredError", {}, real, real, ref.mean_squared_error),
    ("MeanAbsoluteError", {}, real, real, twins.mean_absolute_error),
    ("MeanAbsolutePercentageError", {}, real, real, twins.mean_absolute_percentage_error),
    ("MeanSquaredLogarithmicError", {}, unit, unit, twins.mean_squared_logarithmic_error),
    ("Huber", {}, real, real, twins.huber),
    ("Huber", dict(delta=0.3), real, real, lambda y, p: twins.huber(y, p, 0.3)),
    ("LogCosh", {}, real, real, twins.log_cosh),
    ("KLDivergence", {}, shares, shares, twins.kl_divergence),
    ("Poisson", {}, unit, unit, twins.poisson),
    ("Hinge", {}, bits, real, twins.hinge),
    ("Hinge", {}, lambda *s: 2 * bits(*s) - 1, real, twins.hinge),
    ("SquaredHinge", {}, bits, real, twins.squared_hinge),
    ("CategoricalHinge", {}, hot, real, twins.categorical_hinge),
    ("CosineSimilarity", {}, real, real, twins.cosine_similarity),
    ("BinaryCrossentropy", {}, bits, unit, ref.binary_crossentropy),
    ("BinaryCrossentropy", dict(from_logits=True, label_smoothing=0.2), bits, real,
     lambda y, z: ref.binary_crossentropy_logits(twins.smoothed(y, 0.2, 0.5), z)),
    ("CategoricalCrossentropy", {}, hot, unit, ref.categorical_crossentropy),
    ("CategoricalCrossentropy", dict(label_smoothing=0.1), hot, shares,
     lambda y, p: ref.categorical_crossentropy(twins.smoothed(y, 0.1, 1 / y.shape[-1]), p)),
    ("CategoricalCrossentropy", dict(from_logits=True), shares, real, ref.softmax_cross_entropy_dense),
    ("SparseCategoricalCrossentropy", {}, lambda *s: labels_of(s), unit, ref.sparse_categorical_crossentropy),
    ("SparseCategoricalCrossentropy", dict(from_logits=True), lambda *s: labels_of(s), real, ref.softmax_cross_entropy),
    ("BinaryFocalCrossentropy", {}, bits, unit, twins.binary_focal),
    ("BinaryFocalCrossentropy", dict(apply_class_balancing=True, alpha=0.3, gamma=1.5, from_logits=True), bits, real,
     sigmoid_then(lambda y, p: twins.binary_focal(y, p, 0.3, 1.5, True))),
    ("CategoricalFocalCrossentropy", {}, hot, unit, twins.categorical_focal),
    ("CategoricalFocalCrossentropy", dict(alpha=[0.1, 0.4, 0.2, 0.3], from_logits=True), hot, real,
     softmax_then(lambda y, p: twins.categorical_focal(y, p, [0.1, 0.4, 0.2, 0.3]))),
    ("Dice", dict(axis=-1), bits, unit, lambda y, p: twins.dice(y, p, -1)),
    ("Tversky", dict(axis=-1, alpha=0.3, beta=0.8), bits, unit, lambda y, p: twins.tversky(y, p, 0.3, 0.8, -1)),
]  # fmt: skip
SHAPES = [(5, 4), (3, 2, 4)]
CASE = pytest.mark.parametrize("name, how, targets, predictions, twin", CASES, ids=[case[0] for case in CASES])


def differences(function, p, h=1e-5):
    """d function / d p, entry by entry, in float64."""
    slope, p = np.zeros(p.shape), np.asarray(p, np.float64)
    for at in np.ndindex(p.shape):
        step = np.zeros(p.shape)
        step[at] = h
        slope[at] = (function(p + step) - function(p - step)) / (2 * h)
    return slope


def reduced(values, weight, reduction):
    """The loss in float64; weight has the shape of values, or is None."""
    w = np.ones(values.shape) if weight is None else np.asarray(weight, np.float64)
    total = (values * w).sum()
    return total / {"sum": 1, "mean_with_sample_weight": w.sum()}.get(reduction, values.size)


@CASE
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(name, how, targets, predictions, twin, shape):
    y, p = np.asarray(targets(*shape)), predictions(*shape, seed=1).astype(np.float32)
    values = twin(y, p)
    loss = getattr(losses, name)(**how)
    tolerance = dict(rel=2e-5, abs=2e-6)
    assert loss(y, p) == pytest.approx(values.mean(), **tolerance)
    each = getattr(losses, name)(reduction=None, **how)(y, p)
    assert each.dtype == np.float32
    np.testing.assert_allclose(each, values, rtol=2e-5, atol=2e-6)
    a, b = gathers(p=p, y=y)
    tensor = loss.per_sample(b, a)
    got, slope = run([tensor, *differentiate(tensor, [a])], {"p": p, "y": y})
    np.testing.assert_allclose(got.mean(), values.mean(), rtol=2e-5, atol=2e-6)
    expected = differences(lambda p: twin(y, p).mean(), p)
    np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=2e-5 * max(abs(expected).max(), 0.01))


@CASE
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"])
def test_weights_of_samples_and_positions(name, how, targets, predictions, twin, reduction):
    shape = (3, 2, 4)
    y, p = np.asarray(targets(*shape)), predictions(*shape, seed=1).astype(np.float32)
    loss, values = getattr(losses, name)(reduction=reduction, **how), twin(y, p)
    for weight in (unit(3, 2, seed=2), unit(3, 1, seed=2), unit(3, seed=2)):
        each = np.broadcast_to(weight.reshape(3, -1), (3, 2))
        expected = reduced(values, each, reduction)
        if reduction == "mean_with_sample_weight":
            expected *= each.sum() / weight.sum()  # Keras counts each weight once
        assert loss(y, p, sample_weight=weight) == pytest.approx(expected, rel=2e-5, abs=2e-6)
        a, b, w = gathers(p=p, y=y, w=weight)
        tensor = loss.per_sample(b, a, w)
        got, slope = run([tensor, *differentiate(tensor, [a])], {"p": p, "y": y, "w": weight})
        assert got.mean() == pytest.approx(expected, rel=2e-5, abs=2e-6)
        by_sample = differences(lambda p, each=each: (twin(y, p) * each).sum(), p) / (values * each).sum() * expected
        np.testing.assert_allclose(slope, by_sample, rtol=1e-3, atol=3e-5 * max(abs(by_sample).max(), 0.01))
    assert loss(y, p, sample_weight=2.5) == pytest.approx(
        2.5 * reduced(values, None, "sum" if reduction != "mean" else reduction) / {
            "sum": 1, "mean_with_sample_weight": 2.5, "mean": 1}.get(reduction, values.size), rel=2e-5)  # fmt: skip


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("ignore", [1, -1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_with_sample_weight"])
def test_an_ignored_class(logits, ignore, reduction):
    shape = (4, 3, 4)
    y, weight = labels_of(shape), unit(4, 3)
    y[0, 1] = y[1] = ignore
    p = real(*shape, seed=1) if logits else unit(*shape, seed=1)
    loss = losses.SparseCategoricalCrossentropy(logits, ignore, reduction)

    def slow(p, w):
        known = y != ignore
        values = twins.ignoring(y, ref.softmax(p) if logits else p, ignore) * w
        by_weight = reduction == "mean_with_sample_weight"
        return values.sum() / (1 if reduction == "sum" else (known * w).sum() if by_weight else known.sum())

    for w in (None, weight):
        given = np.ones((4, 3)) if w is None else w
        assert loss(y, p, w) == pytest.approx(slow(p, given), rel=1e-5)
        feeds = {"p": p, "y": y} if w is None else {"p": p, "y": y, "w": w}
        a, b, *c = gathers(**feeds)
        tensor = loss.per_sample(b, a, *c)
        got, slope = run([tensor, *differentiate(tensor, [a])], feeds)
        assert got.mean() == pytest.approx(slow(p, given), rel=1e-5)
        expected = differences(lambda p, given=given: slow(p, given), p)
        np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-5)
    y[...] = ignore
    assert loss(y, p) == 0


def test_overlaps_of_a_whole_batch_are_one_number():
    y, p = np.float32([[0, 1], [1, 0]]), np.float32([[0.2, 0.8], [0.6, 0.4]])
    assert losses.dice(y, p, None) == losses.dice(y, p)
    assert losses.tversky(y, p, 0.3, 0.7) == losses.tversky(y, p, alpha=0.3, beta=0.7)
    assert losses.tversky(y, p, 0.3, 0.7, -1).shape == losses.dice(y, p, -1).shape == (2,)


@pytest.mark.parametrize("name, twin", [("Dice", twins.dice), ("Tversky", twins.tversky)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_value_of_a_whole_batch(name, twin, reduction):
    y, p = bits(4, 3, 2), unit(4, 3, 2)
    loss = getattr(losses, name)(reduction=reduction)
    assert loss(y, p) == pytest.approx(twin(y, p), rel=1e-5)
    a, b = gathers(p=p, y=y)
    tensor = loss.per_sample(b, a)
    got, slope = run([tensor, *differentiate(tensor, [a])], {"p": p, "y": y})
    np.testing.assert_allclose(got, np.full(4, twin(y, p)), rtol=1e-5)
    np.testing.assert_allclose(slope, differences(lambda p: twin(y, p), p), rtol=1e-3, atol=1e-6)
    assert getattr(losses, name.lower())(y, p) == pytest.approx(twin(y, p), rel=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
def test_another_axis(axis):
    y, p = hot(3, 4, 4), shares(3, 4, 4)
    moved = [np.moveaxis(x, axis, -1) for x in (y, p)]
    np.testing.assert_allclose(
        losses.categorical_crossentropy(y, p, axis=axis), ref.categorical_crossentropy(*moved), rtol=1e-5
    )
    a, b = real(3, 4, 4), real(3, 4, 4, seed=1)
    np.testing.assert_allclose(losses.cosine_similarity(a, b, axis), twins.cosine_similarity(a, b, axis), rtol=2e-5)
    np.testing.assert_allclose(losses.binary_crossentropy(y, p, axis=axis), ref.binary_crossentropy(*moved), rtol=1e-5)
    labels = labels_of((3, 4, 4))
    loss = losses.SparseCategoricalCrossentropy(axis=axis, reduction=None)
    np.testing.assert_allclose(loss(labels, p), ref.sparse_categorical_crossentropy(labels, moved[1]), rtol=1e-5)


FUNCTIONS = [name for name in losses.NAMES if hasattr(losses, name)]


def test_names_are_those_of_keras():
    assert len(FUNCTIONS) == 19
    for name in losses.NAMES:
        loss = losses.get(name)
        assert loss.name == name
        again = losses.get(json.loads(json.dumps(losses.serialize(loss))))
        assert type(again) is type(loss) and again.get_config() == loss.get_config()
        assert type(losses.get(type(loss).__name__)) is type(loss)
    assert losses.get("MSE").get_config() == {"name": "MSE", "reduction": "sum_over_batch_size"}
    assert losses.get(losses.huber).name == "huber" and losses.Huber().name == "huber_loss"


@CASE
def test_configurations_round_trip(name, how, targets, predictions, twin):
    loss = getattr(losses, name)(name="mine", reduction="sum", **how)
    config = json.loads(json.dumps(loss.get_config()))
    again = type(loss).from_config(config)
    assert again.get_config() == loss.get_config() and {"name", "reduction", *how} <= set(config)
    y, p = np.asarray(targets(5, 4)), predictions(5, 4, seed=1)
    assert again(y, p) == loss(y, p)


def test_functions_take_tensors_and_arrays_of_any_rank():
    y, p = real(3, 2, 4), real(3, 2, 4, seed=1)
    for name in ("mean_squared_error", "mean_absolute_error", "huber"):
        twin = getattr(ref, name, None) or getattr(twins, name)
        function = getattr(losses, name)
        np.testing.assert_allclose(function(y, p), twin(y, p), rtol=1e-5)
        assert function(y[0, 0], p[0, 0]) == pytest.approx(twin(y, p)[0, 0], rel=1e-5)
        assert losses.get(name)(y[0, 0], p[0, 0]) == pytest.approx(twin(y, p)[0, 0], rel=1e-5)
    np.testing.assert_allclose(losses.mean_squared_error(y[:, :, 0], p[:, :, :1]), (y - p)[:, :, 0] ** 2, rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"hinge: expected y_true and y_pred of one shape. Received: \(3, 2, 4\), \(3,"
    ):
        losses.hinge(y, p[:, 0])


class Mine(losses.Loss):
    def call(self, y_true, y_pred):
        return ops.square(ops.subtract(y_true, y_pred))


def test_a_class_of_the_users_own():
    y, p = np.float32([1, 0, 1, 0]), np.float32([0.1, 0.2, 0.3, 0.4])
    expected = (y - p) ** 2
    assert Mine()(y, p) == pytest.approx(expected.mean(), rel=1e-6) and Mine().name == "mine"
    assert Mine(reduction="sum")(y, p, sample_weight=[1, 0, 2, 0]) == pytest.approx(
        expected[0] + 2 * expected[2], rel=1e-6
    )
    np.testing.assert_allclose(Mine(reduction="none")(y, p), expected, rtol=1e-6)
    with pytest.raises(TypeError, match=r"Loss must define call\(y_true, y_pred\)"):
        losses.Loss()([[1]], [[1]])


REFUSED = [
    (lambda: losses.MeanSquaredError(reduction="all"), "mean_squared_error: reduction must be one of .*'all'"),
    (lambda: losses.MeanSquaredError(dtype="float16"), "dtype must be None or 'float32'. Received: dtype='float16'"),
    (lambda: losses.Huber(delta=-1), r"huber_loss: delta must be a number >= 0. Received: delta=-1"),
    (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), r"binary_crossentropy: label_smoothing must be a number"),
    (lambda: losses.CategoricalCrossentropy(axis=True), "categorical_crossentropy: `axis` must be of type `int`.*True"),
    (lambda: losses.BinaryFocalCrossentropy(gamma="2"), "binary_focal_crossentropy: gamma must be a number >= 0.*'2'"),
    (lambda: losses.BinaryFocalCrossentropy(alpha=2), r"binary_focal_crossentropy: alpha must be a number in \[0, 1\]"),
    (lambda: losses.SparseCategoricalCrossentropy(ignore_class=0.5), "`ignore_class` must be of type `int`.*0.5"),
    (lambda: losses.categorical_crossentropy([[1.0]], [[1.0]], axis=0), "axis must be one of the 2 axes but the first"),
    (lambda: losses.MeanSquaredError()(real(3, 4), real(3, 4), sample_weight=[1, 2]),
     r"mean_squared_error: sample_weight of shape \(2,\) does not go with values of shape \(3,\)"),
    (lambda: losses.MeanSquaredError()(real(3, 2, 4), real(3, 2, 4), sample_weight=real(3, 3)),
     r"sample_weight of shape \(3, 3\) does not go with values of shape \(3, 2\)"),
    (lambda: losses.MeanSquaredError()(real(3, 4), 5.0), r"mean_squared_error: expected predictions \(batch, ..., c\)"),
]  # fmt: skip


@pytest.mark.parametrize("i", range(len(REFUSED)))
def test_refuses(i):
    bad, message = REFUSED[i]
    with pytest.raises(ValueError, match=message):
        bad()


def test_refuses_in_training():
    a, b, w = gathers(p=real(3, 2, 4), y=real(3, 2, 4), w=real(3, 3))
    with pytest.raises(ValueError, match=r"mean_squared_error: training needs a reduction, .*reduction=None"):
        losses.MeanSquaredError(reduction=None).per_sample(b, a)
    with pytest.raises(
        ValueError, match=r"sample_weight of shape \(batch, 3\) does not go with values of .*\(batch, 2\)"
    ):
        losses.MeanSquaredError().per_sample(b, a, w)
    with pytest.raises(TypeError, match=r"<lambda>: expected a tensor made by dlcore.ops. Received: 3"):
        losses.get(lambda y, p: 3).per_sample(b, a)


SPARSE, DENSE = losses.SparseCategoricalCrossentropy(), losses.CategoricalCrossentropy()


def test_the_shape_of_targets():
    assert DENSE.target_shape((4, 5)) == ((4, 5), "f") and SPARSE.target_shape((4, 5)) == ((4,), "i")
    loss = losses.SparseCategoricalCrossentropy(axis=1)
    assert loss.target_shape((4, 5)) == ((5,), "i") and loss.target(np.zeros((2, 5)), (4, 5)).shape == (2, 5)


def test_targets_may_have_ignored_classes():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=255)
    np.testing.assert_array_equal(loss.target(np.uint8([0, 255, 2]), (3,)), [0, 255, 2])
    with pytest.raises(ValueError, match=r"expects class numbers from 0 to 2, .*Received: 0 to 254"):
        loss.target(np.uint8([0, 255, 254]), (3,))
    np.testing.assert_array_equal(losses.get("mse").target(np.ones((2, 3, 1)), (3,)), np.ones((2, 3)))


@pytest.mark.parametrize("by", [None, "sample", "position"])
@pytest.mark.parametrize("loss, targets", [
    (losses.SparseCategoricalCrossentropy(), labels_of),
    (losses.SparseCategoricalCrossentropy(ignore_class=1), labels_of),
    (losses.CategoricalCrossentropy(label_smoothing=0.1), lambda shape: hot(*shape)),
    (losses.BinaryCrossentropy(label_smoothing=0.1), lambda shape: hot(*shape)),
])  # fmt: skip
def test_fused_with_the_activation_in_front(loss, targets, by):
    """Weights and label smoothing do not keep a cross-entropy from its logits; values and gradients stay."""
    shape = (3, 2, 4)
    feeds = {"z": real(*shape, seed=1), "y": targets(shape)}
    if by is not None:
        feeds["w"] = unit(3, 2) if by == "position" else unit(3)

    def of(patterns):
        z, y, *w = gathers(**feeds)
        binary = isinstance(loss, losses.BinaryCrossentropy)
        value = loss.per_sample(y, ops.sigmoid(z) if binary else ops.softmax(z), *w)
        fuse([value], patterns)
        found = names([value])
        assert bool(patterns) == ("Activation" not in found and "Softmax" not in found)
        return run([value, *differentiate(value, [z])], feeds)

    for fused, plain in zip(of(PATTERNS), of([]), strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-6)
