"""What a formula calls each record: its name with marks and step, escaped, never two the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from microrecur.engine.tensor import Tensor, by_step
from microrecur.graphs.graph import Graph

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
_TEXTBOOK = re.compile(r"([A-Za-z]+)(\d*)((?:_[A-Za-z0-9]+)*)")
_LAYER = re.compile(r"layer(\d+)")
_RUNS = re.compile(r"[^\W_]+|.", re.DOTALL)
_RESERVED = frozenset(["e", "I", r"\sigma"])  # signs that mean something else in a formula
_PLAIN = "+-*/=:;,.!?()[]|@"
_ESCAPES = {
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "&": r"\&", "#": r"\#",
    "_": r"\_", "^": r"\wedge ", "~": r"\sim ", "<": r"\langle ", ">": r"\rangle ", "'": r"\prime ",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""Set any text upright, with nothing in it that LaTeX would obey.

    Runs of letters and digits stand as they are; what LaTeX reads as a command is escaped; any
    other character is a space.

    Examples
    --------
    >>> print(escaped("50% off"))
    {\mathrm{50}\%\ \mathrm{off}}
    """
    return "{" + "".join(_upright(run) for run in _RUNS.findall(text)) + "}"


def _upright(run: str) -> str:
    if run.isalnum():
        return rf"\mathrm{{{run}}}"
    return _ESCAPES.get(run, run if run in _PLAIN else r"\ ")


def split_name(name: str) -> tuple[str, list[str]]:
    r"""Split a name into its letter and its marks, each as LaTeX; any other text is escaped whole.

    Examples
    --------
    >>> split_name("U_f"), split_name("b_ih_f"), split_name("W1")
    (('U', ['f']), ('b', ['ih', 'f']), ('W', ['1']))
    >>> split_name("loss"), split_name("alpha_rate")
    (('\\mathrm{loss}', []), ('\\alpha', ['\\mathrm{rate}']))
    """
    found = _TEXTBOOK.fullmatch(name)
    if found is None:
        return escaped(name), []
    base, digits, marks = found.groups()
    letter = base if len(base) == 1 else rf"\{base}" if base in _GREEK else rf"\mathrm{{{base}}}"
    parts = [digits] * bool(digits) + [mark for mark in marks.split("_") if mark]
    return letter, [part if len(part) <= 2 else rf"\mathrm{{{part}}}" for part in parts]


def scripted(base: str, above: Sequence[str], below: Sequence[str]) -> str:
    """Put marks above and below a letter, in braces only where there is more than one sign."""
    text = base
    for sign, marks in (("^", above), ("_", below)):
        joined = ",".join(marks)
        if joined:
            text += f"{sign}{joined}" if len(joined) == 1 else f"{sign}{{{joined}}}"
    return text


class Symbols:
    r"""Gives every record of one computation its symbol, the same one each time.

    The last mark of a name is its subscript, marks between go above: `b_ih_f` is b^{ih}_f. The step
    follows as a subscript, relative to the step of what is printed (t, t−1; T, T−1 when that lies
    outside all steps) or as a number. A layer's name stands above when there are several layers.

    Parameters
    ----------
    graph : Graph
        The computation, at level "all".
    origin : Tensor
        What is printed: its step is t.
    steps : {"symbolic", "numbers"}
        t, t−1, … or 3, 2, …

    Attributes
    ----------
    used : dict
        What each symbol that has been asked for stands for, in that order.
    """

    def __init__(self, graph: Graph, origin: Tensor, steps: str) -> None:
        self.used: dict[str, Tensor] = {}
        self._texts: dict[Tensor, str] = {}
        self._taken: set[str] = set()
        self._unnamed: Counter[str] = Counter()
        self._symbolic = steps == "symbolic"
        own = by_step(origin.scope)[1]
        self._letter = "T" if own is None else "t"
        self._origin = max(graph.steps, default=0) if own is None else own
        layers = {node.layer for node in graph.nodes if node.step is not None}
        self._only_layer = layers.pop() if len(layers) == 1 else ()
        for node in graph.nodes:  # in their own order, so that the first of a name is called by it
            if node.name is not None:
                self._call(node.tensor)

    def of(self, tensor: Tensor) -> str:
        """Return the symbol of a record."""
        text = self._texts.get(tensor) or self._call(tensor)
        self.used[text] = tensor
        return text

    def _call(self, tensor: Tensor) -> str:
        """Give it a symbol that no other record has: a taken one gets (2), (3), … above."""
        layer, step, _ = by_step(tensor.scope)
        base, marks = split_name(tensor.name or self._placeholder(tensor))
        above = marks[:-1] + ([_layer(layer)] if layer and layer != self._only_layer else [])
        below = marks[-1:] + ([self._step(step)] if step is not None else [])
        text, again = scripted(base, above, below), 1
        if text in _RESERVED:
            base = text = rf"\mathrm{{{tensor.name}}}"
        while text in self._taken:
            again += 1
            text = scripted(base, [*above, f"({again})"], below)
        self._taken.add(text)
        self._texts[tensor] = text
        return text

    def _placeholder(self, tensor: Tensor) -> str:
        what = tensor.op.name if tensor.op is not None else "number"
        self._unnamed[what] += 1
        return f"{what.replace('_', '')}_{self._unnamed[what]}"

    def _step(self, step: int) -> str:
        if not self._symbolic:
            return str(step)
        lag = step - self._origin
        return self._letter + (f"{lag:+d}" if lag else "")


def _layer(names: Sequence[str]) -> str:
    found = [_LAYER.fullmatch(name) for name in names]
    return f"({','.join(m[1] if m else escaped(n) for m, n in zip(found, names, strict=True))})"
