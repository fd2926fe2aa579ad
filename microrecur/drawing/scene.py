"""A scene: what a picture shows, as plain data that knows neither tensors nor graphviz.

A layout reads a recorded graph and writes a scene; `dot.py` writes the scene as DOT. Lengths are
points (1/72 inch), x to the right, y up. A node without a position leaves the whole scene to
automatic layout.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text of one kind: `kind` picks its colour, `size` is in points."""

    text: str
    kind: str = "plain"
    size: float = 11.0


@dataclass(frozen=True, slots=True)
class SceneNode:
    """One drawn shape.

    `key` is unique in its scene; `id` is the graph id it stands for (several shapes may stand for
    one graph node: a + and the state box behind it). `shape` is one of box, ellipse, circle, point,
    folded.
    """

    key: str
    id: str
    lines: tuple[str, ...]
    kind: str
    shape: str
    center: Point | None = None
    size: Point = (60.0, 34.0)
    flagged: bool = False  # holds nan or infinity: drawn as such, in the warning colour
    group: str | None = None  # automatic layout: the panel (cluster) this node belongs to


@dataclass(frozen=True, slots=True)
class SceneEdge:
    """One drawn arrow.

    `points` is the polyline to follow, ends included, when the scene is pinned (None lets a pinned
    scene draw a straight line between the two shapes). `labels` are lines of text stacked around
    `label_at` (centre).
    """

    source: str
    target: str
    kind: str
    labels: tuple[Text, ...] = ()
    label_at: Point | None = None
    points: tuple[Point, ...] | None = None
    width: float = 1.4
    arrow: bool = True
    on_path: bool = False
    back: bool = False  # automatic layout: runs against the direction, as a gradient does
    aside: bool = False  # automatic layout: joins two parts without pulling them apart
    id: tuple[str, str] | None = None  # (source id, target id) in the graph


@dataclass(frozen=True, slots=True)
class Panel:
    """A rounded rectangle behind the nodes (a step, a gate, the cell), its caption in a corner."""

    key: str
    low: Point
    high: Point
    label: str = ""
    label_at: Point | None = None
    level: int = 0  # 0 outermost (outline only), 1 inside it (filled)
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Caption:
    """Free text at a place: a legend entry, a note below the figure, a number over a bar."""

    text: Text
    at: Point
    align: str = "center"  # left, center or right of `at`
    id: str | None = None  # the graph node whose number this is


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled rectangle of the strip of running products (or a legend swatch)."""

    low: Point
    high: Point
    kind: str
    id: str | None = None  # the graph node it measures


@dataclass(slots=True)
class Scene:
    """Everything one picture shows, in drawing order: panels, bars, edges, nodes, captions."""

    title: str
    description: str
    nodes: list[SceneNode] = field(default_factory=list)
    edges: list[SceneEdge] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    legend: tuple[str, ...] = ()  # kinds to explain, when layout is automatic
    theme: str = "light"
    rankdir: str = "LR"

    @property
    def pinned(self) -> bool:
        """Whether every node has its place."""
        return bool(self.nodes) and all(node.center is not None for node in self.nodes)


def moved(scene: Scene, by: Point) -> Scene:
    """The same pinned scene elsewhere."""

    def at(point: Point) -> Point:
        return point[0] + by[0], point[1] + by[1]

    def maybe(point: Point | None) -> Point | None:
        return at(point) if point is not None else None

    return replace(
        scene,
        nodes=[replace(node, center=maybe(node.center)) for node in scene.nodes],
        edges=[
            replace(
                edge,
                label_at=maybe(edge.label_at),
                points=tuple(map(at, edge.points)) if edge.points is not None else None,
            )
            for edge in scene.edges
        ],
        panels=[
            replace(p, low=at(p.low), high=at(p.high), label_at=maybe(p.label_at))
            for p in scene.panels
        ],
        bars=[replace(bar, low=at(bar.low), high=at(bar.high)) for bar in scene.bars],
        captions=[replace(caption, at=at(caption.at)) for caption in scene.captions],
    )
