"""Sweeps over a recorded graph: numbers carried from a root back along its edges, at any depth.

A gradient through a thousand steps leaves the range of floating point long before it stops being
interesting. So every node carries an array and one power of two, and nothing under- or overflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.primitive import Elementwise, Linear
from microrecur.engine.reverse import unbroadcast
from microrecur.engine.tensor import Tensor, ancestry

Edge = tuple[Tensor, int]  # (node, position): from node.inputs[position] to node
Pull = Callable[[Tensor, int, np.ndarray], np.ndarray]

# An array is rescaled when its largest entry leaves 2^±SAFE: far inside float64, so products of two
# neighbours never leave it.
SAFE = 200
LEAST, MOST = 2.0**-SAFE, 2.0**SAFE


class Scaled(NamedTuple):
    """The numbers array · 2^exponent."""

    array: np.ndarray
    exponent: int = 0

    def rescaled(self) -> Scaled:
        """Return the same numbers with the largest entry near 1, when it is far from it."""
        top = _largest(self.array)
        if LEAST < top < MOST or top == 0 or not math.isfinite(top):
            return self
        shift = math.frexp(top)[1]
        return Scaled(np.ldexp(self.array, -shift), self.exponent + shift)

    def plus(self, other: Scaled) -> Scaled:
        """Return the sum, in the scale of the larger."""
        if self.exponent == other.exponent:
            return Scaled(self.array + other.array, self.exponent)
        high, low = (self, other) if self.exponent > other.exponent else (other, self)
        if not np.any(high.array):
            return low
        shifted = np.ldexp(low.array, max(low.exponent - high.exponent, -4000))
        return Scaled(high.array + shifted, high.exponent)

    def value(self) -> np.ndarray:
        """Return the plain numbers; they may under- or overflow here."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(self.array, self.exponent)

    def log2(self) -> float:
        """Return log₂ of the 2-norm; −∞ of zeros."""
        top = _largest(self.array)
        if top == 0 or not math.isfinite(top):
            return top or -np.inf
        # In parts of the largest, since squares of small numbers are 0 and of large ones ∞.
        norm = float(np.linalg.norm(self.array / top))
        return math.log2(top) + math.log2(norm) + self.exponent

    def log10(self) -> np.ndarray:
        """Return log₁₀ of each entry's size; −∞ of zeros. It neither under- nor overflows."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log10(np.abs(self.array)) + self.exponent * math.log10(2))

    def over(self, other: Scaled) -> np.ndarray:
        """Return the quotient entry by entry; 0/0 = nan, and ∞ where it leaves float64."""
        with np.errstate(all="ignore"):
            quotient = self.array / other.array
            return np.asarray(np.ldexp(quotient, self.exponent - other.exponent))


def _largest(array: np.ndarray) -> float:
    """The largest |entry|; nan when one is."""
    if array.size == 1:
        return abs(array.item())
    return float(np.abs(array).max(initial=0.0))


class Linearised:
    """What lies between sources and a root: the nodes that depend on a source and lead to the root.

    Parameters
    ----------
    roots : iterable of Tensor
        Where sweeps begin.
    sources : collection of Tensor
        Where they end.
    stop : collection of Tensor
        Nodes that no sweep passes beyond (the cut set of a step).
    without : collection of (node, k)
        Edges that count 0 in every sweep; the recorded numbers are what they were.
    """

    def __init__(
        self,
        roots: Iterable[Tensor],
        sources: Collection[Tensor],
        stop: Collection[Tensor] = (),
        without: Collection[Edge] = (),
    ) -> None:
        self.roots = list(roots)
        self.sources = set(sources)
        self._without = frozenset(without)
        stopped = set(stop) | self.sources
        reached = set(self.sources)
        self.nodes: list[Tensor] = []  # oldest first
        for node in ancestry(self.roots):
            moved = node.op is not None and node.op.differentiable and node not in stopped
            if node in self.sources or (moved and not reached.isdisjoint(node.inputs)):
                reached.add(node)
                self.nodes.append(node)
        self._inner = reached - self.sources
        self._reached = reached
        self._partials: dict[Edge, Any] = {}
        self._edges: dict[Tensor, list[Edge]] = {}

    def edges(self, node: Tensor) -> list[Edge]:
        """Return the node's edges from nodes that matter, by position."""
        found = self._edges.get(node)
        if found is None:
            inputs = enumerate(node.inputs if node in self._inner else ())
            found = self._edges[node] = [
                (node, k)
                for k, x in inputs
                if x in self._reached and _passes(node, k) and (node, k) not in self._without
            ]
        return found

    def partial(self, node: Tensor, k: int) -> Any:
        """∂node/∂input k of an elementwise op, computed once."""
        key = (node, k)
        if key not in self._partials:
            op: Any = node.op
            self._partials[key] = op.partial(k, node._data, _arrays(node), node.static)
        return self._partials[key]

    def pull(self, node: Tensor, k: int, g: np.ndarray) -> np.ndarray:
        """Return g times the edge's derivative, in the shape of input k."""
        op: Any = node.op
        if isinstance(op, Elementwise):
            partial = self.partial(node, k)
            part = g if _is_one(partial) else g * partial
        elif op.name == "cast":
            part = g  # a sweep runs in float64 whatever the recorded numbers are kept in
        else:
            part = op.pull(k, g, node._data, _arrays(node), node.static)
        return _fitted(part, node.inputs[k].shape)

    def pull_absolute(self, node: Tensor, k: int, g: np.ndarray) -> np.ndarray:
        """The same with the absolute value of every coefficient; g ≥ 0."""
        op: Any = node.op
        if isinstance(op, Elementwise):
            partial = self.partial(node, k)
            part = g if _is_one(partial) else g * abs(partial)
        elif isinstance(op, Linear) and not op.jointly:
            # A bilinear rule's coefficients are its other operand: made absolute, so are they. What
            # no derivative passes into is no coefficient but a place, and stays.
            xs = [np.abs(x) if op.moves(j) else x for j, x in enumerate(_arrays(node))]
            part = op.pull(k, g, node._data, xs, node.static)
        else:
            return self.pull(node, k, g)  # what only moves, sums or picks entries has none below 0
        return _fitted(part, node.inputs[k].shape)

    def sweep(
        self,
        start: Mapping[Tensor, Scaled],
        pull: Pull | None = None,
        without: Collection[Edge] = (),
        keep: Collection[Tensor] | None = None,
    ) -> dict[Tensor, Scaled]:
        """Carry numbers from the start nodes back along every edge, adding where edges meet.

        Parameters
        ----------
        start : mapping
            Numbers of each start node's shape.
        pull : callable, optional
            (node, k, g) → what edge k makes of g; the signed derivative when not given.
        without : collection of (node, k)
            Edges that count 0; the recorded numbers are what they were.
        keep : collection of Tensor, optional
            Whose numbers to return; the sources' when not given.
        """
        pull = pull or self.pull
        wanted = self.sources if keep is None else set(keep)
        carried = {
            node: Scaled(np.asarray(numbers.array, float), numbers.exponent)
            for node, numbers in start.items()
            if node in self._reached
        }
        cut = set(without)
        with np.errstate(all="ignore"):  # who asks says which number is not finite
            for node in reversed(self.nodes):
                here = carried.get(node) if node in wanted else carried.pop(node, None)
                if here is not None:
                    self._hand_back(node, here, carried, pull, cut)
        return {node: carried[node] for node in wanted if node in carried}

    def _hand_back(
        self,
        node: Tensor,
        here: Scaled,
        carried: dict[Tensor, Scaled],
        pull: Pull,
        cut: Collection[Edge],
    ) -> None:
        passing = node.op is not None and node.op.kind == "pass"
        for edge in self.edges(node):
            if edge in cut:
                continue
            source = node.inputs[edge[1]]
            part = Scaled(pull(node, edge[1], here.array), here.exponent)
            if not passing:
                part = part.rescaled()
            before = carried.get(source)
            carried[source] = part if before is None else before.plus(part).rescaled()

    def count(self, start: Mapping[Tensor, int]) -> dict[Tensor, int]:
        """Return how many paths lead from the start nodes back to each node, exactly."""
        counts = {node: number for node, number in start.items() if node in self._reached}
        for node in reversed(self.nodes):
            for _, k in self.edges(node) if node in counts else ():
                source = node.inputs[k]
                counts[source] = counts.get(source, 0) + counts[node]
        return counts


def _passes(node: Tensor, k: int) -> bool:
    """Whether any derivative passes along this edge at all (none into a mask or an index)."""
    op: Any = node.op
    if isinstance(op, Elementwise):
        return op.partials[k] is not None
    return not isinstance(op, Linear) or op.moves(k)


def _arrays(node: Tensor) -> list[np.ndarray]:
    return [x._data for x in node.inputs]


def _is_one(partial: Any) -> bool:
    return type(partial) is int and partial == 1


def _fitted(part: Any, shape: tuple[int, ...]) -> np.ndarray:
    if type(part) is not np.ndarray:
        part = np.asarray(part)
    return part if part.shape == shape else np.asarray(unbroadcast(part, shape))
