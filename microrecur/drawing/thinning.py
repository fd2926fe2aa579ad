"""Makes a long automatic layout small: steps folded, parameters repeated where they are used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from microrecur.drawing.columns import FOLD, shown_steps
from microrecur.drawing.scene import Scene, SceneEdge, SceneNode
from microrecur.drawing.track import Track
from microrecur.graphs.notation import number

if TYPE_CHECKING:
    from microrecur.drawing.wish import Wish
    from microrecur.graphs.graph import Graph

# How many steps are drawn, and how many are kept at either end of more.
_LIMIT = (6, 2, 2)


def fold_steps(scene: Scene, graph: Graph, wish: Wish, track: Track | None) -> None:
    """Put one dashed shape in place of the steps that are not shown."""
    every = tuple(
        sorted({node.step for node in graph.nodes if node.step is not None and node.op is not None})
    )
    if len(every) < 2:
        return
    shown = set(shown_steps(every, _LIMIT, wish.steps, wish.fold))
    if len(shown) == len(every):
        return
    runs: dict[int, str] = {}
    for hidden, run in groupby(every, lambda step: step not in shown):
        steps = tuple(run)
        if hidden:
            key = f"{FOLD}{steps[0]}"
            runs |= dict.fromkeys(steps, key)
            scene.nodes.append(_shape(key, steps, graph, track))
    inside = {
        node.id: runs[node.step]
        for node in graph.nodes
        if node.step in runs and (node.op is not None or node.role != "state")
    }
    scene.nodes = [node for node in scene.nodes if node.id not in inside]
    scene.edges = _rejoined(scene.edges, inside)
    groups = {node.group for node in scene.nodes}
    scene.panels = [panel for panel in scene.panels if panel.key in groups]


def _shape(key: str, steps: tuple[int, ...], graph: Graph, track: Track | None) -> SceneNode:
    lines = [f"{len(steps)} step{'s' * (len(steps) > 1)}", "folded"]
    if track is not None:
        inside = [e for e in track.path.edges if graph.find(e.target).step in steps]
        product = math.prod(map(track.path.size, inside))
        if inside:
            signed = track.path.signed
            lines.append(f"× {number(product)}" if signed else f"× ≤ {number(product)}")
    return SceneNode(key, FOLD, tuple(lines), "folded", "folded")


def _rejoined(edges: list[SceneEdge], inside: Mapping[str, str]) -> list[SceneEdge]:
    """Edges that end at the folded shapes instead of inside them, each once."""
    kept: dict[tuple[str, str], SceneEdge] = {}
    found: list[SceneEdge] = []
    for edge in edges:
        source, target = (inside.get(end, end) for end in (edge.source, edge.target))
        if (source, target) == (edge.source, edge.target):
            found.append(edge)
        elif source != target:
            into = target != edge.target  # what a shown state hands on is folded too
            plain = replace(edge, source=source, target=target, kind="plain", labels=(), id=None)
            joined = plain if into else replace(edge, source=source)
            before = kept.get((source, target))
            if before is None or (edge.on_path and not before.on_path):
                kept[source, target] = joined
    return found + list(kept.values())


def repeat_parameters(scene: Scene, graph: Graph) -> None:
    """Draw each parameter once per panel that uses it: shared ones would tie all steps together."""
    steps = {node.step for node in graph.nodes if node.op is not None and node.step is not None}
    parameters = {node.id for node in graph.nodes if node.role == "parameter"}
    if len(steps) < 2 or not parameters:
        return
    shapes = {node.key: node for node in scene.nodes}
    copies: dict[str, SceneNode] = {}
    edges: list[SceneEdge] = []
    for edge in scene.edges:
        if edge.source not in parameters:
            edges.append(edge)
        elif edge.target not in parameters:
            target = shapes[edge.target]
            place = target.group or target.key
            key = f"{edge.source} in {place}"
            copies.setdefault(key, replace(shapes[edge.source], key=key, group=target.group))
            edges.append(replace(edge, source=key))
    scene.nodes = [n for n in scene.nodes if n.key not in parameters] + list(copies.values())
    scene.edges = edges
