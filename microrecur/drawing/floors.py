"""Stacked layers by gate or by op: each layer a floor of its own, the first at the bottom.

A floor is drawn as the cell it is. What it reads from the layer below stands where a cell has its
input, so no line leaves its floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from microrecur.drawing.below import extent
from microrecur.drawing.pinned import draw_known
from microrecur.drawing.scene import Point, Scene, SceneEdge, SceneNode
from microrecur.drawing.shares import Shares
from microrecur.drawing.sheet import Sheet
from microrecur.drawing.text_size import text_width
from microrecur.drawing.track import Track
from microrecur.graphs.graph import Edge, Graph, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from microrecur.drawing.roles import Cell
    from microrecur.drawing.wish import Wish

NOTE = "each layer reads the states of the layer below it, shown again as its inputs"
_GAP = 26.0  # between floors


class Given(Node):
    """A state of the layer below, as the input of a cell."""


@dataclass
class Layer(Graph):
    """One layer of a graph, read as a graph of its own."""

    whole: Graph
    layer: tuple[str, ...]
    last: bool

    climbed: dict[Edge, Edge] = field(default_factory=dict)  # own edge -> that of the whole

    def __post_init__(self) -> None:
        self.roots, self.level, self._records = self.whole.roots, self.whole.level, None

    @cached_property
    def given(self) -> dict[str, Given]:
        """State of the layer below -> the input it is here."""
        found: dict[str, Given] = {}
        for edge in self.whole.edges:
            source, target = self.whole.find(edge.source), self.whole.find(edge.target)
            below = source.step is not None and source.layer != self.layer
            if target.layer == self.layer and target.step is not None and below:
                id = ".".join([*self.layer, f"t{source.step}", "x"])
                found[source.id] = Given(
                    id, source.tensor, "input", source.step, None, self.layer, source.gradient
                )
        return found

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The layer's own nodes and its inputs; of the last layer also what follows."""
        own = [
            node
            for node in self.whole.nodes
            if (node.layer == self.layer and node.step is not None)
            or (self.last and node.step is None)
        ]
        return (*self.given.values(), *own)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The edges between them."""
        kept = {node.id for node in self.nodes}
        found = []
        for edge in self.whole.edges:
            if edge.target not in kept:
                continue
            if edge.source in kept:
                found.append(edge)
            elif edge.source in self.given:
                source = self.given[edge.source].id
                told = (edge.factors, edge.paths, edge.value, edge.norm)
                found.append(Edge(source, edge.target, *told))
                self.climbed[found[-1]] = edge
        return tuple(found)

    def track(self, whole: Track) -> Track:
        """A path of the whole graph as it runs over this floor."""
        running, leaving = dict(whole.running), dict(whole.leaving)
        for own in self.edges:
            edge = self.climbed.get(own)
            if edge is not None and whole.holds(edge):
                leaving[own.source] = own
                running[own.source] = whole.running[edge.source]
        return Track(whole.path, running, leaving, whole.largest)

    def shares(self, whole: Shares) -> Shares:
        """The shares of the whole graph on this floor's edges, and what its states hand up."""
        kept = {node.id for node in self.nodes}
        of = {own: whole.of.get(self.climbed.get(own, own), 0.0) for own in self.edges}
        up: dict[str, float] = {}
        for edge in self.whole.edges:
            if edge.source in kept and edge.target not in kept:
                up[edge.source] = up.get(edge.source, 0.0) + whole.of.get(edge, 0.0)
        return Shares(of, whole.flow, whole.source, whole.root, up)


def read_floors(
    graph: Graph, read: Callable[[Graph], Cell | None]
) -> list[tuple[Layer, Cell]] | None:
    """The layers of a stack from the first to the last, each read as a cell; None if it is none."""
    stepped = [node for node in graph.nodes if node.step is not None]
    layers = list(dict.fromkeys(node.layer for node in stepped))
    if graph.level not in ("op", "gate") or len(layers) < 2 or not _climbs(graph, layers):
        return None
    found = []
    for layer in layers:
        view = Layer(graph, layer, layer == layers[-1])
        cell = read(view)
        if cell is None:
            return None
        found.append((view, cell))
    return found if len({cell.steps for _, cell in found}) == 1 else None


def _climbs(graph: Graph, layers: list[tuple[str, ...]]) -> bool:
    """Whether every layer reads only the states of the one below, at the same step."""
    for edge in graph.edges:
        source, target = graph.find(edge.source), graph.find(edge.target)
        if source.step is None:
            continue
        if target.step is None:
            if source.layer != layers[-1]:
                return False
        elif source.layer != target.layer and (
            source.step != target.step
            or source.role != "state"
            or layers.index(target.layer) != layers.index(source.layer) + 1
        ):
            return False
    return True


def draw_floors(floors: Sequence[tuple[Layer, Cell]], wish: Wish) -> tuple[Scene, Sheet]:
    """Lay out every layer, the last on top; the sheet tells where all of their nodes stand."""
    scene = Scene("", "", theme=wish.theme)
    track = Track.along(wish.path) if wish.path is not None and wish.shares is None else None
    sheets = []
    low = 0.0
    behind = len(floors[-1][1].tail)
    for view, cell in reversed(floors):
        cell = replace(cell, behind=behind)
        shares = view.shares(wish.shares) if wish.shares is not None else None
        own = view.track(track) if track is not None else None
        part, sheet = draw_known(view, cell, replace(wish, path=None, shares=shares), own)
        sheets.append(sheet)
        (_, foot), (_, top) = extent(part)
        drop = low - top if scene.nodes else 0.0
        _add(scene, part, view, drop)
        low = foot + drop - _GAP
    return scene, _joined(floors, sheets, track)


def _joined(
    floors: Sequence[tuple[Layer, Cell]], sheets: Sequence[Sheet], track: Track | None
) -> Sheet:
    """All floors as one sheet, for what stands below them."""
    top = sheets[0]
    parts = {id: part for _, cell in floors for id, part in cell.parts.items()}
    nodes = {key: node for sheet in sheets for key, node in sheet.nodes.items()}
    cell, names = replace(top.cell, parts=parts), replace(top.names, layered=True)
    graph = floors[0][0].whole
    return replace(top, graph=graph, cell=cell, nodes=nodes, names=names, track=track)


def _add(scene: Scene, part: Scene, view: Layer, drop: float) -> None:
    """Put a floor below what is drawn, under the ids of the whole graph."""
    ids = {given.id: id for id, given in view.given.items()}
    name = ".".join(view.layer)

    def down(point: Point) -> Point:
        return point[0], point[1] + drop

    def key(own: str) -> str:
        return own if own.startswith(f"{name}.") or view.last else f"{name} {own}"

    for panel in part.panels:
        label = f"{name} · {panel.label}" if panel.key.startswith("step ") else panel.label
        at = panel.label_at
        if at is not None:
            wider = text_width(label, 11.0) - text_width(panel.label, 11.0)
            at = at[0] - wider / 2, at[1] + drop
        places = {"low": down(panel.low), "high": down(panel.high), "label_at": at}
        scene.panels.append(replace(panel, key=f"{name} {panel.key}", label=label, **places))  # type: ignore[arg-type]
    for node in part.nodes:
        assert node.center is not None
        scene.nodes.append(_moved(node, key(node.key), ids.get(node.id, node.id), down))
    for edge in part.edges:
        scene.edges.append(_line(edge, key, ids, down))


def _moved(node: SceneNode, key: str, id: str, down: Callable[[Point], Point]) -> SceneNode:
    assert node.center is not None
    return replace(node, key=key, id=id, center=down(node.center))


def _line(
    edge: SceneEdge,
    key: Callable[[str], str],
    ids: dict[str, str],
    down: Callable[[Point], Point],
) -> SceneEdge:
    ends = tuple(ids.get(id, id) for id in edge.id) if edge.id else None
    return replace(
        edge,
        source=key(edge.source),
        target=key(edge.target),
        points=tuple(map(down, edge.points or ())),
        label_at=down(edge.label_at) if edge.label_at is not None else None,
        id=(ends[0], ends[1]) if ends else None,
    )
