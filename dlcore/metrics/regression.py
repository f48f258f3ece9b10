"""Means of losses as metrics, and what they leave unexplained: errors, cross-entropies, R2."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dlcore import ops
from dlcore.losses import functions
from dlcore.losses.weights import aligned
from dlcore.metrics.base import MeanMetricWrapper, Metric, plain
from dlcore.ops import Tensor


class MeanSquaredError(MeanMetricWrapper):
    """The mean of (prediction - target)^2.

    https://keras.io/api/metrics/regression_metrics/#meansquarederror-class
    """

    def __init__(self, name: str = "mean_squared_error", dtype: str | None = None):
        super().__init__(functions.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of |prediction - target|.

    https://keras.io/api/metrics/regression_metrics/#meanabsoluteerror-class
    """

    def __init__(self, name: str = "mean_absolute_error", dtype: str | None = None):
        super().__init__(functions.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of 100 |prediction - target| / |target|.

    https://keras.io/api/metrics/regression_metrics/#meanabsolutepercentageerror-class
    """

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: str | None = None):
        super().__init__(functions.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of (log(1 + prediction) - log(1 + target))^2.

    https://keras.io/api/metrics/regression_metrics/#meansquaredlogarithmicerror-class
    """

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: str | None = None):
        super().__init__(functions.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    """The mean of log cosh (prediction - target).

    https://keras.io/api/metrics/regression_metrics/
    """

    def __init__(self, name: str = "logcosh", dtype: str | None = None):
        super().__init__(functions.log_cosh, name, dtype)


class Hinge(MeanMetricWrapper):
    """The mean of max(1 - target * prediction, 0).

    https://keras.io/api/metrics/hinge_metrics/#hinge-class
    """

    def __init__(self, name: str = "hinge", dtype: str | None = None):
        super().__init__(functions.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean of max(1 - target * prediction, 0)^2.

    https://keras.io/api/metrics/hinge_metrics/#squaredhinge-class
    """

    def __init__(self, name: str = "squared_hinge", dtype: str | None = None):
        super().__init__(functions.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean of max(1 + the greatest wrong prediction - the right one, 0).

    https://keras.io/api/metrics/hinge_metrics/#categoricalhinge-class
    """

    def __init__(self, name: str = "categorical_hinge", dtype: str | None = None):
        super().__init__(functions.categorical_hinge, name, dtype)


class KLDivergence(MeanMetricWrapper):
    """The mean of sum target * log(target / prediction).

    https://keras.io/api/metrics/probabilistic_metrics/#kldivergence-class
    """

    def __init__(self, name: str = "kl_divergence", dtype: str | None = None):
        super().__init__(functions.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean of prediction - target * log(prediction).

    https://keras.io/api/metrics/probabilistic_metrics/#poisson-class
    """

    def __init__(self, name: str = "poisson", dtype: str | None = None):
        super().__init__(functions.poisson, name, dtype)


class RootMeanSquaredError(MeanMetricWrapper):
    """The square root of the mean of (prediction - target)^2.

    https://keras.io/api/metrics/regression_metrics/#rootmeansquarederror-class
    """

    elementwise = True

    def __init__(self, name: str = "root_mean_squared_error", dtype: str | None = None):
        super().__init__(functions.mean_squared_error, name, dtype)

    def values(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> Tensor:
        if weight is None or weight.ndim < p.ndim:
            return super().values(y, p)
        return ops.square(ops.subtract(p, y))  # a weight for each entry

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        return float(np.sqrt(super().result_of(totals, count)))


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between target and prediction: 1 where they agree, unlike the loss.

    https://keras.io/api/metrics/regression_metrics/#cosinesimilarity-class

    Args:
        axis: along which vectors lie.
    """

    def __init__(self, name: str = "cosine_similarity", dtype: str | None = None, axis: int = -1):
        super().__init__(functions.cosine, name, dtype, axis=axis)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean binary cross-entropy.

    https://keras.io/api/metrics/probabilistic_metrics/#binarycrossentropy-class

    Args:
        from_logits, label_smoothing: as in the loss.
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        arguments = dict(from_logits=from_logits, label_smoothing=label_smoothing)
        super().__init__(functions.binary_crossentropy, name, dtype, **arguments)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy with one-hot targets.

    https://keras.io/api/metrics/probabilistic_metrics/#categoricalcrossentropy-class

    Args:
        from_logits, label_smoothing, axis: as in the loss.
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        arguments = dict(from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)
        super().__init__(functions.categorical_crossentropy, name, dtype, **arguments)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy with class numbers as targets.

    https://keras.io/api/metrics/probabilistic_metrics/#sparsecategoricalcrossentropy-class

    Args:
        from_logits, axis: as in the loss.
        ignore_class: samples of this class add 0. They count, unless there are weights: theirs are 0 then.
    """

    sparse = True

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        options = dict(from_logits=from_logits, ignore_class=ignore_class, axis=axis)
        super().__init__(functions.sparse_categorical_crossentropy, name, dtype, **options)

    def contributions(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        ignore = self.arguments["ignore_class"]
        if weight is not None and ignore is not None:
            counts = ops.not_equal(ops.cast(y, "float32"), float(ignore))
            weight = ops.multiply(counts, aligned(weight, counts, self.name))
        return super().contributions(y, p, weight)


class R2Score(Metric):
    """1 - residual sum of squares / total sum of squares: the share of the variance that predictions explain.

    https://keras.io/api/metrics/regression_metrics/#r2score-class

    Args:
        class_aggregation: "uniform_average" of the outputs, "variance_weighted_average", or None for an array.
        num_regressors: of the adjusted score; 0 for the score itself.

    Raises:
        ValueError: an unknown aggregation, or fewer than 0 regressors.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: str | None = None,
    ):
        super().__init__(dtype, name)
        allowed = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in allowed:
            raise ValueError(
                f"{self.name}: class_aggregation must be one of {allowed}. "
                f"Received: class_aggregation={class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(f"{self.name}: num_regressors must be >= 0. Received: num_regressors={num_regressors}")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def contributions(self, y: Tensor, p: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        if p.ndim != 2:
            raise ValueError(f"{self.name}: expected predictions (batch, outputs). Received: rank {p.ndim}")
        found = {"sum": y, "squares": ops.square(y), "residual": ops.square(ops.subtract(y, p))}
        if weight is None:
            return found
        column = ops.reshape(weight, (None, 1)) if weight.ndim == 1 else weight
        each = ops.multiply(ops.rescale(y, 0.0, 1.0), column)
        return {**{key: ops.multiply(value, each) for key, value in found.items()}, "count": each}

    def result_of(self, totals: dict[str, np.ndarray], count: float) -> Any:
        weights = totals.get("count", count)
        with np.errstate(divide="ignore", invalid="ignore"):
            variation = totals["squares"] - totals["sum"] ** 2 / weights
            scores = 1 - totals["residual"] / variation
            scores = np.where(np.isinf(scores), 0.0, scores)
            if self.class_aggregation == "uniform_average":
                scores = scores.mean()
            elif self.class_aggregation == "variance_weighted_average":
                scores = (variation * scores).sum() / variation.sum()
        entries, k = count * np.size(totals["sum"]), self.num_regressors
        if k and k >= entries - 1:
            warnings.warn(f"{self.name}: too few samples for an adjusted score of {k} regressors", stacklevel=2)
        elif k:
            scores = 1 - (1 - scores) * (entries - 1) / (entries - k - 1)
        return plain(scores)

    def get_config(self) -> dict[str, Any]:
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}
