"""A chosen path as a picture needs it: the running product at every node it visits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microrecur.drawing.blueprint import Blueprint
from microrecur.drawing.chosen import wording
from microrecur.drawing.roles import Cell
from microrecur.graphs.notation import number

if TYPE_CHECKING:
    from microrecur.flows.paths import Path
    from microrecur.graphs.graph import Edge


@dataclass(frozen=True, slots=True)
class Track:
    """A path, looked up by node."""

    path: Path
    running: dict[str, float]  # node id -> ∏ from the root back to it
    leaving: dict[str, Edge]  # node id -> the edge by which the path leaves it towards the root
    largest: float

    @classmethod
    def along(cls, path: Path) -> Track:
        """Read a path."""
        running = {path.ids[0]: 1.0, **dict(zip(path.ids[1:], path.running, strict=True))}
        leaving = {edge.source: edge for edge in path.edges}
        sizes = [abs(value) for value in path.running if math.isfinite(value)]
        return cls(path, running, leaving, max(sizes, default=0.0))

    def holds(self, edge: Edge) -> bool:
        """Whether the path runs along this very edge."""
        kept = self.leaving.get(edge.source)
        if kept is None or kept is edge:
            return kept is edge
        return kept.target == edge.target and wording(kept) == wording(edge)

    def begins(self, edge: Edge) -> bool:
        """Whether this is the path's first edge, at its root."""
        return self.path.edges[0] is self.leaving.get(edge.source)

    def after(self, edge: Edge) -> float:
        """∏ after an edge of the path."""
        return self.running[edge.source]

    def at(self, id: str) -> float:
        """∏ at a node of the path."""
        return self.running[id]

    def crosses(self, state: str, cell: Cell) -> bool:
        """Whether the path goes on from this state into the next step."""
        edge = self.leaving.get(state)
        return (
            edge is not None
            and edge.target in cell.parts
            and cell.parts[edge.target][0] > cell.parts[state][0]
        )

    def leaves_box(self, state: str, cell: Cell, plan: Blueprint) -> bool:
        """Whether the path goes on from the state box, not from the op in front of it."""
        edge = self.leaving.get(state)
        if edge is None:
            return False
        if edge.target not in cell.parts or self.crosses(state, cell):
            return True
        route = plan.routes.get(cell.route(edge))  # none to the layer above
        return route is None or not route.from_op

    def folded(self, steps: tuple[int, ...], cell: Cell) -> str:
        """What the folded steps multiply the path by; of norms what it is at most.

        Nothing where it passes none of them.
        """
        value, passed = 1.0, False
        first, last = steps[0] - 1, steps[-1]
        for edge in self.leaving.values():
            ends = [cell.parts.get(id, (-1, ""))[0] for id in (edge.source, edge.target)]
            if first <= ends[0] <= last and first < ends[1] <= last:
                passed = True
                value *= self.path.size(edge)
        if not passed:
            return ""
        return f"× {number(value)}" if self.path.signed else f"× ≤ {number(value)}"


def share_width(share: float) -> float:
    """Width of a line that carries this share of the gradient: 7 points for all of it."""
    if not math.isfinite(share):
        return 1.1
    return 1.1 + 5.9 * min(1.0, abs(share))


def line_width(product: float, track: Track | None) -> float:
    """Width of a path's line: |∏| on a log scale, 7 points at most, 1.5 less per power of ten."""
    if track is None or track.largest == 0.0 or not math.isfinite(product):
        return 2.0
    if product == 0.0:
        return 1.0
    return min(7.0, max(1.0, 7.0 + 1.5 * math.log10(abs(product) / track.largest)))
