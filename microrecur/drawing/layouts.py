"""Chooses a layout by what the graph is: the textbook grid of a known cell, or automatic places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microrecur.drawing import below
from microrecur.drawing.automatic import draw_any
from microrecur.drawing.automatic import note as note_below
from microrecur.drawing.pinned import draw_known
from microrecur.drawing.roles import Cell, read_cell
from microrecur.drawing.scene import Caption, Scene, Text
from microrecur.drawing.sheet import Sheet
from microrecur.graphs.notation import count, number, typeset

if TYPE_CHECKING:
    from microrecur.flows.paths import Path
    from microrecur.graphs.graph import Graph

_NAMES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def lay_out(
    graph: Graph,
    *,
    path: Path | None = None,
    title: str | None = None,
    caption: str = "",
    steps: str | int = "auto",
    fold: bool = True,
    theme: str = "light",
    rankdir: str = "LR",
) -> Scene:
    """Read off a recorded graph what its picture shows.

    Parameters
    ----------
    graph
        At the level to draw.
    path
        A chain-rule path of this very graph, to be drawn thick with its running product.
    title
        Printed above the picture and kept as its `<title>`.
    caption
        Printed below it.
    steps
        How many steps of an unrolled cell are drawn at most; "auto": as many as stay legible
        1100 pixels wide.
    fold
        False draws every step, however wide.
    theme
        "light" or "dark".
    rankdir
        Direction of an automatic layout.

    Returns
    -------
    Scene
        Pinned for an RNN, LSTM or GRU, single or unrolled; without places for anything else.
    """
    cell = read_cell(graph)
    sheet: Sheet | None = None
    if cell is None or not _routable(graph, cell):
        scene = draw_any(graph, path, theme=theme, rankdir=rankdir)
    else:
        scene, sheet = draw_known(graph, cell, path, steps=steps, fold=fold, theme=theme)
    scene.title = title or _title(graph, cell if sheet else None)
    scene.description = _description(graph, path)
    if sheet is None:
        for line in filter(None, (caption, scene.description if path is not None else "")):
            note_below(scene, line)
        return scene
    about_path = below.path_caption(sheet, sheet.track) if sheet.track is not None else ""
    below.add_below(scene, sheet, " · ".join(filter(None, (caption, about_path))))
    if title:
        _add_title(scene, title)
    return scene


def _routable(graph: Graph, cell: Cell) -> bool:
    """Whether the grid knows a way for every line between parts."""
    from microrecur.drawing.columns import blueprint

    plan = blueprint(cell, len(cell.steps) == 1, 120.0)
    if any(part not in plan.places for step, part in cell.parts.values() if step in cell.steps):
        return False
    joined = (
        edge for edge in graph.edges if edge.source in cell.parts and edge.target in cell.parts
    )
    return all(cell.route(edge) in plan.routes for edge in joined)


def _title(graph: Graph, cell: Cell | None) -> str:
    if cell is None:
        return f"recorded graph: {len(graph.nodes)} nodes, {len(graph.edges)} edges"
    variant = f" ({cell.variant})" if cell.variant else ""
    steps = f"{len(cell.steps)} steps" if len(cell.steps) > 1 else "one step"
    return f"{_NAMES[cell.kind]} cell{variant}, {steps}"


def _description(graph: Graph, path: Path | None) -> str:
    if path is None:
        size = f"{len(graph.nodes)} nodes and {len(graph.edges)} edges"
        return f"{size}; each edge shows its local derivative and bound."
    root, source = (_plain_name(graph, id) for id in (path.ids[0], path.ids[-1]))
    which = "the only path" if path.count == 1 else f"one path among {count(path.count)}"
    return f"Path {root} → {source}: {which}, ∏ = {number(path.product)}."


def _plain_name(graph: Graph, id: str) -> str:
    node = graph.find(id)
    return typeset(node.name, node.step) if node.name else id


def _add_title(scene: Scene, title: str) -> None:
    (left, _), (right, high) = below.extent(scene)
    scene.captions.append(Caption(Text(title, "plain", 14.0), ((left + right) / 2, high + 18.0)))
