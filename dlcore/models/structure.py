"""What a model consists of, for people: layers and ops, and what each call of them reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dlcore.layers.base import Layer
from dlcore.layers.checks import shown
from dlcore.layers.shape import InputLayer


class Source(NamedTuple):
    """A tensor: output number `output` of call number `call` of a node."""

    node: Node
    call: int
    output: int


class Node:
    """A layer, or an op between layers, with all its calls in one model.

    Attributes:
        layer: the layer; of an op, None.
        name: of the layer, or of the op.
        kind: the name of the class.
        shape: of the output of the last call, batch in front, or a list or dict of shapes; None while it is unknown.
        calls: what each call reads; calls of an input read nothing.
    """

    def __init__(self, layer: Layer | None, name: str, kind: str, shape: Any):
        self.layer, self.name, self.kind, self.shape = layer, name, kind, shape
        self.calls: list[list[Source]] = []

    @classmethod
    def of(cls, layer: Layer) -> Node:
        """The node of a layer, without calls."""
        shape = (None, *(layer.given_input_shape or ())) if isinstance(layer, InputLayer) else layer.output_shape
        return cls(layer, layer.name, type(layer).__name__, shape)

    @property
    def dtype(self) -> str:
        """Of the output."""
        whole = isinstance(self.layer, InputLayer) and self.layer.kind == "i"
        return "int32" if whole else "float32"

    @property
    def shapes(self) -> list[str]:
        """Each shape of the output in words."""
        return [shape_text(shape) for shape in leaves(self.shape)]


class Structure(NamedTuple):
    """The nodes of a model in the order of its summary.

    Attributes:
        nodes: each after those that it reads from.
        inputs: the nodes that read the inputs, or are them; none where that is not known.
        outputs: the tensors that the model gives; none where that is not known.
        chain: whether each node reads the one before it and nothing else.
    """

    nodes: list[Node]
    inputs: list[Node]
    outputs: list[Source]
    chain: bool


def stack(layers: Sequence[Layer], connected: bool) -> Structure:
    """Layers one after the other; not `connected` where only their own model knows what they read."""
    nodes = [Node.of(layer) for layer in layers]
    if not connected or not nodes:
        return Structure(nodes, [], [], True)
    for before, node in zip([None, *nodes], nodes, strict=False):
        node.calls.append([Source(before, 0, 0)] if before else [])
    return Structure(nodes, nodes[:1], [Source(nodes[-1], 0, 0)], True)


def leaves(shape: Any) -> Iterator[Sequence[Any]]:
    """The shapes in nested lists, tuples and dicts of them."""
    if isinstance(shape, dict):
        shape = list(shape.values())
    if isinstance(shape, (list, tuple)) and any(isinstance(part, (list, tuple, dict)) for part in shape):
        for part in shape:
            yield from leaves(part)
    elif shape is not None:
        yield shape


def shape_text(shape: Any) -> str:
    """A shape, or nested lists, tuples and dicts of them, as Keras prints it; "?" for None."""
    if shape is None:
        return "?"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{key}: {shape_text(part)}" for key, part in shape.items()) + "}"
    if isinstance(shape, (list, tuple)) and any(isinstance(part, (list, tuple, dict)) for part in shape):
        if len(shape) == 1:
            return shape_text(shape[0])
        inner = ", ".join(shape_text(part) for part in shape)
        return f"[{inner}]" if isinstance(shape, list) else f"({inner})"
    sizes = shown(shape)[1:-1].rstrip(",")
    return f"({sizes})"
