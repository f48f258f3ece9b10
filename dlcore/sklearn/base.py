"""What both estimators do: parameters, checks of the data, training."""

from __future__ import annotations

import copy
import inspect
from math import prod
from typing import Any

import numpy as np

from dlcore import _extras, _random, optimizers
from dlcore.models import Model

BaseEstimator = _extras.require("sklearn.base", "sklearn").BaseEstimator
_utils = _extras.require("sklearn.utils", "sklearn")
_validation = _extras.require("sklearn.utils.validation", "sklearn")

SEEDS = 2**31 - 1


class Estimator(BaseEstimator):  # type: ignore[misc, valid-type]
    """A subclass says how targets are encoded, and what the outputs mean."""

    model_: Model
    history_: dict[str, list[float]]
    n_iter_: int

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
        if deep and isinstance(self.model_kwargs, dict):
            found.update({f"model__{name}": value for name, value in self.model_kwargs.items()})
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
        as_rows = X.ndim == 2 and X.shape[1] == prod(self.input_shape_)
        if not as_rows and X.shape[1:] != self.input_shape_ and (*X.shape[1:], 1) != self.input_shape_:
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
        y = self._encoded(y, fresh, once)
        held = arguments.pop("validation_data", None)
        if held is not None:
            X_held, y_held = self._samples(held[0], held[1], reset=False, targets=True)
            held = (X_held, self._encoded(y_held), *held[2:])
        if weights is not None and not weights.all():
            if not weights.any():
                raise ValueError(f"{type(self).__name__}: sample_weight must contain at least one non-zero number")
            X, y, weights = X[weights != 0], y[weights != 0], weights[weights != 0]
        if weights is not None and (weights == 1).all():
            weights = None  # for the same bits as without
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
            raise TypeError(
                f"{me}: model must be a Model, a function that makes one, or None. Received: {self.model!r}"
            )
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
        made: optimizers.Optimizer = type(given).from_config(config)
        return made

    # -- using

    def _outputs(self, X: Any) -> np.ndarray:
        """float64 (n, outputs)"""
        _validation.check_is_fitted(self, "model_")
        return np.asarray(self.model_.predict(self._samples(X, reset=False)), np.float64)

    # -- said by a subclass

    def _y_checks(self) -> dict[str, Any]:
        raise NotImplementedError

    def _encoded(self, y: np.ndarray, fresh: bool = False, once: bool = False) -> np.ndarray:
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
