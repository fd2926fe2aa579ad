"""Where lines of one source share a bus and differ in kind, the bus belongs to the source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from microrecur.drawing.scene import Point, SceneEdge
from microrecur.drawing.sheet import Line, Sheet

_RANK = 2  # over all its branches
TRUNK = "state"  # a bus carries its source on; what it is multiplied by shows after the branch


def add_trunks(sheet: Sheet) -> None:
    """Draw the shared part of buses whose branches differ in kind, in the source's own colour.

    The label of the longest branch moves beyond the last dot, where its colour begins.
    """
    groups: dict[tuple[str, Point], list[Line]] = {}
    for line in sheet.lines:
        points = line.edge.points or ()
        if len(points) > 2:
            groups.setdefault((line.edge.source, points[0]), []).append(line)
    for (source, _), lines in groups.items():
        chosen = any(line.edge.on_path for line in lines)  # a path's line is above all others
        if len({line.edge.kind for line in lines}) > 1 and not chosen:
            _add_trunk(sheet, source, lines)


def _add_trunk(sheet: Sheet, source: str, lines: list[Line]) -> None:
    longest = max(lines, key=lambda line: _reach(line.edge.points or ()))
    course = longest.edge.points or ()
    branches = [
        corner for line in lines if line is not longest for corner in line.edge.points or ()
    ]
    cut = _last_branch(course, branches)
    if cut is None:
        return
    after, end = cut
    trunk = (*course[: after + 1], end)
    # Graphviz draws the lines of later nodes later: filed with the ⊙ it stands above its branches.
    key, id = longest.edge.target, sheet.nodes[source].id
    width = longest.edge.width
    edge = SceneEdge(key, key, TRUNK, points=trunk, width=width, arrow=False, id=(id, id))
    sheet.lines.append(Line(edge, None, _RANK))
    rest = ((end, course[after + 1]), *pairwise(course[after + 1 :]))
    if longest.request is not None and longest.request.segments == tuple(pairwise(course))[-1:]:
        longest.request = replace(longest.request, segments=rest[-1:])


def _reach(points: Sequence[Point]) -> float:
    """How far along its first row a line runs before it leaves it for good."""
    return math.dist(points[0], points[1]) + math.dist(points[1], points[2])


def _last_branch(course: Sequence[Point], corners: list[Point]) -> tuple[int, Point] | None:
    """The farthest corner of another line on this one: its piece, and the corner."""
    found = None
    for k, (start, end) in enumerate(pairwise(course)):
        on_piece = [c for c in corners if _strictly_between(start, end, c)]
        if on_piece:
            found = k, max(on_piece, key=lambda corner: math.dist(start, corner))
    return found


def _strictly_between(start: Point, end: Point, point: Point) -> bool:
    whole = math.dist(start, end)
    apart = math.dist(start, point) + math.dist(point, end)
    return apart - whole < 1e-6 and math.dist(start, point) > 1.0 and math.dist(point, end) > 1.0
