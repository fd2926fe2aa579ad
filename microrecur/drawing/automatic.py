"""The layout of any other graph: no places, one panel per step or gate, states outside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.scene import Caption, Panel, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.shares import Shares, percent
from microrecur.drawing.style import LEGEND
from microrecur.drawing.thinning import fold_steps, repeat_parameters
from microrecur.drawing.track import Track, line_width, share_width
from microrecur.drawing.wish import Wish

if TYPE_CHECKING:
    from microrecur.graphs.graph import Edge, Graph, Node

GRADIENT = "∂"  # begins the scope of what a gradient is computed by
_KINDS = {
    "state": "state",
    "input": "input",
    "loss": "loss",
    "pre-activation": "pre-activation",
    "constant": "muted",
}


def draw_any(graph: Graph, wish: Wish) -> Scene:
    """Lay out a graph of which nothing is known but its steps and scopes."""
    names = wish.names
    track = Track.along(wish.path) if wish.path is not None and wish.shares is None else None
    scene = Scene("", "", theme=wish.theme, rankdir=wish.rankdir)
    scene.nodes = [_shape(node, names) for node in graph.nodes]
    groups = dict.fromkeys(node.group for node in scene.nodes if node.group is not None)
    scene.panels = [Panel(group, (0.0, 0.0), (0.0, 0.0), group, level=1) for group in groups]
    scene.edges = [_arrow(graph, edge, names, track, wish.shares) for edge in graph.edges]
    scene.edges = [_beside(graph, edge) for edge in scene.edges]
    fold_steps(scene, graph, wish, track)
    repeat_parameters(scene, graph)
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
    """Whether its symbol is all there is to tell; of a gradient's parts the numbers are."""
    if node.layer[:1] == (GRADIENT,):
        return False
    unnamed = not node.name and node.role != "loss"
    return unnamed and node.op in ("mul", "add", "sub") and _kind(node) in ("product", "plus")


def _lines(node: Node, names: labels.Names) -> tuple[str, ...]:
    if _is_sign(node):
        return (node.symbol,)
    if not node.name and node.role != "loss":
        size = (labels.size_text(node),) if "value" in names.show else ()
        return " ".join(filter(None, (node.symbol, labels.shape_text(node)))), *size
    head = (node.symbol,) if _kind(node) in ("gate slope", "squash slope") else ()
    named = labels.name_and_value(node, names)
    if node.value is not None:
        named = (" = ".join(named),)
    return (*head, *named, *labels.gradient_lines(node, names, 200.0))


def _group(node: Node) -> str | None:
    """The panel of a node: its layer and step, or its scope without steps; a state has none."""
    if node.role in ("state", "loss", "parameter") or (node.step is None and node.gate is None):
        return None
    parts = [*node.layer, f"t = {node.step}" if node.step is not None else node.gate or ""]
    return " · ".join(parts)


def _arrow(
    graph: Graph, edge: Edge, names: labels.Names, track: Track | None, shares: Shares | None
) -> SceneEdge:
    if shares is not None:
        return _share_arrow(edge, shares)
    on_path = track is not None and track.holds(edge)
    muted = graph.find(edge.source).role in ("input", "constant") and not on_path
    options: tuple[tuple[Text, ...], ...] = ()
    width = 1.1 if track else 1.4
    if on_path and track is not None:
        kept = track.leaving[edge.source]
        options = labels.path_wrappings(kept, track.after(edge), names, first=track.begins(edge))
        width = line_width(track.after(edge), track)
    elif track is None:
        options = labels.wrappings(edge, names)
    return SceneEdge(
        edge.source,
        edge.target,
        "muted" if muted else labels.edge_kind(edge.factors),
        options[0] if options else (),
        width=width,
        on_path=on_path,
        id=(edge.source, edge.target),
    )


def _beside(graph: Graph, edge: SceneEdge) -> SceneEdge:
    """A gradient's own computation runs from right to left, below the steps it belongs to."""
    source, target = (graph.find(id).layer[:1] == (GRADIENT,) for id in edge.id or ())
    if source:
        return replace(edge, back=True)
    # What the gradient reads of the forward pass: told by the lines there, no label has room.
    return replace(edge, aside=True, labels=()) if target else edge


def _share_arrow(edge: Edge, shares: Shares) -> SceneEdge:
    share = shares.of.get(edge, 0.0)
    kind = labels.edge_kind(edge.factors) if share else "muted"
    texts = labels.share(percent(share), edge)[0] if share else ()
    ends = (edge.source, edge.target)
    return SceneEdge(*ends, kind, texts, width=share_width(share), id=ends)


def note(scene: Scene, text: str) -> None:
    """A line of text below an automatic layout."""
    scene.captions.append(Caption(labels.note(text), (0.0, 0.0)))
