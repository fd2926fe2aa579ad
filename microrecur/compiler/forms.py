"""Σ coefficient ⊙ recurring value + rest: what is linear in a recurrence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from microrecur.compiler.families import Column

# An expression of columns that do not recur: ("column", c), ("number", v) or (op, part, part).
Expression = tuple[Any, ...]


@dataclass
class Form:
    """Σ coefficient ⊙ column + Σ rest; a coefficient None is 1."""

    terms: list[tuple[Column, Expression | None]] = field(default_factory=list)
    rest: list[Expression] = field(default_factory=list)


def scaled(form: Form, factor: Expression) -> Form:
    """The form times something that does not recur."""
    if factor == ("number", 1.0):
        return form
    return Form(
        [(c, factor if k is None else times(k, factor)) for c, k in form.terms],
        [times(part, factor) for part in form.rest],
    )


def times(a: Expression, b: Expression) -> Expression:
    """The product, numbers last."""
    if a[0] == "number" and b[0] == "number":
        return ("number", a[1] * b[1])
    if b == ("number", -1.0):
        return a[1] if a[0] == "neg" else ("neg", a)
    if a == ("number", -1.0):
        return ("neg", b)
    if a[0] == "number":
        return ("mul", b, a)
    return ("mul", a, b)


def is_multiple(part: Expression) -> bool:
    """Whether it is something times a number."""
    return part[0] == "mul" and part[2][0] == "number"


def sum_of(parts: list[Expression]) -> Expression:
    """The sum of at least one expression."""
    total = parts[0]
    for part in parts[1:]:
        total = ("add", total, part)
    return total


def collected(form: Form) -> Form:
    """Terms of one recurring value gathered: a ⊙ h + b ⊙ h is (a + b) ⊙ h."""
    gathered: dict[tuple[int, ...], tuple[Column, list[Expression | None]]] = {}
    for column, coefficient in form.terms:
        gathered.setdefault(tuple(column), (column, []))[1].append(coefficient)
    terms: list[tuple[Column, Expression | None]] = []
    for column, coefficients in gathered.values():
        if len(coefficients) == 1:
            terms.append((column, coefficients[0]))
        else:
            parts = [("number", 1.0) if c is None else c for c in coefficients]
            terms.append((column, sum_of(_numbers_last(parts))))
    return Form(terms, form.rest)


def _numbers_last(parts: list[Expression]) -> list[Expression]:
    return sorted(parts, key=lambda p: (p[0] == "number", p[0] == "neg"))


def key_of(part: Expression) -> Any:
    """What equal expressions have in common, to look them up by."""
    if part[0] == "column":
        return ("column", *part[1])
    if part[0] == "number":
        return part
    return (part[0], *map(key_of, part[1:]))
