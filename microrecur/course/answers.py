"""`answer("e06.rnn_backward")`: the learner's function once it has passed, else the course's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from microrecur.course.exercise import NAME, UnknownExercise, stems


def answer(name: str) -> Callable[..., Any]:
    """The learner's function once it has passed; until then the solution, with a notice.

    Parameters
    ----------
    name : str
        "e06.rnn_backward".

    Returns
    -------
    callable

    Raises
    ------
    UnknownExercise
        When there is no such exercise.
    """
    from microrecur.course.progress import Progress
    from microrecur.course.workspace import NoWorkspace, Workspace

    ours = solved(name)
    try:
        workspace = Workspace.find()
    except NoWorkspace:
        return _noticed(name, ours, "there is no workspace here")
    progress, file = Progress(workspace), workspace.answer_file(name)
    if progress.passed(name):
        return load(name, file)
    if progress.of(name).get("passed"):
        return _noticed(name, ours, "your answer has changed since it passed; check it again")
    return _noticed(name, ours, "your answer has not passed yet")


def solved(name: str) -> Callable[..., Any]:
    """The course's own answer."""
    lesson, _, function = name.partition(".")
    if not NAME.fullmatch(name) or lesson not in stems():
        raise UnknownExercise(f"no exercise {name!r}; lessons with checks: {', '.join(stems())}")
    module = import_module(f"microrecur.lessons.solutions.{stems()[lesson]}")
    if not hasattr(module, function):
        raise UnknownExercise(f"no exercise {name!r}: {module.__name__} defines no {function}")
    found: Callable[..., Any] = getattr(module, function)
    return found


def load(name: str, file: Path) -> Callable[..., Any]:
    """The function in a file, run here."""
    module = ModuleType(f"answer_{name.replace('.', '_')}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where a dataclass of the answer looks for itself
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), vars(module))
    found: Callable[..., Any] = vars(module)[name.partition(".")[2]]
    return found


def _noticed(name: str, ours: Callable[..., Any], why: str) -> Callable[..., Any]:
    print(f"{name}: {why}, so what follows uses the course's own solution.")
    return ours
