"""`Exercise` and `Slip`: what a check file declares, and where the check files are found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

CHECKS = "microrecur.lessons.checks"
NAME = re.compile(r"e\d\d\.[A-Za-z_]\w*")
Function = Callable[..., Any]


class UnknownExercise(ValueError):
    """A name that no check file declares; the message lists the nearest."""


@dataclass(frozen=True, slots=True)
class Slip:
    """A known misconception: a plausible wrong answer, and the question that mends it.

    Parameters
    ----------
    title : str
        What went wrong, in a few words; the class report counts by it.
    wrong : callable
        The wrong answer, with the signature of the right one. Where the mistake raises, so may it:
        an answer that raises the same kind of exception in the same case is then told as this slip.
    said : str
        Completes "your ∂L/∂Wh equals ours …".
    hint : str
        A question, at most 240 characters.
    missing, extra : tuple of str
        Edges "source->target" of the exercise's picture that this answer leaves out or adds.
    also : tuple of callable
        The same mistake as other code, where it comes to other numbers or raises.
    """

    title: str
    wrong: Function
    said: str
    hint: str
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    also: tuple[Function, ...] = ()


@dataclass(frozen=True, slots=True)
class Exercise:
    """One function to write, and how its answer is judged.

    Parameters
    ----------
    name : str
        Lesson and function, "e06.rnn_backward".
    task : str
        What to do, in one line.
    probe : callable
        ``probe(rng) -> list of cases``; a case is a tuple of positional arguments.
    reference : callable
        The right answer with the signature of the asked one: the engine, or central differences.
    outputs : tuple of str
        A name for each value returned, in order; one name where one value is returned.
    axes : mapping of str to tuple of str, optional
        What an index along each axis of an output is called: ("step", "unit").
    slips : tuple of Slip
        The known wrong answers.
    hints : tuple of str
        The first rungs of the ladder; the first one is a question.
    section : str
        The heading of the lesson to read again.
    picture : callable, optional
        ``picture() -> Tensor``: the root of a recorded graph that `draw` can draw.
    rtol : float
        How near a number must be to ours, relative to it.
    observe : callable, optional
        ``observe(function, case) -> value(s)`` where an answer is judged by what it does.
    numeric : callable, optional
        The same outputs by central differences, for the verdict "central differences say …".
    allows : tuple of str
        Modules the learner may import besides numpy and the basics of the standard library.
    probe_rules : bool or str
        True, or the reason why the rules for probes (sizes pairwise different, no zeros …) do not
        apply.

    Raises
    ------
    ValueError
        When a field is not as said here.
    """

    name: str
    task: str
    probe: Callable[[Any], list[tuple[Any, ...]]]
    reference: Function
    outputs: tuple[str, ...]
    slips: tuple[Slip, ...] = ()
    hints: tuple[str, ...] = ()
    section: str = ""
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    picture: Callable[[], Any] | None = None
    rtol: float = 1e-6
    observe: Callable[[Function, tuple[Any, ...]], Any] | None = None
    numeric: Function | None = None
    allows: tuple[str, ...] = ()
    probe_rules: bool | str = True

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"an exercise is named like 'e06.rnn_backward', not {self.name!r}")
        for what in ("outputs", "slips", "hints", "allows"):
            if not isinstance(getattr(self, what), tuple):
                raise ValueError(
                    f"{self.name}: {what} is a tuple; ({what}[0],) has a comma for one"
                )
        if not self.outputs:
            raise ValueError(f"{self.name}: outputs names what is returned, and is empty")
        if unknown := [name for name in self.axes if name not in self.outputs]:
            raise ValueError(f"{self.name}: axes names {unknown}, which is not among the outputs")
        if self.probe_rules is False:
            raise ValueError(f"{self.name}: probe_rules is True or the reason why they do not hold")

    @property
    def lesson(self) -> str:
        """The lesson's stem, "e06"."""
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        """The name of the function asked for."""
        return self.name.partition(".")[2]

    def cases(self, seed: int) -> list[tuple[Any, ...]]:
        """The arguments the answer is called with, drawn anew: the same for the same seed."""
        import numpy as np

        return [tuple(case) for case in self.probe(np.random.default_rng(seed))]

    def call(self, function: Function, case: tuple[Any, ...]) -> Any:
        """What a function is judged by in one case: what it returns, or what is observed of it."""
        return self.observe(function, case) if self.observe else function(*case)


# -- where they are found --------------------------------------------------------------------------


def folder() -> Path:
    """The folder of the lessons: notebooks, exercises/, checks/, solutions/."""
    return Path(next(iter(import_module(CHECKS.rpartition(".")[0]).__path__)))


@cache
def stems() -> dict[str, str]:
    """Every lesson's stem by its number: {"e06": "e06_bptt"}."""
    found = sorted(path.stem for path in (folder() / "checks").glob("test_e??_*.py"))
    return {stem[5:8]: stem[5:] for stem in found}


def in_lesson(lesson: str) -> dict[str, Exercise]:
    """The exercises of one lesson ("e06") by name, in the order of their file."""
    if lesson not in stems():
        known = ", ".join(stems()) or "none"
        raise UnknownExercise(f"no lesson {lesson!r}; there are: {known}")
    module = import_module(f"{CHECKS}.test_{stems()[lesson]}")
    found = [value for value in vars(module).values() if isinstance(value, Exercise)]
    return {exercise.name: exercise for exercise in found}


def exercises() -> Iterator[Exercise]:
    """Every exercise of every lesson, in order."""
    for lesson in stems():
        yield from in_lesson(lesson).values()


def find(name: str) -> Exercise:
    """The exercise of that name.

    Raises
    ------
    UnknownExercise
        When there is none; the message names the nearest.
    """
    lesson = name.partition(".")[0]
    there = in_lesson(lesson) if lesson in stems() else {e.name: e for e in exercises()}
    if name in there:
        return there[name]
    from difflib import get_close_matches

    nearest = get_close_matches(name, there, n=4, cutoff=0.3) or list(there)[:4]
    raise UnknownExercise(f"no exercise {name!r}; the nearest are: {', '.join(nearest)}")


def select(asked: str | None) -> list[Exercise]:
    """What a word of the command line asks for: all, one lesson ("e06"), or one exercise."""
    if asked is None:
        return list(exercises())
    if re.fullmatch(r"e\d\d", asked):
        return list(in_lesson(asked).values())
    return [find(asked)]
