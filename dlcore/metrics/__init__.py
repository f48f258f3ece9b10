"""Metrics of Keras, by name, class and function: what each sample contributes to totals, and what the totals mean.
The arguments `name` and `dtype` of the classes are those of `Metric`.

https://keras.io/api/metrics/
"""

from __future__ import annotations

from typing import Any

from dlcore import _objects, losses
from dlcore._arguments import nearest
from dlcore.losses import BinaryCrossentropy as _BinaryLoss
from dlcore.losses import Loss
from dlcore.losses.base import snake_case
from dlcore.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from dlcore.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    F1Score,
    FBetaScore,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from dlcore.metrics.auc import AUC
from dlcore.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from dlcore.metrics.functions import (
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from dlcore.metrics.iou import (
    BinaryIoU,
    ConfusionMatrix,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
)
from dlcore.metrics.regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from dlcore.metrics.thresholds import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

CLASSES: tuple[type[Metric], ...] = (
    AUC,
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    BinaryIoU,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConfusionMatrix,
    CosineSimilarity,
    F1Score,
    FBetaScore,
    FalseNegatives,
    FalsePositives,
    Hinge,
    IoU,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanIoU,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    OneHotIoU,
    OneHotMeanIoU,
    Poisson,
    Precision,
    PrecisionAtRecall,
    R2Score,
    Recall,
    RecallAtPrecision,
    RootMeanSquaredError,
    SensitivityAtSpecificity,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SpecificityAtSensitivity,
    SquaredHinge,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
)
_FUNCTIONS = (
    binary_accuracy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_accuracy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_accuracy,
    sparse_categorical_crossentropy,
    sparse_top_k_categorical_accuracy,
    squared_hinge,
    top_k_categorical_accuracy,
)
_ALIASES: dict[str, type[Metric]] = {
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError,
}
_BY_NAME: dict[str, type[Metric]] = {
    **{snake_case(cls.__name__): cls for cls in CLASSES},
    **{cls.__name__: cls for cls in CLASSES},
    **_ALIASES,
}
NAMES = {*_BY_NAME, *(function.__name__ for function in _FUNCTIONS), "accuracy", "acc", "crossentropy", "ce"}


def get(identifier: Any, loss: Loss | None = None, output_shape: tuple[Any, ...] = ()) -> Metric:
    """A metric, which logs call by its name. "accuracy" and "acc" mean the accuracy that goes with the loss,
    "crossentropy" and "ce" the cross-entropy that does.

    Args:
        identifier: a name, a Metric, its class or config dict, a Loss, or a function of (y_true, y_pred).
        loss: what the model is trained for, or None.
        output_shape: of the model, batch in front.

    Raises:
        ValueError: an unknown name, or a metric of other targets than the loss has.
    """
    metric = _of_the_loss(identifier, loss, output_shape) or _made(identifier)
    if loss is not None and metric.sparse is not None and metric.sparse != loss.sparse:
        kind = "class numbers" if loss.sparse else "of the predictions' shape"
        raise ValueError(
            f"metrics: {metric.name!r} does not go with the loss {loss.name!r}, whose targets are {kind}; "
            "'accuracy' chooses the one that does"
        )
    return metric


def _of_the_loss(identifier: Any, loss: Loss | None, output_shape: tuple[Any, ...]) -> Metric | None:
    word = identifier.lower() if isinstance(identifier, str) else None
    kinds: tuple[type[Metric], ...]
    if word in ("accuracy", "acc"):
        kinds = (SparseCategoricalAccuracy, BinaryAccuracy, CategoricalAccuracy)
    elif word in ("crossentropy", "ce"):
        kinds = (SparseCategoricalCrossentropy, BinaryCrossentropy, CategoricalCrossentropy)
    else:
        return None
    binary = isinstance(loss, _BinaryLoss) or output_shape[-1:] == (1,)
    cls = kinds[0 if loss is not None and loss.sparse else 1 if binary else 2]
    return cls(name=identifier)


def _made(identifier: Any) -> Metric:
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, dict):
        name, config = identifier.get("class_name"), identifier.get("config", {})
        for cls in CLASSES:
            if cls.__name__ == name:
                return cls.from_config(config)
        if name == "MeanMetricWrapper":
            config = dict(config)
            fn = config.pop("fn", None)
            return MeanMetricWrapper(losses.get(fn) if isinstance(fn, dict) else _function(fn), **config)
        own = _objects.find(name, Metric)
        if isinstance(own, type):
            made: Metric = own.from_config(config)  # type: ignore[attr-defined]
            return made
    if isinstance(identifier, str) and identifier in _BY_NAME:
        try:
            return _BY_NAME[identifier](name=identifier)
        except TypeError:
            cls = _BY_NAME[identifier]
            raise ValueError(f"metrics: {identifier!r} needs arguments; give {cls.__name__}(...) itself") from None
    for function in _FUNCTIONS:
        if identifier in (function, function.__name__):
            return MeanMetricWrapper(function)
    if isinstance(identifier, str) and (own := _objects.find(identifier, Metric)) is not None:
        return _made(own)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    raise ValueError(
        f"metrics: expected 'accuracy' or one of {sorted(_BY_NAME)}, or a function. Received: {identifier!r}"
        f"{nearest(identifier, ['accuracy', *_BY_NAME])}"
    )


def _function(name: Any) -> Any:
    for function in _FUNCTIONS:
        if function.__name__ == name:
            return function
    own = _objects.find(name, Metric)
    if own is None or isinstance(own, type):
        raise ValueError(f"metrics: expected a function of dlcore.metrics or of the user. Received: {name!r}")
    return own


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Metric:
    """The metric that `serialize` described; custom_objects holds classes and functions of the user by name.

    Raises:
        ValueError: an unknown name.
    """
    with _objects.custom_object_scope(custom_objects):
        return _made(config)


def serialize(metric: Any) -> Any:
    """A name or config dict that `get` understands.

    Raises:
        ValueError: neither one of this module's classes or functions, nor one of the user's that has a name.
    """
    if isinstance(metric, str):
        return metric
    if isinstance(metric, type) and metric in CLASSES:
        return metric.__name__
    for function in _FUNCTIONS:
        if metric is function or (isinstance(metric, MeanMetricWrapper) and metric.fn is function):
            if type(metric) in CLASSES:
                break
            return function.__name__
    if type(metric) in CLASSES:
        return {"class_name": type(metric).__name__, "config": metric.get_config()}
    if isinstance(metric, Loss):
        return losses.serialize(metric)
    own = None
    if type(metric) is MeanMetricWrapper:
        fn = losses.serialize(metric.fn) if isinstance(metric.fn, Loss) else _objects.name_of(metric.fn, NAMES)
        own = fn and {"class_name": "MeanMetricWrapper", "config": {**metric.get_config(), "fn": fn}}
    else:
        own = _objects.described(metric, Metric, NAMES)
    if own is None:
        raise ValueError(f"metrics: {metric!r} has no name in a file")
    return own
