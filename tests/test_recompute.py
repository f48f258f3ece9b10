"""graph/recompute.py: the same bits from less memory, only where an op is cheap and what it reads waits anyway."""

import numpy as np
import pytest
from graphs import Constant, differentiate, gathers, names, run
from harness import uniform

from dlcore import ops
from dlcore.graph import recompute
from dlcore.graph.fuse import fuse
from dlcore.graph.plan import plan
from dlcore.ops.base import Parameter

N = 13
IMAGES = uniform(N, 8, 6, 3)


def weights(*shapes):
    return [Parameter(shape, uniform(*shape, seed=i), f"w{i}") for i, shape in enumerate(shapes)]


def mse(x):
    x = ops.reshape(x, (None, int(np.prod(x.shape[1:]))))
    return ops.mean_squared_error(Constant(x, 0.5).output, x)


def normal(x, w):
    return ops.batch_normalization(ops.conv2d(x, w, padding=((1, 1), (1, 1)))).y


def two_layers(x, v, w):
    return mse(ops.relu(normal(ops.relu(normal(x, v)), w)))


def separable(x, v, w):
    return mse(ops.relu6(normal(ops.depthwise_conv2d(ops.relu6(normal(x, v)), w[..., :1]), w)))


def strided(x, v, w):  # the input gradient is four times as large as what it reads
    return mse(ops.relu6(normal(ops.depthwise_conv2d(ops.relu6(normal(x, v)), w[..., :1], (2, 2)), w)))


def over_steps(x, v, w):
    y = ops.reshape(ops.relu(normal(x, v)), (None, 1, 48, 4))
    return mse(normal(y, w))


def other_activation(x, v, w):  # its gradient reads what the normalisation gave
    return mse(normal(ops.gelu(normal(x, v)), w))


def block(x, v, w):  # the sum reads two tensors, the first layer's output one
    y = ops.relu(normal(x, v))
    return mse(ops.relu(ops.add(normal(y, w), y)))


def deep_block(x, v, w):
    y = ops.relu(ops.add(normal(ops.relu(normal(x, v)), w), Constant(normal(x, v), 0.5).output))
    return mse(normal(y, w))


def bottom(x, v, w):  # what the activation reads waits for nobody
    return mse(normal(ops.tanh(ops.rescale(ops.conv2d(x, v), 2.0)), w))


SHAPES = {over_steps: [(3, 3, 3, 4), (1, 3, 4, 4)], separable: [(3, 3, 3, 4), (3, 3, 4, 4)]}
SHAPES[strided] = SHAPES[separable]
ALL = [two_layers, separable, strided, over_steps, other_activation, block, deep_block, bottom]
AGAIN = {
    two_layers: 1,
    separable: 1,
    strided: 1,
    over_steps: 1,
    other_activation: 1,
    block: 2,
    deep_block: 1,
    bottom: 0,
}


def made(graph, least, monkeypatch):
    w = weights(*SHAPES.get(graph, [(3, 3, 3, 4), (3, 3, 4, 4)]))
    monkeypatch.setattr(recompute, "LEAST_BYTES", least)
    targets = [graph(*gathers(x=IMAGES), *w)]
    fuse(targets)
    targets += differentiate(targets[0], w)
    recompute.recompute([tensor.op for tensor in targets])
    return targets


@pytest.mark.parametrize("graph", ALL)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_bits(graph, threads, monkeypatch):
    kept, again = (made(graph, least, monkeypatch) for least in (1 << 30, 0))
    count = names(again).count("Normalize") - names(kept).count("Normalize")
    assert count == AGAIN[graph]
    # reads half as much as it writes, or a quarter
    assert names(again).count("DepthwiseInputGradient") == 2 * (graph in (separable, strided))
    for a, b in zip(run(kept, {"x": IMAGES}, threads), run(again, {"x": IMAGES}, threads), strict=True):
        assert a.tobytes() == b.tobytes()
    before, after = (plan([t.op for t in targets], 100).arena_bytes for targets in (kept, again))
    assert after < before or (count == 0 and after == before)


def test_small_tensors_are_kept(monkeypatch):
    plain = names(made(two_layers, 8 * 6 * 4 * 4 + 1, monkeypatch))
    assert len(names(made(two_layers, 8 * 6 * 4 * 4, monkeypatch))) == len(plain) + 1


def test_recomputing_twice_changes_nothing(monkeypatch):
    targets = made(two_layers, 0, monkeypatch)
    once = names(targets)
    recompute.recompute([tensor.op for tensor in targets])
    assert names(targets) == once
