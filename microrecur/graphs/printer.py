"""Expressions set as LaTeX: the cards' templates, filled in, with the parentheses they need.

How tightly a card binds is read off its template, so a card says nothing twice: `#1 + #2` is a sum,
`#1^{…}` wants a single sign to stand on, and what a template encloses needs no parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.kernels import PLACE
from microrecur.engine.tensor import Tensor
from microrecur.engine.tracing import same_numbers
from microrecur.graphs import notation
from microrecur.graphs.expressions import Expression
from microrecur.graphs.symbols import Symbols

# From what binds least to what stands alone.
RELATION, SUM, PREFIX, PRODUCT, BESIDE, POWER, ATOM = range(1, 8)

_BINDS = {"+": SUM, "-": SUM, r"\odot": PRODUCT, r"\cdot": PRODUCT, "": BESIDE}
_OPEN_OR_CLOSE = re.compile(
    r"\\left.|\\right.|\\.|[{}()\[\]]|#[1-9]|#\*|#[a-z]+|[^\\{}()\[\]#]+", re.S
)
_SLOT = re.compile(r"#([1-9]|\*|[a-z]+)")
_SINGLE = re.compile(r"([_^])\{([A-Za-z0-9])\}")
_NOTHING = re.compile(r"[_^]\{\s*\}")
_TALL = re.compile(r"\\frac|\\sum|\\left")
SHOWN = 16  # entries of an index array that are written out


class Text(NamedTuple):
    """A piece of LaTeX, and how tightly it holds together."""

    text: str
    level: int


class Grammar(NamedTuple):
    """How a template binds: its own level, the least level of operands it leaves bare."""

    level: int | None  # None: that of its only operand
    needs: Mapping[int, int]


@cache
def grammar(template: str) -> Grammar:
    r"""Read off a template how it binds.

    Examples
    --------
    >>> grammar(r"#1 \odot #2") == Grammar(PRODUCT, {1: PRODUCT, 2: BESIDE})
    True
    >>> grammar(r"\sigma(#1)") == Grammar(ATOM, {})
    True
    """
    # Enclosed, but beside a sign: \log(1 + #1), [#1 = …].
    signed = {int(k): PREFIX for k in re.findall(r"[+-] *#([1-9])", template)}
    signed |= {int(k): SUM for k in re.findall(r"#([1-9]) *=", template)}
    outside = _outside(template)
    bare = [int(k) for k in re.findall(r"#([1-9])", outside)]
    if not bare:
        alone = template.endswith((")", "]", r"\right|"))
        return Grammar(ATOM if alone else POWER, signed)
    if len(bare) == 2:
        sign = outside.removeprefix("#1").removesuffix("#2").strip()
        level = _BINDS.get(sign, RELATION)
        return Grammar(level, {1: max(level, SUM), 2: level + 1})
    if template == "#1":
        return Grammar(None, {1: 0})
    if outside.startswith("#1"):
        return Grammar(POWER if outside.endswith(("^", "_")) else ATOM, {1: ATOM})
    negative = outside.startswith("-")
    return Grammar(SUM, {1: PREFIX}) if negative else Grammar(PREFIX, {1: PRODUCT})


def _outside(template: str) -> str:
    """The template without what it encloses in braces, brackets, parentheses or bars."""
    depth, outside = 0, ""
    for piece in _OPEN_OR_CLOSE.findall(template):
        if piece in "{([" or piece.startswith(r"\left"):
            depth += 1
        elif piece in "})]" or piece.startswith(r"\right"):
            depth -= 1
        elif not depth:
            outside += piece
    return outside


class Printer:
    r"""Prints expressions, asking `symbols` how records are called.

    Parameters
    ----------
    symbols : Symbols
        The names.
    handed : callable
        (record or None) → how ∂y/∂record is written.
    product : str
        The sign between factors that are numbers.
    values : callable, optional
        Prints the numbers themselves: (symbol or cotangent) → its value.
    """

    def __init__(
        self,
        symbols: Symbols,
        handed: Callable[[Tensor | None], str],
        product: str = r"\odot",
        values: Callable[[Expression], float] | None = None,
    ) -> None:
        self._symbols, self._handed, self._product = symbols, handed, product
        self._values = values

    def text(self, e: Expression) -> str:
        """Return an expression as LaTeX."""
        return self._print(e).text

    def side(self, e: Expression) -> str:
        """Return it as one side of an equation."""
        return enclosed(self._print(e), SUM)

    def _print(self, e: Expression) -> Text:
        if e.number is not None:
            return literal(e.number)
        if e.card is not None:
            return self._fill(e)
        if self._values is not None:
            return measured(self._values(e))
        if e.cotangent:
            text = self._handed(e.tensor)
            return Text(text, POWER if text.startswith(r"\frac") else ATOM)
        text = self._symbols.of(e.tensor)  # type: ignore[arg-type]
        return Text(text, POWER if "^" in text else ATOM)

    def _fill(self, e: Expression) -> Text:
        assert e.card is not None
        template = self._template(e)
        level, needs = grammar(template)
        operands = [self._print(part) for part in e.parts]
        # a + (b + c) is the same number as (a + b) + c, and a textbook writes neither parenthesis
        if e.card.name in ("add", "mul") and e.parts[1].is_op(e.card.name):
            needs = {**needs, 2: needs[1]}
        texts = [enclosed(o, needs.get(k, 0)) for k, o in enumerate(operands, start=1)]
        if level == BESIDE and texts[1][0] in "0123456789":
            texts[1] = f"({texts[1]})"
        filled = _SLOT.sub(lambda m: self._slot(m[1], texts, e), template)
        filled = _SINGLE.sub(r"\1\2", _NOTHING.sub("", filled))
        return Text(filled, operands[0].level if level is None else level)

    def _template(self, e: Expression) -> str:
        """The card's template; between numbers, a product has the sign for numbers."""
        assert e.card is not None
        if e.card.name == "mul":
            numeric = self._values is not None or any(not part.records for part in e.parts)
            return e.card.latex.replace(r"\odot", r"\cdot" if numeric else self._product)
        if e.card.name == "matmul" and self._values is not None:
            return r"#1 \cdot #2"
        return e.card.latex

    def _slot(self, slot: str, texts: list[str], e: Expression) -> str:
        if slot.isdecimal():
            return texts[int(slot) - 1]
        if slot == "index":
            places = iter(texts[1:])
            return _joined(next(places) if p is PLACE else p for p in _parts(e.static["index"]))
        return ", ".join(texts) if slot == "*" else static_text(slot, e)


def enclosed(inner: Text, need: int) -> str:
    """Return the text, in parentheses when it holds together less tightly than needed."""
    if inner.level >= need:
        return inner.text
    if _TALL.search(inner.text):
        return rf"\left({inner.text}\right)"
    return f"({inner.text})"


# -- numbers and other arguments -------------------------------------------------------------------


def literal(value: Any) -> Text:
    r"""Set a number of the formula exactly.

    Examples
    --------
    >>> literal(0.5).text, literal(-2.0).text, literal(1e-9).text
    ('0.5', '-2', '10^{-9}')
    """
    x = float(value)
    if not np.isfinite(x):
        sign = "-" if x < 0 else ""
        return Text(r"\mathrm{nan}" if np.isnan(x) else rf"{sign}\infty", SUM if sign else ATOM)
    exact = value if isinstance(value, np.floating) else np.float64(x)  # as short as it is exact
    if x == 0 or 1e-4 <= abs(x) < 1e7:
        text = np.format_float_positional(exact, trim="-")
        return Text(text, SUM if x < 0 else ATOM)
    digits, exponent = np.format_float_scientific(exact, trim="-").split("e")
    tens = f"10^{{{int(exponent)}}}"
    if digits.rstrip(".") in ("1", "-1"):
        return Text(tens if x > 0 else f"-{tens}", POWER if x > 0 else SUM)
    return Text(rf"{digits.rstrip('.')} \cdot {tens}", PRODUCT if x > 0 else SUM)


def measured(value: float) -> Text:
    r"""Set a number of this run, rounded for reading.

    Examples
    --------
    >>> measured(-0.00031).text
    '-3.1 \\cdot 10^{-4}'
    """
    text = notation.number(value).replace("−", "-").replace("∞", r"\infty")
    if "·" in text:
        digits, exponent = f"{value:.1e}".split("e")
        text = rf"{digits} \cdot 10^{{{int(exponent)}}}"
    if text.startswith("-"):
        return Text(text, SUM)
    return Text(text, PRODUCT if "cdot" in text else ATOM)


def static_text(name: str, e: Expression) -> str:
    """Set one of an op's other arguments, called by its name in the template."""
    value: Any = e.static.get(name)
    if name == "axis":
        return _axis(e)
    if name == "kept":
        return _kept(e)
    if name == "function":
        return _function(value)
    if name == "axes":
        return "" if tuple(value) == tuple(range(len(value)))[::-1] else f" {_joined(value)}"
    if name == "shape":
        return r" \times ".join(map(str, value)) if len(value) != 1 else f"{value[0]},"
    return literal(value).text


def _axis(e: Expression) -> str:
    """The axes an op runs over: all of them, or the last one to join along, go without saying.

    A bar over an axis says that it stays, with length 1.
    """
    ndim, axis = len(e.parts[0].shape), e.static["axis"]
    if "keepdims" not in e.static:
        ndim = len(e.shape)
        return "" if axis % ndim == ndim - 1 else str(axis % ndim)
    if e.static["keepdims"]:
        return _kept(e)
    return "" if axis is None else _numbered(e)


def _kept(e: Expression) -> str:
    """The axes of an op that leaves them with length 1, as a bar says."""
    return rf"\overline{{{_numbered(e)}}}" if e.parts[0].shape else ""


def _numbered(e: Expression) -> str:
    ndim, axis = len(e.parts[0].shape), e.static["axis"]
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return ", ".join(str(a % ndim) for a in axes)


def _function(f: Any) -> str:
    r"""What a function outside the table is called; one that only stops the gradient is sg.

    Examples
    --------
    >>> print(_function(np.sign), _function(same_numbers))
    \operatorname{sign} \operatorname{sg}
    """
    if f is same_numbers:
        return r"\operatorname{sg}"
    name = getattr(f, "__name__", type(f).__name__).strip("_")
    words = re.findall("[A-Za-z0-9]+", name)
    return rf"\operatorname{{{'-'.join(words)}}}"


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _joined(parts: Any) -> str:
    return ", ".join(_index(part) for part in parts)


def _index(part: Any) -> str:
    """One part of an index, as it is written in brackets; an operand is written out already."""
    if isinstance(part, str):
        return part
    if part is Ellipsis:
        return r"\ldots"
    if part is None:
        return r"\mathrm{new}"
    if isinstance(part, slice):
        ends = ["" if v is None else str(int(v)) for v in (part.start, part.stop)]
        return ":".join(ends if part.step is None else [*ends, str(int(part.step))])
    if isinstance(part, (list, np.ndarray)) and np.ndim(part):
        inner = _joined(part) if np.size(part) <= SHOWN else r"\ldots"
        return f"[{inner}]"
    if isinstance(part, (bool, np.bool_)):
        return rf"\mathrm{{{'T' if part else 'F'}}}"
    return str(int(part))
