"""Draws a known cell on its grid: shapes in place, lines on their routes, labels beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.blueprint import Blueprint
from microrecur.drawing.columns import blueprint, columns, limits, shown_steps, widened
from microrecur.drawing.folds import fold_node, state_shape
from microrecur.drawing.lines import MARKS, add_lines
from microrecur.drawing.overlaps import Box
from microrecur.drawing.placing import Board, label_box
from microrecur.drawing.roles import Cell
from microrecur.drawing.scene import Panel, Point, Scene, SceneEdge, SceneNode
from microrecur.drawing.shapes import scene_node
from microrecur.drawing.sheet import BOX, TAIL_GAP, Line, Sheet
from microrecur.drawing.style import NODE_TEXT, SMALL_TEXT
from microrecur.drawing.text_size import text_width
from microrecur.drawing.track import Track
from microrecur.drawing.trunks import TRUNK
from microrecur.drawing.wish import Wish

if TYPE_CHECKING:
    from microrecur.graphs.graph import Graph, Node

_LOSS = (56.0, 42.0)


def draw_known(
    graph: Graph, cell: Cell, wish: Wish, track: Track | None = None
) -> tuple[Scene, Sheet]:
    """Lay out a known cell; the sheet tells what stands where, for what is added below."""
    names = replace(wish.names, symbolic=cell.steps[-1] if len(cell.steps) == 1 else None)
    written = _written_width(graph, cell, names)
    if track is None and wish.path is not None and wish.shares is None:
        track = Track.along(wish.path)
    single = len(cell.steps) == 1
    plan = blueprint(cell, single, written, track is not None)
    return draw_on(graph, cell, wish, plan, track)


def draw_on(
    graph: Graph, cell: Cell, wish: Wish, plan: Blueprint, track: Track | None = None
) -> tuple[Scene, Sheet]:
    """Lay out a known cell on a given grid, with the track of a path over it.

    A path's labels must all be there: where some find no room the steps are drawn wider, and if
    that does not help either, one or two fewer.
    """
    most = limits(cell, plan)
    shown = shown_steps(cell.steps, most, wish.steps, wish.fold)
    if wish.path is None or track is None or len(cell.steps) == 1:
        return _laid_out(
            graph, cell, wish, widened(cell, plan, shown, track is not None), track, shown
        )
    tries = [(plan, shown), (widened(cell, plan, shown, True), shown)]
    if wish.steps == "auto" and wish.fold:
        for fewer in range(len(shown) - 1, max(1, len(shown) - 3), -1):
            kept = shown_steps(cell.steps, (fewer, fewer - fewer // 2, fewer // 2), "auto", True)
            tries.append((widened(cell, plan, kept, True), kept))
    best: tuple[Scene, Sheet] | None = None
    for grid, steps in tries:
        found = _laid_out(graph, cell, wish, grid, track, steps)
        if best is None or found[1].evil < best[1].evil:
            best = found
        if not best[1].evil:
            break
    assert best is not None
    return best


def _laid_out(
    graph: Graph,
    cell: Cell,
    wish: Wish,
    plan: Blueprint,
    track: Track | None,
    shown: tuple[int, ...],
) -> tuple[Scene, Sheet]:
    names = replace(wish.names, symbolic=cell.steps[-1] if len(cell.steps) == 1 else None)
    sheet = Sheet(graph, cell, plan, columns(cell, plan, shown), names, track)
    sheet.shares, sheet.marks = wish.shares, wish.marks
    _add_nodes(sheet)
    _add_tail(sheet)
    _add_panels(sheet)
    add_lines(sheet)
    scene = Scene("", "", theme=wish.theme, panels=sheet.panels, nodes=list(sheet.nodes.values()))
    scene.edges = [line.edge for line in sheet.lines]
    most = wish.limit
    if most is None or (len(scene.nodes) <= most[0] and len(scene.edges) <= most[1]):
        scene.edges = labelled(sheet)
        scene.nodes += dots(sheet)
    return scene, sheet


def _written_width(graph: Graph, cell: Cell, names: labels.Names) -> float:
    texts = [
        _affine(graph, node, names)
        for node in graph.nodes
        if cell.parts.get(node.id, (0, ""))[1] == "z"
    ]
    return max([120.0, *(text_width(text, NODE_TEXT) + 60.0 for text in texts)])


def _affine(graph: Graph, node: Node, names: labels.Names) -> str:
    sources = {edge.source: graph.find(edge.source) for edge in graph.into(node.id)}
    return labels.affine_text(node, graph.into(node.id), sources, names) or ""


# ---------------------------------------------------------------- shapes


def _add_nodes(sheet: Sheet) -> None:
    for node in sheet.graph.nodes:
        step, part = sheet.cell.parts.get(node.id, (None, ""))
        if step is None or not sheet.columns.shows(step):
            continue
        origin = sheet.columns.origins[step]
        initial = step == sheet.cell.steps[0] - 1
        place = sheet.plan.initial[part] if initial else sheet.plan.places[part]
        written = _affine(sheet.graph, node, sheet.names) if place.look == "written" else ""
        sheet.nodes[node.id] = scene_node(node, place, sheet.names, origin, written=written)
        if not initial and part in sheet.plan.boxes:
            key = node.id + BOX
            sheet.nodes[key] = scene_node(
                node, sheet.plan.boxes[part], sheet.names, origin, key=key
            )
    for fold in sheet.columns.folds:
        sheet.nodes[fold.key] = fold_node(sheet, fold)


def _add_tail(sheet: Sheet) -> None:
    """What follows the states stands to the right, on the row of the state it reads."""
    if not sheet.cell.tail:
        return
    sources = [
        edge.source
        for edge in sheet.graph.into(sheet.cell.tail[0].id)
        if edge.source in sheet.cell.parts
    ]
    last = state_shape(sheet, sources[-1])
    assert last.center is not None
    x = max(
        last.center[0] + last.size[0] / 2,
        *(left + sheet.plan.width for left in sheet.columns.origins.values()),
    )
    for node in sheet.cell.tail:
        lines = labels.name_and_value(node, sheet.names)
        width = max(_LOSS[0], *(text_width(line, NODE_TEXT) + 16.0 for line in lines))
        kind = "loss" if node.id == sheet.cell.root.id else "plain"
        center = (x + TAIL_GAP + width / 2, last.center[1])
        sheet.nodes[node.id] = SceneNode(
            node.id, node.id, lines, kind, "box", center, (width, _LOSS[1]), labels.flagged(node)
        )
        x = center[0] + width / 2


def _add_panels(sheet: Sheet) -> None:
    plan = sheet.plan
    for step in sheet.columns.shown:
        left = sheet.columns.origins[step]
        label = f"{plan.name}, step t" if sheet.single else f"t = {step}"
        half = text_width(label, SMALL_TEXT) / 2
        row = plan.low + 12.0 if plan.caption_low else plan.high - 13.0
        at = (left + plan.width - 11.0 - half, row)
        low, high = (left, plan.low), (left + plan.width, plan.high)
        sheet.panels.append(Panel(f"step {step}", low, high, label, at, plan.level))
        present = {part for at_step, part in sheet.cell.parts.values() if at_step == step}
        for gate in plan.panels:
            if present & set(gate.parts):
                sheet.panels.append(
                    Panel(
                        f"{gate.label} {step}",
                        (left + gate.low[0], gate.low[1]),
                        (left + gate.high[0], gate.high[1]),
                        gate.label,
                        (left + gate.label_at[0], gate.label_at[1]),
                        1,
                    )
                )


# ---------------------------------------------------------------- labels and dots


def labelled(sheet: Sheet) -> list[SceneEdge]:
    """The arrows of a sheet, each with its label in a free place."""
    edges_of = [
        n.center[0] + s * n.size[0] / 2 for n in sheet.nodes.values() if n.center for s in (-1, 1)
    ]
    board = Board((min(edges_of), max(edges_of)))
    for node in sheet.nodes.values():
        board.add_node(node)
    for line in sheet.lines:
        board.add_line(line.edge.points or (), line.edge.width, line.edge.arrow)
    for panel in sheet.panels:
        board.add_border(Box(*panel.low, *panel.high))
        if panel.label_at is not None:
            board.add_box(label_box((labels.note(panel.label),), panel.label_at, 2.0))
    edges = [line.edge for line in sheet.lines]
    for number in _by_importance(sheet.lines):
        request = sheet.lines[number].request
        width = sheet.lines[number].edge.width
        placed = board.place(replace(request, width=width)) if request is not None else None
        if placed is not None:
            sheet.evil += placed.evil
            edges[number] = replace(edges[number], labels=placed.lines, label_at=placed.at)
    return edges


def _by_importance(lines: list[Line]) -> list[int]:
    """A path's labels first, then those with a home, then the least room; optional ones last."""

    def key(number: int) -> tuple[bool, bool, bool, float, float]:
        line = lines[number]
        request = line.request
        room = (
            sum(math.dist(*segment) for segment in request.segments) if request is not None else 0.0
        )
        right = line.edge.points[-1][0] if line.edge.points else 0.0
        optional = request is None or request.optional
        homeless = request is None or request.home is None
        chosen = line.edge.on_path or line.edge.kind in MARKS
        return (not chosen, homeless, optional, round(room), right)

    return sorted(range(len(lines)), key=key)


def dots(sheet: Sheet) -> list[SceneNode]:
    """A dot where a line leaves another line of the same source."""
    found: dict[Point, SceneNode] = {}
    by_source: dict[str, list[SceneEdge]] = {}
    for line in sheet.lines:
        source = line.edge.id[0] if line.edge.id else line.edge.source
        by_source.setdefault(source, []).append(line.edge)
    for edges in by_source.values():
        trunk = next((edge for edge in edges if edge.kind == TRUNK), None)
        for edge in edges:
            kind = (trunk or edge).kind
            for corner in (edge.points or ())[:-1]:
                if any(_passes(other, corner) for other in edges):
                    number = len(found)
                    found.setdefault(
                        corner,
                        SceneNode(f"dot{number}", "", (), kind, "point", corner, (5.4, 5.4)),
                    )
    return list(found.values())


def _passes(edge: SceneEdge, point: Point) -> bool:
    """Whether a line runs straight through a point, not merely to it."""
    for start, end in pairwise(edge.points or ()):
        for along, across in ((0, 1), (1, 0)):
            inside = (
                min(start[along], end[along]) + 1.0
                < point[along]
                < max(start[along], end[along]) - 1.0
            )
            if start[across] == end[across] == point[across] and inside:
                return True
    return False
