"""Draws a known cell on its grid: shapes in their places, lines along their routes, labels where they cover nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.blueprint import Blueprint, Place, Route
from microrecur.drawing.columns import Columns, blueprint, columns, shown_steps
from microrecur.drawing.dot_lines import border
from microrecur.drawing.overlaps import Box, landing
from microrecur.drawing.placing import FILLED, OUTLINE, Board, Request, label_box
from microrecur.drawing.roles import Cell
from microrecur.drawing.scene import Panel, Point, Scene, SceneEdge, SceneNode
from microrecur.drawing.shapes import scene_node
from microrecur.drawing.style import NODE_TEXT, SMALL_TEXT
from microrecur.drawing.text_size import text_width
from microrecur.drawing.track import Track, line_width

if TYPE_CHECKING:
    from microrecur.flows.paths import Path
    from microrecur.graphs.graph import Edge, Graph, Node

FOLD = "folded"  # key of the node that stands for the folded steps
_BOX = "#box"  # ends the key of the state box behind an op
_THIN, _CONVEYOR, _FINE = (
    1.6,
    4.4,
    1.1,
)  # line widths: of a cell, of its conveyor, beside a chosen path
_LOSS = (56.0, 42.0)
_TAIL_GAP = 70.0  # between the last state and what follows


@dataclass(slots=True)
class Line:
    """An arrow on its way to a scene: its course and the label it asks for."""

    edge: SceneEdge
    request: Request | None = None
    rank: int = 0  # the order in which labels are placed and lines are drawn


@dataclass(slots=True)
class Sheet:
    """A picture of a known cell in the making."""

    graph: Graph
    cell: Cell
    plan: Blueprint
    columns: Columns
    names: labels.Names
    track: Track | None
    nodes: dict[str, SceneNode] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)

    @property
    def single(self) -> bool:
        """Whether one step stands for the cell."""
        return len(self.cell.steps) == 1

    def box(self, id: str) -> SceneNode:
        """The shape later steps read: the state box if there is one."""
        return self.nodes.get(id + _BOX) or self.nodes[id]


def draw_known(
    graph: Graph, cell: Cell, path: Path | None, *, steps: str | int, fold: bool, theme: str
) -> tuple[Scene, Sheet]:
    """Lay out a known cell; the sheet tells what stands where, for what is added below the picture."""
    single = len(cell.steps) == 1
    names = labels.Names(cell.steps[-1] if single else None)
    written = _written_width(graph, cell, names)
    plan = blueprint(cell, single, written)
    track = Track.along(path) if path is not None else None
    sheet = Sheet(
        graph, cell, plan, columns(cell, plan, shown_steps(cell, steps, fold)), names, track
    )
    _add_nodes(sheet)
    _add_tail(sheet)
    _add_panels(sheet)
    _add_lines(sheet)
    scene = Scene("", "", theme=theme, panels=sheet.panels, nodes=list(sheet.nodes.values()))
    scene.edges = _labelled(sheet)
    scene.nodes += _dots(sheet)
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
            key = node.id + _BOX
            sheet.nodes[key] = scene_node(
                node, sheet.plan.boxes[part], sheet.names, origin, key=key
            )
    if sheet.columns.fold_at is not None:
        sheet.nodes[FOLD] = _fold_node(sheet, sheet.columns.fold_at)


def _fold_node(sheet: Sheet, x: float) -> SceneNode:
    rows = [place.y for place in _state_places(sheet.plan).values()]
    lines = [f"{len(sheet.columns.folded)} steps", "folded"]
    if sheet.track is not None:
        lines.append(sheet.track.folded(sheet.columns, sheet.cell))
    height = max(rows) - min(rows) + 58.0
    width = max(text_width(line, NODE_TEXT) for line in lines) + 14.0
    return SceneNode(
        FOLD,
        FOLD,
        tuple(lines),
        "folded",
        "folded",
        (x, (max(rows) + min(rows)) / 2),
        (max(width, 76.0), height),
    )


def _state_places(plan: Blueprint) -> dict[str, Place]:
    """Where later steps find each state."""
    return {
        part: plan.boxes.get(part) or plan.places[part]
        for part in ("c", "h")
        if part in plan.places
    }


def _add_tail(sheet: Sheet) -> None:
    """What follows the states stands to the right, on the row of the state it reads."""
    if not sheet.cell.tail:
        return
    sources = [
        edge.source
        for edge in sheet.graph.into(sheet.cell.tail[0].id)
        if edge.source in sheet.cell.parts
    ]
    last = sheet.box(sources[-1])
    assert last.center is not None
    x = last.center[0] + last.size[0] / 2
    for node in sheet.cell.tail:
        lines = labels.name_and_value(node, sheet.names)
        width = max(_LOSS[0], *(text_width(line, NODE_TEXT) + 16.0 for line in lines))
        kind = "loss" if node.id == sheet.cell.root.id else "plain"
        center = (x + _TAIL_GAP + width / 2, last.center[1])
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
        row = plan.low + 13.0 if plan.caption_low else plan.high - 13.0
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


# ---------------------------------------------------------------- lines


def _add_lines(sheet: Sheet) -> None:
    seen: set[tuple[str, str]] = set()
    for edge in sheet.graph.edges:
        if edge.source in sheet.cell.parts and edge.target in sheet.cell.parts:
            _add_line(sheet, edge, seen)
        elif edge.target in sheet.nodes and (
            edge.source in sheet.cell.parts or edge.source in sheet.nodes
        ):
            _add_tail_line(sheet, edge)
    for key in [key for key in sheet.nodes if key.endswith(_BOX)]:
        _add_box_line(sheet, key)
    # Of lines that share a bus the longer lies below, so that each leg keeps its colour to its dot.
    sheet.lines.sort(key=lambda line: (line.rank, -_span(line.edge.points or ())))


def _add_line(sheet: Sheet, edge: Edge, seen: set[tuple[str, str]]) -> None:
    from_step, to_step = (sheet.cell.parts[id][0] for id in (edge.source, edge.target))
    if sheet.columns.shows(from_step) and sheet.columns.shows(to_step):
        route = sheet.plan.routes[sheet.cell.route(edge)]
        older = to_step > from_step
        source = (
            sheet.box(edge.source)
            if older or not _leaves_op(sheet, edge, route)
            else sheet.nodes[edge.source]
        )
        _draw(sheet, edge, route, source, sheet.nodes[edge.target])
    elif sheet.columns.shows(to_step):
        _draw(
            sheet,
            edge,
            sheet.plan.routes[sheet.cell.route(edge)],
            _at_row(sheet, edge.source),
            sheet.nodes[edge.target],
        )
    elif sheet.columns.shows(from_step) and (edge.source, FOLD) not in seen:
        seen.add((edge.source, FOLD))
        _draw_into_fold(sheet, edge)


def _leaves_op(sheet: Sheet, edge: Edge, route: Route) -> bool:
    return route.from_op or edge.source + _BOX not in sheet.nodes


def _at_row(sheet: Sheet, state: str) -> SceneNode:
    """The folded run as the source of one state's lines: a slice of it on that state's row."""
    fold = sheet.nodes[FOLD]
    assert fold.center is not None
    row = _state_places(sheet.plan)[sheet.cell.parts[state][1]].y
    return replace(fold, center=(fold.center[0], row), size=(fold.size[0], 58.0))


def _draw_into_fold(sheet: Sheet, edge: Edge) -> None:
    source, fold = sheet.box(edge.source), _at_row(sheet, edge.source)
    assert fold.center is not None
    running = (
        sheet.track.at(edge.source)
        if sheet.track and sheet.track.crosses(edge.source, sheet.cell)
        else None
    )
    scene_edge = SceneEdge(
        source.key,
        FOLD,
        "plain",
        points=(border(source, fold.center), border(fold, source.center or fold.center)),
        width=_FINE if running is None else line_width(running, sheet.track),
        on_path=running is not None,
    )
    sheet.lines.append(Line(scene_edge, None, 3 if running is not None else 1))


def _add_tail_line(sheet: Sheet, edge: Edge) -> None:
    """Into a loss: straight on one row, else along the rail of the losses."""
    step = sheet.cell.parts.get(edge.source, (None, ""))[0]
    if step is not None and not sheet.columns.shows(step):
        return
    source, target = sheet.box(edge.source), sheet.nodes[edge.target]
    assert source.center is not None and target.center is not None
    near = (
        target.center[0] - source.center[0] < source.size[0] / 2 + target.size[0] + _TAIL_GAP + 8.0
    )
    level = source.center[1] == target.center[1]
    rail = sheet.plan.loss_rail
    if level and (near or _row_is_free(sheet, source, target)):
        route = Route()
    elif near:
        route = Route(lambda s, t: ((t[0], s[1]),))
    else:
        route = Route(lambda s, t: ((s[0], rail), (t[0], rail)), label="optional", last_leg=False)
    _draw(sheet, edge, route, source, target, into_loss=True)


def _row_is_free(sheet: Sheet, source: SceneNode, target: SceneNode) -> bool:
    assert source.center is not None and target.center is not None
    return not any(
        node.center is not None
        and source.center[0] < node.center[0] < target.center[0]
        and abs(node.center[1] - source.center[1]) < (node.size[1] + 10.0) / 2
        for node in sheet.nodes.values()
    )


def _add_box_line(sheet: Sheet, key: str) -> None:
    """From an op to the state box behind it: the same node twice, so the factor is 1."""
    id = key.removesuffix(_BOX)
    part = sheet.cell.parts[id][1]
    route = sheet.plan.routes[part, part]
    source, target = sheet.nodes[id], sheet.nodes[key]
    points = _course(source, target, route, on_path=False)
    thick = (part, part) in sheet.plan.conveyor
    on_path = sheet.track is not None and sheet.track.leaves_box(id, sheet.cell, sheet.plan)
    width = _off_path_width(sheet, thick)
    if on_path and sheet.track is not None:
        width = line_width(sheet.track.at(id), sheet.track)
    edge = SceneEdge(source.key, key, "plus", points=points, width=width, on_path=on_path)
    request = Request(
        (labels.one(),), tuple(zip(points, points[1:], strict=False)), route.label == "optional"
    )
    wanted = route.label != "none" and not sheet.track
    sheet.lines.append(Line(edge, request if wanted else None, 3 if on_path else 2))


def _draw(
    sheet: Sheet,
    edge: Edge,
    route: Route,
    source: SceneNode,
    target: SceneNode,
    *,
    into_loss: bool = False,
) -> None:
    on_path = sheet.track is not None and sheet.track.holds(edge)
    points = _course(source, target, route, on_path)
    from_input = sheet.cell.parts.get(edge.source, (0, ""))[1] == "x"
    thick = (
        not into_loss
        and edge.source in sheet.cell.parts
        and sheet.cell.route(edge) in sheet.plan.conveyor
    )
    kind = "loss" if into_loss else labels.edge_kind(edge.factors)
    width, rank = _off_path_width(sheet, thick), 2 if thick else 1
    if on_path and sheet.track is not None:
        width, rank = line_width(sheet.track.after(edge), sheet.track), 3
    elif from_input:
        kind, rank = "muted", 0
    scene_edge = SceneEdge(
        source.key,
        target.key,
        kind,
        points=points,
        width=width,
        on_path=on_path,
        id=(edge.source, edge.target),
    )
    sheet.lines.append(
        Line(scene_edge, _request(sheet, edge, route, points, from_input, into_loss), rank)
    )


def _off_path_width(sheet: Sheet, thick: bool) -> float:
    if sheet.track is not None:
        return _FINE
    return _CONVEYOR if thick else _THIN


def _course(source: SceneNode, target: SceneNode, route: Route, on_path: bool) -> tuple[Point, ...]:
    """The polyline of an arrow, from outline to outline."""
    assert source.center is not None and target.center is not None
    corners = route.corners(source.center, target.center)
    if not corners:
        return border(source, target.center), border(target, source.center)
    start = landing(source, corners[0])
    inner = corners[1:] if route.tap and not on_path else corners
    begin = corners[0] if route.tap and not on_path else start
    return (begin, *inner, landing(target, corners[-1]))


def _request(
    sheet: Sheet,
    edge: Edge,
    route: Route,
    points: tuple[Point, ...],
    from_input: bool,
    into_loss: bool,
) -> Request | None:
    if route.label == "none":
        return None
    segments = tuple(zip(points, points[1:], strict=False))
    if into_loss and len(segments) > 1:
        segments = segments[:1]  # the rail is shared by all losses
    segments = (
        segments[-1:] if route.last_leg else tuple(sorted(segments, key=_length, reverse=True))
    )
    loss = sheet.names.node(sheet.graph.find(edge.target)) if into_loss else ""
    if sheet.track is not None and sheet.track.holds(edge):
        options = labels.path_wrappings(edge, sheet.track.after(edge), sheet.names, loss)
        return Request(options, segments) if options else None
    if into_loss:
        return Request(labels.loss_wrappings(edge, loss), segments, route.label == "optional")
    options = labels.wrappings(edge, sheet.names)
    if from_input:
        options = tuple(tuple(replace(line, kind="muted") for line in lines) for lines in options)
    optional = route.label == "optional" or sheet.track is not None
    if sheet.track is not None and sheet.cell.level == "gate":
        return None
    return Request(options, segments, optional)


def _length(segment: tuple[Point, Point]) -> float:
    return abs(segment[0][0] - segment[1][0]) + abs(segment[0][1] - segment[1][1])


def _span(points: tuple[Point, ...]) -> float:
    return sum(map(_length, zip(points, points[1:], strict=False)))


# ---------------------------------------------------------------- labels and dots


def _labelled(sheet: Sheet) -> list[SceneEdge]:
    board = Board()
    for node in sheet.nodes.values():
        board.add_node(node)
    for line in sheet.lines:
        board.add_line(line.edge.points or (), line.edge.width, line.edge.arrow)
    for panel in sheet.panels:
        board.add_border(Box(*panel.low, *panel.high), FILLED if panel.level else OUTLINE)
        if panel.label_at is not None:
            board.add_box(label_box((labels.note(panel.label),), panel.label_at, 2.0))
    edges = [line.edge for line in sheet.lines]
    for number in _by_importance(sheet.lines):
        request = sheet.lines[number].request
        placed = board.place(request) if request is not None else None
        if placed is not None:
            edges[number] = replace(edges[number], labels=placed.lines, label_at=placed.at)
    return edges


def _by_importance(lines: list[Line]) -> list[int]:
    """Labels of the path first, then those with least room; what may be dropped comes last."""

    def key(number: int) -> tuple[bool, bool, float, int]:
        line = lines[number]
        request = line.request
        room = sum(map(_length, request.segments)) if request is not None else 0.0
        return (not line.edge.on_path, request is None or request.optional, room, number)

    return sorted(range(len(lines)), key=key)


def _dots(sheet: Sheet) -> list[SceneNode]:
    """A dot where a line leaves another line of the same source."""
    dots: dict[Point, SceneNode] = {}
    by_source: dict[str, list[SceneEdge]] = {}
    for line in sheet.lines:
        by_source.setdefault(line.edge.source, []).append(line.edge)
    for edges in by_source.values():
        for edge in edges:
            for corner in (edge.points or ())[:-1]:
                if any(_passes(other, corner) for other in edges):
                    number = len(dots)
                    dots.setdefault(
                        corner,
                        SceneNode(f"dot{number}", "", (), edge.kind, "point", corner, (5.4, 5.4)),
                    )
    return list(dots.values())


def _passes(edge: SceneEdge, point: Point) -> bool:
    """Whether a line runs straight through a point, not merely to it."""
    for start, end in zip(edge.points or (), (edge.points or ())[1:], strict=False):
        for along, across in ((0, 1), (1, 0)):
            inside = (
                min(start[along], end[along]) + 1.0
                < point[along]
                < max(start[along], end[along]) - 1.0
            )
            if start[across] == end[across] == point[across] and inside:
                return True
    return False
