"""Puts edge labels where they cover nothing: no line, no shape, no other label.

Greedy and deterministic: labels come in order of importance, each tries places along its own edge
in order of preference and takes the cheapest. An optional label is dropped when no place is free of
shapes, lines and outlines of panels; a wanted one takes the least evil.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import TypeVar

from microrecur.drawing.overlaps import Box, ellipse_meets, segment_meets
from microrecur.drawing.scene import Point, SceneNode, Text
from microrecur.drawing.text_size import text_box

Segment = tuple[Point, Point]
Thing = TypeVar("Thing")

_SLICE = 80.0  # width of the slices that obstacles are filed under, points
_MARGIN = 1.6  # air around a label
# Where a label is tried, each with how little it is liked: away from its line, away from its
# middle, wrapped, on a later line, on the second side.
_GAPS = ((2.0, 0.0), (8.0, 0.4), (14.0, 0.9), (22.0, 1.6))
_SHARES = (
    (0.5, 0.0),
    (0.42, 0.1),
    (0.58, 0.1),
    (0.34, 0.2),
    (0.66, 0.2),
    (0.25, 0.35),
    (0.75, 0.35),
    (0.14, 0.6),
    (0.86, 0.6),
)
_WRAPPED, _LATER, _SECOND_SIDE, _AWAY = 0.7, 0.5, 0.05, 2.0
_BLOCKED = 1000.0  # covering something
_BORDER = 30.0  # standing on the outline of a panel: sooner anywhere else that is free
_OUTSIDE, _BEYOND = 4.0, 5.0  # making the picture wider, standing beyond another line


@dataclass(frozen=True, slots=True)
class Request:
    """A label that wants a place: its wrappings (best first), the lines it may stand beside."""

    wrappings: tuple[tuple[Text, ...], ...]
    segments: tuple[Segment, ...]
    optional: bool = False
    width: float = 0.0  # of the line
    home: Callable[[Point], Point] | None = None  # size of the text -> where it stands at best


@dataclass(frozen=True, slots=True)
class Placed:
    """A label in its place."""

    lines: tuple[Text, ...]
    at: Point
    evil: float  # what it covers; 0 where it stands free


@dataclass(slots=True)
class Board:
    """What is already drawn, filed in vertical slices: a look-up sees only its neighbours."""

    limits: tuple[float, float] = (-math.inf, math.inf)  # left and right edge of all shapes
    _boxes: dict[int, set[Box]] = field(default_factory=lambda: defaultdict(set))
    _rounds: dict[int, set[tuple[Point, Point]]] = field(default_factory=lambda: defaultdict(set))
    _lines: dict[int, set[tuple[Segment, float]]] = field(default_factory=lambda: defaultdict(set))
    _borders: dict[int, set[Segment]] = field(default_factory=lambda: defaultdict(set))

    def add_box(self, box: Box) -> None:
        """Keep a rectangle free."""
        for key in _slices(box.left, box.right):
            self._boxes[key].add(box)

    def add_node(self, node: SceneNode) -> None:
        """Keep a shape free."""
        assert node.center is not None
        if node.shape in ("ellipse", "circle"):
            half = node.size[0] / 2
            for key in _slices(node.center[0] - half, node.center[0] + half):
                self._rounds[key].add((node.center, node.size))
        else:
            self.add_box(Box.around(node.center, node.size))

    def add_line(self, points: Iterable[Point], width: float, arrow: bool = True) -> None:
        """Keep a bent line and its arrow head free."""
        points = tuple(points)
        for segment in pairwise(points):
            xs = sorted(point[0] for point in segment)
            for key in _slices(xs[0] - width, xs[1] + width):
                self._lines[key].add((segment, width / 2))
        if arrow and len(points) > 1:
            head = 7.0 + 1.6 * width
            self.add_box(Box.around(_toward(points[-1], points[-2], head / 2), (head, head)))

    def add_border(self, box: Box) -> None:
        """Remember the outline of a panel, which a label had better not touch."""
        corners = (
            (box.left, box.low),
            (box.right, box.low),
            (box.right, box.high),
            (box.left, box.high),
        )
        for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
            for key in _slices(min(start[0], end[0]), max(start[0], end[0])):
                self._borders[key].add((start, end))

    def cost(self, box: Box) -> float:
        """What it would cover, in units of evil; 0 where all is free."""
        keys = _slices(box.left, box.right)
        covered = sum(box.covers(other) for other in _near(self._boxes, keys))
        covered += sum(ellipse_meets(box, *other) for other in _near(self._rounds, keys))
        covered += sum(segment_meets(box, *ab, half) for ab, half in _near(self._lines, keys))
        crossed = sum(segment_meets(box, *ab) for ab in _near(self._borders, keys))
        outside = box.left < self.limits[0] or box.right > self.limits[1]
        return _BLOCKED * covered + _BORDER * crossed + _OUTSIDE * outside

    def _between(self, at: Point, foot: Point, width: float) -> int:
        """How many lines part a label from its own."""
        end = _toward(foot, at, width / 2 + 1.0)
        lines = _near(self._lines, _slices(min(at[0], end[0]), max(at[0], end[0])))
        return sum(_cross(at, end, *line) for line, _ in lines)

    def place(self, request: Request) -> Placed | None:
        """Find the cheapest place and keep it from now on; None if optional and none is free."""
        best: tuple[float, tuple[Text, ...], Point, Box] | None = None
        sizes = {lines: label_box(lines, (0.0, 0.0), _MARGIN) for lines in request.wrappings}
        for dislike, lines, at, foot in sorted(_candidates(request), key=lambda place: place[0]):
            if best is not None and best[0] <= dislike:
                break
            size = sizes[lines]
            (x, y), across, along = at, size.right, size.high
            box = Box(x - across, y - along, x + across, y + along)
            cost = dislike + self.cost(box)
            if best is None or cost < best[0]:
                cost += _BEYOND * self._between(at, foot, request.width)
            if best is None or cost < best[0]:
                best = (cost, lines, at, box)
        if best is None or (request.optional and best[0] >= _BORDER):
            return None
        self.add_box(best[3])
        return Placed(best[1], best[2], best[0] if best[0] >= _BORDER else 0.0)


def label_box(lines: tuple[Text, ...], at: Point, margin: float = 0.0) -> Box:
    """The rectangle that stacked lines of text take, centred at a point."""
    size = text_box(
        tuple(line.text for line in lines), max((line.size for line in lines), default=0.0)
    )
    return Box.around(at, size, margin)


def _candidates(request: Request) -> Iterator[tuple[float, tuple[Text, ...], Point, Point]]:
    """Every place a label is tried at, with how little it is liked."""
    away = _AWAY if request.home is not None else 0.0
    for wrap, lines in enumerate(request.wrappings):
        size = label_box(lines, (0.0, 0.0), _MARGIN)
        if request.home is not None:
            at = request.home((2 * size.right, 2 * size.high))
            yield _WRAPPED * wrap, lines, at, at
        for later, (start, end) in enumerate(request.segments):
            for (gap, far), (share, off) in product(_GAPS, _SHARES):
                foot = _toward(start, end, share * math.dist(start, end))
                reach = _reach(start, end, (size.right, size.high), gap + request.width / 2)
                dislike = away + far + off + _WRAPPED * wrap + _LATER * later
                yield dislike, lines, (foot[0] + reach[0], foot[1] + reach[1]), foot
                other = (foot[0] - reach[0], foot[1] - reach[1])
                yield dislike + _SECOND_SIDE, lines, other, foot


def _reach(start: Point, end: Point, half: Point, gap: float) -> Point:
    """From a line to the centre of a label just clear of it; right, or above a level line."""
    length = math.dist(start, end) or 1.0
    across, along = (end[1] - start[1]) / length, -(end[0] - start[0]) / length
    if (across, along) < (0.0, 0.0):
        across, along = -across, -along
    distance = half[0] * abs(across) + half[1] * abs(along) + gap
    return across * distance, along * distance


def _near(filed: dict[int, set[Thing]], keys: Iterable[int]) -> set[Thing]:
    return set().union(*(filed[key] for key in keys))


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two straight lines cross."""

    def side(start: Point, end: Point, point: Point) -> float:
        (x, y), (x2, y2), (px, py) = start, end, point
        return (x2 - x) * (py - y) - (y2 - y) * (px - x)

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _slices(left: float, right: float) -> range:
    return range(int(left // _SLICE), int(right // _SLICE) + 1)


def _toward(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end)
    if length == 0.0:
        return start
    share = distance / length
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
