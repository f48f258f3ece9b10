"""Arrays: all samples at hand, in memory or in a mapped file."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlcore import _random
from dlcore.models.data.base import Checks, Chunk, Data, Spec
from dlcore.models.data.checks import (
    SLAB,
    converted,
    finite,
    numbers,
    parts,
    shape_of,
    shaped,
    share_of,
    warn_of_order,
)
from dlcore.models.data.prefetch import Prefetcher

LARGE = 1 << 26  # bytes of targets in a mapped file that are not converted in one go


def mapped(array: Any) -> bool:
    """Whether it lies in a file that is mapped into memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return getattr(array, "_mmap", None) is not None
        array = array.base
    return False


class Rows:
    """Rows of a mapped file that a program cannot read as they are: converted when a batch needs them.

    Args:
        array: (n, ...).
        convert: called with some of the rows and a name for them.
    """

    def __init__(self, array: np.ndarray, convert: Any, argument: str):
        self.array, self.convert, self.argument = array, convert, argument

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> Any:
        """A slice of Rows, or the converted rows of an index array."""
        if isinstance(rows, slice):
            return Rows(self.array[rows], self.convert, self.argument)
        return self.convert(self.array[rows], self.argument)

    def read(self, low: int, high: int) -> np.ndarray:
        found: np.ndarray = self.convert(self.array[low:high], self.argument)
        return found


class ArrayData(Data):
    """x, y and sample weights as arrays: one, a list of them, or a dict by name of the input or output.

    Everything is checked and converted once, by `bind`. float32 and uint8 inputs are used as they are, int32 inputs
    too; so is a mapped file of those. A mapped file of other numbers is never read whole: its rows are converted batch
    by batch, in a background thread.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int,
        steps: int | None,
        shuffle: bool,
        where: str,
        model: str,
    ):
        super().__init__(batch_size, steps, shuffle, where, model)
        self.given: Any = (x, y, sample_weight)
        self.x: list[Any] = []
        self.y: list[Any] = []
        self.w: list[np.ndarray | None] = []

    def sample_shapes(self) -> list[tuple[int, ...]]:
        x = self.given[0]
        if isinstance(x, dict):
            given = list(x.values())
        elif isinstance(x, (list, tuple)) and x and all(len(shape_of(part)) >= 2 for part in x):
            given = list(x)
        else:
            given = [x]
        arrays = [numbers(part, f"{self.where}x") for part in given]
        for array in arrays:
            if array.ndim < 2:
                raise ValueError(
                    f"{self.model}: expected samples with the batch in front. Received: shape {array.shape}"
                )
        return [array.shape[1:] for array in arrays]

    def sample_names(self) -> list[str] | None:
        return list(self.given[0]) if isinstance(self.given[0], dict) else None

    def bind(self, specs: Sequence[Spec], targets: Sequence[Checks] = (), check_data: bool = False) -> None:
        x, y, w = self.given
        self.specs, self.targets, self.check_data = tuple(specs), tuple(targets), check_data
        names = [spec.name for spec in specs]
        rank = len(specs[0].shape) + 1
        found = parts(x, names, lambda part: len(shape_of(part)) == rank, f"{self.where}x", self.model, "inputs")
        self.x = []
        for spec, part in zip(specs, found, strict=True):
            argument = self._named("x", spec.name, len(specs))
            array = shaped(numbers(part, argument), spec.shape, argument, self.model)
            if not len(array):
                raise ValueError(f"{argument}: expected at least one sample. Received: shape {array.shape}")
            self.x.append(self._ready(array, spec.dtype, argument))
        self.dtypes = tuple(rows_dtype(part, spec) for part, spec in zip(self.x, specs, strict=True))
        n = len(self.x[0])
        self._same_length(self.x, [self._named("x", name, len(names)) for name in names], n)

        outputs = [target.name for target in targets]
        self.y = []
        if targets:
            if y is None:
                raise ValueError(f"{self.where}y: expected targets. Received: y=None")
            found = parts(y, outputs, lambda part: shape_of(part)[:1] == (n,), f"{self.where}y", self.model,
                          "outputs")  # fmt: skip
            arguments = [self._named("y", name, len(outputs)) for name in outputs]
            for target, part, argument in zip(targets, found, arguments, strict=True):
                large = isinstance(part, np.ndarray) and part.nbytes > LARGE
                if large and part.dtype not in (np.float32, np.int32) and mapped(part):
                    target.check(part[:1], argument)
                    self.y.append(Rows(part, target.check, argument))
                else:
                    self.y.append(target.check(part, argument))
            self._same_length(self.y, arguments, n)
        self.w = self._weights(w, n)
        self.weight_shapes = tuple(None if part is None else part.shape[1:] for part in self.w)
        if check_data:
            self._refuse_bad()
        self.samples = n

    def _ready(self, array: np.ndarray, dtype: str, argument: str) -> Any:
        as_it_is = (np.int32,) if dtype == "i" else (np.float32, np.uint8)
        if mapped(array) and not (array.dtype in as_it_is and array.flags.c_contiguous and array.flags.aligned):
            return Rows(array, lambda rows, name: converted(rows, name, dtype), argument)
        return converted(array, argument, dtype)

    def _same_length(self, arrays: list[Any], arguments: list[str], n: int) -> None:
        x = self._named("x", self.specs[0].name, len(self.specs))
        for array, argument in zip(arrays, arguments, strict=True):
            if len(array) != n:
                raise ValueError(
                    f"{x} and {argument.removeprefix(self.where)} must have the same number of samples. "
                    f"Received: {n} and {len(array)}"
                )

    def _refuse_bad(self) -> None:
        arguments = [self._named("x", spec.name, len(self.specs)) for spec in self.specs]
        outputs = [target.name for target in self.targets]
        arguments += [self._named("y", name, len(outputs)) for name in outputs]
        arguments += [self._named("sample_weight", name, len(outputs)) for name in outputs]
        for array, argument in zip([*self.x, *self.y, *self.w], arguments, strict=True):
            if isinstance(array, Rows):
                slab = max(1, SLAB // max(1, array.array[:1].size))
                for at in range(0, len(array), slab):
                    finite(array.read(at, at + slab), argument, at)
            elif array is not None:
                finite(array, argument)

    @property
    def steps(self) -> int | None:
        n = len(self.x[0])
        return -(-n // self.batch_size) if self.steps_per_epoch is None else self.steps_per_epoch

    def split(self, share: float) -> tuple[ArrayData, ArrayData | None]:
        """(what to train on, the last `share` of the samples to validate on, or None). After `bind`.

        Raises:
            ValueError: a share outside [0, 1), or one that leaves nothing on a side.
        """
        n = len(self.x[0])
        at = share_of(share, n)
        if at == n:
            return self, None
        front, back = self._part(slice(0, at)), self._part(slice(at, n))
        back.steps_per_epoch, back.shuffle = None, False
        for target, y in zip(self.targets, self.y, strict=True):
            if not isinstance(y, Rows) and target.classes and not target.positions and np.isfinite(y).all():
                argument = self._named("y", target.name, len(self.targets))
                warn_of_order(target.class_numbers(y), at, share, argument)
        return front, back

    def _part(self, rows: slice) -> ArrayData:
        part = copy.copy(self)
        part.x, part.y = [array[rows] for array in self.x], [array[rows] for array in self.y]
        part.w = [None if array is None else array[rows] for array in self.w]
        part.samples = len(part.x[0])
        return part

    def weigh_classes(self, class_weight: Any) -> None:
        super().weigh_classes(class_weight)
        y = self.y[0]
        y = y.read(0, len(y)) if isinstance(y, Rows) else y
        self._balance(y)
        self.w = [self._by_class(y)]

    def epoch(self, epoch: int, seed: int = 0, start: int = 0) -> Iterator[Chunk]:
        """With `steps_per_epoch`, an epoch goes on where the one before stopped; every pass has an order of its own."""
        if any(isinstance(array, Rows) for array in [*self.x, *self.y]):
            return Prefetcher(self._converted(epoch, seed, start))
        return self._whole(epoch, seed, start)

    def _spans(self, epoch: int, seed: int, start: int) -> Iterator[tuple[int, int, np.ndarray | None]]:
        """(first row, last row + 1, order of the pass) of each pass that the epoch has a part of."""
        n = len(self.x[0])
        a_pass = -(-n // self.batch_size)
        of_epoch = a_pass if self.steps_per_epoch is None else self.steps_per_epoch
        step, end = epoch * of_epoch + start, (epoch + 1) * of_epoch
        while step < end:
            number, first = divmod(step, a_pass)
            count = min(end - step, a_pass - first)
            order = _random.permutation(seed, n, number) if self.shuffle else None
            yield first * self.batch_size, min((first + count) * self.batch_size, n), order
            step += count

    def _whole(self, epoch: int, seed: int, start: int) -> Iterator[Chunk]:
        for low, high, order in self._spans(epoch, seed, start):
            x, y, w = self.x, self.y, self.w
            if order is None:
                x, y = [array[low:high] for array in x], [array[low:high] for array in y]
                w = [None if array is None else array[low:high] for array in w]
            index = None if order is None else order[low:high]
            yield Chunk(x, y, w, index, high - low, self.batch_size)

    def _converted(self, epoch: int, seed: int, start: int) -> Iterator[Chunk]:
        for first, end, order in self._spans(epoch, seed, start):
            for low in range(first, end, self.batch_size):
                high = min(low + self.batch_size, end)
                rows = np.arange(low, high) if order is None else order[low:high]
                x, y = [np.ascontiguousarray(array[rows]) for array in self.x], [array[rows] for array in self.y]
                w = [None if array is None else array[rows] for array in self.w]
                yield Chunk(x, y, w, None, high - low, self.batch_size)


def rows_dtype(array: Any, spec: Spec) -> str:
    """ "f", "B" or "i": what a Feed of `array` is called."""
    dtype = array.array.dtype if isinstance(array, Rows) else array.dtype
    return "i" if spec.dtype == "i" else "B" if dtype == np.uint8 else "f"
