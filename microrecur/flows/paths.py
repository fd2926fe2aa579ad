"""One chain-rule path among many: the strongest from the root back, and how many there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import mul

from microrecur.engine.tensor import Tensor
from microrecur.graphs.graph import Edge, Graph


@dataclass(frozen=True, eq=False)
class Path:
    """One path of the chain rule, read as the gradient walks: from the root back to the source.

    Attributes
    ----------
    ids : tuple of str
        The nodes, root first.
    edges : tuple of Edge
        The edges in the same order: edges[k] leads from ids[k+1] to ids[k].
    count : int
        How many paths of the graph there are between the two ends.
    """

    ids: tuple[str, ...]
    edges: tuple[Edge, ...]
    count: int

    @cached_property
    def running(self) -> tuple[float, ...]:
        """∏ after each edge: signed when all on the path is one number, of norms otherwise."""
        signed = [edge.value for edge in self.edges]
        if any(value is None for value in signed):
            return tuple(accumulate((edge.norm for edge in self.edges), mul))
        return tuple(accumulate((float(v) for v in signed if v is not None), mul))

    @cached_property
    def signed(self) -> bool:
        """Whether all on the path is one number, so that ∏ multiplies derivatives, not norms."""
        return all(edge.value is not None for edge in self.edges)

    def size(self, edge: Edge) -> float:
        """What one of its edges multiplies by: its derivative, or its norm where norms are."""
        return edge.value if self.signed and edge.value is not None else edge.norm

    @property
    def product(self) -> float:
        """∏ of the whole path. It is the gradient only when `count` is 1."""
        return self.running[-1] if self.running else 1.0


def count_paths(graph: Graph, source: str) -> dict[str, int]:
    """Return how many paths lead from the source to each node it reaches, exactly."""
    counts = {graph.find(source).id: 1}
    for node in graph.nodes:
        arriving = sum(edge.paths * counts.get(edge.source, 0) for edge in graph.into(node.id))
        if arriving:
            counts[node.id] = arriving
    return counts


def strongest_path(graph: Graph, source: str, root: str | None = None) -> Path:
    """Return the path of largest product of edge norms from the root back to the source.

    One sweep in logarithms over the edges of the graph's level, so no product under- or overflows.
    A zero edge loses against every other; ties go to the older edge.

    Parameters
    ----------
    graph : Graph
        At the level whose edges the path should run over.
    source : str
        The id of the node the path ends at ("t0.h").
    root : str, optional
        Where it begins; the graph's own root when not given.

    Raises
    ------
    UnknownNode
        When an id is not in the graph.
    ValueError
        When the root does not depend on the source.
    """
    graph.find(source)
    root = graph.find(root).id if root else graph.id_of(graph.root)
    counts = count_paths(graph, source)
    if root not in counts:
        raise ValueError(f"{root} does not depend on {source}: no path leads back to it")
    best: dict[str, tuple[float, Edge | None]] = {source: (0.0, None)}
    for node in graph.nodes:
        arriving = [
            (best[edge.source][0] + _log(edge.norm), edge)
            for edge in graph.into(node.id)
            if edge.source in best
        ]
        if arriving:
            best[node.id] = max(arriving, key=lambda pair: pair[0])
    edges = _walk(best, root)
    return Path((root, *(edge.source for edge in edges)), edges, counts[root])


def _walk(best: dict[str, tuple[float, Edge | None]], root: str) -> tuple[Edge, ...]:
    edges = []
    edge = best[root][1]
    while edge is not None:
        edges.append(edge)
        edge = best[edge.source][1]
    return tuple(edges)


def _log(norm: float) -> float:
    return math.log(norm) if norm > 0 else -1e12  # a zero edge: worse than any product of others


def source_id(graph: Graph, wrt: str | Tensor) -> str:
    """Return the id of a node given as a tensor, an id, or a short form: "h0" for "t0.h".

    Raises
    ------
    UnknownNode
        When there is no such node; the nearest ids are named.
    """
    return graph.id_of(wrt) if isinstance(wrt, Tensor) else graph.find(wrt).id
