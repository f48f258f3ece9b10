"""The commands: each prints for people and returns what --json prints."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from dlcore import callbacks, config, layers, models, optimizers, preprocessing, utils
from dlcore.cli import images
from dlcore.cli.data import load
from dlcore.layers.trace import flat, mapped
from dlcore.saving import file as model_file


def train(args: Any) -> dict[str, Any]:
    """Train the network of Keras' MNIST example, on uint8 images as they are, and write it and its curves."""
    folder = os.path.dirname(os.path.realpath(args.output))
    if not os.access(folder, os.W_OK):  # before minutes of training, not after
        raise OSError(f"{args.output}: the folder is not there or cannot be written")
    data = load(args.data, args.quiet)
    (x, y), test = data.train, data.test
    if args.seed is not None:
        utils.set_random_seed(args.seed)
    model = models.Sequential([
        layers.Input((*x.shape[1:], 1)), layers.Rescaling(1 / 255), layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)), layers.Flatten(), layers.Dense(data.classes, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizers.Adam(args.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    print(
        f"{data.name}: {len(x)} images of {x.shape[1]}x{x.shape[2]} to train on, {len(test[0])} to test, "
        f"{data.classes} classes; {config.get_num_threads()} threads"
    )
    stop = [] if args.loss_threshold is None else [callbacks.StopAtLoss(args.loss_threshold)]
    start = time.perf_counter()
    history = model.fit(x, y, args.batch_size, args.epochs, callbacks=stop, validation_data=test)
    seconds = time.perf_counter() - start
    model.save(args.output)

    logs = {name: values[-1] for name, values in history.history.items()}
    epochs = len(history.epoch)
    speed = epochs * len(x) / seconds
    print(f"test accuracy {logs['val_accuracy']:.2%}, test loss {logs['val_loss']:.4f}")
    print(f"{epochs} epoch{'s' * (epochs > 1)} in {seconds:.1f} s, testing included: {speed:,.0f} images/s")
    print(f"model: {args.output}")
    curves: str | None = f"{os.path.splitext(args.output)[0]}.png"
    try:
        history.plot(curves)
        print(f"curves: {curves}")
    except ImportError as error:
        curves = None
        print(f"curves: not drawn. {error}")
    return {
        "command": "train", "data": data.name, "epochs": epochs, "loss": logs["loss"], "accuracy": logs["accuracy"],
        "test_loss": logs["val_loss"], "test_accuracy": logs["val_accuracy"], "seconds": seconds,
        "images_per_second": speed, "threads": config.get_num_threads(), "model": args.output, "curves": curves,
        "history": history.history,
    }  # fmt: skip


def evaluate(args: Any) -> dict[str, Any]:
    """Loss and metrics on the test set."""
    model = models.load_model(args.model)
    data = load(args.data)
    x, y = data.test
    loss, shape = _loss(model), _output_shape(args.model, model)
    if loss is not None and not loss.sparse:
        y = utils.to_categorical(y, shape[-1])
    logs = model.evaluate(_scaled(model, x), y, verbose=0, return_dict=True)
    print(f"{data.name}, {len(x)} test images: " + ", ".join(f"{name} {value:.4f}" for name, value in logs.items()))
    return {"command": "evaluate", "model": args.model, "data": data.name, "images": len(x), **logs}


def predict(args: Any) -> dict[str, Any]:
    """The most probable class of each image."""
    model = models.load_model(args.model)
    shape = _output_shape(args.model, model)
    if len(shape) != 2 or shape[1] < 2:
        raise ValueError(f"{args.model}: expected a model with one output a class. Its output has shape {shape}")
    x = np.stack([images.read(path, model.sample_shape, args.invert) for path in args.images])
    p = model.predict(_scaled(model, x))
    if getattr(_loss(model), "from_logits", False):
        p = np.exp(p - p.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
    found = [
        {"file": path, "class": int(np.argmax(row)), "probability": float(row.max())}
        for path, row in zip(args.images, p, strict=True)
    ]
    for one in found:
        print(f"{one['file']}: {one['class']} ({one['probability']:.1%})")
    return {"command": "predict", "model": args.model, "predictions": found}


def info(args: Any) -> dict[str, Any]:
    """This build, or a model file."""
    if args.model is None:
        config.show_config()
        return {"command": "info", **config.config()}
    model = models.load_model(args.model)
    about = {
        "file": args.model,
        "bytes": os.path.getsize(args.model),
        "format": model_file.FORMAT,
        "input_shape": model.input_shape,
        "output_shape": model.output_shape,
        "optimizer": model.optimizer and model.optimizer.name,
        "loss": mapped(lambda loss: loss.name, model.loss, leaf=True),
    }
    model.summary(expand_nested=args.expand_nested)
    for name, value in about.items():
        print(f"{name:12} {value}")
    return {
        "command": "info",
        **about,
        "parameters": model.count_params(),
        "layers": [{"name": layer.name, "class": type(layer).__name__} for layer in model.layers],
    }


def plot(args: Any) -> dict[str, Any]:
    """A picture of a model, with names and shapes."""
    model = models.load_model(args.model)
    utils.plot_model(model, args.picture, show_shapes=True, show_layer_names=True, rankdir=args.direction,
                     expand_nested=args.expand_nested)  # fmt: skip
    print(f"picture: {args.picture}")
    return {"command": "plot", "model": args.model, "picture": args.picture, "layers": len(model.layers)}


def _output_shape(path: str, model: models.Model) -> tuple[Any, ...]:
    """Shape of the only output."""
    shapes = [output.shape for output in model.outputs]
    if len(shapes) != 1:
        raise ValueError(f"{path}: expected a model with one output. It has {len(shapes)}, of shapes {shapes}")
    return shapes[0]


def _loss(model: models.Model) -> Any:
    """That of the only output, None where there is none."""
    return next(iter(flat(model.loss)), None)


def _scaled(model: models.Model, x: np.ndarray) -> np.ndarray:
    """uint8 images as the model wants them: raw if it begins with Rescaling, otherwise in [0, 1]."""
    first: Any = model
    while isinstance(first, models.Model):
        first = next((layer for layer in first.layers if not isinstance(layer, layers.InputLayer)), None)
    return x if isinstance(first, layers.Rescaling) else preprocessing.scale_to_unit(x)
