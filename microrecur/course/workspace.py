"""The learner's own folder: notebooks and answers, which nobody else overwrites."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from microrecur.course.exercise import NAME, UnknownExercise, folder
from microrecur.files import write_whole

MARKER = "microrecur.toml"
_MARK = """\
# A workspace of the microrecur course: the notebooks, and your answers in answers/.
# Plain `pytest` here checks every answer; `microrecur check e00` those of one lesson.
course = 1
"""
_PYTEST = """\
[pytest]
addopts = -ra -p no:cacheprovider
testpaths = answers
"""


class NoWorkspace(FileNotFoundError):
    """No folder from here upwards is a workspace; the message says how to make one."""


class Workspace:
    """A folder marked by `microrecur.toml`.

    Parameters
    ----------
    root : Path
        The folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()

    @classmethod
    def find(cls, start: str | os.PathLike[str] | None = None) -> Workspace:
        """The workspace that a folder (this one) is in.

        Raises
        ------
        NoWorkspace
            When it is in none.
        """
        here = Path(start or os.getcwd()).absolute()
        for above in (here, *here.parents):
            if (above / MARKER).is_file():
                return cls(above)
        raise NoWorkspace(
            f"{here} is in no workspace (no {MARKER} here or above); "
            "go into yours with `cd`, or make one with `microrecur lab DIR --make-only`"
        )

    def answer_file(self, name: str) -> Path:
        """Where an answer stands: answers/e06/rnn_backward.py.

        Raises
        ------
        UnknownExercise
            When that is no name of an exercise.
        """
        if not NAME.fullmatch(name):
            raise UnknownExercise(f"an exercise is named like e06.rnn_backward, not {name!r}")
        lesson, _, function = name.partition(".")
        return self.root / "answers" / lesson / f"{function}.py"

    def lacking(self) -> dict[Path, str | bytes]:
        """The files that are not there yet, with what they would hold."""
        from microrecur.course.sources import names, stub

        wanted: dict[Path, str | bytes] = {}
        for path in sorted(folder().glob("*.ipynb")):
            if not (self.root / path.name).exists():
                wanted[self.root / path.name] = path.read_bytes()
        for name in names():
            if not self.answer_file(name).exists():
                wanted[self.answer_file(name)] = stub(name)
        for file, text in (("pytest.ini", _PYTEST), (MARKER, _MARK)):
            if not (self.root / file).exists():
                wanted[self.root / file] = text
        return wanted

    def fill(self) -> list[Path]:
        """Copy what is missing; a file that is there stays as it is. The marker comes last."""
        made = self.lacking()
        for path, content in made.items():
            write_whole(path, content)
        return list(made)

    def save(self, name: str, source: str) -> Path:
        """Make a text the answer; what was there before goes to a .bak beside it."""
        file = self.answer_file(name)
        if file.is_file() and (before := file.read_bytes()) != source.encode():
            write_whole(_backup(file), before)
        return write_whole(file, source)

    def untouched(self, name: str) -> bool:
        """Whether an answer is the stub as it was copied."""
        from microrecur.course.sources import stub

        file = self.answer_file(name)
        return file.is_file() and file.read_bytes() == stub(name).encode()

    def reset(self, name: str) -> Path:
        """Put the stub back; the answer goes to a .bak beside it."""
        from microrecur.course.sources import stub

        return self.save(name, stub(name))


def _backup(file: Path) -> Path:
    return file.with_name(file.name + ".bak")


def digest(file: Path) -> str:
    """What a file holds, as a short text that changes with it; empty where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""
