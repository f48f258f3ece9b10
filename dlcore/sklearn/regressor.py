"""DLRegressor: a network that predicts numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import _extras, layers
from dlcore.models import Model, Sequential
from dlcore.sklearn.base import Estimator
from dlcore.sklearn.networks import trunk

RegressorMixin = _extras.require("sklearn.base", "sklearn").RegressorMixin


class DLRegressor(RegressorMixin, Estimator):  # type: ignore[misc, valid-type]
    """A regressor of one or more numbers.

    https://scikit-learn.org/stable/glossary.html#term-regressor

    Args:
        model: as of `DLClassifier`; `y` and `meta` of a function are the targets (n, outputs) and n_features_in_,
            input_shape_, n_outputs_, X_dtype_. The default network learns standardised targets. The output is
            (None, outputs).
        loss: default "mse".
        validation_split: share of the samples, drawn at random, to validate on.
        optimizer, learning_rate, metrics, batch_size, epochs, verbose, callbacks, shuffle, warm_start, random_state,
            input_shape, model_kwargs, fit_kwargs: as of `DLClassifier`.

    Attributes:
        model_: the trained Model.
        n_outputs_: numbers predicted for a sample.
        n_features_in_, input_shape_, feature_names_in_, history_, n_iter_: as of `DLClassifier`.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _more_tags(self) -> dict[str, Any]:
        return {"multioutput": True}  # the same, before scikit-learn 1.6

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch on these samples, going on with the network as it is.

        Raises: as `fit`.
        """
        return self._train(X, y, sample_weight, {}, fresh=not hasattr(self, "model_"), once=True)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, float64: (n,) where y was, else (n, outputs)."""
        raw = self._outputs(X)
        return raw[:, 0] if self._flat else raw

    def _y_checks(self) -> dict[str, Any]:
        return {"multi_output": True, "y_numeric": True}

    def _encoded(self, y: np.ndarray, fresh: bool = False, once: bool = False) -> np.ndarray:
        """float32 (n, outputs)"""
        if fresh:
            self._flat, self.n_outputs_ = y.ndim == 1, 1 if y.ndim == 1 else y.shape[1]
        y = y.reshape(len(y), -1)
        if y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"DLRegressor: expected targets of {self.n_outputs_} numbers for each sample. Received: {y.shape[1]}"
            )
        return y.astype(np.float32)

    def _default(self, X: np.ndarray, y: np.ndarray) -> Model:
        mean, deviation = y.mean(axis=0, dtype=np.float64), y.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 0, deviation, 1.0)
        return Sequential([*trunk(X), layers.Dense(self.n_outputs_), layers.Rescaling(scale, mean)])

    def _loss(self, outputs: int) -> Any:
        return "mse" if self.loss is None else self.loss

    def _check_outputs(self, outputs: int) -> None:
        if outputs != self.n_outputs_:
            raise ValueError(
                f"DLRegressor: expected a model with {self.n_outputs_} outputs, as y has. Received: {outputs} outputs"
            )
