"""`python start_dlcore.py SEED`: import dlcore, load MNIST, train until 97.5 % of the test set are right; see
compare_start.py. Images stay bytes until a batch is gathered."""

import json
import sys

import dlcore
from dlcore import layers, models, optimizers
from dlcore.datasets import mnist

dlcore.utils.set_random_seed(int(sys.argv[1]))
(x_train, y_train), (x_test, y_test) = mnist.load_data()
model = models.Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
x_train, x_test = x_train.reshape(-1, 28, 28, 1), x_test.reshape(-1, 28, 28, 1)
epochs, accuracy = 0, 0.0
while accuracy < 0.975:
    model.fit(x_train, y_train, batch_size=128, verbose=0)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    epochs += 1
print(json.dumps({"epochs": epochs, "accuracy": accuracy, "version": dlcore.__version__}), flush=True)
