"""DLClassifier: a network that predicts labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import _extras, layers, losses
from dlcore.models import Model, Sequential
from dlcore.sklearn.base import Estimator
from dlcore.sklearn.networks import trunk

ClassifierMixin = _extras.require("sklearn.base", "sklearn").ClassifierMixin
_multiclass = _extras.require("sklearn.utils.multiclass", "sklearn")
_available_if = _extras.require("sklearn.utils.metaestimators", "sklearn").available_if
_class_weight = _extras.require("sklearn.utils.class_weight", "sklearn")

MARGINS = (losses.Hinge, losses.SquaredHinge, losses.CategoricalHinge)  # their outputs are no probabilities
EACH_CLASS = (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy, losses.Hinge, losses.SquaredHinge)
TINY = np.finfo(np.float32).tiny  # instead of 0 in logarithms


def _single(loss: Any) -> Any:
    """The only loss of a model, which a user's own `compile` may have been given in a list or dict."""
    return next(iter(loss.values() if isinstance(loss, dict) else loss)) if isinstance(loss, (dict, list)) else loss


def _has_probabilities(estimator: Any) -> bool:
    model = getattr(estimator, "model_", estimator.model)
    loss = _single(model.loss) if isinstance(model, Model) and model.loss is not None else estimator.loss
    return loss is None or not isinstance(losses.get(loss), MARGINS)


class DLClassifier(ClassifierMixin, Estimator):  # type: ignore[misc, valid-type]
    """A classifier of two or more classes, whose labels may be numbers or strings.

    https://scikit-learn.org/stable/glossary.html#term-classifier

    Args:
        model: None for a network that suits the shape of a sample: standardised inputs, then two dense layers for
            tables, or convolution and pooling for images (height, width) and (height, width, channels). Or a Model,
            which each fit copies with its weights. Or a function that makes a Model; it is called with model_kwargs,
            and with those of `X`, `y` (one-hot) and `meta` (n_features_in_, input_shape_, n_outputs_, classes_,
            n_classes_, X_dtype_ in a dict) that it has as parameters. The output is (None, classes), or (None, 1) for
            two classes.
        loss: default "sparse_categorical_crossentropy", with one output "binary_crossentropy". Targets are encoded as
            it wants them.
        optimizer: name or Optimizer, default "adam".
        learning_rate: takes the place of the optimizer's.
        metrics: as of `Model.compile`. A model that is compiled already must not be given loss, optimizer,
            learning_rate or metrics.
        batch_size, epochs, verbose, shuffle: as of `Model.fit`; default 32, 30, 0, True.
        callbacks: list of Callback; each fit uses copies.
        validation_split: share of the samples, drawn at random from each class, to validate on.
        class_weight: None, {label: weight}, or "balanced".
        warm_start: whether `fit` goes on with the network of the last one.
        random_state: int, RandomState, or None; an int makes weights, order and dropout the same in every fit.
        input_shape: shape of one sample, where X is a table whose rows are to be read as images.
        model_kwargs: arguments of the function `model`. Also set and searched as model__<name>.
        fit_kwargs: further arguments of `Model.fit`.

    Attributes:
        model_: the trained Model.
        classes_: labels, sorted; n_classes_: their number.
        n_features_in_: numbers of one sample; input_shape_: shape of one sample, as the model reads it.
        feature_names_in_: names of the columns, where X had some.
        history_: {name: [value of each epoch]}; n_iter_: number of epochs of the last fit.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        loss: Any = None,
        optimizer: Any = None,
        learning_rate: Any = None,
        metrics: Any = None,
        batch_size: int = 32,
        epochs: int = 30,
        verbose: Any = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        input_shape: Any = None,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ):
        super().__init__(
            model, loss=loss, optimizer=optimizer, learning_rate=learning_rate, metrics=metrics, batch_size=batch_size,
            epochs=epochs, verbose=verbose, callbacks=callbacks, validation_split=validation_split, shuffle=shuffle,
            warm_start=warm_start, random_state=random_state, input_shape=input_shape, model_kwargs=model_kwargs,
            fit_kwargs=fit_kwargs,
        )  # fmt: skip
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """One epoch on these samples, going on with the network as it is.

        Args:
            classes: all labels that will ever come; needed in the first call.

        Raises:
            ValueError: as `fit`; no classes in the first call, or other ones later.
        """
        fresh = not hasattr(self, "model_")
        if isinstance(self.class_weight, str):
            raise ValueError(
                "DLClassifier: partial_fit does not see all samples, so class_weight must be a dict. "
                f"Received: class_weight={self.class_weight!r}"
            )
        _multiclass._check_partial_fit_first_call(self, classes)
        return self._train(X, y, sample_weight, {}, fresh, once=True)

    def predict(self, X: Any) -> np.ndarray:
        """The label of each sample (n,)."""
        raw = self._outputs(X)
        if isinstance(self._trained_loss(), MARGINS):
            scores = self._margins(raw)
            chosen = (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)
        else:
            chosen = self._probabilities(raw).argmax(axis=1)
        return np.asarray(self.classes_[np.minimum(chosen, self.n_classes_ - 1)])

    @_available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, classes), float64, in the order of `classes_`. Not there with a hinge loss.

        Raises:
            ValueError: the outputs of the network are no probabilities.
        """
        return self._probabilities(self._outputs(X))

    @_available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of `predict_proba`."""
        return np.asarray(np.log(np.maximum(self._probabilities(self._outputs(X)), TINY)))

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores: of two classes (n,), above 0 where the second is chosen; of more (n, classes).

        They are the outputs of the network, or logarithms of them where these are probabilities.
        """
        raw, loss = self._outputs(X), self._trained_loss()
        alike = raw.shape[1] == 1 or not isinstance(loss, EACH_CLASS)  # logits are in the order of probabilities
        if not isinstance(loss, MARGINS) and not (_from_logits(loss) and alike):
            raw = np.log(np.maximum(self._probabilities(raw), TINY))
        return self._margins(raw)

    def _trained_loss(self) -> Any:
        return _single(self.model_.loss)

    def _margins(self, raw: np.ndarray) -> np.ndarray:
        return raw[:, 1] - raw[:, 0] if raw.shape[1] == 2 else raw[:, 0] if raw.shape[1] == 1 else raw

    def _probabilities(self, raw: np.ndarray) -> np.ndarray:
        if self.n_classes_ == 1:
            return np.ones((len(raw), 1))
        if _from_logits(self._trained_loss()):
            if raw.shape[1] == 1 or isinstance(self._trained_loss(), EACH_CLASS):
                raw = 0.5 * (1.0 + np.tanh(0.5 * raw))
            else:
                raw = np.exp(raw - raw.max(axis=1, keepdims=True))
        elif raw.min(initial=0) < 0 or (raw.max(initial=0) > 1 + 1e-5):
            raise ValueError(
                "DLClassifier: the outputs of the network are no probabilities. End it with a softmax or sigmoid, or "
                f"give a loss with from_logits=True. Received: outputs from {raw.min()} to {raw.max()}"
            )
        if raw.shape[1] == 1:
            return np.hstack([1.0 - raw, raw])
        total = raw.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, raw, 1.0) / np.where(total > 0, total, raw.shape[1]))

    def _y_checks(self) -> dict[str, Any]:
        return {"multi_output": False}

    def _weights(self, X: Any, y: Any, sample_weight: Any, arguments: dict[str, Any]) -> np.ndarray | None:
        _multiclass.check_classification_targets(y)
        weights = super()._weights(X, y, sample_weight, arguments)
        given = arguments.pop("class_weight", self.class_weight)
        if given is None:
            return weights
        of_class = _class_weight.compute_sample_weight(given, y)
        return np.asarray(of_class if weights is None else of_class * weights)

    def _encoded(self, y: np.ndarray, fresh: bool = False, once: bool = False) -> np.ndarray:
        """Class numbers, int64 (n,)."""
        found, numbers = np.unique(y, return_inverse=True)
        if fresh and not once:  # partial_fit has been given all of them
            self.classes_ = found
        unknown = ~np.isin(found, self.classes_)
        if unknown.any():
            raise ValueError(
                f"DLClassifier: y holds classes that the network does not know: {found[unknown].tolist()}. "
                f"It knows {self.classes_.tolist()}"
            )
        self.n_classes_ = self.n_outputs_ = len(self.classes_)
        codes: np.ndarray = np.searchsorted(self.classes_, found)[numbers.reshape(-1)]
        return codes

    def _wide(self, y: np.ndarray) -> np.ndarray:
        rows: np.ndarray = np.eye(self.n_classes_, dtype=np.float32)[y]
        return rows

    def _targets(self, y: np.ndarray) -> np.ndarray:
        (target,) = self.model_._targets()
        if target.loss is not None and target.loss.sparse:
            return y
        return y[:, None].astype(np.float32) if target.shape == (1,) else self._wide(y)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return y

    def _default(self, X: np.ndarray, y: np.ndarray) -> Model:
        loss = None if self.loss is None else losses.get(self.loss)
        each = isinstance(loss, EACH_CLASS)
        units = 1 if each and self.n_classes_ == 2 else self.n_classes_
        activation = (
            "linear"
            if _from_logits(loss) or isinstance(loss, MARGINS)
            else "sigmoid"
            if each or units == 1
            else "softmax"
        )
        return Sequential([*trunk(X), layers.Dense(units, activation=activation)])

    def _loss(self, outputs: int) -> Any:
        if self.loss is not None:
            return self.loss
        return "binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy"

    def _check_outputs(self, outputs: int) -> None:
        if outputs != self.n_classes_ and not (outputs == 1 and self.n_classes_ == 2):
            raise ValueError(
                f"DLClassifier: expected a model with {self.n_classes_} outputs, one for each class. "
                f"Received: {outputs} outputs"
            )


def _from_logits(loss: Any) -> bool:
    return bool(getattr(loss, "arguments", {}).get("from_logits", False))
