"""The ladder of hints: where, which slip, picture, lesson, solution; every rung taken is kept."""

from __future__ import annotations

from dataclasses import dataclass

from microrecur.course.diagnose import FAILED, Verdict
from microrecur.course.exercise import Exercise
from microrecur.course.progress import Progress

LONGEST = 240  # characters of a hint


@dataclass(frozen=True, slots=True)
class Rung:
    """One step up the ladder: its kind, what is said, and the key it is kept under."""

    kind: str  # "where", "slip", "picture", "section", "solution"
    text: str
    key: str


def ladder(exercise: Exercise, last: Verdict | None = None) -> list[Rung]:
    """The rungs of an exercise, after its last check; there are as many before it as after.

    The slip's question is on it once a check has found one; until then its rung says how to.
    """
    name = exercise.name
    rungs = [Rung("where", text, f"where {k}") for k, text in enumerate(exercise.hints, 1)]
    if last is not None and last.slip:
        rungs.append(Rung("slip", last.hint, f"slip {last.slip}"))
    elif exercise.slips:
        tried = last is not None and last.status == FAILED
        said = "your last answer is none of the known slips" if tried else "try an answer first"
        said += f"; `microrecur check {name}` names the first number that is wrong"
        rungs.append(Rung("slip", said, "slip"))
    if exercise.picture is not None:
        said = f"`microrecur show {name}` draws the graph; what your last answer lacks is red"
        rungs.append(Rung("picture", said, "picture"))
    if exercise.section:
        said = f"read “{exercise.section}” in lesson {name[1:3]} once more"
        rungs.append(Rung("section", said, "section"))
    last_resort = f"`microrecur solution {name} --give-up` shows how the course does it"
    return [*rungs, Rung("solution", last_resort, "solution")]


def next_rung(exercise: Exercise, progress: Progress) -> tuple[Rung, int, int]:
    """Take the first rung not yet taken (the last one again, once all are): with its place."""
    rungs = ladder(exercise, progress.last(exercise.name))
    taken = set(progress.of(exercise.name).get("rungs", ()))
    place = next((k for k, rung in enumerate(rungs) if rung.key not in taken), len(rungs) - 1)
    progress.take(exercise.name, rungs[place].key)
    return rungs[place], place + 1, len(rungs)
