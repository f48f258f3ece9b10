"""The data side of fit, evaluate and predict: what users give becomes batches that a program reads.

`adapt` chooses the adapter, `Data.bind` checks and converts against the model, `Data.epoch` gives the batches of one
epoch as `Chunk`s: rows of C-contiguous arrays that a Feed takes as they are.
"""

from dlcore.models.data.adapt import adapt, validation
from dlcore.models.data.arrays import ArrayData
from dlcore.models.data.base import Chunk, Data, Spec
from dlcore.models.data.checks import inputs, whole
from dlcore.models.data.indexed import Indexed
from dlcore.models.data.iterables import Iterables
from dlcore.models.data.prefetch import Prefetcher
from dlcore.models.data.streams import Stream

__all__ = [
    "ArrayData",
    "Chunk",
    "Data",
    "Indexed",
    "Iterables",
    "Prefetcher",
    "Spec",
    "Stream",
    "adapt",
    "inputs",
    "validation",
    "whole",
]
