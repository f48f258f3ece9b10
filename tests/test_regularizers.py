"""Regularizers of Keras, on arrays and in graphs."""

import numpy as np
import pytest
import reference as ref
from harness import uniform

from dlcore import regularizers
from dlcore.graph.gradient import gradients
from dlcore.graph.program import build
from dlcore.kernels.executor import Clock
from dlcore.ops import add
from dlcore.ops.base import BATCH, Parameter, Tensor
from dlcore.ops.data import gather
from dlcore.regularizers import L1, L1L2, L2, OrthogonalRegularizer

W = uniform(7, 5)
CASES = [
    (L1(0.1), 0.1 * np.abs(W).sum()),
    (L2(0.2), 0.2 * (W**2).sum()),
    (L1L2(0.1, 0.2), 0.1 * np.abs(W).sum() + 0.2 * (W**2).sum()),
    (OrthogonalRegularizer(0.5), ref.orthogonal(W, 0.5, True)),
    (OrthogonalRegularizer(0.5, mode="columns"), ref.orthogonal(W, 0.5, False)),
]


def with_gradient(regularizer, w):
    """The penalty of a parameter and its gradient, through the planner."""
    parameter, seed = Parameter(w.shape, w, "w"), Tensor((1,), name="seed")
    y = regularizer(parameter)
    (dw,) = gradients(y, seed, [parameter], add)
    value, gradient = np.empty(1, np.float32), np.empty(w.shape, np.float32)
    build([y.op, dw.op], 1, Clock(), {}, {seed: np.ones(1, np.float32), y: value, dw: gradient}).run()
    return value[0], gradient


@pytest.mark.parametrize("regularizer, expected", CASES, ids=lambda x: type(x).__name__)
def test_values_and_gradients(regularizer, expected):
    assert regularizer(W) == pytest.approx(expected, rel=1e-6) and isinstance(regularizer(W), float)
    value, gradient = with_gradient(regularizer, W)
    assert value == pytest.approx(expected, rel=1e-6)
    for i in ((0, 0), (3, 4), (6, 1)):
        d = np.zeros_like(W)
        d[i] = 1e-2
        assert gradient[i] == pytest.approx((regularizer(W + d) - regularizer(W - d)) / 2e-2, abs=2e-3)


def test_a_large_weight_has_several_parts():
    w = uniform(300, 50)
    value, gradient = with_gradient(L2(0.01), w)
    assert value == pytest.approx(0.01 * (np.float64(w) ** 2).sum(), rel=1e-6)
    np.testing.assert_allclose(gradient, 0.02 * w, rtol=1e-6)


def test_activations_have_a_penalty_per_sample():
    y = L1L2(0.1, 0.2)(gather("x", (3, 4)))
    assert y.shape == (BATCH,)
    with pytest.raises(ValueError, match="expected a weight of rank 2"):
        OrthogonalRegularizer()(gather("x", (4,)))


@pytest.mark.parametrize("identifier, cls", [
    ("l1", L1), ("l2", L2), ("l1_l2", L1L2), ("L1L2", L1L2), (L2, L2), (L1(3.0), L1),
    ({"class_name": "L2", "config": {"l2": 0.5}}, L2), ("orthogonal_regularizer", OrthogonalRegularizer),
])  # fmt: skip
def test_names(identifier, cls):
    assert type(regularizers.get(identifier)) is cls


def test_functions_of_keras_are_the_classes():
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (L1, L2, L1L2)
    assert regularizers.orthogonal_regularizer is OrthogonalRegularizer
    assert regularizers.deserialize(regularizers.serialize(L2(0.5))).l2 == 0.5


def test_defaults_and_configurations():
    assert (L1().l1, L2().l2, L1(None).l1, L2(None).l2) == (0.01,) * 4
    assert L1L2().get_config() == {"l1": 0.0, "l2": 0.0}
    assert OrthogonalRegularizer().get_config() == {"factor": 0.01, "mode": "rows"}
    for regularizer, _ in CASES:
        again = regularizers.get(regularizers.serialize(regularizer))
        assert type(again) is type(regularizer) and again.get_config() == regularizer.get_config()
    assert regularizers.get(None) is regularizers.serialize(None) is None
    function = lambda w: w  # noqa: E731
    assert regularizers.get(function) is function


BAD = [
    (lambda: L1(-1), "L1: l1 must be a number of at least 0. Received: l1=-1"),
    (lambda: L2("much"), "L2: l2 must be a number of at least 0. Received: l2='much'"),
    (lambda: L1L2(l2=float("nan")), "L1L2: l2 must be .* Received: l2=nan"),
    (lambda: OrthogonalRegularizer(float("inf")), "OrthogonalRegularizer: factor must be .* Received: factor=inf"),
    (lambda: OrthogonalRegularizer(mode="row"), "mode must be 'rows' or 'columns'. Received: mode='row'"),
    (lambda: OrthogonalRegularizer()(uniform(3)), r"expected a weight of rank 2. Received: shape \(3,\)"),
    (lambda: regularizers.get("l3"), "regularizer: expected one of .* Received: 'l3'"),
    (lambda: regularizers.get({"config": {}}), "regularizer: expected a dict with class_name and config. Received:"),
    (lambda: regularizers.get(3), "regularizer: expected a name, a Regularizer or a function. Received: 3"),
    (lambda: regularizers.serialize(len), "cannot be saved"),
]


@pytest.mark.parametrize("make, message", BAD)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
