"""A training that can be cut: run by tests/test_resume.py in processes of their own.

python resume.py NAME FOLDER [cut]: train the case NAME with a backup in FOLDER; `cut`, an epoch or "epoch.batch",
is where the process ends itself, without a goodbye. Else it writes FOLDER/result.npz.
"""

import os
import sys

import numpy as np

import dlcore
from dlcore import Sequential, layers, optimizers
from dlcore.callbacks import BackupAndRestore, LambdaCallback
from dlcore.models import Model
from dlcore.optimizers import schedules

EPOCHS, SAMPLES, BATCH = 5, 44, 8


def images():
    r = np.random.default_rng(0)
    x = r.normal(size=(SAMPLES, 6, 6, 2)).astype(np.float32)
    return x, (x[:, 0, 0, 0] > 0).astype(np.int32) + (x[:, 1, 1, 1] > 0)


def network():
    return Sequential([
        layers.Input((6, 6, 2)), layers.RandomFlip(), layers.RandomTranslation(0.2, 0.2),
        layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(momentum=0.8), layers.ReLU(),
        layers.SpatialDropout2D(0.2), layers.GaussianNoise(0.1), layers.Flatten(), layers.Dropout(0.3),
        layers.Dense(3, "softmax"),
    ])  # fmt: skip


def branches():
    x = layers.Input((6, 6, 2))
    shared = layers.Conv2D(2, 3, padding="same", activation="relu")
    y = shared(shared(x))
    inner = Sequential([layers.Input((6, 6, 2)), layers.Conv2D(2, 1), layers.Dropout(0.2)])
    y = layers.Add()([inner(y), x])
    return Model(x, layers.Dense(3, "softmax")(layers.Flatten()(layers.GroupNormalization(2)(y))))


CASES = {  # network, optimizer, frequency of backups
    "sgd": (network, lambda: optimizers.SGD(0.05), "epoch"),
    "momentum": (network, lambda: optimizers.SGD(0.05, 0.9, nesterov=True, clipnorm=1.0), 4),
    "adam": (network, lambda: optimizers.Adam(schedules.CosineDecay(0.01, 20, warmup_steps=4, warmup_target=0.02)), 4),
    "amsgrad": (branches, lambda: optimizers.Adam(0.01, amsgrad=True, gradient_accumulation_steps=3), 1),
    "adamw": (branches, lambda: optimizers.AdamW(0.01, use_ema=True, ema_overwrite_frequency=7), "epoch"),
    "rmsprop": (network, lambda: optimizers.RMSprop(schedules.PiecewiseConstantDecay([7, 13], [0.01, 0.003, 0.001]),
                                                    momentum=0.5, centered=True), 5),
    "nadam": (branches, lambda: optimizers.Nadam(0.01, global_clipnorm=0.5), "epoch"),
    "lion": (network, lambda: optimizers.Lion(0.001), 3),
    "adadelta": (network, lambda: optimizers.Adadelta(1.0), "epoch"),
    "adagrad": (branches, lambda: optimizers.Adagrad(0.1), 2),
    "adamax": (network, lambda: optimizers.Adamax(lambda step: 0.01 / (1 + step)), "epoch"),
}  # fmt: skip


def main(name, folder, cut=None):
    make, optimizer, frequency = CASES[name]
    dlcore.utils.set_random_seed(11)
    model = make()
    model.compile(optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    hooks = [BackupAndRestore(os.path.join(folder, "backup"), save_freq=frequency)]
    if cut is not None:
        epoch, _, batch = str(cut).partition(".")
        at = {"epoch": -1}

        def begin(number, logs=None):
            at["epoch"] = number
            if not batch and number == int(epoch):
                os._exit(3)

        def end(number, logs=None):
            if batch and (at["epoch"], number) == (int(epoch), int(batch)):
                os._exit(3)

        hooks.append(LambdaCallback(on_epoch_begin=begin, on_train_batch_end=end if batch else None))
    x, y = images()
    model.fit(x, y, BATCH, EPOCHS, verbose=0, callbacks=hooks, validation_data=(x, y))
    arrays = {f"w{i}": value for i, value in enumerate(model.get_weights())}
    arrays.update((f"s{i}", np.array(value)) for i, value in enumerate(model.optimizer.variables))
    arrays["step"] = np.array(model.optimizer.clock.step)
    np.savez(os.path.join(folder, "result.npz"), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
