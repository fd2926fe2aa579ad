"""What part of the gradient passes along each line of a picture: all routes at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from microrecur.engine.primitive import Elementwise
from microrecur.flows.flow import Flow, flow
from microrecur.flows.sweep import Linearised, Scaled
from microrecur.graphs.notation import count, number

if TYPE_CHECKING:
    from microrecur.engine.tensor import Tensor
    from microrecur.graphs.graph import Edge, Graph


MULTIPLE = 2.0  # from here on a share is told as a multiple, not in percent


@dataclass(frozen=True)
class Shares:
    """The part of ∂root/∂source that passes along each edge of a view; signed.

    The edges that any cut between the two ends crosses have shares that sum to 1.
    """

    of: Mapping[Edge, float]
    flow: Flow
    source: str
    root: str
    up: Mapping[str, float] = field(default_factory=dict)  # what a state hands to the layer above

    def node(self, id: str, edges: tuple[Edge, ...]) -> float:
        """The part that passes through a node: the sum over the edges that leave it."""
        return self.up.get(id, 0.0) + sum(self.of.get(edge, 0.0) for edge in edges)

    @cached_property
    def largest(self) -> float | None:
        """The share of the largest single path; None where there is none."""
        best = self.flow.top(1)
        return best[0].share if best else None


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
    lines, back = found.linearised, found.everywhere
    return Shares(_Parts(view, lines, back, _forward(lines, wrt, found.net)), found, source, root)


def _forward(lines: Linearised, wrt: Tensor, net: Scaled) -> dict[Tensor, Scaled]:
    """The tangent of each node when the source moves along gradient / ‖gradient‖²."""
    size = float(np.sum(net.array * net.array))
    direction = net.array / size if size else net.array
    moving = {wrt: Scaled(np.asarray(direction, float), -net.exponent)}
    for node in lines.nodes:
        if node is wrt or node.op is None:
            continue
        total: Scaled | None = None
        for _, k in lines.edges(node):
            before = moving[node.inputs[k]]
            part = Scaled(_pushed(lines, node, k, before.array), before.exponent)
            total = part if total is None else total.plus(part)
        moving[node] = (total or Scaled(np.zeros(node.shape))).rescaled()
    return moving


def _pushed(lines: Linearised, node: Tensor, k: int, tangent: np.ndarray) -> np.ndarray:
    """What one input's tangent adds to a node's, of the node's shape."""
    op, arrays = node.op, [x._data for x in node.inputs]
    assert op is not None
    if isinstance(op, Elementwise):
        pushed = tangent * lines.partial(node, k)  # known from the sweep back
    else:
        only = [tangent if j == k else None for j in range(len(arrays))]
        pushed = op.push(only, node._data, arrays, node.static)
    pushed = np.asarray(pushed, float)
    return pushed if pushed.shape == node.shape else np.broadcast_to(pushed, node.shape)


@dataclass
class _Parts(Mapping["Edge", float]):
    """The share of each edge, worked out when it is asked for: a folded picture shows few."""

    view: Graph
    lines: Linearised
    back: dict[Tensor, Scaled]
    ahead: dict[Tensor, Scaled]
    _known: dict[str, dict[Edge, float]] = field(default_factory=dict)

    def __getitem__(self, edge: Edge) -> float:
        if edge.target not in self._known:
            self._known[edge.target] = dict(self._into(edge.target))
        return self._known[edge.target][edge]

    def __iter__(self) -> Iterator[Edge]:
        return (edge for edge in self.view.edges if edge in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _kept(self) -> set[Tensor]:
        return {node.tensor for node in self.view.nodes}

    def _into(self, target: str) -> Iterator[tuple[Edge, float]]:
        """What is carried back along each edge into a node, times what is carried ahead."""
        node = self.view.find(target).tensor
        if node not in self.back:
            return
        straight, folded = arriving(self.lines, node, self.back[node], self._kept)
        for edge in self.view.into(target):
            source = self.view.find(edge.source).tensor
            if source not in self.ahead:
                continue
            queue = straight.get(source)
            cotangent = queue.pop(0) if queue else folded.pop(source, None)
            if cotangent is not None:
                yield edge, _product(cotangent, self.ahead[source])


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


def _product(back: Scaled, ahead: Scaled) -> float:
    along = float(np.sum(back.array * ahead.array))
    return math.ldexp(along, back.exponent + ahead.exponent) if along else 0.0


def percent(share: float) -> str:
    """A share as text: "62 %", "−3 %", "0.4 %"; "109 × net" where routes cancel.

    Examples
    --------
    >>> percent(0.623), percent(-0.031), percent(0.004), percent(-108.6)
    ('62 %', '−3 %', '0.4 %', '−109 × net')
    """
    if not math.isfinite(share):
        return "nan"
    size = abs(share) * 100
    if size >= MULTIPLE * 100:
        times = (
            number(abs(share)) if abs(share) >= 1_000 else f"{abs(share):.{abs(share) < 9.95:d}f}"
        )
        return f"{'−' if share < 0 else ''}{times} × net"
    text = f"{size:.0f}" if size >= 0.95 else f"{size:.1f}" if size >= 0.05 else "0"
    sign = "−" if share < 0 and text != "0" else ""
    return f"{sign}{text} %"


def part_of(share: float, about: str) -> str:
    """A share before the sums it is a part of: "62 % of net = …", "109 × net, net = …"."""
    told = percent(share)
    return f"{told} of {about}" if told.endswith("%") else f"{told}, {about}"


def sums(found: Flow) -> str:
    """Net, gross and agreement of a flow, in words."""
    alone = found.wrt.size == 1
    net = number(found.gradient.item()) if alone else number(float(np.linalg.norm(found.gradient)))
    gross = number(float(np.linalg.norm(found.gross)))
    heads = ("net", "gross") if alone else ("‖net‖", "‖gross‖")
    agreement = f"{found.agreement_in_norm:.2f}"
    return f"{heads[0]} = {net}, {heads[1]} = {gross}, agreement {agreement}"


def heading(parts: Shares, root: str, source: str) -> str:
    """From where to where all routes lead, how many there are, and their sums."""
    found = parts.flow
    ways = "one path" if found.count == 1 else f"all {count(int(found.count))} paths"
    best = parts.largest
    largest = "" if best is None else f"; the largest single one carries {percent(best)}"
    return f"{root} → {source}: {ways}, {sums(found)}{largest}"


def reading(parts: Shares, what: str) -> str:
    """How the shares are read, and what it means that some are above 100 %."""
    best = parts.largest
    cancel = "; shares above 100 % cancel one another" if best is not None and abs(best) > 1 else ""
    return f"{what}: share of the gradient that passes there{cancel}"


def caption(parts: Shares, root: str, source: str) -> str:
    """What the picture of all routes shows."""
    return f"{heading(parts, root, source)} · {reading(parts, 'numbers and line widths')}"
