"""Finds a way for a line among shapes and other lines: straight, or along rows and columns.

Few corners first; a line never runs through a shape or along a line of another source if there is
any other way, and crosses as few lines as it can. Deterministic, and small: one step of one cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

from microrecur.drawing.overlaps import Box, segment_meets
from microrecur.drawing.scene import Point

Segment = tuple[Point, Point]

_AIR = 4.0  # between a line and a shape it passes
_BESIDE = 7.0  # lines of two sources that run closer than this are read as one
_THROUGH, _ALONG, _CROSSING, _CORNER, _OFF = 1000.0, 300.0, 8.0, 5.0, 0.08
_LENGTH = 0.02  # per point


@dataclass(slots=True)
class Router:
    """What stands, what runs, and the rows and columns that are free for lines."""

    shapes: dict[str, Box] = field(default_factory=dict)
    lines: list[tuple[str, Segment]] = field(default_factory=list)
    rows: Sequence[float] = ()
    columns: Sequence[float] = ()
    slant: float = 4.0  # how little a slanted line is liked

    def keep(self, source: str, points: Sequence[Point]) -> None:
        """Remember a line, so that later ones keep clear of it."""
        self.lines += [(source, segment) for segment in pairwise(points)]

    def corners(self, line: str, source: str, target: str) -> tuple[Point, ...]:
        """The corners of the cheapest way between two shapes, and keep it.

        Parameters
        ----------
        line
            Whose line it is: those of one source may share their way.
        source, target
            Keys of shapes.
        """
        start, end = (_middle(self.shapes[key]) for key in (source, target))
        best: tuple[float, tuple[Point, ...]] | None = None
        for dislike, corners in sorted(self._candidates(source, target), key=lambda c: c[0]):
            if best is not None and best[0] <= dislike:
                break
            cost = dislike + self._cost(line, source, target, _drawn(start, corners, end))
            if best is None or cost < best[0]:
                best = cost, corners
        assert best is not None
        self.keep(line, _drawn(start, best[1], end))
        return best[1]

    def _candidates(self, source: str, target: str) -> Iterator[tuple[float, tuple[Point, ...]]]:
        """Ways with how little each is liked for itself."""
        (sx, sy), (tx, ty) = (_middle(self.shapes[key]) for key in (source, target))
        out = [sx + off for off in _offsets(self.shapes[source])]
        into = [tx + off for off in _offsets(self.shapes[target])]
        ways: list[tuple[Point, ...]] = [()]
        ways += [((x, sy),) for x in into] + [((x, ty),) for x in out]
        ways += [((a, row), (b, row)) for row, a, b in product(self.rows, out, into)]
        ways += [((column, sy), (column, ty)) for column in self.columns]
        ways += [
            ((sx, row), (column, row), (column, ty))
            for row, column in product(self.rows, self.columns)
        ]
        ways += [
            ((column, sy), (column, row), (b, row))
            for row, column, b in product(self.rows, self.columns, (tx, into[-1]))
        ]
        for corners in ways:
            points = ((sx, sy), *corners, (tx, ty))
            length = sum(math.dist(*piece) for piece in pairwise(points))
            slant = not corners and min(abs(sx - tx), abs(sy - ty)) > 1.0
            off = sum(abs(x - sx) for x, _ in corners[:1] if x in out)
            off += sum(abs(x - tx) for x, _ in corners[-1:] if x in into)
            yield (
                _LENGTH * length + _CORNER * len(corners) + self.slant * slant + _OFF * off,
                corners,
            )

    def _cost(self, line: str, source: str, target: str, points: tuple[Point, ...]) -> float:
        """What a way runs through, along and across."""
        total = 0.0
        pieces = list(pairwise(points))
        for number, (start, end) in enumerate(pieces):
            for key, box in self.shapes.items():
                at_home = (key == source and number == 0) or (
                    key == target and number == len(pieces) - 1
                )
                if not at_home and segment_meets(box, start, end, _AIR):
                    total += _THROUGH
            for other, piece in self.lines:
                if other == line:
                    continue
                if _runs_along((start, end), piece):
                    total += _ALONG
                elif _crosses((start, end), piece):
                    total += _CROSSING
        return total


def _drawn(start: Point, corners: tuple[Point, ...], end: Point) -> tuple[Point, ...]:
    """The line as it is drawn: off a shape's middle it leaves and lands straight."""
    if not corners:
        return start, end
    (a, low), (b, high) = corners[0], corners[-1]
    first = start if low == start[1] else (a, start[1])
    last = end if high == end[1] else (b, end[1])
    return (first, *corners, last)


def _middle(box: Box) -> Point:
    return (box.left + box.right) / 2, (box.low + box.high) / 2


def _offsets(box: Box) -> list[float]:
    """Where lines may leave a shape's top or foot, the middle first."""
    half = (box.right - box.left) / 2
    found = [0.0]
    for share in (0.36, 0.64):
        if share * half >= 7.0:
            found += [-share * half, share * half]
    return found


def _runs_along(one: Segment, other: Segment) -> bool:
    """Whether two parallel level or upright lines are near each other over some length."""
    for across, along in ((0, 1), (1, 0)):
        flat = abs(one[0][across] - one[1][across]) < 0.5
        if flat and abs(other[0][across] - other[1][across]) < 0.5:
            apart = abs(one[0][across] - other[0][across])
            low = max(min(p[along] for p in one), min(p[along] for p in other))
            high = min(max(p[along] for p in one), max(p[along] for p in other))
            if apart < _BESIDE and high - low > 3.0:
                return True
    return False


def _crosses(one: Segment, other: Segment) -> bool:
    (a, b), (c, d) = one, other
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(start: Point, end: Point, point: Point) -> float:
    (x, y), (x2, y2), (px, py) = start, end, point
    return (x2 - x) * (py - y) - (y2 - y) * (px - x)
