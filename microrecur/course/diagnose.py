"""From what came of an answer to one clear sentence: which term is wrong, and which question helps.

The order: attempted, returned something, type and shape, finite, inputs left alone, values beside
the reference; a wrong answer is looked up among the slips, and told by its first wrong number where
it is none of them.
"""

from __future__ import annotations

import inspect
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microrecur.course import sources
from microrecur.course.cases import shapes, which
from microrecur.course.compare import Fault, agreeing, fault
from microrecur.course.exercise import Exercise, Slip
from microrecur.course.process import SECONDS, WALL, Outcome, Process, Run, run_here, travelling
from microrecur.course.words import clean, ended, short_path

if TYPE_CHECKING:
    from microrecur.course.server import Server

PASSED, FAILED, UNTOUCHED = "passed", "failed", "not attempted"
_SHAPES = re.compile(r"matmul|broadcast|shapes? |dimension|aligned")  # in what NumPy objects


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of an answer.

    `status` is "passed", "failed" or "not attempted"; `stage` what it fails at; `slip` the title of
    the misconception, where it is a known one, with its edges `missing` and `extra`.
    """

    name: str
    status: str
    sentence: str
    stage: str = ""
    hint: str = ""
    slip: str = ""
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    seed: int = 0
    printed: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status == PASSED

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return asdict(self)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Verdict:
        """The verdict with those fields; unknown ones are left out."""
        known = {key: fields[key] for key in cls.__slots__ if key in fields}
        for key in ("missing", "extra"):
            known[key] = tuple(known.get(key, ()))
        return cls(**known)


def check(
    exercise: Exercise,
    file: Path,
    seed: int = 0,
    *,
    seconds: float = SECONDS,
    wall: float = WALL,
    server: Server | None = None,
) -> Verdict:
    """Run the answer in a file in its own process, and say what is to be said.

    Parameters
    ----------
    exercise : Exercise
    file : Path
        The learner's file.
    seed : int
        What the cases are drawn from.
    seconds, wall : float
        How long the answer may compute, and how long all of it may take.
    server : Server, optional
        What forks the process, where many answers are checked.
    """
    try:
        source = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Verdict(exercise.name, UNTOUCHED, f"there is no {short_path(file)} yet", seed=seed)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        said = f"{short_path(file)} cannot be read as text: {clean(str(error))}"
        return Verdict(exercise.name, FAILED, said, "file", seed=seed)
    return check_source(
        exercise, source, str(file), seed, seconds=seconds, wall=wall, server=server
    )


def check_source(
    exercise: Exercise,
    source: str,
    file: str,
    seed: int = 0,
    *,
    seconds: float = SECONDS,
    wall: float = WALL,
    beside: Known | None = None,
    server: Server | None = None,
) -> Verdict:
    """`check`, of a text that is not to be read from a file."""
    begun = time.perf_counter()
    if exercise.name in sources.names() and source == sources.stub(exercise.name):
        return _untouched(exercise, seed)
    loaded = server is not None and travelling(exercise, exercise.cases(seed)) is None
    with Process(wall, server, loaded) as process:
        run = process.run(exercise, source, file, exercise.cases(seed), seed, seconds=seconds)
    verdict = diagnose(exercise, run, seed, source, beside)
    taken = {"printed": run.printed, "seconds": round(time.perf_counter() - begun, 3)}
    return Verdict.of(verdict.as_dict() | taken)


@dataclass(frozen=True, slots=True)
class Known:
    """What the reference and every slip, in each of its forms, answer on the cases of a seed."""

    right: Run
    wrong: tuple[tuple[Slip, Run], ...]


def known(exercise: Exercise, seed: int) -> Known:
    """Run the reference and every slip, each on cases of its own."""
    right = run_here(exercise, exercise.reference, exercise.cases(seed))
    wrong = [
        (slip, run_here(exercise, function, exercise.cases(seed), True))
        for slip in exercise.slips
        for function in (slip.wrong, *slip.also)
    ]
    return Known(right, tuple(wrong))


def diagnose(
    exercise: Exercise, run: Run, seed: int, source: str = "", beside: Known | None = None
) -> Verdict:
    """Judge what came of an answer; `beside` spares running reference and slips again."""
    if run.kind == "stub":
        return _untouched(exercise, seed)
    if run.kind != "ran":
        said = ended(exercise, run, source)
        if run.kind == "error" and _SHAPES.search(run.why):
            said += shapes(exercise, seed, run.case)
        if run.case and run.kind in (
            "error",
            "memory",
            "timeout",
            "slow",
            "unjudged",
        ):  # the cases before went well
            said += f" ({which(exercise, seed, run.case, len(exercise.cases(seed)))})"
        slip = _raised(exercise, run, beside or known(exercise, seed)) if _own(run) else None
        if slip is None:
            return Verdict(exercise.name, FAILED, said, run.kind, seed=seed)
        edges = (slip.missing, slip.extra)
        return Verdict(exercise.name, FAILED, said, run.kind, slip.hint, slip.title, *edges, seed)
    right = beside.right if beside else run_here(exercise, exercise.reference, exercise.cases(seed))
    found = _first_fault(exercise, run, right)
    if found is None:
        return Verdict(exercise.name, PASSED, "right", seed=seed)
    index, output, what = found
    if (match := _match(exercise, run, beside or known(exercise, seed))) is not None:
        slip, named = match
        said = agreeing(named, f"your {named} equals ours {slip.said}")
        return Verdict(
            exercise.name, FAILED, said, what.stage, slip.hint, slip.title, slip.missing,
            slip.extra, seed,
        )  # fmt: skip
    said, hint = what.said, ""
    if what.stage in ("value", "finite"):
        said += _others(exercise, run, right)
        hint = _first_hint(exercise)  # what another type or shape needs is in the sentence
    if what.stage == "value" and exercise.numeric is not None and output is not None:
        said += _central_differences(exercise, right, seed, index, output)
    if len(right.outcomes) > 1 and (index or what.stage in ("shape", "finite", "value")):
        said += f" ({which(exercise, seed, index, len(right.outcomes))})"
    return Verdict(exercise.name, FAILED, said, what.stage, hint, seed=seed)


def _untouched(exercise: Exercise, seed: int) -> Verdict:
    return Verdict(exercise.name, UNTOUCHED, "still raises NotImplementedError", seed=seed)


# -- values beside ours ----------------------------------------------------------------------------

STAGES = ("nothing", "type", "shape", "finite", "mutated", "value")


def parts(exercise: Exercise, value: Any) -> list[Any] | None:
    """The values returned, one per output; None where their number is not the one asked for."""
    if len(exercise.outputs) == 1:
        return [value]
    if isinstance(value, (tuple, list)) and len(value) == len(exercise.outputs):
        return list(value)
    return None


def _first_fault(exercise: Exercise, run: Run, right: Run) -> tuple[int, str | None, Fault] | None:
    """The earliest stage that fails in any case: case, output, what is wrong."""
    found: list[tuple[int, str | None, Fault]] = []
    for k, (theirs, ours) in enumerate(zip(run.outcomes, right.outcomes)):
        if (what := _fault_in(exercise, theirs, ours)) is not None:
            found.append((k, *what))
    if len(run.outcomes) != len(right.outcomes):
        found.append((0, None, Fault("nothing", "the answer did not come back from every case")))
    return min(found, key=lambda one: STAGES.index(one[2].stage), default=None)


def _fault_in(
    exercise: Exercise, theirs: Outcome, ours: Outcome
) -> tuple[str | None, Fault] | None:
    named = f"{exercise.function} returned"
    if theirs.value is None and ours.value is not None:
        return None, Fault("nothing", f"{named} None; is there a `return` on every way out?")
    values = parts(exercise, theirs.value)
    if values is None:
        return None, Fault("type", _count(exercise, theirs.value, named))
    all_right = parts(exercise, ours.value)
    assert all_right is not None, f"{exercise.name}: the reference returns other outputs than named"
    if _swapped(exercise, values, all_right):
        said = f"the values are right, but in another order than {', '.join(exercise.outputs)}"
        return exercise.outputs[0], Fault("shape", said)
    found = []
    for name, value, right in zip(exercise.outputs, values, all_right):
        what = fault(value, right, name, exercise.axes.get(name, ()), exercise.rtol)
        if what is not None:
            found.append((name, Fault(what.stage, agreeing(name, what.said))))
    if theirs.mutated != ours.mutated:
        found.append((exercise.outputs[0], Fault("mutated", _mutated(exercise, theirs))))
    return min(found, key=lambda one: STAGES.index(one[1].stage), default=None)


def _swapped(exercise: Exercise, values: list[Any], ours: list[Any]) -> bool:
    """Whether every value is one of ours, but not all in their places."""
    equal = [[fault(v, w, "", (), exercise.rtol) is None for w in ours] for v in values]
    if all(row[k] for k, row in enumerate(equal)):
        return False
    return all(map(any, equal)) and all(map(any, zip(*equal)))


def _others(exercise: Exercise, run: Run, right: Run) -> str:
    """Which of several outputs are wrong in some case: whoever is near sees what is left."""
    wrong = [n for n in exercise.outputs if not _same(exercise, run, right, n)]
    count = len(exercise.outputs)
    if count < 2 or not wrong:
        return ""
    if len(wrong) == count:
        return f"; all {count} outputs are wrong" if count > 2 else "; both outputs are wrong"
    fine = ", ".join(n for n in exercise.outputs if n not in wrong)
    return f"; {fine} {'is' if count - len(wrong) == 1 else 'are'} right"


def _count(exercise: Exercise, value: Any, named: str) -> str:
    from microrecur.course.compare import kind_of

    asked = f"{len(exercise.outputs)} are asked for: {', '.join(exercise.outputs)}"
    if isinstance(value, (tuple, list)):
        return f"{named} {len(value)} values; {asked}"
    return f"{named} {kind_of(value)}; {asked}"


def _mutated(exercise: Exercise, outcome: Outcome) -> str:
    names = list(inspect.signature(exercise.reference).parameters)
    changed = ", ".join(
        names[k] if k < len(names) else f"argument {k + 1}" for k in outcome.mutated
    )
    return (
        f"{exercise.function} changed its input {changed}; work on a copy, such as {changed}.copy()"
    )


def _match(exercise: Exercise, run: Run, beside: Known) -> tuple[Slip, str] | None:
    """The slip whose numbers the answer has: in all outputs, else in its first wrong one."""
    right, wrong = beside.right, beside.wrong
    for slip, slipped in wrong:
        if _same(exercise, run, slipped):
            return slip, differing(exercise, slipped, right)
    name = differing(exercise, run, right)
    if _same(exercise, run, right, name):  # all values are right: something else is wrong
        return None
    for slip, slipped in wrong:
        if (
            name
            and not _same(exercise, slipped, right, name)
            and _same(exercise, run, slipped, name)
        ):
            return slip, name
    return None


def _own(run: Run) -> bool:
    """Whether an exception came of the learner's own way to compute."""
    return run.kind == "error" and run.error not in ("NameError", "RecursionError", "EOFError")


def _raised(exercise: Exercise, run: Run, beside: Known) -> Slip | None:
    """The one slip that raises as the answer does: in the same case, after the same values.

    Shapes that do not fit are met in many ways, so there the objection is the same word for word.
    """
    found = {
        slip.title: slip
        for slip, slipped in beside.wrong
        if (slipped.kind, slipped.error, slipped.case) == (run.kind, run.error, run.case)
        and (slipped.why == run.why or not _SHAPES.search(run.why + slipped.why))
        and _same(exercise, run, slipped)
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _same(exercise: Exercise, run: Run, other: Run, only: str | None = None) -> bool:
    """Whether two runs have the same values in every case, or in one output of every case."""
    if len(run.outcomes) != len(other.outcomes):
        return False
    for theirs, ours in zip(run.outcomes, other.outcomes):
        if only is None and theirs.mutated != ours.mutated:
            return False
        a, b = parts(exercise, theirs.value), parts(exercise, ours.value)
        if a is None or b is None:  # not as many values as asked for: compared as they are
            if only or fault(theirs.value, ours.value, "", (), exercise.rtol):
                return False
            continue
        for name, value, right in zip(exercise.outputs, a, b):
            if only in (None, name) and fault(value, right, "", (), exercise.rtol):
                return False
    return True


def differing(exercise: Exercise, run: Run, right: Run) -> str:
    """The first output in which two runs differ."""
    names = (name for name in exercise.outputs if not _same(exercise, run, right, name))
    return next(names, exercise.outputs[0])


# -- words -----------------------------------------------------------------------------------------


def _central_differences(exercise: Exercise, right: Run, seed: int, index: int, output: str) -> str:
    """Who is right, by an answer that knows no calculus."""
    from microrecur.course.compare import distance

    assert exercise.numeric is not None
    k = exercise.outputs.index(output)
    by_hand = parts(exercise, exercise.numeric(*exercise.cases(seed)[index]))
    ours = parts(exercise, right.outcomes[index].value)
    assert by_hand is not None and ours is not None
    gap = distance(by_hand[k], ours[k])
    return f"; central differences agree with ours to {max(gap, 1e-16):.0e}"


def _first_hint(exercise: Exercise) -> str:
    return exercise.hints[0] if exercise.hints else ""
