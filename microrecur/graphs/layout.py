"""Equations laid out as one piece of LaTeX, with this run's numbers and the shapes if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.graphs.expressions import Expression
from microrecur.graphs.printer import Printer, measured
from microrecur.graphs.symbols import Symbols


class Equality(NamedTuple):
    """One equation: its left side (None for an expression alone) and its right side.

    `derivative_of` is the record x where the left side is ∂y/∂x: later lines may speak of it.
    """

    left: str | None
    right: Expression
    derivative_of: Tensor | None = None


class Page:
    """Sets equations.

    Parameters
    ----------
    symbols : Symbols
        What records are called.
    numbers : bool
        Whether each line is followed by the numbers of this run.
    shapes : bool
        Whether a last line says of which shape each symbol is.
    """

    def __init__(self, symbols: Symbols, numbers: bool, shapes: bool) -> None:
        self.symbols, self._numbers, self._shapes = symbols, numbers, shapes
        self._known: dict[Tensor | None, Any] = {None: 1.0}

    def set(
        self,
        equalities: Sequence[Equality],
        handed: Callable[[Tensor | None], str] = lambda tensor: "",
        product: str = r"\odot",
    ) -> str:
        """Return the equations, one below the other when they are several.

        Parameters
        ----------
        equalities : sequence of Equality
            In the order of reading.
        handed : callable
            (record or None) → how ∂y/∂record is written.
        product : str
            The sign between factors of a product entry by entry.

        Raises
        ------
        ValueError
            When numbers are asked for of what is not one number.
        """
        printer = Printer(self.symbols, handed, product)
        rows = [self._row(printer, equality) for equality in equalities]
        if self._shapes:
            rows.append(("", self._legend()))
        if len(rows) == 1:
            return " = ".join(side for side in rows[0] if side)
        lines = [f"{left} &= {right}" if left else f"& {right}" for left, right in rows]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _row(self, printer: Printer, equality: Equality) -> tuple[str, str]:
        left, right, record = equality
        text = printer.side(right)
        if self._numbers:
            text += self._in_numbers(right, record)
        return left or "", text

    def _in_numbers(self, right: Expression, record: Tensor | None) -> str:
        """What follows the symbols: the same formula in numbers, and what it comes to."""
        value = self._value(right)
        self._known[record] = value
        result = measured(float(np.reshape(value, -1)[0])).text
        in_numbers = Printer(self.symbols, lambda x: "", r"\cdot", self._number).side(right)
        return f" = {result}" if in_numbers == result else f" = {in_numbers} = {result}"

    def _number(self, e: Expression) -> float:
        return float(np.reshape(self._value(e), -1)[0])

    def _value(self, e: Expression) -> Any:
        """Compute a formula of single numbers by the cards' own forward functions."""
        if e.number is not None:
            return e.number
        if e.cotangent:
            return self._known[e.tensor]
        if e.card is not None:
            return e.card.forward(*[self._value(part) for part in e.parts], **e.static)
        assert e.tensor is not None
        if e.size != 1:
            raise ValueError(
                "latex: numbers=True prints one number per symbol, but "
                f"{self.symbols.of(e.tensor)} has shape {e.shape}; use shapes=True, or size 1"
            )
        return e.tensor._data

    def _legend(self) -> str:
        """Of which shape each symbol is, symbols of one shape together."""
        together: dict[tuple[int, ...], list[str]] = {}
        for text, record in self.symbols.used.items():
            together.setdefault(record.shape, []).append(text)
        groups = [rf"{', '.join(names)} \in {_space(shape)}" for shape, names in together.items()]
        return r",\ \ ".join(groups)


def _space(shape: tuple[int, ...]) -> str:
    sizes = r" \times ".join(map(str, shape))
    return rf"\mathbb{{R}}^{{{sizes}}}" if shape else r"\mathbb{R}"
