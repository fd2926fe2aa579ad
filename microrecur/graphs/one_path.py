"""One path of the chain rule, given by its ids, found among the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from microrecur.engine.tensor import Tensor
from microrecur.graphs.algebra import Algebra
from microrecur.graphs.chain_rule import (
    MOST_FACTORS,
    Chain,
    Sweep,
    between,
    count_paths,
    edge_factors,
)
from microrecur.graphs.graph import LEVELS, Graph

Hops = tuple[tuple[Tensor, int], ...]


class Leg(NamedTuple):
    """From one record of the path back to the next; `hops` are edges it is known to take."""

    target: Tensor
    source: Tensor
    hops: Hops


class OnePath:
    """A path read off ids, off edges with factors, or off a path that `top` found.

    An edge that folds one path says by its factors which; ids alone are read at the coarsest level
    that joins each to the next, and what no level joins is led through folded records.

    Parameters
    ----------
    view : Graph
        At level "all".
    path : sequence of str, or an object with `ids` and `edges`, or with such a one as `recorded`
        From the output back.

    Raises
    ------
    UnknownNode
        When there is no record of one of the ids.
    TypeError
        When it is no path at all.

    Attributes
    ----------
    ids : tuple of str
        In full.
    """

    def __init__(self, view: Graph, path: Any) -> None:
        path = getattr(path, "recorded", path)
        ids = getattr(path, "ids", path)
        if isinstance(ids, str) or not isinstance(ids, Sequence):
            raise TypeError(
                "latex: path is a sequence of ids from the output back, or a path of flow.top() or "
                f"strongest_path(), not {type(path).__name__}"
            )
        nodes = [view.find(id) for id in ids]
        self._graph, self._records = view, [node.tensor for node in nodes]
        self.ids = tuple(node.id for node in nodes)
        self._edges = getattr(path, "edges", None) or [None] * (len(nodes) - 1)

    def chains(self, algebra: Algebra) -> tuple[Chain, ...]:
        """Return its products: several where an edge folds several paths.

        Raises
        ------
        ValueError
            When it is no path, could be several, or is longer than a page.
        """
        legs = list(self._legs())
        if sum(len(leg.hops) for leg in legs) > MOST_FACTORS:
            raise self._too_long()
        chains = [Chain(None)]
        for leg in legs:
            found = self._taking(leg, algebra) if leg.hops else self._folded(leg, algebra)
            chains = [_joined(chain, part) for chain in chains for part in found]
            if len(chains[0].steps) > MOST_FACTORS:
                raise self._too_long()
        return tuple(chains)

    def _too_long(self) -> ValueError:
        return ValueError(
            f"latex: this path from {self.ids[0]} back to {self.ids[-1]} has more than "
            f"{MOST_FACTORS} factors, the most that a page shows; ask for fewer steps"
        )

    def _legs(self) -> Iterator[Leg]:
        for (target, source), edge in zip(pairwise(self._records), self._edges, strict=True):
            factors = edge.factors if edge is not None else ()
            known = all(factor.node in self._every for factor in factors)  # else of another run
            hops = tuple((f.node, f.position) for f in reversed(factors)) if known else ()
            yield Leg(target, source, hops)

    def _taking(self, leg: Leg, algebra: Algebra) -> list[Chain]:
        """The chain along known edges; what lies between them only passes on."""
        chain, at = Chain(None), leg.target
        for node, k in leg.hops:
            gap = self._led(at, node, algebra)
            steps = edge_factors(node, k, algebra) or ()
            chain, at = _joined(_joined(chain, gap[0]), Chain(None, (k,), steps)), node.inputs[k]
        return [_joined(chain, self._led(at, leg.source, algebra)[0])]

    def _folded(self, leg: Leg, algebra: Algebra) -> list[Chain]:
        """The chains that the level folds into this edge, or the one through what none shows."""
        a, b = leg.target, leg.source
        if not self._shown:
            return self._led(a, b, algebra)
        return list(Sweep(a, b, algebra, blocked=self._shown - {a, b}).lines()[-1].chains)

    @cached_property
    def _shown(self) -> set[Tensor]:
        """What the coarsest level shows at which an edge joins each record to the next, if any."""
        for level in LEVELS:
            view = self._graph.at(level)
            edges = {(edge.target, edge.source) for edge in view.edges}
            if all(pair in edges for pair in pairwise(self.ids)):
                return {node.tensor for node in view.nodes}
        return set()

    def _led(self, a: Tensor, b: Tensor, algebra: Algebra) -> list[Chain]:
        """The chain from one record back to another: the only one, or the only one past no name."""
        if a is b:
            return [Chain(None)]
        others = set(self._records)
        for blocked in [self._every] if b in a.inputs else [others, others | self._named]:
            nodes = between(a, b, blocked - {a, b})
            if a not in nodes:
                break
            if b in a.inputs or count_paths(nodes, a, b) == 1:
                return list(Sweep(a, b, algebra, blocked=blocked - {a, b}).lines()[-1].chains)
        raise ValueError(self._no_way(a, b, others))

    @cached_property
    def _every(self) -> set[Tensor]:
        return {node.tensor for node in self._graph.nodes}

    @cached_property
    def _named(self) -> set[Tensor]:
        return {record for record in self._every if record.name is not None}

    def _no_way(self, a: Tensor, b: Tensor, others: set[Tensor]) -> str:
        """Why nothing leads from one to the other, or which ids choose among several ways."""
        gap = f"{self._graph.id_of(a)} ← {self._graph.id_of(b)}"
        nodes = between(a, b, others - {a, b})
        if a not in nodes:
            return f"latex: no edge {gap} at any level of the graph, so this is no path"
        inner = [self._graph.find(self._graph.id_of(x)) for x in nodes if x not in (a, b)]
        gates = [n for n in inner if n.role in ("gate", "state")] or inner
        choices = ", ".join(n.id for n in gates[:4]) + (", …" if len(gates) > 4 else "")
        return (
            f"latex: {count_paths(nodes, a, b):,} ways lead along {gap}; say which by adding ids "
            f"that lie between: {choices}"
        )


def _joined(first: Chain, then: Chain) -> Chain:
    return Chain(first.start, first.place + then.place, first.steps + then.steps)
