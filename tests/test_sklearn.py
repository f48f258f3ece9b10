"""DLClassifier and DLRegressor: scikit-learn's own checks, and what its users do with estimators."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

from dlcore import callbacks, layers, losses, metrics, models, optimizers, utils

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_digits, load_iris, make_classification, make_regression  # noqa: E402
from sklearn.exceptions import NotFittedError, SkipTestWarning  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

from dlcore.sklearn import DLClassifier, DLRegressor  # noqa: E402

BATCHES = "the order and number of the samples decide which are in a batch, so weights are not repetitions bit for bit"
EXCEPTIONS = {  # of both estimators, by the names of scikit-learn from 1.6 on, and before
    "check_sample_weight_equivalence_on_dense_data": BATCHES,
    "check_sample_weights_invariance": BATCHES,
}
NEW = hasattr(estimator_checks, "check_sample_weight_equivalence_on_dense_data")  # 1.6 or newer
options = {"expected_failed_checks": lambda estimator: EXCEPTIONS} if NEW else {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", SkipTestWarning)
    checks = estimator_checks.parametrize_with_checks([DLClassifier(), DLRegressor()], **options)


@checks
def test_the_checks_of_scikit_learn(estimator, check):
    if not NEW and check.func.__name__ in EXCEPTIONS:
        pytest.xfail(BATCHES)
    check(estimator)


def iris():
    X, y = load_iris(return_X_y=True)
    return train_test_split(X, y, random_state=0, stratify=y)


def digits(n=300):
    X, y = load_digits(return_X_y=True)
    return X[:n], y[:n]


def small(X, y, units=8, activation="softmax", loss="categorical_crossentropy"):
    """As people write it for Keras' wrappers."""
    inputs = layers.Input((X.shape[1],))
    hidden = layers.Dense(units, activation="relu")(inputs)
    model = models.Model(inputs, layers.Dense(y.shape[1], activation=activation)(hidden))
    model.compile(loss=loss, optimizer="adam")
    return model


def uncompiled(meta, units=8, outputs=None, activation="softmax"):
    return models.Sequential([
        layers.Dense(units, activation="relu"), layers.Dense(outputs or meta["n_outputs_"], activation=activation)
    ])  # fmt: skip


# -- classes


def test_default_network_learns_tables_and_string_labels():
    X, X_test, y, y_test = iris()
    names = np.array(["setosa", "versicolor", "virginica"])
    classifier = DLClassifier(epochs=50, random_state=0).fit(X, names[y])
    assert classifier.classes_.tolist() == sorted(names) and classifier.n_classes_ == 3
    assert classifier.score(X_test, names[y_test]) > 0.9
    p = classifier.predict_proba(X_test)
    assert p.shape == (38, 3) and p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(classifier.predict_log_proba(X_test), np.log(p))
    np.testing.assert_array_equal(classifier.classes_[p.argmax(axis=1)], classifier.predict(X_test))
    assert classifier.n_features_in_ == 4 and classifier.input_shape_ == (4,)
    assert classifier.n_iter_ == 50 and len(classifier.history_["loss"]) == 50


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8)])
def test_images_and_tables_of_images(shape):
    X, y = digits()
    images = X.reshape(-1, *shape).astype(np.uint8)
    classifier = DLClassifier(epochs=5, random_state=0).fit(images, y)
    assert any(isinstance(layer, layers.Conv2D) for layer in classifier.model_.layers)
    assert classifier.n_features_in_ == 64 and classifier.input_shape_ == shape
    assert classifier.score(images, y) > 0.9
    np.testing.assert_array_equal(classifier.predict(X.astype(np.uint8)), classifier.predict(images))
    rows = DLClassifier(epochs=5, random_state=0, input_shape=shape).fit(X.astype(np.uint8), y)
    np.testing.assert_array_equal(rows.predict_proba(images), classifier.predict_proba(images))
    with pytest.raises(ValueError, match="expected samples of shape"):
        classifier.predict(images[:, 1:])


@pytest.mark.parametrize(
    "loss, outputs, activation",
    [
        (None, 2, "softmax"), (None, 1, "sigmoid"), ("categorical_crossentropy", 2, "softmax"),
        (losses.BinaryCrossentropy(from_logits=True), 1, "linear"), ("mse", 1, "sigmoid"), ("mse", 2, "softmax"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), 2, "linear"),
        (losses.CategoricalCrossentropy(from_logits=True), 2, "linear"), ("hinge", 1, "linear"),
        (losses.BinaryCrossentropy(from_logits=True), 2, "linear"), ("categorical_hinge", 2, "linear"),
    ],
)  # fmt: skip
def test_two_classes_with_any_loss_and_output(loss, outputs, activation):
    X, y = make_classification(200, 6, n_redundant=0, class_sep=2.0, random_state=1)
    labels = np.array(["no", "yes"])[y]
    classifier = DLClassifier(uncompiled, loss=loss, random_state=0, learning_rate=0.01,
                              model_kwargs={"outputs": outputs, "activation": activation}).fit(X, labels)  # fmt: skip
    assert classifier.score(X, labels) > 0.9
    scores = classifier.decision_function(X)
    assert scores.shape == (200,)
    np.testing.assert_array_equal(classifier.classes_[(scores > 0).astype(int)], classifier.predict(X))
    assert roc_auc_score(labels, scores) > 0.95
    margins = loss in ("hinge", "categorical_hinge")
    assert hasattr(classifier, "predict_proba") == (not margins)
    if not margins:
        p = classifier.predict_proba(X)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        np.testing.assert_array_equal(
            np.argsort(np.argsort(p[:, 1].round(6))) > 100, np.argsort(np.argsort(scores)) > 100
        )


@pytest.mark.parametrize("loss", ["binary_crossentropy", "hinge", "categorical_hinge",
                                  losses.SparseCategoricalCrossentropy(from_logits=True)])  # fmt: skip
def test_default_networks_end_as_the_loss_wants(loss):
    X, X_test, y, y_test = iris()
    classifier = DLClassifier(loss=loss, epochs=40, random_state=0).fit(X, y)
    assert classifier.score(X_test, y_test) > 0.85
    assert classifier.decision_function(X_test).shape == (38, 3)


def test_class_weights_are_sample_weights_of_labels():
    X, _, y, _ = iris()
    names = np.array(["a", "b", "c"])[y]
    given = {"a": 3.0, "b": 0.5}
    by_class = DLClassifier(class_weight=given, epochs=3, random_state=0).fit(X, names)
    weights = np.array([given.get(name, 1.0) for name in names])
    by_sample = DLClassifier(epochs=3, random_state=0).fit(X, names, sample_weight=weights)
    np.testing.assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))
    passed = DLClassifier(epochs=3, random_state=0).fit(X, names, class_weight=given)
    np.testing.assert_array_equal(by_class.predict_proba(X), passed.predict_proba(X))
    few = np.flatnonzero((y == 0) | (np.arange(len(y)) % 9 == 0))
    balanced = DLClassifier(class_weight="balanced", epochs=30, random_state=0).fit(X[few], names[few])
    assert set(balanced.predict(X)) == {"a", "b", "c"}


def test_one_class_is_always_predicted():
    X = np.random.default_rng(0).normal(size=(20, 3))
    classifier = DLClassifier(epochs=1).fit(X, ["only"] * 20)
    assert set(classifier.predict(X)) == {"only"} and (classifier.predict_proba(X) == 1).all()


# -- numbers


def test_default_network_learns_numbers_of_any_size():
    X, y = make_regression(300, 6, noise=1.0, random_state=0)
    regressor = DLRegressor(epochs=60, random_state=0).fit(1000 * X + 50, 1e4 * y + 1e7)
    assert regressor.score(1000 * X + 50, 1e4 * y + 1e7) > 0.95
    assert regressor.predict(X).shape == (300,) and not hasattr(regressor, "decision_function")


def test_several_numbers():
    X, y = make_regression(200, 5, n_targets=3, random_state=0)
    regressor = DLRegressor(epochs=40, random_state=0).fit(X, y)
    assert regressor.n_outputs_ == 3 and regressor.predict(X).shape == (200, 3) and regressor.score(X, y) > 0.8
    assert DLRegressor(epochs=1).fit(X, y[:, :1]).predict(X).shape == (200, 1)
    with pytest.raises(ValueError, match=r"expected targets of 3 numbers.*Received: 2"):
        regressor.partial_fit(X, y[:, :2])


def test_numbers_from_images():
    images = np.random.default_rng(0).random((100, 4, 4, 2))
    y = images[:, :2].mean(axis=(1, 2, 3))
    assert DLRegressor(epochs=20, random_state=0).fit(images, y).score(images, y) > 0.5


# -- models


def test_functions_written_for_keras():
    X, X_test, y, y_test = iris()
    classifier = DLClassifier(small, model_kwargs={"units": 16}, epochs=300, random_state=0).fit(X, y)
    assert classifier.score(X_test, y_test) > 0.85 and classifier.model_.layers[1].units == 16
    X, y = make_regression(100, 4, random_state=0)
    regressor = DLRegressor(small, model_kwargs={"activation": "linear", "loss": "mse"}, epochs=2).fit(X, y)
    assert regressor.predict(X).shape == (100,)


def test_the_loss_may_stand_in_a_list():
    X, _, y, _ = iris()

    def network(X, y):
        model = small(X, y)
        model.compile("sgd", [losses.CategoricalCrossentropy()])
        return model

    classifier = DLClassifier(network, epochs=1).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1)
    assert classifier.decision_function(X).shape == (112, 3)


def test_a_model_is_copied_with_its_weights():
    X, _, y, _ = iris()
    model = small(X, np.eye(3)[y])
    before = [w.numpy() for w in model.weights]
    still = DLClassifier(model, epochs=0).fit(X, y)
    np.testing.assert_array_equal(still.model_.predict(X), model.predict(X))
    trained = DLClassifier(model, epochs=2, random_state=0).fit(X, y)
    assert trained.model_ is not model and trained.model is model
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, model.weights, strict=True))
    assert not np.array_equal(trained.model_.weights[0].numpy(), before[0])
    again = clone(trained).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), trained.predict_proba(X))


def test_optimizer_learning_rate_and_metrics():
    X, _, y, _ = iris()
    sgd = optimizers.SGD(0.5, momentum=0.9)
    classifier = DLClassifier(optimizer=sgd, learning_rate=0.02, metrics=["accuracy"], epochs=3).fit(X, y)
    assert classifier.model_.optimizer is not sgd and sgd.learning_rate == 0.5
    assert (
        classifier.model_.optimizer.learning_rate == pytest.approx(0.02) and classifier.model_.optimizer.momentum == 0.9
    )
    assert set(classifier.history_) == {"loss", "accuracy"}
    metric = metrics.SparseCategoricalAccuracy(name="right")
    classifier.set_params(metrics=[metric]).fit(X, y)
    classifier.fit(X, y)
    assert set(classifier.history_) == {"loss", "right"}


# -- training


def test_random_state_makes_everything_the_same():
    X, _, y, _ = iris()

    def network(meta):
        return models.Sequential([layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(3, "softmax")])

    def outcome(state):
        return DLClassifier(network, epochs=3, random_state=state, validation_split=0.2).fit(X, y).predict_proba(X)

    same = outcome(3)
    np.testing.assert_array_equal(same, outcome(3))
    assert not np.array_equal(same, outcome(4))
    np.testing.assert_array_equal(outcome(np.random.RandomState(3)), outcome(np.random.RandomState(3)))
    utils.set_random_seed(7)
    try:
        first = outcome(None)
        np.testing.assert_array_equal(same, outcome(3))
        utils.set_random_seed(7)
        np.testing.assert_array_equal(first, outcome(None))
    finally:
        from dlcore import _random

        _random.seeds.reset(None)


def test_fits_draw_no_seeds_from_each_other():
    """A fit with a random_state leaves the seeds of the process alone."""
    from dlcore import _random

    X, _, y, _ = iris()
    utils.set_random_seed(1)
    try:
        expected = [_random.seeds.next() for _ in range(2)]
        utils.set_random_seed(1)
        found = [_random.seeds.next()]
        DLClassifier(epochs=1, random_state=0).fit(X, y)
        assert [*found, _random.seeds.next()] == expected
    finally:
        _random.seeds.reset(None)


def test_warm_start_and_partial_fit_go_on():
    X, _, y, _ = iris()
    warm = DLClassifier(epochs=3, warm_start=True, random_state=0).fit(X, y)
    model, first = warm.model_, warm.history_["loss"]
    warm.fit(X, y)
    assert warm.model_ is model and warm.history_["loss"][0] < first[0] and warm.n_iter_ == 3
    assert model.optimizer.iterations == 6 * 4
    with pytest.raises(ValueError, match=r"does not know: \[7\]"):
        warm.fit(X, np.where(y == 2, 7, y))

    steps = DLClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes"):
        steps.partial_fit(X, y)
    first = y < 2
    steps.partial_fit(X[first], y[first], classes=[0, 1, 2])
    for _ in range(40):
        steps.partial_fit(X, y)
    assert steps.score(X, y) > 0.9 and steps.n_iter_ == 41 == len(steps.history_["loss"])
    twin = DLClassifier(random_state=0).partial_fit(X[first], y[first], classes=[0, 1, 2])
    for _ in range(40):
        twin = pickle.loads(pickle.dumps(twin)).partial_fit(X, y)
    np.testing.assert_array_equal(steps.predict_proba(X), twin.predict_proba(X))

    numbers = DLRegressor(random_state=0)
    for _ in range(30):
        numbers.partial_fit(X[:, :3], X[:, 3])
    assert numbers.score(X[:, :3], X[:, 3]) > 0.8


def test_validation():
    X, X_test, y, y_test = iris()
    names = np.array(["a", "b", "c"])
    order = np.argsort(y)  # the last fifth is one class
    stopping = callbacks.EarlyStopping(patience=1, min_delta=10.0)
    classifier = DLClassifier(validation_split=0.2, metrics=["accuracy"], callbacks=[stopping], random_state=0)
    classifier.fit(X[order], names[y[order]])
    assert classifier.n_iter_ == 2 and set(classifier.history_) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert getattr(stopping, "model", None) is None  # a copy was used
    seen = callbacks.History()
    classifier.set_params(callbacks=None, epochs=40, validation_split=0.0)
    classifier.fit(X, names[y], validation_data=(X_test, names[y_test]), callbacks=[seen])
    assert classifier.history_["val_accuracy"][-1] > 0.85 and len(seen.history["loss"]) == 40
    regressor = DLRegressor(epochs=2, fit_kwargs={"validation_freq": 2, "validation_split": 0.3}).fit(X, X[:, 0])
    assert len(regressor.history_["val_loss"]) == 1


# -- with the rest of scikit-learn


@pytest.mark.parametrize("backend, jobs", [("threading", 3), ("loky", 2)])
def test_grid_search(backend, jobs):
    joblib = pytest.importorskip("joblib")
    if backend == "loky":  # its workers cannot import the tests
        try:
            import cloudpickle
        except ImportError:
            from joblib.externals import cloudpickle
        cloudpickle.register_pickle_by_value(sys.modules[uncompiled.__module__])
    X, y = load_iris(return_X_y=True)
    grid = {"learning_rate": [1e-5, 0.02], "model__units": [4, 12]}
    search = GridSearchCV(
        DLClassifier(uncompiled, loss="categorical_crossentropy", epochs=10, random_state=0), grid, cv=2, n_jobs=jobs
    )
    with joblib.parallel_backend(backend):
        search.fit(X, y)
    assert search.best_params_["learning_rate"] == 0.02 and search.best_score_ > 0.75
    alone = GridSearchCV(search.estimator, grid, cv=2).fit(X, y)
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])
    assert search.best_estimator_.model_.layers[0].units == search.best_params_["model__units"]


def test_pipelines_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), DLClassifier(epochs=50, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.85
    pipeline.fit(X, y, dlclassifier__sample_weight=np.ones(len(y)))
    assert pipeline.predict_proba(X).shape == (150, 3)
    assert cross_val_score(DLRegressor(epochs=30, random_state=0), X[:, :3], X[:, 3], cv=3, scoring="r2").shape == (3,)


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    X, _, y, _ = iris()
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    classifier = DLClassifier(epochs=1, random_state=0).fit(table, y)
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(table[["b", "a", "c", "d"]])


def test_parameters():
    classifier = DLClassifier(uncompiled, model_kwargs={"units": 4})
    twin = clone(classifier).set_params(model__units=5, epochs=3)
    assert twin.get_params()["model__units"] == 5 and twin.epochs == 3
    assert classifier.model_kwargs == {"units": 4} and "model__units" not in classifier.get_params(deep=False)
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        classifier.set_params(epoch=3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_copies(copied, tmp_path):
    X, _, y, _ = iris()
    classifier = DLClassifier(epochs=3, warm_start=True, random_state=0, metrics=["accuracy"]).fit(X, y)
    twin = copied(classifier)
    np.testing.assert_array_equal(twin.predict_proba(X), classifier.predict_proba(X))
    assert twin.history_ == classifier.history_
    twin.fit(X, y), classifier.fit(X, y)  # slots, steps and seeds came along
    np.testing.assert_array_equal(twin.predict_proba(X), classifier.predict_proba(X))


def test_training_goes_on_from_mapped_files(tmp_path):
    joblib = pytest.importorskip("joblib")
    X, _, y, _ = iris()
    classifier = DLClassifier(epochs=3, warm_start=True, random_state=0).fit(X, y)
    joblib.dump(classifier, tmp_path / "c")
    mapped = joblib.load(tmp_path / "c", mmap_mode="r").fit(X, y)
    np.testing.assert_array_equal(mapped.predict(X), classifier.fit(X, y).predict(X))


# -- mistakes

X4, Y3 = np.arange(24.0).reshape(6, 4), np.array([0, 1, 2] * 2)


@pytest.mark.parametrize(
    "estimator, arguments, message",
    [
        (DLClassifier("net"), {}, "model must be a Model, a function that makes one, or None. Received: 'net'"),
        (DLClassifier(lambda: 3), {}, "model must make a dlcore Model. Received: 3"),
        (DLClassifier(uncompiled, model_kwargs={"outputs": 4}), {}, "expected a model with 3 outputs.*Received: 4"),
        (DLClassifier(uncompiled, model_kwargs={"outputs": 2}), {}, "expected a model with 3 outputs.*Received: 2"),
        (DLRegressor(uncompiled, model_kwargs={"outputs": 4}), {}, "expected a model with 1 outputs.*Received: 4"),
        (DLClassifier(small, loss="mse"), {}, r"compiled already. Leave out \['loss'\]"),
        (DLClassifier(validation_split=1.5), {}, r"validation_split must be in \[0, 1\). Received: .*1.5"),
        (DLClassifier(), {"epoch": 3}, "no argument 'epoch'. Did you mean 'epochs'?"),
        (DLClassifier(), {"sample_weight": np.zeros(6)}, "(?i)at least one non-zero number"),
        (DLClassifier(batch_size=0), {}, "batch_size must be a whole number of at least 1"),
        (DLClassifier(optimizer="adm"), {}, "optimizer: expected one of"),
    ],
)
def test_refuses(estimator, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(X4, Y3, **arguments)


def test_refuses_what_is_not_there():
    with pytest.raises(NotFittedError):
        DLClassifier().predict(X4)
    with pytest.raises(ValueError, match="no default network for samples of shape"):
        DLClassifier().fit(np.zeros((6, 2, 2, 2, 2)), Y3)
    with pytest.raises(ValueError, match="requires y to be passed"):
        DLClassifier().fit(np.zeros((6, 2, 2)), None)
    with pytest.raises(ValueError, match="class_weight must be a dict"):
        DLClassifier(class_weight="balanced").partial_fit(X4, Y3, classes=[0, 1, 2])
    raw = DLClassifier(uncompiled, loss="mse", epochs=1, model_kwargs={"activation": "linear"}).fit(X4, Y3)
    with pytest.raises(ValueError, match="the outputs of the network are no probabilities"):
        raw.predict_proba(X4 * 1e3 - 5e3)


def test_one_clear_error_without_scikit_learn(tmp_path):
    code = "import sys; sys.modules['sklearn'] = None; import dlcore; import dlcore.sklearn"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "sklearn is needed for this and is not installed. It comes with the extra 'sklearn'" in found.stderr
    assert found.returncode == 1


def test_importing_dlcore_brings_no_scikit_learn(tmp_path):
    code = "import sys, dlcore; assert 'sklearn' not in sys.modules and 'dlcore.sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
