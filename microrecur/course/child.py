"""The process of the learner's code: read a request, run the answer, report what came of it.

It is started as a file, so nothing of microrecur is loaded here unless the cases are made of it.
What it reports are values; what they are worth is decided in the process that started it.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.util
import json
import math
import os
import signal
import sys
import time
import types
from typing import Any

sys.path[:0] = [p for p in os.environ.pop("MICRORECUR_PATH", "").split(os.pathsep) if p]

import numpy as np  # noqa: E402

try:
    import resource
except ImportError:  # Windows has no such limits; the clock of the judge still holds
    resource = None  # type: ignore[assignment]


def _beside(name: str) -> Any:
    """A file of this folder, without importing the package."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_course_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wire, guards, bare = _beside("wire"), _beside("guard"), _beside("bare")


_AGAIN = 0.3  # s after which an answer that swallowed its end is ended


class TimeUp(BaseException):
    """The answer computed ("timeout") or took ("slow") longer than it may."""

    kind = "timeout"


class Channel:
    """The one way back to the judge; whoever prints or writes elsewhere does not reach it."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._out = os.dup(1)
        os.dup2(2, 1)  # what the answer prints goes with its warnings, apart from the report
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        self._write, self._exit, self._dumps = os.write, os._exit, json.dumps
        self._flush = (sys.stdout.flush, sys.stderr.flush)

    def report(self, **found: Any) -> None:
        """Send what was found, and end the process: nothing of the answer runs after it."""
        for flush in self._flush:
            with contextlib.suppress(BaseException):  # a stream the learner closed or broke
                flush()
        rest = b"\n" + self._token + self._dumps(found).encode() + b"\n"
        while rest:
            rest = rest[self._write(self._out, rest) :]
        self._exit(0)


def main() -> None:
    """Do what one request on stdin asks for."""
    request = json.loads(sys.stdin.buffer.read())
    channel = Channel(request["token"])
    observe, cases = _prepared(request)
    guard = guards.Guard(request["file"], request["allows"], request["private"], request["own"])
    guard.install()
    _limit(request, guard, channel)
    channel.report(**_judged(request, observe, cases, guard))


def _prepared(request: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Who watches, and the cases: as they came, or built here where they do not travel.

    No frame below this one holds the exercise when the answer runs, and no module either.
    """
    if request["cases"] is not None:
        return None, [tuple(wire.decode(part) for part in case) for case in request["cases"]]
    from microrecur.course.exercise import find

    exercise = find(request["name"])
    observe, cases = exercise.observe, exercise.cases(request["seed"])
    del exercise, find
    bare.strip([observe, cases], "microrecur" in request["allows"])
    return observe, cases


def _limit(request: dict[str, Any], guard: Any, channel: Channel) -> None:
    """Time by the processor and the clock, memory, and no files, dumps or further processes."""
    if resource is None:
        return
    seconds = request["seconds"]
    caps = [
        ("RLIMIT_CPU", math.ceil(seconds) + 3),
        ("RLIMIT_AS", request["memory"]),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_FSIZE", 0),
    ]
    for name, most in caps:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system has it
            resource.setrlimit(getattr(resource, name), (most, most))

    def up(number: int, frame: Any) -> None:
        if not guard.armed:
            return
        raised = TimeUp()
        raised.kind = "timeout" if number == signal.SIGPROF else "slow"
        if guard.late:  # the first was swallowed; nobody is asked a second time
            channel.report(kind=raised.kind, line=guard.line(frame))
        guard.late = True
        raise raised

    left = request["until"] - time.monotonic()  # the judge's clock: it is one for all processes
    for timer, number, at in (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, max(0.05, left)),
    ):
        signal.signal(number, up)
        signal.setitimer(timer, at, _AGAIN)


def _judged(request: dict[str, Any], observe: Any, cases: list[Any], guard: Any) -> dict[str, Any]:
    """Load the file, call the function on every case; the first thing that goes wrong ends it."""
    before = _snapshot()
    outcomes: list[dict[str, Any]] = []
    raised: list[BaseException] = []
    try:
        guard.armed, function = True, None
        function = _loaded(request, guard)
        if not callable(function):
            return {"kind": "missing"}
        for case in cases:
            outcomes.append(_called(function, observe, case, raised))
        found: dict[str, Any] = {"kind": "ran"}
    except BaseException as error:
        guard.armed = False
        found = _failed(error, request["file"], len(outcomes))
        if found["kind"] == "error" and observe:
            theirs = found["line"] is not None or any(error is one for one in raised)
            found["kind"] = "error" if theirs or not function else "unjudged"
    guard.armed = False
    if resource is not None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    if guard.told is not None:  # whether or not it was swallowed
        why, line = guard.told
        return {"kind": "refused", "why": why, "line": line}
    if patched := _patched(before):
        return {"kind": "patched", "why": patched}
    return found | {"outcomes": outcomes}


def _loaded(request: dict[str, Any], guard: Any) -> Any:
    module = types.ModuleType("answer")
    module.__file__ = request["file"]
    sys.modules["answer"] = module
    vars(module)["__builtins__"] = vars(builtins) | {"__import__": guard.importer()}
    tree = ast.parse(request["source"], request["file"])
    guard.read(tree)
    exec(compile(tree, request["file"], "exec", dont_inherit=True), vars(module))
    return vars(module).get(request["function"])


def _called(
    function: Any, observe: Any, args: tuple[Any, ...], raised: list[BaseException]
) -> dict[str, Any]:
    """One case: what came back, and which arguments are no longer what they were.

    Whatever the answer raises while it is watched is added to `raised`.
    """

    def answer(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except BaseException as error:
            raised.append(error)
            raise

    before = [json.dumps(wire.encode(part)) for part in args]
    value = observe(answer, args) if observe else function(*args)
    after = [json.dumps(wire.encode(part)) for part in args]
    mutated = [k for k, (was, now) in enumerate(zip(before, after)) if was != now]
    return {"value": wire.encode(value), "mutated": mutated}


def _failed(error: BaseException, file: str, done: int) -> dict[str, Any]:
    """An exception as what can be told of it: its kind, and the learner's own last line."""
    name, line = type(error).__name__, _line(error, file)
    try:
        text = str(error)[:1000]
    except BaseException:  # its __str__ is the learner's
        text = ""
    kinds: list[tuple[Any, str]] = [
        (TimeUp, getattr(error, "kind", "")),
        (MemoryError, "memory"),
        (NotImplementedError, "stub"),
        (SystemExit, "exit"),
        (SyntaxError, "syntax"),
    ]
    kind = next((said for type_, said in kinds if isinstance(error, type_)), "error")
    if isinstance(error, SyntaxError) and error.filename == file:
        line, text = error.lineno, str(error.msg)
    return {"kind": kind, "error": name, "why": text, "line": line, "case": done}


def _line(error: BaseException, file: str) -> int | None:
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


# -- what nobody may replace -----------------------------------------------------------------------

_WATCHED = {"numpy": np, "numpy.linalg": np.linalg, "math": math, "builtins": builtins}


def _snapshot() -> dict[str, dict[str, Any]]:
    return {name: dict(vars(module)) for name, module in _WATCHED.items()}


def _patched(before: dict[str, dict[str, Any]]) -> str | None:
    """The first function of numpy, math or Python itself that is not what it was."""
    for name, was in before.items():
        now = vars(_WATCHED[name])
        for key, value in was.items():
            if now.get(key, before) is not value and key != "_":
                return f"{name}.{key}"
    return None


# -- many answers ----------------------------------------------------------------------------------


def _load() -> None:
    """Load all check files; the frame that forks is to hold nothing of them."""
    from microrecur.course.exercise import exercises

    list(exercises())


def serve(loaded: bool) -> None:
    """Fork for every request on the socket that is stdin; the fork does what `main` does.

    With the check files `loaded` before, a fork that needs one of them has it at once.
    """
    import socket

    if loaded:
        _load()

    line = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork
    while True:
        folder, fds, *_ = socket.recv_fds(line, 4096, 3)
        if not folder:
            return
        pid = os.fork()
        if pid == 0:
            line.close()
            os.setpgid(0, 0)
            os.chdir(folder)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for k, fd in enumerate(fds):
                os.dup2(fd, k)
                os.close(fd)
            del sys.modules["socket"]
            main()
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # whichever of the two comes first
        for fd in fds:
            os.close(fd)
        line.send(str(pid).encode())


if __name__ == "__main__":
    serve("loaded" in sys.argv) if "serve" in sys.argv else main()
