"""Mistakes that users make, caught before the first step: each message names layer, argument, expected and received,
and nothing is changed."""

import warnings

import numpy as np
import pytest
from harness import same_bits, uniform

from dlcore import (
    Input,
    Model,
    Sequential,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    regularizers,
    utils,
)
from dlcore.optimizers import SGD, Adam, schedules

X, Y = uniform(20, 6, 5, 3), np.arange(20) % 3
SPARSE, BINARY, CATEGORICAL = "sparse_categorical_crossentropy", "binary_crossentropy", "categorical_crossentropy"
ONE_HOT = np.eye(3, dtype=np.float32)[Y]


def model(units=3, activation="softmax", loss=None, **options):
    """Called "m", its last layer "top"."""
    made = Sequential([Input((6, 5, 3)), layers.Flatten(), layers.Dense(units, activation, name="top")], name="m")
    if loss is not None:
        made.compile("adam", loss, **options)
    return made


# ---------------------------------------------------------------------------------------------------------------------
# Unknown arguments and names, with the nearest right one

ARGUMENTS = [
    (lambda: layers.Dense(unit=3), "Dense has no argument 'unit'. Did you mean 'units'?"),
    (lambda: layers.Dense(3, activaton="relu"), "Dense has no argument 'activaton'. Did you mean 'activation'?"),
    (lambda: layers.Conv2D(3, 3, stride=2), "Conv2D has no argument 'stride'. Did you mean 'strides'?"),
    (lambda: layers.Dense(3, foo=1), r"Dense has no argument 'foo'. It has \['activation', "),
    (lambda: layers.Dropout(0.5, sed=1), "Dropout has no argument 'sed'. Did you mean 'seed'?"),
    (lambda: Input(shap=(3,)), "Input has no argument 'shap'. Did you mean 'shape'?"),
    (lambda: layers.Dense(3).add_weight(shap=(3,)), "add_weight has no argument 'shap'. Did you mean 'shape'?"),
    (lambda: Sequential(layer=[]), "Sequential has no argument 'layer'. Did you mean 'layers'?"),
    (lambda: Model(input=1, outputs=2), "Functional has no argument 'input'. Did you mean 'inputs'?"),
    (lambda: Model(inputs=1, output=2), "Functional has no argument 'output'. Did you mean 'outputs'?"),
    (lambda: SGD(leraning_rate=1), "SGD has no argument 'leraning_rate'. Did you mean 'learning_rate'?"),
    (lambda: Adam(beta1=0.9), "Adam has no argument 'beta1'. Did you mean 'beta_1'?"),
    (lambda: schedules.ExponentialDecay(1, 2, 3, stair=True), "ExponentialDecay has no .*Did you mean 'staircase'?"),
    (lambda: schedules.CosineDecay(1, decay_step=3), "CosineDecay has no argument .*Did you mean 'decay_steps'?"),
    (lambda: losses.SparseCategoricalCrossentropy(from_logit=True), "no argument .*Did you mean 'from_logits'?"),
    (lambda: losses.Huber(dleta=1), "Huber has no argument 'dleta'. Did you mean 'delta'?"),
    (lambda: metrics.AUC(num_threshold=3), "AUC has no argument 'num_threshold'. Did you mean 'num_thresholds'?"),
    (lambda: metrics.Precision(threshold=0.3), "Precision has no argument .*Did you mean 'thresholds'?"),
    (lambda: callbacks.EarlyStopping(patence=3), "EarlyStopping has no argument .*Did you mean 'patience'?"),
    (lambda: callbacks.ModelCheckpoint("x", save_best=1), "ModelCheckpoint has no .*Did you mean 'save_best_only'?"),
    (lambda: initializers.HeNormal(sed=3), "HeNormal has no argument 'sed'. Did you mean 'seed'?"),
    (lambda: initializers.RandomNormal(std=3), "RandomNormal has no argument 'std'. Did you mean 'stddev'?"),
    (lambda: regularizers.L1(l3=3), "L1 has no argument 'l3'. Did you mean 'l1'?|It has"),
    (lambda: constraints.MaxNorm(max_val=3), "MaxNorm has no argument 'max_val'. Did you mean 'max_value'?"),
    (lambda: model().compile(optimiser="sgd", loss=SPARSE), "compile has no .*Did you mean 'optimizer'?"),
    (lambda: model().compile("sgd", SPARSE, metric=["accuracy"]), "compile has no .*Did you mean 'metrics'?"),
    (lambda: model().fit(X, Y, epoch=3), "fit has no argument 'epoch'. Did you mean 'epochs'?"),
    (lambda: model().fit(X, Y, nb_epoch=3), "fit has no argument 'nb_epoch'. Did you mean 'epochs'?"),
    (lambda: model().fit(X, Y, batchsize=3), "fit has no argument 'batchsize'. Did you mean 'batch_size'?"),
    (lambda: model().evaluate(X, Y, batchsize=3), "evaluate has no argument .*Did you mean 'batch_size'?"),
    (lambda: model().predict(X, batchsize=3), "predict has no argument .*Did you mean 'batch_size'?"),
    (lambda: model().train_on_batch(X, Y, sample_weights=3), "train_on_batch has .*Did you mean 'sample_weight'?"),
    (lambda: model().test_on_batch(X, Y, sample_weights=3), "test_on_batch has .*Did you mean 'sample_weight'?"),
    (lambda: model().summary(line_len=3), "summary has no argument 'line_len'. Did you mean 'line_length'?"),
    (lambda: model().get_layer(nam="x"), "get_layer has no argument 'nam'. Did you mean 'name'?"),
    (lambda: model().save("x", over=True), "save has no argument 'over'. Did you mean 'overwrite'?"),
    (lambda: utils.set_random_seed(sed=3), "set_random_seed has no argument 'sed'. Did you mean 'seed'?"),
    (lambda: utils.to_categorical(Y, num_class=3), "to_categorical has no argument .*Did you mean 'num_classes'?"),
    (lambda: utils.normalize(X, axes=3), "normalize has no argument 'axes'. Did you mean 'axis'?"),
    (lambda: utils.image_dataset_from_directory("x", batchsize=3), ".*has no argument .*Did you mean 'batch_size'?"),
]


@pytest.mark.parametrize("wrong, message", ARGUMENTS, ids=[message[:40] for _, message in ARGUMENTS])
def test_unknown_arguments(wrong, message):
    with pytest.raises(TypeError, match=message):
        wrong()


def test_a_type_error_within_is_not_an_unknown_argument():
    class Broken(layers.Layer):
        def call(self, x):
            return len(3)

    class Odd(layers.Layer):  # a subclass of the user's that takes anything
        def __init__(self, **anything):
            super().__init__()
            self.anything = anything

    with pytest.raises(TypeError, match="has no len"):
        Sequential([Input((3,)), Broken()])
    assert Odd(unit=3).anything == {"unit": 3}


NAMES = [
    (lambda: model().compile("sdg", SPARSE), "optimizer: expected one of .*'sdg'. Did you mean 'sgd'?"),
    (lambda: model().compile("sgd", "sparse_crossentropy"), "loss: expected one .*Did you mean 'sparse_cat"),
    (lambda: model().compile("sgd", "meansquarederror"), "loss: expected one of .*Did you mean 'mean_squared_error'?"),
    (lambda: model().compile("sgd", SPARSE, metrics=["acuracy"]), "metrics: expected .*Did you mean 'accuracy'?"),
    (lambda: layers.Dense(3, "rleu"), "activation: expected one of .*'rleu'. Did you mean 'relu'?"),
    (lambda: layers.Dense(3, kernel_initializer="he_norm"), "initializer: expected .*Did you mean 'he_normal'?"),
    (lambda: regularizers.get("l_2"), "regularizer: expected one of .*'l_2'. Did you mean 'l(1_l)?2'?"),
    (lambda: constraints.get("maxnorm"), "constraint: expected one of .*Did you mean 'max_norm'?"),
]


@pytest.mark.parametrize("wrong, message", NAMES, ids=[message[:40] for _, message in NAMES])
def test_unknown_names(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


# ---------------------------------------------------------------------------------------------------------------------
# Targets, metrics and outputs against the loss


def nan_at(array, *place):
    array = np.array(array, np.float32)
    array[place] = np.nan
    return array


TARGETS = {  # name: (units, activation, loss, y, message)
    "too large": (
        3,
        "softmax",
        SPARSE,
        Y + 1,
        "class numbers from 0 to 2, as the model has 3 outputs. Received: 1 to 3",
    ),
    "negative": (
        3,
        "softmax",
        SPARSE,
        Y - 1,
        "class numbers from 0 to 2, as the model has 3 outputs. Received: -1 to 1",
    ),
    "one-hot": (
        3,
        "softmax",
        SPARSE,
        ONE_HOT,
        r"expects class numbers of shape \(20,\). Received: \(20, 3\). One-hot "
        "targets go with the loss 'categorical_crossentropy'",
    ),
    "fractions": (3, "softmax", SPARSE, Y + 0.5, "expects whole class numbers. Received: 0.5"),
    "NaN classes": (3, "softmax", SPARSE, nan_at(Y, 4), "expects whole class numbers. Received: nan"),
    "words": (3, "softmax", SPARSE, np.array(["a", "b", "c"])[Y], "y: expected an array of numbers.* of dtype <U1"),
    "class numbers": (
        3,
        "softmax",
        CATEGORICAL,
        Y,
        r"expects targets of shape \(20, 3\). Received: \(20,\). Class numbers "
        "go with the loss 'sparse_categorical_crossentropy'",
    ),
    "not one-hot": (3, "softmax", CATEGORICAL, 5 * ONE_HOT, "expects targets from 0 to 1. Received: 0 to 5"),
    "other classes": (3, "softmax", CATEGORICAL, ONE_HOT[:, :2], r"expects targets of shape \(20, 3\). Rec.*\(20, 2\)"),
    "binary, three": (
        1,
        "sigmoid",
        BINARY,
        Y,
        "expects targets from 0 to 1. Received: 0 to 2. Several classes go with one "
        "unit each, a softmax and the loss 'sparse_categorical_crossentropy'",
    ),
    "binary, -1 and 1": (
        1,
        "sigmoid",
        BINARY,
        Y % 2 * 2 - 1,
        "expects targets from 0 to 1. Received: -1 to 1. Targets -1 and 1 go with the loss 'hinge'",
    ),
    "binary, percents": (1, "sigmoid", BINARY, Y * 25.5, "expects targets from 0 to 1. Received: 0 to 51"),
    "binary, two units": (
        2,
        "softmax",
        BINARY,
        Y % 2,
        r"expects targets of shape \(20, 2\). Received: \(20,\). One label a "
        "sample goes with an output of one unit and a sigmoid, or with a softmax and",
    ),
    "focal": (
        1,
        "sigmoid",
        losses.BinaryFocalCrossentropy(),
        Y,
        "'binary_focal_crossentropy' expects targets from 0 to 1",
    ),
    "divergence": (3, "softmax", "kl_divergence", 3 * ONE_HOT, "'kl_divergence' expects targets from 0 to 1"),
    "counts below 0": (
        3,
        "exponential",
        "poisson",
        ONE_HOT - 1,
        "'poisson' expects targets of at least 0. Received: -1 to",
    ),
    "numbers": (
        1,
        None,
        "mse",
        np.zeros((20, 2)),
        r"the loss 'mse' expects targets of shape \(20, 1\). Received: \(20, 2\)",
    ),
    "one unit": (
        1,
        "sigmoid",
        SPARSE,
        Y % 2,
        "class numbers from 0 to 0, as the model has 1 outputs. Received: 0 to 1. For two classes give it a sigmoid "
        "and 'binary_crossentropy', or two units and a softmax",
    ),
    "one unit of one-hot": (
        1,
        "sigmoid",
        CATEGORICAL,
        Y % 2,
        "'categorical_crossentropy' needs an output for each class, but 'top' has one in all. Received: targets from 0",
    ),
    "too few": (3, "softmax", SPARSE, Y[:7], "x and y must have the same number of samples. Received: 20 and 7"),
    "none": (3, "softmax", SPARSE, None, "y: expected targets. Received: y=None"),
}


@pytest.mark.parametrize("use", ["fit", "evaluate", "train_on_batch", "validation"])
@pytest.mark.parametrize("name", TARGETS)
def test_targets_against_the_loss(name, use):
    units, activation, loss, y, message = TARGETS[name]
    made = model(units, activation, loss)
    before = made.get_weights()
    with pytest.raises(ValueError, match=message):
        if use == "validation":
            shape = (20, units) if made.loss.between or name == "numbers" else (20,)
            good = np.ones(shape) if loss == CATEGORICAL else np.zeros(shape)
            made.fit(X, good, validation_data=(X, y), verbose=0)
        else:
            getattr(made, use)(X, y)
    assert all(same_bits(a, b) for a, b in zip(before, made.get_weights(), strict=True))
    assert made.optimizer.iterations == 0


def test_targets_that_are_as_they_should_be():
    for units, activation, loss, y in (
        (3, "softmax", SPARSE, Y.astype(np.float64)),
        (3, "softmax", SPARSE, Y[:, None]),
        (3, "softmax", CATEGORICAL, 0.9 * ONE_HOT + 0.1 / 3),
        (1, "sigmoid", BINARY, Y % 2),
        (1, "sigmoid", BINARY, Y[:, None] / 2 * 1.0000001),
        (2, "sigmoid", BINARY, ONE_HOT[:, :2]),
        (3, None, "mse", nan_at(ONE_HOT, 3)),
    ):
        assert model(units, activation, loss).fit(X, y, verbose=0).epoch == [0]


COMPILE = [
    (
        3,
        dict(metrics=["categorical_accuracy"]),
        "'categorical_accuracy' does not go with the loss 'sparse_categorical_c.*"
        "whose targets are class numbers; 'accuracy' chooses",
    ),
    (3, dict(metrics=["binary_accuracy"]), "metrics: 'binary_accuracy' does not go with the loss"),
    (3, dict(metrics=[metrics.Precision()]), "metrics: 'precision.*' does not go with the loss"),
    (3, dict(metrics=["mse"]), "metrics: 'mse' does not go with the loss"),
    (
        3,
        dict(loss=CATEGORICAL, metrics=["sparse_categorical_accuracy"]),
        "does not go with the loss .* of the predictions'",
    ),
    (3, dict(metrics=["accuracy", "accuracy"]), "m: two measures are called 'accuracy'"),
    (3, dict(loss=None), "m: compile needs a loss"),
    (3, dict(loss_weights="1"), "m: loss_weights must be numbers. Received: '1'"),
    (3, dict(loss=[SPARSE, "mse"]), r"m: loss must have one entry for each of the outputs \['top'\]. Received: 2"),
    (3, dict(optimizer=3), "optimizer: expected one of"),
]


@pytest.mark.parametrize("units, options, message", COMPILE, ids=[message[:40] for *_, message in COMPILE])
def test_compile_refuses(units, options, message):
    made = model(units, "sigmoid", "mse")
    before = made.optimizer, made.loss
    with pytest.raises(ValueError, match=message):
        made.compile(**{"optimizer": "sgd", "loss": SPARSE, **options})
        made.fit(X, Y, verbose=0)  # a loss may also come from layers
    if options != dict(loss=None):
        assert (made.optimizer, made.loss) == before
        made.fit(X, np.zeros((20, units)), verbose=0)


def test_not_compiled():
    made = model()
    for use in (made.fit, made.evaluate, made.train_on_batch, made.test_on_batch):
        with pytest.raises(RuntimeError, match=r"m: call compile\(optimizer, loss\) before training or evaluating"):
            use(X, Y)


WARNINGS = [
    (
        3,
        "softmax",
        losses.SparseCategoricalCrossentropy(from_logits=True),
        Y,
        "m: the loss 'sparse_categorical_crossentropy' has from_logits=True, but 'top' ends with a softmax",
    ),
    (
        3,
        "softmax",
        losses.CategoricalCrossentropy(from_logits=True),
        ONE_HOT,
        "from_logits=True, but 'top' ends with a sof",
    ),
    (
        1,
        "sigmoid",
        losses.BinaryCrossentropy(from_logits=True),
        Y % 2,
        "from_logits=True, but 'top' ends with a sigmoid",
    ),
    (
        3,
        None,
        SPARSE,
        Y,
        "expects probabilities, but 'top' has no activation. Give it 'softmax', or the loss from_logits",
    ),
    (
        1,
        None,
        BINARY,
        Y % 2,
        "expects probabilities, but 'top' has no activation. Give it 'sigmoid', or the loss from_",
    ),
    (
        1,
        "softmax",
        "mse",
        Y,
        "m: 'top' ends with a softmax of one unit, which is always 1. A sigmoid may be meant",
    ),
]


@pytest.mark.parametrize(
    "units, activation, loss, y, message", WARNINGS, ids=[message[:40] for *_, message in WARNINGS]
)
def test_outputs_that_the_loss_would_misread(units, activation, loss, y, message):
    with pytest.warns(UserWarning, match=message) as seen:
        model(units, activation, loss).fit(X, y, verbose=0)
    assert seen[0].filename == __file__


def test_outputs_that_go_with_their_loss_are_silent():
    for units, activation, loss, y in (
        (3, None, losses.SparseCategoricalCrossentropy(from_logits=True), Y),
        (3, "softmax", SPARSE, Y),
        (1, "sigmoid", BINARY, Y % 2),
        (1, None, "mse", Y),
        (3, "softmax", "mse", ONE_HOT),
    ):
        model(units, activation, loss).fit(X, y, verbose=0)


# ---------------------------------------------------------------------------------------------------------------------
# Data and arguments of fit

FIT = [
    (
        dict(x=np.moveaxis(X, -1, 1)),
        r"x: m expects samples of shape \(6, 5, 3\).*Received: \(20, 3, 6, 5\). That looks like "
        r"channels first; put them last: np.moveaxis\(x, 1, -1\)",
    ),
    (dict(x=X[0]), r"Received: \(6, 5, 3\). That is one sample: put a batch axis in front, x\[None\]"),
    (dict(x=X[..., 0]), r"x: m expects samples of shape \(6, 5, 3\)"),
    (dict(x=[X, X]), "x: "),
    (dict(x=dict(images=X)), r"x: m has the inputs \['input_layer.*'\]. Received: \['images'\]"),
    (dict(x=X[:0], y=Y[:0]), r"x: expected at least one sample. Received: shape \(0, 6, 5, 3\)"),
    (dict(y=[Y, Y]), r"y: "),
    (dict(x=nan_at(X, 7, 1, 2, 0), check_data=True), r"x: sample 7 holds nan at \(1, 2, 0\)"),
    (
        dict(x=np.where(np.arange(20) == 9, np.inf, 0)[:, None, None, None] + X, check_data=True),
        "x: sample 9 holds inf",
    ),
    (dict(sample_weight=nan_at(np.ones(20), 3), check_data=True), "sample_weight: sample 3 holds nan"),
    (dict(validation_data=(nan_at(X, 2), Y), check_data=True), "validation_data: x: sample 2 holds nan"),
    (
        dict(sample_weight=np.ones(7)),
        r"sample_weight: expected one weight for each of 20 samples. Received: shape \(7,\)",
    ),
    (
        dict(sample_weight=np.ones((20, 5))),
        r"sample_weight of shape \(batch, 5\) does not go with values of shape \(batch,",
    ),
    (
        dict(class_weight={0: 1, 7: 2}),
        r"m: class_weight expects class numbers from 0 to 2, .* 3 classes. Received: \[7\]",
    ),
    (dict(class_weight={0: -1}), "m: class_weight must be 'balanced' or a dict .*Received: class_weight={0: -1}"),
    (dict(class_weight="balance"), "m: class_weight must be 'balanced' or a dict .*Received: class_weight='balance'"),
    (
        dict(class_weight={0: 2}, sample_weight=np.ones(20)),
        "m: class_weight and sample_weight cannot be given at the same",
    ),
    (dict(batch_size=-3), "m: batch_size must be a whole number of at least 1. Received: batch_size=-3"),
    (dict(epochs=-1), "m: epochs must be a whole number of at least 0. Received: epochs=-1"),
    (dict(initial_epoch=-1), "m: initial_epoch must be a whole number of at least 0"),
    (dict(steps_per_epoch=0), "m: steps_per_epoch must be a whole number of at least 1. Received: steps_per_epoch=0"),
    (dict(steps_per_epoch=2.5), "m: steps_per_epoch must be a whole number of at least 1"),
    (dict(validation_steps=0, validation_data=(X, Y)), "m: validation_steps must be a whole number of at least 1"),
    (dict(validation_batch_size=0), "m: validation_batch_size must be a whole number of at least 1"),
    (dict(validation_freq=0), "m: validation_freq must be a whole number of at least 1. Received: validation_freq=0"),
    (
        dict(validation_freq=[0, 2]),
        r"m: validation_freq must hold numbers of epochs, counted from 1. Received: .*\[0, 2\]",
    ),
    (dict(validation_freq=["a"]), "m: validation_freq must hold numbers of epochs"),
    (dict(validation_split=1.0), r"validation_split must be in \[0, 1\). Received: validation_split=1.0"),
    (dict(validation_split=-0.1), r"validation_split must be in \[0, 1\)"),
    (
        dict(validation_split=0.5, x=X[:1], y=Y[:1]),
        "validation_split=0.5 of 1 samples leaves 0 to train on and 1 to val",
    ),
    (dict(validation_data=X), r"validation_data: expected \(x, y\)"),
    (dict(validation_data=(X[:, :2], Y)), r"validation_data: x: m expects samples of shape \(6, 5, 3\)"),
    (dict(shuffle="batch"), "m: shuffle must be True or False. Received: shuffle='batch'"),
    (dict(verbose=7), "verbose must be 0, 1, 2 or 'auto'. Received: verbose=7"),
    (dict(y=None), "y: expected targets. Received: y=None"),
]


@pytest.mark.parametrize("options, message", FIT, ids=[f"{i}" for i in range(len(FIT))])
def test_fit_refuses(options, message):
    made = model(loss=SPARSE)
    made.train_on_batch(X, Y)
    before = made.get_weights(), [np.copy(slot) for slot in made.optimizer.slots.values()]
    with pytest.raises(ValueError, match=message):
        made.fit(**{"x": X, "y": Y, "verbose": 0, **options})
    after = made.get_weights(), list(made.optimizer.slots.values())
    assert all(same_bits(a, b) for one, two in zip(before, after, strict=True) for a, b in zip(one, two, strict=True))
    assert made.optimizer.iterations == 1


def test_wrong_kinds_of_data():
    made = model(loss=SPARSE)
    for x in (3.0, "images", lambda: None, int):
        with pytest.raises(TypeError, match=r"x: expected arrays or a dataset. Received"):
            made.fit(x, Y, verbose=0)
    with pytest.raises(ValueError, match=r"y: a generator brings its own; leave y out"):
        made.fit(((X, Y) for _ in range(2)), Y, verbose=0)
    with pytest.raises(TypeError, match=r"callbacks: expected Callback objects. Received: <class"):
        made.fit(X, Y, callbacks=[callbacks.EarlyStopping], verbose=0)
    with pytest.raises(ValueError, match=r"batch 1.* class numbers from 0 to 2"):
        made.fit(iter([(X, Y), (X, Y + 1)]), verbose=0, steps_per_epoch=2)
    for use in (made.evaluate, made.predict):
        with pytest.raises(ValueError, match=r"m: steps must be a whole number of at least 1. Received: steps=0"):
            use(*((X, Y) if use == made.evaluate else (X,)), steps=0)


SUSPICIOUS = [
    (
        dict(y=np.repeat([0, 1, 2], 40), validation_split=0.2),
        "y: validation_split=0.2 validates on 24 samples without any of "
        "classes 0, 1: it takes the last samples as they come. Shuffle the data first, or give validation_data",
    ),
    (dict(y=np.repeat([0, 1, 2], [50, 50, 20]), validation_split=0.2), "y: validation_split=0.2 .*"),
    (dict(validation_steps=3), "m: validation_steps=3 without validation_data has no effect"),
    (
        dict(epochs=2, initial_epoch=5),
        "m: nothing to train: initial_epoch=5 epochs are done, and epochs=2 in all are wanted",
    ),
]


@pytest.mark.parametrize("options, message", SUSPICIOUS, ids=range(len(SUSPICIOUS)))
def test_what_is_allowed_but_hardly_meant(options, message):
    made = model(loss=SPARSE)
    with pytest.warns(UserWarning, match=message):
        made.fit(**{"x": np.tile(X, (6, 1, 1, 1)), "y": np.tile(Y, 6), "verbose": 0, **options})


@pytest.mark.parametrize("kind", ["one-hot", "binary"])
def test_the_order_of_other_targets(kind):
    classes = np.repeat([0, 1], 60)
    x = np.tile(X, (6, 1, 1, 1))
    made = model(2, "softmax", CATEGORICAL) if kind == "one-hot" else model(1, "sigmoid", BINARY)
    y = np.eye(2)[classes] if kind == "one-hot" else classes
    with pytest.warns(UserWarning, match="without any of class 0: it takes the last samples"):
        made.fit(x, y, validation_split=0.25, verbose=0)
    order = np.random.default_rng(0).permutation(120)
    made.fit(x, y[order], validation_split=0.25, verbose=0)  # silent
    numbers = model(1, None, "mse")
    numbers.fit(x, np.arange(120), validation_split=0.25, verbose=0)  # no classes


def test_validation_steps_count_for_a_split():
    made = model(loss=SPARSE)
    seen = []

    class Count(callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            seen.append(batch)

    made.fit(X, Y, batch_size=2, validation_split=0.5, validation_steps=3, callbacks=[Count()], verbose=0)
    assert len(seen) == 3


# ---------------------------------------------------------------------------------------------------------------------
# Layers: sizes, shapes, calls

A = Input((4,), name="a")
IMAGE = Input((6, 5, 3), name="image")
LAYERS = [
    (lambda: layers.Dense(-3, name="d"), "d: units must be a positive whole number. Received: units=-3"),
    (lambda: layers.Dense(2.5, name="d"), "d: units must be a positive whole number. Received: units=2.5"),
    (lambda: layers.Conv2D(0, 3, name="c"), "c: filters must be a positive whole number. Received: filters=0"),
    (
        lambda: layers.Conv2D(2, -3, name="c"),
        "c: kernel_size must be a positive whole number. Received: kernel_size=-3",
    ),
    (lambda: layers.Conv2D(2, 3, strides=0, name="c"), "c: strides must be a positive whole number"),
    (lambda: layers.Conv2D(2, 3, padding="sane", name="c"), "c: padding must be one of .*Received: padding='sane'"),
    (lambda: layers.Conv2D(4, 3, groups=3, name="c"), "c: filters must be a multiple of groups"),
    (lambda: layers.Conv2D(4, 3, data_format="channels_first", name="c"), "c: data_format must be 'channels_last'"),
    (lambda: layers.MaxPooling2D(0, name="p"), "p: pool_size must be a positive whole number"),
    (lambda: layers.Dropout(1.5, name="d"), r"d: rate must be a number in \[0, 1\). Received: rate=1.5"),
    (lambda: layers.Embedding(0, 3, name="e"), "e: input_dim must be a positive whole number. Received: input_dim=0"),
    (lambda: layers.BatchNormalization(momentum=3, name="b"), r"b: momentum must be a number in \[0, 1\]"),
    (
        lambda: Input((3, -1), name="i"),
        r"i: input_shape must hold positive whole numbers.*Received: input_shape=\(3, -1\)",
    ),
    (lambda: Input((None, 3), name="i"), "i: input_shape must hold positive whole numbers, without the batch"),
    (lambda: layers.Dense(2, dtype="float16", name="d"), "d: dtype must be 'float32'"),
    (lambda: layers.Conv2D(2, 3, name="c")(A), r"c: expected an input of shape \(batch, height, width, channels\)"),
    (lambda: layers.Conv2D(2, 9, name="c")(IMAGE), r"c: expected an input .* that a kernel of \(9, 9\)"),
    (lambda: layers.MaxPooling2D(9, name="p")(IMAGE), r"p: expected an input that a window of \(9, 9\) fits into"),
    (lambda: layers.Reshape((5,), name="r")(A), r"r: expected an input of the size of target_shape=\(5,\)"),
    (
        lambda: layers.Add(name="s")([A, Input((3,))]),
        r"s: expected inputs whose shapes broadcast. Received: shapes \(None, 4",
    ),
    (lambda: layers.Add(name="s")(A), r"s: expected a list of inputs. Received: shapes? \(None, 4\)"),
    (
        lambda: layers.Concatenate(name="s")([IMAGE, Input((7, 5, 3))]),
        "s: .*expected shapes that differ in axis 3 only",
    ),
    (lambda: layers.Dense(3, name="d")([A, A]), "d: expected one input. Received: a list of 2"),
    (lambda: layers.Dense(3, name="d")(dict(a=A)), "d: expected one input. Received: a dict of 1"),
    (
        lambda: Sequential([Input((4,)), layers.Dense(2)], name="s")([A, A]),
        "s: expected one input. Received: a list of 2",
    ),
    (lambda: layers.Dense(3, name="d")(None), "d: expected a tensor, or an array of numbers with the batch .*: None"),
    (lambda: layers.Dense(3, name="d")("x"), "d: expected a tensor, or an array of numbers .*Received: 'x'"),
    (lambda: layers.Dense(3, name="d")(3.0), "d: expected a tensor, or an array of numbers .*Received: 3.0"),
    (
        lambda: layers.Dense(3, name="d")(layers.Dense(2, name="e")),
        "d: expected a tensor.*Dense name=e>. Call that layer",
    ),
    (lambda: layers.Dense(3, name="d").set_weights([1]), "d: expected 0 weights. Received: 1"),
    (lambda: SGD(-0.1, name="s"), "s: learning_rate must be a number of at least 0. Received: learning_rate=-0.1"),
    (lambda: SGD(momentum=2, name="s"), "s: momentum must be .*Received: momentum=2"),
    (lambda: SGD(clipnorm=-1, name="s"), "s: clipnorm must be .*Received: clipnorm=-1"),
]


@pytest.mark.parametrize("wrong, message", LAYERS, ids=[message[:40] for _, message in LAYERS])
def test_layers_refuse(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_layer_that_knows_its_input_refuses_another():
    layer = layers.Dense(2, name="d")
    layer(A)
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"d: expected an input of shape \(None, ..., 4\). Received: \(None, 3\)"):
        layer(Input((3,)))
    assert same_bits(before[0], layer.get_weights()[0])


def test_an_optimizer_of_another_model():
    optimizer = SGD()
    one, two = model(), model()
    one.compile(optimizer, SPARSE)
    one.fit(X, Y, verbose=0)
    two.compile(optimizer, SPARSE)
    before = two.get_weights()
    with pytest.raises(ValueError, match=r"this optimizer already trains another model. Make a new one"):
        two.fit(X, Y, verbose=0)
    assert same_bits(before[0], two.get_weights()[0]) and optimizer.iterations == 1


def test_nothing_of_this_file_warns_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = model(loss=SPARSE, metrics=["accuracy"])
        made.fit(X, Y, validation_split=0.2, validation_steps=1, epochs=2, initial_epoch=2, verbose=0)
        made.fit(X, Y, validation_data=(X, Y), class_weight={0: 2.0}, shuffle=False, verbose=0)
