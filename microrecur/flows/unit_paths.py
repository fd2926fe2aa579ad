"""The k largest paths from number to number, exactly, by dynamic programming in logarithms.

Walking back from y, every number keeps the k cheapest ways by which the gradient reaches it, where
a way costs −log |product|. The sign is kept apart: it is read off the factors once the ways are
known. Equal products stand in graph order: read from the source on, at each number the edge to the
older node comes first, then the earlier operand, then the earlier number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microrecur.engine.tensor import Tensor, step_of
from microrecur.flows.sweep import Edge, Linearised
from microrecur.flows.unit_edges import Pattern, coefficients, flat_coefficients, pattern

TIE = 1e-9  # products closer than this, relatively, are equal

# The cost of a product that is 0: adding what other products cost leaves it as it is. A way that
# does not exist costs infinity.
NOTHING = 1e30


@dataclass(slots=True)
class _Arrival:
    """What one edge brings to the numbers of its source: `width` ways along each of its edges."""

    edge: Edge
    pattern: Pattern | None
    costs: np.ndarray  # (numbers, edges of one · width)
    width: int


@dataclass(slots=True)
class _Ways:
    """The cheapest ways to reach each number of a node.

    `chosen` gives each way's place among all that arrived (None: all of them, as they are).
    """

    arrivals: list[_Arrival]
    costs: np.ndarray | None  # (numbers, ways), cheapest first; let go once handed on
    chosen: np.ndarray | None


@dataclass(frozen=True, slots=True)
class UnitStep:
    """One edge from number to number: from `source_unit` of node.inputs[position] to `unit`."""

    node: Tensor
    position: int
    unit: int
    source_unit: int
    slope: float


class UnitPaths:
    """The k largest paths from number to number between y and wrt.

    Parameters
    ----------
    lines : Linearised
        The graph between y and wrt.
    y, wrt : Tensor
        Where the paths start and end.
    seed : ndarray
        What they start with, of y's shape; numbers whose seed is 0 start none.
    k : int
        How many to keep.
    """

    def __init__(self, lines: Linearised, y: Tensor, wrt: Tensor, seed: np.ndarray, k: int) -> None:
        self._lines, self._y, self._wrt, self._k = lines, y, wrt, k
        self._logs: dict[tuple[Tensor, tuple[int, ...], int], np.ndarray] = {}
        self._ways: dict[Tensor, _Ways] = {}
        with np.errstate(divide="ignore"):
            start = -np.log(np.abs(seed)).reshape(-1, 1)
        self._run(start)

    def _run(self, start: np.ndarray) -> None:
        arrived: dict[Tensor, list[_Arrival]] = {}
        for node in reversed(self._lines.nodes):
            if node is self._y:
                ways = _Ways([], start, None)
            elif node in arrived:
                ways = self._cheapest(arrived.pop(node))
            else:
                continue
            self._ways[node] = ways
            for edge in self._lines.edges(node):
                arrived.setdefault(node.inputs[edge[1]], []).append(self._along(edge, ways))
            if node is not self._wrt:
                ways.costs = None

    def _along(self, edge: Edge, ways: _Ways) -> _Arrival:
        assert ways.costs is not None
        costs, of = ways.costs, pattern(edge)
        added = self._cost(edge, of)
        if of is None:
            total = costs if added is None else costs + added
        else:
            total = costs[of.outs]  # (numbers, edges of one, ways)
            if added is not None:
                total = total + added[..., None]
            if of.exists is not None:
                total[~of.exists] = np.inf
            total = total.reshape(total.shape[0], -1)
        if added is not None and added.max(initial=0.0) >= NOTHING:
            total = np.where((total > NOTHING) & (total < np.inf), NOTHING, total)
        return _Arrival(edge, of, total, costs.shape[1])

    def _cost(self, edge: Edge, of: Pattern | None) -> np.ndarray | None:
        """−log |coefficient|, per edge of the pattern; None when all coefficients are ±1."""
        node, k = edge
        key = None
        if node.op is not None and node.op.name == "matmul":
            other = node.inputs[1 - k]
            key = (other, node.inputs[k].shape, k)
            if key in self._logs:
                return self._logs[key]
        flat = flat_coefficients(self._lines, edge)
        if flat.size == 1 and abs(flat[0]) == 1:
            return None
        with np.errstate(divide="ignore"):
            costs = -np.log(np.abs(coefficients(self._lines, edge, of)))
        costs = np.minimum(costs, NOTHING)
        if key is not None and step_of(other.scope) is None:
            self._logs[key] = costs  # a weight, or its view, which every step reads again
        return costs

    def _cheapest(self, arrivals: list[_Arrival]) -> _Ways:
        arrivals.sort(key=lambda a: (a.edge[0].serial, a.edge[1]))
        if len(arrivals) == 1:
            costs = arrivals[0].costs
            if costs.shape[1] == arrivals[0].width and costs.shape[1] <= self._k:
                return _Ways(arrivals, costs, None)
        else:
            costs = np.concatenate([a.costs for a in arrivals], axis=1)
        for arrival in arrivals:
            arrival.costs = _LET_GO
        chosen = cheapest(costs, self._k)
        return _Ways(arrivals, np.take_along_axis(costs, chosen, axis=1), chosen)

    # -- reading the ways --------------------------------------------------------------------------

    def best(self) -> list[tuple[int, tuple[UnitStep, ...]]]:
        """Return the paths, largest first: each the number of wrt it ends in, and its steps.

        The first step leaves wrt, the last ends in y.
        """
        ways = self._ways.get(self._wrt)
        if ways is None or ways.costs is None:
            return []
        width = ways.costs.shape[1]
        costs = ways.costs.reshape(1, -1)
        found = [divmod(int(p), width) for p in cheapest(costs, self._k)[0] if costs[0, p] < np.inf]
        return [(unit, tuple(self._walk(unit, rank))) for unit, rank in found]

    def _walk(self, unit: int, rank: int) -> Iterator[UnitStep]:
        node = self._wrt
        while node is not self._y:
            ways = self._ways[node]
            place = rank if ways.chosen is None else int(ways.chosen[unit, rank])
            for arrival in ways.arrivals:
                held = 1 if arrival.pattern is None else arrival.pattern.outs.shape[1]
                if place < held * arrival.width:
                    break
                place -= held * arrival.width
            column, rank = divmod(place, arrival.width)
            of = arrival.pattern
            out = unit if of is None else int(of.outs[unit, column])
            pick = unit if of is None else int(of.picks[unit, column])
            flat = flat_coefficients(self._lines, arrival.edge)
            slope = float(flat[pick] if flat.size > 1 else flat[0])
            yield UnitStep(*arrival.edge, out, unit, slope)
            node, unit = arrival.edge[0], out


_LET_GO = np.empty((0, 0))


def cheapest(costs: np.ndarray, k: int) -> np.ndarray:
    """Return per row the places of the k least costs, least first, equal ones as they stand.

    Costs are equal when they differ by 1e-9 at most, or through others that do.

    Examples
    --------
    >>> cheapest(np.array([[3.0, 1.0, 2.0 + 1e-12, 2.0]]), 3)
    array([[1, 2, 3]])
    """
    wide = costs.shape[1]
    places = None
    if wide > 2 * (k + 1):
        places = np.sort(np.argpartition(costs, k, axis=1)[:, : k + 1], axis=1)
    near = costs if places is None else np.take_along_axis(costs, places, axis=1)
    order = np.argsort(near, axis=1, kind="stable")
    ranked = np.take_along_axis(near, order, axis=1)
    with np.errstate(invalid="ignore"):  # ∞ − ∞: ways that do not exist
        tied = np.diff(ranked[:, : k + 1], axis=1) <= TIE
    if tied.any():
        order = np.argsort(costs, axis=1, kind="stable")
        with np.errstate(invalid="ignore"):
            apart = np.diff(np.take_along_axis(costs, order, axis=1), axis=1) > TIE
        groups = np.cumsum(np.pad(apart, ((0, 0), (1, 0))), axis=1)
        again = np.lexsort((order, groups), axis=1)
        return np.take_along_axis(order, again, axis=1)[:, :k]
    order = order[:, :k]
    return order if places is None else np.take_along_axis(places, order, axis=1)
