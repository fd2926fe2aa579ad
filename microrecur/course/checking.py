"""Check the answers of a workspace and keep what came of it; check again at every save."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from microrecur.course.diagnose import Verdict, check
from microrecur.course.exercise import Exercise
from microrecur.course.progress import Progress
from microrecur.course.server import Server
from microrecur.course.workspace import Workspace, digest


def check_all(
    workspace: Workspace, exercises: Sequence[Exercise], seed: int = 0
) -> Iterator[Verdict]:
    """The verdict on each answer, kept in the progress of the workspace."""
    progress = Progress(workspace)
    server = Server() if len(exercises) > 1 and Server.available else None
    try:
        for exercise in exercises:
            file = workspace.answer_file(exercise.name)
            before = digest(file)
            verdict = check(exercise, file, seed, server=server)
            if verdict.status != "not attempted" or progress.of(exercise.name):
                progress.record(verdict, before)
            yield verdict
    finally:
        if server is not None:
            server.close()


def watch(workspace: Workspace, exercises: Sequence[Exercise], seed: int = 0) -> int:
    """Check every answer that changes, until Ctrl-C."""
    from microrecur.course.commands import told

    seen: dict[str, str] = {}
    print("watching; Ctrl-C ends it", flush=True)
    try:
        while True:
            for exercise in exercises:
                now = digest(workspace.answer_file(exercise.name))
                if seen.get(exercise.name) != now:
                    seen[exercise.name] = now
                    for verdict in check_all(workspace, [exercise], seed):
                        print(told(verdict, alone=len(exercises) == 1), flush=True)
            time.sleep(0.3)
    except KeyboardInterrupt:
        return 0


def progress_table(workspace: Workspace) -> str:
    """Every exercise with its state, tries and hints, and how much has passed."""
    from microrecur.course.sources import names

    progress = Progress(workspace)
    known = progress.read()["exercises"]
    rows, done = [], 0
    for name in names():
        entry = known.get(name, {})
        passed = progress.passed(name)
        done += passed
        state = "passed" if passed else entry.get("status", "not attempted")
        if state == "passed" and not passed:
            state = "changed since it passed"
        tries, rungs = entry.get("tries", 0), len(entry.get("rungs", ()))
        tried = f"  {tries} {'try' if tries == 1 else 'tries'}"
        counts = f"{tried}, {rungs} hint{'s' * (rungs != 1)}" if tries or rungs else ""
        rows.append(f"{'✓' if passed else '·'} {name:<28} {state}{counts}".rstrip())
    return "\n".join([*rows, f"{done} of {len(rows)} passed"])
