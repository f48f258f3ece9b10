"""Pictures of models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from dlcore import _extras
from dlcore.utils.layout import DOWN, Drawing, Piece, layout
from dlcore.utils.model_graph import DIRECTIONS, INK, Box, Graph, Show, dot_text, graph_of

TITLE, TEXT = 11.0, 9.0  # font sizes in points
LINE = 1.45  # height of a line of text, in font sizes
SIDE, TOP = 10.0, 6.0  # from text to the edge of a box
AROUND = 14.0  # from boxes to the frame of the model that they are in
MARGIN = 10.0
TIP = (3.5, 8.0)  # half the width and the length of an arrow's tip
LARGEST = 60_000  # pixels a side of a picture
LINES = "#5f6368"
PICTURES, TEXTS = ("png", "svg", "pdf"), ("dot", "gv")


class Picture:
    """A file with a picture, which notebooks show."""

    def __init__(self, path: str):
        self.path = path

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        kind = {".svg": "image/svg+xml", ".png": "image/png"}.get(os.path.splitext(self.path)[1].lower())
        if kind is None:
            return {"text/plain": repr(self)}
        with open(self.path, "rb") as file:
            data = file.read()
        return {kind: data.decode() if kind == "image/svg+xml" else data}

    def __repr__(self) -> str:
        return f"<Picture {self.path}>"


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> str:
    """The model in the language of Graphviz, as text.

    https://keras.io/api/utils/model_plotting_utils/

    Args:
        model: a built model.
        show_shapes: of inputs and outputs of each layer.
        show_dtype: of the output.
        show_layer_names: beside the classes.
        rankdir: "TB" for top to bottom, "BT", "LR" or "RL".
        expand_nested: draw what is in models that are layers of this one.
        dpi: dots per inch of the picture that Graphviz makes.
        subgraph: accepted where Keras has it; False.
        show_layer_activations: of layers that have one.
        show_trainable: whether training changes the layer.
        splines: how Graphviz draws arrows: "ortho", "curved", "polyline", "spline" or "line".

    Raises:
        ValueError: the model is not built, `rankdir` is something else, or `subgraph` is asked for.
    """
    if subgraph:
        raise ValueError(
            f"model_to_dot: subgraph must be False; text holds whole graphs. Received: subgraph={subgraph!r}"
        )
    show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    graph = graph_of(model, show, expand_nested)
    return dot_text(graph, _direction(rankdir), dpi, splines, model.name)


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Picture:
    """Draw a model: PNG, SVG, PDF or, as text, DOT, by the ending of the file's name; PNG where there is none. Pictures
    need matplotlib (extra `plot`) and no other program; a notebook shows what is returned.

    https://keras.io/api/utils/model_plotting_utils/

    Args: as of `model_to_dot`; the resolution goes down where a side of a PNG would have more than 60,000 pixels.

    Raises:
        ValueError: the model is not built, or an unknown ending or `rankdir`.
        ImportError: matplotlib is missing.
    """
    path = os.fspath(to_file)
    ending = os.path.splitext(path)[1][1:].lower() or "png"
    if ending not in PICTURES + TEXTS:
        raise ValueError(
            f"plot_model: to_file must end in one of {[f'.{e}' for e in PICTURES + TEXTS]}. Received: {path!r}"
        )
    show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    graph = graph_of(model, show, expand_nested)
    if ending in TEXTS:
        with open(path, "w", encoding="utf-8") as file:
            file.write(dot_text(graph, _direction(rankdir), dpi, "ortho", model.name))
    else:
        _Pen(_direction(rankdir)).draw(graph, path, ending, dpi)
    return Picture(path)


def _direction(rankdir: Any) -> str:
    if rankdir not in DIRECTIONS:
        raise ValueError(f"plot_model: rankdir must be one of {DIRECTIONS}. Received: rankdir={rankdir!r}")
    return str(rankdir)


class _Laid(NamedTuple):
    """A graph with places. Boxes with graphs inside have them laid out, too; `ports` are where arrows enter and leave
    from outside, across."""

    graph: Graph
    drawing: Drawing
    inner: dict[Box, _Laid]
    ports: tuple[list[float], list[float]]


class _Pen:
    """Draws in one direction. Coordinates are (across, along) the ranks in points until the very end."""

    def __init__(self, direction: str):
        self.direction, self.flat = direction, direction in ("LR", "RL")
        fonts = _extras.require("matplotlib.font_manager", "plot")
        self.title = fonts.FontProperties(family="DejaVu Sans", size=TITLE, weight="bold")
        self.text = fonts.FontProperties(family="DejaVu Sans", size=TEXT)
        self.measure = _extras.require("matplotlib.textpath", "plot").TextToPath().get_text_width_height_descent
        band = LINE * TITLE + TOP  # for the name of a model inside
        self.before = (AROUND + band * self.flat, max(AROUND + band * (direction == "TB") - DOWN, 0.0))
        self.after = (AROUND, max(AROUND + band * (direction == "BT") - DOWN, 0.0))  # from what is in a frame to it

    def size(self, box: Box) -> tuple[float, float]:
        """Of a box without others in it, (across, along)."""
        fonts = [(box.title, self.title), *((row.text, self.text) for row in box.rows)]
        width = 2 * SIDE + max(self.measure(text, font, False)[0] for text, font in fonts)
        height = 2 * TOP + LINE * (TITLE + TEXT * len(box.rows))
        return (height, width) if self.flat else (width, height)

    def lay(self, graph: Graph, ports: bool) -> _Laid:
        """Places for everything; with `ports`, for arrows from outside too."""
        inner = {box: self.lay(box.inner, True) for box in graph.boxes if box.inner is not None}
        number = {box: i for i, box in enumerate(graph.boxes)}
        sizes = [self.framed(box, inner[box]) if box in inner else self.size(box) for box in graph.boxes]

        def offset(box: Box, side: int, port: int) -> float | None:
            if box not in inner:
                return None
            at = inner[box].ports[side]
            return self.before[0] + at[min(port, len(at) - 1)] - sizes[number[box]][0] / 2

        def arrow(source: Any, target: Any) -> tuple[int, int, float | None, float | None]:
            a, b = offset(source.box, 1, source.port), offset(target.box, 0, target.port)
            return number[source.box], number[target.box], a, b

        arrows = [arrow(source, target) for source, target in graph.arrows]
        first, last = range(0), range(0)
        if ports:
            first = range(len(sizes), len(sizes) + len(graph.inputs))
            last = range(first.stop, first.stop + len(graph.outputs))
            arrows += [(i, number[end.box], None, offset(end.box, 0, end.port))
                       for i, end in zip(first, graph.inputs, strict=True)]  # fmt: skip
            arrows += [(number[end.box], i, offset(end.box, 1, end.port), None)
                       for i, end in zip(last, graph.outputs, strict=True)]  # fmt: skip
        drawing = layout(sizes + [(0.0, 0.0)] * (len(first) + len(last)), arrows, first, last)
        across = ([drawing.places[i].across for i in first], [drawing.places[i].across for i in last])
        return _Laid(graph, drawing, inner, across)

    def framed(self, box: Box, laid: _Laid) -> tuple[float, float]:
        """Size of a box with a graph in it. Its name must fit."""
        name = self.measure(box.title, self.title, False)[0] + 2 * SIDE
        across = laid.drawing.width + self.before[0] + self.after[0]
        along = laid.drawing.length + self.before[1] + self.after[1]
        return (across, max(along, name)) if self.flat else (max(across, name), along)

    def draw(self, graph: Graph, path: str, ending: str, dpi: int) -> None:
        laid = self.lay(graph, False)
        loops = 3 * MARGIN if any(source.box is target.box for source, target in graph.arrows) else 0.0
        across, along = laid.drawing.width + 2 * MARGIN + loops, laid.drawing.length + 2 * MARGIN
        width, height = (along, across) if self.flat else (across, along)
        self.size_along = along
        figure = _extras.require("matplotlib.figure", "plot").Figure(figsize=(width / 72, height / 72))
        self.axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self.paths = _extras.require("matplotlib.path", "plot").Path
        self.patches = _extras.require("matplotlib.patches", "plot")
        self.graph(laid, MARGIN, MARGIN, 0)
        with _extras.require("matplotlib", "plot").rc_context({"svg.hashsalt": "dlcore"}):
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(ending)
            dots = min(dpi, LARGEST * 72 / max(width, height))
            figure.savefig(path, format=ending, dpi=dots, facecolor="white", metadata=metadata)

    def graph(self, laid: _Laid, across: float, along: float, level: int) -> None:
        """Draw with the corner of the first rank at (across, along)."""
        places = dict(zip(laid.graph.boxes, laid.drawing.places, strict=False))
        for box, place in places.items():
            size = self.framed(box, laid.inner[box]) if box in laid.inner else self.size(box)
            corner = (across + place.across - size[0] / 2, along + place.along)
            if box in laid.inner:
                self.frame(box, corner, size, level)
                self.graph(laid.inner[box], corner[0] + self.before[0], corner[1] + self.before[1], level + 1)
            else:
                self.box(box, corner, size)
        ends = [(source.box, target.box) for source, target in laid.graph.arrows]
        inputs, outputs = ([end.box for end in ends] for ends in (laid.graph.inputs, laid.graph.outputs))
        ends += [(None, box) for box in inputs] if laid.ports[0] else []  # type: ignore[misc]
        ends += [(box, None) for box in outputs] if laid.ports[1] else []  # type: ignore[misc]
        for (source, target), route in zip(ends, laid.drawing.routes, strict=True):
            if not route:
                self.loop(places[source], self.size(source), across, along)
                continue
            pieces = [Piece(across + p.across, along + p.begin, along + p.end) for p in route]
            if source in laid.inner:
                pieces[0] = pieces[0]._replace(begin=pieces[0].begin - self.after[1])
            if target in laid.inner:
                pieces[-1] = pieces[-1]._replace(end=pieces[-1].end + self.before[1])
            self.arrow(pieces, tip=target is not None and target not in laid.inner)

    # -- the parts

    def at(self, across: float, along: float) -> tuple[float, float]:
        """A point of the picture, from its top left corner."""
        along = self.size_along - along if self.direction in ("BT", "RL") else along
        return (along, across) if self.flat else (across, along)

    def rectangle(self, corner: tuple[float, float], size: tuple[float, float]) -> tuple[float, float, float, float]:
        """Left, top, width, height."""
        (x0, y0), (x1, y1) = self.at(*corner), self.at(corner[0] + size[0], corner[1] + size[1])
        return min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)

    def frame(self, box: Box, corner: tuple[float, float], size: tuple[float, float], level: int) -> None:
        x, y, width, height = self.rectangle(corner, size)
        fill = ("#f8f9fa", "#eef0f2")[level % 2]
        self.round(x, y, width, height, fill, linestyle=(0, (4, 3)))
        self.write(x + SIDE, y + TOP + LINE * TITLE / 2, box.title, self.title, INK, "left",
                   bbox={"facecolor": fill, "edgecolor": "none", "pad": 1.0})  # fmt: skip

    def box(self, box: Box, corner: tuple[float, float], size: tuple[float, float]) -> None:
        x, y, width, height = self.rectangle(corner, size)
        self.round(x, y, width, height, box.fill)
        y += TOP
        for text, font, color, points in self.lines(box):
            self.write(x + width / 2, y + LINE * points / 2, text, font, color, "center")
            y += LINE * points

    def lines(self, box: Box) -> Iterator[tuple[str, Any, str, float]]:
        yield box.title, self.title, INK, TITLE
        for row in box.rows:
            yield row.text, self.text, row.color, TEXT

    def round(self, x: float, y: float, width: float, height: float, fill: str, **style: Any) -> None:
        self.axes.add_patch(self.patches.FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=4", facecolor=fill, edgecolor=LINES,
            linewidth=0.8, **style))  # fmt: skip

    def write(self, x: float, y: float, text: str, font: Any, color: str, side: str, **style: Any) -> None:
        self.axes.text(x, y, text, fontproperties=font, color=color, ha=side, va="center_baseline", parse_math=False,
                       **style)  # fmt: skip

    def arrow(self, pieces: list[Piece], tip: bool) -> None:
        """A line through the pieces, curved between them, the tip at its end."""
        last = pieces[-1]
        way = 1 if last.end >= pieces[0].begin else -1
        end = last.end - way * TIP[1] * tip
        if tip:
            pieces = [*pieces[:-1], Piece(last.across, min(last.begin, end) if way > 0 else max(last.begin, end), end)]
        points, codes = [self.at(pieces[0].across, pieces[0].begin)], [self.paths.MOVETO]
        for i, piece in enumerate(pieces):
            if i:
                before = pieces[i - 1]
                middle = (before.end + piece.begin) / 2
                points += [self.at(before.across, middle), self.at(piece.across, middle),
                           self.at(piece.across, piece.begin)]  # fmt: skip
                codes += [self.paths.CURVE4] * 3
            points.append(self.at(piece.across, piece.end))
            codes.append(self.paths.LINETO)
        self.line(points, codes)
        if tip:
            self.point(last.across, end, last.across, last.end)

    def line(self, points: list[tuple[float, float]], codes: list[Any]) -> None:
        path = self.paths(points, codes)
        self.axes.add_patch(self.patches.PathPatch(path, facecolor="none", edgecolor=LINES, linewidth=1.1))

    def point(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """The tip of an arrow along one of the axes."""
        dx, dy = (TIP[0], 0.0) if x0 == x1 else (0.0, TIP[0])
        corners = [self.at(x0 - dx, y0 - dy), self.at(x0 + dx, y0 + dy), self.at(x1, y1)]
        self.axes.add_patch(self.patches.Polygon(corners, facecolor=LINES, edgecolor="none"))

    def loop(self, place: Any, size: tuple[float, float], across: float, along: float) -> None:
        """An arrow from a box to itself, at its side."""
        x, y = across + place.across + size[0] / 2, along + place.along
        low, high, out = y + 0.75 * size[1], y + 0.25 * size[1], x + 2.5 * MARGIN
        points = [self.at(x, low), self.at(out, low), self.at(out, high), self.at(x + TIP[1], high)]
        self.line(points, [self.paths.MOVETO, *[self.paths.CURVE4] * 3])
        self.point(x + TIP[1], high, x, high)
