"""Pictures of models, and DOT text."""

import re

import numpy as np
import pytest

from dlcore import layers
from dlcore.models import Model, Sequential
from dlcore.utils import model_to_dot, plot_model

pytest.importorskip("matplotlib")


def block():
    x = layers.Input((8, 8, 4), name="x")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    return Model(x, layers.Add(name="add")([y, x]), name="block")


def nested():
    a, b = layers.Input((8, 8, 4), name="a"), layers.Input((3,), name="b")
    y = layers.Flatten(name="flat")(block()(a))
    return Model([a, b], layers.Dense(2, name="out")(layers.Concatenate(name="cat")([y, b])), name="all")


def twice():
    x, d = layers.Input((4,), name="x"), layers.Dense(4, name="d")
    return Model(x, d(d(x)), name="twice")


def edges(dot):
    """(class or name of source, of target) of each arrow."""
    titles = dict(re.findall(r"^ *(\d+) \[label=<.*?<b>(.*?)</b>", dot, re.MULTILINE))
    return [(titles[a], titles[b]) for a, b in re.findall(r"^ *(\d+) -> (\d+);", dot, re.MULTILINE)]


def test_dot_has_boxes_and_arrows():
    dot = model_to_dot(block(), show_layer_names=False)
    assert edges(dot) == [("InputLayer", "Conv2D"), ("Conv2D", "Add"), ("InputLayer", "Add")]
    assert dot.startswith('digraph "block" {\n') and "rankdir=TB, dpi=200" in dot and dot.endswith("}\n")
    assert "x (InputLayer)" in model_to_dot(block()) and "rankdir=LR" in model_to_dot(block(), rankdir="LR")


def test_what_boxes_say():
    model = block()
    model.get_layer("conv").trainable = False
    dot = model_to_dot(model, True, True, True, show_layer_activations=True, show_trainable=True)
    conv = next(line for line in dot.splitlines() if "Conv2D" in line)
    for text in ("Activation: relu", "Input shape: (None, 8, 8, 4)", "Output shape: (None, 8, 8, 4)",
                 "Output dtype: float32", "Non-trainable"):  # fmt: skip
        assert text in conv
    assert "Input shape: [(None, 8, 8, 4), (None, 8, 8, 4)]" in dot
    plain = model_to_dot(Sequential([layers.Input((4,)), layers.Dense(2, name="<&>")]), show_shapes=True)
    assert "&lt;&amp;&gt; (Dense)" in plain and "Input shape: (None, 4)" in plain


def test_models_in_models_are_clusters():
    dot = model_to_dot(nested(), show_layer_names=True, expand_nested=True)
    assert 'label="block (Functional)"' in dot and "subgraph cluster_" in dot
    assert set(edges(dot)) == {
        ("a (InputLayer)", "x (InputLayer)"), ("x (InputLayer)", "conv (Conv2D)"), ("conv (Conv2D)", "add (Add)"),
        ("x (InputLayer)", "add (Add)"), ("add (Add)", "flat (Flatten)"), ("flat (Flatten)", "cat (Concatenate)"),
        ("b (InputLayer)", "cat (Concatenate)"), ("cat (Concatenate)", "out (Dense)"),
    }  # fmt: skip
    assert ("Functional", "Flatten") in edges(model_to_dot(nested(), show_layer_names=False))


def test_a_shared_layer_is_one_box():
    assert edges(model_to_dot(twice(), show_layer_names=False)) == [("InputLayer", "Dense"), ("Dense", "Dense")]


def test_a_subclass_is_one_box():
    class Own(Model):
        def __init__(self):
            super().__init__(name="own")
            self.a = layers.Dense(2)

        def call(self, x, training=False):
            return self.a(x)

    model = Own()
    with pytest.raises(ValueError, match="own: expected a model with weights"):
        plot_model(model, "never.png")
    model.build((None, 3))
    assert model_to_dot(model).count("[label=<") == 1


@pytest.mark.parametrize("ending, first", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"),
                                           ("dot", b'digraph "all"'), ("gv", b"digraph")])  # fmt: skip
@pytest.mark.parametrize("rankdir", ["TB", "RL"])
def test_files(tmp_path, ending, first, rankdir):
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    model = nested()
    for file in files:
        plot_model(model, file, show_shapes=True, expand_nested=True, rankdir=rankdir, dpi=50)
    assert files[0].read_bytes().startswith(first)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_directions_and_loops(tmp_path):
    from matplotlib.image import imread

    sizes = {}
    for rankdir in ("TB", "BT", "LR", "RL"):
        plot_model(twice(), tmp_path / "m.png", rankdir=rankdir, show_trainable=True, dpi=72)
        picture = imread(tmp_path / "m.png")
        sizes[rankdir] = picture.shape[:2]
        assert (picture[..., :3] < 0.5).any() and np.all(picture[0] == 1) and np.all(picture[-1] == 1)
    assert sizes["TB"] == sizes["BT"] and sizes["LR"] == sizes["RL"] and sizes["TB"] != sizes["LR"]


def test_notebooks_show_what_was_drawn(tmp_path):
    model = block()
    assert plot_model(model, str(tmp_path / "m"))._repr_mimebundle_() == {"text/plain": f"<Picture {tmp_path / 'm'}>"}
    assert (tmp_path / "m").read_bytes().startswith(b"\x89PNG")
    assert plot_model(model, tmp_path / "m.png")._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")
    assert "<svg" in plot_model(model, tmp_path / "m.svg")._repr_mimebundle_()["image/svg+xml"]


def test_refuses():
    with pytest.raises(ValueError, match=r"plot_model: to_file must end in one of .*\.png.*Received: 'm.jpg'"):
        plot_model(block(), "m.jpg")
    with pytest.raises(ValueError, match=r"plot_model: rankdir must be one of .*Received: rankdir='XY'"):
        model_to_dot(block(), rankdir="XY")
    with pytest.raises(ValueError, match="m: expected a model with weights, to draw it"):
        model_to_dot(Sequential([layers.Dense(2)], name="m"))
