"""What happens around the calls of layers: which layer made which tensors, and what layers leave behind beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dlcore.ops.base import Op, Tensor
from dlcore.ops.shape import Reshape

if TYPE_CHECKING:
    from dlcore.layers.base import Layer


class Call:
    """One call of a layer on symbolic tensors: an edge of the graph of a functional model.

    Attributes:
        layer: what was called.
        arguments: (x, args, kwargs) as given.
        outputs: what came out; each of these tensors has this call as its `call`, unless the call does not `own` them.
    """

    def __init__(self, layer: Layer, arguments: tuple[Any, Any, Any], outputs: Any, own: bool = True):
        self.layer, self.arguments, self.outputs = layer, arguments, outputs
        for tensor in flat(outputs) if own else ():
            tensor.call = self

    @property
    def inputs(self) -> Any:
        return self.arguments[0]


class Trace:
    """A graph in the making.

    Attributes:
        training: what layers inside are told if nobody says otherwise.
        updates: ops that run at the end of each training step, such as those of moving statistics.
        losses: penalties that are added to the loss.
        draws: how often each layer was used that draws random numbers.
    """

    def __init__(self, training: bool, outer: Trace | None):
        self.training = training
        self.updates: list[Op] = outer.updates if outer else []
        self.losses: list[Tensor] = outer.losses if outer else []
        self.draws: dict[Layer, int] = outer.draws if outer else {}


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


_limit: ContextVar[list[int] | None] = ContextVar("limit", default=None)


@contextmanager
def limited(calls: int) -> Iterator[None]:
    """Within the block, no more than so many calls of layers: descriptions from elsewhere cannot ask for endless work.

    Raises:
        ValueError: there are more.
    """
    token = _limit.set([calls])
    try:
        yield
    finally:
        _limit.reset(token)


def count_call() -> None:
    """One more call of a layer."""
    left = _limit.get()
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise ValueError("the layers of this model call each other too often")


def current() -> Trace | None:
    """The trace that the caller works in."""
    return _current.get()


@contextmanager
def tracing(training: bool, outer: Trace | None = None) -> Iterator[Trace]:
    """Within the block, layers add to this trace, or through it to `outer`."""
    trace = Trace(training, outer)
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


def flat(structure: Any, none: bool = False) -> list[Any]:
    """The values in nested lists, tuples and dicts, in order; None counts as nothing, or with `none` as a value."""
    if isinstance(structure, (list, tuple)):
        return [value for part in structure for value in flat(part, none)]
    if isinstance(structure, dict):
        return [value for part in structure.values() for value in flat(part, none)]
    return [] if structure is None and not none else [structure]


def mapped(function: Callable[[Any], Any], structure: Any, leaf: bool = False) -> Any:
    """The same structure with `function` of each tensor in it; with `leaf`, of each value."""
    if isinstance(structure, (list, tuple)):
        return type(structure)([mapped(function, part, leaf) for part in structure])
    if isinstance(structure, dict):
        return {key: mapped(function, part, leaf) for key, part in structure.items()}
    return function(structure) if structure is not None and (leaf or isinstance(structure, Tensor)) else structure


def identity(x: Tensor) -> Tensor:
    """The same values under another name: what a layer gives that does nothing."""
    same = Reshape(x, x.shape).output
    same.dtype = x.dtype
    return same
