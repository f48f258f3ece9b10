"""A residual network on MNIST in Keras' functional words, with augmentation, a schedule of the learning rate, early
stopping, and the best weights kept in a file. Five epochs give 99.2 % on the test set.

    python examples/residual_mnist.py [--epochs N] [--blocks N] [--images N] [--output FILE] [--plot FILE]

It is ResNet-20 (K. He et al., "Deep Residual Learning for Image Recognition", 2015) with --blocks 3.
"""

import argparse

from dlcore import layers
from dlcore.callbacks import EarlyStopping, ModelCheckpoint
from dlcore.datasets import mnist
from dlcore.models import Model
from dlcore.optimizers import SGD
from dlcore.optimizers.schedules import CosineDecay
from dlcore.utils import plot_model, set_random_seed


def convolution(x, filters, size=3, strides=1):
    x = layers.Conv2D(filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization()(x)


def block(x, filters, strides):
    """Two convolutions, and a way around them."""
    y = layers.ReLU()(convolution(x, filters, strides=strides))
    y = convolution(y, filters)
    around = x if strides == 1 else convolution(x, filters, 1, strides)
    return layers.ReLU()(layers.Add()([y, around]))


def network(blocks):
    inputs = layers.Input((28, 28, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.RandomTranslation(0.1, 0.1, fill_mode="constant")(x)
    x = layers.RandomRotation(0.03, fill_mode="constant")(x)
    x = layers.ReLU()(convolution(x, 16))
    for filters in (16, 32, 64):
        for i in range(blocks):
            x = block(x, filters, 2 if filters > 16 and i == 0 else 1)
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return Model(inputs, outputs, name=f"resnet{6 * blocks + 2}")


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--output", metavar="FILE", default="residual-mnist.safetensors")
    parser.add_argument("--plot", metavar="FILE", help="draw the network")
    args = parser.parse_args(argv)

    set_random_seed(1)
    (x, y), test = mnist.load_data()
    x, y = x[: args.images, ..., None], y[: args.images]
    model = network(args.blocks)
    model.summary()
    if args.plot:
        plot_model(model, args.plot, show_shapes=True)
    rate = CosineDecay(0.1, decay_steps=args.epochs * len(x) // 128)
    optimizer = SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    best = ModelCheckpoint(args.output, "val_accuracy", save_best_only=True)
    stop = EarlyStopping("val_loss", patience=4, restore_best_weights=True)
    model.fit(x, y, 128, args.epochs, validation_split=0.1, callbacks=[stop, best])
    return model.evaluate(test[0][..., None], test[1], return_dict=True)


if __name__ == "__main__":
    main()
