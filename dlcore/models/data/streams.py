"""Data that comes batch by batch, or sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dlcore.models.data.base import Checks, Chunk, Data, Spec
from dlcore.models.data.checks import finite, inputs, numbers, parts, shape_of
from dlcore.models.data.prefetch import Prefetcher


def unpacked(item: Any, argument: str) -> tuple[Any, Any, Any]:
    """(x, y, weights) of a batch or a sample, None for what it lacks. PyTorch's loaders give lists."""
    if not isinstance(item, (tuple, list)):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise ValueError(f"{argument}: expected x, (x, y) or (x, y, sample_weight). Received: {len(item)} parts")
    x, y, w = (*item, None, None)[:3]
    return x, y, w


def leaves(x: Any) -> list[Any]:
    """The arrays of x, in the user's order."""
    if isinstance(x, Mapping):
        return list(x.values())
    if isinstance(x, (list, tuple)) and x and all(shape_of(part) for part in x):
        return list(x)
    return [x]


def collated(values: Sequence[Any], argument: str) -> Any:
    """Samples as one batch: arrays are stacked, inside lists and dicts too."""
    first = values[0]
    if isinstance(first, Mapping):
        return {key: collated([value[key] for value in values], f"{argument}[{key!r}]") for key in first}
    if isinstance(first, (list, tuple)) and first and all(shape_of(part) for part in first):
        return [collated([value[i] for value in values], f"{argument}[{i}]") for i in range(len(first))]
    arrays = [numbers(value, argument) for value in values]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"{argument}: samples must have one shape. Received: {arrays[0].shape} first, "
                f"{array.shape} as number {i}"
            )
    return np.stack(arrays)


def is_sample(x: Any, specs: Sequence[Spec]) -> bool:
    """Whether x is one sample and not a batch, by the rank of its arrays."""
    found = list(x.values()) if isinstance(x, Mapping) else list(x) if len(specs) > 1 else [x]
    if len(specs) == 1 and isinstance(x, (list, tuple)) and len(x) == 1 and len(shape_of(x[0])) >= len(specs[0].shape):
        found = [x[0]]
    for part, spec in zip(found, specs, strict=False):
        shape = shape_of(part)
        if shape == spec.shape or (*shape, 1) == spec.shape:
            return True
        if shape[1:] == spec.shape or (*shape[1:], 1) == spec.shape:
            return False
        if len(shape) != len(spec.shape):
            return len(shape) < len(spec.shape)
    return bool(found) and len(shape_of(found[0])) <= len(specs[0].shape)


class Stream(Data):
    """Base: takes one item after the other and turns it into a checked Chunk, in a background thread.

    The arrays of a chunk are never the user's own memory, which may change while the chunk waits for its turn.
    """

    def __init__(self, source: Any, batch_size: int, steps: int | None, shuffle: bool, where: str, model: str):
        super().__init__(batch_size, steps, shuffle, where, model)
        self.source = source
        self.of_samples = False

    def peek(self) -> Any:
        """The first item, which the first epoch gets all the same."""
        raise TypeError(f"{type(self).__name__} must define peek()")

    def items(self, epoch: int, seed: int, start: int) -> Iterator[tuple[str, Any]]:
        """(what a message calls it, item) of an epoch."""
        raise TypeError(f"{type(self).__name__} must define items(epoch, seed, start)")

    def sample_shapes(self) -> list[tuple[int, ...]]:
        x, y, _ = unpacked(self.peek(), f"{self.where}batch 0")
        arrays = [numbers(part, f"{self.where}x") for part in leaves(x)]
        one = not self._always_batches() and y is not None and not shape_of(next(iter(leaves(y)), 0))
        for array in arrays:
            if array.ndim < 2 - one:
                raise ValueError(
                    f"{self.model}: expected samples with the batch in front. Received: shape {array.shape}"
                )
        return [array.shape if one else array.shape[1:] for array in arrays]

    def sample_names(self) -> list[str] | None:
        x, _, _ = unpacked(self.peek(), f"{self.where}batch 0")
        return list(x) if isinstance(x, Mapping) else None

    def _always_batches(self) -> bool:
        return False

    def bind(self, specs: Sequence[Spec], targets: Sequence[Checks] = (), check_data: bool = False) -> None:
        self.specs, self.targets, self.check_data = tuple(specs), tuple(targets), check_data
        item = self.peek()
        self.of_samples = not self._always_batches() and is_sample(unpacked(item, "")[0], specs)
        if self.of_samples:
            item = self._collate([item], "batch 0")
        self.dtypes = ()
        self.weight_shapes = ()
        self.check_data = False  # the first batch is checked when its turn comes
        chunk = self._chunk(item, "batch 0")
        self.check_data = check_data
        self.dtypes = tuple("B" if a.dtype == np.uint8 else a.dtype.char for a in chunk.x)
        self.weight_shapes = tuple(None if w is None else w.shape[1:] for w in chunk.w)
        self._look_at_length()

    def _look_at_length(self) -> None:
        """What the source's length says about steps and samples, if it has one."""

    def weigh_classes(self, class_weight: Any) -> None:
        super().weigh_classes(class_weight)
        if not self.class_weight:
            raise ValueError(
                f"{self.model}: class_weight='balanced' needs all targets at hand, as arrays. "
                f"Received: {type(self.source).__name__}"
            )

    def epoch(self, epoch: int, seed: int = 0, start: int = 0) -> Iterator[Chunk]:
        self._hook("on_epoch_begin")
        chunks = Prefetcher(self._chunks(epoch, seed, start))
        try:
            yield from chunks
        finally:
            chunks.close()
        self._hook("on_epoch_end")

    def _hook(self, name: str) -> None:
        hook = getattr(self.source, name, None)
        if callable(hook):
            hook()

    def _chunks(self, epoch: int, seed: int, start: int) -> Iterator[Chunk]:
        for name, item in self.items(epoch, seed, start):
            yield self._chunk(item, name)

    def _collate(self, items: Sequence[Any], name: str) -> tuple[Any, ...]:
        """A batch of samples."""
        whole = [unpacked(item, f"{self.where}{name}") for item in items]
        columns = list(zip(*whole, strict=True))
        return tuple(
            None if column[0] is None else collated(column, f"{self.where}{argument} of {name}")
            for argument, column in zip(("x", "y", "sample_weight"), columns, strict=True)
        )

    def _own(self, array: np.ndarray, given: Any) -> np.ndarray:
        """`array`, or a copy where it may be the user's memory."""
        if self.of_samples:
            return array  # they were stacked here
        return array.copy() if np.may_share_memory(array, numbers(given, "")) else array

    def _chunk(self, item: Any, name: str) -> Chunk:
        of = f" of {name}"
        given, y, w = unpacked(item, f"{self.where}{name}")
        names, many = [spec.name for spec in self.specs], len(self.specs)
        rank = len(self.specs[0].shape) + 1
        found = parts(given, names, lambda p: len(shape_of(p)) == rank, f"{self.where}x{of}", self.model, "inputs")
        x: list[np.ndarray] = []
        for i, (spec, part) in enumerate(zip(self.specs, found, strict=True)):
            argument = self._named("x", spec.name, many, of)
            array = inputs(part, spec.shape, argument, self.model, spec.dtype)
            if self.dtypes and self.dtypes[i] != array.dtype.char:
                if self.dtypes[i] == "B":
                    raise ValueError(
                        f"{argument}: expected uint8, as in the first batch. Received: {np.asarray(part).dtype}"
                    )
                array = array.astype(np.float32)
            x.append(self._own(array, part))
        n = len(x[0])
        outputs = [target.name for target in self.targets]
        targets: list[np.ndarray] = []
        weights: list[np.ndarray | None] = []
        if self.targets:
            if y is None:
                raise ValueError(f"{self.where}{name}: expected (x, y), but there is no y")
            found = parts(y, outputs, lambda p: shape_of(p)[:1] == (n,), f"{self.where}y{of}", self.model,
                          "outputs")  # fmt: skip
            for target, part in zip(self.targets, found, strict=True):
                argument = self._named("y", target.name, len(outputs), of)
                try:
                    targets.append(self._own(target.check(numbers(part, argument), argument), part))
                except ValueError as error:
                    if name in str(error):
                        raise
                    raise ValueError(f"{self.where}{name}: {error}") from error
            weights = [None if a is None else np.array(a) for a in self._weights(w, n, of)]
            if self.class_weight:
                weights = [self._by_class(targets[0])]
            shapes = tuple(None if part is None else part.shape[1:] for part in weights)
            if self.weight_shapes and shapes != self.weight_shapes:
                raise ValueError(
                    f"{self.where}sample_weight{of}: expected weights as in the first batch, of shapes "
                    f"{list(self.weight_shapes)} a sample. Received: {list(shapes)}"
                )
        arguments = [self._named("x", input_, many, of) for input_ in names]
        arguments += [self._named("y", output, len(outputs), of) for output in outputs]
        for array, argument in zip([*x, *targets], arguments, strict=True):
            if len(array) != n:
                raise ValueError(
                    f"{arguments[0]} and {argument.removeprefix(self.where)} must have the same number of samples. "
                    f"Received: {n} and {len(array)}"
                )
            if self.check_data:
                finite(array, argument)
        return Chunk(x, targets, weights, None, n, n)
