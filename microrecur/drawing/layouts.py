"""Chooses a layout by what the graph is: the textbook grid of a known cell, or automatic places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microrecur.drawing import below
from microrecur.drawing.automatic import draw_any
from microrecur.drawing.automatic import note as note_below
from microrecur.drawing.pinned import draw_known
from microrecur.drawing.roles import Cell, read_cell
from microrecur.drawing.scene import Caption, Scene, Text
from microrecur.drawing.shares import caption as routes_caption
from microrecur.drawing.sheet import Sheet
from microrecur.drawing.wish import Wish
from microrecur.graphs.notation import count, number, typeset

if TYPE_CHECKING:
    from microrecur.graphs.graph import Graph

_NAMES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def lay_out(graph: Graph, wish: Wish | None = None) -> Scene:
    """Read off a recorded graph what its picture shows.

    Parameters
    ----------
    graph
        At the level to draw.
    wish
        What is asked for beyond the graph itself.

    Returns
    -------
    Scene
        Pinned for an RNN, LSTM or GRU, single or unrolled; without places for anything else.
    """
    wish = wish or Wish()
    cell = read_cell(graph)
    sheet: Sheet | None = None
    if cell is None or not _routable(graph, cell):
        scene = draw_any(graph, wish)
    else:
        scene, sheet = draw_known(graph, cell, wish)
    scene.title = wish.title or _title(graph, cell if sheet else None)
    scene.description = _description(graph, wish)
    if sheet is None:
        about = _about(graph, wish) or (scene.description if wish.path is not None else "")
        for line in filter(None, (wish.caption, about)):
            note_below(scene, line)
        return scene
    about = _about(graph, wish)
    if sheet.track is not None:
        about = below.path_caption(sheet, sheet.track, wish.about)
    below.add_below(scene, sheet, " · ".join(filter(None, (wish.caption, about))))
    if wish.title:
        _add_title(scene, wish.title)
    return scene


def _about(graph: Graph, wish: Wish) -> str:
    """The line below a picture of all routes."""
    if wish.shares is None:
        return ""
    names = (_plain_name(graph, id) for id in (wish.shares.root, wish.shares.source))
    return routes_caption(wish.shares, *names)


def _routable(graph: Graph, cell: Cell) -> bool:
    """Whether the grid knows a way for every line between parts."""
    from microrecur.drawing.columns import blueprint

    plan = blueprint(cell, len(cell.steps) == 1, 120.0)
    if any(part not in plan.places for step, part in cell.parts.values() if step in cell.steps):
        return False
    parts = cell.parts
    joined = {
        (parts[e.target][0] - parts[e.source][0], parts[e.source][1], parts[e.target][1])
        for e in graph.edges
        if e.source in parts and e.target in parts
    }
    return all((source + "-" * back, target) in plan.routes for back, source, target in joined)


def _title(graph: Graph, cell: Cell | None) -> str:
    if cell is None:
        return f"recorded graph: {len(graph.nodes)} nodes, {len(graph.edges)} edges"
    variant = f" ({cell.variant})" if cell.variant else ""
    steps = f"{len(cell.steps)} steps" if len(cell.steps) > 1 else "one step"
    return f"{_NAMES[cell.kind]} cell{variant}, {steps}"


def _description(graph: Graph, wish: Wish) -> str:
    path = wish.path
    if wish.shares is not None:
        return f"All routes of the gradient. {_about(graph, wish)}."
    if path is None:
        size = f"{len(graph.nodes)} nodes and {len(graph.edges)} edges"
        return f"{size}; each edge shows its local derivative and bound."
    root, source = (_plain_name(graph, id) for id in (path.ids[0], path.ids[-1]))
    which = "the only path" if path.count == 1 else f"one path among {count(path.count)}"
    about = f" {wish.about}" if wish.about else ""
    return f"Path {root} → {source}: {which}, ∏ = {number(path.product)}{about}."


def _plain_name(graph: Graph, id: str) -> str:
    node = graph.find(id)
    return typeset(node.name, node.step) if node.name else id


def _add_title(scene: Scene, title: str) -> None:
    (left, _), (right, high) = below.extent(scene)
    scene.captions.append(Caption(Text(title, "plain", 14.0), ((left + right) / 2, high + 18.0)))
