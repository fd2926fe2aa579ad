"""The lines of a known cell's picture: courses, widths, colours, and the labels they ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.blueprint import Home, Route
from microrecur.drawing.dot_lines import border
from microrecur.drawing.folds import state_shape
from microrecur.drawing.overlaps import Box, landing
from microrecur.drawing.placing import Request
from microrecur.drawing.routing import Router
from microrecur.drawing.scene import Point, SceneEdge, SceneNode, Text
from microrecur.drawing.shares import percent
from microrecur.drawing.sheet import BOX, TAIL_GAP, Line, Sheet
from microrecur.drawing.track import line_width, share_width
from microrecur.drawing.trunks import add_trunks

if TYPE_CHECKING:
    from microrecur.drawing.wish import Mark
    from microrecur.graphs.graph import Edge

MARKS = ("missing", "extra")  # kinds of edges that only one of two graphs has
_MARKED = 3.2  # width of those
_LEAST_SHARE, _MUST_SHOW = 0.0005, 0.05  # of the gradient: printed at all; printed in any case
_NEAR, _SLANT = 60.0, 12.0  # what is looked at beside an extra line; how little it may slant
_THIN, _CONVEYOR, _FINE = 1.6, 4.4, 1.1  # widths: of a cell, of its conveyor, beside a chosen path


def add_lines(sheet: Sheet) -> None:
    """Put every arrow on the sheet, in drawing order."""
    seen: set[tuple[str, str]] = set()
    for edge in sheet.graph.edges:
        if edge.source in sheet.cell.parts and edge.target in sheet.cell.parts:
            _add_line(sheet, edge, seen)
        elif edge.target in sheet.nodes and (
            edge.source in sheet.cell.parts or edge.source in sheet.nodes
        ):
            _add_tail_line(sheet, edge)
    for key in [key for key in sheet.nodes if key.endswith(BOX)]:
        _add_box_line(sheet, key)
    for ends, mark in sheet.marks.items():
        if mark.absent and all(id in sheet.nodes for id in ends):
            _add_extra(sheet, *ends, mark)
    add_trunks(sheet)
    # Of lines that share a bus the longer lies below, so that each leg keeps its colour to its dot.
    sheet.lines.sort(key=lambda line: (line.rank, -_span(line.edge.points or ())))


def _add_line(sheet: Sheet, edge: Edge, seen: set[tuple[str, str]]) -> None:
    from_step, to_step = (sheet.cell.parts[id][0] for id in (edge.source, edge.target))
    shows = sheet.columns.shows
    if shows(to_step):
        route = sheet.plan.routes[sheet.cell.route(edge)]
        ahead = to_step > from_step or not _leaves_op(sheet, edge, route)
        source = state_shape(sheet, edge.source) if ahead else sheet.nodes[edge.source]
        _draw(sheet, edge, route, source, sheet.nodes[edge.target])
    elif shows(from_step) or sheet.columns.fold_of(from_step) != sheet.columns.fold_of(to_step):
        into = sheet.columns.fold_of(to_step).key
        if (edge.source, into) not in seen:
            seen.add((edge.source, into))
            _draw_into_fold(sheet, edge, into)


def _leaves_op(sheet: Sheet, edge: Edge, route: Route) -> bool:
    return route.from_op or edge.source + BOX not in sheet.nodes


def _draw_into_fold(sheet: Sheet, edge: Edge, into: str) -> None:
    source = state_shape(sheet, edge.source)
    fold = replace(sheet.nodes[into], size=(sheet.nodes[into].size[0], source.size[1]))
    assert fold.center is not None and source.center is not None
    fold = replace(fold, center=(fold.center[0], source.center[1]))
    assert fold.center is not None
    running = (
        sheet.track.at(edge.source)
        if sheet.track and sheet.track.crosses(edge.source, sheet.cell)
        else None
    )
    scene_edge = SceneEdge(
        source.key,
        into,
        "plain",
        points=(border(source, fold.center), border(fold, source.center)),
        width=_FINE if running is None else line_width(running, sheet.track),
        on_path=running is not None,
    )
    sheet.lines.append(Line(scene_edge, None, 3 if running is not None else 1))


def _add_tail_line(sheet: Sheet, edge: Edge) -> None:
    """Into a loss: straight on one row, else along the rail of the losses."""
    step = sheet.cell.parts.get(edge.source, (None, ""))[0]
    last = sheet.cell.steps[-1]
    if step is not None and not sheet.columns.shows(step) and step != last:
        return
    source = sheet.box(edge.source) if step is None else state_shape(sheet, edge.source)
    target = sheet.nodes[edge.target]
    assert source.center is not None and target.center is not None
    near = (
        target.center[0] - source.center[0] < source.size[0] / 2 + target.size[0] + TAIL_GAP + 8.0
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
    id = key.removesuffix(BOX)
    part = sheet.cell.parts[id][1]
    route = sheet.plan.routes[part, part]
    source, target = sheet.nodes[id], sheet.nodes[key]
    points = course(source, target, route, on_path=False)
    thick = (part, part) in sheet.plan.conveyor
    on_path = sheet.track is not None and sheet.track.leaves_box(id, sheet.cell, sheet.plan)
    width = _off_path_width(sheet, thick)
    if on_path and sheet.track is not None:
        width = line_width(sheet.track.at(id), sheet.track)
    if sheet.shares is not None:
        width = share_width(sheet.shares.node(id, _from_box(sheet, id)))
    edge = SceneEdge(source.key, key, "plus", points=points, width=width, on_path=on_path)
    request = Request((labels.one(),), tuple(pairwise(points)), route.label == "optional")
    wanted = (
        route.label != "none"
        and not sheet.track
        and not sheet.shares
        and "local" in sheet.names.show
    )
    sheet.lines.append(Line(edge, request if wanted else None, 3 if on_path else 2))


def _add_extra(sheet: Sheet, source: str, target: str, mark: Mark) -> None:
    """An arrow of another graph between the shapes of this one, around those in its way."""
    start, end = sheet.box(source), sheet.nodes[target]
    corners = _way_around(sheet, start, end)
    points = course(start, end, Route(lambda s, t: corners), on_path=False)
    edge = SceneEdge(start.key, end.key, "extra", points=points, width=_MARKED, id=(source, target))
    segments = tuple(sorted(pairwise(points), key=_length, reverse=True))
    sheet.lines.append(Line(edge, Request(_shorter(mark), segments), 3))


def _way_around(sheet: Sheet, start: SceneNode, end: SceneNode) -> tuple[Point, ...]:
    """Corners of the cheapest way past the shapes and lines that stand near the two ends."""
    assert start.center is not None and end.center is not None
    left, right = sorted((start.center[0], end.center[0]))
    left, right = left - _NEAR, right + _NEAR
    boxes = {
        key: Box.around(node.center, node.size)
        for key, node in sheet.nodes.items()
        if node.center is not None and left < node.center[0] < right
    }
    rows = sorted({(box.low + box.high) / 2 for box in boxes.values()})
    columns = sorted({(box.left + box.right) / 2 for box in boxes.values()})
    router = Router(
        boxes,
        rows=[(a + b) / 2 + off for a, b in pairwise(rows) if b - a > 30.0 for off in (0.0, 9.0)],
        columns=[(a + b) / 2 for a, b in pairwise(columns) if b - a > 20.0],
        slant=_SLANT,
    )
    for line in sheet.lines:
        points = line.edge.points or ()
        if any(left < x < right for x, _ in points):
            router.keep(line.edge.source, points)
    return router.corners("", start.key, end.key)


def _singled_out(line: Line, mark: Mark) -> Line:
    """A line in the colour of its mark, which also stands in words beside it."""
    options = _shorter(mark)
    segments = tuple(pairwise(line.edge.points or ()))
    home = None
    if line.request is not None:
        segments, home = line.request.segments, line.request.home
        own = () if mark.alone else line.request.wrappings
        coloured = [tuple(replace(text, kind=mark.kind) for text in lines) for lines in own]
        options = (*((*mark.told, *lines) for lines in coloured), *options)
    edge = replace(line.edge, kind=mark.kind, width=_MARKED)
    return Line(edge, Request(options, segments, home=home), 3)


def _shorter(mark: Mark) -> tuple[tuple[Text, ...], ...]:
    return (mark.told, *mark.short)


def _from_box(sheet: Sheet, id: str) -> tuple[Edge, ...]:
    """The edges that leave a state from its box, not from the op in front of it."""
    return tuple(
        edge
        for edge in sheet.graph.out_of(id)
        if edge.target not in sheet.cell.parts
        or sheet.cell.parts[edge.target][0] > sheet.cell.parts[id][0]
        or not sheet.plan.routes[sheet.cell.route(edge)].from_op
    )


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
    points = course(source, target, route, on_path)
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
    if sheet.shares is not None:
        share = sheet.shares.of.get(edge)
        told = "loss" if into_loss else labels.edge_kind(edge.factors)
        kind, rank = (told, 3) if share else ("muted", 0)
        width = share_width(share) if share else _FINE
    scene_edge = SceneEdge(
        source.key,
        target.key,
        kind,
        points=points,
        width=width,
        on_path=on_path,
        id=(edge.source, edge.target),
    )
    request = _request(sheet, edge, route, points, from_input, into_loss)
    if request is not None and route.home is not None:
        request = replace(request, home=_home(route.home, points[0], target))
    line = Line(scene_edge, request, rank)
    mark = sheet.marks.get((edge.source, edge.target))
    sheet.lines.append(_singled_out(line, mark) if mark and not mark.absent else line)


def _home(home: Home, start: Point, target: SceneNode) -> Callable[[Point], Point]:
    center = target.center
    assert center is not None
    return lambda size: home(start, center, size)


def _off_path_width(sheet: Sheet, thick: bool) -> float:
    if sheet.track is not None:
        return _FINE
    return _CONVEYOR if thick else _THIN


def course(source: SceneNode, target: SceneNode, route: Route, on_path: bool) -> tuple[Point, ...]:
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
    on_path = sheet.track is not None and sheet.track.holds(edge)
    if sheet.shares is not None:
        return _share_request(sheet, edge, _label_segments(points, route, True, into_loss))
    if route.label == "none" and not on_path:
        return None
    segments = _label_segments(points, route, on_path, into_loss)
    loss = sheet.names.node(sheet.graph.find(edge.target)) if into_loss else ""
    if on_path and sheet.track is not None:
        kept = sheet.track.leaving[edge.source]
        options = labels.path_wrappings(
            kept, sheet.track.after(edge), sheet.names, loss, first=sheet.track.begins(edge)
        )
        return Request(options, segments) if options else None
    if into_loss:
        options = labels.loss_wrappings(edge, loss) if "local" in sheet.names.show else ()
        return Request(options, segments, route.label == "optional") if options else None
    if sheet.track is not None and sheet.cell.level == "gate":
        return None
    options = labels.wrappings(edge, sheet.names)
    if not options:
        return None
    if from_input:
        options = tuple(tuple(replace(line, kind="muted") for line in lines) for lines in options)
    return Request(options, segments, route.label == "optional" or sheet.track is not None)


def _share_request(
    sheet: Sheet, edge: Edge, segments: tuple[tuple[Point, Point], ...]
) -> Request | None:
    """The share of the gradient that passes along an edge; nothing where none does."""
    assert sheet.shares is not None
    share = sheet.shares.of.get(edge)
    if not share or abs(share) < _LEAST_SHARE:
        return None
    return Request(labels.share(percent(share), edge), segments, optional=abs(share) < _MUST_SHOW)


def _label_segments(
    points: tuple[Point, ...], route: Route, on_path: bool, into_loss: bool
) -> tuple[tuple[Point, Point], ...]:
    """The pieces of a line its label may stand beside, best first."""
    segments = tuple(pairwise(points))
    if into_loss and len(segments) > 1:
        segments = segments[:1]  # the rail is shared by all losses
    if not route.last_leg:
        return tuple(sorted(segments, key=_length, reverse=True))
    # A thick line stands out on a shared bus too.
    return segments[::-1] if on_path else segments[-1:]


def _length(segment: tuple[Point, Point]) -> float:
    return math.dist(*segment)


def _span(points: tuple[Point, ...]) -> float:
    return sum(map(_length, pairwise(points)))
