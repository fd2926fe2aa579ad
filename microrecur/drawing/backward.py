"""The graph of a gradient, below the cell it differentiates: one ∂ under each forward node.

Both floors share their columns. Every arrow of the lower floor turns a forward arrow round and
multiplies by the same factor, which is what reverse mode is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.below import extent
from microrecur.drawing.blueprint import Place
from microrecur.drawing.dot_lines import border
from microrecur.drawing.overlaps import Box, landing
from microrecur.drawing.pinned import dots, draw_known, labelled
from microrecur.drawing.placing import Request
from microrecur.drawing.roles import Cell
from microrecur.drawing.routing import Router, Segment
from microrecur.drawing.scene import Panel, Point, Scene, SceneEdge, SceneNode, Text
from microrecur.drawing.sheet import Line, Sheet
from microrecur.drawing.style import NODE_TEXT, SMALL_TEXT
from microrecur.drawing.text_size import text_width
from microrecur.engine.calculus import gradient_of
from microrecur.graphs.graph import Graph

if TYPE_CHECKING:
    from microrecur.drawing.wish import Wish
    from microrecur.graphs.graph import Edge, Node

SEED = "∂ seed"  # the key of ∂y/∂y = 1
NOTE = (
    "lower row: the gradient by what stands above it; each arrow turns a forward arrow round and "
    "multiplies by the same factor"
)
_GAP = 34.0  # between the floors
_NEAR = 130.0  # how far beside a line its way is looked for
_THIN = 1.6
_SLANT = 12.0  # a slanted line is liked less than two corners


def differentiated(graph: Graph) -> Graph | None:
    """The forward graph of what a gradient was taken of; None when the root is no gradient."""
    found = gradient_of(graph.root)
    return None if found is None else Graph((found[0],), graph.level)


def draw_backward(graph: Graph, forward: Graph, cell: Cell, wish: Wish) -> tuple[Scene, Sheet]:
    """Lay out the forward cell and its gradients below."""
    scene, upper = draw_known(forward, cell, replace(wish, path=None, shares=None))
    whole = Graph((*forward.roots, *graph.roots), graph.level)
    (_, low), _ = extent(scene)
    floor = _Floor(whole, upper, low - _GAP - upper.plan.high)
    floor.fill()
    scene.panels += floor.sheet.panels
    scene.edges += labelled(floor.sheet)
    scene.nodes += floor.sheet.nodes.values()
    scene.nodes += [replace(dot, key=f"∂ {dot.key}") for dot in dots(floor.sheet)]
    return scene, upper


@dataclass
class _Floor:
    """The lower floor in the making."""

    whole: Graph
    upper: Sheet
    drop: float  # from the upper floor's rows to the lower one's
    sheet: Sheet = field(init=False)
    router: Router = field(default_factory=Router)
    taken_by: dict[str, str] = field(init=False)  # gradient -> the forward node it is taken by

    def __post_init__(self) -> None:
        above = self.upper
        self.sheet = Sheet(self.whole, above.cell, above.plan, above.columns, above.names, None)
        self.taken_by = {}
        for node in self.whole.nodes:
            y, by = gradient_of(node.tensor) or (None, None)
            if by is not None and y is above.graph.root:
                self.taken_by[node.id] = self.whole.id_of(by)

    def _by(self, id: str) -> str:
        """The forward node that a gradient is taken by; any other node itself."""
        return self.taken_by.get(id, id)

    def fill(self) -> None:
        """Nodes, panels, lines."""
        for node in self.whole.nodes:
            if node.id in self.taken_by:
                self._add_node(node)
        self._add_seed()
        for fold in self.upper.columns.folds:
            self._add_fold(fold.key)
        self._add_panels()
        self._prepare_router()
        for edge in self.whole.edges:
            self._add_line(edge)
        for edge in self.upper.graph.into(self._root):
            self._add_seed_line(edge)
        self.sheet.lines.sort(key=lambda line: line.rank)

    @property
    def _root(self) -> str:
        return self.upper.graph.id_of(self.upper.graph.root)

    # ------------------------------------------------------------ shapes

    def _place(self, id: str) -> tuple[Point, Place] | None:
        """Where a forward node's gradient stands, in the upper floor's rows, and how large."""
        above = self.upper
        if id not in above.cell.parts:
            node = above.nodes.get(id)
            if node is None or node.center is None:
                return None
            return node.center, Place(0.0, 0.0, node.size, "state")
        step, part = above.cell.parts[id]
        if not above.columns.shows(step):
            return None
        plan = above.plan
        initial = step == above.cell.steps[0] - 1
        place = plan.initial[part] if initial else plan.boxes.get(part) or plan.places[part]
        return (above.columns.origins[step] + place.x, place.y), place

    def _add_node(self, node: Node) -> None:
        id = self._by(node.id)
        found = self._place(id)
        if found is None or (id in self.upper.cell.parts and not self._is_drawn(id)):
            return
        (x, y), place = found
        room = max(place.size[0], 48.0)
        lines = _lines(node, self.upper.names, room - 4.0)
        wide = max(room, *(text_width(line, NODE_TEXT) + 6.0 for line in lines))
        high = max(40.0, len(lines) * 15.0 + 8.0)
        kind = self._kind(id)
        self.sheet.nodes[node.id] = SceneNode(
            node.id,
            node.id,
            lines,
            kind,
            "box",
            (x, y + self.drop),
            (wide, high),
            labels.flagged(node),
        )

    def _is_drawn(self, id: str) -> bool:
        return id in self.upper.nodes

    def _kind(self, id: str) -> str:
        drawn = self.upper.nodes[id]
        state = self.upper.cell.parts.get(id, (0, ""))[1] in self.upper.plan.initial
        return "state" if state else "plain" if drawn.kind == "loss" else drawn.kind

    def _add_seed(self) -> None:
        """∂y/∂y = 1, from which all others follow."""
        root, y = self._root, self.upper.graph.root
        found = self._place(root)
        if found is None or y.size != 1:
            return
        (x, row), place = found
        name = self.upper.names.node(self.upper.graph.find(root))
        lines = f"∂{name}/∂{name}", "1"
        wide = max(place.size[0], text_width(lines[0], NODE_TEXT) + 8.0)
        center, size = (x, row + self.drop), (wide, 42.0)
        self.sheet.nodes[SEED] = SceneNode(SEED, SEED, lines, "loss", "box", center, size)

    def _add_fold(self, key: str) -> None:
        fold = self.upper.nodes[key]
        assert fold.center is not None
        center = fold.center[0], fold.center[1] + self.drop
        lines = fold.lines[:2]
        self.sheet.nodes[key] = replace(fold, key=f"∂ {key}", lines=lines, center=center)

    def _add_panels(self) -> None:
        lowest = min(_box(node).low for node in self.sheet.nodes.values()) - 44.0
        for panel in self.upper.panels:
            if panel.key.startswith("step "):
                low, high = (self._down(point) for point in (panel.low, panel.high))
                low = low[0], lowest
                label = f"∂ · {panel.label}" if not self.upper.single else "its gradients"
                half = text_width(label, SMALL_TEXT) / 2
                assert panel.label_at is not None
                row = low[1] + 12.0 if self.upper.plan.caption_low else high[1] - 13.0
                at = (high[0] - 11.0 - half, row)
                self.sheet.panels.append(Panel(f"∂ {panel.key}", low, high, label, at, panel.level))

    def _down(self, point: Point) -> Point:
        return point[0], point[1] + self.drop

    # ------------------------------------------------------------ lines

    def _prepare_router(self) -> None:
        """Rows and columns between those of the shapes are free for lines."""
        boxes = {key: _box(node) for key, node in self.sheet.nodes.items()}
        self.router.shapes = boxes
        rows = sorted({(box.low + box.high) / 2 for box in boxes.values()})
        columns = sorted({(box.left + box.right) / 2 for box in boxes.values()})
        self.router.rows = [
            (low + high) / 2 + off
            for low, high in pairwise(rows)
            if high - low > 44.0
            for off in (0.0, 9.0, -9.0)
        ]
        self.router.columns = [(a + b) / 2 for a, b in pairwise(columns) if b - a > 20.0]

    def _add_line(self, edge: Edge) -> None:
        ends = [self._end(id) for id in (edge.source, edge.target)]
        if None in ends or ends[0] == ends[1]:
            return
        source, target = (str(end) for end in ends)
        if any(
            line.edge.source == source and line.edge.target == target and edge.source != source
            for line in self.sheet.lines
        ):
            return
        self._draw(source, target, edge, *self._course(edge, source, target))

    def _end(self, id: str) -> str | None:
        """The key of what stands for a gradient: itself, or the fold that hides it."""
        if id in self.sheet.nodes:
            return id
        step, part = self.upper.cell.parts.get(self._by(id), (None, ""))
        if id not in self.taken_by or step is None or part not in self.upper.plan.initial:
            return None
        return None if self.upper.columns.shows(step) else self.upper.columns.fold_of(step).key

    def _turned(self, edge: Edge) -> Edge:
        """The forward edge that a backward one turns round: its factors have textbook names."""
        target, source = self._by(edge.source), self._by(edge.target)
        if target in self.upper.cell.parts and source in self.upper.cell.parts:
            for forward in self.upper.graph.into(target):
                if forward.source == source and forward.paths == edge.paths:
                    return forward
        return edge

    def _course(self, edge: Edge, source: str, target: str) -> tuple[tuple[Point, ...], bool]:
        """The corners of a line, and whether they are those of its forward arrow.

        They are if both ends stand where that one ends.
        """
        start, end = (self._shape(key, edge) for key in (source, target))
        assert start.center is not None and end.center is not None
        if start.center[1] == end.center[1] and self._row_is_free(start, end):
            self.router.keep(source, (start.center, end.center))
            return (), False
        parts = self.upper.cell.parts
        ids = self._by(edge.target), self._by(edge.source)
        if all(id in parts for id in ids) and target in self.sheet.nodes:
            (before, read), (after, made) = (parts[id] for id in ids)
            pair = read + "-" * (after - before), made
            plan = self.upper.plan
            if (
                pair in plan.routes
                and made not in plan.boxes
                and (after > before or read not in plan.boxes)
            ):
                up = [(x, y - self.drop) for x, y in (end.center, start.center)]
                corners = plan.routes[pair].corners(*up)
                turned = tuple(self._down(point) for point in reversed(corners))
                self.router.keep(target, (start.center, *turned, end.center))
                return turned, True
        return self._way(source, target), False

    def _row_is_free(self, start: SceneNode, end: SceneNode) -> bool:
        assert start.center is not None and end.center is not None
        left, right = sorted((start.center[0], end.center[0]))
        return not any(
            node.center is not None
            and left < node.center[0] < right
            and abs(node.center[1] - start.center[1]) < node.size[1] / 2 + 5.0
            for node in self.sheet.nodes.values()
        )

    def _way(self, source: str, target: str) -> tuple[Point, ...]:
        """A way around shapes, looked for near the two ends alone."""
        every = self.router
        pair = [every.shapes[key] for key in (source, target)]
        left = min(box.left for box in pair) - _NEAR
        right = max(box.right for box in pair) + _NEAR
        near = Router(
            {k: b for k, b in every.shapes.items() if b.right > left and b.left < right},
            [
                line
                for line in every.lines
                if max(p[0] for p in line[1]) > left and min(p[0] for p in line[1]) < right
            ],
            every.rows,
            [x for x in every.columns if left < x < right],
            slant=_SLANT,
        )
        known = len(near.lines)
        corners = near.corners(source, source, target)
        every.lines += near.lines[known:]
        return corners

    def _shape(self, key: str, edge: Edge) -> SceneNode:
        """A shape as lines meet it: of a fold only the slice on the row of the state."""
        node = self.sheet.nodes[key]
        if node.kind != "folded":
            return node
        for id in (self._by(edge.source), self._by(edge.target)):
            step, part = self.upper.cell.parts.get(id, (None, ""))
            if step is not None and not self.upper.columns.shows(step):
                place = self.upper.plan.boxes.get(part) or self.upper.plan.places[part]
                assert node.center is not None
                center = node.center[0], place.y + self.drop
                return replace(node, center=center, size=(node.size[0], 44.0))
        return node

    def _draw(
        self, source: str, target: str, edge: Edge, corners: tuple[Point, ...], turned: bool
    ) -> None:
        told = self._turned(edge)
        start, end = self._shape(source, edge), self._shape(target, edge)
        assert start.center is not None and end.center is not None
        points: tuple[Point, ...] = (border(start, end.center), border(end, start.center))
        if corners:
            points = (landing(start, corners[0]), *corners, landing(end, corners[-1]))
        options = labels.wrappings(told, self.upper.names)
        folded = "folded" in (start.kind, end.kind)
        kind = "plain" if folded else labels.edge_kind(told.factors)
        ids = None if folded else (edge.source, edge.target)
        # Lines of one source part, those of one target join: a label stands where its own is alone.
        own = pairwise(points[:2] if turned else points[-2:])
        self._put(start.key, end.key, kind, points, () if folded else options, ids, tuple(own))

    def _add_seed_line(self, edge: Edge) -> None:
        """From ∂y/∂y to the gradients of what y is made from."""
        id = next((id for id, by in self.taken_by.items() if by == edge.source), "")
        if SEED not in self.sheet.nodes or id not in self.sheet.nodes:
            return
        start, end = self.sheet.nodes[SEED], self.sheet.nodes[id]
        assert start.center is not None and end.center is not None
        straight = start.center[1] == end.center[1] and self._row_is_free(start, end)
        corners = () if straight else self._way(SEED, id)
        points: tuple[Point, ...] = (border(start, end.center), border(end, start.center))
        if corners:
            points = (landing(start, corners[0]), *corners, landing(end, corners[-1]))
        root = self.upper.graph.find(self._root)
        options = (
            labels.wrappings(edge, self.upper.names)
            if self._root in self.upper.cell.parts
            else labels.loss_wrappings(edge, self.upper.names.node(root))
        )
        kind = labels.edge_kind(edge.factors) if self._root in self.upper.cell.parts else "loss"
        self._put(SEED, id, kind, points, options, (SEED, id), tuple(pairwise(points)))

    def _put(
        self,
        source: str,
        target: str,
        kind: str,
        points: tuple[Point, ...],
        options: tuple[tuple[Text, ...], ...],
        ids: tuple[str, str] | None,
        segments: tuple[Segment, ...],
    ) -> None:
        edge = SceneEdge(source, target, kind, points=points, width=_THIN, id=ids)
        wanted = bool(options) and "local" in self.upper.names.show
        self.sheet.lines.append(Line(edge, Request(options, segments, True) if wanted else None, 1))


def _box(node: SceneNode) -> Box:
    assert node.center is not None
    return Box.around(node.center, node.size)


def _lines(node: Node, names: labels.Names, room: float) -> tuple[str, ...]:
    """Name and value; a value too long breaks at its power of ten."""
    found = labels.name_and_value(node, names)
    if len(found) < 2 or text_width(found[1], NODE_TEXT) <= room:
        return found
    return found[0], *found[1].replace("·10", "\n·10").split("\n")
