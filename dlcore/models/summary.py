"""The table that `model.summary()` prints: the words, widths and line breaks of Keras."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

from dlcore.layers.shape import InputLayer
from dlcore.models.structure import Node, shape_text

if TYPE_CHECKING:
    from dlcore.models.network import Network

NARROWEST = 4  # a column


def summary(
    model: Network,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> str:
    """The text that `Network.summary` prints."""
    nodes, _, _, chain = model.structure()
    heads, sides = ["Layer (type)", "Output Shape", "Param #"], ["left", "left", "right"]
    ends, widest = [0.45, 0.80, 1.0], 88
    if not chain:
        heads, sides = [*heads, "Connected to"], [*sides, "left"]
        ends, widest = [0.3, 0.56, 0.74, 1.0], 108
    ends = list(positions or ends)
    if show_trainable:
        heads, sides = [*heads, "Trainable"], [*sides, "center"]
        ends, widest = [0.9 * end for end in ends] + [1.0], widest + 12
    if len(ends) != len(heads):
        raise ValueError(f"{model.name}: positions must have one number a column: {heads}. Received: {positions}")
    length = line_length or min(widest, shutil.get_terminal_size().columns - 4)
    widths = column_widths(ends, length)
    if min(widths) < 1:
        raise ValueError(f"{model.name}: {length} columns are too few for a summary. Give a larger line_length")

    first, last = bounds(model.name, [node.name for node in nodes], layer_range)
    rows = []
    for node in nodes[first:last]:
        for prefix, inner in _deep(node, expand_nested):
            cells = [f"{prefix}{inner.name} ({inner.kind})", shape_text(inner.shape), _params(inner)]
            cells += [] if chain else [_connections(inner) if inner is node else "-"]
            cells += [_trains(inner)] if show_trainable else []
            rows.append(cells)
    return "\n".join([f'Model: "{model.name}"', *table(heads, rows, sides, widths), *_totals(model)])


def _deep(node: Node, expand: bool, level: int = 0) -> Iterator[tuple[str, Node]]:
    """A node and, if wanted, what is in it, with what stands in front of its name."""
    yield ("   " * level + "└ " if level else ""), node
    if expand and node.layer is not None and hasattr(node.layer, "structure"):
        for inner in node.layer.structure().nodes:
            yield from _deep(inner, expand, level + 1)


def _params(node: Node) -> str:
    if node.layer is None or isinstance(node.layer, InputLayer):
        return "0"
    return f"{node.layer.count_params():,}" if node.layer.built else "0 (unbuilt)"


def _connections(node: Node) -> str:
    return ", ".join(f"{s.node.name}[{s.call}][{s.output}]" for call in node.calls for s in call) or "-"


def _trains(node: Node) -> str:
    return "-" if node.layer is None or not node.layer.weights else "Y" if node.layer.trainable else "N"


def _totals(model: Network) -> list[str]:
    trainable, frozen = (sum(w.value.size for w in weights) for weights in
                         (model.trainable_weights, model.non_trainable_weights))  # fmt: skip
    optimizer = model.optimizer.count_params() if model.optimizer is not None and model.optimizer.built else None
    counts = {"Total": trainable + frozen + (optimizer or 0), "Trainable": trainable, "Non-trainable": frozen,
              "Optimizer": optimizer}  # fmt: skip
    return [f" {name} params: {n:,} ({size(n)})" for name, n in counts.items() if n is not None]


def size(params: int) -> str:
    """Bytes of float32 parameters, as Keras writes them."""
    amount = 4.0 * params
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.2f} {unit}"
        amount /= 1024
    return f"{amount:.2f} TB"


def bounds(model: str, names: Sequence[str], layer_range: Any) -> tuple[int, int]:
    """Where the rows that `layer_range` asks for begin and end.

    Raises:
        ValueError: it is not two patterns, or no name fits one of them.
    """
    if layer_range is None:
        return 0, len(names)
    if len(layer_range) != 2 or not all(isinstance(part, str) for part in layer_range):
        raise ValueError(f"{model}: layer_range must be two names or patterns. Received: layer_range={layer_range!r}")
    lower, upper = ([i for i, name in enumerate(names) if re.match(part, name)] for part in layer_range)
    if not lower or not upper:
        raise ValueError(f"{model}: no layers fit layer_range. It has {list(names)}. Received: {layer_range!r}")
    if min(lower) > max(upper):
        return min(upper), max(lower) + 1
    return min(lower), max(upper) + 1


# -- tables


def column_widths(ends: Sequence[float], length: int) -> list[int]:
    """Widths of texts in a table of `length`, whose columns were to end at these shares of it.

    Raises:
        ValueError: a column is too narrow.
    """
    stops = [0, *(int(end * length) for end in ends)]
    wanted = [b - a for a, b in pairwise(stops)]
    if min(wanted) < NARROWEST:
        raise ValueError(
            f"summary: every column must be at least {NARROWEST} wide. Received: widths {wanted}, from "
            f"line_length={length} and positions={list(ends)}"
        )
    widths = [width + 2 for width in wanted]  # a space on either side
    spare = length - len(widths) - 1 - sum(widths)
    result = []
    for i, width in enumerate(widths):  # columns share what is too much evenly, what is missing as they are wide
        share = round(spare / (len(widths) - i)) if spare < 0 else ceil(spare * width / sum(widths[i:]))
        result.append(width + share - 2)
        spare -= share
    return result


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: Sequence[str], widths: list[int]) -> list[str]:
    """Lines of a table with a frame, its texts broken between words to fit."""

    def rule(left: str, middle: str, right: str, dash: str) -> str:
        return left + middle.join(dash * (width + 2) for width in widths) + right

    def lines(cells: Sequence[str], bar: str, bottom: bool = False) -> list[str]:
        parts = [wrapped(*cell) for cell in zip(cells, widths, sides, strict=True)]
        height = max(map(len, parts))
        empty = [[" " * width] * (height - len(part)) for part, width in zip(parts, widths, strict=True)]
        full = [gap + part if bottom else part + gap for part, gap in zip(parts, empty, strict=True)]
        return [f"{bar} {f' {bar} '.join(line)} {bar}" for line in zip(*full, strict=True)]

    result = [rule("┏", "┳", "┓", "━"), *lines(heads, "┃", bottom=True), rule("┡", "╇", "┩", "━")]
    for i, row in enumerate(rows):
        result += [rule("├", "┼", "┤", "─")] * (i > 0) + lines(row, "│")
    return [*result, rule("└", "┴", "┘", "─")]


def wrapped(text: str, width: int, side: str) -> list[str]:
    """Lines of exactly `width`; a word that is longer ends in an ellipsis."""
    lines, length = [""], 0
    for word in re.findall(r"\s*\S+\s*", text):
        if len(word.rstrip()) > width - length and (lines[-1] or len(word.rstrip()) > width):
            lines.append("")
            length = 0
        lines[-1] += word
        length += len(word)
    result = []
    for line in lines if lines[0] else lines[1:]:
        line = line.rstrip()
        line = line if len(line) <= width else line[: width - 1] + "…"
        gap = width - len(line)
        before = {"left": 0, "center": gap // 2, "right": gap}[side]
        result.append(" " * before + line + " " * (gap - before))
    return result
