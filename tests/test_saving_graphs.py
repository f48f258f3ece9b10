"""Files of functional and nested models, of training that goes on, and of the user's own classes and functions."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as safetensors_bytes

import dlcore
from dlcore import Model, Sequential, initializers, layers, losses, metrics, ops, optimizers, regularizers, saving
from dlcore.models import clone_model, load_model, model_from_json, save_model
from dlcore.optimizers import schedules
from dlcore.saving import ModelFileError, custom_object_scope, register_keras_serializable

R = np.random.default_rng(0)
X = R.normal(size=(24, 6)).astype(np.float32)
IDS = R.integers(0, 9, (24, 4)).astype(np.int32)
ROW = (6,)
OF_SEVERAL = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def contents(path):
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["dlcore"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write(path, description, tensors):
    path.write_bytes(safetensors_bytes(tensors, {"dlcore": json.dumps(description)}))


def same(a, b):
    """Nested arrays of the same bits."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def graph():
    """Two inputs, one of them whole numbers, two outputs, a layer and a model used twice, models in models."""
    a, ids = layers.Input(ROW, name="a"), layers.Input((4,), name="ids", dtype="int32")
    shared = layers.Dense(6, "relu", name="shared")
    h = layers.Concatenate()([shared(a), layers.Flatten()(layers.Embedding(9, 3)(ids))])
    coder = Sequential([layers.Input((18,)), layers.Dense(6, name="d"), layers.Dropout(0.3)], name="coder")
    x = layers.Input(ROW)
    deep = Model(x, layers.Dense(6, "tanh", name="d")(coder(layers.Dense(18)(x))), name="deep")
    z = deep(shared(coder(h)))
    cls = layers.Dense(3, "softmax", name="cls")(layers.Add()([z, deep(z)]))
    reg = layers.Dense(1, name="reg")(layers.BatchNormalization()(z))
    return {"a": a, "ids": ids}, {"cls": cls, "reg": reg}


def apart():
    """`graph`, without a model that is in two others."""
    a, ids = layers.Input(ROW, name="a"), layers.Input((4,), name="ids", dtype="int32")
    shared = layers.Dense(6, "relu", name="shared")
    h = layers.Concatenate()([shared(a), layers.Flatten()(layers.Embedding(9, 3)(ids))])
    coder = Sequential([layers.Input((18,)), layers.Dense(6, name="d"), layers.Dropout(0.3)], name="coder")
    x = layers.Input(ROW)
    deep = Model(x, layers.Dense(6, "tanh", name="d")(layers.Dense(18, name="e")(x)), name="deep")
    z = deep(shared(coder(h)))
    cls = layers.Dense(3, "softmax", name="cls")(layers.Add()([z, deep(z)]))
    reg = layers.Dense(1, name="reg")(layers.BatchNormalization(name="bn")(z))
    return Model({"a": a, "ids": ids}, {"cls": cls, "reg": reg}, name="apart")


DATA = {"a": X, "ids": IDS}, {"cls": np.arange(24) % 3, "reg": X[:, :1]}


def trained(optimizer=None):
    model = apart()
    loss = {"cls": "sparse_categorical_crossentropy", "reg": losses.Huber(0.5)}
    measures = {"cls": ["accuracy"], "reg": metrics.MeanAbsoluteError()}
    model.compile(optimizer or optimizers.Adam(0.01), loss, {"reg": 0.5}, measures)
    model.fit(*DATA, epochs=2, verbose=0)
    return model


def train_both(a, b):
    """Whether both go on in the same way."""
    logs = []
    for model in (a, b):
        dlcore.utils.set_random_seed(4)
        logs.append(model.fit(*DATA, epochs=2, batch_size=8, verbose=0).history)
    slots = [list(map(np.array, model.optimizer.variables)) for model in (a, b)]
    return logs[0] == logs[1] and same(a.get_weights(), b.get_weights()) and same(*slots)


# ---- graphs ----


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_layers_of_several_inputs(name, path):
    a, b = layers.Input(ROW), layers.Input(ROW)
    model = Model([a, b], getattr(layers, name)()([a, b]))
    model.save(path)
    loaded = load_model(path)
    assert loaded.get_config() == model.get_config()
    assert same(loaded.predict([X, X + 1]), model.predict([X, X + 1]))


def test_a_graph_comes_back_and_trains_on(path):
    model = trained()
    model.save(path)
    loaded = load_model(path)
    assert loaded.get_config() == model.get_config() and type(loaded) is type(model)
    assert same(loaded.predict(DATA[0]), model.predict(DATA[0]))
    assert [w.name for w in loaded.weights] == [w.name for w in model.weights]
    assert loaded.optimizer.iterations == model.optimizer.iterations == 2
    assert loaded.evaluate(*DATA, return_dict=True, verbose=0) == model.evaluate(*DATA, return_dict=True, verbose=0)
    assert train_both(model, loaded)
    first = path.read_bytes()
    load_model(path).save(path)
    assert path.read_bytes() == first


def test_names_in_the_file(path):
    trained().save(path)
    names = set(contents(path)[1])
    assert {"shared/kernel", "coder/d/bias", "deep/d/kernel", "cls/bias", "bn/moving_mean"} < names
    assert {"optimizer:shared/kernel/momentum", "optimizer:coder/d/bias/velocity"} < names
    assert "optimizer:bn/moving_mean/momentum" not in names


def test_a_layer_in_two_models_of_one_file_is_refused(path):
    model = Model(*graph())
    with pytest.raises(ValueError, match="coder: a layer that is used twice, in two models, cannot be saved"):
        model.save(path)


def test_ops_between_layers_are_refused(path):
    x = layers.Input(ROW)
    model = Model(x, layers.Dense(2)(x) * 2)
    with pytest.raises(ValueError, match=r"the op .* between its layers has no name in a file"):
        model.save(path)
    copy = clone_model(model)
    copy.set_weights(model.get_weights())
    assert same(copy.predict(X), model.predict(X))


OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.01), "momentum": lambda: optimizers.SGD(0.01, 0.9, nesterov=True),
    "schedule": lambda: optimizers.Adam(schedules.ExponentialDecay(0.01, 3, 0.5)),
    "average": lambda: optimizers.AdamW(0.01, use_ema=True), "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "accumulation": lambda: optimizers.RMSprop(0.01, gradient_accumulation_steps=3, momentum=0.3, centered=True),
    **{name: getattr(optimizers, name) for name in ("Adadelta", "Adagrad", "Adamax", "Lion", "Nadam")},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on(name, path):
    model = trained(OPTIMIZERS[name]())
    model.save(path)
    assert train_both(model, load_model(path))


def test_decay_that_leaves_weights_alone_and_a_changed_rate(path):
    optimizer = optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = trained(optimizer)
    bias = [w for w in model.weights if w.name.endswith("bias")]
    optimizer._undecayed, optimizer._undecayed_names = set(bias), None
    optimizer.learning_rate = 0.003
    model.save(path)
    loaded = load_model(path)
    assert loaded.optimizer.learning_rate == 0.003
    assert train_both(model, loaded)


def test_without_the_optimizer(path):
    model = trained()
    save_model(model, path, include_optimizer=False)
    assert not any(name.startswith("optimizer:") for name in contents(path)[1])
    loaded = load_model(path)
    assert type(loaded.optimizer) is optimizers.Adam and loaded.optimizer.iterations == 0
    model.save(path)
    loaded = load_model(path, compile=False)
    assert loaded.optimizer is None and same(loaded.get_weights(), model.get_weights())


def test_structures_of_losses_and_metrics(path):
    a, b = layers.Input(ROW), layers.Input((2,))
    one, two = layers.Dense(2, name="one")(a), layers.Dense(1, name="two")(b)
    model = Model([a, b], [one, two])
    for arguments in (
        {"loss": "mse"},
        {"loss": ["mse", None], "metrics": [None, ["mae"]]},
        {"loss": ["mae", losses.Huber(2.0)], "loss_weights": [1, 2.5], "metrics": [metrics.R2Score(), ["mse", "mae"]]},
        {"loss": {"two": "mse"}, "metrics": {"one": "mae"}, "weighted_metrics": {"two": [metrics.Mean, "mse"][1:]}},
    ):
        model.compile("sgd", **arguments)
        model.save(path)
        loaded = load_model(path)
        given = [X, X[:, :2]], [X[:, :2], X[:, 2:3]], 7, 0
        assert loaded.evaluate(*given, return_dict=True) == model.evaluate(*given, return_dict=True)


def test_random_layers_go_on_with_their_numbers(path):
    dlcore.utils.set_random_seed(1)
    model = Sequential([layers.Input(ROW), layers.Dropout(0.5), layers.GaussianNoise(1.0, seed=3), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.save(path)
    streams = contents(path)[0]["streams"]
    assert list(streams.values()) == [layer._stream for layer in model.layers[:2]]
    loaded = load_model(path)
    y = X[:, :2]
    assert loaded.train_on_batch(X, y) == model.train_on_batch(X, y)
    for wrong in ({}, {**streams, "x/stream": 1}, dict.fromkeys(streams, -1), dict.fromkeys(streams, 2**64), 3):
        description, tensors = contents(path)
        write(path.with_name("wrong.safetensors"), {**description, "streams": wrong}, tensors)
        with pytest.raises(ModelFileError, match=r"expected .*random numbers"):
            load_model(path.with_name("wrong.safetensors"))


def test_files_of_version_1_are_read(path):
    model = Sequential([layers.Input(ROW), layers.Dense(3, "softmax", name="d")], name="old")
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    compiled = {"optimizer": optimizers.serialize(model.optimizer), "loss": losses.serialize(model.loss),
                "metrics": ["accuracy"]}  # fmt: skip
    description = {"version": 1, "model": model.get_config(), "compile": compiled}
    write(path, description, {"d/kernel": model.get_weights()[0], "d/bias": model.get_weights()[1]})
    loaded = load_model(path)
    assert same(loaded.predict(X), model.predict(X)) and set(loaded.fit(X, np.arange(24) % 3, verbose=0).history) == {
        "loss",
        "accuracy",
    }


def test_overwrite(path):
    model = apart()
    model.save(path)
    with pytest.raises(FileExistsError, match=r"model\.safetensors: the file exists, and overwrite is False"):
        model.save(path, overwrite=False)


# ---- bad files ----


def edit(path, where, value):
    description, tensors = contents(path)
    place = description
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    write(path, description, tensors)


@pytest.mark.parametrize(("where", "value", "message"), [
    (("class_name",), "Dense", "expected a model. Found: Dense"),
    (("class_name",), "os.system", "layer: expected one of the classes"),
    (("class_name",), ["Functional"], "layer: expected one of the classes"),
    (("model", "calls", 0, "layer"), 99, "."),
    (("model", "calls", 0, "layer"), -1, "."),
    (("model", "calls", 0, "arguments"), [{"tensor": 77}, [], {"dict": {}}], "tensor 77 is used before it is made"),
    (("model", "calls", 0, "arguments"), 5, "."),
    (("model", "outputs"), {"tensor": 999}, "is used before"),
    (("model", "input_specs", 0, "shape"), [10**12], "shared/kernel: expected F32"),
    (("model", "input_specs", 0, "shape"), [-1], "positive whole numbers"),
    (("model", "input_specs"), [], "."),
    (("training", "iterations"), -1, "expected the number of steps done"),
    (("training", "iterations"), 2**70, "expected the number of steps done"),
    (("training", "learning_rate"), "big", "expected a learning rate"),
    (("undecayed",), ["x"], "expected names of weights without decay"),
    (("compile", "optimizer"), "sgd", "the optimizer has no slots"),
    (("compile", "optimizer", "config", "amsgrad"), True, "no weight 'optimizer:.*velocity_hat' is left"),
    (("compile", "loss"), {"cls": "mse", "x": "mse"}, "names no outputs"),
])  # fmt: skip
def test_edited_descriptions_of_graphs(where, value, message, path):
    trained().save(path)
    edit(path, where, value)
    with pytest.raises(ModelFileError, match=message):
        load_model(path)


def test_models_that_call_each_other_without_end(path):
    """2^40 calls in a few kilobytes."""
    inner = {"class_name": "ReLU", "config": {"name": "r"}}
    for depth in range(40):

        def call(source, result):
            return {"layer": 0, "arguments": [{"tensor": source}, [], {"dict": {}}], "outputs": {"tensor": result}}

        inner = {"class_name": "Functional", "config": {
            "name": f"f{depth}", "trainable": True, "input_specs": [{"name": "x", "shape": [3], "dtype": "f"}],
            "inputs": {"tensor": 0}, "layers": [inner], "calls": [call(0, 1), call(1, 2)], "outputs": {"tensor": 2},
        }}  # fmt: skip
    whole = {"version": 2, "class_name": "Functional", "model": inner["config"], "streams": {}, "compile": None}
    write(path, whole, {})
    with pytest.raises(ModelFileError, match="call each other too often"):
        load_model(path)


# ---- objects of the user ----


class Scale(layers.Layer):
    """A layer with a weight and no get_config."""

    def __init__(self, factor, power=1, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.power = factor, power

    def build(self, input_shape):
        self.w = self.add_weight(shape=input_shape[1:], initializer="ones", name="w")

    def call(self, x):
        return x * self.w * self.factor


class Block(layers.Layer):
    """A layer that holds others, and takes no name."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.first = layers.Dense(units, "relu")
        self.rest = [layers.Dense(units), Scale(0.5)]
        self.heads = {"left": layers.Dense(units, use_bias=False)}

    def call(self, x, training=False):
        y = self.first(x)
        for layer in self.rest:
            y = layer(y)
        return y + self.heads["left"](y)

    def get_config(self):
        return {"units": self.units}


class Net(Model):
    """A subclass of Model."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.block = Block(units)
        self.drop = layers.Dropout(0.25)
        self.out = layers.Dense(2)

    def call(self, x, training=False):
        return self.out(self.drop(self.block(x), training=training))


def soft(x):
    return ops.tanh(x) * 2


def gap(y_true, y_pred):
    return ops.abs(y_true - y_pred)


class Far(losses.Loss):
    def __init__(self, power=2, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** self.power

    def get_config(self):
        return {**super().get_config(), "power": self.power}


class Most(metrics.MeanAbsoluteError):
    pass


class Slow(schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / (1 + step)


class Half(initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return np.full(shape, 0.5, np.float32)


class MySGD(optimizers.SGD):
    pass


OWN = {cls.__name__: cls for cls in (Scale, Block, Net, Far, Most, Slow, Half, MySGD)} | {"soft": soft, "gap": gap}


def own_models():
    inputs = layers.Input(ROW)
    return {
        "sequential": Sequential([
            layers.Input(ROW), Scale(3), Block(4), layers.Dense(2, soft, kernel_initializer=Half())]),
        "functional": Model(inputs, layers.Dense(2)(Block(3)(Scale(2, power=2, name="s")(inputs)))),
        "subclass": Net(3),
        "nested": Sequential([layers.Input(ROW), Net(3), layers.Dense(2, activation=soft)]),
    }  # fmt: skip


@pytest.mark.parametrize("kind", own_models())
def test_own_classes_by_name(kind, path):
    model = own_models()[kind]
    model.compile(MySGD(Slow(0.001), 0.9), Far(), metrics=[gap, Most()])
    y = X[:, :2]
    model.fit(X, y, epochs=2, verbose=0)
    model.save(path)
    loaded = load_model(path, custom_objects=OWN)
    assert same(loaded.get_weights(), model.get_weights()) and same(loaded.predict(X), model.predict(X))
    logs = []
    for one in (model, loaded):
        dlcore.utils.set_random_seed(3)
        logs.append(one.fit(X, y, epochs=2, verbose=0).history)
    assert logs[0] == logs[1] and same(loaded.get_weights(), model.get_weights())
    assert set(logs[0]) == {"loss", "gap", "mean_absolute_error"}
    with custom_object_scope(OWN):
        assert same(load_model(path, compile=False).get_weights(), load_model(path).get_weights())
    with pytest.raises(ModelFileError, match=r"layer: expected one of the classes .* given in custom_objects"):
        load_model(path)
    copy = model_from_json(model.to_json(), custom_objects=OWN)
    if not copy.built:
        copy.build((None, *ROW))
    copy.set_weights(model.get_weights())
    assert same(copy.predict(X), model.predict(X))
    copy = clone_model(model)  # which needs no names
    if not copy.built:
        copy.build((None, *ROW))
    copy.set_weights(model.get_weights())
    assert same(copy.predict(X), model.predict(X))


def test_weights_inside_own_layers_go_by_attributes(path):
    Sequential([layers.Input(ROW), Block(4)], name="m").save(path)
    found = {name.partition("/")[2] for name in contents(path)[1]}
    assert found == {"first/kernel", "first/bias", "rest/0/kernel", "rest/0/bias", "rest/1/w", "heads/left/kernel"}


def test_an_unknown_loss_says_what_to_do(path):
    model = Sequential([layers.Input(ROW), layers.Dense(2)])
    model.compile("sgd", gap)
    model.save(path)
    with pytest.raises(ModelFileError, match=r"loss: expected a function of .* or of the user\. Received: 'gap'"):
        load_model(path)
    assert load_model(path, compile=False).optimizer is None
    assert load_model(path, {"gap": gap}).loss.fn is gap


@pytest.fixture
def registry():
    known = saving.get_custom_objects()
    before = dict(known)
    yield
    known.clear()
    known.update(before)


def test_registered_names(path, registry):
    @register_keras_serializable("mine")
    class Dense(layers.Dense):  # its own name is taken, the registered one is not
        pass

    @register_keras_serializable(name="twice")
    def double(x):
        return x * 2

    assert saving.get_registered_name(Dense) == "mine>Dense" and saving.get_registered_name(double) == "Custom>twice"
    assert saving.get_registered_object("mine>Dense") is Dense and saving.get_registered_object("Dense") is None
    model = Sequential([layers.Input(ROW), Dense(3, double), layers.Dense(2)])
    model.save(path)
    loaded = load_model(path)
    assert type(loaded.layers[0]) is Dense and loaded.layers[0].activation is double
    assert type(loaded.layers[1]) is layers.Dense and same(loaded.predict(X), model.predict(X))
    description = contents(path)[0]
    assert [layer["class_name"] for layer in description["model"]["layers"]][1:] == ["mine>Dense", "Dense"]
    with pytest.raises(ValueError, match="Bare: a class must have get_config to be registered"):
        register_keras_serializable()(type("Bare", (), {}))


def test_a_name_must_be_of_the_right_kind(path):
    model = Sequential([layers.Input(ROW), Scale(3)])
    model.save(path)
    for wrong in (soft, Far, 3, print):
        with pytest.raises(ModelFileError, match="layer: expected one of the classes"):
            load_model(path, {"Scale": wrong})
    with pytest.raises(TypeError, match=r"expected a dict by names\. Received the key 3"):
        load_model(path, {3: Scale})


def test_own_layers_need_plain_arguments_or_get_config():
    class Given(layers.Layer):
        def __init__(self, thing):
            super().__init__(name="g")

    class Any_(layers.Layer):
        def __init__(self, *things):
            super().__init__(name="a")

    assert Given([1, {"a": None}]).get_config() == {"thing": [1, {"a": None}], "name": "g", "trainable": True}
    with pytest.raises(ValueError, match="g: Given must define get_config: the argument thing is no number"):
        Given(object()).get_config()
    with pytest.raises(ValueError, match=r"a: Any_ must define get_config: it takes \*things"):
        Any_(1).get_config()


def test_unknown_names_of_functions_in_layers(path):
    model = Sequential([layers.Input(ROW), layers.Dense(2, soft, name="d")])
    model.save(path)
    with pytest.raises(ModelFileError, match=r"activation: expected one of .* Received: 'soft'"):
        load_model(path)
    layer = layers.Dense(2, name="d")
    layer.kernel_regularizer = lambda w: w
    with pytest.raises(ValueError, match=r"d: argument kernel_regularizer: regularizer: .*cannot be saved"):
        saving.serialize_layer(layer)
    layer.kernel_regularizer = regularizers.L2(0.1)
    saving.serialize_layer(layer)


def test_objects_of_every_kind_as_configs():
    things = [
        layers.Dense(3, name="d"), losses.Huber(2.0), metrics.R2Score(), optimizers.Adam(0.5), Slow(0.1), Half(),
        schedules.CosineDecay(0.1, 7), initializers.HeNormal(seed=3), regularizers.L1(0.5),
        dlcore.constraints.MaxNorm(3.0), dlcore.activations.relu, soft, {"a": [1, "two", None]},
    ]  # fmt: skip
    config = json.loads(json.dumps(saving.serialize_keras_object(things)))
    again = saving.deserialize_keras_object(config, OWN)
    assert list(map(type, again)) == list(map(type, things)) and again[-3:] == things[-3:]
    assert saving.serialize_keras_object(again) == config
    for wrong in ({"kind": "module", "config": "os"}, {"kind": None}, {}):
        with pytest.raises(ValueError, match="kind: expected one of"):
            saving.deserialize_keras_object(wrong)


# ---- weights alone ----


def test_weights_go_to_a_model_made_again(tmp_path):
    file = tmp_path / "w.weights.safetensors"
    model, other = trained(), apart()
    model.save_weights(file)
    other.load_weights(file)
    assert same(other.get_weights(), model.get_weights())

    def numbered():
        return Sequential([layers.Input(ROW), layers.Dense(4), layers.Dense(3), Block(2)])

    first, second = numbered(), numbered()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    first.save_weights(file)
    assert {"dense/kernel", "dense_1/kernel", "block/first/kernel"} < set(contents(file)[1])
    second.load_weights(file)
    assert same(second.get_weights(), first.get_weights())
    first.save(tmp_path / "m.safetensors")
    first.load_weights(tmp_path / "m.safetensors")
    with pytest.raises(FileExistsError):
        first.save_weights(file, overwrite=False)


def test_weights_that_do_not_fit(tmp_path):
    file = tmp_path / "w.weights.safetensors"

    def make(classes):
        top = layers.Dense(classes, name="head")
        return Sequential([layers.Input(ROW), layers.Dense(4, name="body"), top], name="m")

    old, new = make(3), make(5)
    old.save_weights(file)
    before = new.get_weights()
    with pytest.raises(ModelFileError, match=r"head/kernel: expected F32 of shape \(4, 5\)"):
        new.load_weights(file)
    assert same(new.get_weights(), before)
    with pytest.warns(UserWarning, match=r"m: these layers stay as they are.*\['head'\]") as caught:
        new.load_weights(file, skip_mismatch=True)
    assert caught[0].filename == __file__
    assert same(new.get_weights()[:2], old.get_weights()[:2]) and same(new.get_weights()[2:], before[2:])
    smaller = Sequential([layers.Input(ROW), layers.Dense(4, name="body")])
    with pytest.raises(ModelFileError, match=r"the model has no weights \['head/bias', 'head/kernel'\]"):
        smaller.load_weights(file)
    with pytest.raises(ValueError, match="has no weights yet"):
        Sequential([layers.Dense(2)]).load_weights(file)
    for name in ("w.safetensors", "w.weights.h5", "w"):
        with pytest.raises(ValueError, match=r"must end in '\.weights\.safetensors'"):
            old.save_weights(tmp_path / name)
    file.write_bytes(safetensors_bytes({weight.name: weight.numpy() for weight in old.weights}))
    fresh = make(3)
    fresh.load_weights(file)  # of another program
    assert same(fresh.get_weights(), old.get_weights())


@pytest.mark.parametrize("room", ["activations", "constraints", "initializers", "losses", "metrics", "regularizers"])
def test_deserialize_knows_custom_objects(room):
    def mine(*x):
        return x[0]

    module = getattr(dlcore, room)
    found = module.deserialize("mine", custom_objects={"mine": mine})
    assert getattr(found, "fn", found) is mine
    with pytest.raises(ValueError, match="Received: 'mine'"):
        module.deserialize("mine")
