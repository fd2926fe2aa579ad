"""What every exercise has to hold, and CI holds: stub, solution, slips, hints, probe, picture.

A gate returns the faults it finds, as sentences; none is a pass. Answers run here, not in a process
of their own, since all of them are ours: the whole course is through in seconds.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from microrecur.course import sources, wire
from microrecur.course.answers import solved
from microrecur.course.authoring import UNFILLED
from microrecur.course.bare import Needs
from microrecur.course.compare import distance
from microrecur.course.diagnose import FAILED, PASSED, diagnose, known
from microrecur.course.exercise import Exercise, folder
from microrecur.course.hints import LONGEST
from microrecur.course.process import Run, run_here

SEEDS = range(5)
APART = 1e-3  # how far a slip is from the answer and from every other slip, at the least


def stub(exercise: Exercise) -> list[str]:
    """The untouched stub says that it is not attempted, and stands alone."""
    if exercise.name not in sources.names():
        return [f"lessons/exercises has no stub of {exercise.function}"]
    text = sources.stub(exercise.name)
    names: dict[str, Any] = {"__name__": "answer"}
    exec(compile(text, "stub", "exec"), names)
    raised = ast.parse(text).body[-1].body[-1].exc.args  # type: ignore[attr-defined]
    if [ast.literal_eval(arg) for arg in raised] != [exercise.name]:
        return [f'the stub raises NotImplementedError("{exercise.name}"), and nothing else']
    if not ast.get_docstring(ast.parse(text).body[-1]):  # type: ignore[arg-type]
        return ["the stub has no docstring with shapes and mathematics"]
    return []


def solution(exercise: Exercise) -> list[str]:
    """The solution passes under every seed, and stands alone."""
    exec(compile(sources.solution(exercise.name), "solution", "exec"), {"__name__": "answer"})
    faults = []
    for seed in SEEDS:
        verdict = diagnose(exercise, _run(exercise, solved(exercise.name), seed), seed)
        if verdict.status != PASSED:
            faults.append(f"seed {seed}: the solution fails: {verdict.sentence}")
    return faults


def slips(exercise: Exercise) -> list[str]:
    """Every slip fails with its own hint under every seed, well apart from all others."""
    titles = [slip.title for slip in exercise.slips]
    faults = [f"two slips are called {t!r}" for t in {t for t in titles if titles.count(t) > 1}]
    for seed in SEEDS:
        beside = known(exercise, seed)
        right, runs = beside.right, beside.wrong
        for slip, run in runs:
            verdict = diagnose(exercise, run, seed, beside=beside)
            if verdict.status != FAILED or verdict.slip != slip.title:
                told = verdict.slip or verdict.sentence
                faults.append(f"seed {seed}: {slip.title!r} is told as: {told}")
            elif apart(run, right) < APART:
                faults.append(f"seed {seed}: {slip.title!r} is too near to the right answer")
        for (slip, run), (other, other_run) in combinations(runs, 2):
            if slip is not other and apart(run, other_run) < APART:
                faults.append(f"seed {seed}: {slip.title!r} and {other.title!r} are not apart")
    return faults


def hints(exercise: Exercise) -> list[str]:
    """Short, the first a question, each slip's a question, and none gives the solution away."""
    faults = []
    if not exercise.hints:
        return ["there are no hints"]
    if not exercise.hints[0].rstrip().endswith("?"):
        faults.append("the first hint is to end with '?'")
    if not exercise.slips:
        faults.append("there are no slips")
    faults += [f"the hint of {s.title!r} asks nothing" for s in exercise.slips if "?" not in s.hint]
    texts = [*exercise.hints, *(slip.hint for slip in exercise.slips)]
    given = list(_expressions(exercise))
    for text in texts:
        if len(text) > LONGEST:
            faults.append(f"{len(text)} characters, {LONGEST} is the most: {text[:60]}…")
        for expression in given:
            if _squeezed(expression) in _squeezed(text):
                faults.append(f"a hint has `{expression}` of the solution: {text[:60]}…")
    for slip in exercise.slips:
        faults += [f"{slip.title!r} has an empty {what}" for what in ("said",) if not slip.said]
    return faults


def probe(exercise: Exercise) -> list[str]:
    """The cases are the same for a seed, and no wrong answer hides in them."""
    first, again = (_encoded(exercise, 0) for _ in range(2))
    faults = [] if first == again else ["the probe gives other cases for the same seed"]
    needs = Needs([exercise.observe, exercise.cases(0)])
    faults += [f"cases or observer stand on {what}" for what, f in _secret(exercise) if f in needs]
    if isinstance(exercise.probe_rules, str):
        return faults
    if first == _encoded(exercise, 1) and wire.travels(json.loads(first)):
        faults.append("the probe gives the same cases for another seed")
    for case in exercise.cases(0):
        for k, value in enumerate(case):
            faults += [f"argument {k + 1}: {fault}" for fault in _lazy(value)]
    return sorted(set(faults))


def picture(exercise: Exercise) -> list[str]:
    """What the slips say is missing or extra is in the picture; a section is in its lesson."""
    faults = []
    marked = [slip for slip in exercise.slips if slip.missing or slip.extra]
    if exercise.picture is not None:
        from microrecur.course.picture import view

        root = exercise.picture()
        for slip in marked:
            try:
                view(root, slip.missing, slip.extra)
            except ValueError as error:
                faults.append(f"{slip.title!r}: {error}")
    elif marked:
        faults.append("slips name edges, and there is no picture")
    if not exercise.section:
        faults.append("no section of the lesson is named")
    elif (headings := _headings(exercise.lesson)) and exercise.section not in headings:
        faults.append(f"the lesson has no heading {exercise.section!r}: {sorted(headings)}")
    return faults


def lesson(exercise: Exercise) -> list[str]:
    """The exercise has a cell in the notebook of its lesson."""
    books = list(_notebooks(exercise.lesson))
    if not books:
        return [f"there is no notebook lessons/{exercise.lesson[1:]}_….ipynb"]
    cells = ("".join(cell["source"]) for book in books for cell in book["cells"])
    if not any(cell.split()[:2] == ["%%exercise", exercise.name] for cell in cells):
        return [f"the lesson's notebook has no cell that begins with %%exercise {exercise.name}"]
    return []


def filled(exercise: Exercise) -> list[str]:
    """Nothing of the template is left where an author is to write."""
    texts = {"stub": sources.stub(exercise.name), "solution": sources.solution(exercise.name)}
    check = (exercise.task, exercise.section, *exercise.hints)
    texts |= {"check": "\n".join(check)}
    return [
        f"the {where} still says {line!r}, as the template does"
        for where, text in texts.items()
        for line in UNFILLED
        if line in text
    ]


def numeric(exercise: Exercise) -> list[str]:
    """Central differences, where they are given, agree with the reference."""
    if exercise.numeric is None:
        return []
    ours, by_hand = (_run(exercise, f, 0) for f in (exercise.reference, exercise.numeric))
    gap = apart(by_hand, ours)
    return [f"central differences are {gap:.1e} from the reference"] if gap > 1e-5 else []


GATES: dict[str, Callable[[Exercise], list[str]]] = {
    "stub": stub,
    "solution": solution,
    "slips": slips,
    "hints": hints,
    "probe": probe,
    "picture": picture,
    "lesson": lesson,
    "filled": filled,
    "numeric": numeric,
}


def faults(exercise: Exercise) -> dict[str, list[str]]:
    """What each gate finds; a gate that itself breaks says how."""
    found = {}
    for name, gate in GATES.items():
        try:
            found[name] = gate(exercise)
        except Exception as error:
            found[name] = [f"{type(error).__name__}: {error}"]
    return found


# -- what the gates stand on -----------------------------------------------------------------------


def _run(exercise: Exercise, function: Any, seed: int) -> Run:
    return run_here(exercise, function, exercise.cases(seed))


def apart(run: Run, other: Run) -> float:
    """How far two answers are from each other, in the case and output where they are farthest."""
    ends = [(r.kind, r.error, r.why, r.case) for r in (run, other)]
    if ends[0] != ends[1]:  # one of them raises, or both in other ways
        return np.inf
    pairs = list(zip(run.outcomes, other.outcomes))
    if any(a.mutated != b.mutated for a, b in pairs):
        return np.inf
    return max((distance(a.value, b.value) for a, b in pairs), default=0.0)


def _secret(exercise: Exercise) -> Iterator[tuple[str, Any]]:
    """What the learner's process must not hold, and what it is called."""
    yield "the reference", exercise.reference
    for slip in exercise.slips:
        yield from ((f"the slip {slip.title!r}", wrong) for wrong in (slip.wrong, *slip.also))
    if exercise.numeric is not None:
        yield "the central differences", exercise.numeric


def _encoded(exercise: Exercise, seed: int) -> str:
    return json.dumps([[wire.encode(part) for part in case] for case in exercise.cases(seed)])


def _lazy(value: Any) -> Iterator[str]:
    """Why a wrong answer may pass on this argument."""
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _lazy(part)
    if isinstance(value, float):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return
    if not np.isfinite(value).all():
        yield "holds what is not finite"
    for easy in (0.0, 0.5, 1.0):
        if (value == easy).any():
            yield f"holds {easy:g}, where wrong answers are right"
    if value.size > 1 and (value == value.flat[0]).all():
        yield "is filled with one number"
    sizes = value.shape
    square = value.ndim == 2 and sizes[0] == sizes[1]
    if 1 in sizes:
        yield f"has an axis of length 1: {sizes}"
    elif square and np.array_equal(value, value.T):
        yield "is symmetric"
    elif not square and len(set(sizes)) < len(sizes):
        yield f"has two axes of the same length: {sizes}"


def _expressions(exercise: Exercise) -> Iterator[str]:
    """The right-hand sides and return expressions of the solution that say more than a name."""
    for node in ast.walk(ast.parse(sources.solution(exercise.name))):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)) and node.value:
            told = node.value
            plain = (ast.Name, ast.Constant, ast.Attribute)
            small = isinstance(told, (ast.Tuple, ast.List)) and all(
                isinstance(part, plain) for part in told.elts
            )
            if not isinstance(told, plain) and not small:
                yield ast.unparse(told)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s`]", "", text.replace("−", "-").replace("·", "*"))


def _notebooks(lesson: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder().glob(f"{lesson[1:]}_*.ipynb")):
        yield json.loads(path.read_text(encoding="utf-8"))


def _headings(lesson: str) -> set[str]:
    """The headings of a lesson's notebook; none while there is no notebook."""
    found = set()
    for book in _notebooks(lesson):
        for cell in book["cells"]:
            if cell["cell_type"] == "markdown":
                text = "".join(cell["source"])
                found |= {line.lstrip("#").strip() for line in text.splitlines() if line[:1] == "#"}
    return found
