"""The data sets that commands know by name."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from dlcore.datasets import DataError, digits28, load_idx_directory, mnist

Split = tuple[Any, Any]


class Data(NamedTuple):
    """Images uint8 (n, height, width) and labels uint8 (n,), to train on and to test."""

    name: str
    train: Split
    test: Split

    @property
    def classes(self) -> int:
        return max(2, int(max(self.train[1].max(), self.test[1].max())) + 1)


def load(choice: str, quiet: bool = False) -> Data:
    """The data set called auto, mnist or digits28, or the one in a folder.

    Raises:
        DataError: it cannot be had.
    """
    if choice in ("auto", "mnist"):
        try:
            return Data("mnist", *mnist.load_data())
        except DataError as error:
            if choice == "mnist":
                raise
            reason = str(error).splitlines()[0].removesuffix(" Tried:")
        print(
            f"dlcore: WARNING: THIS IS NOT MNIST. The built-in digits (digits28) are used instead: their accuracies "
            f"cannot be compared with MNIST's. {reason} (--data mnist tells more)",
            file=sys.stderr,
        )
    if choice in ("auto", "digits28"):
        return Data("digits28", *digits28.load_data(verbose=not quiet))
    return Data(choice, *load_idx_directory(choice))
