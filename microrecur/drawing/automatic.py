"""The layout of any other graph: no places, one panel per step or gate, states outside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.scene import Caption, Panel, Scene, SceneEdge, SceneNode
from microrecur.drawing.style import LEGEND
from microrecur.drawing.track import Track, line_width

if TYPE_CHECKING:
    from microrecur.flows.paths import Path
    from microrecur.graphs.graph import Edge, Graph, Node

_KINDS = {
    "state": "state",
    "input": "input",
    "loss": "loss",
    "pre-activation": "pre-activation",
    "constant": "muted",
}


def draw_any(graph: Graph, path: Path | None, *, theme: str, rankdir: str) -> Scene:
    """Lay out a graph of which nothing is known but its steps and scopes."""
    names = labels.Names()
    track = Track.along(path) if path is not None else None
    scene = Scene("", "", theme=theme, rankdir=rankdir)
    scene.nodes = [_shape(node, names) for node in graph.nodes]
    groups = dict.fromkeys(node.group for node in scene.nodes if node.group is not None)
    scene.panels = [Panel(group, (0.0, 0.0), (0.0, 0.0), group, level=1) for group in groups]
    scene.edges = [_arrow(graph, edge, names, track) for edge in graph.edges]
    kinds = {edge.kind for edge in scene.edges} | {node.kind for node in scene.nodes}
    scene.legend = tuple(kind for kind in LEGEND if kind in kinds)
    return scene


def _shape(node: Node, names: labels.Names) -> SceneNode:
    kind = _kind(node)
    shape = (
        "ellipse"
        if kind in ("gate slope", "squash slope")
        else "circle"
        if _is_sign(node)
        else "box"
    )
    return SceneNode(
        node.id,
        node.id,
        _lines(node, names),
        kind,
        shape,
        flagged=labels.flagged(node),
        group=_group(node),
    )


def _kind(node: Node) -> str:
    if node.role in _KINDS:
        return _KINDS[node.role]
    if node.role == "parameter":
        return "weight"
    if node.kind in ("gate slope", "squash slope", "product"):
        return node.kind
    return "plus" if node.kind in ("pass", "constant", "reduction") else "plain"


def _is_sign(node: Node) -> bool:
    return not node.name and node.op in ("mul", "add", "sub") and _kind(node) in ("product", "plus")


def _lines(node: Node, names: labels.Names) -> tuple[str, ...]:
    if _is_sign(node):
        return (node.symbol,)
    if not node.name:
        return " ".join(filter(None, (node.symbol, labels.shape_text(node)))), labels.size_text(
            node
        )
    name, size = labels.name_and_value(node, names)
    head = (node.symbol,) if _kind(node) in ("gate slope", "squash slope") else ()
    return (*head, f"{name} = {size}") if node.value is not None else (*head, name, size)


def _group(node: Node) -> str | None:
    """The panel of a node: its layer and step, or its scope without steps; a state has none."""
    if node.role in ("state", "loss", "parameter") or (node.step is None and node.gate is None):
        return None
    parts = [*node.layer, f"t = {node.step}" if node.step is not None else node.gate or ""]
    return " · ".join(parts)


def _arrow(graph: Graph, edge: Edge, names: labels.Names, track: Track | None) -> SceneEdge:
    on_path = track is not None and track.holds(edge)
    source = graph.find(edge.source)
    kind = (
        "muted"
        if source.role in ("input", "constant") and not on_path
        else labels.edge_kind(edge.factors)
    )
    if on_path and track is not None:
        options = labels.path_wrappings(edge, track.after(edge), names, first=track.begins(edge))
        texts = options[0] if options else ()
    elif track is not None:
        texts = ()
    else:
        texts = labels.wrappings(edge, names)[0]
    width = (
        line_width(track.after(edge), track)
        if on_path and track is not None
        else 1.1
        if track
        else 1.4
    )
    return SceneEdge(
        edge.source,
        edge.target,
        kind,
        texts,
        width=width,
        on_path=on_path,
        id=(edge.source, edge.target),
    )


def note(scene: Scene, text: str) -> None:
    """A line of text below an automatic layout."""
    scene.captions.append(Caption(labels.note(text), (0.0, 0.0)))
