"""How names and numbers are set as text: `U_f` as Uᶠ, `f` of step 3 as f₃, 0.00031 as 3.1·10⁻⁴.

Pure text, shared by terminal, pictures and tables. Every letter used has a glyph in DejaVu Sans;
Unicode has no subscript f, so gates stand as superscripts.
"""

from __future__ import annotations

import math

_DIGITS = "0123456789"
_SUBSCRIPTS = str.maketrans(_DIGITS + "+-−tnk", "₀₁₂₃₄₅₆₇₈₉₊₋₋ₜₙₖ")
_EXPONENTS = str.maketrans(_DIGITS + "-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
_SUPERSCRIPTS = dict(zip("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True))
_FRACTIONS = {0.25: "¼", 0.5: "½", 0.75: "¾"}


def typeset(name: str, step: int | str | None = None) -> str:
    """Set a name as a textbook does, with its step as subscript.

    Parameters
    ----------
    name
        A recorded name: `f`, `U_f`, `tanh c`, `1−z`.
    step
        Position in the sequence, or a symbolic one made of digits, `t`, `n`, `k`, `+` and `−`.

    Returns
    -------
    str
        The name in Unicode. A name that is no letter-with-mark is left as it is.

    Examples
    --------
    >>> typeset("U_f"), typeset("f", 3), typeset("c", "t−1"), typeset("tanh c", 3)
    ('Uᶠ', 'f₃', 'cₜ₋₁', 'tanh c₃')
    """
    return _with_marks(name) + ("" if step is None else str(step).translate(_SUBSCRIPTS))


def _with_marks(name: str) -> str:
    derivative, by, of = name.rpartition("/∂")
    if by:
        return f"{derivative}{by}{_with_marks(of)}"
    base, underscore, mark = name.partition("_")
    if not underscore or len(base.split(" ")[-1]) != 1:
        return name
    if mark in _SUPERSCRIPTS:
        return base + _SUPERSCRIPTS[mark]
    if mark.isascii() and mark.isdigit():
        return base + mark.translate(_SUBSCRIPTS)
    return name


def number(value: float) -> str:
    """Set a number for reading: 2 decimals, 3 below 0.1, a power of ten below 10⁻³ and from 10⁴ on.

    Examples
    --------
    >>> number(0.854), number(-0.0346), number(3.14e-4), number(float("inf"))
    ('0.85', '−0.035', '3.1·10⁻⁴', '∞')
    """
    value = float(value)
    if math.isnan(value):
        return "nan"
    sign = "−" if value < 0 else ""
    size = abs(value)
    if math.isinf(size):
        return sign + "∞"
    if size == 0.0:
        return "0"
    return sign + _positive(size)


def _positive(size: float) -> str:
    if size < 1e-3 or size >= 1e4:
        digits, exponent = f"{size:.1e}".split("e")
        return f"{digits}·{power_of_ten(int(exponent))}"
    if size < 0.0995:  # 0.0995 and above would print as 0.100, which reads worse than 0.10
        return f"{size:.3f}"
    return f"{size:.2f}"


def power_of_ten(exponent: int) -> str:
    """Set a power of ten.

    Examples
    --------
    >>> power_of_ten(-12)
    '10⁻¹²'
    """
    return "10" + str(exponent).translate(_EXPONENTS)


def bound(value: float) -> str:
    """Set a bound: a textbook ceiling as fraction or whole number, anything else as a number.

    Examples
    --------
    >>> bound(0.25), bound(1.0), bound(1.8)
    ('¼', '1', '1.80')
    """
    if value in _FRACTIONS:
        return _FRACTIONS[value]
    if math.isfinite(value) and value == int(value) and abs(value) < 1e4:
        return str(int(value)).replace("-", "−")
    return number(value)


def count(value: int) -> str:
    """Set a count of paths: exact while it is short, ≈10ⁿ when it is long.

    Examples
    --------
    >>> count(2089), count(436**9)
    ('2,089', '≈10²⁴')
    """
    if value < 1_000_000:
        return f"{value:,}"
    return "≈" + power_of_ten(round(math.log10(value)))
