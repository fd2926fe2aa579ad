"""Predict, then run: what a learner typed before, beside what came out."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from microrecur.course.compare import fault

_UNANSWERED = "no prediction yet; put yours in place of the … and run the cell again"
_LESSON = re.compile(r"l\d\d\.")  # the key's first part, which a learner need not read
_OPEN = "#B45309"


class Shown:
    """A sentence that a notebook shows in a frame and a terminal as text."""

    def __init__(self, text: str, colour: str) -> None:
        self.text, self._colour = text, colour

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        style = (
            f"border-left: 4px solid {self._colour}; padding: 0.3em 0.8em; white-space: pre-wrap"
        )
        return f'<div style="{style}">{html.escape(self.text)}</div>'


_held: dict[str, Any] = {}  # of this kernel, where there is no workspace to keep them in


def predict(name: str, value: Any = ..., *, among: tuple[str, ...] = ()) -> Shown:
    """Say what you expect before it is computed.

    Parameters
    ----------
    name : str
        What is predicted, "l06.uses".
    value : number, text, truth value or a list of them
        What you expect; … says that you have not made up your mind, and the lesson goes on.
    among : tuple of str, optional
        The answers to choose from: another one is not kept. Capitals do not matter.
    """
    if value is ...:
        return Shown(f"{_called(name)}: {_UNANSWERED}", _OPEN)
    plain = _plain(value)
    if among:
        fitting = [word for word in among if _same_word(word) == _same_word(plain)]
        if not fitting:
            asked = " or ".join(f'"{word}"' for word in among)
            return Shown(f"{_called(name)}: {asked} is asked for, not {_word(plain)!r}", _OPEN)
        plain = fitting[0]
    progress = _progress()
    if progress is None:
        _held[name] = {"first": _held.get(name, {}).get("first", plain), "now": plain}
    else:
        progress.predict(name, plain)
    return Shown(f"{_called(name)}: you expect {_word(plain)}", "#2563EB")


def reveal(name: str, truth: Any, said: str = "", *, rtol: float = 0.05) -> Shown:
    """Show what was predicted beside what is true.

    Parameters
    ----------
    name : str
        As given to `predict`.
    truth : number, text, truth value or a list of them
        What came out of the run.
    said : str
        Why it is so, in a sentence.
    rtol : float
        How near a number must be to count as right.
    """
    progress = _progress()
    known = _held.get(name, {}) if progress is None else progress.prediction(name)
    plain, why = _plain(truth), f"\n{said}" if said else ""
    if "now" not in known:
        return Shown(f"{_called(name)}: it is {_word(plain)} (you had no prediction){why}", _OPEN)
    expected = known["now"]
    right = fault(_same_word(expected), _same_word(plain), name, (), rtol) is None
    so = ", and it is" if right else "; it is"
    text = f"{_called(name)}: you expected {_word(expected)}{so} {_word(plain)}"
    return Shown(text + why, "#15803D" if right else "#B91C1C")


def _same_word(value: Any) -> Any:
    """The value, whichever way it was written: "Tanh" as "tanh", σ by its name, [5] as 5."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        return value
    word = value.strip().casefold()
    return "sigma" if word in ("σ", "sigmoid") else word


def _called(name: str) -> str:
    return _LESSON.sub("", name, count=1)


def _progress() -> Any:
    from microrecur.course.progress import Progress
    from microrecur.course.workspace import NoWorkspace, Workspace

    try:
        return Progress(Workspace.find())
    except NoWorkspace:
        return None


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, tuples as lists: what a file keeps."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    json.dumps(value)  # raises TypeError for what cannot be kept
    return value


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    return str(value)
