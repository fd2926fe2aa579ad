"""Archives of answers: how a learner packs them, and how they are read without trusting them."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from microrecur.course.progress import FILE
from microrecur.course.sources import names
from microrecur.course.workspace import Workspace
from microrecur.files import write_whole

LARGEST = 200_000  # bytes of one answer
_ARCHIVE = 50_000_000  # bytes of one archive
_ENTRIES = 10_000
_ANSWER = re.compile(r"(?:[^/]+/)*answers/(e\d\d)/([A-Za-z_]\w*)\.py")
_LONG_AGO = (2000, 1, 1, 0, 0, 0)  # the same answers make the same archive


def pack(workspace: Workspace, file: str | Path | None = None) -> tuple[Path, int]:
    """Write the answers and the progress of a workspace into one .zip.

    Returns
    -------
    Path, int
        The file, and how many answers are in it.
    """
    path = Path(file or workspace.root / "answers.zip")
    path = path if path.suffix.lower() == ".zip" else path.with_name(f"{path.name}.zip")
    held = io.BytesIO()
    count = 0
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names():
            answer = workspace.answer_file(name)
            if answer.is_file():
                _put(archive, answer.relative_to(workspace.root).as_posix(), answer.read_bytes())
                count += 1
        if (workspace.root / FILE).is_file():
            _put(archive, FILE, (workspace.root / FILE).read_bytes())
    return write_whole(path, held.getvalue()), count


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), content, zipfile.ZIP_DEFLATED)


@dataclass(slots=True)
class Submission:
    """What one archive holds: answers by name, and what was left out and why."""

    who: str
    answers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def unpack(path: Path) -> Submission:
    """Read the answers of an archive, in memory: nothing of it is written anywhere.

    Only files named like answers are read, and of each no more than `LARGEST` bytes: paths that
    climb, links and bombs come to nothing.
    """
    found = Submission(path.stem)
    try:
        if path.is_symlink() or not path.is_file():
            raise zipfile.BadZipFile("it is no ordinary file")
        if path.stat().st_size > _ARCHIVE:
            raise zipfile.BadZipFile(f"it is larger than {_ARCHIVE // 10**6} MB")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > _ENTRIES:
                raise zipfile.BadZipFile(f"it has {len(entries)} entries")
            for entry in entries:
                _take(archive, entry, found)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        found.notes.append(f"the archive cannot be read: {error}")
    if not found.answers and not found.notes:
        found.notes.append("the archive holds no answers/eNN/name.py")
    return found


def _take(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, found: Submission) -> None:
    """One entry, if it is an answer."""
    match = _ANSWER.fullmatch(entry.filename)
    if match is None:
        if ".." in entry.filename.split("/") or entry.filename.startswith(("/", "\\")):
            found.notes.append(f"left out, since its path climbs: {entry.filename[:80]}")
        return
    name = f"{match[1]}.{match[2]}"
    if ".." in entry.filename.split("/"):
        found.notes.append(f"left out, since its path climbs: {entry.filename[:80]}")
    elif stat.S_ISLNK(entry.external_attr >> 16):
        found.notes.append(f"left out, since it is a link: {entry.filename[:80]}")
    elif entry.flag_bits & 1:
        found.notes.append(f"left out, since it is encrypted: {entry.filename[:80]}")
    else:
        try:
            with archive.open(entry) as file:
                raw = file.read(LARGEST + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            found.notes.append(f"{name} cannot be unpacked: {error}")
            return
        if len(raw) > LARGEST:
            found.notes.append(f"left out, since it is larger than {LARGEST // 1000} kB: {name}")
        else:
            found.answers[name] = raw.decode("utf-8", "replace")
