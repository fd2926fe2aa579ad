"""What a reader typed, on its way into a picture: printable, short enough, quoted for DOT."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LABEL_LIMIT = 200  # characters of one text; what is longer ends in an ellipsis
REPLACEMENT = "\ufffd"

# Format characters that turn the direction of the text around them; XML forbids the last two.
_UNPRINTABLE = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", '"': '\\"'}


def printable(text: str, limit: int = LABEL_LIMIT) -> str:
    r"""The text without what no picture can show: one � per control character or lone surrogate.

    Examples
    --------
    >>> printable("a\x00b")
    'a�b'
    >>> printable("long" * 100, limit=8)
    'longlon…'
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(map(_printable_character, text))


def _printable_character(character: str) -> str:
    if character in "\t\u2028\u2029":
        return " "
    if character == "\n":
        return character
    hidden = unicodedata.category(character) in ("Cc", "Cs") or character in _UNPRINTABLE
    return REPLACEMENT if hidden else character


def quote(text: str, limit: int = LABEL_LIMIT) -> str:
    r"""A text a reader typed, as the value of a DOT label: the only way into the DOT text.

    Graphviz decodes entities and backslashes in labels and the `graphviz` package takes `<…>` for
    HTML, so each of `& < > \ " newline` is written in its escaped form.

    Parameters
    ----------
    text : str
        Anything, of any length.
    limit : int
        Characters kept.

    Returns
    -------
    str
        For an attribute of a `graphviz.Digraph`, which puts the quotes around it.

    Examples
    --------
    >>> print(quote('<b> & "c\\'))
    &lt;b&gt; &amp; \"c\\
    """
    lines = printable(text, limit).split("\n")
    if len(lines) > 1:
        # Graphviz 16 as WebAssembly crashes on an empty line followed by some 60 characters.
        lines = [line or " " for line in lines]
    return "\\n".join("".join(_ESCAPES.get(c, c) for c in line) for line in lines)


def label_of(lines: Iterable[str], limit: int) -> str:
    """Several texts as the lines of one label, the empty ones as a space (see `quote`)."""
    return "\\n".join(quote(line, limit) or " " for line in lines)
