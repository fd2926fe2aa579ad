"""Chains of the chain rule put into the three forms a textbook writes them in.

- numbers: everything is one number, and a chain is a product.
- Jacobian: y is a vector, and a chain is a product of matrices, diag(φ′) and Uᵀ, acting on each row
  of a batch by itself; out stands along the rows.
- cotangent: ∂y/∂x of one number y has the shape of x, and a chain is what `backward` computes,
  (∂y/∂z ⊙ φ′) Uᵀ. For a y of many numbers whose factors are no matrices, the same with any ȳ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

from microrecur.engine import ops
from microrecur.engine.tensor import Tensor
from microrecur.graphs.algebra import Algebra
from microrecur.graphs.chain_rule import (
    MOST_FACTORS,
    Chain,
    Line,
    common,
    is_row_by_row,
    matrix,
    scale,
    too_long,
)
from microrecur.graphs.expressions import (
    DIAGONAL,
    IDENTITY,
    Expression,
    cotangent,
    number,
)

Row = Sequence[Expression]  # the factors of one product

NUMBERS, JACOBIAN, COTANGENT = "numbers", "Jacobian", "cotangent"


class Equation(NamedTuple):
    """The derivative with respect to one record, as an expression."""

    wrt: Tensor
    right: Expression


def is_scalar(nodes: Sequence[Tensor]) -> bool:
    """Whether everything these records compute with is one number."""
    return all(x.size == 1 for node in nodes for x in (node, *node.inputs))


def form_of(y: Tensor, lines: Sequence[Line], scalar: bool) -> str:
    """Say in which form these lines are written."""
    if scalar:
        return NUMBERS
    steps = (step for line in lines for chain in line.chains for step in chain.steps)
    return JACOBIAN if y.size > 1 and y.ndim and all(map(is_row_by_row, steps)) else COTANGENT


def equations(y: Tensor, lines: Sequence[Line], form: str, algebra: Algebra) -> list[Equation]:
    """Put the lines into this form.

    Raises
    ------
    ValueError
        When there is more than a page can show.
    """
    if form != COTANGENT:
        lines = _inlined(lines)
    factors = sum(len(chain.steps) for line in lines for chain in line.chains)
    if factors > MOST_FACTORS:
        raise too_long(y, lines[-1].wrt, f"{factors} factors in {len(lines)} lines")
    write = _Cotangents(y, algebra) if form == COTANGENT else _Products(y, algebra, form)
    return [Equation(line.wrt, write.total(line.chains)) for line in lines]


def _inlined(lines: Sequence[Line]) -> list[Line]:
    """Put a line that is one product into the only line that uses it: ∏ over the steps."""
    result = list(lines)
    k = 0
    while k < len(result) - 1:
        wrt, chains = result[k].wrt, result[k].chains
        users = [j for j in range(k + 1, len(result)) if _uses(result[j], wrt)]
        uses = sum(chain.start is wrt for j in users for chain in result[j].chains)
        if len(chains) != 1 or uses != 1:
            k += 1
            continue
        (j,), only = users, chains[0]
        result[j] = replace(
            result[j],
            chains=tuple(_after(only, c) if c.start is wrt else c for c in result[j].chains),
        )
        del result[k]
    return result


def _uses(line: Line, wrt: Tensor) -> bool:
    return any(chain.start is wrt for chain in line.chains)


def _after(first: Chain, then: Chain) -> Chain:
    return Chain(first.start, first.place + then.place, first.steps + then.steps)


class _Products:
    """Chains as products, of numbers or of matrices, what they share written once."""

    def __init__(self, y: Tensor, algebra: Algebra, form: str) -> None:
        self._y, self._algebra, self._matrices = y, algebra, form == JACOBIAN

    def total(self, chains: Sequence[Chain]) -> Expression:
        """Return the sum of the chains, equal ones as a number of times one."""
        rows: dict[object, list[Row]] = {}
        for chain in chains:
            row = [*self._beginning(chain), *chain.steps]
            rows.setdefault(self._product(1, row).key, []).append(row)
        return self._sum([(len(equal), equal[0]) for equal in rows.values()])

    def _beginning(self, chain: Chain) -> list[Expression]:
        return [] if chain.start is None else [cotangent(chain.start, chain.start.shape)]

    def _sum(self, rows: Sequence[tuple[int, Row]]) -> Expression:
        groups: dict[object, list[tuple[int, Row]]] = {}
        for times, row in rows:
            groups.setdefault(row[0].key if row else None, []).append((times, row))
        terms = [self._term(group) for group in groups.values()]
        return reduce(lambda a, b: self._algebra.apply("add", a, b, shape=a.shape), terms)

    def _term(self, group: Sequence[tuple[int, Row]]) -> Expression:
        if len(group) == 1:
            return self._product(*group[0])
        shared = common([row for _, row in group])
        rest = self._sum([(times, row[shared:]) for times, row in group])
        return self._product(1, group[0][1][:shared], rest)

    def _product(self, times: int, factors: Row, tail: Expression | None = None) -> Expression:
        negative = sum(f.is_op("neg") for f in factors) % 2
        factors = [f for f in factors if not f.is_op("neg")]
        rest = [tail] if tail is not None else []
        if self._matrices:
            several = [number(times)] if times > 1 else []
            product = self._of_matrices([*several, *_matrices(self._algebra, factors), *rest])
        else:
            product = reduce(self._times, [*factors, *rest], number(times))
        return self._algebra.apply("neg", product, shape=product.shape) if negative else product

    def _times(self, product: Expression, factor: Expression) -> Expression:
        """The product times a number, or handed to a factor that is written otherwise."""
        hole = next((k for k, part in enumerate(factor.parts) if part.cotangent), None)
        if factor.cotangent or hole is None:
            return self._algebra.apply("mul", product, factor)
        return self._algebra.with_part(factor, hole, product)

    def _of_matrices(self, factors: Sequence[Expression]) -> Expression:
        if all(f.size == 1 and not f.cotangent for f in factors):  # a number of times the identity
            factors = [*factors, Expression((2, 2), IDENTITY)]
        product = factors[0]
        for factor in factors[1:]:
            product = Expression(factor.shape, ops.TABLE["matmul"], (product, factor))
        return product


def _matrices(algebra: Algebra, factors: Sequence[Expression]) -> list[Expression]:
    """The factors as matrices; neighbours that act entry by entry share one diagonal."""
    found: list[Expression] = []
    entries: list[Expression] = []

    def close() -> None:
        if entries:
            product = reduce(lambda a, b: algebra.apply("mul", a, b), entries)
            one = product.size == 1
            found.append(product if one else Expression((*product.shape, 2), DIAGONAL, (product,)))
            entries.clear()

    for factor in factors:
        entry = None if factor.cotangent else scale(factor)
        if entry is not None:
            entries.append(entry)
            continue
        close()
        found.append(factor if factor.cotangent else matrix(factor) or factor)
    close()
    return found


class _Cotangents:
    """Chains as what is handed back: each factor applied to the cotangent before it."""

    def __init__(self, y: Tensor, algebra: Algebra) -> None:
        self._y, self._algebra = y, algebra

    def total(self, chains: Sequence[Chain]) -> Expression:
        """Return the sum of the chains."""
        return self._algebra.total([self._along(chain) for chain in chains])

    def _along(self, chain: Chain) -> Expression:
        g = self._seed() if chain.start is None else cotangent(chain.start, chain.start.shape)
        for step in chain.steps:
            (k,) = (k for k, part in enumerate(step.parts) if part.cotangent)
            g = self._algebra.with_part(step, k, g)
        return g

    def _seed(self) -> Expression:
        if self._y.size == 1:
            return Expression(self._y.shape, number=1.0)
        return cotangent(None, self._y.shape)
