"""Networks as scikit-learn's estimators: they go into pipelines, cross-validation and grid searches.

Needs scikit-learn, which the extra `sklearn` brings; nothing else in dlcore does.

https://scikit-learn.org/stable/developers/develop.html
"""

from __future__ import annotations

import copy
import inspect
from math import prod
from typing import Any

import numpy as np

from dlcore import _extras, _random, layers, losses, optimizers
from dlcore.models import Model, Sequential

_extras.require("sklearn", "sklearn")
_base = _extras.require("sklearn.base", "sklearn")
_multiclass = _extras.require("sklearn.utils.multiclass", "sklearn")
_utils = _extras.require("sklearn.utils", "sklearn")
_validation = _extras.require("sklearn.utils.validation", "sklearn")
_available_if = _extras.require("sklearn.utils.metaestimators", "sklearn").available_if

__all__ = ["DLClassifier", "DLRegressor"]

HIDDEN = 64  # units of the hidden layers of the networks that are made here
MARGINS = (losses.Hinge, losses.SquaredHinge, losses.CategoricalHinge)  # their outputs are no probabilities
EACH_CLASS = (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy, losses.Hinge, losses.SquaredHinge)
SEEDS = 2**31 - 1


class _Estimator(_base.BaseEstimator):  # type: ignore[misc]
    """What both estimators do. A subclass says how targets are encoded, and what the outputs mean."""

    def __init__(
        self,
        model: Any = None,
        *,
        loss: Any = None,
        optimizer: Any = None,
        learning_rate: Any = None,
        metrics: Any = None,
        batch_size: int = 32,
        epochs: int = 20,
        verbose: Any = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        input_shape: Any = None,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ):
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.metrics = metrics
        self.batch_size = batch_size
        self.epochs = epochs
        self.verbose = verbose
        self.callbacks = callbacks
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state
        self.input_shape = input_shape
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    # -- parameters: those of `model_kwargs` are also called model__<name>, so that a grid can search them

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All constructor arguments; with `deep` the entries of model_kwargs, too, as model__<name>."""
        found: dict[str, Any] = super().get_params(deep)
        if deep:
            found.update({f"model__{name}": value for name, value in (self.model_kwargs or {}).items()})
        return found

    def set_params(self, **params: Any) -> Any:
        """Set constructor arguments; model__<name> sets an entry of model_kwargs.

        Raises:
            ValueError: there is no such argument.
        """
        inner = {name: params.pop(name) for name in list(params) if name.startswith("model__")}
        super().set_params(**params)
        if inner:
            self.model_kwargs = {**(self.model_kwargs or {}), **{name[7:]: value for name, value in inner.items()}}
        return self

    # -- data

    def _samples(self, X: Any, y: Any = None, *, reset: bool, targets: bool = False) -> Any:
        """Checked samples (n, ...) in the shape that the model reads, and checked targets where these are given."""
        checks: dict[str, Any] = self._y_checks() if targets else {}
        if _rank(X) <= 2:
            found = _validate(self, X, *([y] if targets else []), reset=reset, **checks)
        elif targets and y is not None:
            found = _validation.check_X_y(X, y, allow_nd=True, estimator=self, **checks)
        elif targets:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        else:
            found = _validation.check_array(X, allow_nd=True, estimator=self, input_name="X")
        X, y = found if targets else (found, None)
        if reset:
            self.n_features_in_ = prod(X.shape[1:])
            self.input_shape_ = X.shape[1:] if self.input_shape is None else tuple(self.input_shape)
            if X.ndim > 2 and hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        if X.shape[1:] != self.input_shape_ and (X.ndim > 2 or prod(X.shape[1:]) != prod(self.input_shape_)):
            raise ValueError(
                f"{type(self).__name__}: expected samples of shape {self.input_shape_}, or rows of "
                f"{prod(self.input_shape_)} numbers. Received: X of shape {X.shape}"
            )
        X = X.reshape(len(X), *self.input_shape_)
        return (X, y) if targets else X

    # -- training

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_kwargs: Any) -> Any:
        """Train a new network, or with warm_start go on with the one of the last fit.

        Args:
            X: table (n, features), or samples (n, ...), as images (n, height, width, channels).
            y: targets (n,); for regression also (n, outputs).
            sample_weight: one number per sample (n,); samples of weight 0 are left out.
            fit_kwargs: further arguments of `Model.fit`, which take precedence over the constructor's. The targets in
                validation_data are as y; callbacks given here are used themselves, not copies of them.

        Returns:
            The estimator.

        Raises:
            ValueError: the data, or what does not fit together: model, loss and targets.
            TypeError: an unknown argument.
        """
        return self._train(X, y, sample_weight, fit_kwargs, fresh=not (self.warm_start and hasattr(self, "model_")))

    def _train(self, X: Any, y: Any, sample_weight: Any, given: dict[str, Any], fresh: bool, once: bool = False) -> Any:
        X, y = self._samples(X, y, reset=fresh, targets=True)
        arguments: dict[str, Any] = {
            "batch_size": self.batch_size, "epochs": self.epochs, "verbose": self.verbose, "shuffle": self.shuffle,
            "callbacks": copy.deepcopy(self.callbacks), "validation_split": self.validation_split,
            **(self.fit_kwargs or {}), **given,
        }  # fmt: skip
        if once:
            arguments.update(epochs=1, initial_epoch=0, validation_split=0.0)
        weights = self._weights(X, y, sample_weight, arguments)
        y = self._encoded(y, fresh)
        held = arguments.pop("validation_data", None)
        if held is not None:
            X_held, y_held = self._samples(held[0], held[1], reset=False, targets=True)
            held = (X_held, self._encoded(y_held, False), *held[2:])
        if weights is not None and not weights.all():
            if not weights.any():
                raise ValueError(f"{type(self).__name__}: sample_weight: all of the weights are zero")
            X, y, weights = X[weights != 0], y[weights != 0], weights[weights != 0]
        if fresh:
            self._seeds = _random.Root(self._root())
        with _random.seeds.drawn_from(self._seeds):
            share = arguments.pop("validation_split")
            if share and held is None:
                X, y, weights, held = self._split(X, y, weights, share)
            if fresh:
                self.model_ = self._new_model(X, y)
            if held is not None:
                held = (held[0], self._targets(held[1]), *held[2:])
            measured = self.model_.fit(
                X, self._targets(y), sample_weight=weights, validation_data=held, **arguments
            ).history
        if once and not fresh:
            self.n_iter_ += 1
            for name, values in measured.items():
                self.history_.setdefault(name, []).extend(values)
        else:
            self.history_ = {name: list(values) for name, values in measured.items()}
            self.n_iter_ = max(map(len, measured.values()), default=0)
        return self

    def _root(self) -> int:
        """From random_state. None means NumPy's random state, as in scikit-learn, unless set_random_seed was called."""
        if self.random_state is None and _random.seeds.root is not None:
            return _random.seeds.next()
        return int(_utils.check_random_state(self.random_state).randint(SEEDS))

    def _weights(self, X: Any, y: Any, sample_weight: Any, arguments: dict[str, Any]) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return np.asarray(_validation._check_sample_weight(sample_weight, X))

    def _split(self, X: Any, y: Any, weights: Any, share: float) -> tuple[Any, Any, Any, Any]:
        """Samples to train on and to validate on, drawn at random: tables are often sorted."""
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
            raise ValueError(
                f"{type(self).__name__}: validation_split must be in [0, 1). Received: validation_split={share!r}"
            )
        split = _extras.require("sklearn.model_selection", "sklearn").train_test_split
        rows, others = split(np.arange(len(X)), test_size=share, random_state=_random.seeds.next() % SEEDS,
                             stratify=self._strata(y))  # fmt: skip
        held = (X[others], y[others]) if weights is None else (X[others], y[others], weights[others])
        return X[rows], y[rows], None if weights is None else weights[rows], held

    # -- the model

    def _new_model(self, X: np.ndarray, y: np.ndarray) -> Model:
        """Built, compiled, and checked against the targets."""
        me = type(self).__name__
        if self.model is None:
            model = self._default(X, y)
        elif isinstance(self.model, Model):
            model = copy.deepcopy(self.model)
        elif callable(self.model):
            model = self._called(X, y)
        else:
            raise TypeError(f"{me}: model must be a Model, a function that makes one, or None. Received: {self.model!r}")
        if not model.built:
            model.build((None, *X.shape[1:]))
        shapes = model._output_shapes()
        if len(shapes) != 1 or len(shapes[0]) != 2:
            raise ValueError(
                f"{me}: expected a model with one output of shape (None, n). Received: outputs of shapes "
                f"{[(None, *shape[1:]) for shape in shapes]}"
            )
        self._check_outputs(int(shapes[0][1]))
        own = [name for name in ("loss", "optimizer", "learning_rate", "metrics") if getattr(self, name) is not None]
        if model.optimizer is None:
            model.compile(self._optimizer(), self._loss(int(shapes[0][1])), metrics=copy.deepcopy(self.metrics))
        elif own:
            raise ValueError(f"{me}: the model is compiled already. Leave out {own}, or compile")
        return model

    def _called(self, X: np.ndarray, y: np.ndarray) -> Model:
        """What the function `model` makes."""
        me, arguments = type(self).__name__, dict(self.model_kwargs or {})
        known = inspect.signature(self.model).parameters
        if "X" in known:
            arguments.setdefault("X", X)
        if "y" in known:
            arguments.setdefault("y", self._wide(y))
        if "meta" in known:
            arguments.setdefault("meta", self._meta(X))
        model = self.model(**arguments)
        if not isinstance(model, Model):
            raise TypeError(f"{me}: model must make a dlcore Model. Received: {model!r} from {self.model!r}")
        return model

    def _meta(self, X: np.ndarray) -> dict[str, Any]:
        names = ("n_features_in_", "input_shape_", "n_outputs_", "classes_", "n_classes_", "feature_names_in_")
        return {**{name: getattr(self, name) for name in names if hasattr(self, name)}, "X_dtype_": X.dtype}

    def _optimizer(self) -> optimizers.Optimizer:
        """A new one, as slots belong to one model."""
        given = optimizers.get("adam" if self.optimizer is None else self.optimizer)
        config = given.get_config()
        if self.learning_rate is not None:
            config["learning_rate"] = self.learning_rate
        return type(given).from_config(config)

    # -- using

    def _outputs(self, X: Any) -> np.ndarray:
        """float64 (n, outputs)"""
        _validation.check_is_fitted(self, "model_")
        return np.asarray(self.model_.predict(self._samples(X, reset=False)), np.float64)

    # -- said by a subclass

    def _y_checks(self) -> dict[str, Any]:
        raise NotImplementedError

    def _encoded(self, y: np.ndarray, fresh: bool) -> np.ndarray:
        raise NotImplementedError

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Encoded targets as the model's loss wants them."""
        return y

    def _wide(self, y: np.ndarray) -> np.ndarray:
        """Encoded targets (n, outputs), as a function that makes models sees them."""
        return y

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None

    def _default(self, X: np.ndarray, y: np.ndarray) -> Model:
        raise NotImplementedError

    def _loss(self, outputs: int) -> Any:
        raise NotImplementedError

    def _check_outputs(self, outputs: int) -> None:
        raise NotImplementedError


def _has_probabilities(estimator: Any) -> bool:
    model = getattr(estimator, "model_", estimator.model)
    loss = model.loss if isinstance(model, Model) and model.loss is not None else estimator.loss
    return loss is None or not isinstance(losses.get(loss), MARGINS)


class DLClassifier(_base.ClassifierMixin, _Estimator):  # type: ignore[misc]
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
        batch_size, epochs, verbose, shuffle: as of `Model.fit`; default 32, 20, 0, True.
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
        epochs: int = 20,
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
        if _multiclass._check_partial_fit_first_call(self, classes) and fresh:
            self.n_classes_ = self.n_outputs_ = len(self.classes_)
        return self._train(X, y, sample_weight, {}, fresh, once=True)

    def predict(self, X: Any) -> np.ndarray:
        """The label of each sample (n,)."""
        raw = self._outputs(X)
        if isinstance(self.model_.loss, MARGINS):
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
        return np.asarray(np.log(np.maximum(self._probabilities(self._outputs(X)), np.finfo(np.float32).tiny)))

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores: of two classes (n,), above 0 where the second is chosen; of more (n, classes), the largest of which is
        chosen. They are the outputs of the network; where these are probabilities, logarithms of them.
        """
        raw = self._outputs(X)
        if not isinstance(self.model_.loss, MARGINS) and not _from_logits(self.model_.loss):
            raw = np.log(np.maximum(self._probabilities(raw), np.finfo(np.float32).tiny))
        return self._margins(raw)

    def _margins(self, raw: np.ndarray) -> np.ndarray:
        return raw[:, 1] - raw[:, 0] if raw.shape[1] == 2 else raw[:, 0] if raw.shape[1] == 1 else raw

    def _probabilities(self, raw: np.ndarray) -> np.ndarray:
        if self.n_classes_ == 1:
            return np.ones((len(raw), 1))
        if _from_logits(self.model_.loss):
            if raw.shape[1] == 1 or isinstance(self.model_.loss, EACH_CLASS):
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
        of_class = _extras.require("sklearn.utils.class_weight", "sklearn").compute_sample_weight(given, y)
        return np.asarray(of_class if weights is None else of_class * weights)

    def _encoded(self, y: np.ndarray, fresh: bool) -> np.ndarray:
        """Class numbers, int64 (n,)."""
        found, numbers = np.unique(y, return_inverse=True)
        if fresh and not (hasattr(self, "classes_") and not hasattr(self, "model_")):
            self.classes_ = found
        unknown = ~np.isin(found, self.classes_)
        if unknown.any():
            raise ValueError(
                f"DLClassifier: y holds classes that the network does not know: {found[unknown].tolist()}. "
                f"It knows {self.classes_.tolist()}"
            )
        self.n_classes_ = self.n_outputs_ = len(self.classes_)
        return np.searchsorted(self.classes_, found)[numbers.reshape(-1)]

    def _wide(self, y: np.ndarray) -> np.ndarray:
        return np.eye(self.n_classes_, dtype=np.float32)[y]

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
        activation = "linear" if _from_logits(loss) or isinstance(loss, MARGINS) else "sigmoid" if each else "softmax"
        return Sequential([*_trunk(X), layers.Dense(units, activation=activation)])

    def _loss(self, outputs: int) -> Any:
        if self.loss is not None:
            return self.loss
        return "binary_crossentropy" if outputs == 1 < self.n_classes_ else "sparse_categorical_crossentropy"

    def _check_outputs(self, outputs: int) -> None:
        if outputs != self.n_classes_ and not (outputs == 1 and self.n_classes_ == 2):
            raise ValueError(
                f"DLClassifier: expected a model with {self.n_classes_} outputs, one for each class. "
                f"Received: {outputs} outputs"
            )


class DLRegressor(_base.RegressorMixin, _Estimator):  # type: ignore[misc]
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

    def _encoded(self, y: np.ndarray, fresh: bool) -> np.ndarray:
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
        return Sequential([*_trunk(X), layers.Dense(self.n_outputs_), layers.Rescaling(scale, mean)])

    def _loss(self, outputs: int) -> Any:
        return "mse" if self.loss is None else self.loss

    def _check_outputs(self, outputs: int) -> None:
        if outputs != self.n_outputs_:
            raise ValueError(
                f"DLRegressor: expected a model with {self.n_outputs_} outputs, as y has. Received: {outputs} outputs"
            )


def _trunk(X: np.ndarray) -> list[Any]:
    """Layers of a default network below its outputs, for samples like X (n, ...).

    Raises:
        ValueError: there is no such network for samples of this rank.
    """
    shape = X.shape[1:]
    if len(shape) not in (1, 2, 3):
        raise ValueError(f"there is no default network for samples of shape {shape}. Give a model")
    image = len(shape) > 1
    scaling = layers.Normalization(axis=-1 if len(shape) != 2 else None)
    scaling.adapt(X)
    trunk: list[Any] = [layers.Input(shape), scaling]
    if len(shape) == 2:
        trunk.append(layers.Reshape((*shape, 1)))
    side = min(shape[:2]) if image else 0
    for filters in (32, 64):
        if image and side >= 2:
            trunk += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D(2)]
            side //= 2
    if image:
        return [*trunk, layers.Flatten(), layers.Dense(HIDDEN, activation="relu")]
    return [*trunk, *(layers.Dense(HIDDEN, activation="relu") for _ in range(2))]


def _from_logits(loss: Any) -> bool:
    return bool(getattr(loss, "arguments", {}).get("from_logits", False))


def _rank(X: Any) -> int:
    """Number of axes; 2 for what is no array, so that scikit-learn says what is wrong with it."""
    try:
        return len(X.shape) if hasattr(X, "shape") else int(np.ndim(X))
    except (TypeError, ValueError):
        return 2


def _validate(estimator: Any, *data: Any, **options: Any) -> Any:
    """scikit-learn's check of tables, which was a method before version 1.6."""
    if hasattr(_validation, "validate_data"):
        return _validation.validate_data(estimator, *data, **options)
    return estimator._validate_data(*data, **options)
