"""Grade a class: every answer in a process of its own, on all cores, told by misconception."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from microrecur.course.diagnose import (
    FAILED,
    PASSED,
    UNTOUCHED,
    Known,
    Verdict,
    check_source,
    known,
)
from microrecur.course.exercise import find, select
from microrecur.course.pack import Submission, unpack
from microrecur.course.server import Server

WALL = 12.0  # s per answer: a busy machine is no mistake of the learner's

_QUIET = 30.0  # s without a word, where there is no terminal for a bar


@dataclass(slots=True)
class Report:
    """Who was graded on what, from which seed, with every verdict.

    Attributes
    ----------
    exercises : list of str
    seed : int
    people : dict of str to Submission
    verdicts : dict of (str, str) to Verdict
        By person and exercise.
    """

    exercises: list[str]
    seed: int
    people: dict[str, Submission] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)

    def of(self, who: str, name: str) -> Verdict:
        """The verdict on one answer; one that was not handed in is not attempted."""
        nothing = Verdict(name, UNTOUCHED, "not handed in", seed=self.seed)
        return self.verdicts.get((who, name), nothing)

    def passed(self, who: str) -> int:
        """How many exercises a person has right."""
        return sum(self.of(who, name).status == PASSED for name in self.exercises)

    def misconceptions(self) -> list[tuple[int, str, str]]:
        """How many people made which slip in which exercise, most frequent first."""
        counts: dict[tuple[str, str], int] = {}
        for (_, name), verdict in self.verdicts.items():
            if verdict.slip:
                counts[name, verdict.slip] = counts.get((name, verdict.slip), 0) + 1
        found = [(count, name, slip) for (name, slip), count in counts.items()]
        return sorted(found, key=lambda one: (-one[0], one[1], one[2]))


def grade(options: argparse.Namespace) -> Iterator[str]:
    """Grade a folder, write the files asked for, and yield what is to be printed."""
    from microrecur.course import report as files
    from microrecur.course.commands import Refused

    folder = Path(options.dir)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise Refused(f"{folder} {what}; DIR is a folder with one .zip per person")
    archives = sorted(folder.glob("*.zip"))
    if not archives:
        raise Refused(f"{folder} holds no .zip; `microrecur pack` makes one in a workspace")
    names = [exercise.name for exercise in select(options.only)]
    report = graded([unpack(path) for path in archives], names, options.seed, options.jobs)
    counts = ((len(report.people), "submission"), (len(names), "exercise"))
    said = [f"{count} {what}{'s' * (count != 1)}" for count, what in counts]
    yield f"{', '.join(said)}, seed {options.seed}"
    for count, name, slip in report.misconceptions()[:10]:
        yield f"  {count} of {len(report.people)}: {slip}  ({name})"
    for person in report.people.values():
        for note in person.notes[:3]:
            yield f"  {files.plain(person.who)}: {files.plain(note)}"
    for asked, write in (
        (options.out, files.write_csv),
        (options.html, files.write_html),
        (options.junitxml, files.write_junit),
    ):
        if asked:
            yield f"wrote {write(report, asked)}"


def graded(
    people: list[Submission], names: list[str], seed: int, jobs: int | None = None, bar: bool = True
) -> Report:
    """The verdict on every answer, each run in its own process, `jobs` at a time."""
    from tqdm import tqdm

    report = Report(names, seed, {person.who: person for person in people})
    tasks = [(p.who, name, p.answers[name]) for p in people for name in names if name in p.answers]
    context = multiprocessing.get_context("spawn")  # workers share nothing with one another
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=context) as pool:
        futures = {
            pool.submit(judged, name, source, seed): (who, name) for who, name, source in tasks
        }
        done = tqdm(
            as_completed(futures), total=len(futures), unit="answer", disable=None if bar else True
        )
        lines = _Lines(len(futures)) if bar and done.disable else None
        for future in done:
            report.verdicts[futures[future]] = future.result()
            if lines is not None:
                lines.step()
    return report


class _Lines:
    """How far it is, on stderr: at every tenth, and every half minute; where there is no bar."""

    def __init__(self, count: int) -> None:
        self._count, self._done, self._told = count, 0, time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        tenth = self._done * 10 // self._count > (self._done - 1) * 10 // self._count
        if tenth or time.monotonic() - self._told > _QUIET:
            self._told = time.monotonic()
            said = f"graded {self._done} of {self._count} answers"
            print(said, file=sys.stderr, flush=True)


def judged(name: str, source: str, seed: int) -> Verdict:
    """The verdict on one answer; whatever happens, there is one."""
    try:
        beside = _known(name, seed)
        return check_source(
            find(name), source, f"{name}.py", seed, wall=WALL, beside=beside, server=_server()
        )
    except Exception as error:  # one answer is not to stop a class
        said = f"could not be judged ({type(error).__name__})"
        return Verdict(name, FAILED, said, "judge", seed=seed)


@cache
def _server() -> Server | None:
    """One per worker, where the system can fork."""
    return Server() if Server.available else None


@cache
def _known(name: str, seed: int) -> Known:
    """Reference and slips, run once per worker."""
    return known(find(name), seed)
