"""What part of the gradient passes along each line of a picture: all routes at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microrecur.flows.flow import Flow, flow
from microrecur.flows.sweep import Linearised, Scaled
from microrecur.graphs.notation import count, number

if TYPE_CHECKING:
    from microrecur.engine.tensor import Tensor
    from microrecur.graphs.graph import Edge, Graph


@dataclass(frozen=True, slots=True)
class Shares:
    """The part of ∂root/∂source that passes along each edge of a view; signed.

    The edges that any cut between the two ends crosses have shares that sum to 1.
    """

    of: dict[Edge, float]
    flow: Flow
    source: str
    root: str

    def node(self, id: str, edges: tuple[Edge, ...]) -> float:
        """The part that passes through a node: the sum over the edges that leave it."""
        return sum(self.of.get(edge, 0.0) for edge in edges)


def shares(view: Graph, root: str, source: str) -> Shares:
    """Measure every edge of a view.

    Two sweeps: numbers carried back from the root, and the gradient's own direction carried forward
    from the source; where they meet on an edge, their product is what passes there.

    Raises
    ------
    ValueError
        When the root is no single number, or does not depend on the source.
    """
    y, wrt = view.find(root).tensor, view.find(source).tensor
    if y.size != 1:
        raise ValueError(
            f"routes=True shares out one gradient, and {root} has shape {y.shape}: draw a loss"
        )
    found = flow(y, wrt)
    if not found.depends:
        raise ValueError(f"{root} does not depend on {source}: no route leads back to it")
    lines = found.linearised
    back = lines.sweep({y: Scaled(np.ones(y.shape))}, keep=[*lines.nodes, wrt])
    ahead = _forward(lines, wrt, found.net)
    kept = {node.tensor for node in view.nodes}
    parts = {edge: _part(edge_parts) for edge, edge_parts in _edges(view, lines, kept, back, ahead)}
    return Shares(parts, found, source, root)


def _forward(lines: Linearised, wrt: Tensor, net: Scaled) -> dict[Tensor, Scaled]:
    """The tangent of each node when the source moves along gradient / ‖gradient‖²."""
    size = float(np.sum(net.array * net.array))
    direction = net.array / size if size else net.array
    moving = {wrt: Scaled(np.asarray(direction, float), -net.exponent)}
    for node in lines.nodes:
        if node is wrt or node.op is None:
            continue
        total: Scaled | None = None
        arrays = [x._data for x in node.inputs]
        for _, k in lines.edges(node):
            before = moving[node.inputs[k]]
            only = [before.array if j == k else None for j in range(len(arrays))]
            pushed = node.op.push(only, node._data, arrays, node.static)
            part = Scaled(np.broadcast_to(np.asarray(pushed, float), node.shape), before.exponent)
            total = part if total is None else total.plus(part)
        moving[node] = (total or Scaled(np.zeros(node.shape))).rescaled()
    return moving


def _edges(
    view: Graph,
    lines: Linearised,
    kept: set[Tensor],
    back: dict[Tensor, Scaled],
    ahead: dict[Tensor, Scaled],
) -> list[tuple[Edge, list[tuple[Scaled, Scaled]]]]:
    """Each edge of the view with the pairs that meet on it: carried back, carried ahead."""
    found = []
    for node in view.nodes:
        if node.tensor not in back:
            continue
        straight, folded = arriving(lines, node.tensor, back[node.tensor], kept)
        for edge in view.into(node.id):
            source = view.find(edge.source).tensor
            if source not in ahead:
                continue
            queue = straight.get(source)
            cotangent = queue.pop(0) if queue else folded.pop(source, None)
            if cotangent is not None:
                found.append((edge, [(cotangent, ahead[source])]))
    return found


def arriving(
    lines: Linearised, node: Tensor, cotangent: Scaled, kept: set[Tensor]
) -> tuple[dict[Tensor, list[Scaled]], dict[Tensor, Scaled]]:
    """What a node hands back to each kept node: along each edge of its own, and through folds."""
    straight: dict[Tensor, list[Scaled]] = {}
    folded: dict[Tensor, Scaled] = {}
    waiting: dict[Tensor, Scaled] = {}
    here: Tensor | None = node
    while here is not None:
        carried = cotangent if here is node else waiting.pop(here)
        for _, k in lines.edges(here):
            source = here.inputs[k]
            part = Scaled(lines.pull(here, k, carried.array), carried.exponent).rescaled()
            if source in kept and here is node:
                straight.setdefault(source, []).append(part)
                continue
            into = folded if source in kept else waiting
            into[source] = into[source].plus(part) if source in into else part
        here = max(waiting, key=lambda tensor: tensor.serial, default=None)
    return straight, folded


def _part(pairs: list[tuple[Scaled, Scaled]]) -> float:
    total = 0.0
    for back, ahead in pairs:
        along = float(np.sum(back.array * ahead.array))
        total += math.ldexp(along, back.exponent + ahead.exponent) if along else 0.0
    return total


def percent(share: float) -> str:
    """A share as text: "62 %", "−3 %", "0.4 %".

    Examples
    --------
    >>> percent(0.623), percent(-0.031), percent(0.004)
    ('62 %', '−3 %', '0.4 %')
    """
    if not math.isfinite(share):
        return "nan"
    size = abs(share) * 100
    text = f"{size:.0f}" if size >= 0.95 else f"{size:.1f}" if size >= 0.05 else "0"
    sign = "−" if share < 0 and text != "0" else ""
    return f"{sign}{text} %"


def sums(found: Flow) -> str:
    """Net, gross and agreement of a flow, in words."""
    alone = found.wrt.size == 1
    net = number(found.gradient.item()) if alone else number(float(np.linalg.norm(found.gradient)))
    gross = number(float(np.linalg.norm(found.gross)))
    heads = ("net", "gross") if alone else ("‖net‖", "‖gross‖")
    agreement = f"{found.agreement_in_norm:.2f}"
    return f"{heads[0]} = {net}, {heads[1]} = {gross}, agreement {agreement}"


def caption(parts: Shares, root: str, source: str) -> str:
    """What the picture of all routes shows."""
    found = parts.flow
    ways = "one path" if found.count == 1 else f"all {count(int(found.count))} paths"
    best = found.top(1)
    largest = f"; the largest single one carries {percent(best[0].share)}" if best else ""
    reading = "numbers and line widths: share of the gradient that passes there"
    return f"{root} → {source}: {ways}, {sums(found)}{largest} · {reading}"
