"""Finds labels that cover something: measured with the real font, apart from what placed them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from microrecur.drawing.scene import Panel, Scene, SceneEdge, SceneNode

Rectangle = tuple[float, float, float, float]  # left, low, right, high
_LINE = 1.0  # height of a line of text without the air above and below it, in text sizes
_SAMPLES = 60  # points tried along a line and around an ellipse


@cache
def _font() -> Any:
    import matplotlib
    from fontTools.ttLib import TTFont

    return TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def width(text: str, size: float) -> float:
    """Width of a text in points as DejaVu Sans has it."""
    letters, advances = _font().getBestCmap(), _font()["hmtx"]
    missing = [letter for letter in text if ord(letter) not in letters]
    assert not missing, f"DejaVu Sans has no {missing}"
    return sum(advances[letters[ord(letter)]][0] for letter in text) * size / 2048


def label_rectangle(edge: SceneEdge) -> Rectangle:
    """The rectangle the lines of a label fill."""
    assert edge.label_at is not None
    x, y = edge.label_at
    half = max(width(line.text, line.size) for line in edge.labels) / 2
    high = sum(1.2 * line.size for line in edge.labels) / 2 - 0.1 * edge.labels[0].size * _LINE
    return x - half, y - high, x + half, y + high


def collisions(scene: Scene) -> list[str]:
    """What covers what, in words; empty when every label stands free."""
    labelled = [edge for edge in scene.edges if edge.labels]
    found = []
    for one, other in combinations(labelled, 2):
        if _meet(label_rectangle(one), label_rectangle(other)):
            found.append(f"{_text(one)} covers {_text(other)}")
    for edge in labelled:
        box = label_rectangle(edge)
        for node in scene.nodes:
            if node.shape != "point" and _reaches(box, node):
                found.append(f"{_text(edge)} covers the node {node.key}")
        for line in scene.edges:
            if any(_inside(box, point) for point in _along(line)):
                found.append(f"{_text(edge)} lies on the line {line.source} → {line.target}")
        for caption in scene.captions:
            half = width(caption.text.text, caption.text.size) / 2
            x, y = caption.at
            if _meet(box, (x - half, y - 5.0, x + half, y + 5.0)):
                found.append(f"{_text(edge)} covers the caption {caption.text.text}")
        for panel in scene.panels:
            if panel.label and panel.label_at is not None:
                half, (x, y) = width(panel.label, 11.0) / 2, panel.label_at
                if _meet(box, (x - half, y - 5.0, x + half, y + 5.0)):
                    found.append(f"{_text(edge)} covers the panel's {panel.label}")
    return found


def touches(scene: Scene) -> list[str]:
    """Labels that lie on the outline of a panel."""
    return [
        f"{_text(edge)} touches the outline of {panel.key}"
        for edge in scene.edges
        if edge.labels
        for panel in scene.panels
        if _meet(box := label_rectangle(edge), (*panel.low, *panel.high))
        and not _within(box, panel)
    ]


def _within(box: Rectangle, panel: Panel) -> bool:
    (left, low), (right, high) = panel.low, panel.high
    return left < box[0] and low < box[1] and box[2] < right and box[3] < high


def overflows(scene: Scene) -> list[str]:
    """Shapes whose words are wider than they are."""
    return [
        f"{line!r} in {node.key}"
        for node in scene.nodes
        for line in node.lines
        if width(line, 12.0) > node.size[0] - 2.0
    ]


def _text(edge: SceneEdge) -> str:
    return " / ".join(line.text for line in edge.labels)


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _inside(box: Rectangle, point: tuple[float, float]) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def _reaches(box: Rectangle, node: SceneNode) -> bool:
    assert node.center is not None
    (x, y), (w, h) = node.center, node.size
    if node.shape not in ("ellipse", "circle"):
        return _meet(box, (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    near_x = min(max(x, box[0]), box[2])
    near_y = min(max(y, box[1]), box[3])
    return (2 * (near_x - x) / w) ** 2 + (2 * (near_y - y) / h) ** 2 < 1


def _along(edge: SceneEdge) -> Iterator[tuple[float, float]]:
    for start, end in pairwise(edge.points or ()):
        for k in range(_SAMPLES + 1):
            share = k / _SAMPLES
            yield start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
