"""Training as users meet it: Keras' program from end to end, other threads, and Ctrl-C."""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from harness import same_bits, uniform

import dlcore
from dlcore import Sequential, datasets, layers, losses, ops, utils
from dlcore.callbacks import Callback, LambdaCallback
from dlcore.optimizers import SGD, Adam

EXAMPLE = Path(__file__).parents[1] / "examples" / "keras_mnist.py"
SPARSE = "sparse_categorical_crossentropy"


# ---------------------------------------------------------------------------------------------------------------------
# The program of the example


def network():
    return Sequential([layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
                       layers.Flatten(), layers.Dense(10, activation="softmax")])  # fmt: skip


@pytest.mark.filterwarnings("ignore:the argument lr:DeprecationWarning")
def test_the_example_on_a_small_set(monkeypatch):
    small = datasets.digits28.load_data(12000, 1000, cache=False, verbose=False)
    monkeypatch.setattr(datasets.mnist, "load_data", lambda: small)
    utils.set_random_seed(1)
    after = runpy.run_path(str(EXAMPLE))
    history, p = after["model"].history.history, after["predictions"]
    assert p.shape == (1000, 10) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert history["loss"] == sorted(history["loss"], reverse=True) and len(history["val_loss"]) == 5
    assert history["val_accuracy"][-1] > 0.79 and history["accuracy"][-1] > 0.83  # a guess is right one time in ten
    assert np.mean(p.argmax(axis=1) == after["y_test"]) == pytest.approx(history["val_accuracy"][-1])
    loss, accuracy = after["model"].evaluate(after["x_test"], after["y_test"], verbose=0)
    assert (loss, accuracy) == pytest.approx((history["val_loss"][-1], history["val_accuracy"][-1]), rel=1e-5)


KERAS = [(0.336, 0.357), (0.112, 0.124), (0.078, 0.085), (0.064, 0.068), (0.055, 0.059)]  # loss by epoch


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_mnist_learns_as_in_keras(seed):
    if "DLCORE_DATA_HOME" not in os.environ:
        pytest.skip("set DLCORE_DATA_HOME to a folder with MNIST")
    (x, y), (x_test, y_test) = datasets.mnist.load_data()
    x, x_test = (images.reshape(-1, 28, 28, 1).astype("float32") / 255 for images in (x, x_test))
    utils.set_random_seed(seed)
    model = network()
    model.compile("adam", SPARSE, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=128, epochs=5, validation_data=(x_test, y_test), verbose=0).history
    for loss, (low, high) in zip(history["loss"], KERAS, strict=True):
        assert 0.94 * low <= loss <= 1.06 * high
    assert history["val_accuracy"][-1] >= 0.978


# ---------------------------------------------------------------------------------------------------------------------
# Other threads


def small(seed=0, optimizer="adam"):
    utils.set_random_seed(seed)
    model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(),
                        layers.Flatten(), layers.Dense(16, "tanh"), layers.Dense(4, "softmax")])  # fmt: skip
    model.compile(optimizer, SPARSE)
    return model


X, Y = uniform(96, 8, 8, 1), np.arange(96) % 4


@pytest.fixture
def eager_switching():
    """Python threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Workers:
    """Threads that repeat a function until told to stop; what it raises is raised at the end."""

    def __init__(self, *functions):
        self.stop, self.errors, self.counts = threading.Event(), [], [0] * len(functions)
        self.threads = [threading.Thread(target=self.work, args=item, daemon=True) for item in enumerate(functions)]

    def work(self, number, function):
        try:
            while not self.stop.is_set():
                function()
                self.counts[number] += 1
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), "a thread hangs"
        if self.errors:
            raise self.errors[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_predictions_from_eight_threads(eager_switching, threads):
    models = small(1), small(2)
    images = (uniform(96, 8, 8, 1, seed=5) * 100).astype(np.uint8)
    expected = [(model.predict(X), model.predict(images)) for model in models]
    wrong = []

    def ask(number):
        rng = np.random.default_rng(number)

        def once():
            which, kind, (a, b) = rng.integers(2), rng.integers(2), np.sort(rng.integers(0, 97, 2))
            if a == b:
                return
            with dlcore.threads(threads):
                got = models[which].predict((X, images)[kind][a:b], batch_size=int(rng.integers(1, 65)))
            if not same_bits(got, expected[which][kind][a:b]):
                wrong.append((which, kind, a, b))

        return once

    with Workers(*map(ask, range(8))) as workers:
        time.sleep(1.5)
    assert wrong == [] and min(workers.counts) > 10


def test_single_predictions_while_layers_and_weights_change(eager_switching):
    """Each answer is that of a state the model was in; afterwards all find the last one."""
    model, x = small(4), X[:1]
    states = [[w + i for w in model.get_weights()] for i in range(3)]
    answers = []
    for state in states:
        model.set_weights(state)
        answers.append(model.predict(x).tobytes())
    kernel, found = model.layers[-1].weights[0], [set() for _ in range(4)]
    asked = [lambda mine=mine: mine.add(model.predict(x).tobytes()) for mine in found]
    with Workers(*asked) as workers:
        for i in range(300):
            kernel.value = kernel.value.copy() if i % 3 else states[2][-2].copy()
            layers.Dense(2, input_shape=(3,)).build((None, 3))  # a weight elsewhere
            time.sleep(0.001)
    assert min(workers.counts) > 10
    assert set.union(*found) == {answers[2]} and model.predict(x).tobytes() == answers[2]


class EveryBatch(Callback):
    """Makes fit come back to Python after every step."""

    def __init__(self, seen=None):
        self.seen = seen

    def on_train_batch_end(self, batch, logs=None):
        if self.seen is not None:
            self.seen.append(self.model.predict(X[:5]).tobytes())


def test_a_prediction_sees_the_weights_between_two_steps(eager_switching):
    """Each answer is, bit for bit, that of a whole number of steps."""
    steps = []
    small(3).fit(X, Y, batch_size=16, epochs=30, verbose=0, callbacks=[EveryBatch(steps)])
    model, answers = small(3), [[] for _ in range(3)]
    steps.append(model.predict(X[:5]).tobytes())
    asked = [lambda mine=mine: mine.append(model.predict(X[:5]).tobytes()) for mine in answers]
    with Workers(*asked) as workers:
        utils.set_random_seed(3)
        small(3)  # takes the same seeds as the first model, so that fit shuffles alike
        model.fit(X, Y, batch_size=16, epochs=30, verbose=0, callbacks=[EveryBatch()])
    assert min(workers.counts) > 5
    found = {answer for mine in answers for answer in mine}
    assert found <= set(steps) and len(found) > 10


def test_training_ends_however_many_ask():
    """Predictions do not shut training out, nor training predictions."""
    model, large = small(), uniform(400, 8, 8, 1)
    model.predict(large)
    done = threading.Event()

    def train():
        model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[EveryBatch()])
        done.set()

    with Workers(*[lambda: model.predict(large)] * 4) as workers:
        trainer = threading.Thread(target=train, daemon=True)
        trainer.start()
        assert done.wait(30), "fit waits for ever"
        trainer.join(5)
        before = list(workers.counts)
        time.sleep(0.2)
    assert min(before) > 0


def test_a_second_training_is_refused():
    model, inside, go_on = small(), threading.Event(), threading.Event()

    class Hold(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            inside.set()
            go_on.wait(30)

    trainer = threading.Thread(target=model.fit, args=[X, Y], kwargs=dict(callbacks=[Hold()], verbose=0))
    trainer.start()
    assert inside.wait(30)
    try:
        for use in (model.fit, model.evaluate, model.train_on_batch):
            with pytest.raises(RuntimeError, match=f"{use.__name__} was called while this model is training"):
                use(X, Y)
        assert model.predict(X).shape == (96, 4)
    finally:
        go_on.set()
        trainer.join(30)
    assert model.optimizer.iterations == 3
    model.fit(X, Y, verbose=0)


def test_a_callback_of_predict_may_wait_for_a_thread_that_trains():
    model, outputs = small(), []

    def train(batch, logs):
        outputs.append(logs["outputs"])
        trainer = threading.Thread(target=model.fit, args=[X, Y], kwargs=dict(verbose=0), daemon=True)
        trainer.start()
        trainer.join(30)
        assert not trainer.is_alive()

    callback = LambdaCallback(on_predict_batch_end=train)
    assert same_bits(model.predict(X, batch_size=50, callbacks=[callback]), np.concatenate(outputs))
    assert [len(part) for part in outputs] == [50, 46] and model.optimizer.iterations == 6


def test_two_models_train_at_the_same_time():
    alone = []
    for seed in (1, 2):
        model = small(seed)
        model.fit(X, Y, epochs=20, batch_size=10, shuffle=False, verbose=0)
        alone.append(model.predict(X))
    models = small(1), small(2)
    how = dict(epochs=20, batch_size=10, shuffle=False, verbose=0)
    threads = [threading.Thread(target=model.fit, args=[X, Y], kwargs=how) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for model, expected in zip(models, alone, strict=True):
        assert same_bits(model.predict(X), expected)


# ---------------------------------------------------------------------------------------------------------------------
# Ctrl-C


def interrupt_after(seconds):
    """Send SIGINT to this process from another thread; a list that gets the time of it."""
    sent = []

    def send():
        time.sleep(seconds)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()
    return sent


LARGE, LABELS = uniform(2048, 28, 28, 1), np.arange(2048) % 10


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("after", [0.25, 0.6])
def test_ctrl_c_in_fit_leaves_the_weights_of_whole_steps(threads, after):
    utils.set_random_seed(7)
    model = network()
    model.compile("adam", SPARSE)
    start = model.get_weights()
    with dlcore.threads(threads):
        sent = interrupt_after(after)
        with pytest.raises(KeyboardInterrupt):
            model.fit(LARGE, LABELS, batch_size=128, epochs=1000, shuffle=False, verbose=0)
        assert time.perf_counter() - sent[0] < 0.5
        done = model.optimizer.iterations
        assert done > 0
        again = network()
        again.set_weights(start)
        again.compile("adam", SPARSE)
        whole, rest = divmod(done, 16)  # steps of an epoch
        again.fit(LARGE, LABELS, batch_size=128, epochs=whole, shuffle=False, verbose=0)
        if rest:
            again.fit(LARGE[: 128 * rest], LABELS[: 128 * rest], batch_size=128, shuffle=False, verbose=0)
        assert again.optimizer.iterations == done
        for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
            assert same_bits(a, b) and np.isfinite(a).all()
        model.fit(LARGE[:256], LABELS[:256], verbose=0)
        assert model.predict(LARGE[:3]).shape == (3, 10)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_in_predict():
    model = network()
    images = np.zeros((50_000, 28, 28, 1), np.uint8)
    sent = interrupt_after(0.3)
    with pytest.raises(KeyboardInterrupt):
        while True:
            model.predict(images)
    assert time.perf_counter() - sent[0] < 0.5
    assert np.isfinite(model.predict(LARGE[:9])).all()


def test_a_callback_that_raises_leaves_the_model_usable():
    class Fail(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise OSError("disk full")

    model = small(optimizer=SGD(0.1))
    with pytest.raises(OSError, match="disk full"):
        model.fit(X, Y, callbacks=[Fail()], verbose=0)
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


# ---- mistakes that must not pass in silence ----


class TwoWeights(layers.Layer):
    """x (2 a + b): a weight that is scaled, and two that are added."""

    def build(self, input_shape):
        self.a = self.add_weight((input_shape[1], 20), name="a")
        self.b = self.add_weight((input_shape[1], 20), name="b")

    def call(self, x, training=False):
        return ops.dense(x, ops.add(ops.rescale(self.a, 2.0), self.b))


def test_ops_on_weights_train_all_of_them():
    x, y = uniform(8, 5), uniform(8, 20)
    model = Sequential([TwoWeights(input_shape=(5,))])
    model.compile(SGD(1.0), "mse")
    a, b = (w.astype(np.float64) for w in model.get_weights())
    model.fit(x, y, batch_size=8, verbose=0)
    g = x.T.astype(np.float64) @ (2 / 20 / 8 * (x @ (2 * a + b) - y))
    for found, expected in zip(model.get_weights(), (a - 2 * g, b - g), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_loss_without_a_gradient_is_refused():
    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile("sgd", lambda y, p: ops.mean_squared_error(p, y))  # the wrong way round
    with pytest.raises(TypeError, match="Loss has no gradient with respect to"):
        model.fit(uniform(4, 5), uniform(4, 3), verbose=0)


def test_a_metric_with_and_without_weights():
    """The second one is called weighted_..., as in Keras."""
    x, y, weight = uniform(4, 5), uniform(4, 3), np.arange(4.0)
    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"])
    logs = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    errors = np.abs(model.predict(x) - y).mean(axis=1)
    assert logs["mae"] == pytest.approx(errors.mean(), rel=1e-5)
    assert logs["weighted_mae"] == pytest.approx(np.average(errors, weights=weight), rel=1e-5)


def test_two_measures_of_one_name_are_refused():
    def loss(y, p):
        return ops.mean_squared_error(y, p)

    model = Sequential([layers.Dense(3, input_shape=(5,))])
    with pytest.raises(ValueError, match="two measures are called 'loss'"):
        model.compile("sgd", "mse", metrics=[loss])


def test_something_must_be_minimised():
    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"sequential.*: compile needs a loss. Received: loss=None, and no layer adds"):
        model.fit(uniform(4, 5), uniform(4, 3), verbose=0)


def test_an_optimizer_trains_one_model():
    optimizer = SGD(0.1)
    a, b = (Sequential([layers.Dense(3, input_shape=(5,))]) for _ in range(2))
    a.compile(optimizer, "mse")
    b.compile(optimizer, "mse")
    a.fit(uniform(4, 5), uniform(4, 3), verbose=0)
    with pytest.raises(ValueError, match="sgd: this optimizer already trains another model"):
        b.fit(uniform(4, 5), uniform(4, 3), verbose=0)


def test_a_callback_may_evaluate_but_not_train():
    found = []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(self.model.evaluate(uniform(4, 5), uniform(4, 3), verbose=0))
            with pytest.raises(RuntimeError, match="in a callback"):
                self.model.train_on_batch(uniform(4, 5), uniform(4, 3))

    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile("sgd", "mse")
    model.fit(uniform(64, 5), uniform(64, 3), epochs=2, verbose=0, callbacks=[Look()])
    assert len(found) == 2 and found[1] == model.evaluate(uniform(4, 5), uniform(4, 3), verbose=0)


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_test_batch_end"])
def test_evaluating_between_batches_changes_nothing(hook):
    """Neither the numbers of the batches nor the measures, even where an evaluation is in work."""
    x, y = uniform(23, 5), uniform(23, 3)

    def trained(look):
        model, numbers = Sequential([layers.Dense(3, kernel_initializer="ones", input_shape=(5,))]), []
        model.compile("sgd", "mse", metrics=["mae"])

        def note(batch, logs=None):
            numbers.append((batch, dict(logs or {})))
            if look and (hook != "on_test_batch_end" or len(numbers) % 3 == 1):
                first = len(numbers)
                model.evaluate(x[:7], y[:7], batch_size=4, verbose=0, callbacks=callbacks)
                del numbers[first:]

        callbacks = [LambdaCallback(**{hook: note})]
        history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, validation_data=(x, y),
                            validation_batch_size=8, callbacks=callbacks)  # fmt: skip
        return numbers, history.history

    assert trained(True) == trained(False)


def test_a_subclass_of_an_optimizer_works():
    class Mine(SGD):
        """Another name for it."""

    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile(Mine(0.1), "mse")
    before = model.get_weights()[0]
    model.fit(uniform(4, 5), uniform(4, 3), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


class Reshaped(layers.Layer):
    """Dense, from a weight of another shape."""

    def build(self, input_shape):
        self.flat = self.add_weight(name="flat", shape=(3, 2, 5), initializer="glorot_uniform")

    def call(self, x):
        return ops.dense(x, ops.transpose(ops.reshape(self.flat, (3, 10))[:, ::2]))


def test_weights_may_be_read_in_another_shape():
    """A reshaped, cut and transposed weight trains as its entries do in a Dense layer."""
    x, y = uniform(8, 5), uniform(8, 3)
    mine = Sequential([Reshaped(input_shape=(5,))])
    flat = mine.get_weights()[0]
    plain = Sequential([layers.Dense(3, use_bias=False, input_shape=(5,))])
    plain.set_weights([flat.reshape(3, 10)[:, ::2].T])
    for model in (mine, plain):
        model.compile("adam", "mse")
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    trained = mine.get_weights()[0].reshape(3, 10)
    np.testing.assert_allclose(trained[:, ::2].T, plain.get_weights()[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(trained[:, 1::2], flat.reshape(3, 10)[:, 1::2])


def test_moments_follow_their_weights():
    """Freezing a layer moves the others in the arena; what Adam knows of them goes along."""
    a, b = (ops.Parameter((n,), np.zeros(n), "w") for n in (3, 4))
    adam = Adam()
    adam.build({a: slice(0, 3), b: slice(16, 20)}, 32)
    adam.slots["momentum"][:] = np.arange(32)
    adam.build({b: slice(0, 4)}, 16)
    assert adam.slots["momentum"].tolist() == [16, 17, 18, 19, *[0] * 12] and adam.slots["velocity"].shape == (16,)


class Block(layers.Layer):
    """A layer that holds others; `call` without `training`, as Keras allows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.rest = layers.Dense(6), [layers.Dense(3), layers.Dropout(0.5)]

    def call(self, x):
        return self.rest[0](self.first(x))


def test_layers_inside_a_layer_are_trained():
    model = Sequential([Block(input_shape=(5,))])
    model.compile(SGD(0.1), "mse")
    assert model.count_params() == 5 * 6 + 6 + 6 * 3 + 3
    before = model.get_weights()
    model.fit(uniform(8, 5), uniform(8, 3), verbose=0)
    assert len(before) == 4 and not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.layers[0].trainable = False
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == 4


def test_a_loss_of_ones_own_on_class_numbers():
    class Mine(losses.Loss):
        """Cross-entropy, twice."""

        sparse = True

        def call(self, y_true, y_pred):
            return ops.rescale(ops.sparse_categorical_crossentropy(y_true, y_pred), 2.0)

    x, y = uniform(8, 5), np.arange(8) % 3
    logs = []
    for loss in (Mine(), "sparse_categorical_crossentropy"):
        utils.set_random_seed(1)
        model = Sequential([layers.Dense(3, activation="softmax", input_shape=(5,))])
        model.compile("sgd", loss)
        logs.append(model.evaluate(x, y, verbose=0))
    assert logs[0] == pytest.approx(2 * logs[1], rel=1e-6)


def test_a_model_in_training_cannot_be_changed():
    class Meddle(Callback):
        def on_epoch_end(self, epoch, logs=None):
            for change in (lambda: self.model.compile("sgd", "mse"), self.model.pop,
                           lambda: self.model.add(layers.Dense(3))):  # fmt: skip
                with pytest.raises(RuntimeError, match="was called while this model is training"):
                    change()

    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile("sgd", "mse")
    assert len(model.fit(uniform(8, 5), uniform(8, 3), verbose=0, callbacks=[Meddle()]).epoch) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_during_a_fit_can_use_the_model():
    inside, go_on = threading.Event(), threading.Event()

    class Hold(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            inside.set()
            go_on.wait(30)

    model = Sequential([layers.Dense(3, input_shape=(5,))])
    model.compile("sgd", "mse")
    x, y = uniform(64, 5), uniform(64, 3)
    expected = model.predict(x[:1])
    trainer = threading.Thread(target=model.fit, args=[x, y], kwargs=dict(callbacks=[Hold()], verbose=0))
    trainer.start()
    assert inside.wait(30)
    child = os.fork()
    if not child:
        signal.alarm(10)  # a hang is a failure
        right = all(same_bits(model.predict(x[:1]), expected) for _ in range(3))
        model.predict(x)
        model.fit(x, y, verbose=0)
        os._exit(0 if right else 1)
    go_on.set()
    assert os.waitpid(child, 0)[1] == 0
    trainer.join()


def test_many_more_threads_than_processors_finish():
    """Who waits for another thread must leave it a processor: 64 threads once took 40 times as long as 4."""
    x, y = uniform(512, 12, 12, 1), np.arange(512) % 3
    found = []
    for threads in (1, 64):
        utils.set_random_seed(1)
        model = Sequential([layers.Conv2D(16, 3, input_shape=(12, 12, 1)), layers.Flatten(), layers.Dense(3)])
        model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
        with dlcore.threads(threads):
            model.fit(x, y, verbose=0)
        found.append(model.get_weights())
    assert all(same_bits(a, b) for a, b in zip(*found, strict=True))
