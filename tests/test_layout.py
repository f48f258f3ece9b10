"""Places of boxes and arrows in pictures of graphs."""

from itertools import combinations, pairwise

import pytest

from dlcore.utils.layout import layout

SIZE = (100.0, 40.0)


def arrows(*pairs):
    return [(a, b, None, None) for a, b in pairs]


RESIDUAL = arrows((0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (4, 5), (3, 5))
BRANCHES = arrows((0, 1), (0, 2), (0, 3), (0, 4), (2, 5), (3, 6), (4, 7), (1, 8), (5, 8), (6, 8), (7, 8))
DENSE = arrows(*combinations(range(9), 2))
CIRCLE = arrows((0, 1), (1, 2), (2, 1), (2, 2), (2, 3))


@pytest.mark.parametrize("graph", [RESIDUAL, BRANCHES, DENSE, CIRCLE, arrows()], ids=str)
def test_nothing_lies_on_anything_else(graph):
    count = 1 + max((max(a, b) for a, b, _, _ in graph), default=2)
    sizes = [(80.0 + 15 * i, 30.0 + 5 * (i % 3)) for i in range(count)]
    drawing = layout(sizes, graph)
    boxes = [(p.across - w / 2, p.across + w / 2, p.along, p.along + h)
             for p, (w, h) in zip(drawing.places, sizes, strict=True)]  # fmt: skip
    for (l0, r0, t0, b0), (l1, r1, t1, b1) in combinations(boxes, 2):
        assert r0 < l1 or r1 < l0 or b0 < t1 or b1 < t0
    assert min(box[0] for box in boxes) >= -1e-9 and max(box[1] for box in boxes) <= drawing.width + 1e-9
    assert max(box[3] for box in boxes) <= drawing.length + 1e-9
    for (a, b, _, _), route in zip(graph, drawing.routes, strict=True):
        assert bool(route) == (a != b)
        for piece in route[1:-1]:  # between its ends an arrow passes beside the boxes
            top, bottom = sorted((piece.begin, piece.end))
            assert not any(left < piece.across < right and top < low and high < bottom
                           for left, right, high, low in boxes)  # fmt: skip


def test_arrows_go_from_box_to_box_down_the_ranks():
    drawing = layout([SIZE] * 9, BRANCHES)
    for (a, b, _, _), route in zip(BRANCHES, drawing.routes, strict=True):
        assert route[0].begin == drawing.places[a].along + SIZE[1] and route[-1].end == drawing.places[b].along
        assert abs(route[0].across - drawing.places[a].across) <= SIZE[0] / 2
        assert all(upper.end < lower.begin for upper, lower in pairwise(route))


def test_the_long_way_is_straight_and_the_short_cut_goes_round():
    drawing = layout([SIZE] * 6, RESIDUAL)
    assert len({round(place.across, 6) for place in drawing.places}) == 1
    cut = drawing.routes[3]
    assert all(piece.across > drawing.places[0].across + SIZE[0] / 2 for piece in cut[1:-1])


def test_a_fork_is_symmetric():
    drawing = layout([SIZE] * 5, arrows((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)))
    middle = drawing.places[2].across
    assert drawing.places[0].across == drawing.places[4].across == pytest.approx(middle)
    assert [route[0].across - middle for route in drawing.routes[:3]] == pytest.approx([-14, 0, 14])


def test_arrows_from_places_on_a_box_do_not_cross():
    drawing = layout([(200.0, 40.0), SIZE], [(0, 1, 60.0, None), (0, 1, -60.0, None)])
    right, left = drawing.routes
    assert right[0].across - left[0].across == 120 and right[-1].across > left[-1].across


def test_arrows_do_not_cross_where_they_need_not():
    drawing = layout([SIZE] * 6, arrows((0, 5), (1, 4), (2, 3)))
    order = sorted(range(3), key=lambda i: drawing.places[i].across)
    assert order == sorted(range(3), key=lambda i: drawing.places[5 - i].across)


def test_an_input_that_is_read_late_stands_late():
    drawing = layout([SIZE] * 5, arrows((0, 1), (1, 2), (3, 2), (2, 4)))
    assert drawing.places[3].along == drawing.places[1].along
    first = layout([SIZE] * 5, arrows((0, 1), (1, 2), (3, 2), (2, 4)), first=[3])
    assert first.places[3].along == first.places[0].along


def test_many_boxes_in_little_time():
    count = 600
    chain = arrows(*((i, i + 1) for i in range(count - 1)), *((i, i + 4) for i in range(0, count - 4, 4)))
    assert len(layout([SIZE] * count, chain).places) == count
