"""What programs work in: given back on request, bounded whatever is asked of a model."""

import gc
import pathlib
import threading

import networks
import numpy as np
import pytest
from harness import uniform

import dlcore
from dlcore.callbacks import Callback

STATUS = pathlib.Path("/proc/self/status")


def resident():
    """Bytes of this process in memory."""
    gc.collect()
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def network():
    model = networks.resnet20(dlcore, shape=(32, 32, 3), width=8, blocks=1)
    model.compile(dlcore.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(n):
    return uniform(n, 32, 32, 3), np.arange(n, dtype=np.int32) % 10


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells")
def test_memory_goes_back():
    model, (x, y) = network(), data(512)
    model.predict(x[:2])
    model.train_on_batch(x[:2], y[:2])
    model.release_workspace()
    before = resident()
    model.predict(x, batch_size=512)
    model.evaluate(x, y, batch_size=512, verbose=0)
    model.fit(x, y, batch_size=512, epochs=1, verbose=0)
    used = resident() - before
    model.release_workspace()
    left = resident() - before
    assert used > 30e6 and left < 0.2 * used


def test_nothing_else_is_lost():
    (x, y), results = data(30), []
    for release in (False, True):
        dlcore.utils.set_random_seed(3)
        model, got = network(), []
        for _ in range(3):
            got += [model.train_on_batch(x, y)[0], *model.evaluate(x, y, verbose=0), model.predict(x)]
            if release:
                model.release_workspace()
        results.append(got)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_not_while_the_model_trains():
    class Release(Callback):
        def on_train_batch_end(self, batch, logs=None):
            with pytest.raises(RuntimeError, match="release_workspace was called while this model is training"):
                self.model.release_workspace()

    x, y = data(8)
    network().fit(x, y, epochs=1, verbose=0, callbacks=[Release()])


def test_predictions_of_other_threads_are_waited_for():
    model, (x, _) = network(), data(40)
    expected, wrong, stop = model.predict(x), [], threading.Event()

    def predict():
        while not stop.is_set():
            if not np.array_equal(model.predict(x), expected):
                wrong.append(1)

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        model.release_workspace()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells")
def test_memory_does_not_grow_over_many_predictions():
    layers = dlcore.layers
    model = dlcore.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(4, 3, strides=2), layers.BatchNormalization(),
                               layers.ReLU(), layers.Flatten(), layers.Dense(3)])  # fmt: skip
    (x, _), sizes = data(12), np.random.default_rng(0).integers(1, 13, 11000)
    for n in sizes[:1000]:
        model.predict(x[:n])
    before = resident()
    for n in sizes[1000:]:
        model.predict(x[:n])
    assert resident() - before < 8e6


def test_predictions_see_all_old_weights_or_all_new_ones():
    dense = [dlcore.layers.Dense(30) for _ in range(12)]
    model = dlcore.Sequential([dlcore.layers.Input((30,)), *dense, dlcore.layers.Dense(3)])
    x, sets = uniform(4, 30), []
    for scale in (1.0, -1.0):
        sets.append([np.full(w.shape, scale / 30, np.float32) for w in model.weights])
    expected = []
    for weights in sets:
        model.set_weights(weights)
        expected.append(model.predict(x))
    assert not np.array_equal(*expected)
    found, stop = [], threading.Event()

    def predicting():
        while not stop.is_set():
            found.append(model.predict(x))

    threads = [threading.Thread(target=predicting) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(300):
        model.set_weights(sets[i % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert found
    for one in found:
        assert any(np.array_equal(one, y) for y in expected)
