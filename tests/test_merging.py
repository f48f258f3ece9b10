"""Layers of several inputs, element by element."""

import numpy as np
import pytest
from graphs import gathers
from harness import uniform
from test_operations import check

from dlcore import layers

A, B, C = uniform(5, 2, 3), uniform(5, 2, 3, seed=1), uniform(5, 2, 3, seed=2)
MERGES = {
    "Add": lambda *x: sum(x),
    "Multiply": lambda *x: np.prod(np.broadcast_arrays(*x), axis=0),
    "Average": lambda *x: sum(x) / len(x),
    "Maximum": lambda *x: np.max(np.broadcast_arrays(*x), axis=0),
    "Minimum": lambda *x: np.min(np.broadcast_arrays(*x), axis=0),
}


@pytest.mark.parametrize("name", MERGES)
def test_values_and_gradients(name):
    layer, slow = getattr(layers, name)(), MERGES[name]
    for arrays in ([A], [A, B], [A, B, C], [A, uniform(5, 1, 3)], [uniform(5, 2, 1), uniform(5, 1, 3), C]):
        check(lambda *x: layer.call(list(x)), slow, arrays)
    # fewer axes: as with ones after the batch
    check(lambda *x: layer.call(list(x)), lambda a, b: slow(a, b[:, None]), [A, uniform(5, 3)])


@pytest.mark.parametrize("name", [*MERGES, "Subtract"])
def test_a_tuple_is_as_good_as_a_list(name):
    layer = getattr(layers, name)()
    assert layer((layers.Input((2, 3)), layers.Input((2, 3)))).shape == (None, 2, 3)
    np.testing.assert_array_equal(layer((A, B)), layer([A, B]))


def test_subtract():
    check(lambda *x: layers.Subtract().call(list(x)), np.subtract, [A, B])
    for inputs in ([], gathers(a=A), gathers(a=A, b=B, c=C)):
        with pytest.raises(ValueError, match=f"me: expected exactly 2 inputs. Received: {len(inputs)}"):
            layers.Subtract(name="me").call(inputs)


@pytest.mark.parametrize("name", [*MERGES, "Subtract"])
def test_refusals(name):
    layer = getattr(layers, name)(name="me")
    a, b = gathers(a=A, b=uniform(5, 2, 4))
    with pytest.raises(
        ValueError, match=r"me: expected inputs whose shapes broadcast. .*\(None, 2, 3\), \(None, 2, 4\)"
    ):
        layer.call([a, b])
    layer.build([(None, 2, 3), (None, 2, 3)])
    with pytest.raises(ValueError, match=r"me: expected a list of inputs. Received: shapes \(None, 2, 3\)"):
        layer.build((None, 2, 3))
    if name != "Subtract":
        with pytest.raises(ValueError, match=r"me: expected a list of inputs. Received: <Tensor"):
            layer.call(a)
