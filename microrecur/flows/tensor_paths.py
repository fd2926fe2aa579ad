"""The k largest paths from tensor to tensor, best first, with a budget.

A path's size is the 2-norm of what it contributes. What a path could still become is bounded by the
norm of the cotangent it has pushed back so far, times the largest product of edge norms ahead. For
graphs of single numbers the bound is exact; for wide layers it is loose, and a long sequence ends
by its budget.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush, nsmallest
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.flows.sweep import Edge, Linearised, Scaled
from microrecur.flows.unit_edges import coefficients, pattern
from microrecur.flows.unit_paths import TIE, cheapest
from microrecur.graphs.factors import spectral_norm


class TensorPath(NamedTuple):
    """A path's edges, from wrt on to y, and what it contributes at wrt."""

    edges: tuple[Edge, ...]
    contribution: Scaled


class Search(NamedTuple):
    """What a search found: paths, largest first, and log₂ of what it can have missed (or None)."""

    paths: list[TensorPath]
    missed: float | None


class _Begun(NamedTuple):
    """A path from y back to a node, so far; `after` is what came before it on the way back."""

    node: Tensor
    cotangent: Scaled
    edge: Edge | None
    after: Any


def search(
    lines: Linearised, y: Tensor, wrt: Tensor, seed: np.ndarray, k: int, budget: int
) -> Search:
    """Return the k largest paths, or the largest met when the budget of branchings is spent."""
    front = _Front(lines, wrt)
    if y not in front.ahead:
        return Search([], None)
    with np.errstate(all="ignore"):
        front.push(_Begun(y, Scaled(seed), None, None))
        front.follow(k, budget)
        ordered = _ordered([*front.found, *front.met_on_the_way(k)], k)
    missed = max((-cost for cost, _, begun in front.heap if begun.node is not wrt), default=None)
    if missed is None:
        return Search(ordered, None)
    sure = len(ordered) >= k and missed < ordered[-1].contribution.log2() - 2 * TIE
    return Search(ordered, None if sure else missed)


class _Front:
    """Where paths that have begun stand, the one that can become largest first."""

    def __init__(self, lines: Linearised, wrt: Tensor) -> None:
        self._lines, self._wrt, self._pushed = lines, wrt, 0
        self.ahead = _log2_ahead(lines)
        self.heap: list[tuple[float, int, _Begun]] = []
        self.found: list[_Begun] = []  # complete, largest first

    def push(self, begun: _Begun) -> None:
        """Add a path that has begun, by the most it can become."""
        self._pushed += 1  # of equals the latest comes first: it is nearest its end
        heappush(self.heap, (-self._promise(begun), -self._pushed, begun))

    def follow(self, k: int, budget: int) -> None:
        """Follow paths until the k largest and all their equals are found, or the budget spent."""
        while self.heap and budget > 0:
            if len(self.found) >= k:
                least = self.found[k - 1].cotangent.log2()
                if -self.heap[0][0] < least - 2 * TIE:
                    return
            begun = heappop(self.heap)[2]
            if begun.node is self._wrt:
                self.found.append(begun)
                continue
            for following in self._branches(begun):
                self.push(following)
            budget -= 1

    def _branches(self, begun: _Begun) -> list[_Begun]:
        """Follow every edge back; where there is only one, on to the next branching."""
        while True:
            following = self._after(begun)
            if len(following) != 1 or following[0].node is self._wrt:
                return following
            begun = following[0]

    def _after(self, begun: _Begun) -> list[_Begun]:
        node, cotangent = begun.node, begun.cotangent
        found = []
        for edge in self._lines.edges(node):
            source = node.inputs[edge[1]]
            if source in self.ahead:
                array = self._lines.pull(node, edge[1], cotangent.array)
                part = Scaled(array, cotangent.exponent).rescaled()
                found.append(_Begun(source, part, edge, begun))
        return found

    def met_on_the_way(self, k: int) -> list[_Begun]:
        """Complete the most promising paths, each along its most promising edges.

        What a spent budget leaves unfinished still gives k paths to look at, if not the largest.
        """
        if len(self.found) >= k:
            return [begun for _, _, begun in self.heap if begun.node is self._wrt]
        met = []
        for _, _, begun in nsmallest(k, self.heap):
            while begun.node is not self._wrt:
                begun = max(self._after(begun), key=self._promise)
            met.append(begun)
        return met

    def _promise(self, begun: _Begun) -> float:
        return begun.cotangent.log2() + self.ahead[begun.node]


def _ordered(found: list[_Begun], k: int) -> list[TensorPath]:
    """The paths, largest first; equal ones in graph order, read from wrt on."""
    paths = [TensorPath(_edges(begun), begun.cotangent) for begun in found]
    paths.sort(key=lambda path: [(node.serial, k) for node, k in path.edges])
    if not paths:
        return []
    # A path of 0 costs what no other does, so that zeros are equal among themselves.
    costs = [-path.contribution.log2() * math.log(2) for path in paths]
    finite = np.minimum(np.array([costs]), 1e30)
    return [paths[place] for place in cheapest(finite, k)[0]]


def _edges(begun: _Begun) -> tuple[Edge, ...]:
    edges = []
    while begun.edge is not None:
        edges.append(begun.edge)
        begun = begun.after
    return tuple(edges)


def _log2_ahead(lines: Linearised) -> dict[Tensor, float]:
    """log₂ of the largest product of edge norms from each node back to a source."""
    ahead = dict.fromkeys(lines.sources, 0.0)
    spectral: dict[Tensor, float] = {}
    for node in lines.nodes:
        for edge in lines.edges(node):
            source = node.inputs[edge[1]]
            if source not in ahead:
                continue  # every way on from there is cut
            norm = edge_norm(lines, edge, spectral)
            size = ahead[source] + (math.log2(norm) if norm > 0 else -math.inf)
            ahead[node] = max(ahead.get(node, -math.inf), size)
    return ahead


def edge_norm(lines: Linearised, edge: Edge, spectral: dict[Tensor, float]) -> float:
    """The operator 2-norm of an edge, or a number just above it for stacks of matrices."""
    node, k = edge
    source, op = node.inputs[k], node.op
    if op is not None and op.name == "matmul" and min(x.ndim for x in node.inputs):
        other = node.inputs[1 - k]
        if other not in spectral:
            spectral[other] = _largest_singular(other._data)
        stacks = math.prod(np.broadcast_shapes(*(x.shape[:-2] for x in node.inputs)))
        own = math.prod(source.shape[:-2])  # one matrix may meet several of the other operand
        return spectral[other] * math.sqrt(stacks / max(own, 1))
    of = pattern(edge)
    slopes = np.abs(coefficients(lines, edge, of))
    if of is None:
        return float(slopes.max(initial=0.0))
    if of.exists is not None:
        slopes = slopes * of.exists
    return _norm_of(of.outs.ravel(), slopes)


def _norm_of(outs: np.ndarray, slopes: np.ndarray) -> float:
    """The norm of a matrix whose rows, or columns, hold one number each; else a bound of it."""
    leaving, squares = slopes.sum(axis=1), np.square(slopes)
    met = np.bincount(outs, weights=slopes.ravel())
    if slopes.shape[1] <= 1:
        return math.sqrt(float(np.bincount(outs, weights=squares.ravel()).max(initial=0.0)))
    if np.bincount(outs, weights=slopes.ravel() > 0).max(initial=0) <= 1:
        return math.sqrt(float(squares.sum(axis=1).max(initial=0.0)))
    return math.sqrt(float(leaving.max(initial=0.0) * met.max(initial=0.0)))


def _largest_singular(array: np.ndarray) -> float:
    if array.ndim <= 2:
        return spectral_norm(array)
    return float(np.linalg.svd(array, compute_uv=False).max(initial=0.0))
