"""Which shapes of the SVG stand for what: nodes, edges, their labels, the bars of the strip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from microrecur.drawing.scene import Scene, SceneEdge

Ends = tuple[str, str]  # source id, target id
Ids = tuple[str, ...]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Parts:
    """The ids in the SVG, by what they stand for in the graph.

    An edge that runs into the folded steps ends at the id of their shape; the line between an op
    and the state box in front of it belongs to the node that both stand for.
    """

    nodes: dict[str, Ids] = field(default_factory=dict)
    edges: dict[Ends, Ids] = field(default_factory=dict)
    labels: dict[Ends, Ids] = field(default_factory=dict)
    bars: dict[str, Ids] = field(default_factory=dict)
    tips: dict[str, Ends] = field(default_factory=dict)  # of each line: the shapes it joins


def parts(scene: Scene, prefix: str = "") -> Parts:
    """Read off a scene which ids `dot.to_digraph` gives its shapes.

    Parameters
    ----------
    scene : Scene
    prefix : str
        What stands before every id in the cleaned SVG, hyphen included.

    Examples
    --------
    >>> from microrecur.drawing.scene import SceneNode
    >>> node = SceneNode("h", "t1.h", ("h₁",), "state", "box")
    >>> parts(Scene("one state", "", nodes=[node]), "fig-").nodes
    {'t1.h': ('fig-n0',)}
    """
    found = Parts()
    ids = {node.key: node.id for node in scene.nodes}
    for i, node in enumerate(scene.nodes):
        _add(found.nodes, node.id, f"{prefix}n{i}")
    names = {node.key: f"{prefix}n{i}" for i, node in enumerate(scene.nodes)}
    for i, edge in enumerate(scene.edges):
        found.tips[f"{prefix}e{i}"] = names[edge.source], names[edge.target]
        ends = edge.id or (ids[edge.source], ids[edge.target])
        if ends[0] == ends[1]:
            _add(found.nodes, ends[0], f"{prefix}e{i}")
            continue
        _add(found.edges, ends, f"{prefix}e{i}")
        _add(found.labels, ends, *_label_ids(scene, edge, f"{prefix}e{i}"))
    for i, bar in enumerate(scene.bars):
        if bar.id is not None:
            _add(found.bars, bar.id, f"{prefix}b{i}")
    for i, caption in enumerate(scene.captions):
        if caption.id is not None:
            _add(found.bars, caption.id, f"{prefix}c{i}")
    return found


def _label_ids(scene: Scene, edge: SceneEdge, name: str) -> Ids:
    """The texts beside a pinned edge; an automatic layout keeps them in the edge's own group."""
    return tuple(f"{name}t{k}" for k in range(len(edge.labels))) if scene.pinned else ()


def _add(table: dict[Key, Ids], key: Key, *ids: str) -> None:
    if ids:
        table[key] = (*table.get(key, ()), *ids)
