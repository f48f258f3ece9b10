"""What every adapter of data has in common, and what it gives: chunks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from dlcore.models.data.checks import balanced, class_weights, weights, weights_by_class


@dataclass(frozen=True)
class Spec:
    """One input of a model.

    Attributes:
        name: as in Input(name=...).
        shape: of one sample.
        dtype: "f" is fed float32 or uint8, "i" int32.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "f"


class Checks(Protocol):
    """What data asks about the targets of one output of a model.

    Attributes:
        classes: how many classes they tell apart, None where they are no classes.
        ignored: the class that does not count, None where all do.
        positions: shape of the class numbers of one sample.
    """

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> int | None: ...

    @property
    def ignored(self) -> int | None: ...

    @property
    def positions(self) -> tuple[int, ...]: ...

    def check(self, y: Any, argument: str, /) -> np.ndarray:
        """Targets (n, ...) as a C-contiguous array that the loss reads.

        Raises:
            ValueError: they do not fit.
        """

    def class_numbers(self, y: np.ndarray, /) -> np.ndarray:
        """Those of checked targets, whole numbers (n, *positions)."""


class Chunk(NamedTuple):
    """Rows for several steps of `batch` rows each; the last step may have fewer.

    Attributes:
        x, y, w: arrays of the inputs, the targets, and the sample weights (None where there are none).
        order: int64 numbers of the rows, in order, or None: all rows of the arrays, in order.
        rows: how many rows that is.
        batch: rows a step.
    """

    x: list[np.ndarray]
    y: list[np.ndarray]
    w: list[np.ndarray | None]
    order: np.ndarray | None
    rows: int
    batch: int

    @property
    def steps(self) -> int:
        return -(-self.rows // self.batch)

    def batches(self) -> Iterator[Chunk]:
        """The inputs of one step after the other. The rows must be all of the arrays, in order."""
        for low in range(0, self.rows, self.batch):
            x = [array[low : low + self.batch] for array in self.x]
            yield Chunk(x, [], [], None, len(x[0]), self.batch)


class Data:
    """Base of the adapters.

    Attributes, after `bind`:
        dtypes: "f", "B" or "i" for each input: what its arrays are in every chunk.
        weight_shapes: for each output the shape of one sample's weight, () or (positions, ...), None without weights.
        samples: of one pass, None where nobody knows.
    """

    dtypes: tuple[str, ...]
    weight_shapes: tuple[tuple[int, ...] | None, ...]
    samples: int | None

    def __init__(self, batch_size: int, steps: int | None, shuffle: bool, where: str, model: str):
        self.batch_size, self.steps_per_epoch, self.shuffle = batch_size, steps, shuffle
        self.where, self.model = where, model
        self.specs: tuple[Spec, ...] = ()
        self.targets: tuple[Checks, ...] = ()
        self.check_data = False
        self.class_weight: dict[int, float] | None = None
        self.samples = None

    @property
    def steps(self) -> int | None:
        """Steps of one epoch, after `bind`; None where only the end of the data will tell."""
        return self.steps_per_epoch

    def sample_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one sample, for each array of x in the user's order: for a model without input shape."""
        raise TypeError(f"{type(self).__name__} must define sample_shapes()")

    def sample_names(self) -> list[str] | None:
        """Names of the inputs where x is a dict of them."""
        return None

    def bind(self, specs: Sequence[Spec], targets: Sequence[Checks] = (), check_data: bool = False) -> None:
        """Check the data against a model's inputs and outputs. Without targets, those in the data are left alone.

        Args:
            check_data: whether NaN and infinity in x, y or the weights are an error.

        Raises:
            ValueError: a shape, a kind of numbers, a missing target; the message names the array.
        """
        raise TypeError(f"{type(self).__name__} must define bind(specs, targets, check_data)")

    def weigh_classes(self, class_weight: Any) -> None:
        """Weights of the samples by their class, as `fit(class_weight=...)` wants them. After `bind`, and after a part
        for validation was split off.

        Raises:
            ValueError: not {class: number} or "balanced", several outputs, or sample weights too.
        """
        if len(self.targets) != 1:
            raise ValueError(
                f"{self.model}: class_weight is for models with one output. Received: {len(self.targets)} outputs"
            )
        if self.weight_shapes[0] is not None:
            raise ValueError(f"{self.model}: class_weight and sample_weight cannot be given at the same time")
        given = class_weights(class_weight, self.model)
        target = self.targets[0]
        classes = target.classes
        if classes is not None and (unknown := [c for c in given if not 0 <= c < classes]):
            raise ValueError(
                f"{self.model}: class_weight expects class numbers from 0 to {classes - 1}, as the model has {classes} "
                f"classes. Received: {unknown}"
            )
        self.class_weight = given
        self.weight_shapes = (target.positions,)

    def epoch(self, epoch: int, seed: int = 0, start: int = 0) -> Iterator[Chunk]:
        """The chunks of one epoch, in an order that depends on `seed` and `epoch` alone. It has a `close`, which
        ends the thread behind it: `with contextlib.closing(data.epoch(...)) as chunks`.

        Args:
            start: steps of this epoch to leave out, because they were done before.
        """
        raise TypeError(f"{type(self).__name__} must define epoch(epoch, seed, start)")

    def _named(self, array: str, name: str, count: int, batch: str = "") -> str:
        """How a message calls an array: "x", "x['left']", "x of batch 3"."""
        return f"{self.where}{array}{f'[{name!r}]' if count > 1 else ''}{batch}"

    def _weights(self, given: Any, rows: int, batch: str = "") -> list[np.ndarray | None]:
        """Sample weights of each output; one array counts for all of them."""
        outputs = [target.name for target in self.targets]
        if given is None:
            return [None] * len(outputs)
        if isinstance(given, dict):
            unknown = [name for name in given if name not in outputs]
            if unknown:
                raise ValueError(
                    f"{self.where}sample_weight{batch}: {self.model} has the outputs {outputs}. Received: {unknown}"
                )
            parts = [given.get(name) for name in outputs]
        elif isinstance(given, (list, tuple)) and len(outputs) > 1:
            if len(given) != len(outputs):
                raise ValueError(
                    f"{self.where}sample_weight{batch}: expected {len(outputs)} arrays, one for each of {outputs}, "
                    f"or one for all. Received: {len(given)}"
                )
            parts = list(given)
        else:
            parts = [given] * len(outputs)
        return [
            None if part is None else weights(part, rows, self._named("sample_weight", name, len(outputs), batch))
            for name, part in zip(outputs, parts, strict=True)
        ]

    def _by_class(self, y: np.ndarray) -> np.ndarray:
        """The weights of checked targets by their class."""
        return weights_by_class(self.targets[0].class_numbers(y), self.class_weight or {})

    def _balance(self, y: np.ndarray) -> None:
        """Make numbers of "balanced", which only all targets together tell."""
        if self.class_weight is not None and not self.class_weight:
            self.class_weight = balanced(self.targets[0].class_numbers(y), self.targets[0].ignored)
