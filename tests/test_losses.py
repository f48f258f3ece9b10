"""Losses against the numbers Keras publishes and the float64 reference, and what their targets may be."""

import numpy as np
import pytest
import reference as ref
from harness import uniform

from dlcore import losses, ops
from dlcore.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy

EYE = np.eye(3)
ROWS = [[0.9, 0.05, 0.05], [0.5, 0.89, 0.6], [0.05, 0.01, 0.94]]  # the second does not sum to one
LOGITS = [[8.0, 1.0, 1.0], [0.0, 9.0, 1.0], [2.0, 3.0, 5.0]]
PUBLISHED = [  # loss, targets, predictions, value in the documentation or the tests of Keras
    (CategoricalCrossentropy(), [[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]], 1.177),
    (SparseCategoricalCrossentropy(), [1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]], 1.177),
    (BinaryCrossentropy(), [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]], 0.815),
    (BinaryCrossentropy(from_logits=True), [[0, 1], [0, 0]], [[-18.6, 0.51], [2.94, -12.8]], 0.865),
    (MeanSquaredError(), [[0, 1], [0, 0]], [[1, 1], [1, 0]], 0.5),
    (CategoricalCrossentropy(), EYE, ROWS, 0.3239),
    (SparseCategoricalCrossentropy(), [0, 1, 2], ROWS, 0.3239),
    (CategoricalCrossentropy(from_logits=True), EYE, LOGITS, 0.0573),
    (SparseCategoricalCrossentropy(from_logits=True), [0, 1, 2], LOGITS, 0.0573),
]


@pytest.mark.parametrize("loss, y, p, value", PUBLISHED, ids=lambda v: getattr(v, "name", ""))
def test_published_values(loss, y, p, value):
    got = loss(y, p)
    assert type(got) is float
    assert got == pytest.approx(value, abs=0.0005)


P, Z = abs(uniform(7, 5)) + 0.01, 3 * uniform(7, 5, seed=1)
LABELS, SHARES = np.arange(7) % 5, abs(uniform(7, 5, seed=2))
IMAGES, MAPS = abs(uniform(3, 4, 2, 5)) + 0.01, np.arange(24).reshape(3, 4, 2) % 5
TWINS = [  # loss by name, from_logits, targets, predictions, slow twin
    ("sparse_categorical_crossentropy", False, LABELS, P, ref.sparse_categorical_crossentropy),
    ("sparse_categorical_crossentropy", True, LABELS, Z, ref.softmax_cross_entropy),
    ("sparse_categorical_crossentropy", False, MAPS, IMAGES, ref.sparse_categorical_crossentropy),
    ("categorical_crossentropy", False, SHARES, P, ref.categorical_crossentropy),
    ("categorical_crossentropy", True, SHARES, Z, ref.softmax_cross_entropy_dense),
    ("binary_crossentropy", False, SHARES, np.clip(P, 0, 1), ref.binary_crossentropy),
    ("binary_crossentropy", True, SHARES, Z, ref.binary_crossentropy_logits),
    ("mean_squared_error", False, SHARES, Z, ref.mean_squared_error),
    ("mse", False, abs(IMAGES), -IMAGES, ref.mean_squared_error),
]


@pytest.mark.parametrize("name, logits, y, p, twin", TWINS)
def test_against_the_reference(name, logits, y, p, twin):
    loss = losses.get(name)
    if logits:
        loss = type(loss)(from_logits=True)
    assert loss(y, p) == pytest.approx(twin(y, p).mean(), rel=1e-6)


@pytest.mark.parametrize("loss, y, certain, wrong", [
    (SparseCategoricalCrossentropy(), [0, 1], [[1, 0], [0, 1]], [[0, 1], [1, 0]]),
    (CategoricalCrossentropy(), [[1, 0], [0, 1]], [[1, 0], [0, 1]], [[0, 1], [1, 0]]),
    (BinaryCrossentropy(), [[1, 0], [0, 1]], [[1, 0], [0, 1]], [[0, 1], [1, 0]]),
])  # fmt: skip
def test_probabilities_are_clipped_at_1e_7(loss, y, certain, wrong):
    assert loss(y, certain) == pytest.approx(1.1e-7, abs=0.1e-7)
    # 1 - (1 - 1e-7) is 1.19e-7 in float32, so the wrong half of a binary loss is not quite log 1e-7
    assert loss(y, wrong) == pytest.approx(-np.log(1e-7), abs=0.1 if loss.name.startswith("binary") else 1e-4)


def test_logits_are_not_clipped():
    assert SparseCategoricalCrossentropy(from_logits=True)([1], [[300.0, -300.0]]) == pytest.approx(600)
    assert BinaryCrossentropy(from_logits=True)([[1.0]], [[-400.0]]) == pytest.approx(400)


def test_nan_predictions_give_nan():
    for loss, y in [(SparseCategoricalCrossentropy(), [0]), (CategoricalCrossentropy(), [[1, 0]]),
                    (MeanSquaredError(), [[1, 0]]), (BinaryCrossentropy(), [[1, 0]]),
                    (SparseCategoricalCrossentropy(from_logits=True), [0])]:  # fmt: skip
        assert np.isnan(loss(y, [[np.nan, 0.5]]))


SPARSE, DENSE, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"
ACCEPTED = [  # loss, targets, shape of a prediction, as training reads them
    (SPARSE, [0, 2, 1], (3,), np.int32([0, 2, 1])),
    (SPARSE, np.float64([0, 2, 1]), (3,), np.int32([0, 2, 1])),
    (SPARSE, np.uint8([[0], [2]]), (3,), np.int32([0, 2])),
    (SPARSE, np.array([True, False]), (2,), np.int32([1, 0])),
    (SPARSE, np.arange(6, dtype=">i8")[::2] // 2, (3,), np.int32([0, 1, 2])),
    (DENSE, [[0, 1], [1, 0]], (2,), np.float32([[0, 1], [1, 0]])),
    (BINARY, [0, 1, 1], (1,), np.float32([[0], [1], [1]])),
    ("mse", np.float64([[1, 2]]).T, (1,), np.float32([[1], [2]])),
]


@pytest.mark.parametrize("name, y, shape, expected", ACCEPTED)
def test_targets(name, y, shape, expected):
    got = losses.get(name).target(y, shape)
    assert got.dtype == expected.dtype and got.flags.c_contiguous
    np.testing.assert_array_equal(got, expected)


REFUSED = [  # loss, targets, shape of a prediction, message
    (SPARSE, [0, 3], (3,), "expects class numbers from 0 to 2, as the model has 3 outputs. Received: 0 to 3"),
    (SPARSE, [-1, 2], (3,), "expects class numbers from 0 to 2, .*Received: -1 to 2"),
    (SPARSE, np.array([2**32], np.uint64), (3,), "Received: 4294967296 to 4294967296"),  # 0 as an int32
    (SPARSE, [0, 0.5], (3,), "expects whole class numbers. Received: 0.5"),
    (SPARSE, [0, np.nan], (3,), "expects whole class numbers. Received: nan"),
    (SPARSE, [0, np.inf], (3,), "expects class numbers from 0 to 2, .*Received: 0.0 to inf"),
    (SPARSE, EYE, (3,), r"of shape \(3,\). Received: \(3, 3\). One-hot targets go with the loss 'categorical_cross"),
    (DENSE, [0, 1, 2], (3,), r"of shape \(3, 3\). Received: \(3,\). Class numbers go with the loss 'sparse_categ"),
    (DENSE, [[0], [1]], (3,), r"Received: \(2, 1\). Class numbers go with the loss 'sparse_categorical_crossentropy'"),
    (DENSE, EYE, (4,), r"expects targets of shape \(3, 4\). Received: \(3, 3\).$"),
    (BINARY, EYE, (1,), r"expects targets of shape \(3, 1\). Received: \(3, 3\)"),
    ("mse", ["a"], (1,), "expected an array of numbers, one entry per sample. Received: list of dtype <U1"),
    ("mse", [None], (1,), "expected an array of numbers.* dtype object"),
    ("mse", 5.0, (1,), r"expected an array of numbers, one entry per sample.* shape \(\)"),
    ("mse", [1j], (1,), "expected an array of numbers.* dtype complex128"),
]


@pytest.mark.parametrize("name, y, shape, message", REFUSED)
def test_refuses_targets(name, y, shape, message):
    with pytest.raises(ValueError, match=f"labels: .*{message}"):
        losses.get(name).target(y, shape, "labels")


@pytest.mark.parametrize("name", [SPARSE, DENSE, BINARY, "mse", "mean_squared_error"])
def test_names_classes_and_configurations(name):
    loss = losses.get(name)
    assert loss.name == name and losses.get(type(loss).__name__).__class__ is type(loss) is type(losses.get(type(loss)))
    assert losses.get(loss) is loss
    again = losses.get(losses.serialize(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    if hasattr(loss, "from_logits"):
        assert losses.get(losses.serialize(type(loss)(from_logits=True))).from_logits


def test_a_function_as_a_loss():
    loss = losses.get(lambda y, p: ops.add(ops.mean_squared_error(y, p), ops.binary_crossentropy(y, p)))
    expected = ref.mean_squared_error(SHARES, P / 2) + ref.binary_crossentropy(SHARES, P / 2)
    assert loss(SHARES, P / 2) == pytest.approx(expected.mean(), rel=1e-6)
    with pytest.raises(ValueError, match="loss: '<lambda>' cannot be saved"):
        losses.serialize(loss)


@pytest.mark.parametrize("bad", ["mean_absolute", 3, None, {"class_name": "Mine", "config": {}}])
def test_refuses_unknown_losses(bad):
    with pytest.raises(ValueError, match="loss: expected "):
        losses.get(bad)
