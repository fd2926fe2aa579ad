"""Draws stacked and bidirectional layers: one panel per cell, states inside, buses between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.blueprint import INPUT, STATE
from microrecur.drawing.columns import FOLD
from microrecur.drawing.dot_lines import border
from microrecur.drawing.grid_cells import GRADIENT, Grid, Lane, lane_of, state_of
from microrecur.drawing.overlaps import Box
from microrecur.drawing.placing import Board, Request, label_box
from microrecur.drawing.scene import Caption, Panel, Point, Scene, SceneEdge, SceneNode
from microrecur.drawing.shares import percent
from microrecur.drawing.sheet import Line
from microrecur.drawing.style import NODE_TEXT, SMALL_TEXT
from microrecur.drawing.text_size import text_width
from microrecur.drawing.track import Track, line_width, share_width
from microrecur.graphs.notation import number

if TYPE_CHECKING:
    from microrecur.drawing.wish import Wish
    from microrecur.graphs.graph import Edge, Graph, Node

_THIN, _CONVEYOR, _FINE = 1.4, 3.6, 1.0
_BUS, _SECOND_BUS = 22.0, 36.0  # of the forward and the reverse lane, above a layer
_X_ROW = -62.0
_LOSS = (64.0, 42.0)
NOTE = "∂: the derivative along a line, all paths in it summed"


def draw_grid(graph: Graph, grid: Grid, wish: Wish) -> Scene:
    """Lay out stacked or bidirectional layers on their grid."""
    track = Track.along(wish.path) if wish.path is not None and wish.shares is None else None
    drawn = _Drawn(graph, grid, wish, track)
    for node in graph.nodes:
        drawn.add_node(node)
    drawn.add_panels()
    drawn.add_folds()
    drawn.add_inputs()
    for edge in graph.edges:
        drawn.add_edge(edge)
    scene = Scene("", "", theme=wish.theme, panels=drawn.panels, nodes=list(drawn.nodes.values()))
    scene.edges = drawn.labelled()
    scene.captions = drawn.captions
    return scene


@dataclass(slots=True)
class _Drawn:
    graph: Graph
    grid: Grid
    wish: Wish
    track: Track | None
    nodes: dict[str, SceneNode] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    into_fold: dict[tuple[str, str], int] = field(default_factory=dict)  # place among the lines

    # -- shapes --------------------------------------------------------------------------------

    def add_node(self, node: Node) -> None:
        lines = labels.name_and_value(node, self.wish.names)
        lines += labels.gradient_lines(node, self.wish.names, STATE[0])
        width = max(STATE[0], *(text_width(line, NODE_TEXT) + 10.0 for line in lines))
        if node.step is None:  # what follows the states
            number = sum(n.step is None for n in self.graph.nodes if n.id in self.nodes)
            x = (
                self.grid.right
                + (self.grid.initial + 70.0 if self.grid.both_ways else 74.0)
                + 110.0 * number
            )
            center = (x, self.grid.foot(self.grid.outlet) + self.grid.panel[1] / 2)
            kind = "loss" if node.role == "loss" else "plain"
            size = (max(width, _LOSS[0]), _LOSS[1])
        else:
            first, last = self.grid.steps[0] - 1, self.grid.steps[-1] + 1
            if node.step not in (*self.grid.shown, first, last):
                return
            center, kind = self.grid.at(lane_of(node), node.step, state_of(node)), "state"
            size = (width, max(STATE[1], 14.4 * len(lines) + 8.0))
        self.nodes[node.id] = SceneNode(
            node.id, node.id, lines, kind, "box", center, size, labels.flagged(node)
        )

    def add_panels(self) -> None:
        width, height = self.grid.panel
        for lane in self.grid.lanes:
            for step in self.grid.shown:
                x, y = self.grid.corner(lane, step)
                label = f"∂ · t = {step}" if lane.backward else f"t = {step}"
                half = text_width(label, SMALL_TEXT) / 2
                at = self._caption(lane, half)
                at = (x + at[0], y + at[1])
                key = f"{lane.name} {step}"
                self.panels.append(Panel(key, (x, y), (x + width, y + height), label, at, 1))
            if lane.name != GRADIENT:
                self._add_lane_name(lane)

    def _caption(self, lane: Lane, half: float) -> Point:
        """Where a cell's t stands: away from the lines that rise from h."""
        width, height = self.grid.panel
        aside, row = (8.0 + half, height - 11.0)
        if len(self.grid.states) > 1:
            aside, row = 52.0, 11.0
        return (width - aside if lane.reverse else aside), row

    def _add_lane_name(self, lane: Lane) -> None:
        """What the lane is called, above its first (or, in reverse, last) cell."""
        step = self.grid.shown[-1] if lane.reverse else self.grid.shown[0]
        x, y = self.grid.corner(lane, step)
        width, height = self.grid.panel
        half = text_width(lane.name, SMALL_TEXT) / 2
        at = (x + width + 12.0 + half if lane.reverse else x - 12.0 - half, y + height - 4.0)
        self.captions.append(Caption(labels.note(lane.name), at))

    def add_folds(self) -> None:
        shown = self.grid.shown
        runs = [(a, b) for a, b in pairwise(shown) if b != a + 1]
        if shown[0] != self.grid.steps[0] or shown[-1] != self.grid.steps[-1]:
            raise ValueError("stacked layers keep their first and last step: fold the middle")
        for before, after in runs:
            for lane in self.grid.lanes:
                _, y = self.grid.corner(lane, before)
                center = (self.grid.between(before, after), y + self.grid.panel[1] / 2)
                key = f"{FOLD} {lane.name} {before}"
                hidden = after - before - 1
                words = [
                    f"{hidden} step{'s' * (hidden > 1)}",
                    "folded",
                    *self._product(lane, before, after),
                ]
                width = max(text_width(word, NODE_TEXT) for word in words) + 12.0
                size = (width, self.grid.panel[1] - 10.0)
                self.nodes[key] = SceneNode(
                    key, FOLD, tuple(words), "folded", "folded", center, size
                )

    def _product(self, lane: Lane, before: int, after: int) -> list[str]:
        """What a folded run multiplies the path by; nothing where it passes none."""
        if self.track is None:
            return []
        value, passed = 1.0, False
        for edge in self.track.path.edges:
            target = self.graph.find(edge.target)
            ends = (self.graph.find(edge.source), target)
            if all(n.step is not None and lane_of(n) == lane for n in ends) and any(
                before < (n.step or 0) < after for n in ends
            ):
                passed = True
                value *= self.track.path.size(edge)
        sign = "×" if self.track.path.signed else "× ≤"
        return [f"{sign} {number(value)}"] if passed else []

    def add_inputs(self) -> None:
        """The input of each step, below the lowest layer, with lines into its cells."""
        drawn: set[int] = set()
        for node in self.graph.at("gate").nodes:
            fresh = node.step in self.grid.shown and node.step not in drawn
            if node.name != "x" or node.role != "input" or not fresh or node.step is None:
                continue
            drawn.add(node.step)
            width = self.grid.both_ways * (self.grid.panel[0] + 16.0) + self.grid.panel[0]
            center = (self.grid.left(node.step) + width / 2, _X_ROW)
            words = (" ".join(labels.name_and_value(node, self.wish.names)),)
            if node.value is not None:
                words = (" = ".join(labels.name_and_value(node, self.wish.names)),)
            size = (max(INPUT[0], text_width(words[0], NODE_TEXT) + 14.0), INPUT[1])
            self.nodes[node.id] = SceneNode(node.id, node.id, words, "input", "box", center, size)
            for lane in self.grid.lanes:
                if lane.layer == self.grid.layers[0]:
                    self._add_input_line(self.nodes[node.id], lane, node.step)

    def _add_input_line(self, x: SceneNode, lane: Lane, step: int) -> None:
        assert x.center is not None
        for state in self.grid.states:
            target = self._box(lane, step, state)
            if target is None or target.center is None:
                continue
            foot = (self._leg(target, lane), target.center[1] - target.size[1] / 2)
            row = self.grid.foot(lane.layer) - 20.0
            start = (x.center[0], x.center[1] + x.size[1] / 2)
            points = (start, (start[0], row), (foot[0], row), foot)
            edge = SceneEdge(x.key, target.key, "muted", points=points, width=_FINE)
            self.lines.append(Line(edge, None, 0))

    def _box(self, lane: Lane, step: int, state: str) -> SceneNode | None:
        ends = (
            n.id
            for n in self.graph.nodes
            if n.step == step and n.name == state and lane_of(n) == lane
        )
        return self.nodes.get(next(ends, ""))

    def _leg(self, target: SceneNode, lane: Lane) -> float:
        """Where lines from below enter a state: off its middle, which the lane's own line takes."""
        assert target.center is not None
        return target.center[0] + (14.0 if lane.reverse else -14.0)

    # -- lines ---------------------------------------------------------------------------------

    def add_edge(self, edge: Edge) -> None:
        source, target = self.graph.find(edge.source), self.graph.find(edge.target)
        if target.id not in self.nodes and source.id not in self.nodes:
            return
        if source.id in self.nodes and target.id in self.nodes:
            points = self._course(source, target)
            if points is not None:
                self._add(edge, source.id, target.id, points)
            return
        self._add_folded(edge, source, target)

    def _course(self, source: Node, target: Node) -> tuple[Point, ...] | None:
        start, end = self.nodes[source.id], self.nodes[target.id]
        assert start.center is not None and end.center is not None
        if target.step is None:
            return self._to_loss(source, start, end)
        if source.step is None:
            return self._from_seed(start, target, end)
        if lane_of(source) == lane_of(target):
            return border(start, end.center), border(end, start.center)
        if source.step != target.step:
            return border(start, end.center), border(end, start.center)
        lane = lane_of(source)
        row = self.grid.roof(lane.layer) + (_SECOND_BUS if lane.reverse else _BUS)
        x = self._leg(end, lane_of(target))
        top = start.center[1] + start.size[1] / 2
        rise = start.center[0] + (12.0 if not lane.reverse else -12.0)
        return (rise, top), (rise, row), (x, row), (x, end.center[1] - end.size[1] / 2)

    def _to_loss(self, source: Node, start: SceneNode, end: SceneNode) -> tuple[Point, ...]:
        assert start.center is not None and end.center is not None
        if source.step is None:
            return border(start, end.center), border(end, start.center)
        lane = lane_of(source)
        row = self.grid.roof(lane.layer) + (_SECOND_BUS if lane.reverse else _BUS)
        rise = start.center[0] + (12.0 if not lane.reverse else -12.0)
        x = end.center[0]
        top = start.center[1] + start.size[1] / 2
        return (rise, top), (rise, row), (x, row), (x, end.center[1] + end.size[1] / 2)

    def _from_seed(self, start: SceneNode, target: Node, end: SceneNode) -> tuple[Point, ...]:
        """From ∂L/∂L below its layer to the gradient by what the loss is made of."""
        assert start.center is not None and end.center is not None
        lane = lane_of(target)
        row = self.grid.foot(lane.layer) - 20.0
        x, low = self._leg(end, lane), end.center[1] - end.size[1] / 2
        foot = start.center[1] - start.size[1] / 2
        return (start.center[0], foot), (start.center[0], row), (x, row), (x, low)

    def _add_folded(self, edge: Edge, source: Node, target: Node) -> None:
        """From a shown cell into the folded run of its lane, or out of it."""
        out = target.id in self.nodes
        shown = self.nodes[target.id if out else source.id]
        node = target if out else source
        if lane_of(source) != lane_of(target) or node.step is None:
            return
        # A lane that computes from right to left leaves its run for the step before it.
        run = self._fold_beside(lane_of(node), node.step, later=out == lane_of(node).leftward)
        on_path = self.track is not None and self.track.holds(edge)
        drawn = self.into_fold.get((run.key, shown.key)) if run is not None else None
        if run is None or (drawn is not None and not on_path):
            return
        assert run.center is not None and shown.center is not None
        level = replace(run, center=(run.center[0], shown.center[1]), size=(run.size[0], 20.0))
        assert level.center is not None
        ends = (border(level, shown.center), border(shown, level.center))
        if not out:
            ends = (ends[1], ends[0])
        keys = (run.key, shown.key) if out else (shown.key, run.key)
        width = line_width(self.track.after(edge), self.track) if on_path and self.track else _THIN
        line = SceneEdge(*keys, "plain", points=ends, width=width, on_path=on_path)
        if drawn is not None:  # of several lines drawn as one the path's is seen
            self.lines[drawn] = Line(line, None, 3)
            return
        self.into_fold[run.key, shown.key] = len(self.lines)
        self.lines.append(Line(line, None, 3 if on_path else 1))

    def _fold_beside(self, lane: Lane, step: int, later: bool) -> SceneNode | None:
        before = step if later else max((s for s in self.grid.shown if s < step), default=step)
        return self.nodes.get(f"{FOLD} {lane.name} {before}")

    def _add(self, edge: Edge, source: str, target: str, points: tuple[Point, ...]) -> None:
        on_path = self.track is not None and self.track.holds(edge)
        carried = source.rsplit(".", 1)[-1] == target.rsplit(".", 1)[-1] == "c"
        kind = labels.edge_kind(edge.factors)
        width, rank = (_FINE, 1) if self.track else (_CONVEYOR if carried else _THIN, 1)
        options = labels.grid_wrappings(edge, self.wish.names) if not self.track else ()
        if on_path and self.track is not None:
            width, rank = line_width(self.track.after(edge), self.track), 3
            kept = self.track.leaving[edge.source]
            first = self.track.begins(edge)
            options = labels.path_wrappings(
                kept, self.track.after(edge), self.wish.names, first=first
            )
            options = (
                *options[:1],
                *labels.short_wrapping(kept, self.track.after(edge), self.wish.names),
                *options,
            )
        if self.wish.shares is not None:
            share = self.wish.shares.of.get(edge, 0.0)
            width, options = share_width(share), ()
            kind = kind if share else "muted"
            if abs(share) >= 0.001:
                options = labels.share(percent(share), edge)
        scene_edge = SceneEdge(
            source, target, kind, points=points, width=width, on_path=on_path, id=(source, target)
        )
        segments = tuple(pairwise(points))
        ordered = segments[-1:] + segments[:1] if len(segments) > 2 else segments
        if self.graph.find(target).step is None:
            ordered = segments[:1]  # the rail is shared by all
        elif self.graph.find(source).step is None:
            ordered = segments[-1:]
        request = Request(options, ordered, not on_path, width) if options else None
        self.lines.append(Line(scene_edge, request, rank))

    # -- labels --------------------------------------------------------------------------------

    def labelled(self) -> list[SceneEdge]:
        board = Board()
        for node in self.nodes.values():
            board.add_node(node)
        for line in self.lines:
            board.add_line(line.edge.points or (), line.edge.width, line.edge.arrow)
        for panel in self.panels:
            board.add_border(Box(*panel.low, *panel.high))
            if panel.label_at is not None:
                board.add_box(label_box((labels.note(panel.label),), panel.label_at, 2.0))
        for caption in self.captions:
            board.add_box(label_box((caption.text,), caption.at, 2.0))
        self.lines.sort(key=lambda line: line.rank)
        placed: dict[int, SceneEdge] = {}
        for k, line in sorted(enumerate(self.lines), key=lambda pair: not pair[1].edge.on_path):
            found = board.place(line.request) if line.request is not None else None
            placed[k] = line.edge
            if found is not None:
                placed[k] = replace(line.edge, labels=found.lines, label_at=found.at)
        return [placed[k] for k in range(len(self.lines))]
