"""Factors in words: name, value and bound, apart so that they can be wrapped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from microrecur.drawing.scene import Text
from microrecur.drawing.style import ALIASES, SMALL_TEXT
from microrecur.graphs.notation import bound, number

if TYPE_CHECKING:
    from microrecur.drawing.labels import Names
    from microrecur.graphs.graph import Factor

_RANK = (
    "weight",
    "squash slope",
    "gate slope",
    "product",
    "plain",
    "constant",
    "plus",
)  # colours a folded chain


def edge_kind(factors: Sequence[Factor]) -> str:
    """The kind that colours an edge: of several factors the one most worth seeing."""
    kinds = {ALIASES.get(factor.kind, factor.kind) for factor in factors}
    return next((kind for kind in _RANK if kind in kinds), "plain")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One factor in words: `σ′`, `= 0.12`, `≤ ¼`, apart so that it can be wrapped."""

    head: str
    equals: str
    ceiling: str
    kind: str

    def wrapped(self, breaks: int, times: bool = False) -> tuple[str, ...]:
        """As one line (0 breaks), two (1) or up to three (2)."""
        head = f"× {self.head}" if times and self.head else self.head
        parts = [part for part in (head, self.equals, self.ceiling) if part]
        if breaks == 0 or len(parts) < 2:
            return (" ".join(parts),)
        if breaks == 1 and len(parts) == 3:
            # × tanh′ / = 0.43 ≤ 1 on a path, where ∏ = … follows; σ′ = 0.12 / ≤ ¼ elsewhere
            return (parts[0], " ".join(parts[1:])) if times else (" ".join(parts[:2]), parts[2])
        if breaks == 3:
            return tuple(part.removeprefix("= ") for part in parts)
        return tuple(parts)


def phrase(factor: Factor, names: Names, *, on_path: bool = False) -> Phrase:
    """One factor as name, value and bound: of these what the picture tells.

    A factor of many numbers shows their mean; on a path its norm, which is what ∏‖·‖ multiplies,
    and there a single number shows its size.
    """
    told = _phrase(factor, names, on_path)
    local, bounds = "local" in names.show, "bound" in names.show
    if local and bounds:
        return told
    if bounds and told.ceiling:
        return replace(told, equals="")
    return replace(told, ceiling="") if local else Phrase("", "", "", told.kind)


def _phrase(factor: Factor, names: Names, on_path: bool) -> Phrase:
    colour = ALIASES.get(factor.kind, factor.kind)
    size = factor.number
    turned = size is not None and size < 0.0 and on_path and not names.signed
    size = -size if size is not None and turned else size
    if factor.kind in ("pass", "constant") and size is not None:
        return Phrase(_plain_number(size), "", "", colour)
    name = names.of(factor.name, factor.step)
    ceiling = _ceiling(factor)
    if size is not None:
        head = f"|{name}|" if turned else name
        return Phrase(head, f"= {number(size)}", ceiling, colour)
    if factor.kind == "pass":
        return Phrase(factor.name, "", "", colour)
    if on_path:
        return Phrase(f"‖{name}‖", f"= {number(factor.norm)}", ceiling, colour)
    if factor.kind in ("gate slope", "squash slope", "gate value"):
        return Phrase(name, f"≈ {number(factor.typical)}", ceiling, colour)
    if factor.kind == "memory value":
        return Phrase(f"|{name}|", f"≈ {number(factor.typical)}", ceiling, colour)
    return Phrase(f"‖{name}‖", f"= {number(factor.norm)}", ceiling, colour)


def _ceiling(factor: Factor) -> str:
    """The bound of a slope or of a gate's value; a memory's is no ceiling worth printing."""
    if factor.bound is None or not math.isfinite(factor.bound):
        return ""
    if not np.isfinite(factor.value).all():
        return ""  # nan is bounded by nothing
    if (
        factor.kind == "gate value"
    ):  # a known initial state in [0, 1] has itself as bound: nothing to say
        return f"≤ {bound(factor.bound)}" if factor.bound == 1.0 else ""
    return f"≤ {bound(factor.bound)}" if factor.kind in ("gate slope", "squash slope") else ""


def phrases_of(factors: Sequence[Factor], names: Names, *, on_path: bool = False) -> list[Phrase]:
    """The telling factors in words; a −1 joins the factor behind it: −n₁ = −0.77."""
    told = telling(factors)
    signs = [factor for factor in told if factor.kind == "pass" and factor.name == "−1"]
    rest = [factor for factor in told if factor not in signs]
    known = rest and all(factor.number is not None for factor in rest) and len(signs) == 1
    known = known and (names.signed or not on_path)
    if not known or rest[0].kind not in ("gate value", "memory value"):
        shown = told if names.signed or not on_path else rest or told  # of a size: no sign
        return [phrase(factor, names, on_path=on_path) for factor in shown]
    phrases = [phrase(factor, names, on_path=on_path) for factor in rest]
    if phrases[0].equals:
        negative = f"= {number(-(rest[0].number or 0.0))}"
        phrases[0] = replace(phrases[0], equals=negative)
    if phrases[0].head:  # nothing is told of it where only values are
        phrases[0] = replace(phrases[0], head=f"−{phrases[0].head}")
    return phrases


def telling(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """The factors worth printing: a chain's ones are silent unless there is nothing else."""
    kept = tuple(factor for factor in factors if not is_one(factor))
    return kept or tuple(factors[:1])


def is_one(factor: Factor) -> bool:
    """Whether a factor leaves a product as it was."""
    if factor.kind == "pass":
        return factor.name == "1"
    return factor.kind in ("reduction", "constant") and factor.number == 1.0


def lines_of(phrases: Sequence[Phrase], breaks: int, times: bool = False) -> list[Text]:
    """Phrases as lines of text, each in its colour."""
    return [
        Text(line, item.kind, SMALL_TEXT)
        for item in phrases
        for line in item.wrapped(breaks, times)
    ]


def _plain_number(value: float) -> str:
    return bound(value) if math.isfinite(value) and value == int(value) else number(value)
