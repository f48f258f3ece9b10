"""Pickle, deepcopy, configurations and clones of every layer and model, optimizer, loss, metric, ..."""

import copy
import json
import pickle
import threading
import time

import numpy as np
import pytest
from layer_table import CASES
from test_layer_table import data, make, packed
from test_saving_graphs import DATA, OPTIMIZERS, ROW, Net, apart, same, soft, trained

import dlcore
from dlcore import (
    Model,
    Sequential,
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from dlcore.models import clone_model, load_model

HOWS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "old pickle": lambda thing: pickle.loads(pickle.dumps(thing, 2)),
    "deepcopy": copy.deepcopy,
}  # fmt: skip


FIRST = list({case.name: case for case in reversed(CASES)}.values())[::-1]  # one for each class


def trainable_model(case):
    """The layer between the inputs and a dense layer, so that there is something to train."""
    if case.name == "InputLayer":
        return Sequential([make(case), layers.Dense(2)])
    inputs = [layers.Input(shape) for shape in case.shapes]
    return Model(packed(case, inputs), layers.Dense(2)(layers.Flatten()(make(case)(packed(case, inputs)))))


@pytest.mark.parametrize("case", FIRST, ids=[case.name for case in FIRST])
def test_every_layer_copies_in_the_middle_of_training(case, tmp_path):
    model, x = trainable_model(case), packed(case, data(case, 12))
    y = np.ones((12, 2), np.float32)
    model.compile(optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.fit(x, y, epochs=2, batch_size=5, verbose=0)
    model.save(tmp_path / "model.safetensors")
    copies = [*(how(model) for how in HOWS.values()), load_model(tmp_path / "model.safetensors")]
    before = model.predict(x)
    for other in copies:
        assert other.get_config() == model.get_config()
        assert same(other.get_weights(), model.get_weights()) and same(other.predict(x), before)
        assert not {id(w) for w in other.weights} & {id(w) for w in model.weights}
    config = json.loads(json.dumps(model.get_config()))
    again = (Sequential if isinstance(model, Sequential) else Model).from_config(config)
    for clone in (clone_model(model), again):
        assert clone.get_config() == model.get_config() and clone.optimizer is None
        clone.set_weights(model.get_weights())
        assert same(clone.predict(x), before)
    for one in [model, *copies]:
        dlcore.utils.set_random_seed(2)
        one.fit(x, y, epochs=2, batch_size=5, verbose=0)
    for other in copies:
        assert same(other.get_weights(), model.get_weights()) and other.history.history == model.history.history
        assert same(*[list(map(np.array, one.optimizer.variables)) for one in (model, other)])


def models():
    x = layers.Input(ROW)
    return {
        "not built": Sequential([layers.Dense(3)]),
        "ops between": Model(x, layers.Dense(2)(x) * 2 + 1),
        "nested": Sequential([layers.Input(ROW), Net(3), Sequential([layers.Dense(3)])]),
        "subclass": Net(2),
        "frozen": Sequential([layers.Input(ROW), layers.Dense(3, trainable=False), layers.Dense(2)], name="f"),
        "of arrays": Sequential([layers.Input(ROW), layers.Dense(2, kernel_initializer=np.ones((6, 2)))]),
    }  # fmt: skip


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("how", HOWS)
def test_models_copy(name, how):
    model = models()[name]
    if name == "not built":
        other = HOWS[how](model)
        assert not other.built and other.layers[0].units == 3
        return
    x, y = DATA[0]["a"], np.zeros((24, model(DATA[0]["a"]).shape[-1]))
    model.compile(optimizers.SGD(0.01, 0.9), "mse")
    model.fit(x, y, epochs=2, verbose=0)
    other = HOWS[how](model)
    assert same(other.predict(x), model.predict(x)) and other.history.history == model.history.history
    assert [w.trainable for w in other.weights] == [w.trainable for w in model.weights]
    for one in (model, other):
        dlcore.utils.set_random_seed(2)
        one.fit(x, y, epochs=2, verbose=0)
    assert same(other.get_weights(), model.get_weights()) and other.optimizer is not model.optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_copies_in_the_middle_of_training(name):
    model = trained(OPTIMIZERS[name]())
    other = HOWS["pickle"](model)
    for one in (model, other):
        dlcore.utils.set_random_seed(2)
        one.fit(*DATA, epochs=2, verbose=0)
    assert same(other.get_weights(), model.get_weights())
    assert same(*[list(map(np.array, one.optimizer.variables)) for one in (model, other)])
    alone = HOWS["deepcopy"](model.optimizer)
    assert alone.iterations == model.optimizer.iterations and alone.get_config() == model.optimizer.get_config()


def test_shared_layers_stay_shared():
    model = apart()
    other = copy.deepcopy(model)
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert len(other.weights) == len(model.weights)
    base = Sequential([layers.Input(ROW), layers.Dense(4)])
    left, right = Sequential([base, layers.Dense(1)]), Sequential([base, layers.Dense(2)])
    one, two = pickle.loads(pickle.dumps((left, right)))
    assert one.layers[0] is two.layers[0]


class Slow:
    """Lets other threads work while it is copied, to a dict."""

    def __reduce__(self):
        time.sleep(0.05)
        return dict, ()


@pytest.mark.parametrize("how", HOWS)
def test_a_copy_made_while_another_thread_trains_is_of_one_step(how):
    model, steps, ended = trained(), {}, threading.Event()
    model.weights[0].slow = Slow()

    def note(*_):
        steps[model.optimizer.iterations] = model.get_weights()

    def train():
        while not ended.is_set():
            model.fit(*DATA, batch_size=2, verbose=0, callbacks=callbacks.LambdaCallback(on_train_batch_end=note))

    note()
    thread = threading.Thread(target=train)
    thread.start()
    try:
        copies = [HOWS[how](model) for _ in range(3)]
    finally:
        ended.set()
        thread.join()
    assert all(same(made.get_weights(), steps[made.optimizer.iterations]) for made in copies)


def test_a_copy_is_apart():
    model = trained()
    other = copy.deepcopy(model)
    before = model.get_weights()
    other.fit(*DATA, epochs=1, verbose=0)
    assert same(model.get_weights(), before) and not same(other.get_weights(), before)
    assert other.history.model is other


@pytest.mark.parametrize("module", [activations, initializers, regularizers, constraints, losses, metrics, optimizers])
def test_words_copy(module):
    needs = {"VarianceScaling", "MeanIoU"}
    for name in getattr(module, "__all__", vars(module)):
        word = getattr(module, name)
        if name.startswith("_") or not callable(word) or getattr(word, "__module__", "").split(".")[0] != "dlcore":
            continue
        try:
            thing = word() if isinstance(word, type) else word
        except TypeError:  # without its arguments
            continue
        for how in HOWS.values():
            other = how(thing)
            assert type(other) is type(thing)
            if hasattr(thing, "get_config") and name not in needs:
                assert other.get_config() == thing.get_config(), name


def test_metrics_copy_with_what_they_counted():
    metric = metrics.AUC()
    metric.update_state([0, 1, 1], [0.2, 0.3, 0.1])
    for how in HOWS.values():
        other = how(metric)
        assert other.result() == metric.result()
        other.update_state([1], [0.9])
        assert other.result() != metric.result()


def test_initializers_with_a_seed_copy():
    for how in HOWS.values():
        made = initializers.HeNormal(seed=3)
        np.testing.assert_array_equal(how(made)((3, 4)), made((3, 4)))


def test_history_and_callbacks_copy():
    model = trained()
    history = model.history
    assert history.model is model
    for how in HOWS.values():
        other = how(history)
        assert other.history == history.history and other.epoch == history.epoch and not hasattr(other, "model")
    made = [callbacks.EarlyStopping(), callbacks.ReduceLROnPlateau(), callbacks.ModelCheckpoint("m.safetensors"),
            callbacks.BackupAndRestore("b"), callbacks.CSVLogger("log.csv"), callbacks.TerminateOnNaN()]  # fmt: skip
    for callback in made:
        assert type(copy.deepcopy(callback)) is type(callback) is type(HOWS["pickle"](callback))


# ---- clone_model ----


def test_clones_have_new_weights_and_new_layers():
    model = trained()
    clone = clone_model(model)
    assert clone.get_config() == model.get_config() and not clone.optimizer
    assert not set(clone.layers) & set(model.layers) and not set(clone.weights) & set(model.weights)
    assert not same(clone.get_weights(), model.get_weights())
    clone.set_weights(model.get_weights())
    assert same(clone.predict(DATA[0]), model.predict(DATA[0]))


def test_clone_function_and_call_function():
    def wider(layer):
        if isinstance(layer, layers.Dense):
            return layers.Dense(7, name=f"wide_{layer.name}")
        return type(layer).from_config(layer.get_config())

    for model in (Sequential([layers.Input(ROW), layers.Dense(3, name="d"), layers.ReLU()]),
                  (lambda x: Model(x, layers.ReLU()(layers.Dense(3, name="d")(x))))(layers.Input(ROW))):  # fmt: skip
        clone = clone_model(model, clone_function=wider)
        assert type(clone) is type(model) and clone.output_shape == (None, 7) and clone.get_layer("wide_d")
        seen = []

        def call(layer, x, *args, seen=seen, **kwargs):
            seen.append(layer.name)
            return layer(x, *args, **kwargs)

        assert clone_model(model, call_function=call).output_shape == (None, 3) and seen[0] == "d"
        with pytest.raises(ValueError, match="clone_function must give a layer"):
            clone_model(model, clone_function=lambda layer: 3)


def test_models_within_models_are_cloned_whole_or_layer_by_layer():
    model = Sequential([layers.Input(ROW), Sequential([layers.Input(ROW), layers.Dense(3, name="d")], name="in")])
    names = []

    def note(layer):
        names.append(layer.name)
        return type(layer).from_config(layer.get_config())

    clone_model(model, clone_function=note)
    assert names == ["in"]
    names.clear()
    clone_model(model, clone_function=note, recursive=True)
    assert names == ["d"]


def test_input_tensors():
    model = apart()
    a, ids = layers.Input(ROW, name="other"), layers.Input((4,), dtype="int32")
    clone = clone_model(model, input_tensors=[layers.Dense(6)(a), ids])
    whole = Model([a, ids], list(clone.outputs))
    assert whole.output_shape and [tuple(t.shape) for t in clone.outputs] == [(None, 3), (None, 1)]
    clone = clone_model(Sequential([layers.Input(ROW), layers.Dense(2)]), input_tensors=a)
    assert clone.output_shape == (None, 2) and clone.input_names == ["other"]
    with pytest.raises(ValueError, match="apart: input_tensors must be 2 symbolic tensors"):
        clone_model(model, input_tensors=[a])
    with pytest.raises(ValueError, match="input_tensors must be a symbolic tensor"):
        clone_model(Sequential([layers.Input(ROW), layers.Dense(2)]), input_tensors=[a, a])


def test_what_cannot_be_cloned():
    with pytest.raises(ValueError, match=r"clone_model: expected a model\. Received: <Dense"):
        clone_model(layers.Dense(2))
    net = Net(2)
    with pytest.raises(ValueError, match=r"are for Sequential models and .* Received: a Net"):
        clone_model(net, clone_function=lambda layer: layer)
    clone = clone_model(net)
    assert type(clone) is Net and clone.block.units == 2


def test_lambdas_are_cloned_too():
    model = Sequential([layers.Input(ROW), layers.Dense(2, lambda x: x * 3), layers.Activation(soft)])
    clone = clone_model(model)
    clone.set_weights(model.get_weights())
    assert same(clone.predict(DATA[0]["a"]), model.predict(DATA[0]["a"]))
    with pytest.raises(ValueError, match="cannot be saved"):
        model.get_config()
