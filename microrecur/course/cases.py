"""Which case an answer fails at, in words: as a call where its arguments are short."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from microrecur.course.exercise import Exercise

LONGEST = 48  # characters for all arguments
_PARTS = 4  # of a list that is still short


def which(exercise: Exercise, seed: int, index: int, count: int) -> str:
    """One of several cases as a person would point at it.

    Parameters
    ----------
    exercise : Exercise
    seed : int
        What the cases are drawn from.
    index, count : int
        Its place among them, from 0, and how many there are.

    Returns
    -------
    str
        "for bound('tanh', −0.9, 5)", or "case 2 of 6: shape = (5,), g of shape (3, 5)".
    """
    case = exercise.cases(seed)[index]
    if all(map(_short, case)):
        args = ", ".join(map(_typed, case))
        if len(args) <= LONGEST:
            return f"for {exercise.function}({args})"
    names = list(inspect.signature(exercise.reference).parameters)
    named = [_named(name, part) for name, part in zip(names, case)]
    # A number tells a case from the others more often than one of many shapes does.
    words = sorted(filter(None, named), key=lambda word: " = " not in word)
    kept = [w for k, w in enumerate(words) if len(", ".join(words[: k + 1])) <= LONGEST]
    told = ", ".join([*kept, "…"] if kept and len(kept) < len(words) else kept)
    return f"case {index + 1} of {count}" + (f": {told}" if told else "")


def shapes(exercise: Exercise, seed: int, index: int) -> str:
    """The shapes of a case's arrays, to stand behind an objection of NumPy's; all of them."""
    names = list(inspect.signature(exercise.reference).parameters)
    parts = zip(names, exercise.cases(seed)[index])
    told = [f"{name} is {part.shape}" for name, part in parts if isinstance(part, np.ndarray)]
    return f"; here {', '.join(told)}" if told else ""


def _short(part: Any) -> bool:
    """A number, text or truth value, or a short list of them: what one would type."""
    if isinstance(part, (list, tuple)):
        return len(part) <= _PARTS and all(map(_short, part))
    return part is None or isinstance(part, (str, bool, int, float, np.bool_, np.number))


def _typed(part: Any) -> str:
    if isinstance(part, list):
        return f"[{', '.join(map(_typed, part))}]"
    if isinstance(part, tuple):
        return f"({', '.join(map(_typed, part))}{',' * (len(part) == 1)})"
    if isinstance(part, (np.bool_, np.number)):
        part = part.item()
    return f"{part:.4g}" if isinstance(part, float) else repr(part)


def _named(name: str, part: Any) -> str:
    """An argument in a few words; none where it has none, as a function has."""
    if _short(part):
        return f"{name} = {_typed(part)}"
    if isinstance(part, np.ndarray):
        return f"{name} of shape {part.shape}"
    if isinstance(part, dict):
        return f"{name} with {', '.join(map(str, part))}"
    if isinstance(part, (list, tuple)):
        return f"{len(part)} {name}"
    if isinstance(getattr(part, "value", None), (int, float)):  # a node of a recorded graph
        return f"{name} {getattr(part, 'name', '') or 'node'} = {part.value:.4g}"
    return ""
