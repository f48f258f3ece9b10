"""What of Keras 3.15.1 dlcore has: `python tests/keras_table.py > docs/keras.md` writes the page.

Names and arguments are compared with those in `keras_names.json`; the remarks stand here; which arguments have but one
value comes from `layer_table.py`, whose tests prove it.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path

from layer_table import CASES, ONE_VALUE

import dlcore
from dlcore._arguments import _parameters

KERAS = json.loads(Path(__file__).with_name("keras_names.json").read_text())


def arguments(signature):
    """{name: source of the default, "" where there is none} of an entry of keras_names.json; "*" stands before those
    that are given by name."""
    return {name: default for name, _, default in (item.partition("=") for item in signature)}


def own_arguments(thing):
    """(positional names, all names, whether any other is taken, defaults)"""
    function = thing.__init__ if isinstance(thing, type) else thing
    parameters = list(inspect.signature(function).parameters.values())
    if isinstance(thing, type) or (parameters and parameters[0].name == "self"):
        parameters = parameters[1:]
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    rest = any(p.kind is p.VAR_KEYWORD for p in parameters)
    if isinstance(thing, type) and rest:
        more, rest = _parameters(thing)
        names |= more
    order = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return order, names, rest, {p.name: p.default for p in parameters if p.default is not p.empty}


def same(keras, own):
    """Whether a default means what Keras' does."""
    try:
        value = eval(keras, {})
    except NameError:  # a function, by name
        return getattr(own, "__name__", own) == keras
    if isinstance(value, str) and isinstance(own, str):
        return value.lower() == own.lower()
    if isinstance(value, (tuple, list)) or isinstance(own, (tuple, list)):
        several = list(own) if isinstance(own, (tuple, list)) else [own] * len(value)
        return list(value if isinstance(value, (tuple, list)) else [value] * len(several)) == several
    return value == own


def compared(signature, thing):
    """(arguments of Keras' that are missing, {argument: own default that differs}, names in another place)"""
    theirs, (order, names, rest, defaults) = arguments(signature), own_arguments(thing)
    missing = [name for name in (n.lstrip("*") for n in theirs) if name not in names and not rest]
    other = {name: defaults[name] for name, default in theirs.items()
             if default and name in defaults and not same(default, defaults[name])}  # fmt: skip
    places = [name for name in theirs if not name.startswith("*")]
    moved = [name for i, name in enumerate(order) if name in places and places.index(name) != i]
    return missing, other, moved


HEAD = """\
# What of Keras is here

Written by `tests/keras_table.py`; do not edit. Names, arguments, their order and their defaults are compared with those
of Keras 3.15.1 by the tests, which drive the layers through {cases} cases (`tests/layer_table.py`): shapes, values,
gradients, configurations, files, kinds of data, threads. *As in Keras* means that no difference is known. Arguments in
the column *refused* are not there, or have no values but those that stand with them.

## Everywhere

{everywhere}"""
EVERYWHERE = """\
- float32 is the one dtype and channels come last; other data is converted once, as it comes in. `dtype` takes None or
  "float32", `data_format` None or "channels_last".
- There are no masks: give padded steps a weight of zero in the loss.
- Arguments that nobody knows are refused with the nearest name that is known.
- Shapes are known but for the batch; a model takes batches of any size.
- The same seed gives the same bits for any number of threads. What has `seed=None` follows `utils.set_random_seed`; an
  initializer then draws anew each time it is called.
- Each use of a random layer in a model draws numbers of its own, and each sample of a batch does.
- A custom layer, loss, metric, regularizer or constraint is a composition of `dlcore.ops`, traced once. In the place of
  Keras' functions of arrays it gets symbolic tensors.
- `layer.add_loss` takes one value per sample (batch,), whose mean over the batch is added, or (1,).
- Files of models and weights are safetensors; they hold no code."""
RATE = "rate below 1 (Keras allows 1)"
BOTH = "strides and dilation_rate may both be above 1"
LAST = "axis must be the last axes"
BATCH_SIZE = "batch_size is not used: batches of any size do"
REMARKS = {  # section: {name: what is not as in Keras}
    "layers": {
        "AlphaDropout": RATE, "Dropout": RATE, "GaussianDropout": RATE, "SpatialDropout1D": RATE,
        "SpatialDropout2D": RATE,
        "AveragePooling1D": "pool_size has a default, 2", "AveragePooling2D": "pool_size has a default, 2",
        "BatchNormalization": "axis=-1 only",
        "Conv1D": BOTH, "Conv2D": BOTH,
        "Conv1DTranspose": BOTH,
        "Conv2DTranspose": BOTH,
        "DepthwiseConv1D": BOTH,
        "DepthwiseConv2D": f"{BOTH}; strides may differ by axis",
        "SeparableConv1D": BOTH,
        "SeparableConv2D": f"{BOTH}; strides may differ by axis",
        "Dense": "also takes input_shape and input_dim, as all layers",
        "Embedding": "a number outside the table gives NaN",
        "GaussianNoise": "stddev may be above 1",
        "GroupNormalization": "axis=-1 only",
        "Input": BATCH_SIZE, "InputLayer": BATCH_SIZE,
        "LayerNormalization": LAST, "RMSNormalization": LAST,
        "UnitNormalization": LAST,
        "RandomContrast": "f draws from [1 - f, 1 + f], as Keras' page says (its code takes 0 for the lower one)",
        "RandomCrop": "each image of a batch has a place of its own; larger images are cropped outside training too",
    },
    "regularizers": {
        "Regularizer": "called with an array, it gives a float; with a weight, a tensor (1,); with an output, (batch,)",
    },
    "losses": {
        "Hinge": "labels of 0 become -1, one by one (Keras: only in batches of nothing but 0 and 1)",
        "SquaredHinge": "labels of 0 become -1, one by one",
        "Huber": "delta is in the configuration", "CosineSimilarity": "axis is in the configuration",
    },
    "optimizers": {
        "Optimizer": "loss_scale_factor scales in `apply` only; one of your own defines its update of ops",
    },
    "metrics": {
        "Metric": "one of your own defines `contributions(y_true, y_pred, weight)` and `result_of(totals, count)`",
    },
    "callbacks": {
        "EarlyStopping": "best weights come back whatever ended training; NaN is never best; unknown modes are errors",
        "ModelCheckpoint": "unknown modes are errors; names end in .safetensors",
        "ReduceLROnPlateau": "unknown modes are errors",
        "TensorBoard": "needs the extra `tensorboard`; draws no graph; no write_images, profile_batch, embeddings",
    },
    "Model": {
        "fit": "check_data=True refuses NaN; class_weight may be 'balanced'; steps beyond one pass over a dataset go "
        "on into the next pass; Ctrl-C leaves the weights of a whole step",
        "predict": "prints nothing; safe from many threads",
        "evaluate": "does not depend on batch_size, which is 256 by default",
        "compile": "run_eagerly, steps_per_execution, jit_compile and auto_scale_loss are accepted and have no effect",
    },
    "utils": {"set_random_seed": "seeds dlcore only"},
}  # fmt: skip
ANY = ("dtype", "autocast", "batch_size")  # said elsewhere
SECTIONS = {  # section of keras_names.json: title
    "layers": "Layers", "activations": "Activations", "initializers": "Initializers", "regularizers": "Regularizers",
    "constraints": "Constraints", "losses": "Losses", "optimizers": "Optimizers",
    "optimizers.schedules": "Learning rate schedules", "metrics": "Metrics", "callbacks": "Callbacks",
    "Model": "Methods and properties of models", "models": "Functions of `models`", "utils": "Utilities",
}  # fmt: skip


def home_of(section):
    """Where dlcore has the names of a section."""
    if section == "Model":
        return dlcore.Model
    return importlib.import_module(f"dlcore.{section}")


def present(section):
    """{name: what it is} of the names of Keras that dlcore has."""
    home = home_of(section)
    return {name: getattr(home, name) for name in KERAS[section] if hasattr(home, name)}


def differences(section, name, thing):
    """Sentences on what is not as in Keras, and on what is refused."""
    signature = KERAS[section][name]
    remark = REMARKS.get(section, {}).get(name, "")
    differs = [remark] if remark else []
    refused = []
    if signature is not None and callable(thing):
        missing, other, _ = compared(signature, thing)
        differs += [f"default `{n}={getattr(value, '__name__', repr(value))}`" for n, value in other.items()]
        refused += [f"`{argument}`" for argument in missing]
    if section == "layers":
        for cls, _, argument, values, other in ONE_VALUE:
            if cls == name and argument not in ANY and other is not None:
                refused.append(f"`{argument}` other than {' or '.join(f'`{value!r}`' for value in values)}")
    return differs, refused


def code(names):
    """The names of one thing."""
    first, *others = (f"`{name}`" for name in names)
    return f"{first} ({', '.join(others)})" if others else first


def table(section):
    """What is there, other names of a thing behind it, and what is not."""
    names, rows = {}, []
    for name, thing in present(section).items():
        key = id(thing) if section == "layers" or callable(thing) else name
        names.setdefault(key, (thing, []))[1].append(name)
    for thing, several in names.values():
        own = getattr(thing, "__name__", None)
        several.sort(key=lambda name: (name != own, name))
        differs, refused = differences(section, several[0], thing)
        rows.append((several, "; ".join(differs), ", ".join(refused)))
    same = [code(names) for names, *cells in rows if not any(cells)]
    lines = [f"As in Keras: {', '.join(same)}."] if same else []
    if len(same) < len(rows):
        lines += ["", "| there | what differs | refused |", "| --- | --- | --- |"]
        lines += [f"| {code(names)} | {' | '.join(cells)} |" for names, *cells in rows if any(cells)]
    absent = [f"`{name}`" for name in KERAS[section] if name not in present(section)]
    if absent:
        lines += ["", f"Not there: {', '.join(absent)}."]
    home = home_of(section)
    more = [f"`{name}`" for name in sorted(getattr(home, "__all__", [])) if name not in KERAS[section]]
    if more:
        lines += ["", f"Not in Keras: {', '.join(more)}."]
    return "\n".join(lines)


def page():
    """docs/keras.md."""
    counts = {section: len(present(section)) for section in SECTIONS}
    parts = [HEAD.format(cases=len(CASES), everywhere=EVERYWHERE)]
    for section, title in SECTIONS.items():
        parts.append(f"## {title}\n\n{counts[section]} of {len(KERAS[section])} names.\n\n{table(section)}")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
