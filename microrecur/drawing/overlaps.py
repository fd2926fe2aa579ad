"""Which rectangles, ellipses and lines cover each other, and where a bent line lands on a shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

from microrecur.drawing.dot_lines import border
from microrecur.drawing.scene import Point, SceneNode


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle."""

    left: float
    low: float
    right: float
    high: float

    @classmethod
    def around(cls, center: Point, size: Point, margin: float = 0.0) -> Box:
        """The rectangle of a size about its centre, grown on every side by a margin."""
        (x, y), half_width, half_height = center, size[0] / 2 + margin, size[1] / 2 + margin
        return cls(x - half_width, y - half_height, x + half_width, y + half_height)

    def covers(self, other: Box) -> bool:
        """Whether two rectangles share some area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.low < other.high
            and other.low < self.high
        )


def ellipse_meets(box: Box, center: Point, size: Point) -> bool:
    """Whether an ellipse reaches into a rectangle: its point nearest the centre decides."""
    across = min(max(center[0], box.left), box.right) - center[0]
    along = min(max(center[1], box.low), box.high) - center[1]
    return (2 * across / size[0]) ** 2 + (2 * along / size[1]) ** 2 < 1.0


def segment_meets(box: Box, start: Point, end: Point, margin: float = 0.0) -> bool:
    """Whether a line of half-width `margin` reaches into a rectangle (Liang and Barsky 1984)."""
    low, high = 0.0, 1.0
    limits = ((box.left - margin, box.right + margin), (box.low - margin, box.high + margin))
    for axis, (floor, ceiling) in enumerate(limits):
        span = end[axis] - start[axis]
        if span == 0.0:
            if not floor < start[axis] < ceiling:
                return False
            continue
        near, far = sorted(((floor - start[axis]) / span, (ceiling - start[axis]) / span))
        low, high = max(low, near), min(high, far)
    return low < high


def landing(node: SceneNode, corner: Point) -> Point:
    """Where a leg of a bent line lands: straight on if it hits, else towards the centre."""
    assert node.center is not None
    dx, dy = corner[0] - node.center[0], corner[1] - node.center[1]
    half_width, half_height = node.size[0] / 2, node.size[1] / 2
    if abs(dx) < half_width and abs(dy) >= half_height:
        rise = _rise(node.shape, half_height, dx / half_width)
        return corner[0], node.center[1] + math.copysign(rise, dy)
    if abs(dy) < half_height and abs(dx) >= half_width:
        rise = _rise(node.shape, half_width, dy / half_height)
        return node.center[0] + math.copysign(rise, dx), corner[1]
    return border(node, corner)


def _rise(shape: str, half: float, share: float) -> float:
    return half * math.sqrt(1.0 - share * share) if shape in ("ellipse", "circle") else half
