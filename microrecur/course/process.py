"""Run an answer in a process of its own: limits of time, memory and output, plain data back."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from microrecur.course import wire
from microrecur.course.exercise import Exercise, folder

if TYPE_CHECKING:
    from microrecur.course.server import Forked, Server

SECONDS = 5.0  # of the processor, for all cases of an answer
WALL = 8.0  # on the clock, from the start of the process; a check is over within ten
_MARGIN = 1.0  # s before that, at which the process itself says in which line it is
MEMORY = 2 * 2**30
PRINTED = 2**20  # more than this is a storm, and ends the process
_REPORT = 64 * 2**20
CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: the value, and the indices of arguments that were changed."""

    value: Any
    mutated: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What came of an answer.

    `kind` is "ran", or what ended it: "missing", "stub", "syntax", "error", "exit", "refused",
    "patched", "memory", "unjudged", "timeout", "slow", "printed", "died", "garbled".
    """

    kind: str
    outcomes: tuple[Outcome, ...] = ()
    error: str = ""
    why: str = ""
    line: int | None = None
    case: int = 0
    printed: str = ""


def run_here(
    exercise: Exercise, function: Any, cases: Sequence[tuple[Any, ...]], may_raise: bool = False
) -> Run:
    """Call a function of our own, the reference or a slip, on cases that are its to spoil.

    A slip may raise, as the mistake does; it is told as an answer is that raises.
    """
    outcomes: list[Outcome] = []
    for args in cases:
        before = [json.dumps(wire.encode(part)) for part in args]
        try:
            value = exercise.call(function, args)
        except Exception as error:
            if not may_raise:
                raise
            kind, why = type(error).__name__, str(error)[:1000]
            return Run("error", tuple(outcomes), kind, why, case=len(outcomes))
        after = [json.dumps(wire.encode(part)) for part in args]
        changed = [k for k, (was, now) in enumerate(zip(before, after)) if was != now]
        outcomes.append(Outcome(wire.decode(wire.encode(value)), tuple(changed)))
    return Run("ran", tuple(outcomes))


def travelling(exercise: Exercise, cases: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """The cases as they go to the learner's process; None where they are to be built there."""
    if exercise.observe is not None:
        return None
    encoded = [[wire.encode(part) for part in case] for case in cases]
    return encoded if all(map(wire.travels, encoded)) else None


def environment() -> dict[str, str]:
    """What the learner's process knows of its surroundings: little."""
    known = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "LANG")}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    path = os.pathsep.join(folder for folder in sys.path if os.path.isdir(folder))
    return known | dict.fromkeys(threads, "1") | {"MICRORECUR_PATH": path}


class Process:
    """The learner's process: started at once, so that it loads numpy while the judge prepares."""

    def __init__(
        self, wall: float = WALL, server: Server | None = None, loaded: bool = False
    ) -> None:
        self._token = secrets.token_hex(16)
        self._folder = tempfile.mkdtemp(prefix="answer-")
        self._wall, self._until = wall, time.monotonic() + wall
        self._margin = min(_MARGIN, wall / 4)
        self._popen: subprocess.Popen[bytes] | Forked
        if server is not None:
            self._popen = server.start(self._folder, loaded)
        else:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-B", "-X", "utf8", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env=environment(),
                start_new_session=True,
            )
        assert self._popen.stdout is not None and self._popen.stderr is not None
        self._storm = threading.Event()
        self._report, self._prints = bytearray(), bytearray()
        self._readers = [
            self._reader(self._popen.stdout, self._report, _REPORT),
            self._reader(self._popen.stderr, self._prints, PRINTED),
        ]

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing of it behind."""
        self._kill()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        try:
            os.rmdir(self._folder)
        except OSError:  # it was kept from writing, but who knows
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)

    def run(
        self,
        exercise: Exercise,
        source: str,
        file: str,
        cases: Sequence[tuple[Any, ...]],
        seed: int,
        *,
        seconds: float = SECONDS,
    ) -> Run:
        """Have the source's function called on every case; cases that do not travel are redrawn."""
        encoded = travelling(exercise, cases)
        request = {
            "token": self._token,
            "name": exercise.name,
            "function": exercise.function,
            "source": source,
            "file": file,
            "cases": encoded,
            "seed": seed,
            "allows": list(exercise.allows),
            "private": [str(folder() / "checks"), str(folder() / "solutions")],
            "own": str(Path(__file__).parents[1]),
            "seconds": seconds,
            "memory": MEMORY,
            "until": self._until - self._margin,
        }
        self._send(json.dumps(request).encode())
        alive = self._wait()
        for reader in self._readers:
            reader.join(1.0)
        return self._read(alive, seconds)

    def _reader(self, stream: IO[bytes], into: bytearray, most: int) -> threading.Thread:
        def read() -> None:
            try:
                while chunk := os.read(stream.fileno(), 65536):
                    into.extend(chunk)
                    if len(into) > most:
                        self._storm.set()
                        self._kill()
                        return
            except (OSError, ValueError):  # closed under our hands: the process is over
                return

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _send(self, request: bytes) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(request)
            self._popen.stdin.close()
        except OSError:  # it died before it read: told below
            pass

    def _wait(self) -> bool:
        """Whether it was still running when its time was over."""
        try:
            self._popen.wait(max(0.1, self._until - time.monotonic()))
            alive = False
        except subprocess.TimeoutExpired:
            alive = True
        self._kill()
        return alive

    def _kill(self) -> None:
        """End it, and whatever it has started."""
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._popen.pid, signal.SIGKILL)
            else:
                self._popen.kill()
        except (OSError, ProcessLookupError):
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(5.0)

    def _read(self, alive: bool, seconds: float) -> Run:
        """The report, if it is one; else what the end of the process says."""
        printed = bytes(self._prints[-4000:]).decode("utf-8", "replace")
        if self._storm.is_set():
            return Run("printed")
        token = self._token.encode()
        lines = [x for x in bytes(self._report).split(b"\n") if x.startswith(token)]
        if alive and not lines:
            return Run("slow", why=f"{self._wall:g}", printed=printed)
        if len(lines) != 1:
            return Run("died", why=_ending(self._popen.returncode), printed=printed)
        try:
            found = json.loads(lines[0][len(token) :])
            outcomes = tuple(
                Outcome(wire.decode(one["value"]), tuple(map(int, one["mutated"])))
                for one in found.get("outcomes", ())
            )
            texts = {key: str(found.get(key) or "") for key in ("error", "why")}
            line, case = found.get("line"), int(found.get("case") or 0)
            if found["kind"] in ("timeout", "slow"):
                at = seconds if found["kind"] == "timeout" else self._wall - self._margin
                texts["why"] = f"{at:.2g}"
            return Run(str(found["kind"]), outcomes, **texts, line=line, case=case, printed=printed)
        except (ValueError, TypeError, KeyError, RecursionError):
            return Run("garbled", printed=printed)


def _ending(code: int | None) -> str:
    """How a process without a report ended."""
    if code is None or code >= 0:
        return "it ended itself"
    names = {signal.SIGSEGV: "it crashed", signal.SIGKILL: "the system ended it: memory or time"}
    return names.get(signal.Signals(-code), f"it was ended by signal {-code}")
