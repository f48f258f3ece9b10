"""Reading the four MNIST files with NumPy alone, for the peers; dlcore has its own reader."""

import gzip
import os
import pathlib

import numpy as np


def read():
    """(training images, labels, test images, labels) below DLCORE_DATA_HOME: uint8, images (n, 28, 28, 1)."""

    def array(name, header):
        with gzip.open(pathlib.Path(os.environ.get("DLCORE_DATA_HOME", ""), "mnist", name)) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    arrays = []
    for part in ("train", "t10k"):
        arrays.append(array(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1))
        arrays.append(array(f"{part}-labels-idx1-ubyte.gz", 8))
    return arrays
