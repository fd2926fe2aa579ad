"""Recorded tensors read as formulas, each put into textbook form as it is built.

σ′, recorded as ¼ sech²(z/2), becomes f ⊙ (1 − f) where f = σ(z) is recorded: see `identities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from microrecur.engine import ops
from microrecur.engine.primitive import Elementwise
from microrecur.engine.tensor import NO_STATIC, Tensor
from microrecur.graphs.expressions import Expression, number, symbol
from microrecur.graphs.identities import RULES
from microrecur.graphs.ranges import is_number_of_the_formula

LIMIT = 300  # signs in one formula: more can be printed, but not read


class Algebra:
    """Reads recorded tensors as expressions, applying the identities as it builds.

    Parameters
    ----------
    records : iterable of Tensor
        The computation in which a slope looks for its recorded σ(z) or tanh(z).
    scalar : bool
        Whether everything is one number: then products are products of numbers, and what only
        reshapes says nothing.
    """

    def __init__(self, records: Iterable[Tensor], scalar: bool = False) -> None:
        self.scalar = scalar
        self._squashed: dict[tuple[str, Tensor], Tensor] = {}
        for record in records:
            if record.op is not None and record.op.name in ("sigmoid", "tanh"):
                key = (record.op.name, record.inputs[0])
                if self._squashed.setdefault(key, record).name is None:
                    self._squashed[key] = record  # one with a name is the one to call it by

    def squashed(self, name: str, z: Expression) -> Expression | None:
        """The recorded σ(z) or tanh(z), by its name if it has one; None where there is none."""
        record = self._squashed.get((name, z.tensor)) if z.tensor is not None else None
        if record is None or z.cotangent:
            return None
        if record.name is not None:
            return symbol(record)
        return Expression(record.shape, record.op, (z,), NO_STATIC, record)

    def apply(
        self,
        name: str,
        *parts: Expression,
        shape: tuple[int, ...] | None = None,
        static: Mapping[str, Any] = NO_STATIC,
        tensor: Tensor | None = None,
    ) -> Expression:
        """Apply the card of this name; an elementwise result has its operands' broadcast shape."""
        if shape is None:
            shape = np.broadcast_shapes(*[part.shape for part in parts])
        card = ops.TABLE[name]
        return self.settled(Expression(shape, card, parts, static, tensor))

    def total(self, terms: Sequence[Expression]) -> Expression:
        """Add terms up, equal ones as a number of times one."""
        equal: dict[Any, list[Expression]] = {}
        for term in terms:
            equal.setdefault(term.key, []).append(term)
        return reduce(lambda a, b: self.apply("add", a, b), map(self._times, equal.values()))

    def _times(self, equal: Sequence[Expression]) -> Expression:
        if len(equal) == 1:
            return equal[0]
        return self.apply("mul", number(len(equal)), equal[0])

    def settled(self, made: Expression) -> Expression:
        """Put an expression whose parts are settled into textbook form."""
        for rule in RULES:
            better = rule(self, made)
            if better is not None:
                return better
        return made

    def with_part(self, made: Expression, k: int, part: Expression) -> Expression:
        """Put something else in the place of one operand."""
        parts = (*made.parts[:k], part, *made.parts[k + 1 :])
        shape = made.shape
        if isinstance(made.card, Elementwise):
            shape = np.broadcast_shapes(*[p.shape for p in parts])
        return self.settled(Expression(shape, made.card, parts, made.static))

    def read(
        self,
        tensor: Tensor,
        opens: Callable[[Tensor, int], int | None] | None = None,
        depth: int = 1,
    ) -> Expression:
        """Read a record, down to the records that stand under their own symbols.

        Parameters
        ----------
        tensor : Tensor
            What to read.
        opens : callable, optional
            (record with a name, depth left) → the depth left inside it, or None for its symbol. By
            default every named record is a symbol.
        depth : int
            How many layers of names may be opened.

        Raises
        ------
        ValueError
            When the formula would have more than `LIMIT` signs.
        """
        return _Reading(self, opens or _never).read(tensor, depth)

    def define(
        self, tensor: Tensor, opens: Callable[[Tensor, int], int | None], depth: int
    ) -> Expression:
        """Read what a record was computed by, whatever its own name."""
        return _Reading(self, opens).open(tensor, depth)


def _never(tensor: Tensor, depth: int) -> int | None:
    return None


class _Reading:
    """One formula being read; it counts signs, so its depth stays far from Python's limit."""

    def __init__(self, algebra: Algebra, opens: Callable[[Tensor, int], int | None]) -> None:
        self._algebra, self._opens, self._signs = algebra, opens, 0

    def read(self, tensor: Tensor, depth: int) -> Expression:
        self._count(tensor)
        if tensor.op is None:
            literal = is_number_of_the_formula(tensor)
            if literal:
                return Expression(tensor.shape, number=tensor._data.reshape(-1)[0], tensor=tensor)
            return symbol(tensor)
        inner: int | None = depth
        if tensor.name is not None:
            inner = self._opens(tensor, depth)
        return symbol(tensor) if inner is None else self.open(tensor, inner)

    def open(self, tensor: Tensor, depth: int) -> Expression:
        if tensor.op is None:
            return symbol(tensor)
        parts = [self.read(part, depth) for part in tensor.inputs]
        made = Expression(tensor.shape, tensor.op, tuple(parts), tensor.static, tensor)
        settled = self._algebra.settled(made)
        # Whatever form it took, it stands for this record: that is how a slope finds its σ(z).
        return replace(settled, tensor=tensor) if settled.card is not None else settled

    def _count(self, tensor: Tensor) -> None:
        self._signs += 1
        if self._signs > LIMIT:
            raise ValueError(
                f"latex: the formula has more than {LIMIT} signs before it reaches names; give "
                "steps in between a name, y = (…).named('y'), or ask for a smaller depth"
            )
