"""Data sets: `mnist`, from files or the network; `digits28`, drawn here without one; and the reader of idx files."""

from . import digits28, mnist
from ._files import DataError, cache_dir
from .idx import load_idx_directory, read_idx

__all__ = ["DataError", "cache_dir", "digits28", "load_idx_directory", "mnist", "read_idx"]
