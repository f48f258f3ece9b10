"""Saving and loading: same bits back, one kind of error for every bad file, and never half a file."""

import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save as safetensors_bytes

import dlcore
from dlcore import Sequential, initializers, layers, losses, metrics, optimizers
from dlcore.models import load_model
from dlcore.saving import ModelFileError, deserialize_layer
from dlcore.saving.layers import MAX_LAYERS

ROW = (6,)


def nest():
    return [layers.Dense(4, name="d"), Sequential(
        [layers.Dense(3, name="d"), Sequential([layers.Dense(2, name="d")], name="b")], name="a")]  # fmt: skip


def small(name=None):
    return Sequential(
        [
            layers.Input((5, 5, 1)),
            layers.Conv2D(2, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(3, "softmax", name="dense"),
        ],
        name=name,
    )


def compiled(model=None):
    model = model or small()
    model.compile(optimizers.Adam(0.01, beta_1=0.8), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path):
    compiled().save(path)
    return path


def contents(path):
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["dlcore"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write(path, description, tensors):
    text = description if isinstance(description, str) else json.dumps(description)
    path.write_bytes(safetensors_bytes(tensors, {"dlcore": text}))


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(a.view(np.uint32), b.view(np.uint32))


# ---- what comes back ----


def test_round_trip_is_exact(path):
    """Of a nested model; `test_layer_table.py` has the layers."""
    model = Sequential([layers.Input(ROW), *nest()], name="model")
    model.save(path)
    loaded = load_model(path)
    assert loaded.get_config() == model.get_config() and loaded.name == "model"
    assert [w.name for w in loaded.weights] == [w.name for w in model.weights]
    assert all(same_bits(a, b) for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True))
    x = np.random.default_rng(0).normal(size=(37, *ROW)).astype(np.float32)
    assert same_bits(loaded.predict(x), model.predict(x))


def test_input_shape_on_the_first_layer_and_a_shape_from_data(path):
    model = Sequential([layers.Dense(2, input_shape=(3,))])
    model.save(path)
    assert load_model(path).get_config() == model.get_config()
    model = Sequential([layers.Dense(2)])
    x = np.ones((4, 3), np.float32)
    model.predict(x)
    model.save(path)
    assert same_bits(load_model(path).predict(x), model.predict(x))


def test_weights_are_called_by_their_path(path):
    Sequential([layers.Input(ROW), *nest()]).save(path)
    names = {f"{prefix}d/{leaf}" for prefix in ("", "a/", "a/b/") for leaf in ("kernel", "bias")}
    assert set(contents(path)[1]) == names


def test_a_renamed_layer_is_saved_by_its_new_name(path):
    model = small()
    model.layers[0].name = "first"
    model.save(path)
    assert "first/kernel" in contents(path)[1]
    assert same_bits(load_model(path).get_weights()[0], model.get_weights()[0])


def test_compile_comes_back_and_training_goes_on(saved):
    model = load_model(saved)
    assert type(model.optimizer) is optimizers.Adam and model.optimizer.beta_1 == 0.8
    assert type(model.loss) is losses.SparseCategoricalCrossentropy
    before = model.get_weights()
    history = model.fit(np.ones((8, 5, 5, 1)), np.zeros(8), verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert not np.array_equal(before[-1], model.get_weights()[-1])


def test_not_compiled_stays_not_compiled(path):
    small().save(path)
    model = load_model(path)
    assert model.optimizer is None and model.loss is None


def own(y_true, y_pred):
    return metrics.sparse_categorical_accuracy(y_true, y_pred)


class Adam(optimizers.Adam):
    pass


@pytest.mark.parametrize("change", [
    {"loss": lambda y, p: own(y, p)}, {"metrics": [lambda y, p: own(y, p)]}, {"optimizer": Adam()},
], ids=" ".join)  # fmt: skip
def test_what_has_no_name_is_left_out_with_a_warning(change, path):
    model = small()
    model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **change})
    with pytest.warns(UserWarning, match="saved as not compiled") as caught:
        model.save(path)
    assert caught[0].filename == __file__
    assert load_model(path).optimizer is None


def test_a_metric_function_of_dlcore_has_a_name(path):
    model = small()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metrics.sparse_categorical_accuracy])
    model.save(path)
    assert contents(path)[0]["compile"]["metrics"] == ["sparse_categorical_accuracy"]


def test_the_same_model_gives_the_same_bytes(saved):
    before = saved.read_bytes()
    load_model(saved).save(saved)
    assert saved.read_bytes() == before


def test_weights_that_are_not_numbers_are_kept(path):
    model = small()
    odd = np.array([np.nan, -np.inf, -0.0], np.float32)
    model.layers[2].set_weights([model.layers[2].get_weights()[0], odd])
    model.save(path)
    assert same_bits(load_model(path).layers[2].get_weights()[1], odd)


def test_no_weight_is_initialised(saved, monkeypatch):
    monkeypatch.setattr(initializers.Initializer, "__call__", None)
    for cls in vars(initializers).values():
        if isinstance(cls, type) and issubclass(cls, initializers.Initializer):
            monkeypatch.setattr(cls, "__call__", None)
    load_model(saved)


def test_layers_added_after_loading_are_initialised(saved):
    model = load_model(saved)
    model.add(layers.Dense(2, kernel_initializer="ones"))
    np.testing.assert_array_equal(model.layers[-1].get_weights()[0], np.ones((3, 2)))
    assert "add_weight" not in {key for layer in model.layers for key in vars(layer)}


def test_saving_while_training(path):
    class Save(dlcore.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(path)

    model = compiled()
    model.fit(np.ones((8, 5, 5, 1)), np.arange(8) % 3, epochs=2, verbose=0, callbacks=[Save()])
    assert same_bits(load_model(path).get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path], ids=["str", "bytes", "Path"])
def test_any_kind_of_path(kind, path):
    small().save(kind(path))
    load_model(kind(path))


# ---- what cannot be saved ----


class Dense(layers.Dense):  # not dlcore's, though it has its name
    pass


nameless = type("<nameless>", (Sequential,), {})


def twice():
    layer = layers.Dense(6, name="d")
    return [layer, Sequential([layer], name="s")]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: [layers.Dense(2, activation=lambda x: x, name="d")], "d: argument activation: .*cannot be saved"),
    (lambda: [layers.Dense(2, kernel_initializer=np.ones, name="d")], r"d: argument kernel_initializer: .*\.Zeros"),
    (lambda: [Dense(2, name="d")], "d: a Dense of your own cannot be saved"),
    (lambda: [nameless([layers.Dense(2)], name="s")], "s: a <nameless> of your own"),
    (twice, "d: a layer that is used twice"),
    (lambda: [layers.Dense(6, name="a/d"), Sequential([layers.Dense(6, name="d")], name="a")], "called 'a/d/kernel'"),
])  # fmt: skip
def test_models_that_a_file_cannot_hold(make, message, path):
    model = Sequential([layers.Input(ROW), *make()])
    with pytest.raises(ValueError, match=message):
        model.save(path)
    assert not os.listdir(path.parent)


def test_the_cure_for_a_custom_initializer_works(path):
    model = Sequential([layers.Input(ROW), layers.Dense(2, kernel_initializer=np.ones)])
    model.layers[0].kernel_initializer = initializers.Zeros()
    model.save(path)
    np.testing.assert_array_equal(load_model(path).get_weights()[0], np.ones((6, 2)))


def test_a_model_without_weights_yet(path):
    with pytest.raises(ValueError, match="input shape, or call build or fit"):
        Sequential([layers.Dense(2)]).save(path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model", "model.safetensors.bak"])
def test_other_endings_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"safetensors, so the name must end in '\.safetensors'"):
        small().save(tmp_path / name)


def test_deserialize_layer_knows_only_layers_of_dlcore():
    layer = deserialize_layer({"class_name": "Dense", "config": {"units": 3}})
    assert type(layer) is layers.Dense and layer.units == 3
    for config in (
        {"class_name": "os.system", "config": {}},
        {"class_name": "Layer", "config": {}},
        {},
        None,
        {"class_name": ["Dense"], "config": {}},
        {"class_name": "Dense", "config": "units=3"},
    ):
        with pytest.raises(ValueError, match="layer: expected"):
            deserialize_layer(config)


# ---- bad files ----


def assert_refused(path, match=".", budget=4 << 20):
    """One error type that names the file, within a second and a few megabytes."""
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=match) as caught:
            load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < budget + 4 * path.stat().st_size
    assert time.perf_counter() - start < 5


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.safetensors"):
        load_model(tmp_path / "no.safetensors")
    with pytest.raises(ModelFileError, match="expected a file"):
        load_model(tmp_path)
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for ever
    with pytest.raises(ModelFileError, match="expected a file"):
        load_model(tmp_path / "fifo")


def test_truncated(saved):
    whole = saved.read_bytes()
    for size in [*range(64), *random.Random(0).sample(range(64, len(whole)), 50)]:
        saved.write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            load_model(saved)


@pytest.mark.parametrize("extra", [b"\0", b"PK\3\4", bytes(4096)])
def test_trailing_bytes(saved, extra):
    saved.write_bytes(saved.read_bytes() + extra)
    assert_refused(saved)


def test_foreign_files(path):
    for data in (
        b"",
        b"\0" * 8,
        b"PK\3\4" + bytes(60),
        b"\x89HDF\r\n\x1a\n" + bytes(60),
        bytes(range(256)) * 40,
        (5).to_bytes(8, "little") + b"hello",
        (2**63).to_bytes(8, "little") + b"{}",
    ):
        path.write_bytes(data)
        assert_refused(path)
    path.write_bytes(safetensors_bytes({"x": np.ones(3, np.float32)}, {"format": "pt"}))
    assert_refused(path, "another program's")
    path.write_bytes(safetensors_bytes({"x": np.ones(3, np.float32)}))
    assert_refused(path, "another program's")


MODELS = ("{}", "[]", '{"layers": []}', '{"layers": "abc"}', '{"layers": 3}', '{"layers": [], "layers": []}')
TEXTS = ["", "null", "[]", "{}", "{", "\0", "[" * 100_000, '{"a":' * 100_000, "9" * 5000, '{"version": 1}',
         '{"version": true}', '{"version": "1"}', '{"version": 1, "version": 1}',
         *(f'{{"version": 1, "compile": null, "model": {model}}}' for model in MODELS)]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_odd_descriptions(saved, text):
    write(saved, text, contents(saved)[1])
    assert_refused(saved, budget=64 << 20)


def edited(where, value):
    """A change of the description of `small`: the place, as a path, and the new value."""

    def edit(description):
        place = description
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value

    return edit


INPUT, CONV, FLAT, DENSE = (("model", "layers", k, "config") for k in range(4))
EDITS = {
    "newer": (edited(("version",), 3), "format has version 3; this dlcore reads versions 1 to 2"),
    "os.system": (edited(("model", "layers", 1, "class_name"), "os.system"), r"layer: expected one of the classes"),
    "import path": (edited(("model", "layers", 1, "class_name"), "dlcore.layers.Conv2D"), "layer: expected"),
    "dict as class": (edited(("model", "layers", 1, "class_name"), {"module": "os"}), "layer: expected"),
    "base class": (edited(("model", "layers", 1, "class_name"), "Layer"), "layer: expected"),
    "function as class": (edited(("model", "layers", 1, "class_name"), "Input"), "layer: expected"),
    "activation": (edited((*CONV, "activation"), "os.system"), "activation: expected"),
    "activation list": (edited((*CONV, "activation"), ["relu"]), "activation: expected"),
    "initializer": (edited((*CONV, "kernel_initializer"), "os.system"), "initializer: expected"),
    "initializer class": (edited((*CONV, "kernel_initializer"), {"class_name": "Layer", "config": {}}), "initializer"),
    "optimizer": (edited(("compile", "optimizer", "class_name"), "os.system"), "optimizer: expected"),
    "optimizer argument": (edited(("compile", "optimizer", "config", "lr_decay"), 1), "lr_decay"),
    "loss": (edited(("compile", "loss", "class_name"), "eval"), "loss: expected"),
    "metric": (edited(("compile", "metrics"), ["os.system"]), "metrics: expected"),
    "metrics": (edited(("compile", "metrics"), 3), "."),
    "no name": (edited((*CONV, "name"), None), "expected a name"),
    "name twice": (edited((*FLAT, "name"), "conv"), "layer names must differ"),
    "other name": (edited((*CONV, "name"), "../../conv"), "no weight '../../conv/kernel'"),
    "unknown argument": (edited((*CONV, "shell"), "rm"), "shell"),
    "layer no dict": (edited(("model", "layers", 2), "Flatten"), "layer: expected a dict"),
    "fewer layers": (lambda d: d["model"]["layers"].pop(), r"no weights \['dense/bias', 'dense/kernel'\]"),
    "no shape": (lambda d: (d["model"]["layers"].pop(0), d["model"].pop("build_input_shape")), "no input shape"),
    "negative shape": (lambda d: (d["model"].update(layers=[], build_input_shape=[-5])), "positive whole numbers"),
    # bombs: a few bytes that ask for terabytes
    "units": (edited((*DENSE, "units"), 10**12), r"dense/kernel: expected F32 of shape \(18, 1000000000000\)"),
    "filters": (edited((*CONV, "filters"), 10**12), "conv/kernel: expected F32 of shape"),
    "endless number": (edited((*DENSE, "units"), 10**4000), "."),
    "kernel": (edited((*CONV, "kernel_size"), [10**9, 10**9]), "kernel"),
    "input": (edited((*INPUT, "input_shape"), [10**9, 10**9, 1]), "dense/kernel"),
    "channels": (edited((*INPUT, "input_shape"), [5, 5, 10**15]), "conv/kernel"),
    "dilation": (edited((*CONV, "dilation_rate"), 10**15), "conv: expected an input"),
    "pool": (lambda d: d["model"]["layers"].insert(
        1, {"class_name": "MaxPooling2D", "config": {"name": "p", "pool_size": 10**9}}), "pool_size"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_edited_descriptions(name, saved):
    edit, message = EDITS[name]
    description, tensors = contents(saved)
    edit(description)
    write(saved, description, tensors)
    assert_refused(saved, message)


@pytest.mark.parametrize("name", ["more", "fewer", "dtype", "int", "shape", "rank", "transposed"])
def test_edited_tensors(name, saved):
    description, tensors = contents(saved)
    kernel = tensors["dense/kernel"]
    if name == "fewer":
        del tensors["dense/kernel"]
    elif name == "more":
        tensors["dense_1/kernel"] = kernel
    else:
        tensors["dense/kernel"] = {
            "dtype": kernel.astype(np.float16), "int": kernel.view(np.int32), "shape": kernel[1:], "rank": kernel[None],
            "transposed": np.ascontiguousarray(kernel.T)}[name]  # fmt: skip
    write(saved, description, tensors)
    assert_refused(
        saved,
        {"more": r"no weights \['dense_1/kernel'\]", "fewer": "no weight 'dense/kernel'"}.get(
            name, r"dense/kernel: expected F32 of shape \(18, 3\)"
        ),
    )


def test_too_many_layers(saved):
    description, tensors = contents(saved)
    one = {"class_name": "ReLU", "config": {}}
    for count in (MAX_LAYERS + 1, 30_000):
        description["model"]["layers"] += [{**one, "config": {"name": str(k)}} for k in range(count)]
        write(saved, description, tensors)
        assert_refused(saved, f"at most {MAX_LAYERS} layers", budget=64 << 20)
    model = Sequential([layers.Input((1,))])
    model._layers += [layers.ReLU(name=str(k)) for k in range(MAX_LAYERS + 1)]
    with pytest.raises(ValueError, match=f"at most {MAX_LAYERS} layers"):
        model.save(saved)


def test_deep_models(saved):
    description, tensors = contents(saved)
    model = description["model"]
    for k in range(300):
        model = {"name": f"m{k}", "layers": [{"class_name": "Sequential", "config": model}]}
    write(saved, {**description, "model": model}, tensors)
    assert_refused(saved, budget=64 << 20)


def test_a_huge_header(path):
    path.write_bytes((9 << 20).to_bytes(8, "little") + b"{" + b" " * (9 << 20))
    assert_refused(path, "header would have")


CHANGE = st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3))


@settings(max_examples=400, deadline=None)
@given(changes=st.lists(CHANGE, min_size=1, max_size=4), insert=st.booleans(), header=st.booleans())
def test_mutated_bytes(tmp_path_factory, original, changes, insert, header):
    data = bytearray(original)
    end = 8 + int.from_bytes(data[:8], "little") if header else len(data)
    for where, piece in changes:
        at = int(where * end)
        data[at : at + (0 if insert else len(piece))] = piece
    path = tmp_path_factory.getbasetemp() / "mutant.safetensors"
    path.write_bytes(data)
    assert_loads_or_refuses(path)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["relu", "Dense", "same", "zeros", 10**18, -1, 2**63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_descriptions(tmp_path_factory, original, data):
    path = tmp_path_factory.getbasetemp() / "mutant.safetensors"
    path.write_bytes(original)
    description, tensors = contents(path)
    places = [()]
    for place in places:  # grows while we walk
        value = description
        for key in place:
            value = value[key]
        if isinstance(value, (dict, list)):
            places += [(*place, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    edited(data.draw(st.sampled_from(places[1:])), data.draw(ODD))(description)
    write(path, description, tensors)
    assert_loads_or_refuses(path)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "model.safetensors"
    compiled().save(path)
    return path.read_bytes()


def assert_loads_or_refuses(path):
    try:
        model = load_model(path)
    except ModelFileError:
        return
    assert sum(w.value.nbytes for w in model.weights) <= path.stat().st_size


def test_loading_imports_and_executes_nothing(saved):
    description, tensors = contents(saved)
    for k, name in enumerate(["os.system", "posix.system", "builtins.eval", "subprocess.Popen"]):
        edited(("model", "layers", 1, "class_name"), name)(description)
        write(saved.with_name(f"bad{k}.safetensors"), description, tensors)
    script = """
import sys, pathlib, dlcore
good, *bad = sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors"), key=lambda path: path.name != "model.safetensors")
dlcore.models.load_model(good)  # brings safetensors in
events = []
def hook(event, args):
    watched = ("import", "exec", "compile", "marshal.", "os.", "pickle.", "socket.", "subprocess.", "ctypes.")
    if event.startswith(watched) or event == "open" and args[1] not in ("rb", "r", None):
        events.append((event, str(args)))
sys.addaudithook(hook)
dlcore.models.load_model(good)
for path in bad:
    try:
        dlcore.models.load_model(path)
    except dlcore.saving.ModelFileError:
        pass
    else:
        events.append(path)
sys.stdout.write(repr(events) + str(len(bad)))
"""
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(dlcore.__file__))}
    command = [
        sys.executable,
        "-c",
        script,
        saved.parent,
    ]  # not run in a checkout: that would hide the installed package
    done = subprocess.run(command, cwd=saved.parent, capture_output=True, text=True, env=env)
    assert done.stdout == "[]4", done.stderr


# ---- writing ----


def leftovers(path):
    return [name for name in os.listdir(path.parent) if name != path.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=["ENOSPC", "Ctrl-C"])
@pytest.mark.parametrize("first", [True, False], ids=["new file", "old file"])
def test_a_failed_save_changes_nothing(call, error, first, path, monkeypatch):
    if not first:
        small().save(path)
    before = None if first else path.read_bytes()

    def fail(*args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            small().save(path)
    assert leftovers(path) == []
    assert (path.read_bytes() if path.exists() else None) == before


def test_the_disk_is_asked_in_the_right_order(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(stat.S_IFMT(os.fstat(fd).st_mode)), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    small().save(path)
    assert calls == [stat.S_IFREG, "rename", stat.S_IFDIR]


def test_permissions_and_links(path):
    before = os.umask(0o027)
    try:
        small().save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # as open() would, not mkstemp's 0600
    finally:
        os.umask(before)
    path.chmod(0o600)
    link = path.with_name("link.safetensors")
    link.symlink_to(path.name)
    old = path.read_bytes()
    small(name="other").save(link)
    assert link.is_symlink() and path.read_bytes() != old and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_model(link).name == "other"


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        small().save(tmp_path / "no" / "m.safetensors")
    for name, make in (("dir.safetensors", os.mkdir), ("fifo.safetensors", os.mkfifo)):
        make(tmp_path / name)
        with pytest.raises(OSError, match="not a regular file"):
            small().save(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["dir.safetensors", "fifo.safetensors"]


def test_readers_never_see_half_a_file(path):
    models = [small(name="a"), small(name="b")]
    models[0].save(path)
    expected = {model.name: model.get_weights()[0] for model in models}
    done = threading.Event()
    torn = []

    def read():
        while not done.is_set():
            model = load_model(path)
            if not same_bits(model.get_weights()[0], expected[model.name]):
                torn.append(model.name)

    thread = threading.Thread(target=read)
    thread.start()
    for k in range(60):
        models[k % 2].save(path)
    done.set()
    thread.join()
    assert not torn and leftovers(path) == []


@pytest.mark.parametrize("kills", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_kill_leaves_the_old_or_the_new_file(kills, path):
    models = [small(name="a"), small(name="b")]
    whole = set()
    for model in models:
        model.save(path)
        whole.add(path.read_bytes())
    chance = random.Random(0)
    for kill in range(kills):
        child = os.fork()
        if child == 0:
            try:
                for k in range(10**9):
                    models[k % 2].save(path)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.002, 0.02))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert path.read_bytes() in whole
        assert len(leftovers(path)) <= kill + 1
    load_model(path)
