"""Where boxes and arrows of a graph go: in ranks, with few crossings, chains straight.

The steps are those of K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of Hierarchical System
Structures", 1981: ranks by longest paths, order within a rank by barycentres, then places. Arrows over several ranks
have a knot in each between; chains and knots are moved as one, so that they are straight.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

BETWEEN = 18.0  # boxes of a rank
LANE = 12.0  # knots of a rank
DOWN = 30.0  # from rank to rank
PORTS = 14.0  # ends of arrows on a box
ROUNDS = 24


class Place(NamedTuple):
    """Centre of a box across, its upper end along the ranks."""

    across: float
    along: float


class Piece(NamedTuple):
    """A straight piece of an arrow, which runs along the ranks; curves join them."""

    across: float
    begin: float
    end: float


class Drawing(NamedTuple):
    """Places of the boxes, the pieces of each arrow from its source, and the size of all."""

    places: list[Place]
    routes: list[list[Piece]]
    width: float
    length: float


Arrow = tuple[
    int, int, float | None, float | None
]  # source, target, where on them it ends, from centres; None anywhere


class _Node:
    """A box, or a knot of an arrow."""

    def __init__(self, box: int | None, width: float, length: float, rank: int):
        self.box, self.width, self.length, self.rank = box, width, length, rank
        self.up: list[_Edge] = []
        self.down: list[_Edge] = []
        self.order = 0
        self.block: _Block = _Block(self)
        self.offset = 0.0  # from the block
        self.run = [0, 0]  # length of the chain upwards, downwards

    @property
    def across(self) -> float:
        return self.block.across + self.offset


class _Edge:
    """Part of an arrow, between two ranks."""

    def __init__(self, upper: _Node, lower: _Node, a: float | None, b: float | None):
        self.upper, self.lower, self.a, self.b = upper, lower, a or 0.0, b or 0.0
        self.free = (a is None, b is None)  # to end beside other edges
        upper.down.append(self)
        lower.up.append(self)

    @property
    def of_knots(self) -> bool:
        return self.upper.box is None and self.lower.box is None


class _Block:
    """Nodes that keep their places relative to each other."""

    def __init__(self, node: _Node):
        self.nodes = [node]
        self.across = 0.0


def layout(sizes: Sequence[tuple[float, float]], arrows: Sequence[Arrow], first: Sequence[int] = (),
           last: Sequence[int] = ()) -> Drawing:  # fmt: skip
    """Places for boxes of these sizes (across, along), in the order given where nothing else speaks.

    Args:
        first, last: boxes for the first and the last rank.
    """
    back = _back_arrows(len(sizes), arrows)
    forward = [(b, a, y, x) if i in back else (a, b, x, y) for i, (a, b, x, y) in enumerate(arrows)]
    ranks = _ranks(len(sizes), [(a, b) for a, b, _, _ in forward if a != b], first, last)
    boxes = [_Node(i, width, length, rank) for i, ((width, length), rank) in enumerate(zip(sizes, ranks, strict=True))]
    chains: list[list[_Edge]] = [[] for _ in forward]
    rows: dict[int, list[_Node]] = defaultdict(list)
    for box in boxes:
        rows[box.rank].append(box)
    for i in sorted(range(len(forward)), key=lambda i: ranks[forward[i][1]] - ranks[forward[i][0]]):
        a, b, x, y = forward[i]
        if a == b:
            continue
        chain = [boxes[a], *(_Node(None, 0.0, 0.0, rank) for rank in range(ranks[a] + 1, ranks[b])), boxes[b]]
        for knot in chain[1:-1]:
            rows[knot.rank].append(knot)
        chains[i] = [_Edge(upper, lower, x if upper is boxes[a] else 0.0, y if lower is boxes[b] else 0.0)
                     for upper, lower in pairwise(chain)]  # fmt: skip
    table = [rows[rank] for rank in range(max(ranks, default=0) + 1)]
    _order(table)
    _align(table)
    _place(table)
    for box in boxes:
        _spread(box)
    return _drawing(table, boxes, [(chain, i in back) for i, chain in enumerate(chains)])


def _back_arrows(count: int, arrows: Sequence[Arrow]) -> set[int]:
    """Arrows that must be turned round for there to be no circle: a layer that is used twice may make one."""
    leaving = defaultdict(list)
    for i, (a, b, _, _) in enumerate(arrows):
        if a != b:
            leaving[a].append((i, b))
    state, back = [0] * count, set()
    for root in range(count):
        stack = [] if state[root] else [(root, iter(leaving[root]))]
        state[root] = max(state[root], 1)
        while stack:
            box, rest = stack[-1]
            for i, b in rest:
                if state[b] == 1:
                    back.add(i)
                elif state[b] == 0:
                    state[b] = 1
                    stack.append((b, iter(leaving[b])))
                    break
            else:
                state[box] = 2
                stack.pop()
    return back


def _ranks(count: int, pairs: Sequence[tuple[int, int]], first: Sequence[int], last: Sequence[int]) -> list[int]:
    leaving, waiting = defaultdict(list), [0] * count
    for a, b in pairs:
        leaving[a].append(b)
        waiting[b] += 1
    reads = [n > 0 for n in waiting]
    ready, order, ranks = [i for i in range(count) if not waiting[i]], [], [0] * count
    while ready:
        box = ready.pop()
        order.append(box)
        for b in leaving[box]:
            ranks[b] = max(ranks[b], ranks[box] + 1)
            waiting[b] -= 1
            if not waiting[b]:
                ready.append(b)
    for box in reversed(order):  # what reads nothing comes close to those that read it
        if not reads[box] and leaving[box] and box not in first:
            ranks[box] = min(ranks[b] for b in leaving[box]) - 1
    low = max(ranks, default=0)
    for box in last:
        ranks[box] = low
    return ranks


def _order(table: list[list[_Node]]) -> None:
    """Sort each rank by the mean place of what its nodes are joined to, up and down in turns; the best order stays."""
    for row in table:
        row.sort(key=lambda node: node.box is None)
        _number(row)
    best, fewest = [list(row) for row in table], _crossings(table)
    for turn in range(ROUNDS):
        if not fewest:
            break
        downwards = turn % 2 == 0
        for row in table if downwards else reversed(table):
            key = {}
            for node in row:
                near = [e.upper.order for e in node.up] if downwards else [e.lower.order for e in node.down]
                key[node] = sum(near) / len(near) if near else node.order
            row.sort(key=key.__getitem__)
            _number(row)
        crossings = _crossings(table)
        if crossings < fewest:
            best, fewest = [list(row) for row in table], crossings
    for row, order in zip(table, best, strict=True):
        row[:] = order
        _number(row)


def _number(row: list[_Node]) -> None:
    for i, node in enumerate(row):
        node.order = i


def _crossings(table: list[list[_Node]]) -> int:
    count = 0
    for row in table:
        seen: list[int] = []
        for node in row:
            below = [edge.lower.order for edge in node.down]
            count += sum(len(seen) - bisect(seen, order) for order in below)
            for order in below:
                insort(seen, order)
    return count


def _align(table: list[list[_Node]]) -> None:
    """Join into one block what shall be straight: knots, and boxes with the first of what they are joined to."""
    for side, rows in enumerate((table, table[::-1])):
        for row in rows:
            for node in row:
                near = [(e.upper, e.lower)[side] for e in (node.up, node.down)[side]]
                alone = len(near) == 1 and len((near[0].down, near[0].up)[side]) == 1
                node.run[side] = (node.box is not None) + (near[0].run[side] if alone else 0)
    for row in table:
        wanted = [edge for node in row for edge in node.down if edge.of_knots or _both_first(edge)]
        wanted.sort(key=lambda edge: not edge.of_knots)
        kept: list[_Edge] = []
        for edge in wanted:
            if any((edge.upper.order - e.upper.order) * (edge.lower.order - e.lower.order) <= 0 for e in kept):
                continue
            kept.append(edge)
            block = edge.upper.block
            edge.lower.offset = edge.upper.offset + edge.a - edge.b
            edge.lower.block = block
            block.nodes.append(edge.lower)


def _both_first(edge: _Edge) -> bool:
    return _first(edge, edge.upper.down, 1) and _first(edge, edge.lower.up, 0)


def _first(edge: _Edge, edges: list[_Edge], side: int) -> bool:
    """Whether the chain that begins with `edge` is longer than those of the others."""
    runs = [((e.upper, e.lower)[side].run[side], e) for e in edges]
    most = max(run for run, _ in runs)
    longest = [e for run, e in runs if run == most]
    return len(longest) == 1 and longest[0] is edge


def _apart(a: _Node, b: _Node) -> float:
    """Least distance of the centres of neighbours."""
    gap = LANE if a.box is None or b.box is None else BETWEEN
    return (a.width + b.width) / 2 + gap


def _place(table: list[list[_Node]]) -> None:
    """Blocks as near to what they are joined to as their neighbours let them."""
    blocks = list(dict.fromkeys(node.block for row in table for node in row))
    right: dict[_Block, dict[_Block, float]] = {block: {} for block in blocks}
    left: dict[_Block, dict[_Block, float]] = {block: {} for block in blocks}
    for row in table:
        for a, b in pairwise(row):
            distance = _apart(a, b) + a.offset - b.offset
            right[a.block][b.block] = max(distance, right[a.block].get(b.block, distance))
    for a_block, others in right.items():
        for b_block, distance in others.items():
            left[b_block][a_block] = distance
    waiting = {block: len(left[block]) for block in blocks}
    order: list[_Block] = []
    ready = [block for block in blocks if not waiting[block]]
    while ready:
        block = ready.pop()
        order.append(block)
        block.across = max((other.across + distance for other, distance in left[block].items()), default=0.0)
        for other in right[block]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    pulls = {block: _pulls(block) for block in blocks}

    def room(block: _Block, among: set[_Block]) -> tuple[float, float]:
        low = max((o.across + d - block.across for o, d in left[block].items() if o not in among), default=-1e9)
        high = min((o.across - d - block.across for o, d in right[block].items() if o not in among), default=1e9)
        return low, high

    def move(group: list[_Block]) -> None:
        among = set(group)
        ways = [other.block.across + there - block.across - own for block in group
                for own, other, there in pulls[block] if other.block not in among]  # fmt: skip
        if ways:
            wish = sum(ways) / len(ways)
            rooms = [room(block, among) for block in group]
            step = min(max(wish, max(low for low, _ in rooms)), min(high for _, high in rooms))
            for block in group:
                block.across += step

    for turn in range(ROUNDS):
        for block in order if turn % 2 else reversed(order):
            move([block])
        for group in _touching(order, right):
            move(group)


def _pulls(block: _Block) -> list[tuple[float, _Node, float]]:
    """Of each edge that leaves the block: where it does, the node at the other end, and where there."""
    found = []
    for node in block.nodes:
        found += [(node.offset + e.b, e.upper, e.upper.offset + e.a) for e in node.up if e.upper.block is not block]
        found += [(node.offset + e.a, e.lower, e.lower.offset + e.b) for e in node.down if e.lower.block is not block]
    return found


def _touching(blocks: list[_Block], right: dict[_Block, dict[_Block, float]]) -> list[list[_Block]]:
    """Groups of blocks without room between them."""
    group = {block: [block] for block in blocks}
    for block in blocks:
        for other, distance in right[block].items():
            if other.across - block.across - distance < 1e-6 and group[other] is not group[block]:
                joined = group[block] + group[other]
                group.update((member, joined) for member in joined)
    return [members for members in {id(g): g for g in group.values()}.values() if len(members) > 1]


def _spread(box: _Node) -> None:
    """Let edges end beside each other, in the order of where they lead; one that is straight stays in the middle."""
    for side in (0, 1):
        edges = [e for e in (box.down, box.up)[side] if e.free[side]]
        edges.sort(key=lambda e: (e.lower.across + e.b, e.lower.order) if side == 0 else
                   (e.upper.across + e.a, e.upper.order))  # fmt: skip
        if len(edges) < 2:
            continue
        straight = [i for i, e in enumerate(edges) if (e.lower, e.upper)[side].block is box.block]
        middle = straight[0] if straight else (len(edges) - 1) / 2
        step = min(PORTS, 0.8 * box.width / 2 / max(middle, len(edges) - 1 - middle))
        for i, edge in enumerate(edges):
            if side == 0:
                edge.a = (i - middle) * step
            else:
                edge.b = (i - middle) * step


def _drawing(table: list[list[_Node]], boxes: list[_Node], chains: list[tuple[list[_Edge], bool]]) -> Drawing:
    nodes = [node for row in table for node in row]
    edge = min((node.across - node.width / 2 for node in nodes), default=0.0)
    bands, y = [], 0.0
    for row in table:
        length = max((node.length for node in row), default=0.0)
        bands.append((y, length))
        y += length + DOWN
    places = [Place(box.across - edge, bands[box.rank][0] + (bands[box.rank][1] - box.length) / 2) for box in boxes]
    routes = []
    for chain, back in chains:
        pieces = []
        for part in chain:  # each ends in a knot but the last
            if part is chain[0]:
                y0 = places[part.upper.box or 0].along + part.upper.length
                pieces.append(Piece(part.upper.across + part.a - edge, y0, y0))
            if part is chain[-1]:
                y0 = places[part.lower.box or 0].along
                pieces.append(Piece(part.lower.across + part.b - edge, y0, y0))
            else:
                top, length = bands[part.lower.rank]
                pieces.append(Piece(part.lower.across - edge, top, top + length))
        routes.append([Piece(p.across, p.end, p.begin) for p in reversed(pieces)] if back else pieces)
    width = max((node.across + node.width / 2 for node in nodes), default=0.0) - edge
    return Drawing(places, routes, width, y - DOWN)
