"""Keras' MNIST CNN in dlcore, and its training steps without what `fit` does around them."""

import numpy as np

from dlcore import layers, models, optimizers

BATCH = 128


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
    model.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=list(metrics))
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
