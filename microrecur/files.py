"""Files written whole or not at all: whoever looks sees the old file or the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write beside the target, bring it to the disk, then rename it into place.

    Missing folders are made; a file that is there keeps its permissions.

    Parameters
    ----------
    path : path
        The file to make or replace.
    content : bytes or str
        All of it; text is written as UTF-8, line ends as they are.

    Raises
    ------
    OSError
        When it cannot be written; the message names the file and the folder, says why and what to
        do. A file that was there is untouched.
    """
    target = Path(path)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem[:20]}-")
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise type(error)(error.errno, _why(target, error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return target


def _why(target: Path, error: OSError) -> str:
    """What was to be written where, what stood in the way, and what to do about it."""
    reason = error.strerror
    blocked = next((p for p in target.parents if p.exists() and not p.is_dir()), None)
    if blocked is not None:
        reason = f"{str(blocked)!r} is a file, not a folder"
    elif target.is_dir():
        reason = "there is a folder of that name"
    kept = "; the file that was there is untouched" if target.is_file() else ""
    return (
        f"cannot write {target.name!r} in the folder {str(target.parent)!r} ({reason}){kept}; "
        "choose a folder you may write to, with room on its disk"
    )


def _mode(target: Path) -> int:
    """The permissions the file has, or those of a new file: mkstemp's are for its owner alone."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
