"""Where the cells of stacked layers stand: time in columns, layers in rows, directions in lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microrecur.drawing.columns import shown_steps
from microrecur.drawing.scene import Point

if TYPE_CHECKING:
    from microrecur.drawing.wish import Wish
    from microrecur.graphs.graph import Graph, Node

REVERSE = "reverse"  # ends the scope of a layer that reads the sequence backwards
GRADIENT = "∂"
_STEP_ASIDE, _LANE_GAP, _LAYER_GAP, _COLUMN_GAP = 16.0, 14.0, 74.0, 50.0
_INITIAL, _ROOMY = 66.0, 116.0  # of the initial states; with room for the label of a path
_FOLD = 72.0  # the room a folded run takes, beside the gap between columns
_ROOM = 1130.0  # points that columns may take: with the ends it is read at 1100 pixels


@dataclass(frozen=True, slots=True)
class Lane:
    """One direction of one layer."""

    layer: tuple[str, ...]  # without the direction
    reverse: bool

    @property
    def backward(self) -> bool:
        """Whether it holds gradients."""
        return self.layer[:1] == (GRADIENT,)

    @property
    def leftward(self) -> bool:
        """Whether it computes from right to left."""
        return self.reverse != self.backward

    @property
    def name(self) -> str:
        """What its panels are called."""
        return " ".join([*self.layer, *[REVERSE] * self.reverse])


def state_of(node: Node) -> str:
    """Which state of its cell a node is, or is the gradient by: "h" of t1.h and of ∂.t1.h."""
    return node.id.rsplit(".", 1)[-1]


def lane_of(node: Node) -> Lane:
    """The lane a node's scope files it in."""
    reverse = node.layer[-1:] == (REVERSE,)
    return Lane(node.layer[:-1] if reverse else node.layer, reverse)


@dataclass(slots=True)
class Grid:
    """The places of all states of a stacked or bidirectional graph."""

    lanes: tuple[Lane, ...]
    states: tuple[str, ...]  # names, the one on top first
    steps: tuple[int, ...]
    shown: tuple[int, ...]
    initial: float  # from the outermost panel to the middle of the initial states

    @property
    def both_ways(self) -> bool:
        """Whether some layer runs backwards too."""
        return any(lane.reverse for lane in self.lanes)

    @property
    def panel(self) -> Point:
        """Width and height of one cell."""
        return (152.0, 112.0) if len(self.states) > 1 else (104.0, 74.0)

    @property
    def pitch(self) -> float:
        """From one column to the next."""
        width = self.panel[0]
        return (2 * width + _STEP_ASIDE if self.both_ways else width) + _COLUMN_GAP

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """From the lowest to the highest."""
        return tuple(dict.fromkeys(lane.layer for lane in self.lanes))

    @property
    def layer_height(self) -> float:
        """From one layer's foot to the next."""
        height = self.panel[1]
        return (2 * height + _LANE_GAP if self.both_ways else height) + _LAYER_GAP

    def foot(self, layer: tuple[str, ...]) -> float:
        """The lowest row of a layer."""
        return self.layers.index(layer) * self.layer_height

    def roof(self, layer: tuple[str, ...]) -> float:
        """The highest row of a layer."""
        return self.foot(layer) + self.layer_height - _LAYER_GAP

    def left(self, step: int) -> float:
        """Where a shown step's column begins."""
        before = sum(s < step for s in self.shown)
        gaps = sum(b != a + 1 for a, b in zip(self.shown, self.shown[1:]) if b <= step)
        return before * self.pitch + gaps * _FOLD

    def between(self, before: int, after: int) -> float:
        """The middle of the gap between two columns: free of the lines of either."""
        return (self.left(before) + self.pitch - _COLUMN_GAP + self.left(after)) / 2

    def corner(self, lane: Lane, step: int) -> Point:
        """The low left corner of a cell's panel."""
        width, height = self.panel
        x, y = self.left(step), self.foot(lane.layer)
        return (x + width + _STEP_ASIDE, y + height + _LANE_GAP) if lane.reverse else (x, y)

    def at(self, lane: Lane, step: int, state: str) -> Point:
        """The middle of a state: of a cell, or before the first cell its lane computes."""
        inside = self._inside(lane, state)
        if step in self.shown:
            x, y = self.corner(lane, step)
            return x + inside[0], y + inside[1]
        first = self.shown[-1] if lane.reverse else self.shown[0]
        x, y = self.corner(lane, first)
        aside = self.panel[0] + self.initial if lane.reverse else -self.initial
        return x + aside, y + inside[1]

    def _inside(self, lane: Lane, state: str) -> Point:
        width, height = self.panel
        if len(self.states) == 1:
            return width / 2, height / 2 - 9.0
        top = state == self.states[0]
        x = 34.0 if top != lane.reverse else width - 34.0
        return x, height - 30.0 if top else 30.0

    @property
    def outlet(self) -> tuple[str, ...]:
        """The layer beside which the loss stands: the last, of gradients the first they reach."""
        return self.layers[0 if self.lanes[0].backward else -1]

    @property
    def right(self) -> float:
        """Where the last column ends."""
        return self.left(self.shown[-1]) + self.pitch - _COLUMN_GAP


def read_grid(graph: Graph, wish: Wish) -> Grid | None:
    """Recognise stacked or bidirectional layers at level "step"; None for anything else."""
    stepped = [node for node in graph.nodes if node.step is not None]
    lanes = tuple(dict.fromkeys(lane_of(node) for node in stepped if node.role == "state"))
    names = dict.fromkeys(node.name for node in stepped)
    if graph.level != "step" or not lanes or not names.keys() <= {"h", "c"}:
        return None
    if any(lane.layer[:1] == (GRADIENT,) for lane in lanes):
        return None
    steps = tuple(sorted({n.step for n in stepped if n.op is not None and n.step is not None}))
    every = {(lane, step) for lane in lanes for step in steps}
    if every != {(lane_of(n), n.step) for n in stepped if n.op is not None}:
        return None  # ragged: some layer has other steps
    states = tuple(name for name in ("c", "h") if name in names)
    initial = _INITIAL if wish.path is None else _ROOMY
    grid = Grid(_ordered(lanes), states, steps, steps, initial)
    most = max(2, int(_ROOM // grid.pitch))
    limits = most, (most + 1) // 2 - 1 or 1, most // 2
    grid.shown = shown_steps(steps, limits, wish.steps, wish.fold)
    return grid


def _ordered(lanes: tuple[Lane, ...]) -> tuple[Lane, ...]:
    """By layer in order of appearance, forward before reverse."""
    layers = list(dict.fromkeys(lane.layer for lane in lanes))
    return tuple(sorted(lanes, key=lambda lane: (layers.index(lane.layer), lane.reverse)))
