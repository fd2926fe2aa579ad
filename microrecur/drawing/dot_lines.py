"""Where the line of an edge runs: polyline, the spline Graphviz reads, a place for its label."""

from __future__ import annotations

import math
from itertools import pairwise

from microrecur.drawing.scene import Point, SceneEdge, SceneNode

_GAP = 5.0  # points between a line and the text beside it


def edge_points(edge: SceneEdge, source: SceneNode, target: SceneNode) -> list[Point]:
    """The polyline of an edge: its own, or a straight line between the borders of its two shapes.

    Parameters
    ----------
    edge : SceneEdge
    source, target : SceneNode
        Both with a centre.

    Returns
    -------
    list of (x, y)
        Two points or more, in points (1/72 inch); repeated ones are dropped.
    """
    if edge.points is None:
        assert source.center is not None and target.center is not None
        return [border(source, target.center), border(target, source.center)]
    line = [edge.points[0]]
    for point in edge.points[1:]:
        if math.dist(point, line[-1]) > 1e-6:
            line.append(point)
    # A line of no length still needs a direction.
    return line if len(line) > 1 else [line[0], (line[0][0] + 0.01, line[0][1])]


def border(node: SceneNode, towards: Point) -> Point:
    """Where the ray from a node's centre towards a point leaves its shape.

    Examples
    --------
    >>> box = SceneNode("a", "a", (), "state", "box", center=(0.0, 0.0), size=(60.0, 40.0))
    >>> border(box, (100.0, 0.0))
    (30.0, 0.0)
    """
    assert node.center is not None
    (x, y), (half_width, half_height) = node.center, (node.size[0] / 2, node.size[1] / 2)
    dx, dy = towards[0] - x, towards[1] - y
    if node.shape in ("ellipse", "circle", "point"):
        reach = math.hypot(dx / half_width, dy / half_height)
    else:
        reach = max(abs(dx) / half_width, abs(dy) / half_height)
    return (x + dx / reach, y + dy / reach) if reach else node.center


def spline(line: list[Point], head: float) -> str:
    """A polyline as the `pos` of a Graphviz edge: straight cubic pieces, the arrow's tip first.

    Parameters
    ----------
    line : list of (x, y)
        Two points or more.
    head : float
        Length of the arrowhead in points; 0 for none.

    Examples
    --------
    >>> spline([(0.0, 0.0), (30.0, 0.0)], 0)
    '0,0 10,0 20,0 30,0'
    >>> spline([(0.0, 0.0), (40.0, 0.0)], 10)
    'e,40,0 0,0 10,0 20,0 30,0'
    """
    points, tip = list(line), line[-1]
    if head:
        # The line stops where the head begins, or a thick one would show beside its tip.
        length = math.dist(points[-2], tip)
        points[-1] = _between(points[-2], tip, max(1 - head / length, 0.05))
    pieces = [points[0]]
    for start, end in pairwise(points):
        pieces += [_between(start, end, 1 / 3), _between(start, end, 2 / 3), end]
    text = " ".join(f"{decimal(x)},{decimal(y)}" for x, y in pieces)
    return f"e,{decimal(tip[0])},{decimal(tip[1])} {text}" if head else text


def decimal(value: float) -> str:
    """A coordinate as DOT text: two decimals at most, never -0.

    Examples
    --------
    >>> decimal(2.50), decimal(-0.001)
    ('2.5', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def label_place(line: list[Point], width: float, height: float) -> Point:
    """The centre for a label nobody placed: beside the middle of the line's longest piece."""
    start, end = max(pairwise(line), key=lambda piece: math.dist(*piece))
    x, y = _between(start, end, 0.5)
    steep = abs(end[1] - start[1]) > abs(end[0] - start[0])
    return (x + width / 2 + _GAP, y) if steep else (x, y + height / 2 + _GAP)


def _between(start: Point, end: Point, part: float) -> Point:
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part
