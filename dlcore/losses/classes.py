"""Losses of numbers, margins and overlaps as classes: their arguments. The formulas are in `functions`."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore.losses import functions
from dlcore.losses.base import MEAN, LossFunctionWrapper, number, whole


class MeanSquaredError(LossFunctionWrapper):
    """(prediction - target)^2, the mean over the last axis.

    https://keras.io/api/losses/regression_losses/#meansquarederror-class
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_squared_error", dtype: str | None = None):
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """|prediction - target|, the mean over the last axis.

    https://keras.io/api/losses/regression_losses/#meanabsoluteerror-class
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_absolute_error", dtype: str | None = None):
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """100 |prediction - target| / |target|, the mean over the last axis; |target| counts as 1e-7 at least.

    https://keras.io/api/losses/regression_losses/#meanabsolutepercentageerror-class
    """

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_absolute_percentage_error", dtype: str | None = None
    ):
        super().__init__(functions.mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """(log(1 + prediction) - log(1 + target))^2, the mean over the last axis; both count as 1e-7 at least.

    https://keras.io/api/losses/regression_losses/#meansquaredlogarithmicerror-class
    """

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_squared_logarithmic_error", dtype: str | None = None
    ):
        super().__init__(functions.mean_squared_logarithmic_error, reduction, name, dtype)


class LogCosh(LossFunctionWrapper):
    """log cosh (prediction - target), the mean over the last axis: squares near zero, absolute values far from it.

    https://keras.io/api/losses/regression_losses/#logcosh-class
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "log_cosh", dtype: str | None = None):
        super().__init__(functions.log_cosh, reduction, name, dtype)


class Hinge(LossFunctionWrapper):
    """max(1 - target * prediction, 0), the mean over the last axis; targets -1 and 1, or 0 and 1.

    https://keras.io/api/losses/hinge_losses/#hinge-class
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "hinge", dtype: str | None = None):
        super().__init__(functions.hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """max(1 - target * prediction, 0)^2, the mean over the last axis; targets -1 and 1, or 0 and 1.

    https://keras.io/api/losses/hinge_losses/#squaredhinge-class
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "squared_hinge", dtype: str | None = None):
        super().__init__(functions.squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """max(1 + the greatest wrong prediction - the right one, 0); targets are one-hot over the last axis.

    https://keras.io/api/losses/hinge_losses/#categoricalhinge-class
    """

    categorical = True

    def __init__(self, reduction: str | None = MEAN, name: str = "categorical_hinge", dtype: str | None = None):
        super().__init__(functions.categorical_hinge, reduction, name, dtype)


class KLDivergence(LossFunctionWrapper):
    """sum target * log(target / prediction) over the last axis, both clipped to [1e-7, 1].

    https://keras.io/api/losses/probabilistic_losses/#kldivergence-class
    """

    between = (0, 1)

    def __init__(self, reduction: str | None = MEAN, name: str = "kl_divergence", dtype: str | None = None):
        super().__init__(functions.kl_divergence, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """prediction - target * log(prediction + 1e-7), the mean over the last axis.

    https://keras.io/api/losses/probabilistic_losses/#poisson-class
    """

    between = (0, np.inf)

    def __init__(self, reduction: str | None = MEAN, name: str = "poisson", dtype: str | None = None):
        super().__init__(functions.poisson, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """e^2 / 2 where e = |prediction - target| <= delta, else delta e - delta^2 / 2; the mean over the last axis.

    https://keras.io/api/losses/regression_losses/#huber-class

    Args:
        delta: where squares become absolute values.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = MEAN,
        name: str = "huber_loss",
        dtype: str | None = None,
    ):
        super().__init__(functions.huber, reduction, name, dtype, delta=number(name, "delta", delta, 0))


class CosineSimilarity(LossFunctionWrapper):
    """-(the cosine of the angle between target and prediction): -1 where they agree, 1 where they are opposite.

    https://keras.io/api/losses/regression_losses/#cosinesimilarity-class

    Args:
        axis: along which vectors lie.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "cosine_similarity",
        dtype: str | None = None,
    ):
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=whole(name, "axis", axis))


class Dice(LossFunctionWrapper):
    """1 - 2 sum y p / (sum y + sum p): how little target and prediction overlap.

    https://keras.io/api/losses/hinge_losses/, https://arxiv.org/abs/1606.04797

    Args:
        axis: axes of a sample to sum over, such as (1, 2, 3), for one value each; None for one value of a whole batch.
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "dice", axis: Any = None, dtype: str | None = None):
        super().__init__(functions.dice, reduction, name, dtype, axis=axis)
        self.whole_batch = axis is None


class Tversky(LossFunctionWrapper):
    """1 - sum y p / (sum y p + alpha sum y (1 - p) + beta sum p (1 - y)): Dice with a price for each kind of mistake.

    https://keras.io/api/losses/hinge_losses/, https://arxiv.org/abs/1706.05721

    Args:
        alpha, beta: prices of what is missed, and of what is found though not there.
        axis: as for `Dice`.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "tversky",
        axis: Any = None,
        dtype: str | None = None,
    ):
        prices = dict(alpha=number(name, "alpha", alpha, 0), beta=number(name, "beta", beta, 0))
        super().__init__(functions.tversky, reduction, name, dtype, **prices, axis=axis)
        self.whole_batch = axis is None
