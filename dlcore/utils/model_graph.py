"""A model as boxes and arrows: what pictures of it and DOT text have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

DIRECTIONS = ("TB", "BT", "LR", "RL")
FILLS = {  # by the module that a layer's class comes from
    "activations": "#fde8c8", "augmentation": "#f3e3d3", "concatenate": "#e3d9f2", "conv": "#cfe3f7",
    "dense": "#d3efd6", "depthwise": "#cfe3f7", "embedding": "#d3efd6", "functional": "#f4f4f4",
    "merging": "#e3d9f2", "normalization": "#dff3f1", "pooling": "#f9d5d3", "random": "#f3e3d3",
    "sequential": "#f4f4f4", "transpose": "#cfe3f7",
}  # fmt: skip
PLAIN = "#eeeeee"
GREEN, RED, INK = "#1f7a34", "#b3261e", "#202124"


class Show(NamedTuple):
    """What boxes say beside the class of the layer."""

    shapes: bool = False
    dtype: bool = False
    names: bool = False
    activations: bool = False
    trainable: bool = False


class Row(NamedTuple):
    """A line of text in a box."""

    text: str
    color: str = INK


class Box:
    """A layer: a title, rows under it, a colour; or a model in the model, which has a graph of its own inside."""

    def __init__(self, title: str, rows: list[Row], fill: str, inner: Graph | None = None):
        self.title, self.rows, self.fill, self.inner = title, rows, fill, inner


class End(NamedTuple):
    """Where an arrow leaves or arrives: a box and, of one with a graph inside, the number of its output or input."""

    box: Box
    port: int = 0


class Graph(NamedTuple):
    """Boxes, arrows between them, and the ends that lead in from outside and out again."""

    boxes: list[Box]
    arrows: list[tuple[End, End]]
    inputs: list[End]
    outputs: list[End]


def graph_of(model: Any, show: Show, expand: bool) -> Graph:
    """The graph of a built model; a model that does not know how its layers are connected is one box.

    Raises:
        ValueError: it is not built.
    """
    if not model.built:
        raise ValueError(
            f"{model.name}: expected a model with weights, to draw it. Call build, or call the model on data, before"
        )
    nodes, inputs, outputs, _ = model.structure()
    if not outputs:
        box = Box(_title(model.name, type(model).__name__, show), [], FILLS["functional"])
        return Graph([box], [], [End(box)], [End(box)])
    boxes = {}
    for node in nodes:
        reads = [source.node.shapes[source.output] for source in (node.calls[-1] if node.calls else ())]
        if not reads and node.kind != "InputLayer" and node in inputs:
            reads = [str(model.input_shape)]
        rows = _rows(node, reads, show)
        inner = None
        if expand and node.layer is not None and hasattr(node.layer, "structure") and node.layer.structure().outputs:
            inner = graph_of(node.layer, show, expand)
        module = type(node.layer).__module__ if node.layer is not None else ""
        boxes[node] = Box(_title(node.name, node.kind, show), rows, _fill(module), inner)

    def end(node: Any, port: int) -> End:
        box = boxes[node]
        return End(box, port if box.inner else 0)

    arrows = dict.fromkeys(
        (end(source.node, source.output), end(node, i))
        for node in nodes for call in node.calls for i, source in enumerate(call)
    )  # fmt: skip
    return Graph(list(boxes.values()), list(arrows), [end(node, 0) for node in inputs],
                 [end(source.node, source.output) for source in outputs])  # fmt: skip


def _fill(module: str) -> str:
    parts = module.split(".")
    return FILLS.get(parts[-1], PLAIN) if parts[0] == "dlcore" else PLAIN


def _title(name: str, kind: str, show: Show) -> str:
    return f"{name} ({kind})" if show.names else kind


def _rows(node: Any, reads: list[str], show: Show) -> list[Row]:
    rows = []
    activation = getattr(node.layer, "activation", None)
    if show.activations and activation is not None:
        rows.append(Row(f"Activation: {activation if isinstance(activation, str) else _called(activation)}"))
    if show.shapes:
        if node.kind != "InputLayer":
            rows.append(Row(f"Input shape: {_joined(reads)}"))
        rows.append(Row(f"Output shape: {_joined(node.shapes)}"))
    if show.dtype:
        rows.append(Row(f"Output dtype: {node.dtype}"))
    if show.trainable and node.layer is not None and node.layer.weights:
        rows.append(Row("Trainable", GREEN) if node.layer.trainable else Row("Non-trainable", RED))
    return rows


def _called(activation: Any) -> str:
    return str(getattr(activation, "name", None) or getattr(activation, "__name__", None) or type(activation).__name__)


def _joined(shapes: list[str]) -> str:
    return "?" if not shapes else shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


# -- as text


def dot_text(graph: Graph, rankdir: str, dpi: int, splines: str, name: str) -> str:
    """The graph in the language of Graphviz."""
    numbers: dict[Box, int] = {}
    arrows: list[tuple[Box, Box]] = []

    def inside(part: Graph, indent: str) -> Iterator[str]:
        for box in part.boxes:
            numbers[box] = len(numbers)
            if box.inner is None:
                yield f"{indent}{numbers[box]} [label=<{_label(box)}>];"
                continue
            yield f"{indent}subgraph cluster_{numbers[box]} {{"
            yield f'{indent}  label={_quoted(box.title)}; labeljust="l"; style="dashed";'
            yield from inside(box.inner, indent + "  ")
            yield f"{indent}}}"
        arrows.extend((_last(source), _first(target)) for source, target in part.arrows)

    body = list(inside(graph, "  "))
    return "\n".join([
        f"digraph {_quoted(name)} {{",
        f"  graph [rankdir={rankdir}, dpi={dpi}, splines={_quoted(splines)}, concentrate=true];",
        '  node [shape=plain, fontname="Helvetica"];',
        *body,
        *dict.fromkeys(f"  {numbers[a]} -> {numbers[b]};" for a, b in arrows),
        "}\n",
    ])  # fmt: skip


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(box: Box) -> str:
    from html import escape  # who draws nothing need not wait for its tables

    cells = [f'<tr><td bgcolor="{box.fill}"><b>{escape(box.title)}</b></td></tr>']
    cells += [f'<tr><td><font color="{row.color}">{escape(row.text)}</font></td></tr>' for row in box.rows]
    return f'<table border="0" cellborder="1" cellspacing="0" cellpadding="8">{"".join(cells)}</table>'


def _first(end: End) -> Box:
    """The innermost box that an arrow arrives at."""
    while end.box.inner is not None:
        end = end.box.inner.inputs[min(end.port, len(end.box.inner.inputs) - 1)]
    return end.box


def _last(end: End) -> Box:
    """The innermost box that an arrow leaves from."""
    while end.box.inner is not None:
        end = end.box.inner.outputs[end.port]
    return end.box
