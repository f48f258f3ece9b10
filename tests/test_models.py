"""Sequential and Model: building, the arguments and results of fit, evaluate and predict, and what data may be."""

import threading

import numpy as np
import pytest
import reference as ref
from harness import same_bits, uniform

from dlcore import Model, Sequential, layers, ops, utils
from dlcore.callbacks import Callback
from dlcore.ops.base import values
from dlcore.optimizers import SGD

X, Y = abs(uniform(23, 8, 7, 2)), np.arange(23) % 3
SPARSE = "sparse_categorical_crossentropy"


def cnn(optimizer="sgd", seed=0, metrics=("accuracy",), shape=(8, 7, 2), compiled=True):
    utils.set_random_seed(seed)
    model = Sequential([layers.Input(shape), layers.Conv2D(5, 3, activation="relu"), layers.MaxPooling2D(),
                        layers.Flatten(), layers.Dense(3, activation="softmax")])  # fmt: skip
    if compiled:
        model.compile(optimizer, SPARSE, metrics=list(metrics))
    return model


def flat(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


# ---------------------------------------------------------------------------------------------------------------------
# Building


def test_list_add_and_the_ways_to_say_the_input_shape():
    def stack(*first, **how):
        return [*first, layers.Dense(4, activation="relu", **how), layers.Dense(2)]

    models = [Sequential(stack(layers.Input((3,)))), Sequential(stack(layers.Input(shape=(3,), name="in"))),
              Sequential(stack(layers.InputLayer((3,)))), Sequential(stack(input_shape=(3,))),
              Sequential(stack(input_dim=3)), Sequential(stack(batch_input_shape=(None, 3)))]  # fmt: skip
    added = Sequential(name="added")
    for layer in stack(layers.Input((3,))):
        added.add(layer)
    for model in [*models, added]:
        assert model.built and model.input_shape == (None, 3) and model.output_shape == (None, 2)
        assert [w.shape for w in model.weights] == [(3, 4), (4,), (4, 2), (2,)] and model.count_params() == 26
        assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense"]
    assert added.name == "added"


def test_a_model_without_an_input_shape_takes_that_of_its_data():
    for use in (lambda m, x: m.predict(x), lambda m, x: m.fit(x, np.zeros(4), verbose=0), lambda m, x: m(x),
                lambda m, x: m.evaluate(x, np.zeros(4), verbose=0), lambda m, x: m.train_on_batch(x, np.zeros(4)),
                lambda m, x: m.build((None, 5))):  # fmt: skip
        model = Sequential([layers.Dense(3), layers.Dense(1)])
        assert not model.built and model.weights == []
        with pytest.raises(ValueError, match=f"{model.name}: the shape of its input is not known yet"):
            model.input_shape  # noqa: B018
        model.compile("sgd", "mse")
        use(model, uniform(4, 5))
        assert model.built and model.input_shape == (None, 5) and model.count_params() == 22


def test_data_that_does_not_fit_leaves_an_unbuilt_model_as_it_was():
    model = Sequential([Sequential([layers.Conv2D(4, 3)]), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"expected an input \(batch, height, width, 1\).*Received: \(None, 2, 2, 1\)"):
        model.predict(uniform(2, 2, 2, 1))
    assert not model.built and model.weights == []
    assert model.predict(uniform(2, 8, 8, 3)).shape == (2, 3)
    assert [w.shape for w in model.weights] == [(3, 3, 3, 4), (4,), (144, 3), (3,)]


def test_many_threads_may_bring_the_first_data():
    for _ in range(10):
        model, start, found = Sequential([layers.Dense(4), layers.Dense(3)]), threading.Barrier(8), []

        def go(model=model, start=start, found=found):
            start.wait()
            found.append(model.predict(X[:, 0, 0]))

        run_threads([go] * 8)
        assert len(model.weights) == 4 and len({y.tobytes() for y in found}) == 1


def test_add_and_pop_after_building():
    model = cnn(compiled=False)
    top = model.pop()
    assert model.output_shape == (None, 30) and len(model.weights) == 2 and top.count_params() == 93
    assert model.predict(X).shape == (23, 30)
    model.add(layers.Dense(7))
    assert model.output_shape == (None, 7) and model.predict(X).shape == (23, 7)
    with pytest.raises(TypeError, match=r"sequential.*: there is no layer to pop"):
        Sequential([layers.Input((3,))]).pop()


@pytest.mark.parametrize("layer, error, message", [
    (layers.Dense, TypeError, "m: expected a layer. Received: <class"),
    ("dense", TypeError, "m: expected a layer. Received: 'dense'"),
    (lambda: layers.Dense(2, name="one"), ValueError, "m: layer names must differ. Received a second 'one'"),
    (lambda: layers.Conv2D(2, 3, name="two"), ValueError, r"two: expected an input .*Received: \(None, 4\)"),
    (lambda: layers.MaxPooling2D(name="two"), ValueError, r"two: expected an input .*Received: \(None, 4\)"),
])  # fmt: skip
def test_what_cannot_be_added_leaves_the_model_as_it_was(layer, error, message):
    model = Sequential([layers.Input((3,)), layers.Dense(4, name="one")], name="m")
    layer = layer() if callable(layer) and layer is not layers.Dense else layer
    with pytest.raises(error, match=message):
        model.add(layer)
    assert len(model.layers) == 1 and model.predict(uniform(2, 3)).shape == (2, 4)
    if isinstance(layer, layers.Conv2D):
        assert layer.weights == []


def test_get_layer():
    model = cnn(compiled=False)
    assert model.get_layer(index=0) is model.layers[0] is model.get_layer(model.layers[0].name)
    assert model.get_layer(index=-1) is model.layers[3]
    for how in (dict(name="nobody"), dict(index=4), dict()):
        with pytest.raises(ValueError, match=f"{model.name}: no layer .*It has "):
            model.get_layer(**how)


def test_weights_in_and_out():
    a, b = cnn(seed=1), cnn(seed=2)
    assert not np.array_equal(a.predict(X), b.predict(X))
    b.set_weights(a.get_weights())
    assert same_bits(a.predict(X), b.predict(X))
    a.get_weights()[0][...] = 0  # a copy
    assert same_bits(a.predict(X), b.predict(X))
    b.fit(X, Y, verbose=0)
    assert not np.array_equal(a.predict(X), b.predict(X))
    b.set_weights(a.get_weights())  # into the arena that training made
    assert same_bits(a.predict(X), b.predict(X))
    with pytest.raises(ValueError, match=r"expected 4 weights. Received: 3"):
        b.set_weights(a.get_weights()[:3])


def test_configuration_makes_the_same_architecture():
    model = Sequential([layers.Input((8, 7, 2)), Sequential([layers.Conv2D(3, 2, padding="same")], name="inner"),
                        layers.Flatten(), layers.Dropout(0.5), layers.Dense(2, "tanh")], name="outer")  # fmt: skip
    again = Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config() and again.name == "outer"
    again.set_weights(model.get_weights())
    assert same_bits(again.predict(X), model.predict(X))


def test_a_model_called_on_arrays_and_tensors():
    model = cnn(compiled=False)
    assert same_bits(model(X), model.predict(X))
    tensor = model(layers.Input((8, 7, 2)))
    assert isinstance(tensor, ops.Tensor) and tensor.shape == (None, 3)
    with pytest.raises(ValueError, match=r"expected an input of shape \(None, 8, 7, 2\). Received: \(None, 8, 7, 1\)"):
        model(layers.Input((8, 7, 1)))


def test_a_bare_model_has_nothing():
    assert Model().weights == []
    with pytest.raises(ValueError, match=r"model.*: the shape of its input is not known yet"):
        Model().input_shape  # noqa: B018


# ---------------------------------------------------------------------------------------------------------------------
# Nested models, shared layers, frozen layers


def test_a_nested_model_trains_as_its_layers_do():
    plain, parts = cnn(seed=4), cnn(seed=4, compiled=False)
    top = parts.pop()
    nested = Sequential([parts, top])
    nested.compile("sgd", SPARSE, metrics=["accuracy"])
    logs = [m.fit(X, Y, epochs=3, batch_size=5, shuffle=False, verbose=0).history for m in (plain, nested)]
    assert logs[0] == logs[1] and same_bits(flat(plain), flat(nested))


def test_models_that_share_a_layer_stay_in_step():
    base = cnn(seed=1, compiled=False)
    top = base.pop()
    one, two = Sequential([base, top]), Sequential([base, layers.Dense(2)])
    one.compile("sgd", SPARSE)
    two.compile("sgd", "mse")
    features = base.predict(X)
    for model, y in [(one, Y), (two, uniform(23, 2)), (one, Y), (one, Y)]:
        model.fit(X, y, verbose=0)
        assert not np.array_equal(base.predict(X), features)
        features = base.predict(X)
        for user in (one, two):
            assert same_bits(user.layers[0].get_weights()[0], base.get_weights()[0])
            expected = ref.dense(features, *user.layers[1].get_weights())
            expected = ref.softmax(expected) if user is one else expected
            np.testing.assert_allclose(user.predict(X), expected, rtol=1e-4, atol=1e-5)


def test_using_a_part_while_the_whole_trains_changes_nothing():
    """A feature extractor that a callback asks, or that is evaluated, between two epochs."""

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            part = self.model.layers[0]
            part.predict(X)
            part.compile("sgd", "mse")
            part.evaluate(X, np.zeros((23, 30)), verbose=0)

    results = []
    for watched in ([], [Watch()]):
        base = cnn(seed=3, compiled=False)
        top = base.pop()
        model = Sequential([base, top])
        model.compile("adam", SPARSE)
        model.fit(X, Y, epochs=4, batch_size=8, verbose=0, callbacks=watched)
        results.append(flat(model))
    assert same_bits(*results)


def test_a_part_may_be_trained_between_two_epochs_of_the_whole():
    def parts():
        base = cnn(seed=3, compiled=False)
        model = Sequential([base, base.pop()])
        model.compile("adam", SPARSE)
        base.compile(SGD(0.1), "mse")
        return base, model

    class Alternate(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.layers[0].train_on_batch(X, np.zeros((23, 30)))

    how = dict(batch_size=8, shuffle=False, verbose=0)
    _, model = parts()
    model.fit(X, Y, epochs=3, callbacks=[Alternate()], **how)
    base, by_hand = parts()
    for epoch in range(3):
        by_hand.fit(X, Y, initial_epoch=epoch, epochs=epoch + 1, **how)
        base.train_on_batch(X, np.zeros((23, 30)))
    assert same_bits(flat(model), flat(by_hand))


def test_frozen_layers():
    model = cnn()
    conv, dense = model.layers[0], model.layers[3]
    for frozen, moving in ((conv, dense), (dense, conv)):
        frozen.trainable, moving.trainable = False, True
        model.compile("adam", SPARSE)
        assert model.trainable_weights == moving.weights and model.non_trainable_weights == frozen.weights
        before = frozen.get_weights(), moving.get_weights()
        model.fit(X, Y, verbose=0)
        assert all(same_bits(a, b) for a, b in zip(before[0], frozen.get_weights(), strict=True))
        assert all((a != b).any() for a, b in zip(before[1], moving.get_weights(), strict=True))
    model.trainable = False
    model.compile("adam", SPARSE)
    before = flat(model)
    model.fit(X, Y, verbose=0)
    assert same_bits(flat(model), before)


# ---------------------------------------------------------------------------------------------------------------------
# fit


def test_history():
    model = cnn()
    history = model.fit(X, Y, epochs=5, initial_epoch=2, validation_data=(X[:9], Y[:9]), batch_size=4, verbose=0)
    assert history is model.history and history.epoch == [2, 3, 4] and history.params["epochs"] == 5
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert all(len(values) == 3 for values in history.history.values())
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(X[:9], Y[:9], verbose=0)[0], rel=1e-6)
    assert history.history["loss"][2] < history.history["loss"][0]
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples():
    model = cnn(SGD(0.0))  # stays where it is, so that all batches see the same weights
    p = model.predict(X)
    losses = ref.sparse_categorical_crossentropy(Y, p)
    for batch_size in (1, 4, 23, 64):  # 23 = 5 * 4 + 3: the last batch is smaller
        logs = model.fit(X, Y, batch_size=batch_size, verbose=0).history
        assert logs["loss"][0] == pytest.approx(losses.mean(), rel=1e-5)
        assert logs["accuracy"][0] == pytest.approx(np.mean(p.argmax(axis=1) == Y))


def test_without_shuffling_an_epoch_is_its_batches_in_order():
    a, b, shuffled = cnn(seed=7), cnn(seed=7), cnn(seed=7)
    seen = a.fit(X, Y, batch_size=5, epochs=2, shuffle=False, verbose=0).history["loss"]
    for epoch in range(2):
        losses = [b.train_on_batch(X[i : i + 5], Y[i : i + 5])[0] for i in range(0, 23, 5)]
        assert seen[epoch] == pytest.approx(np.average(losses, weights=[5, 5, 5, 5, 3]), rel=1e-6)
    assert same_bits(flat(a), flat(b))
    shuffled.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    assert not np.array_equal(flat(a), flat(shuffled))


def test_shuffling_takes_every_sample_once_and_each_epoch_another_way():
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["mean"] * (batch + 1))

    model = Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile(SGD(0.0), "mse", metrics=[mean_of_targets])
    y = np.float32(2.0) ** np.arange(12)  # a sum says which ones were taken
    model.fit(np.zeros((12, 1)), y, batch_size=1, epochs=2, callbacks=[Watch()], verbose=0)
    orders = [np.diff(seen[i : i + 12], prepend=0).round().tolist() for i in (0, 12)]
    assert sorted(orders[0]) == sorted(orders[1]) == y.tolist() and orders[0] != orders[1] != y.tolist()


def mean_of_targets(y, p):
    return ops.reshape(y, (None,))


mean_of_targets.__name__ = "mean"


def test_validation_split_takes_the_tail_before_shuffling():
    x, y = X[:20], Y[:20]
    split = cnn(seed=1)
    a = split.fit(x, y, epochs=2, batch_size=4, validation_split=0.3, verbose=0).history
    apart = cnn(seed=1)
    b = apart.fit(x[:14], y[:14], epochs=2, batch_size=4, validation_data=(x[14:], y[14:]), verbose=0).history
    assert a == b and same_bits(flat(split), flat(apart))
    both = split.fit(x, y, validation_split=0.5, validation_data=(x[:3], y[:3]), verbose=0).history  # data wins
    assert both["val_loss"][0] == pytest.approx(split.evaluate(x[:3], y[:3], verbose=0)[0], rel=1e-6)


def test_validation_frequency_and_batch_size():
    model = cnn()
    history = model.fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, validation_batch_size=7, verbose=0)
    assert len(history.history["loss"]) == 5 and len(history.history["val_loss"]) == 2


def test_what_fit_prints(capsys):
    model = cnn()
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr() == ("", "")
    model.fit(X, Y, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert all(word in lines[0] for word in ("loss: ", "accuracy: ", "val_loss: ", "val_accuracy: "))
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=1)
    assert capsys.readouterr() == ("", "")


def test_callbacks_see_every_batch_and_may_stop():
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            self.model.stop_training = batch == 1

    seen, model = [], cnn()
    history = model.fit(X, Y, batch_size=4, epochs=9, callbacks=[Stop()], verbose=0)
    assert seen == [0, 1] and model.optimizer.iterations == 2 and history.epoch == [0]
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2  # stop_training does not stick


# ---------------------------------------------------------------------------------------------------------------------
# evaluate, predict, train_on_batch


def test_evaluate():
    model = cnn()
    p = model.predict(X)
    loss, accuracy = ref.sparse_categorical_crossentropy(Y, p).mean(), np.mean(p.argmax(axis=1) == Y)
    for batch_size in (None, 1, 5, 23, 100):
        found = model.evaluate(X, Y, batch_size=batch_size, verbose=0)
        assert isinstance(found, list) and found == [pytest.approx(loss, rel=1e-5), pytest.approx(accuracy)]
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": found[0], "accuracy": found[1]}
    alone = cnn(metrics=())
    assert type(alone.evaluate(X, Y, verbose=0)) is float  # no metric: nobody reads the probabilities


def test_train_on_batch():
    model = cnn()
    before = model.evaluate(X, Y, verbose=0)
    first = model.train_on_batch(X, Y)
    assert first == [pytest.approx(before[0], rel=1e-5), pytest.approx(before[1])]  # of the weights before the step
    again = model.train_on_batch(X, Y, return_dict=True)
    assert list(again) == ["loss", "accuracy"] and again["loss"] < first[0]
    assert type(cnn(metrics=()).train_on_batch(X, Y)) is float


@pytest.mark.parametrize("units", [3, 1500])  # a large dense layer is a stage of its own
def test_predictions_do_not_depend_on_the_batch(units):
    model = Sequential([layers.Input((9, 8, 2)), layers.Conv2D(20, 3, activation="relu"), layers.AveragePooling2D(),
                        layers.Conv2D(7, 2, strides=2), layers.Flatten(), layers.Dense(units, activation="tanh"),
                        layers.Dense(units), layers.Softmax()])  # fmt: skip
    x = uniform(70, 9, 8, 2)
    expected = model.predict(x)
    assert expected.dtype == np.float32 and expected.shape == (70, units) and expected.flags.owndata
    for batch_size in (1, 2, 3, 7, 32, 69, 70, 1000):
        assert same_bits(model.predict(x, batch_size=batch_size), expected)
    assert same_bits(model.predict(x[33:34]), expected[33:34])
    assert same_bits(model.predict(x[::-1]), expected[::-1].copy())


def test_a_thousand_batch_sizes_keep_few_programs():
    model = cnn(compiled=False)
    for n in range(1, 24):
        model.predict(X[:n])
    idle = model._predictors.idle
    assert (len(idle["f"]), len(idle["B"])) == (1, 0) and len(idle["f"][0].function.programs) <= 8


def fresh(model, x):
    """What a model made from nothing, with these layers and weights, predicts."""
    again = Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    return again.predict(x)


@pytest.mark.parametrize("n", [1, 2, 23])
def test_the_short_way_to_a_prediction_gives_the_same_bits(n):
    model, x = cnn(compiled=False), X[:n]
    for given in (x, (x * 100).astype(np.uint8)):
        expected = fresh(model, given)
        for _ in range(3):  # the first one binds, the others find it bound
            assert same_bits(model.predict(given), expected) and same_bits(model(given), expected)
        assert model.predict(given) is not model.predict(given)
    with pytest.raises(ValueError, match=r"x: .*expects samples of shape \(8, 7, 2\)"):
        model.predict(X[0])


def test_weights_that_move_are_noticed():
    model, x = cnn(), X[:1]

    def stays_right():
        assert same_bits(model.predict(x), fresh(model, x)) and same_bits(model.predict(x), fresh(model, x))

    stays_right()
    kernel, bias = model.layers[3].weights
    kernel.assign(uniform(*kernel.shape, seed=1))  # in place
    stays_right()
    model.set_weights([w + 1 for w in model.get_weights()])
    stays_right()
    with pytest.raises(ValueError, match="read-only"):
        kernel.value[...] = 0
    stays_right()
    kernel.value = uniform(*kernel.shape, seed=3)  # elsewhere
    stays_right()
    before = kernel.numpy()
    model.fit(X, Y, verbose=0)
    assert not np.array_equal(kernel.numpy(), before)
    stays_right()
    bias.value = np.full(3, 7, np.float32)  # out of the arena that training made
    stays_right()
    model.fit(X, Y, verbose=0)
    assert (bias.numpy() != 7).all()
    stays_right()
    other = Sequential([layers.Input((30,)), model.layers[3]])  # another model moves and trains a shared layer
    other.compile("sgd", SPARSE)
    other.fit(uniform(9, 30), np.arange(9) % 3, verbose=0)
    stays_right()


@pytest.mark.parametrize("assigned", [False, True])
def test_weights_that_another_thread_assigns_during_a_step_are_not_prepared(assigned):
    model = cnn()
    kernel = model.layers[3].weights[0]

    class Program:
        prepared = None

        def run(self, steps, threads, weights):
            assert weights is values.last
            if assigned:
                kernel.assign(kernel.value)

    program = Program()
    model._step(program, 1, 1)
    assert program.prepared is (None if assigned else values.last)


def test_layers_that_come_and_go_are_noticed():
    inner = Sequential([layers.Input((30,)), layers.Dense(8), layers.Dense(3)])
    model = Sequential([layers.Input((30,)), inner, layers.Activation("tanh")])
    x = uniform(1, 30)

    def stays_right():
        for _ in range(2):
            assert same_bits(model.predict(x), fresh(model, x)) and same_bits(inner.predict(x), fresh(inner, x))

    stays_right()
    top = inner.pop()
    stays_right()
    inner.add(layers.Activation("relu"))  # without weights
    stays_right()
    inner.pop()
    inner.add(top)
    stays_right()
    model.pop()
    stays_right()


def test_a_layer_that_exchanges_its_own_layers_is_noticed():
    class Either(layers.Layer):
        def __init__(self):
            super().__init__()
            self.chosen, self.other = [layers.Dense(3)], layers.Dense(3)

        def call(self, x):
            return self.chosen[0](x)

    either, x = Either(), uniform(1, 5)
    model = Sequential([layers.Input((5,)), either])
    for _ in range(2):
        assert same_bits(model.predict(x), either.chosen[0](x))
    either.chosen[0] = layers.Dense(3)
    either.chosen[0](x)
    for _ in range(2):
        assert same_bits(model.predict(x), either.chosen[0](x))


def test_what_is_trained_may_change_between_two_batches():
    model = cnn("sgd")
    model.train_on_batch(X, Y)
    conv, dense = model.layers[0], model.layers[3]
    conv.trainable = False
    before = conv.get_weights(), dense.get_weights()
    model.train_on_batch(X, Y)
    assert same_bits(before[0][0], conv.get_weights()[0]) and (before[1][0] != dense.get_weights()[0]).any()
    conv.trainable, dense.weights[0].trainable = True, False
    before = conv.get_weights(), dense.get_weights()
    model.train_on_batch(X, Y)
    assert (before[0][0] != conv.get_weights()[0]).any() and same_bits(before[1][0], dense.get_weights()[0])
    assert (before[1][1] != dense.get_weights()[1]).any()


# ---------------------------------------------------------------------------------------------------------------------
# Data


def layouts(x):
    """The same numbers in other clothes."""
    padded = np.zeros((2 * x.shape[0], *x.shape[1:]), x.dtype)
    padded[::2] = x
    odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)  # not aligned
    odd[...] = x
    fixed = x.copy()
    fixed.flags.writeable = False
    return {
        "float64": x.astype(np.float64), "float16": x.astype(np.float16), "int64": x.astype(np.int64),
        "uint8": x.astype(np.uint8), "int8": x.astype(np.int8), "uint32": x.astype(np.uint32),
        "big-endian float": x.astype(">f4"), "big-endian int": x.astype(">i2"), "Fortran order": np.asfortranarray(x),
        "every second": padded[::2], "reversed": np.ascontiguousarray(x[::-1])[::-1],
        "channels first": np.ascontiguousarray(np.moveaxis(x, 3, 1)).transpose(0, 2, 3, 1), "read-only": fixed,
        "list": x.tolist(), "unaligned": odd,
    }  # fmt: skip


WHOLE = np.random.default_rng(0).integers(0, 100, (23, 8, 7, 2)).astype(np.float32)


@pytest.mark.parametrize("name", layouts(WHOLE))
def test_any_numbers_in_any_layout(name):
    x, results = layouts(WHOLE)[name], []
    before = np.array(x).tobytes()
    for given in (WHOLE, x):
        model = cnn(SGD(1e-4))
        p, score = model.predict(given), model.evaluate(given, Y, verbose=0)
        model.fit(given, Y, batch_size=8, verbose=0)
        results.append((p.tobytes(), score, flat(model).tobytes()))
    assert results[0] == results[1]
    assert np.array(x).tobytes() == before


def test_booleans_and_repeated_memory():
    model = cnn()
    bits = WHOLE > 50
    assert same_bits(model.predict(bits), model.predict(bits.astype(np.float32)))
    one = np.broadcast_to(WHOLE[:1], WHOLE.shape)
    assert same_bits(model.predict(one), model.predict(one.copy()))


@pytest.mark.parametrize("y", [Y.astype(np.uint8), Y.astype(np.float64), Y.tolist(), Y[:, None], np.repeat(Y, 2)[::2],
                               Y.astype(">i8")])  # fmt: skip
def test_targets_of_any_kind(y):
    a, b = cnn(), cnn()
    a.fit(X, Y, shuffle=False, verbose=0)
    b.fit(X, y, shuffle=False, verbose=0)
    assert same_bits(flat(a), flat(b))


def test_bytes_are_scaled_as_they_are_gathered():
    images = WHOLE.astype(np.uint8)
    utils.set_random_seed(1)
    model = Sequential([layers.Input((8, 7, 2)), layers.Rescaling(1 / 255), *cnn(compiled=False).layers])
    model.compile("sgd", SPARSE)
    plain = cnn(seed=1)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(images), plain.predict(WHOLE / 255), rtol=1e-5)
    for m, x in ((model, images), (plain, WHOLE / 255)):
        m.fit(x, Y, batch_size=8, shuffle=False, epochs=2, verbose=0)
    np.testing.assert_allclose(flat(model), flat(plain), rtol=1e-4, atol=1e-6)


def test_images_without_a_channel_axis():
    model = cnn(shape=(8, 7, 1))
    grey = X[..., 0]
    assert same_bits(model.predict(grey), model.predict(grey[..., None]))
    model.fit(grey, Y, verbose=0)
    assert np.isfinite(flat(model)).all()


def test_a_nan_stays_in_its_sample():
    model, x = cnn(), X.copy()
    x[5, 3, 3, 1] = np.nan
    p, expected = model.predict(x), model.predict(X)
    assert np.isnan(p[5]).all()
    assert same_bits(np.delete(p, 5, axis=0), np.delete(expected, 5, axis=0))
    assert np.isnan(model.evaluate(x, Y, verbose=0)[0])


BAD_X = [
    (X[0], r"expects samples of shape \(8, 7, 2\), batch in front: \(None, 8, 7, 2\). Received: \(8, 7, 2\)"),
    (X[:, :7], r"Received: \(23, 7, 7, 2\)"),
    (X[..., :1], r"Received: \(23, 8, 7, 1\)"),
    (X.reshape(23, -1), r"Received: \(23, 112\)"),
    (X[:0], r"expected at least one sample. Received: shape \(0, 8, 7, 2\)"),
    (None, "expected data. Received: x=None"),
    (X.astype(object), "expected an array of numbers. Received: ndarray of dtype object"),
    (X.astype(complex), "expected an array of numbers. Received: ndarray of dtype complex128"),
]


@pytest.mark.parametrize("x, message", BAD_X)
@pytest.mark.parametrize("use", ["predict", "fit", "evaluate", "train_on_batch"])
def test_refuses_data(use, x, message):
    model = cnn()
    with pytest.raises(ValueError, match=f"x: .*{message}"):
        getattr(model, use)(*[x] if use == "predict" else [x, Y])
    assert model.predict(X).shape == (23, 3)


@pytest.mark.parametrize("x", [3.0, "images"])
def test_refuses_what_is_no_data(x):
    with pytest.raises(TypeError, match=f"x: expected arrays or a dataset. Received: {x!r}"):
        cnn().fit(x)


@pytest.mark.parametrize("arguments, message", [
    (dict(y=None), "y: expected targets. Received: y=None"),
    (dict(y=Y[:5]), "x and y must have the same number of samples. Received: 23 and 5"),
    (dict(y=Y + 1), "y: .*class numbers from 0 to 2, as the model has 3 outputs. Received: 1 to 3"),
    (dict(batch_size=0), "batch_size must be a whole number of at least 1. Received: batch_size=0"),
    (dict(batch_size=2.5), "batch_size must be .*batch_size=2.5"),
    (dict(epochs=-1), "epochs must be a whole number of at least 0. Received: epochs=-1"),
    (dict(epochs="3"), "epochs must be .*epochs='3'"),
    (dict(initial_epoch=-2), "initial_epoch must be .*initial_epoch=-2"),
    (dict(validation_freq=0), "validation_freq must be .*validation_freq=0"),
    (dict(validation_batch_size=-3), "validation_batch_size must be .*=-3"),
    (dict(verbose=3), "verbose must be 0, 1, 2 or 'auto'. Received: verbose=3"),
    (dict(validation_split=1.0), r"validation_split must be in \[0, 1\). Received: validation_split=1.0"),
    (dict(validation_split=0.99), "validation_split=0.99 of 23 samples leaves 0 to train on and 23 to validate on"),
    (dict(validation_data=X), r"validation_data: expected \(x, y\), .* or a dataset. Received: ndarray"),
    (dict(validation_data=(X, Y[:3])), "validation_data: .*same number|x and y must have the same number of samples"),
    (dict(validation_data=(X[:, :2], Y)), r"validation_data: x: .*Received: \(23, 2, 7, 2\)"),
    (dict(validation_data=(X, Y + 7)), "validation_data: y: .*class numbers from 0 to 2"),
])  # fmt: skip
def test_fit_refuses(arguments, message):
    model = cnn()
    before = flat(model)
    with pytest.raises(ValueError, match=message):
        model.fit(X, **{"y": Y, "verbose": 0, **arguments})
    assert same_bits(flat(model), before)
    model.fit(X, Y, verbose=0)


def test_callbacks_must_be_callbacks():
    with pytest.raises(TypeError, match=r"callbacks: expected Callback objects. Received: 'stop'"):
        cnn().fit(X, Y, callbacks=["stop"], verbose=0)


def test_compile():
    model = cnn(compiled=False)
    for use in (lambda: model.fit(X, Y), lambda: model.evaluate(X, Y), lambda: model.train_on_batch(X, Y)):
        with pytest.raises(RuntimeError, match=r"sequential.*: call compile\(optimizer, loss\) before training"):
            use()
    with pytest.raises(ValueError, match="optimizer: expected one of"):
        model.compile("nobody", "mse")
    assert model.optimizer is None
    model.compile(loss=SPARSE)
    assert type(model.optimizer).__name__ == "RMSprop"


def run_threads(targets):
    """Run functions at the same time; what they raise is raised here."""
    errors = []

    def guarded(target):
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=[target], daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def test_a_second_input_is_refused():
    model = Sequential([layers.Input((2,))])
    with pytest.raises(ValueError, match="input has already been configured"):
        model.add(layers.Input((2,)))
