"""Every layer of the table: construction, shapes, values, gradients, configurations, files, kinds of input, threads."""

import copy
import json
import pickle

import numpy as np
import pytest
from graphs import differentiate, gathers, run
from harness import same_bits, uniform
from layer_table import CASES, ONE_VALUE

import dlcore
from dlcore import Model, Sequential, layers, ops
from dlcore.models import load_model
from dlcore.ops.data import gather
from dlcore.optimizers import SGD

cases = pytest.mark.parametrize("case", CASES, ids=[f"{case.name}-{i}" for i, case in enumerate(CASES)])
RANDOM = {name for name in layers.__all__ if "Drop" in name or "Noise" in name or name.startswith("Random")}
WHOLE = {"Embedding"}  # of whole numbers, for which there is no gradient


def test_the_table_is_whole():
    classes = {cls for name in layers.__all__ if isinstance(cls := getattr(layers, name), type)} - {layers.Layer}
    assert {getattr(layers, case.name) for case in CASES} == classes


def packed(case, values):
    return list(values) if case.several else values[0]


def data(case, n=5):
    """One array for each input."""
    if case.name in WHOLE:
        size = case.arguments["input_dim"]
        return [np.random.default_rng(0).integers(0, size, (n, *shape)).astype(np.float32) for shape in case.shapes]
    return [uniform(n, *shape, seed=10 * i) for i, shape in enumerate(case.shapes)]


def make(case, **more):
    """A built layer with weights that are not zero; variances are positive."""
    layer = getattr(layers, case.name)(**case.arguments, **more)
    layer(packed(case, [gather(f"x{i}", shape) for i, shape in enumerate(case.shapes)]))
    for i, w in enumerate(layer.weights):
        value = uniform(*w.shape, seed=i + 2)
        w.assign(abs(value) + 0.5 if w.name.endswith("variance") else value)
    return layer


def batches(case):
    shapes = [(None, *shape) for shape in case.shapes]
    return packed(case, shapes)


@cases
def test_shapes_and_values(case):
    layer, x = make(case), data(case)
    assert layer.output_shape == (None, *case.output) and [w.shape for w in layer.weights] == case.weights
    assert layer.count_params() == sum(int(np.prod(w)) for w in case.weights)
    for some in (layer, getattr(layers, case.name)(**case.arguments)):
        assert some.compute_output_shape(batches(case)) == (None, *case.output)
    y = layer(packed(case, x))
    assert y.shape == (5, *case.output) and y.dtype == np.float32 and np.isfinite(y).all()
    assert same_bits(y, layer(packed(case, x)))
    if case.twin:
        np.testing.assert_allclose(y, case.twin(*x, *layer.get_weights())[0], rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("case", [c for c in CASES if c.twin], ids=lambda case: case.name)
def test_gradients_by_the_twin(case):
    """Of the mean squared distance to t, with respect to the input and the weights."""
    layer, (x,), t = make(case), data(case), uniform(5, *case.output, seed=1)
    a, b = gathers(x=x, t=t)
    loss = ops.mean_squared_error(b, layer(a, training=case.name not in RANDOM))
    inputs = [] if case.name in WHOLE else [a]
    found = differentiate(loss, [*inputs, *layer.weights])
    y, back = case.twin(x, *layer.get_weights())
    expected = back(2 * (y - t) / t.size)[1 - len(inputs) :]
    assert len(found) == len(expected) == len(inputs) + len(case.weights)
    for got, value in zip(run(found, {"x": x, "t": t}, threads=2), expected, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=2e-6 * np.abs(value).max())


@pytest.mark.parametrize("case", [c for c in CASES if not (c.twin and "Max" in c.name)], ids=lambda case: case.name)
def test_gradients_by_differences(case):
    """The change of that distance in training, along a direction through all inputs and weights."""
    layer, x, t = make(case), data(case), uniform(5, *case.output, seed=1)
    names = [f"x{i}" for i in range(len(x))]
    *symbols, target = gathers(**dict(zip(names, x, strict=True)), t=t)
    loss = ops.mean_squared_error(target, layer(packed(case, symbols), training=True))
    inputs = [] if case.name in WHOLE else symbols
    wanted = [*inputs, *layer.trainable_weights]
    found = run(differentiate(loss, wanted), {**dict(zip(names, x, strict=True)), "t": t}, threads=2)
    before = [w.numpy() for w in layer.trainable_weights]
    steps = [uniform(*value.shape, seed=20 + i) for i, value in enumerate([*(x if inputs else []), *before])]

    def at(h):
        layer._drawn = 0  # the same random numbers
        moved = [a + np.float32(h) * v for a, v in zip(x, steps, strict=False)] if inputs else x
        for w, value, v in zip(layer.trainable_weights, before, steps[len(inputs) :], strict=True):
            w.assign(value + np.float32(h) * v)
        return np.square(layer(packed(case, moved), training=True).astype(np.float64) - t).mean()

    h = 2.0**-9
    slope = sum(np.vdot(np.float64(g), v) for g, v in zip(found, steps, strict=True))
    size = np.sqrt(sum(np.vdot(np.float64(g), g) for g in found) * sum(np.vdot(v, v) for v in steps))
    assert slope == pytest.approx((at(h) - at(-h)) / (2 * h), rel=5e-3, abs=2e-3 * size + 1e-7)


@cases
def test_configuration_makes_the_same_layer(case):
    layer = make(case, name="mine", trainable=False)
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == config and again.name == "mine" and not again.trainable
    y = again(packed(case, [gather(f"x{i}", shape) for i, shape in enumerate(case.shapes)]))
    assert y.shape == (None, *case.output) and [w.shape for w in again.weights] == case.weights
    assert again.trainable_weights == [] and len(again.non_trainable_weights) == len(case.weights)
    again.set_weights(layer.get_weights())
    x = packed(case, data(case))
    assert same_bits(layer(x), again(x))


@cases
def test_copies(case):
    layer, x = make(case), packed(case, data(case))
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        weights = layer.get_weights()
        assert again.get_config() == layer.get_config() and same_bits(again(x), layer(x))
        layer._drawn = again._drawn = 0
        assert same_bits(again(x, training=True), layer(x, training=True))
        layer.set_weights(weights)  # of moving statistics, training moved both


def model_of(case):
    layer = make(case)
    if case.name == "InputLayer":
        return Sequential([layer])
    inputs = [layers.Input(shape) for shape in case.shapes]
    return Model(packed(case, inputs), layer(packed(case, inputs)))


@cases
def test_files_hold_the_same_model(case, tmp_path):
    model, x = model_of(case), packed(case, data(case, 37))
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.get_config() == model.get_config() and loaded.name == model.name
    for of in ("weights", "trainable_weights"):
        assert [w.name for w in getattr(loaded, of)] == [w.name for w in getattr(model, of)]
    assert all(same_bits(a, b) for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True))
    assert same_bits(loaded.predict(x), model.predict(x))


KINDS = {
    "float64": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32, "uint8": np.uint8,
    "big endian": lambda x: x.astype(">f4"), "other order": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2], "backwards": lambda x: x[::-1].copy()[::-1],
}  # fmt: skip


@cases
def test_all_kinds_of_data_give_the_same_predictions(case):
    model = model_of(case)
    most = 3 if case.name in WHOLE else 5
    x = [np.random.default_rng(i).integers(0, most, (7, *shape)) for i, shape in enumerate(case.shapes)]
    x = [array.astype(np.float32) for array in x]
    expected = model.predict(packed(case, x))
    assert np.isfinite(expected).all()
    for kind, change in KINDS.items():
        assert same_bits(model.predict(packed(case, [change(array) for array in x])), expected), kind
    for array in x:
        array.flags.writeable = False
    assert same_bits(model.predict(packed(case, x)), expected)


@cases
def test_the_same_bits_for_any_number_of_threads(case):
    x, found = packed(case, data(case, 9)), []
    for threads in (1, 2, 3):
        layer = make(case, name="me", **({} if "seed" in case.arguments or case.name not in RANDOM else {"seed": 3}))
        if case.name == "InputLayer":
            return
        inputs = [layers.Input(shape) for shape in case.shapes]
        model = Model(packed(case, inputs), layer(packed(case, inputs)))
        model.compile(SGD(0.01), "mse")
        with dlcore.threads(threads):
            p = model.predict(x)
            loss = model.train_on_batch(x, uniform(9, *case.output, seed=1))
        found.append([np.float64(loss).tobytes(), p.tobytes(), *(w.tobytes() for w in model.get_weights())])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name, arguments, argument, values, other", ONE_VALUE)
def test_arguments_that_have_one_value(name, arguments, argument, values, other):
    for value in values:
        getattr(layers, name)(**arguments, **{argument: value})
    if other is not None:
        with pytest.raises(ValueError, match=f"me: {argument} must be"):
            getattr(layers, name)(**arguments, **{argument: other}, name="me")
