"""What a learner has tried, passed, predicted and been told: a file that kernels may share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from microrecur.course.diagnose import PASSED, UNTOUCHED, Verdict
from microrecur.course.workspace import Workspace, digest
from microrecur.files import write_whole

FILE = "progress.json"


class Progress:
    """The record of a workspace.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.file = workspace, workspace.root / FILE

    def read(self) -> dict[str, Any]:
        """All of it; one that cannot be read goes to a .bak, and a new one is begun."""
        empty: dict[str, Any] = {"exercises": {}, "predictions": {}}
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return empty
        except (ValueError, OSError):
            found = None
        if not isinstance(found, dict) or not all(
            isinstance(found.get(key, {}), dict) for key in empty
        ):
            write_whole(self.file.with_name(f"{FILE}.bak"), self.file.read_bytes())
            return empty
        return empty | found

    def of(self, name: str) -> dict[str, Any]:
        """What is known of one exercise."""
        found = self.read()["exercises"].get(name, {})
        return found if isinstance(found, dict) else {}

    def last(self, name: str) -> Verdict | None:
        """The verdict of its last check."""
        fields = self.of(name).get("last")
        return Verdict.of(fields) if isinstance(fields, dict) else None

    def passed(self, name: str) -> bool:
        """Whether the answer, as it stands in its file now, is one that passed."""
        known = self.of(name).get("passed")
        return bool(known) and known == digest(self.workspace.answer_file(name))

    def record(self, verdict: Verdict, source: str) -> None:
        """Keep a verdict on an answer whose file has this digest."""
        with self._changing("exercises", verdict.name) as entry:
            entry["tries"] = int(entry.get("tries", 0)) + (verdict.status != UNTOUCHED)
            fields = verdict.as_dict() | {"printed": ""}
            entry["last"], entry["status"] = fields, verdict.status
            if verdict.status == PASSED:
                entry["passed"] = source
            if verdict.slip:
                slips = entry.setdefault("slips", [])
                slips.extend([verdict.slip] if verdict.slip not in slips else [])

    def take(self, name: str, rung: str) -> None:
        """Keep that a rung of the ladder of hints was taken."""
        with self._changing("exercises", name) as entry:
            rungs = entry.setdefault("rungs", [])
            rungs.extend([rung] if rung not in rungs else [])

    def predict(self, name: str, value: Any) -> None:
        """Keep what was typed before it was run; the first prediction stays."""
        with self._changing("predictions", name) as entry:
            entry.setdefault("first", value)
            entry["now"] = value

    def prediction(self, name: str) -> dict[str, Any]:
        """What was predicted: "first" and "now"; empty where nothing was."""
        found = self.read()["predictions"].get(name, {})
        return found if isinstance(found, dict) else {}

    @contextmanager
    def _changing(self, part: str, name: str) -> Iterator[dict[str, Any]]:
        """One entry, read and written again while no other process does."""
        with locked(self.file.with_name(f".{FILE}.lock")):
            everything = self.read()
            entry = everything[part].setdefault(name, {})
            yield entry
            write_whole(self.file, json.dumps(everything, ensure_ascii=False, indent=1) + "\n")


@contextmanager
def locked(path: Any) -> Iterator[None]:
    """Wait until no other process holds this file's lock; a process that dies lets go of it."""
    with open(path, "a+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file lets go of the lock
