"""Every metric: the values that Keras documents, by hand and within a graph, with weights; configurations, mistakes."""

import copy
import json
import pickle

import numpy as np
import pytest
from graphs import gathers
from harness import uniform

from dlcore import Sequential, layers, losses, metrics, ops
from dlcore.graph.eager import Sinks
from dlcore.metrics.base import Measured

ROWS, SOFT = [[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]]
FOUR = [[0, 1], [0, 0]]
SEQUENCE = ([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
W, LATER = [1, 0], [1, 0, 0, 1]
F_TRUE, F_PRED = [[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
PUBLISHED = [  # class, arguments, targets, predictions, sample_weight, value in the documentation of Keras
    ("Accuracy", {}, [[1], [2], [3], [4]], [[0], [2], [3], [4]], None, 0.75),
    ("Accuracy", {}, [[1], [2], [3], [4]], [[0], [2], [3], [4]], [1, 1, 0, 0], 0.5),
    ("BinaryAccuracy", {}, [[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]], None, 0.75),
    ("BinaryAccuracy", {}, [[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]], [1, 0, 0, 1], 0.5),
    ("CategoricalAccuracy", {}, ROWS, SOFT, None, 0.5),
    ("CategoricalAccuracy", {}, ROWS, SOFT, [0.7, 0.3], 0.3),
    ("SparseCategoricalAccuracy", {}, [[2], [1]], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]], None, 0.5),
    ("SparseCategoricalAccuracy", {}, [[2], [1]], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]], [0.7, 0.3], 0.3),
    ("TopKCategoricalAccuracy", dict(k=1), ROWS, SOFT, None, 0.5),
    ("TopKCategoricalAccuracy", dict(k=1), ROWS, SOFT, [0.7, 0.3], 0.3),
    ("SparseTopKCategoricalAccuracy", dict(k=1), [2, 1], SOFT, None, 0.5),
    ("SparseTopKCategoricalAccuracy", dict(k=1), [2, 1], SOFT, [0.7, 0.3], 0.3),
    ("MeanSquaredError", {}, FOUR, [[1, 1], [0, 0]], None, 0.25),
    ("MeanSquaredError", {}, FOUR, [[1, 1], [0, 0]], W, 0.5),
    ("RootMeanSquaredError", {}, FOUR, [[1, 1], [0, 0]], None, 0.5),
    ("RootMeanSquaredError", {}, FOUR, [[1, 1], [0, 0]], W, 0.70710677),
    ("MeanAbsoluteError", {}, FOUR, [[1, 1], [0, 0]], W, 0.5),
    ("MeanAbsolutePercentageError", {}, FOUR, [[1, 1], [0, 0]], None, 250000000.0),
    ("MeanSquaredLogarithmicError", {}, FOUR, [[1, 1], [0, 0]], None, 0.12011322),
    ("LogCoshError", {}, FOUR, [[1, 1], [0, 0]], None, 0.10844523),
    ("CosineSimilarity", dict(axis=1), FOUR, [[1, 1], [0, 0]], None, 0.35355338),
    ("CosineSimilarity", dict(axis=1), [[0, 1], [1, 1]], [[1, 0], [1, 1]], [0.3, 0.7], 0.7),
    ("R2Score", {}, [[1], [4], [3]], [[2], [4], [4]], None, 0.57142854),
    ("Hinge", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], None, 1.3),
    ("Hinge", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], W, 1.1),
    ("SquaredHinge", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], None, 1.86),
    ("CategoricalHinge", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], None, 1.4),
    ("KLDivergence", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], None, 0.45814306),
    ("Poisson", {}, FOUR, [[1, 1], [0, 0]], None, 0.49999997),
    ("BinaryCrossentropy", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], None, 0.81492424),
    ("BinaryCrossentropy", {}, FOUR, [[0.6, 0.4], [0.4, 0.6]], W, 0.9162905),
    ("CategoricalCrossentropy", {}, [[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]], None, 1.1769392),
    ("SparseCategoricalCrossentropy", {}, [1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]], None, 1.1769392),
    ("SparseCategoricalCrossentropy", {}, [1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]], [0.3, 0.7], 1.6271976),
    ("Precision", {}, [0, 1, 1, 1], [1, 0, 1, 1], None, 0.6666667),
    ("Precision", {}, [0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0], 1.0),
    ("Precision", dict(top_k=2), [[0, 0, 1, 1]], [[1, 1, 1, 1]], None, 0.0),
    ("Precision", dict(top_k=4), [[0, 0, 1, 1]], [[1, 1, 1, 1]], None, 0.5),
    ("Recall", {}, [0, 1, 1, 1], [1, 0, 1, 1], None, 0.6666667),
    ("Recall", {}, [0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0], 1.0),
    ("TruePositives", {}, [0, 1, 1, 1], [1, 0, 1, 1], None, 2.0),
    ("FalsePositives", {}, [0, 1, 0, 0], [0, 0, 1, 1], None, 2.0),
    ("TrueNegatives", {}, [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], 1.0),
    ("FalseNegatives", {}, [0, 1, 1, 1], [0, 1, 0, 0], None, 2.0),
    ("AUC", dict(num_thresholds=3), *SEQUENCE, None, 0.75),
    ("AUC", dict(num_thresholds=3), *SEQUENCE, LATER, 1.0),
    ("SensitivityAtSpecificity", dict(specificity=0.5), [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.5),
    ("SpecificityAtSensitivity", dict(sensitivity=0.5), [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.66666667),
    ("PrecisionAtRecall", dict(recall=0.5), [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.5),
    ("RecallAtPrecision", dict(precision=0.8), *SEQUENCE, None, 0.5),
    ("F1Score", dict(threshold=0.5), F_TRUE, F_PRED, None, [0.5, 0.8, 0.6666667]),
    ("FBetaScore", dict(beta=2.0, threshold=0.5), F_TRUE, F_PRED, None, [0.3846154, 0.90909094, 0.8333334]),
    ("IoU", dict(num_classes=2, target_class_ids=[0]), [0, 0, 1, 1], [0, 1, 0, 1], None, 0.33333334),
    ("IoU", dict(num_classes=2, target_class_ids=[0]), [0, 0, 1, 1], [0, 1, 0, 1], [0.3, 0.3, 0.3, 0.1], 0.33333334),
    ("MeanIoU", dict(num_classes=2), [0, 0, 1, 1], [0, 1, 0, 1], None, 0.33333334),
    ("BinaryIoU", dict(threshold=0.3), [0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7], None, 0.33333334),
    ("OneHotIoU", dict(num_classes=3, target_class_ids=[0, 2]), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]],
     [[0.2, 0.3, 0.5], [0.1, 0.2, 0.7], [0.5, 0.3, 0.1], [0.1, 0.4, 0.5]], [0.1, 0.2, 0.3, 0.4], 0.07142857),
    ("OneHotMeanIoU", dict(num_classes=3), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]],
     [[0.2, 0.3, 0.5], [0.1, 0.2, 0.7], [0.5, 0.3, 0.1], [0.1, 0.4, 0.5]], [0.1, 0.2, 0.3, 0.4], 0.04761905),
    ("ConfusionMatrix", {}, ROWS, SOFT, None, [[0, 0, 0], [0, 1, 0], [0, 1, 0]]),
    ("ConfusionMatrix", {}, [2, 1], SOFT, [3, 0.5], [[0, 0, 0], [0, 0.5, 0], [0, 3, 0]]),
    ("ConfusionMatrix", {}, [0, 1, 1], [0.2, 0.3, 0.9], None, [[1, 0], [1, 1]]),
]  # fmt: skip
CASE = pytest.mark.parametrize("name, how, y, p, weight, value", PUBLISHED, ids=[case[0] for case in PUBLISHED])


def test_the_table_has_every_metric():
    assert {case[0] for case in PUBLISHED} == {cls.__name__ for cls in metrics.CLASSES}


@CASE
def test_published_values(name, how, y, p, weight, value):
    metric = getattr(metrics, name)(**how)
    metric.update_state(y, p, sample_weight=weight)
    got = metric.result()
    assert type(got) is float or (isinstance(got, np.ndarray) and got.shape == np.shape(value))
    np.testing.assert_allclose(got, value, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(metric(y, p, weight), value if np.ndim(value) < 2 and "Pos" not in name
                               and "Neg" not in name else 2 * np.asarray(value), rtol=2e-6, atol=1e-6)  # fmt: skip
    metric.reset_state()
    empty = metric.result()
    assert np.shape(empty) in ((), np.shape(value), (0, 0)) and not np.any(np.nan_to_num(empty))
    np.testing.assert_allclose(metric(y, p, weight), value, rtol=2e-6, atol=1e-6)


@CASE
def test_configurations_round_trip(name, how, y, p, weight, value):
    metric = getattr(metrics, name)(name="mine", **how)
    config = json.loads(json.dumps(metric.get_config()))
    assert {"name", "dtype", *how} <= set(config) and config["name"] == "mine"
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    assert type(again) is type(metric) and again.get_config() == metric.get_config()
    metric.update_state(y, p, weight)
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        np.testing.assert_array_equal(twin.result(), metric.result())
        np.testing.assert_allclose(again(y, p, weight), value, rtol=2e-6, atol=1e-6)
        again.reset_state()
        twin.update_state(y, p, weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cls", metrics.CLASSES)
def test_batches_of_any_size_make_one_whole(cls, weighted):
    """In a graph, with samples of several positions, in batches."""
    how = {"num_classes": 4, "target_class_ids": [0, 1], "specificity": 0.4, "sensitivity": 0.4, "recall": 0.4}
    how["precision"] = 0.4
    code = cls.__init__.__code__
    needed = [n for n in code.co_varnames[1 : code.co_argcount] if n in how]
    metric = cls(**{key: how[key] for key in needed})
    flat = isinstance(metric, (metrics.FBetaScore, metrics.R2Score))
    shape = (10, 4) if flat else (10, 3, 4)
    p, y = (
        abs(uniform(*shape)) + 0.01,
        np.eye(4, dtype=np.float32)[np.arange(np.prod(shape[:-1])).reshape(shape[:-1]) % 4],
    )
    if metric.sparse or (isinstance(metric, metrics.IoU) and metric.sparse_y_true):
        y = y.argmax(axis=-1).astype(np.int32)
    if isinstance(metric, metrics.IoU) and metric.sparse_y_pred:
        p = p.argmax(axis=-1).astype(np.float32)[..., None]
    arrays = [y, p] + ([abs(uniform(*shape[: 1 if flat else 2], seed=1))] if weighted else [])
    whole = cls(**{key: how[key] for key in needed})(*arrays)
    measured = Measured(metric)

    def make(y, p, w=None):
        metric.record(measured, y, p, w)
        return measured.sinks, measured.placed

    sinks = Sinks(make, *arrays)
    for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
        sinks(*[array[part] for array in arrays])
        metric.update_state(*[array[part] for array in arrays])
    np.testing.assert_allclose(measured.result(), whole, rtol=1e-6)
    np.testing.assert_allclose(metric.result(), whole, rtol=1e-6)
    measured.reset()
    assert not any(total.any() for total in measured.placed.values())


def test_several_thresholds_give_arrays():
    y, p = [0, 1, 1, 1], [0.2, 0.3, 0.6, 0.9]
    np.testing.assert_allclose(metrics.Recall(thresholds=[0.8, 0.1, 0.5])(y, p), [1 / 3, 1, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(metrics.FalsePositives(thresholds=[0.1, 0.5])(y, p), [1, 0])


def test_mean_and_sum_of_values():
    for cls, plain, weighted in ((metrics.Mean, 4, 2), (metrics.Sum, 16, 4)):
        m = cls()
        assert m([1, 3, 5, 7]) == plain
        m.reset_state()
        assert m([1, 3, 5, 7], sample_weight=[1, 1, 0, 0]) == weighted and cls().result() == 0
    m = metrics.Mean()
    m.update_state([[1, 2], [3, 4]], sample_weight=[[1, 0], [1, 1]])
    m.update_state(6.0)
    assert m.result() == pytest.approx((0.5 + 3.5 + 6) / 2.5)
    with pytest.raises(
        ValueError, match=r"mean: sample_weight of shape \(3,\) does not go with values of shape \(2,\)"
    ):
        m.update_state([1, 2], [1, 2, 3])


def test_functions():
    np.testing.assert_array_equal(metrics.categorical_accuracy(ROWS, SOFT), [0, 1])
    np.testing.assert_array_equal(metrics.sparse_top_k_categorical_accuracy([2, 1], SOFT, k=2), [1, 1])
    np.testing.assert_allclose(metrics.binary_accuracy([[1, 1, 0, 0]], [[0.9, 0.2, 0.3, 0.4]]), [0.75])
    np.testing.assert_allclose(metrics.mean_absolute_error(FOUR, [[1, 1], [0, 0]]), [0.5, 0])


def test_names_are_those_of_keras():
    for word, name in [("mse", "mse"), ("MAE", "MAE"), ("auc", "auc"), ("Precision", "Precision"), ("mape", "mape"),
                       ("root_mean_squared_error", "root_mean_squared_error"), ("r2_score", "r2_score")]:  # fmt: skip
        assert metrics.get(word, losses.get("mse"), (None, 1)).name == name
    assert [cls().name for cls in (metrics.AUC, metrics.Precision, metrics.TruePositives, metrics.F1Score)] == [
        "auc", "precision", "true_positives", "f1_score"]  # fmt: skip
    assert metrics.MeanIoU(num_classes=2).name == "mean_io_u" and metrics.LogCoshError().name == "logcosh"
    assert metrics.get(metrics.huber).name == "huber" and metrics.get("huber").name == "huber"
    assert metrics.get(losses.Huber(name="mine")).name == "mine" and metrics.get(metrics.AUC).name == "auc"
    assert metrics.get(metrics.Recall(name="found")).name == "found"
    assert type(metrics.get("ce", losses.get("sparse_categorical_crossentropy"), (None, 4))) is (
        metrics.SparseCategoricalCrossentropy
    )


def test_in_a_model():
    x, y = uniform(50, 3), (np.arange(50) % 3 == 0).astype(np.float32)
    m = Sequential([layers.Input((3,)), layers.Dense(1, activation="sigmoid")])

    def distance(y, p):
        return ops.abs(ops.subtract(y, p))

    chosen = ["accuracy", "auc", metrics.Precision(thresholds=[0.3, 0.6], name="hits"), distance, "binary_io_u"]
    m.compile("sgd", "binary_crossentropy", metrics=[*chosen, metrics.ConfusionMatrix(), losses.Huber()])
    logs = m.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    p = m.predict(x)
    assert list(logs) == [
        "loss", "accuracy", "auc", "hits", "distance", "binary_io_u", "confusion_matrix", "huber_loss"]  # fmt: skip
    for name, metric in [("auc", metrics.AUC()), ("hits", metrics.Precision(thresholds=[0.3, 0.6])),
                         ("binary_io_u", metrics.BinaryIoU()), ("confusion_matrix", metrics.ConfusionMatrix()),
                         ("accuracy", metrics.BinaryAccuracy())]:  # fmt: skip
        np.testing.assert_allclose(logs[name], metric(y[:, None], p), rtol=1e-5)
    assert logs["distance"] == pytest.approx(abs(y - p[:, 0]).mean(), rel=1e-5)
    assert list(m.fit(x, y, verbose=0).history) == list(logs)


REFUSED = [
    (lambda: metrics.get("iou"), "expected 'accuracy' or one of"),
    (lambda: metrics.get("mean_io_u"), r"metrics: 'mean_io_u' needs arguments; give MeanIoU\(...\) itself"),
    (lambda: metrics.get("auc", losses.SparseCategoricalCrossentropy(), (None, 4)), "'auc' does not go with the loss"),
    (lambda: metrics.Precision(thresholds=[0.5, 2]), r"Precision: thresholds must be in \[0, 1\]. Received: \[2\]"),
    (lambda: metrics.Recall(top_k=0), "recall: top_k must be an int >= 1. Received: top_k=0"),
    (lambda: metrics.Recall(class_id=-1), "recall: class_id must be an int >= 0. Received: class_id=-1"),
    (lambda: metrics.Recall(class_id=3)([[1, 0]], [[1, 0]]), "class_id=3 is none of the 2 entries of a prediction"),
    (lambda: metrics.AUC(num_thresholds=1), "auc: num_thresholds must be an int >= 2. Received: num_thresholds=1"),
    (lambda: metrics.AUC(curve="LIFT"), "auc: curve must be 'ROC', 'PR' or 'PRGAIN'. Received: curve='LIFT'"),
    (lambda: metrics.AUC(summation_method="mid"), r"auc: summation_method must be .*summation_method='mid'"),
    (lambda: metrics.AUC(thresholds=[-1, 0.5]), r"auc: thresholds must be in \[0, 1\]. Received: \[-1, 0.5\]"),
    (lambda: metrics.AUC(num_labels=3), "auc: num_labels needs multi_label=True. Received: num_labels=3"),
    (lambda: metrics.AUC(multi_label=True)(np.ones((2, 2, 2)), np.ones((2, 2, 2))), r"auc: .*\(batch, labels\)"),
    (lambda: metrics.PrecisionAtRecall(1.5), r"PrecisionAtRecall: recall must be a number in \[0, 1\].*recall=1.5"),
    (lambda: metrics.F1Score(average="all"), "f1_score: average must be None, 'micro', .*average='all'"),
    (lambda: metrics.FBetaScore(beta=0.0), "fbeta_score: beta must be a float > 0. Received: beta=0.0"),
    (lambda: metrics.F1Score(threshold=2.0), r"f1_score: threshold must be a float in .*threshold=2.0"),
    (lambda: metrics.F1Score()(np.ones((2, 2, 2)), np.ones((2, 2, 2))), r"f1_score: .* \(batch, classes\).* rank 3"),
    (lambda: metrics.R2Score(class_aggregation="mean"), r"r2_score: class_aggregation must be one of .*'mean'"),
    (lambda: metrics.R2Score(num_regressors=-1), "r2_score: num_regressors must be >= 0. Received: num_regressors=-1"),
    (lambda: metrics.R2Score()(np.ones((2, 2, 2)), np.ones((2, 2, 2))), r"r2_score: .* \(batch, outputs\).* rank 3"),
    (lambda: metrics.IoU(2, [2]), r"io_u: target_class_ids must be classes from 0 to 1. .*target_class_ids=\[2\]"),
    (lambda: metrics.MeanIoU(2)([0, 1], [[0.1, 0.9], [0.2, 0.8]]), "expected classes and predicted classes of one"),
    (lambda: metrics.Mean(dtype="float16"), "mean: dtype must be None or 'float32'. Received: dtype='float16'"),
    (lambda: metrics.MeanSquaredError()([[1, 2]], [[1, 2, 3]]), r"y_true of shape \(1, 2\) does not go with y_pred"),
    (lambda: metrics.MeanSquaredError()(FOUR, FOUR, [1, 2, 3]), r"sample_weight of shape \(3,\) does not go with"),
    (lambda: metrics.Precision()(FOUR, FOUR, np.ones((2, 3))), r"precision: sample_weight of shape .* does not"),
]  # fmt: skip


@pytest.mark.parametrize("i", range(len(REFUSED)))
def test_refuses(i):
    bad, message = REFUSED[i]
    with pytest.raises(ValueError, match=message):
        bad()


def test_refuses_another_shape_than_before():
    metric = metrics.F1Score()
    metric.update_state(FOUR, FOUR)
    with pytest.raises(ValueError, match=r"f1_score: predictions of another shape than before. .*\(2, 3\)"):
        metric.update_state(ROWS, SOFT)
    with pytest.raises(ValueError, match="has no name in a file"):
        metrics.serialize(lambda y, p: p)
    a, b = gathers(p=uniform(3, 2), y=uniform(3, 2))
    with pytest.raises(TypeError, match=r"Metric must define contributions\(y, p, weight\)"):
        Measured.of(metrics.Metric(), b, a)


def test_nan_in_nan_out():
    p = np.float32([[np.nan, 0.7], [0.2, 0.3]])
    for name in ("MeanSquaredError", "AUC", "Precision", "R2Score"):
        assert np.isnan(getattr(metrics, name)()([[1.0, 0.0], [0.0, 1.0]], p)), name


def test_one_row_by_hand_has_its_own_top_k():
    y, p = np.array([0, 1, 1, 0, 0]), np.array([0.2, 0.1, 0.5, 0, 0.2])
    assert metrics.Precision(top_k=3)(y, p) == pytest.approx(1 / 3)
    assert metrics.Recall(top_k=3)(y, p) == pytest.approx(0.5)


def test_classes_that_the_crossentropy_ignores():
    y, p = np.array([0, 1, 2]), np.array([[0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.1, 0.8, 0.1]])
    losses = -np.log([1, 0.95, 0.1])
    assert metrics.SparseCategoricalCrossentropy(ignore_class=0)(y, p) == pytest.approx(losses.mean(), rel=1e-5)
    weight = np.array([0.5, 1.5, 2.0])
    expected = (losses * weight)[1:].sum() / weight[1:].sum()
    found = metrics.SparseCategoricalCrossentropy(ignore_class=0)(y, p, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-5)


def test_top_k_of_sorted_ids():
    metric = metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)
    assert metric([4, 7, 1], [[4, 2, 1], [1, 7, 3], [3, 2, 1]]) == pytest.approx(2 / 3)
    assert type(metric).from_config(metric.get_config()).from_sorted_ids
