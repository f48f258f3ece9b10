"""Activations by name: values, gradients, names and settings that round-trip; their layers."""

import json
from functools import partial

import numpy as np
import pytest
from graphs import gathers, names
from harness import uniform
from reference_unary import ALPHA, SCALE, UNARY, sigmoid
from test_operations import check

import dlcore.ops as ops
from dlcore import activations, layers
from dlcore.graph.eager import compute
from dlcore.graph.fuse import fuse
from dlcore.ops.base import Parameter

X = 4 * uniform(5, 2, 7)


def of(kind, *parameters):
    return lambda x: UNARY[kind][1](x, *parameters)


def soft(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def ramp(slope=0.0, most=np.inf, threshold=0.0):
    return of("ramp", slope, threshold, most)


SLOW = {  # with their defaults
    "celu": of("celu", 1.0), "elu": of("elu", 1.0, 1.0), "exponential": np.exp, "gelu": of("gelu"),
    "hard_shrink": of("hard_shrink", 0.5), "hard_sigmoid": of("hard_sigmoid"), "hard_silu": of("hard_silu"),
    "hard_swish": of("hard_silu"), "hard_tanh": lambda x: np.clip(x, -1, 1), "leaky_relu": ramp(0.2),
    "linear": lambda x: x, "log_sigmoid": of("log_sigmoid"), "log_softmax": lambda x: np.log(soft(x)),
    "mish": of("mish"), "relu": ramp(), "relu6": ramp(most=6.0), "selu": of("elu", ALPHA, SCALE), "sigmoid": sigmoid,
    "silu": of("silu"), "soft_shrink": of("soft_shrink", 0.5), "softmax": soft, "softplus": of("softplus"),
    "softsign": of("softsign"), "sparse_plus": of("sparse_plus"), "squareplus": of("squareplus", 4.0),
    "sparse_sigmoid": lambda x: np.clip(0.5 * x + 0.5, 0, 1), "swish": of("silu"), "tanh": np.tanh,
    "tanh_shrink": of("tanh_shrink"),
}  # fmt: skip
SET = {  # name, settings: the same with settings
    ("relu", (("negative_slope", 0.1), ("max_value", 2.0), ("threshold", 0.5))): ramp(0.1, 2.0, 0.5),
    ("relu", (("max_value", 1.0),)): ramp(most=1.0),
    ("relu", (("threshold", 1.5),)): ramp(threshold=1.5),
    ("leaky_relu", (("negative_slope", 0.3),)): ramp(0.3),
    ("elu", (("alpha", 0.5),)): of("elu", 0.5, 1.0),
    ("celu", (("alpha", 2.0),)): of("celu", 2.0),
    ("gelu", (("approximate", True),)): of("gelu_tanh"),
    ("softmax", (("axis", 1),)): lambda x: soft(x, 1),
    ("softmax", (("axis", (1, 2)),)): lambda x: soft(x, (1, 2)),
    ("log_softmax", (("axis", 1),)): lambda x: np.log(soft(x, 1)),
    ("soft_shrink", (("threshold", 1.0),)): of("soft_shrink", 1.0),
    ("hard_shrink", (("threshold", 1.0),)): of("hard_shrink", 1.0),
    ("threshold", (("threshold", 0.5), ("default_value", -1.0))): of("threshold", 0.5, -1.0),
    ("squareplus", (("b", 2.0),)): of("squareplus", 2.0),
}


def test_the_table_is_whole():
    helpers = {"get", "serialize", "deserialize"}
    assert set(SLOW) | {"threshold"} == set(activations.__all__) - helpers == set(activations._BY_NAME)


@pytest.mark.parametrize("name", SLOW)
def test_values_and_gradients(name):
    check(activations.get(name), SLOW[name], [X])


@pytest.mark.parametrize("name, settings", SET)
def test_settings(name, settings):
    check(partial(getattr(activations, name), **dict(settings)), SET[name, settings], [X])


def test_one_op_forward_and_one_back():
    (x,) = gathers(x=X)
    for name in set(SLOW) - {"linear", "softmax", "log_softmax", "sparse_sigmoid"}:
        assert len(names([activations.get(name)(x)])) == 2, name  # the gather, and it


def test_tiles_apply_what_they_know_and_nothing_else():
    (x,) = gathers(x=uniform(5, 40))
    for name, rest in (("relu", []), ("tanh", []), ("gelu", ["Unary"]), ("relu6", []), ("elu", ["Unary"])):
        y = layers.Dense(50, activation=name)(x)
        fuse([y])
        made = names([y])
        assert made[made.index("Dense") + 1 :] == rest, name


def test_relu_of_infinity():
    x = np.array([[-np.inf, np.inf, np.nan, -0.0]], np.float32)
    np.testing.assert_array_equal(compute(ops.relu6, x), [[0, 6, np.nan, 0]])
    np.testing.assert_array_equal(compute(ops.leaky_relu, x), [[-np.inf, np.inf, np.nan, 0]])


@pytest.mark.parametrize("name", activations._BY_NAME)
def test_names_round_trip(name):
    function = activations.get(name)
    assert activations.get(json.loads(json.dumps(activations.serialize(function)))) is function
    assert activations.get({"class_name": "function", "config": name}) is function
    assert activations.serialize(function) == {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name)


def test_settings_round_trip():
    config = activations.serialize(partial(activations.elu, alpha=0.5))
    again = activations.deserialize(json.loads(json.dumps(config)))
    np.testing.assert_array_equal(compute(again, X), compute(lambda x: ops.elu(x, 0.5), X))
    assert activations.serialize(again) == config == {"class_name": "elu", "config": {"alpha": 0.5}}
    assert activations.get(None) is activations.linear and activations.get(ops.exp) is ops.exp


def test_refusals():
    for bad in ("rel", 3, {"class_name": "rel", "config": {}}, {"class_name": "function", "config": "rel"}):
        with pytest.raises(ValueError, match=r"activation: expected one of .*'relu'.* Received: ('rel'|3)"):
            activations.get(bad)
    with pytest.raises(ValueError, match="cannot be saved: it is not one of"):
        activations.serialize(lambda x: x)
    with pytest.raises(ValueError, match=r"celu: alpha must be positive\. Received: alpha=0"):
        ops.celu(gathers(x=X)[0], 0)


# ---------------------------------------------------------------------------------------------------------------------
# layers


def prelu(x, alpha):
    return np.where(x > 0, x, alpha * x)


LAYERS = [  # class, arguments, slow twin of the input and weights
    ("ReLU", {}, ramp()),
    ("ReLU", dict(max_value=2, negative_slope=0.1, threshold=0.5), ramp(0.1, 2.0, 0.5)),
    ("LeakyReLU", {}, ramp(0.3)),
    ("LeakyReLU", dict(negative_slope=0.01), ramp(0.01)),
    ("ELU", {}, of("elu", 1.0, 1.0)),
    ("ELU", dict(alpha=2), of("elu", 2.0, 1.0)),
    ("Softmax", {}, soft),
    ("Softmax", dict(axis=1), lambda x: soft(x, 1)),
    ("Softmax", dict(axis=(1, 2)), lambda x: soft(x, (1, 2))),
    ("PReLU", {}, prelu),
    ("PReLU", dict(shared_axes=[1]), prelu),
    ("PReLU", dict(shared_axes=[1, 2], alpha_initializer={"class_name": "Constant", "config": {"value": 0.3}}), prelu),
    ("Activation", dict(activation="gelu"), of("gelu")),
    ("Activation", dict(activation=partial(ops.elu, alpha=0.5)), of("elu", 0.5, 1.0)),
]


@pytest.mark.parametrize("name, arguments, slow", LAYERS)
def test_layers(name, arguments, slow):
    layer = getattr(layers, name)(**arguments, name="me")
    (x,) = gathers(x=X)
    layer(x)
    for weight in layer.weights:
        weight.assign(uniform(*weight.shape, seed=5))
    check(lambda x, *w: layer(x), slow, [X], layer.weights)
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == config
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(X), layer(X))


def test_the_alpha_of_prelu():
    for axes, shape in ((None, (2, 7)), ([1], (1, 7)), (2, (2, 1)), ([1, 2], (1, 1))):
        layer = layers.PReLU(shared_axes=axes, alpha_initializer="ones")
        np.testing.assert_array_equal(layer(X), X)
        assert [w.shape for w in layer.weights] == [shape] and layer.weights[0].name.endswith("/alpha")
    assert not layers.PReLU().alpha_initializer((3,)).any()


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("ReLU", dict(max_value=-1), "me: max_value must be a number of at least 0. Received: max_value=-1"),
        ("ReLU", dict(negative_slope=None), "me: negative_slope must be a number of at least 0. .*=None"),
        ("ReLU", dict(threshold=-2.0), "me: threshold must be a number of at least 0. Received: threshold=-2.0"),
        ("LeakyReLU", dict(negative_slope=-0.1), "me: negative_slope must be a number of at least 0. .*=-0.1"),
        ("ELU", dict(alpha="a"), "me: alpha must be a number. Received: alpha='a'"),
        ("Softmax", dict(axis=0), "me: axis must be a whole number but 0, or several. Received: axis=0"),
        ("PReLU", dict(shared_axes=[0]), r"me: shared_axes must hold whole numbers from 1. .*=\[0\]"),
    ],
)
def test_layers_refuse(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**arguments, name="me")


def test_layers_refuse_inputs():
    (x,) = gathers(x=X)
    with pytest.raises(ValueError, match=r"me: shared_axes=\[3\] are not axes of an input \(None, 2, 7\)"):
        layers.PReLU(shared_axes=[3], name="me")(x)
    with pytest.raises(ValueError, match=r"softmax: axis must name axes of the shape .* Received: axis=3"):
        layers.Softmax(axis=3)(x)


def test_prelu_op_broadcasts():
    check(ops.prelu, prelu, [X], [Parameter((2, 1), uniform(2, 1, seed=4), "alpha")])
