"""One node of the graph in one place of a blueprint: its shape, its colour, its words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.blueprint import Place
from microrecur.drawing.scene import Point, SceneNode
from microrecur.drawing.style import NODE_TEXT
from microrecur.drawing.text_size import LINE_HEIGHT, text_box, text_width
from microrecur.graphs.graph import called

if TYPE_CHECKING:
    from microrecur.graphs.graph import Node

_SHAPES = {
    "slope": "ellipse",
    "stacked": "ellipse",
    "op": "circle",
}
_MOST_LINES = 4  # in a narrow ellipse
_RIM, _SPARE = 1.6, 3.0  # of an outline; between two narrow ellipses
_INSIDE_ELLIPSE = 0.84  # of its width: what a line of text near the middle may take


def scene_node(
    node: Node,
    place: Place,
    names: labels.Names,
    origin: float,
    *,
    key: str = "",
    written: str = "",
) -> SceneNode:
    """The shape of a node whose step begins at `origin`."""
    lines = _lines(node, place, names, written)
    if place.look != "op":
        lines += labels.gradient_lines(node, names, place.size[0] * _INSIDE_ELLIPSE)
    if place.look == "stacked" and len(lines) > _MOST_LINES:
        lines = lines[1:]  # the name tells which gate it is; its symbol has no room
    return SceneNode(
        key=key or node.id,
        id=node.id,
        lines=lines,
        kind=_kind(node, place),
        shape=_SHAPES.get(place.look, "box"),
        center=(origin + place.x, place.y),
        size=_size(place, lines),
        flagged=labels.flagged(node) and place.look != "op",
    )


def _kind(node: Node, place: Place) -> str:
    if node.name == "x" or (node.name or "").startswith("Σ"):
        return "input"
    if place.look in ("slope", "stacked"):
        return node.kind if node.kind in ("gate slope", "squash slope") else "plain"
    if place.look in ("affine", "written") or node.role == "pre-activation":
        return "pre-activation"
    if place.look == "op":
        return "product" if node.op == "mul" else "plus"
    return "state"


def _lines(node: Node, place: Place, names: labels.Names, written: str) -> tuple[str, ...]:
    room = place.size[0] * _INSIDE_ELLIPSE
    if place.look == "slope":
        return labels.slope_lines(node, names, room)
    if place.look == "stacked":
        return labels.stacked_lines(node, names, room)
    if place.look == "affine":
        return labels.affine_lines(node, names, place.size[0] - 8.0)
    if place.look == "op":
        return (called(node.tensor)[0] if node.op == "sub" else node.symbol,)
    if place.look == "written" and written:
        value = (f"= {labels.size_text(node)}",) if "value" in names.show else ()
        return f"{names.node(node)} = {written}", *value
    if place.look == "input" and node.value is not None:
        return (" = ".join(labels.name_and_value(node, names)),)
    return labels.name_and_value(node, names)


def _height_around(lines: tuple[str, ...], width: float) -> float:
    """The height at which an ellipse of a width holds every line: it is narrow at its ends."""
    step, rise = LINE_HEIGHT * NODE_TEXT, 0.34 * NODE_TEXT  # rise: of a digit from its middle
    most = 0.0
    for k, line in enumerate(lines):
        far = abs(k - (len(lines) - 1) / 2) * step + rise
        share = min(text_width(line, NODE_TEXT) / (width - _RIM), 0.88)
        most = max(most, far / math.sqrt(1.0 - share * share))
    return 2 * most


def _size(place: Place, lines: tuple[str, ...]) -> Point:
    """The planned size, grown where the words need more; a circle keeps its own."""
    if place.look == "op":
        return place.size
    width, height = text_box(lines, NODE_TEXT)
    if place.look == "stacked":
        air = 16.0 if len(lines) < 5 else 30.0  # the last of many lines is near the narrow end
        wide = place.size[0] + _SPARE * (width > 0.8 * place.size[0])
        return wide, max(place.size[1], height + air, _height_around(lines, wide))
    stretch = 1.0 / _INSIDE_ELLIPSE if place.look == "slope" else 1.0
    return max(place.size[0], width * stretch + 10.0 * (stretch == 1.0)), max(
        place.size[1], height + 8.0
    )
