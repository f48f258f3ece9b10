"""Options of the command line, and what they may be."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from dlcore._version import __version__
from dlcore.cli import commands
from dlcore.saving import check_filepath

DATA = """data set: auto (MNIST, else the built-in digits), mnist, digits28, or a folder with four idx files in MNIST's
layout. Default auto"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command; `run` of its result is the chosen command."""
    top = argparse.ArgumentParser("dlcore", description="Train and use convolutional networks on CPUs.")
    top.add_argument("--version", action="version", version=f"dlcore {__version__}")
    choices = top.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[Any], dict[str, Any]], text: str) -> argparse.ArgumentParser:
        sub = choices.add_parser(run.__name__, help=text, description=text)
        sub.add_argument("--json", action="store_true", help="print one JSON object; other text goes to stderr")
        sub.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads; default: all CPUs given to us")
        sub.set_defaults(run=run, quiet=False)
        return sub

    train = command(commands.train, "Train a small convolutional network and write it to a file.")
    train.add_argument("--data", default="auto", metavar="NAME", help=DATA)
    train.add_argument("--epochs", type=whole(1), default=5, metavar="N", help="default 5")
    train.add_argument("--batch-size", type=whole(1), default=128, metavar="N", help="default 128")
    train.add_argument("--learning-rate", type=number(0), default=0.001, metavar="X", help="of Adam, default 0.001")
    train.add_argument("--loss-threshold", type=number(), metavar="X", help="stop once the training loss is at most X")
    train.add_argument("--seed", type=whole(0, 2**63 - 1), metavar="N", help="the same seed gives the same model")
    train.add_argument(
        "--output",
        type=model_file,
        default="dlcore-model.safetensors",
        metavar="FILE",
        help="model file; the curves go beside it as .png. Default %(default)s",
    )
    train.add_argument("--quiet", action="store_true", help="print only errors and warnings")

    evaluate = command(commands.evaluate, "Loss and metrics of a model on the test set.")
    evaluate.add_argument("model", help="file written by train or by Model.save")
    evaluate.add_argument("--data", default="auto", metavar="NAME", help=DATA)

    predict = command(commands.predict, "Classes of PNG or JPEG images, resized to the model's input.")
    predict.add_argument("model", help="file written by train or by Model.save")
    predict.add_argument("images", nargs="+", metavar="image")
    predict.add_argument(
        "--invert",
        action="store_true",
        help="for dark ink on light paper: MNIST and the built-in digits are light on dark",
    )

    info = command(commands.info, "This build of dlcore, or what a model file holds.")
    info.add_argument("model", nargs="?", help="file written by train or by Model.save")
    info.add_argument("--expand-nested", action="store_true", help="show the layers in models that are layers, too")

    plot = command(commands.plot, "Draw the layers of a model.")
    plot.add_argument("model", help="file written by train or by Model.save")
    plot.add_argument("picture", help="file to write: .png, .svg, .pdf (these need the extra `plot`) or .dot")
    plot.add_argument("--expand-nested", action="store_true", help="draw the layers in models that are layers, too")
    plot.add_argument("--direction", choices=["TB", "BT", "LR", "RL"], default="TB", help="default TB: top to bottom")
    return top


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Reads a whole number of a range."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            expected = f"of at least {low}" if high is None else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"expected a whole number {expected}. Received: {text!r}")
        return value

    return read


def number(above: float = float("-inf")) -> Callable[[str], float]:
    """Reads a finite number above a limit."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not above < value < float("inf"):
            expected = f" above {above:g}" if above > float("-inf") else ""
            raise argparse.ArgumentTypeError(f"expected a number{expected}. Received: {text!r}")
        return value

    return read


def model_file(text: str) -> str:
    """Reads the name of a file to write."""
    try:
        return check_filepath(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
