"""The chain rule as a formula: chains of factors, got by running each card's own rule.

A card's rule is run on recorded tensors with a stand-in for the cotangent; what it records is read
back as an expression linear in that stand-in, and taken apart into factors. Row vectors throughout:
the cotangent of a row z = h U is handed on as g Uᵀ, so that a product of factors, read from left to
right, is the Jacobian ∂out/∂in with out along its rows.
"""

from __future__ import annotations

import contextvars
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import takewhile
from typing import Any

import numpy as np

from microrecur.engine.reverse import unbroadcast
from microrecur.engine.tensor import Tensor, ancestry
from microrecur.graphs.algebra import Algebra
from microrecur.graphs.expressions import Expression, cotangent, number
from microrecur.graphs.factors import passes

MOST_CHAINS = 100  # products in one formula: more can be printed, but not read
MOST_FACTORS = 200


@dataclass(frozen=True, eq=False)
class Chain:
    """One product of the chain rule, from the output (or a record whose ∂ is known) backwards.

    Attributes
    ----------
    start : Tensor or None
        The record whose own derivative the product begins with; None for the output.
    place : tuple of int
        Which inputs it passes on its way: chains are printed in this order.
    steps : tuple of Expression
        Its factors, each an expression of the cotangent it is handed.
    """

    start: Tensor | None
    place: tuple[int, ...] = ()
    steps: tuple[Expression, ...] = ()


@dataclass(frozen=True, eq=False)
class Line:
    """One equation: the derivative with respect to a record, as a sum of chains."""

    wrt: Tensor
    chains: tuple[Chain, ...]


# -- one edge --------------------------------------------------------------------------------------


def edge_factors(node: Tensor, k: int, algebra: Algebra) -> tuple[Expression, ...] | None:
    """Return what the edge from node.inputs[k] to node does to a cotangent, factor by factor.

    None where nothing passes: a comparison, a mask.
    """
    g = Tensor(np.ones(node.shape, node.dtype))
    g.name = "cotangent"
    # An empty context records, whatever the caller has switched off.
    part = contextvars.Context().run(_pulled, node, k, g)
    if part is None:
        return None
    whole = _Holed(g, algebra).read(part)
    return tuple(reversed(_taken_apart(whole)))


def _pulled(node: Tensor, k: int, g: Tensor) -> Any:
    card: Any = node.op
    with np.errstate(all="ignore"):  # only the graph that is recorded matters here
        part = card.pull(k, g, node, node.inputs, node.static)
        if part is None or part.shape == node.inputs[k].shape:
            return part
        return unbroadcast(part, node.inputs[k].shape)


class _Holed:
    """Reads what a rule recorded, with a hole where the cotangent stands."""

    def __init__(self, g: Tensor, algebra: Algebra) -> None:
        self._g, self._algebra = g, algebra

    def read(self, part: Tensor) -> Expression:
        """Return the expression; records older than the cotangent are the computation's own."""
        if part is self._g:
            return cotangent(None, part.shape)
        if part.serial < self._g.serial or part.op is None:
            return self._algebra.read(part)
        parts = tuple(self.read(x) for x in part.inputs)
        return self._algebra.settled(Expression(part.shape, part.op, parts, part.static, part))


def _taken_apart(e: Expression) -> list[Expression]:
    """The factors of an expression of one hole, outermost first, each with a hole of its own."""
    factors = []
    while not e.cotangent:
        (k,) = (k for k, part in enumerate(e.parts) if part.holes)
        inner = e.parts[k]
        hole = cotangent(None, inner.shape)
        parts = (*e.parts[:k], hole, *e.parts[k + 1 :])
        factors.append(Expression(e.shape, e.card, parts, e.static))
        e = inner
    return factors


# -- what a factor is ------------------------------------------------------------------------------


def scale(step: Expression) -> Expression | None:
    """What the step multiplies by, entry by entry, where it keeps the shape; None otherwise."""
    if not step.is_op("mul"):
        return None
    hole, other = step.parts if step.parts[0].cotangent else step.parts[::-1]
    if hole.shape != step.shape:
        return None
    # One number for each row of a batch is no diagonal.
    wide = other.shape[-1:] == hole.shape[-1:]
    return other if wide or other.size == 1 else None


def matrix(step: Expression) -> Expression | None:
    """The matrix that a row is multiplied by from the right; None where the step does not."""
    if not step.is_op("matmul") or not step.parts[0].cotangent:
        return None
    return step.parts[1] if len(step.parts[1].shape) == 2 else None


def is_row_by_row(step: Expression) -> bool:
    """Whether the step is a matrix acting on each row by itself: a Jacobian's factor."""
    return _is_entry_by_entry(step) or matrix(step) is not None


def _is_entry_by_entry(step: Expression) -> bool:
    return step.is_op("neg") or scale(step) is not None


def _mixed_until(steps: Sequence[Expression]) -> int:
    """How many steps there are up to the last that does not act entry by entry."""
    return max((n for n, s in enumerate(steps, 1) if not _is_entry_by_entry(s)), default=0)


def common(factors: Sequence[Sequence[Expression]]) -> int:
    """How many factors all the products begin with."""
    columns = zip(*factors, strict=False)
    same = takewhile(lambda column: all(f.key == column[0].key for f in column), columns)
    return sum(1 for _ in same)


# -- all edges: the sweep --------------------------------------------------------------------------


class Sweep:
    """Collects the chains from an output back to a record.

    Parameters
    ----------
    y, x : Tensor
        Output and record.
    algebra : Algebra
        What reads the rules' results.
    stops : collection of Tensor
        Records that get a line of their own, where chains end and begin anew.
    blocked : collection of Tensor
        Records no chain may pass.
    """

    def __init__(
        self,
        y: Tensor,
        x: Tensor,
        algebra: Algebra,
        stops: Collection[Tensor] = (),
        blocked: Collection[Tensor] = (),
    ) -> None:
        self._y, self._x, self._algebra = y, x, algebra
        self._stops = set(stops)
        self.between = between(y, x, blocked)

    def lines(self) -> list[Line]:
        """Return one line per stop that is passed, and last the one for x."""
        if self._x is self._y:
            return [Line(self._x, (Chain(None),))]
        wanted = set(self.between)
        arriving: dict[Tensor, list[Chain]] = {self._y: [Chain(None)]}
        lines: list[Line] = []
        for node in reversed(self.between):
            chains = arriving.pop(node, [])
            if node is self._x or (node in self._stops and node is not self._y):
                if chains:
                    if len(lines) > MOST_FACTORS:  # each has a factor of its own
                        raise too_long(self._y, self._x, f"more than {len(lines)} factors")
                    lines.append(Line(node, self._ordered(chains, lines)))
                chains = [Chain(node)] if chains else []
            if node is self._x:
                break
            chains = self._gathered(chains)
            for k, source in enumerate(node.inputs):
                factors = edge_factors(node, k, self._algebra) if source in wanted else None
                if factors is not None:
                    longer = [
                        replace(c, place=(*c.place, k), steps=c.steps + factors) for c in chains
                    ]
                    arriving.setdefault(source, []).extend(longer)
                    self._refuse_many(arriving[source])
        return lines

    def _refuse_many(self, chains: Sequence[Chain]) -> None:
        if len(chains) <= MOST_CHAINS and sum(len(c.steps) for c in chains) <= 4 * MOST_FACTORS:
            return
        paths = count_paths(self.between, self._y, self._x)
        raise ValueError(
            f"latex: {paths:,} paths lead back from {self._y._label()} to {self._x._label()}, more "
            "than a formula can show; choose one of them (path=…), a derivative over fewer steps, "
            "or file steps and states (scope, named) so that each step gets a line of its own"
        )

    @staticmethod
    def _ordered(chains: Sequence[Chain], lines: Sequence[Line]) -> tuple[Chain, ...]:
        """In the order of the lines they begin with, then as the forward formula has them."""
        rank = {line.wrt: k for k, line in enumerate(lines)}
        return tuple(sorted(chains, key=lambda c: (rank.get(c.start, -1), c.place)))  # type: ignore[arg-type]

    def _gathered(self, chains: list[Chain]) -> list[Chain]:
        """Chains that differ entry by entry only, as one, such as ⊙ (h − n)."""
        groups: dict[Any, list[Chain]] = {}
        for chain in chains:
            until = tuple(step.key for step in chain.steps[: _mixed_until(chain.steps)])
            groups.setdefault((chain.start, until), []).append(chain)
        return [self._as_one(group) if len(group) > 1 else group[0] for group in groups.values()]

    def _as_one(self, chains: list[Chain]) -> Chain:
        shared = common([c.steps for c in chains])
        if all(len(c.steps) == shared for c in chains):  # 2 a, not a 2
            shared = _mixed_until(chains[0].steps)
        terms = [self._entries(c.steps[shared:]) for c in chains]
        terms.sort(key=lambda term: term.is_op("neg"))
        total = self._algebra.total(terms)
        before = chains[0].steps[:shared]
        start = self._y if chains[0].start is None else chains[0].start
        shape = before[-1].shape if before else start.shape
        step = self._algebra.apply("mul", cotangent(None, shape), total)
        first = min(chains, key=lambda c: c.place)
        steps = (*first.steps[:shared], *reversed(_taken_apart(step)))
        return replace(first, steps=steps)

    def _entries(self, steps: Sequence[Expression]) -> Expression:
        """The product of factors that act entry by entry."""
        negative = sum(step.is_op("neg") for step in steps) % 2
        scales = [s for s in map(scale, steps) if s is not None]
        product = reduce(lambda a, b: self._algebra.apply("mul", a, b), scales, number(1))
        return self._algebra.apply("neg", product) if negative else product


def too_long(y: Tensor, x: Tensor, length: str) -> ValueError:
    """Say that a derivative is too long for a page, and what to ask instead."""
    return ValueError(
        f"latex: ∂({y._label()})/∂({x._label()}) has {length}, and a page shows {MOST_FACTORS}; "
        "ask for fewer steps, or for one path (path=…)"
    )


# -- which records lie between, and how many paths -------------------------------------------------


def between(y: Tensor, x: Tensor, blocked: Collection[Tensor] = ()) -> list[Tensor]:
    """Return what was computed from x on the way to y, both included, oldest first."""
    found = {x}
    for node in ancestry([y]):
        if node not in blocked and any(
            source in found and passes(node, k) for k, source in enumerate(node.inputs)
        ):
            found.add(node)
    return [node for node in ancestry([y]) if node in found]


def count_paths(nodes: Sequence[Tensor], y: Tensor, x: Tensor) -> int:
    """Return how many paths lead from y back to x, exactly."""
    counts = dict.fromkeys(nodes, 0) | {y: 1}
    for node in reversed(nodes):
        for k, source in enumerate(node.inputs if node is not x else ()):
            if source in counts and passes(node, k):
                counts[source] += counts[node]
    return counts.get(x, 0)
