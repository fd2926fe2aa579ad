"""A gradient at level "step", below the grid of the states it was taken of.

Each lane of cells has a lane of gradients in the same columns, and every arrow there turns a
forward arrow round. The lanes stand in the order the gradient reaches them, the first at the
bottom.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from microrecur.drawing.below import extent
from microrecur.drawing.grid import draw_grid
from microrecur.drawing.grid_cells import GRADIENT, Grid, lane_of
from microrecur.drawing.scene import Scene, moved
from microrecur.engine.tensor import tensor
from microrecur.graphs.graph import Edge, Graph, Node, derivative

if TYPE_CHECKING:
    from microrecur.drawing.wish import Wish

NOTE = (
    "lower rows: the gradient by the state above; each arrow turns a forward arrow round and "
    "multiplies by the same derivative"
)
SEED = "∂ seed"  # the id of ∂y/∂y = 1
_GAP = 34.0  # between states and gradients


class Turned(Graph):
    """The gradients of a view alone, and ∂y/∂y = 1 that they begin with.

    What they read of the forward pass stands above them.
    """

    def __init__(self, whole: Graph, forward: Graph) -> None:
        self.whole, self.forward = whole, forward
        self.roots, self.level, self._records = whole.roots, whole.level, None

    def at(self, level: str) -> Graph:
        """The same: there is nothing else to read here, such as inputs."""
        return self

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The seed, then the gradients of states."""
        y = self.forward.root
        root = self.forward.find(self.forward.id_of(y))
        role, layer = ("loss", ()) if root.step is None else ("state", (GRADIENT, *root.layer))
        one = tensor(1.0) if y.size == 1 else tensor([1.0] * y.size)
        seed = Node(SEED, one, role, root.step, None, layer, derivative(y, y))
        return seed, *(n for n in self.whole.nodes if n.layer[:1] == (GRADIENT,))

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """From the seed by the root's own derivatives, and from gradient to gradient."""
        known = {node.id for node in self.nodes}
        found = []
        for edge in self.forward.into(self.forward.id_of(self.forward.root)):
            target = f"{GRADIENT}.{edge.source}"
            if target in known:
                told = (edge.factors, edge.paths, edge.value, edge.norm)
                found.append(Edge(SEED, target, *told))
        return (*found, *(e for e in self.whole.edges if {e.source, e.target} <= known))


def draw_grid_backward(graph: Graph, forward: Graph, grid: Grid, wish: Wish) -> Scene:
    """Lay out the states on their grid and the gradients by them below."""
    wish = replace(wish, path=None, shares=None)
    scene = draw_grid(forward, grid, wish)
    turned = Turned(graph, forward)
    lanes = {lane_of(node) for node in turned.nodes if node.step is not None}
    order = [replace(lane, layer=(GRADIENT, *lane.layer)) for lane in grid.lanes]
    layers = list(dict.fromkeys(lane.layer for lane in order))[::-1]
    kept = tuple(
        lane for layer in layers for lane in order if lane.layer == layer and lane in lanes
    )
    lower = draw_grid(turned, replace(grid, lanes=kept), wish)
    (_, floor), _ = extent(scene)
    (_, _), (_, high) = extent(lower)
    lower = moved(lower, (0.0, floor - _GAP - high))
    for field in ("panels", "nodes", "edges", "captions"):
        getattr(scene, field).extend(getattr(lower, field))
    return scene
