"""For authors: a new exercise to fill in, and the gates it has to pass."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from microrecur.course import sources
from microrecur.course.exercise import CHECKS, NAME, UnknownExercise, folder, select, stems
from microrecur.files import write_whole

LESSONS = CHECKS.rpartition(".")[0]  # the package of lessons, which is no room

_STUB = '''

def {function}(x):
    r"""Say in one line what is asked for.

    Parameters
    ----------
    x : ndarray of shape (N, D)

    Returns
    -------
    ndarray of shape (N, D)
        $y = 2x$
    """
    raise NotImplementedError("{name}")
'''
_SOLUTION = '''

def {function}(x):
    """Why it is so, in one line."""
    return 2 * x
'''
_CHECK = '''

def {function}_probe(rng):
    """Sizes pairwise different, nothing zero, nothing one half."""
    return [(rng.uniform(0.6, 0.9, (2, 3)),)]


{function} = Exercise(
    name="{name}",
    task="Say in one line what is asked for.",
    probe={function}_probe,
    reference=lambda x: x + x,
    outputs=("y",),
    slips=(
        Slip(
            "squared in place of doubled",
            wrong=lambda x: x**2,
            said="with x times itself",
            hint="What is asked for at x = 3, and what do you get there?",
        ),
    ),
    hints=("What happens to every number?",),
    section="A heading of the lesson",
)
'''
UNFILLED = (
    "Say in one line what is asked for.",
    "Why it is so, in one line.",
    "A heading of the lesson",
    "What happens to every number?",
)  # lines of the templates that tell an author what to write in their place
_HEADS = {
    "exercises": '"""Exercises of lesson {number}."""\n',
    "solutions": '"""Lesson {number}, solved."""\n',
    "checks": '"""Checks of lesson {number}."""\n\nfrom microrecur.course import Exercise, Slip\n',
}


def new(name: str) -> list[Path]:
    """Write stub, solution and check of an exercise, to be filled in.

    They pass every gate but the one that finds what is not filled in.

    Raises
    ------
    UnknownExercise
        When the name is no name, or is taken, or the lessons are an installed copy.
    """
    if {"site-packages", "dist-packages"} & set(folder().parts):
        raise UnknownExercise(
            f"{folder()} is an installed copy, and what is written there is in no clone; go into "
            "a clone, and add --lessons lessons"
        )
    if not NAME.fullmatch(name):
        raise UnknownExercise(f"an exercise is named like e06.rnn_backward, not {name!r}")
    lesson, _, function = name.partition(".")
    made = []
    for where, body in (("exercises", _STUB), ("solutions", _SOLUTION), ("checks", _CHECK)):
        file = _file(lesson, where)
        text = _HEADS[where].format(number=lesson[1:])
        if file.exists():
            text = file.read_text(encoding="utf-8")
            if function in _defined(text):
                raise UnknownExercise(f"{file} has a {function} already")
        made.append((file, text.rstrip("\n") + "\n" + body.format(name=name, function=function)))
    return [write_whole(file, text) for file, text in made]


def use(lessons: str) -> None:
    """Take the lessons of this folder for those of the package, from here on.

    Raises
    ------
    UnknownExercise
        When it is no folder of lessons.
    """
    root = Path(lessons).absolute()
    if lacking := [w for w in ("exercises", "checks", "solutions") if not (root / w).is_dir()]:
        raise UnknownExercise(
            f"{lessons} is no folder of lessons: it has no {', '.join(lacking)}; "
            "give that of a clone, which is called lessons"
        )
    import_module(LESSONS).__path__ = [str(root)]
    for cached in (stems, sources.names):
        cached.cache_clear()
    for name in [name for name in sys.modules if name.startswith(f"{LESSONS}.")]:
        del sys.modules[name]


def _file(lesson: str, where: str) -> Path:
    prefix = "test_" if where == "checks" else ""
    known = sorted((folder() / "exercises").glob(f"{lesson}_*.py"))
    stem = known[0].stem if known else f"{lesson}_new"
    return folder() / where / f"{prefix}{stem}.py"


def _defined(text: str) -> set[str]:
    """The functions and names that a file defines at its top."""
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def check(asked: str | None) -> Iterator[tuple[str, int]]:
    """The gates of every exercise asked for: lines to print, and how many faults they tell."""
    from microrecur.course.gates import faults

    for exercise in select(asked):
        begun = time.perf_counter()
        found = faults(exercise)
        bad = [f"    {gate}: {fault}" for gate, told in found.items() for fault in told]
        mark = "✗" if bad else "✓"
        taken = f"{len(exercise.slips)} slips, {time.perf_counter() - begun:.1f} s"
        yield "\n".join([f"{mark} {exercise.name}  ({taken})", *bad]), len(bad)
