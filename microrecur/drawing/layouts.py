"""Chooses a layout by what the graph is: the textbook grid of a known cell, or automatic places."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microrecur.drawing import below
from microrecur.drawing.anatomy import read_own
from microrecur.drawing.automatic import draw_any
from microrecur.drawing.automatic import note as note_below
from microrecur.drawing.backward import NOTE, differentiated, draw_backward
from microrecur.drawing.floors import NOTE as NOTE_ON_FLOORS
from microrecur.drawing.floors import Layer, draw_floors, read_floors
from microrecur.drawing.grid import NOTE as GRID_NOTE
from microrecur.drawing.grid import draw_grid
from microrecur.drawing.grid_backward import NOTE as GRID_BACKWARD
from microrecur.drawing.grid_backward import draw_grid_backward
from microrecur.drawing.grid_cells import Grid, read_grid
from microrecur.drawing.pinned import draw_known
from microrecur.drawing.roles import Cell, read_cell
from microrecur.drawing.scene import Scene
from microrecur.drawing.shares import caption as routes_caption
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
        Pinned for an RNN, LSTM or GRU, single or unrolled, for stacked layers, and at level "step"
        for layers in both directions too; for the gradients of these. Without places for anything
        else.
    """
    wish = wish or Wish()
    if wish.path is not None:
        wish = replace(wish, names=replace(wish.names, signed=wish.path.signed))
    cell = known_cell(graph)
    if cell is not None:
        return _known(graph, cell, wish)
    forward = differentiated(graph) if wish.path is None and wish.shares is None else None
    cell = known_cell(forward) if forward is not None else None
    if forward is not None and cell is not None:
        return _backward(graph, forward, cell, wish)
    grid = read_grid(forward, wish) if forward is not None else None
    if forward is not None and grid is not None:
        return _backward_grid(graph, forward, grid, wish)
    floors = read_floors(graph, known_cell)
    if floors is not None:
        return _floors(graph, floors, wish)
    grid = read_grid(graph, wish)
    scene = draw_any(graph, wish) if grid is None else draw_grid(graph, grid, wish)
    _tell(scene, graph, wish, _title(graph, None) if grid is None else _grid_title(grid))
    about = _about(graph, wish) or (scene.description if wish.path is not None else "")
    if grid is None:
        for line in filter(None, (wish.title, wish.caption, about)):
            note_below(scene, line)
        return scene
    _legend(scene, graph, " · ".join(filter(None, (wish.caption, about or GRID_NOTE))))
    if wish.title:
        below.add_title(scene, wish.title)
    return scene


def known_cell(graph: Graph) -> Cell | None:
    """A textbook cell or one built from named gates, if its grid has a way for every line."""
    for read in (read_cell, read_own):
        cell = read(graph)
        if cell is not None and _routable(graph, cell):
            return cell
    return None


def _backward(graph: Graph, forward: Graph, cell: Cell, wish: Wish) -> Scene:
    """A gradient's graph below the cell it was taken of."""
    scene, sheet = draw_backward(graph, forward, cell, wish)
    _tell(scene, graph, wish, f"backward graph below its {_title(forward, cell)}")
    below.add_below(scene, sheet, " · ".join(filter(None, (wish.caption, NOTE))))
    if wish.title:
        below.add_title(scene, wish.title)
    return scene


def _backward_grid(graph: Graph, forward: Graph, grid: Grid, wish: Wish) -> Scene:
    """A gradient's states below those it was taken of."""
    scene = draw_grid_backward(graph, forward, grid, wish)
    _tell(scene, graph, wish, f"gradient below its states: {_grid_title(grid)}")
    _legend(scene, graph, " · ".join(filter(None, (wish.caption, GRID_BACKWARD))))
    if wish.title:
        below.add_title(scene, wish.title)
    return scene


def _floors(graph: Graph, floors: list[tuple[Layer, Cell]], wish: Wish) -> Scene:
    """Stacked layers, each drawn as its cell."""
    scene, sheet = draw_floors(floors, wish)
    _tell(scene, graph, wish, f"{len(floors)} layers, each: {_title(graph, floors[-1][1])}")
    about = _about(graph, wish)
    if sheet.track is not None:
        about = below.path_caption(sheet, sheet.track, wish.about)
    caption = " · ".join(filter(None, (wish.caption, about, NOTE_ON_FLOORS)))
    below.add_below(scene, sheet, caption)
    if wish.title:
        below.add_title(scene, wish.title)
    return scene


def _legend(scene: Scene, graph: Graph, caption: str) -> None:
    symbols = {node.symbol for node in graph.nodes}
    (left, low), (right, _) = below.extent(scene)
    below.add_legend(scene, symbols, left, right, low - 26.0, caption)


def _known(graph: Graph, cell: Cell, wish: Wish) -> Scene:
    """An RNN, LSTM or GRU on its textbook grid, with all that stands below."""
    scene, sheet = draw_known(graph, cell, wish)
    _tell(scene, graph, wish, _title(graph, cell))
    about = _about(graph, wish)
    if sheet.track is not None:
        about = below.path_caption(sheet, sheet.track, wish.about)
    below.add_below(scene, sheet, " · ".join(filter(None, (wish.caption, about))))
    if wish.title:
        below.add_title(scene, wish.title)
    return scene


def _tell(scene: Scene, graph: Graph, wish: Wish, title: str) -> None:
    scene.title = wish.title or title
    scene.description = _description(graph, wish)


def _grid_title(grid: Grid) -> str:
    ways = ", both directions" if grid.both_ways else ""
    layers = f"{len(grid.layers)} layer{'s' * (len(grid.layers) > 1)}"
    return f"{layers}{ways}, {len(grid.steps)} steps"


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
    if cell.anatomy is not None:
        steps = f"{len(cell.steps)} steps" if len(cell.steps) > 1 else "one step"
        gates = cell.anatomy.named("gate")
        return f"cell with gates {', '.join(gates)}, {steps}"
    variant = f" ({cell.variant})" if cell.variant else ""
    steps = f"{len(cell.steps)} steps" if len(cell.steps) > 1 else "one step"
    return f"{_NAMES[cell.kind]} cell{variant}, {steps}"


def _description(graph: Graph, wish: Wish) -> str:
    path = wish.path
    if wish.shares is not None:
        return f"All routes of the gradient. {_about(graph, wish)}."
    if path is None:
        size = f"{len(graph.nodes)} nodes and {len(graph.edges)} edges"
        return f"{size}; edges show their local derivatives, slopes and gates their bounds."
    root, source = (_plain_name(graph, id) for id in (path.ids[0], path.ids[-1]))
    which = "the only path" if path.count == 1 else f"one path among {count(path.count)}"
    about = f", {wish.about}" if wish.about else ""
    product = "∏" if path.signed else "∏‖·‖"
    return f"Path {root} → {source}: {which}, {product} = {number(path.product)}{about}."


def _plain_name(graph: Graph, id: str) -> str:
    node = graph.find(id)
    unnamed = "y" if node.role == "loss" else id
    return typeset(node.name, node.step) if node.name else unnamed
