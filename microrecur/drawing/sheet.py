"""A picture of a known cell in the making: what its shapes, lines and labels are read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microrecur.drawing import labels
from microrecur.drawing.blueprint import Blueprint
from microrecur.drawing.columns import FOLD, Columns
from microrecur.drawing.placing import Request
from microrecur.drawing.roles import Cell
from microrecur.drawing.scene import Panel, SceneEdge, SceneNode
from microrecur.drawing.shares import Shares
from microrecur.drawing.track import Track

if TYPE_CHECKING:
    from microrecur.drawing.wish import Mark
    from microrecur.graphs.graph import Graph

__all__ = ["BOX", "FOLD", "TAIL_GAP", "Line", "Sheet"]

BOX = "#box"  # ends the key of the state box behind an op
TAIL_GAP = 70.0  # between the last state and what follows


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
    shares: Shares | None = None
    marks: Mapping[tuple[str, str], Mark] = field(default_factory=dict)
    nodes: dict[str, SceneNode] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    evil: float = 0.0  # how much its labels cover, as `placing.Board` counts it

    @property
    def single(self) -> bool:
        """Whether one step stands for the cell."""
        return len(self.cell.steps) == 1

    def box(self, id: str) -> SceneNode:
        """The shape later steps read: the state box if there is one."""
        return self.nodes.get(id + BOX) or self.nodes[id]
