"""Tensor and Op: what a graph is made of.

A Tensor is a shape and a dtype; an Op computes its outputs from its inputs. Shapes are symbolic in two ways: BATCH
stands for the batch size, CHUNKS for the number of slabs that the planner cuts the batch into (partial sums have one
row a slab).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dlcore.kernels.locks import Changes

if TYPE_CHECKING:
    from dlcore.kernels.data import Feed
    from dlcore.kernels.executor import Clock, Step
    from dlcore.kernels.memory import Buffer

BATCH = None
CHUNKS = "chunks"

# Which tasks an op has: SAMPLE ops have one task per sample and may run depth-first, slab by slab, with their
# neighbours; BATCH_WIDE ops need the whole batch, or tasks of their own, and begin a new stage.
SAMPLE, BATCH_WIDE = "sample", "batch"

Shape = tuple[Any, ...]

SLAB_SAMPLES = 6  # of a slab: what suits a dense layer of few outputs, and weights that are large
SLAB_IMAGES = 8  # elsewhere: most batches are a multiple

SPLIT_BATCH = 4  # batches of so many samples feed threads by themselves
SPLIT_TASKS = 16  # of a stage at most, when samples are split
SPLIT_WORK = 250_000  # multiply-adds of a task at least: some 2 us, beside which a barrier is small


def split_evenly(batch: int, work: float, most: int) -> int:
    """For `Op.splits`: a power of two, for samples of `work` multiply-adds that can be cut into `most` parts."""
    splits = 1
    if batch < SPLIT_BATCH:
        while batch * 2 * splits <= SPLIT_TASKS and 2 * splits * SPLIT_WORK <= work and 2 * splits <= most:
            splits *= 2
    return splits


# What Python's operators do with tensors, by name; `ops.broadcast` and `ops.gemm` fill it in.
operators: dict[str, Callable[..., Tensor]] = {}


class Tensor:
    """A value of a graph: `shape` (axis 0 is BATCH for activations), `dtype` one of "f" "i" "B" "d", and the op that
    computes it (None for parameters and totals).

    + - * / ** @ abs and < <= > >= are the ops of those names (`ops.add`, `ops.less`, ...) with other tensors, arrays
    and numbers. == tells whether two are one tensor: they are keys of dictionaries."""

    __array_ufunc__ = None  # array + tensor is the tensor's to compute

    def __init__(self, shape: Sequence[Any], dtype: str = "f", op: Op | None = None, name: str = ""):
        self.shape: Shape = tuple(shape)
        self.dtype = dtype
        self.op = op
        self.name = name
        self.call: Any = None  # of the layer that made it, outside of other layers

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __add__(self, other: Any) -> Tensor:
        return operators["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return operators["add"](self, other)

    def __sub__(self, other: Any) -> Tensor:
        return operators["subtract"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return operators["subtract"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return operators["multiply"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return operators["multiply"](self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return operators["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return operators["divide"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return operators["power"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return operators["power"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return operators["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return operators["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return operators["negative"](self)

    def __abs__(self) -> Tensor:
        return operators["abs"](self)

    def __lt__(self, other: Any) -> Tensor:
        return operators["less"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return operators["less_equal"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return operators["greater"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return operators["greater_equal"](self, other)

    __iter__ = None  # the number of samples is not known

    def __getitem__(self, key: Any) -> Tensor:
        from dlcore.ops.shape import getitem

        return getitem(self, key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or (self.op and type(self.op).__name__)} {self.shape}>"


changes = Changes()  # of what models are bound to: where a weight lies, whether it is trained, which layers a model has
values = Changes()  # of the values of weights: what programs have prepared of them is out of date


class Parameter(Tensor):
    """A weight: its `value` is a float32 array that layers, programs and the user share. It is read-only, since
    programs keep weights in the form that kernels read: `assign` changes it in place, `value = array` by a copy.

    Args:
        shape: sizes, all known.
        value: initial value, copied.
        name: as in "conv2d/kernel".
        trainable: whether training changes it.

    Attributes:
        regularizer: a penalty, function of the parameter, that training adds to the loss, or None.
        constraint: what is done to the value after each update, or None.
        memory: where the value lies, for programs, which may write it.
    """

    def __init__(self, shape: Sequence[int], value: np.ndarray, name: str, trainable: bool = True):
        super().__init__(shape, "f", None, name)
        self.place(np.array(value, np.float32, order="C").reshape(self.shape), None)
        self.trainable = trainable
        self.regularizer: Any = None
        self.constraint: Any = None

    @property
    def value(self) -> np.ndarray:
        """What the weight is now, read-only: float32, not a copy."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self.place(np.array(self._fitting(value), order="C"), None)

    def place(self, memory: np.ndarray, arena: Any) -> None:
        """Let the value lie in `memory`; `arena` is the model's that holds it, when there is one."""
        self.memory, self._value, self.arena = memory, memory.view(), arena
        self._value.flags.writeable = False
        changes.note()
        values.note()

    @property
    def trainable(self) -> bool:
        """Whether training changes it."""
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = trainable
        changes.note()

    def numpy(self) -> np.ndarray:
        """A copy of the value."""
        return self.value.copy()

    def __getstate__(self) -> dict[str, Any]:
        """A copy has memory of its own, in no model's arena."""
        state = {**vars(self), "memory": self.numpy()}
        del state["_value"], state["arena"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.place(np.array(self.memory, order="C"), None)  # a pickle may be mapped read-only

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """np.asarray(weight) is a copy of its value, as Keras' variables give."""
        return self.value.astype(dtype or np.float32)

    def assign(self, value: Any) -> None:
        """Copy `value` in.

        Raises:
            ValueError: another shape.
        """
        self.memory[...] = self._fitting(value)
        values.note()

    def _fitting(self, value: Any) -> np.ndarray:
        array = np.asarray(value, np.float32)
        if array.shape != self.shape:
            raise ValueError(f"{self.name}: expected a value of shape {self.shape}. Received: {array.shape}")
        return array


class Binding(Protocol):
    """What an op sees of the planner when it is bound."""

    batch: int
    clock: Clock  # optimizer steps
    cursor: Clock  # rows of the data
    grain: int  # samples per slab, for SAMPLE ops
    block: int | None  # floats of a parameter that one task updates, None for the kernel's choice
    splits: int  # tasks per sample, more than one where the plan took the op at its word

    def buffer(self, tensor: Tensor) -> Buffer: ...

    def optional(self, tensor: Tensor) -> Buffer | None:
        """None when nobody reads the tensor."""

    def feed(self, name: str) -> Feed: ...


class Op:
    """One operation. A subclass sets its attributes, then calls `super().__init__(inputs, output shapes)`; it defines
    `bind`, and `gradient` when training can pass through it.

    Class attributes:
        axis: SAMPLE or BATCH_WIDE.
        commits: True when a step changes what outlives it (parameters, totals); such ops share the last stage.
        in_place: number of the input that the output may overwrite when nobody else needs it, or None.
        alias: True when the output is the input seen with another shape; such ops have no step.
        block: floats of the output that one task of a BATCH_WIDE op writes, task by task in order; None where tasks
            are cut otherwise. The update of a parameter may then follow its gradient block by block.
        prepares: True when the op only brings parameters (or what others prepared of them) into the form that others
            read: it runs when they changed, not at each step. With one input, `block` is then that of the input.
        updates: the parameter that a step changes, or None.
        follows: the parameter that the op reads or changes after its update, in one task with it, or None.
        cheap: True when the op is one pass over what it reads, no slower than fetching its output from memory: the
            backward pass may compute it again.
        slab: samples to a slab that suit a SAMPLE op whose tiles have samples for rows, 0 for all others.
        constant: True when small changes of the inputs do not change the outputs: gradients end here.
    """

    axis = SAMPLE
    commits = False
    in_place: int | None = None
    alias = False
    block: int | None = None
    prepares = False
    updates: Parameter | None = None
    follows: Parameter | None = None
    cheap = False
    constant = False
    slab = 0

    def __init__(self, inputs: Sequence[Tensor], *outputs: tuple[Sequence[Any], str] | Sequence[Any]):
        self.inputs = list(inputs)
        self.outputs = []
        for output in outputs:
            shape, dtype = (
                output if len(output) == 2 and isinstance(output[1], str) and output[1] in "fiBd" else (output, "f")
            )
            self.outputs.append(Tensor(shape, dtype, self))
        if any(tensor.shape[:1] not in ((BATCH,), (CHUNKS,)) for tensor in self.outputs):  # made of parameters
            self.axis, self.in_place = BATCH_WIDE, None

    @property
    def output(self) -> Tensor:
        """The first output, which of most ops is the only one."""
        return self.outputs[0]

    def gradient(self, grads: list[Tensor | None], wanted: list[bool]) -> list[Tensor | None]:
        """Gradients of the inputs from those of the outputs (None: no path). Only `wanted` ones need to be built."""
        raise TypeError(f"{type(self).__name__} has no gradient")

    def bind(self, at: Binding) -> Step:
        """The step of a program that computes the outputs, by a kernel."""
        raise TypeError(f"{type(self).__name__} has no kernel")

    def splits(self, batch: int) -> int:
        """Tasks per sample of a SAMPLE op that is to run as a stage of its own, since the batch has too few samples to
        feed threads; 1 for all others. From shapes only, never from the number of threads."""
        return 1

    def grain(self, tasks: int) -> int:
        """Tasks per chunk of a BATCH_WIDE op: from shapes only, never from the number of threads."""
        return max(1, tasks // 64)
