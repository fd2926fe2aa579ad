"""The pytest plugin: plain `pytest` in a workspace checks the answers, and says what is wrong.

pytest loads this file in every project where microrecur is installed. Until it sees a workspace's
marker it imports the standard library and pytest alone, and adds nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from microrecur.course.diagnose import Verdict

MARKER = "microrecur.toml"


def _workspace_of(path: Path) -> Path | None:
    """The workspace that a path is in."""
    folders = (path, *path.parents)
    return next((folder for folder in folders if (folder / MARKER).is_file()), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seed` where a workspace is checked; other projects may have one of their own."""
    paths = [Path.cwd(), *(Path(arg.partition("::")[0]).absolute() for arg in sys.argv[1:])]
    if any(_workspace_of(path) for path in paths):
        group = parser.getgroup("microrecur")
        with suppress(ValueError):  # another plugin's --seed serves as well
            group.addoption(
                "--seed", type=int, default=0, metavar="N", help="what the cases are drawn from (0)"
            )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect answers/e06/rnn_backward.py of a workspace."""
    if file_path.suffix != ".py" or file_path.parent.parent.name != "answers":
        return None
    root = file_path.parent.parent.parent
    if not (root / MARKER).is_file():
        return None
    return AnswerFile.from_parent(parent, path=file_path)


class AnswerFile(pytest.File):
    """The file of one answer."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item, if there is such an exercise."""
        from microrecur.course.exercise import UnknownExercise, find

        name = f"{self.path.parent.name}.{self.path.stem}"
        try:
            exercise = find(name)
        except UnknownExercise:  # a file of the learner's own
            return
        yield AnswerItem.from_parent(self, name=name, exercise=exercise)


class WrongAnswer(Exception):
    """What a check says of an answer that is not right."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.sentence)
        self.verdict = verdict


class AnswerItem(pytest.Item):
    """One answer and its check."""

    def __init__(self, *, exercise: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.exercise = exercise

    def runtest(self) -> None:
        """Run the answer in a process of its own; keep and report the verdict."""
        from microrecur.course.checking import check_all
        from microrecur.course.workspace import Workspace

        root = _workspace_of(self.path)
        assert root is not None
        seed = int(self.config.getoption("--seed", 0) or 0)
        (verdict,) = check_all(Workspace(root), [self.exercise], seed)
        if verdict.printed.strip():
            self.add_report_section("call", "stdout", verdict.printed)
        if verdict.status == "not attempted":
            pytest.skip("not attempted yet; `microrecur progress` lists them")
        if verdict.status != "passed":
            raise WrongAnswer(verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentence and the hint: no wall of traceback."""
        if isinstance(excinfo.value, WrongAnswer):
            from microrecur.course.commands import told

            return told(excinfo.value.verdict)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands and what it is called."""
        return self.path, None, self.name
