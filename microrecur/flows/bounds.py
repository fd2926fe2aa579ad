"""Bounds before the run: what every number can be at most, and every derivative, from cards alone.

Interval arithmetic over the recorded graph. The numbers of this run's activations are never used;
what may be used is said with `given`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from microrecur.engine.intervals import Interval
from microrecur.engine.tensor import Tensor
from microrecur.flows.tables import Table, column
from microrecur.graphs import notation, ranges
from microrecur.graphs.factors import Factor, Reader
from microrecur.graphs.graph import Graph, called, graph

GIVEN = ("weights", "inputs")


@dataclass(frozen=True)
class NodeBound:
    """The interval that holds every entry of a node.

    Attributes
    ----------
    id : str
        The node.
    lo, hi : float
        Ends included; ∓∞ where nothing is known.
    """

    id: str = field(metadata=column("node"))
    lo: float = field(metadata=column("at least"))
    hi: float = field(metadata=column("at most"))


@dataclass(frozen=True)
class EdgeBound:
    """What the derivative along a recorded edge can be at most.

    Attributes
    ----------
    source, target : str
        Ids.
    kind, symbol : str
        The factor's kind, and its name with its step: "gate value", "f₃".
    bound : float or None
        At most this 2-norm, as an operator on all numbers of the source; None where nothing is
        known.
    """

    source: str = field(metadata=column("from"))
    target: str = field(metadata=column("to"))
    kind: str = field(metadata=column("kind"))
    symbol: str = field(metadata=column("factor"))
    bound: float | None = field(metadata=column("at most", notation.bound))


class Bounds:
    """A-priori bounds of all nodes and edges of a graph. Made by `bounds()`.

    Attributes
    ----------
    graph : Graph
        The recorded computation.
    given : tuple of str
        What was taken as known besides the initial states.
    """

    def __init__(self, of: Graph, given: tuple[str, ...]) -> None:
        self.graph, self.given = of, given
        known = {"state"} | {{"weights": "parameter", "inputs": "input"}[g] for g in given}
        leaves = [n.tensor for n in of.nodes if n.op is None and n.role in known]
        self._interval = ranges.intervals([n.tensor for n in of.nodes], leaves)
        roles = {n.tensor: n.role for n in of.nodes}
        self._reader = Reader(self._interval, lambda t: roles.get(t) == "parameter", called)

    def __getitem__(self, node: str | Tensor) -> Interval:
        """The interval of a node, by id or tensor."""
        tensor = node if isinstance(node, Tensor) else self.graph.find(node).tensor
        return self._interval[tensor]

    @cached_property
    def nodes(self) -> Table[NodeBound]:
        """The interval of every node, oldest first."""
        rows = (NodeBound(n.id, *self._interval[n.tensor]) for n in self.graph.nodes)
        return Table(NodeBound, rows)

    @cached_property
    def edges(self) -> Table[EdgeBound]:
        """The bound of every recorded edge between nodes that are no weights and no constants."""
        aside = ("parameter", "constant")
        found: Table[EdgeBound] = Table(EdgeBound)
        for node in self.graph.nodes:
            for k, x in enumerate(node.tensor.inputs):
                source = self.graph.find(self.graph.id_of(x))
                if source.role in aside or node.role in aside:
                    continue
                factor = self._reader.factor(node.tensor, k)
                symbol = notation.typeset(factor.name, factor.step)
                bound = self._of(factor)
                found.append(EdgeBound(source.id, node.id, factor.kind, symbol, bound))
        return found

    def edge(self, node: Tensor, position: int) -> float | None:
        """The bound of the recorded edge from node.inputs[position] to node, as in `edges`."""
        return self._of(self._reader.factor(node, position))

    def _of(self, factor: Factor) -> float | None:
        """At most this operator 2-norm, whatever the activations."""
        if factor.kind == "weight":
            return factor.norm if "weights" in self.given else None
        if factor.kind == "reduction":
            return factor.norm  # how many terms there are: no number of this run
        if factor.bound is None:
            return None
        repeats = factor.node.size / max(factor.node.inputs[factor.position].size, 1)
        return factor.bound * math.sqrt(max(repeats, 1.0)) if _repeats(factor) else factor.bound

    def __str__(self) -> str:
        rows = [(n.id, f"[{notation.number(n.lo)}, {notation.number(n.hi)}]") for n in self.nodes]
        wide = max((len(id) for id, _ in rows), default=0)
        return "\n".join(f"{id:<{wide}}  {interval}" for id, interval in rows)

    def __repr__(self) -> str:
        given = f", given {' and '.join(self.given)}" if self.given else ""
        return f"<Bounds of {len(self.graph.nodes)} nodes{given}>"


def _repeats(factor: Factor) -> bool:
    """Whether the op repeats this operand by broadcasting (reshape and take do not)."""
    return factor.kind != "pass" or getattr(factor.node.op, "partials", None) is not None


def bounds(y: Tensor | Sequence[Any] | Graph, given: Collection[str] = ()) -> Bounds:
    """Return what every node and every derivative of a recorded computation can be at most.

    Known are the cards (σ in [0, 1], σ′ ≤ ¼, tanh′ ≤ 1, …), the numbers of formulas and those of
    the initial states. This run's activations are never used.

    Parameters
    ----------
    y : Tensor, sequence of Tensor, or Graph
        A loss, a state, or the list that `unroll` returns.
    given : collection of {"weights", "inputs"}
        What may be taken as known besides: "weights" gives pre-activations an interval and weight
        edges their norm ‖W‖₂; "inputs" the numbers of the x.

    Returns
    -------
    Bounds
        ``bounds[id]`` is an interval; `.nodes` and `.edges` are tables of all.

    Raises
    ------
    ValueError
        When `given` names something else.

    Examples
    --------
    >>> import microrecur as mr
    >>> states = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4, 1.1])
    >>> found = bounds(states)
    >>> found["t3.f"], found["t3.c"]        # |c_t| ≤ |c_0| + t
    (Interval(lo=0.0, hi=1.0), Interval(lo=-3.0, hi=3.0))
    >>> [e.bound for e in found.edges if e.target == "t3.f"]
    [0.25]
    """
    asked = (given,) if isinstance(given, str) else tuple(given)
    if unknown := [g for g in asked if g not in GIVEN]:
        raise ValueError(f"bounds: given may hold {' and '.join(map(repr, GIVEN))}, not {unknown}")
    return Bounds(y.at("all") if isinstance(y, Graph) else graph(y), asked)
