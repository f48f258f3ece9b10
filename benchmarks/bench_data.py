"""Gathering a batch of 128 images in shuffled order, and storing one; bytes read and written."""

import numpy as np
import pytest
import shapes

from dlcore.kernels import data
from dlcore.kernels.executor import Clock

CASES = pytest.mark.parametrize("shape", shapes.IMAGES.values(), ids=shapes.IMAGES)
BATCH = 128


@CASES
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def bench_gather(shape, dtype, measure):
    images, size = np.ones(shape, dtype), int(np.prod(shape[1:]))
    feed, y = data.Feed(images.dtype.char, size), np.empty((BATCH, *shape[1:]), np.float32)
    feed.set(images, np.random.default_rng(0).permutation(shape[0]).astype(np.int64))
    measure(data.gather(feed, Clock(), y, 1 / 255), nbytes=BATCH * size * (images.itemsize + 4))


@CASES
def bench_store(shape, measure, random):
    x, size = random(BATCH, *shape[1:]), int(np.prod(shape[1:]))
    feed = data.Feed("f", size)
    feed.set(np.zeros_like(x), write=True)
    measure(data.store(x, feed, Clock()), nbytes=2 * x.nbytes)
