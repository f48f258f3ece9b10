"""dlcore's side of the compared networks, and its training steps without what `fit` does around them."""

import pathlib
import sys

import numpy as np
from specs import BATCH, NETWORKS

import dlcore
from dlcore import layers, models, optimizers

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
import networks


def mnist_cnn(metrics=()):
    """The network of examples/keras_mnist.py, compiled."""
    model = models.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return compiled(model, metrics)


def compiled(model, metrics=()):
    model.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


MODELS = {  # as in specs.py
    "headline": mnist_cnn,
    "lenet5": lambda: networks.lenet5(dlcore),
    "vgg": lambda: networks.vgg16(dlcore, classes=10, blocks=(2, 2), units=256),
    "resnet20": lambda: networks.resnet20(dlcore),
    "mobilenet": lambda: networks.mobilenet(dlcore, classes=10),
    "mobilenet96": lambda: networks.mobilenet(dlcore, (96, 96, 3), classes=10),
    "mlp": lambda: networks.mlp(dlcore),
}


def compared(name):
    """The network of this name, compiled, with the weights that all frameworks begin with."""
    model = compiled(MODELS[name]())
    model.set_weights([array for arrays in NETWORKS[name].weights() for array in arrays])
    return model


def bare_steps(model, x, y):
    """run(steps, threads): training steps over the rows in order, straight from the programs that `fit` runs.

    As often as it takes, an epoch's whole batches and then its rest.
    """
    y = np.ascontiguousarray(y, np.int32)
    model.train_on_batch(x[:BATCH], y[:BATCH])  # settles where the weights lie

    def run(steps, threads):
        function = model._function(x.dtype.char, (None,), training=True).function
        function.feeds["x0"].set(x)
        function.feeds["y0"].set(y)
        while steps > 0:
            for program, count in function.runs(len(x), BATCH):
                program.run(min(steps, count), threads)
                steps -= count
                if steps <= 0:
                    break
        function.clear()

    return run
