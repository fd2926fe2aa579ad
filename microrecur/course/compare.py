"""Two values beside each other: what is the first thing wrong, in words of the exercise."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from microrecur.course.wire import Foreign

_PLURAL = re.compile(r"[a-z]{3,}s")
_FLOOR = 1e-3  # a number beside much larger ones may be off by rtol × this share of the largest


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong with a value: the stage it fails at, and a sentence."""

    stage: str  # "nothing", "type", "shape", "finite", "value"
    said: str


def fault(
    value: Any, ours: Any, name: str, axes: tuple[str, ...] = (), rtol: float = 1e-6
) -> Fault | None:
    """What is wrong with a value, our own beside it; None where nothing is.

    Parameters
    ----------
    value, ours : numbers, text, lists, dicts, arrays
        What came back, and the reference.
    name : str
        What the sentence calls it.
    axes : tuple of str
        What an index along each axis is called.
    rtol : float
        Relative tolerance of numbers.
    """
    if value is None and ours is not None:
        return Fault("nothing", f"{name} is None; is there a `return` on every way out?")
    if isinstance(ours, dict):
        return _dict_fault(value, ours, name, axes, rtol)
    if isinstance(ours, (list, tuple)):
        return _list_fault(value, ours, name, axes, rtol)
    if ours is None or isinstance(ours, (str, bool, np.bool_)):
        return _word_fault(value, ours, name)
    return _array_fault(value, np.asarray(ours), isinstance(ours, np.ndarray), name, axes, rtol)


def agreeing(name: str, said: str) -> str:
    """A sentence whose verb agrees with a name such as "states"."""
    if not _PLURAL.fullmatch(name):
        return said
    for one, many in (("is", "are"), ("has", "have"), ("holds", "hold"), ("equals", "equal")):
        said = said.replace(f"{name} {one} ", f"{name} {many} ", 1)
    return said


def kind_of(value: Any) -> str:
    """What a value is, as a person says it."""
    if isinstance(value, Foreign):
        return value.name
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, (bool, np.bool_)):
        return f"the truth value {bool(value)}"
    if isinstance(value, numbers.Number):
        return "one number"
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _word_fault(value: Any, ours: Any, name: str) -> Fault | None:
    if isinstance(ours, (bool, np.bool_)):
        if not isinstance(value, (bool, np.bool_)):
            return Fault("type", f"{name} is {kind_of(value)}; True or False is asked for")
        right = bool(value) == bool(ours)
    elif ours is None:
        return None if value is None else Fault("value", f"{name} is {kind_of(value)}, not None")
    else:
        if not isinstance(value, str):
            return Fault("type", f"{name} is {kind_of(value)}; text is asked for")
        right = value == ours
    return None if right else Fault("value", f"{name} is {str(value)[:60]!r}, and ours is not")


def _dict_fault(
    value: Any, ours: dict[Any, Any], name: str, axes: tuple[str, ...], rtol: float
) -> Fault | None:
    if not isinstance(value, dict):
        return Fault("type", f"{name} is {kind_of(value)}; a dict is asked for")
    if lacking := [key for key in ours if key not in value]:
        return Fault("shape", f"{name} has no entry for {lacking[0]!r}")
    if more := [key for key in value if key not in ours]:
        return Fault("shape", f"{name} has an entry {str(more[0])[:40]!r} that nobody asked for")
    parts = (fault(value[k], v, f"{name}[{k!r}]", axes, rtol) for k, v in ours.items())
    return next((part for part in parts if part), None)


def _list_fault(
    value: Any, ours: Any, name: str, axes: tuple[str, ...], rtol: float
) -> Fault | None:
    if not isinstance(value, (list, tuple)) and not (isinstance(value, np.ndarray) and value.ndim):
        return Fault("type", f"{name} is {kind_of(value)}; a list is asked for")
    if len(value) != len(ours):
        return Fault("shape", f"{name} has length {len(value)}; {len(ours)} is asked for")
    what, deeper = (axes[0] if axes else ""), axes[1:]
    for k, (theirs, right) in enumerate(zip(value, ours)):
        called = f"{name}[{k}]" + (f" ({what} {k + 1})" if what else "")
        if found := fault(theirs, right, called, deeper, rtol):
            return found
    return None


def _array_fault(
    value: Any, ours: np.ndarray, array: bool, name: str, axes: tuple[str, ...], rtol: float
) -> Fault | None:
    wanted = f"an array of shape {ours.shape}" if array and ours.ndim else "one number"
    plain = isinstance(value, numbers.Number) and not isinstance(value, bool)
    if not plain and not isinstance(value, (np.ndarray, np.generic)):
        return Fault("type", f"{name} is {kind_of(value)}; {wanted} is asked for")
    theirs = np.asarray(value)
    if plain and theirs.dtype.kind == "O":
        return Fault("finite", f"{name} is too large a number")
    truth = theirs.dtype.kind == "b" and ours.dtype.kind != "b"
    if theirs.dtype.kind not in "biuf" or truth:
        return Fault("type", f"{name} holds {theirs.dtype}; {ours.dtype} is asked for")
    if theirs.shape != ours.shape:
        shape = ours.shape or "one number"
        return Fault("shape", f"{name} has shape {theirs.shape}; {shape} is asked for")
    return _number_fault(theirs, ours, name, axes, rtol)


def _number_fault(
    theirs: np.ndarray, ours: np.ndarray, name: str, axes: tuple[str, ...], rtol: float
) -> Fault | None:
    bad = ~np.isfinite(theirs) & ~_alike(theirs, ours)
    if bad.any():
        at = _first(bad)
        return Fault("finite", f"{_place(name, at, axes)} is {theirs[at]}")
    wrong = ~_close(theirs, ours, rtol)
    if not wrong.any():
        return None
    at = _first(wrong)
    return Fault("value", _wrong(theirs, ours, wrong, at, name, axes, rtol))


def _alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Equal, or both not a number."""
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _close(a: np.ndarray, b: np.ndarray, rtol: float) -> np.ndarray:
    a, b = np.asarray(a, float), np.asarray(b, float)
    sizes = np.abs(b[np.isfinite(b)])
    least = rtol * _FLOOR * sizes.max() if sizes.size else 0.0
    with np.errstate(all="ignore"):
        return _alike(a, b) | (np.abs(a - b) <= rtol * np.abs(b) + least)


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(k) for k in np.argwhere(mask)[0]) if mask.ndim else ()


def _place(name: str, at: tuple[int, ...], axes: tuple[str, ...]) -> str:
    """Where it is: as an index, and in words of the exercise."""
    if not at:
        return name
    words = axes if len(axes) == len(at) else {1: ("place",), 2: ("row", "column")}.get(len(at), ())
    told = ", ".join(f"{word} {k + 1}" for word, k in zip(words, at))
    return f"{name}[{', '.join(map(str, at))}]" + (f" ({told})" if told else "")


def _wrong(
    theirs: np.ndarray,
    ours: np.ndarray,
    wrong: np.ndarray,
    at: tuple[int, ...],
    name: str,
    axes: tuple[str, ...],
    rtol: float,
) -> str:
    """Which number is the first that is wrong, by how much, and whether there is a pattern."""
    square = theirs.ndim == 2 and theirs.shape[0] == theirs.shape[1] > 1
    if square and _close(theirs.T, ours, rtol).all():
        return f"{name} is ours transposed"
    if factor := _common_factor(theirs, ours, rtol):
        return f"every number of {name} is {factor} × ours" if at else f"{name} is {factor} × ours"
    beside = f"yours is {_short(theirs[at])}, ours {_short(ours[at])}"
    if ours[at] and theirs[at]:
        beside = f"yours is {_short(theirs[at] / ours[at])} × ours"
    if not at:
        return f"{name} is wrong; {beside}"
    count = f"{int(wrong.sum())} of {wrong.size} numbers are wrong{_where(wrong, axes)}"
    return f"{_place(name, at, axes)} is the first that is wrong; {beside}; {count}"


def _where(wrong: np.ndarray, axes: tuple[str, ...]) -> str:
    """The steps (rows, units) that hold all that is wrong, where the others are right."""
    if len(axes) != wrong.ndim or wrong.sum() < 2:
        return ""
    for k, word in enumerate(axes):
        bad = wrong.any(axis=tuple(j for j in range(wrong.ndim) if j != k))
        at = [int(place) + 1 for place in np.flatnonzero(bad)]
        if len(at) < bad.size:
            return f", all in {word}{'s' * (len(at) > 1)} {_places(at)}"
    return ""


def _places(at: list[int]) -> str:
    """Places in words: "2 to 5", "1 and 3", "1, 3, 4 and 6"."""
    if len(at) > 2 and at[-1] - at[0] == len(at) - 1:
        return f"{at[0]} to {at[-1]}"
    *first, last = map(str, at)
    return f"{', '.join(first)} and {last}" if first else last


def _common_factor(theirs: np.ndarray, ours: np.ndarray, rtol: float) -> str | None:
    """The one factor between all numbers of two arrays, where there is one."""
    flat, right = np.ravel(theirs).astype(float), np.ravel(ours).astype(float)
    if flat.size < 2 or not right.any() or not flat.any():
        return None
    factor = float(flat @ right / (right @ right))
    if not math.isfinite(factor) or not _close(flat, factor * right, rtol).all():
        return None
    return _short(factor)


def _short(number: Any) -> str:
    """Three digits; a factor of nearly one with enough of them to see that it is not."""
    near = 0 < abs(float(number) - 1) < 5e-3
    return (f"{float(number):.9g}" if near else f"{float(number):.3g}").replace("-", "−")


# -- how far apart ---------------------------------------------------------------------------------


def distance(a: Any, b: Any) -> float:
    """How far a value is from another: the largest gap in an array by its largest number."""
    found = fault(a, b, "it")
    if found and found.stage not in ("value", "finite"):
        return math.inf
    return max((_gap(x, y) for x, y in zip(_leaves(a), _leaves(b))), default=0.0)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key in sorted(value, key=repr):
            yield from _leaves(value[key])
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _gap(a: Any, b: Any) -> float:
    if isinstance(a, (str, bool, np.bool_)) or a is None:
        return 0.0 if a == b else math.inf
    a, b = np.asarray(a, float), np.asarray(b, float)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return math.inf
    size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    gap = np.abs(a - b)[np.isfinite(b)].max(initial=0.0)
    return float(gap / size) if size else float(gap > 0) * math.inf if gap else 0.0
