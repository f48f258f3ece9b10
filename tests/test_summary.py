"""`model.summary()` against what Keras 3 prints for the same networks."""

import numpy as np
import pytest

from dlcore import layers, losses, ops, optimizers
from dlcore.models import Model, Sequential

NARROW = """Model: "seq"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ Layer (type)             ┃ Output Shape      ┃   Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ conv (Conv2D)            │ (None, 26, 26,    │       320 │
│                          │ 32)               │           │
├──────────────────────────┼───────────────────┼───────────┤
│ bn (BatchNormalization)  │ (None, 26, 26,    │       128 │
│                          │ 32)               │           │
├──────────────────────────┼───────────────────┼───────────┤
│ pool (MaxPooling2D)      │ (None, 13, 13,    │         0 │
│                          │ 32)               │           │
├──────────────────────────┼───────────────────┼───────────┤
│ flat (Flatten)           │ (None, 5408)      │         0 │
├──────────────────────────┼───────────────────┼───────────┤
│ out (Dense)              │ (None, 10)        │    54,090 │
└──────────────────────────┴───────────────────┴───────────┘
 Total params: 54,538 (213.04 KB)
 Trainable params: 54,474 (212.79 KB)
 Non-trainable params: 64 (256.00 B)"""

SQUEEZED = """Model: "seq"
┏━━━━━━━━━┳━━━━━━━┳━━━━┓
┃ Layer   ┃ Outp… ┃ P… ┃
┃ (type)  ┃ Shape ┃  # ┃
┡━━━━━━━━━╇━━━━━━━╇━━━━┩
│ conv    │ (Non… │ 3… │
│ (Conv2… │ 26,   │    │
│         │ 26,   │    │
│         │ 32)   │    │
├─────────┼───────┼────┤
│ bn      │ (Non… │ 1… │
│ (Batch… │ 26,   │    │
│         │ 26,   │    │
│         │ 32)   │    │
├─────────┼───────┼────┤
│ pool    │ (Non… │  0 │
│ (MaxPo… │ 13,   │    │
│         │ 13,   │    │
│         │ 32)   │    │
├─────────┼───────┼────┤
│ flat    │ (Non… │  0 │
│ (Flatt… │ 5408) │    │
├─────────┼───────┼────┤
│ out     │ (Non… │ 5… │
│ (Dense) │ 10)   │    │
└─────────┴───────┴────┘
 Total params: 54,538 (213.04 KB)
 Trainable params: 54,154 (211.54 KB)
 Non-trainable params: 384 (1.50 KB)"""

SHARED = """Model: "two"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                  ┃ Output Shape              ┃         Param # ┃ Connected to               ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ a (InputLayer)                │ (None, 8)                 │               0 │ -                          │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ b (InputLayer)                │ (None, 8)                 │               0 │ -                          │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ d (Dense)                     │ (None, 4)                 │              36 │ a[0][0], b[0][0]           │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ cat (Concatenate)             │ (None, 8)                 │               0 │ d[0][0], d[1][0]           │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ y (Dense)                     │ (None, 1)                 │               9 │ cat[0][0]                  │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ z (Dense)                     │ (None, 3)                 │              27 │ cat[0][0]                  │
└───────────────────────────────┴───────────────────────────┴─────────────────┴────────────────────────────┘
 Total params: 72 (288.00 B)
 Trainable params: 72 (288.00 B)
 Non-trainable params: 0 (0.00 B)"""

INCEPTION = """Model: "inc"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                  ┃ Output Shape              ┃         Param # ┃ Connected to               ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ x (InputLayer)                │ (None, 8, 8, 4)           │               0 │ -                          │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ one (Conv2D)                  │ (None, 8, 8, 4)           │              20 │ x[0][0]                    │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ three (Conv2D)                │ (None, 8, 8, 4)           │             148 │ x[0][0]                    │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ mp (MaxPooling2D)             │ (None, 8, 8, 4)           │               0 │ x[0][0]                    │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ c (Concatenate)               │ (None, 8, 8, 12)          │               0 │ one[0][0], three[0][0],    │
│                               │                           │                 │ mp[0][0]                   │
└───────────────────────────────┴───────────────────────────┴─────────────────┴────────────────────────────┘
 Total params: 168 (672.00 B)
 Trainable params: 168 (672.00 B)
 Non-trainable params: 0 (0.00 B)"""

NESTED = """Model: "outer2"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ Layer (type)                  ┃ Output Shape              ┃          Param # ┃ Connected to              ┃ Trainable ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ q (InputLayer)                │ (None, 8)                 │                0 │ -                         │     -     │
├───────────────────────────────┼───────────────────────────┼──────────────────┼───────────────────────────┼───────────┤
│ zz (InputLayer)               │ (None, 8)                 │                0 │ -                         │     -     │
├───────────────────────────────┼───────────────────────────┼──────────────────┼───────────────────────────┼───────────┤
│ lin (Functional)              │ (None, 2)                 │               46 │ q[0][0], zz[0][0]         │     Y     │
├───────────────────────────────┼───────────────────────────┼──────────────────┼───────────────────────────┼───────────┤
│    └ x (InputLayer)           │ (None, 8)                 │                0 │ -                         │     -     │
├───────────────────────────────┼───────────────────────────┼──────────────────┼───────────────────────────┼───────────┤
│    └ a (Dense)                │ (None, 4)                 │               36 │ -                         │     Y     │
├───────────────────────────────┼───────────────────────────┼──────────────────┼───────────────────────────┼───────────┤
│    └ b (Dense)                │ (None, 2)                 │               10 │ -                         │     Y     │
├───────────────────────────────┼───────────────────────────┼──────────────────┼───────────────────────────┼───────────┤
│ add (Add)                     │ (None, 2)                 │                0 │ lin[0][0], lin[1][0]      │     -     │
└───────────────────────────────┴───────────────────────────┴──────────────────┴───────────────────────────┴───────────┘
 Total params: 46 (184.00 B)
 Trainable params: 46 (184.00 B)
 Non-trainable params: 0 (0.00 B)"""

LONG = """Model: "w"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape   ┃ Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ x (InputLayer)      │ (None, 8)      │       0 │
├─────────────────────┼────────────────┼─────────┤
│ a_layer_of_a_very_… │ (None, 4)      │      36 │
│ (Dense)             │                │         │
├─────────────────────┼────────────────┼─────────┤
│ wide (Dense)        │ (None, 12345)  │  61,725 │
└─────────────────────┴────────────────┴─────────┘
 Total params: 61,761 (241.25 KB)
 Trainable params: 61,761 (241.25 KB)
 Non-trainable params: 0 (0.00 B)"""


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def text(model, **how):
    told = []
    model.summary(print_fn=told.append, **how)
    assert len(told) == 1 and told[0].endswith("\n")
    return told[0][:-1]


def digits():
    return Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(32, 3, name="conv"), layers.BatchNormalization(name="bn"),
        layers.MaxPooling2D(2, name="pool"), layers.Flatten(name="flat"), layers.Dense(10, name="out"),
    ], name="seq")  # fmt: skip


def inner():
    x = layers.Input((8,), name="x")
    return Model(x, layers.Dense(2, name="b")(layers.Dense(4, name="a")(x)), name="lin")


def nested():
    part, q, zz = inner(), layers.Input((8,), name="q"), layers.Input((8,), name="zz")
    return Model([q, zz], layers.Add(name="add")([part(q), part(zz)]), name="outer2")


def shared():
    a, b, d = layers.Input((8,), name="a"), layers.Input((8,), name="b"), layers.Dense(4, name="d")
    y = layers.Concatenate(name="cat")([d(a), d(b)])
    return Model([a, b], [layers.Dense(1, name="y")(y), layers.Dense(3, name="z")(y)], name="two")


def test_narrow_columns_break_between_words():
    assert text(digits(), line_length=60) == NARROW


def test_words_longer_than_a_column_end_in_an_ellipsis():
    x = layers.Input((8,), name="x")
    y = layers.Dense(4, name="a_layer_of_a_very_long_name_indeed_one_might_say_too_long_for_any_column")(x)
    assert text(Model(x, layers.Dense(12345, name="wide")(y), name="w"), line_length=50) == LONG
    model = digits()
    model.get_layer("conv").trainable = False
    assert text(model, line_length=24) == SQUEEZED


def test_connections():
    assert text(shared()) == SHARED
    x = layers.Input((8, 8, 4), name="x")
    y = [layers.Conv2D(4, 1, name="one")(x), layers.Conv2D(4, 3, padding="same", name="three")(x),
         layers.MaxPooling2D(3, 1, padding="same", name="mp")(x)]  # fmt: skip
    assert text(Model(x, layers.Concatenate(name="c")(y), name="inc")) == INCEPTION


def test_models_in_models():
    assert text(nested(), expand_nested=True, show_trainable=True) == NESTED
    assert "└" not in text(nested()).replace("└─", "")
    deep = Sequential([layers.Dense(4, name="l")], name="deep")
    model = Sequential([layers.Input((8,)), Sequential([layers.Dense(3, name="k"), deep], name="ins")], name="outs")
    shown = text(model, expand_nested=True)
    assert "│    └ deep (Sequential) " in shown and "│       └ l (Dense) " in shown


def test_ops_between_layers_have_rows_too():
    x = layers.Input((8,), name="x")
    y = layers.Dense(4, name="d")(x)
    shown = text(Model(x, ops.multiply(y, y) + ops.multiply(y, y), name="ops"), line_length=160)
    rows = [line.split("│")[1:-1] for line in shown.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows[2:]] == [
        ["multiply (Multiply)", "(None, 4)", "0", "d[0][0], d[0][0]"],
        ["multiply_1 (Multiply)", "(None, 4)", "0", "d[0][0], d[0][0]"],
        ["add (Add)", "(None, 4)", "0", "multiply[0][0], multiply_1[0][0]"],
    ]


def test_layers_before_they_are_built():
    shown = text(Sequential([layers.Conv2D(8, 3, name="c"), layers.Flatten(name="f")], name="u"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert rows == [["c (Conv2D)", "?", "0 (unbuilt)"], ["f (Flatten)", "?", "0 (unbuilt)"]]
    assert shown.endswith(" Non-trainable params: 0 (0.00 B)")
    assert "Layer (type)" in text(Sequential(name="empty"))


@pytest.mark.parametrize("optimizer, count", [
    (lambda: optimizers.Adam(0.1), "108,950 (425.59 KB)"),
    (lambda: optimizers.SGD(0.1), "2 (8.00 B)"),
    (lambda: optimizers.SGD(0.1, momentum=0.9), "54,476 (212.80 KB)"),
    (lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.9), momentum=0.9), "54,475 (212.79 KB)"),
])  # fmt: skip
def test_the_optimizer_counts_once_it_has_trained(optimizer, count):
    model = digits()
    model.compile(optimizer(), losses.SparseCategoricalCrossentropy(from_logits=True))
    assert "Optimizer" not in text(model)
    model.fit(np.zeros((4, 28, 28, 1), np.float32), np.zeros(4, np.int32), verbose=0)
    lines = text(model).splitlines()
    assert lines[-1] == f" Optimizer params: {count}" and lines[-3] == " Trainable params: 54,474 (212.79 KB)"
    total = 54_474 + 64 + int(count.split()[0].replace(",", ""))
    assert lines[-4].startswith(f" Total params: {total:,} (")


def test_a_subclass_shows_its_layers():
    class Two(Model):
        def __init__(self):
            super().__init__(name="two")
            self.a, self.b = layers.Dense(4, name="a"), layers.Dense(2, name="b")

        def call(self, x, training=False):
            return self.b(self.a(x))

    model = Two()
    assert text(model).count("0 (unbuilt)") == 2
    model.build((None, 8))
    assert " 46 (184.00 B)" in text(model) and "(None, 2)" in text(model)


def test_a_range_of_layers():
    def names(*layer_range):
        shown = text(digits(), layer_range=layer_range)
        return [line.split()[1] for line in shown.splitlines() if line.startswith("│")]

    assert names("bn", "flat") == names("flat", "b.*") == ["bn", "pool", "flat"]
    for wrong, message in ((["bn"], "seq: layer_range must be two names"), ([1, 2], "seq: layer_range must be two"),
                           (["x", "bn"], "seq: no layers fit layer_range. It has")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            digits().summary(layer_range=wrong)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="summary: every column must be at least 4 wide"):
        digits().summary(line_length=10)
    with pytest.raises(ValueError, match="seq: 12 columns are too few"):
        digits().summary(line_length=12, positions=[0.34, 0.67, 1.0])
    with pytest.raises(ValueError, match="seq: positions must have one number a column"):
        digits().summary(positions=[0.5, 1.0])
    assert {len(line) for line in text(digits(), positions=[0.3, 0.6, 0.7]).splitlines()[1:-3]} == {88}


def test_it_goes_to_the_terminal_as_wide_as_that_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    digits().summary()
    assert {len(line) for line in capsys.readouterr().out.splitlines()[1:-3]} == {66}
