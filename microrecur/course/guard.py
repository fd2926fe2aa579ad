"""What the learner's code may not do while it is judged, and how it is told.

An audit hook cannot be taken off again. It keeps honest code honest; it is no jail: see
docs/course.md for the container that is one. Loaded by path, so it knows the standard library
alone.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

# fmt: off
BASICS = frozenset("""
    __future__ abc bisect cmath collections contextlib copy dataclasses decimal enum fractions
    functools heapq itertools math numbers numpy operator random re statistics string textwrap
    time types typing warnings
""".split())
# fmt: on
HIDDEN = ("microrecur.lessons", "microrecur.course")  # from those who may import microrecur too
ENGINES = frozenset("microrecur torch tensorflow jax keras autograd tinygrad mygrad".split())
_STARTS = "starts another program, and an answer only computes"
_FILES = "changes files, and an answer only computes"
_EVENTS = {
    "subprocess.Popen": _STARTS,
    "os.system": _STARTS,
    "os.exec": _STARTS,
    "os.fork": _STARTS,
    "os.forkpty": _STARTS,
    "os.posix_spawn": _STARTS,
    "os.spawn": _STARTS,
    "os.startfile": _STARTS,
    "pty.spawn": _STARTS,
    "os.kill": "sends signals to processes, and an answer only computes",
    "os.killpg": "sends signals to processes, and an answer only computes",
    "socket.__new__": "opens a network connection, and an answer only computes",
    "socket.connect": "opens a network connection, and an answer only computes",
    "ctypes.dlopen": "loads a foreign library, and an answer only computes",
    "os.remove": _FILES,
    "os.rename": _FILES,
    "os.rmdir": _FILES,
    "os.mkdir": _FILES,
    "os.link": _FILES,
    "os.symlink": _FILES,
    "os.truncate": _FILES,
    "os.chmod": _FILES,
    "os.chown": _FILES,
    "shutil.rmtree": _FILES,
    "shutil.move": _FILES,
    "shutil.copyfile": _FILES,
}
# What leads from an answer to whoever runs it: by name in the source, and by event as it runs.
PRIVATE = frozenset(
    """
    f_back f_globals f_locals f_builtins tb_frame tb_next gi_frame cr_frame ag_frame __traceback__
    __globals__ __closure__ __code__ __subclasses__ __builtins__ __self__ __func__ _getframe
    _current_frames currentframe get_objects get_referrers get_referents meta_path addaudithook
    settrace setprofile
""".split()
)
_FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")
_WORD = re.compile(r"\w+")
_INSIDE = frozenset(
    """
    sys._getframe sys._current_frames sys.settrace sys.setprofile gc.get_objects gc.get_referrers
    gc.get_referents
""".split()
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _looking(name: str) -> str:
    return f"looks into Python itself ({name}), and an answer only computes"


class Refused(BaseException):
    """The learner's code did what it may not; `except Exception` does not swallow it."""


class Guard:
    """The rules for one answer.

    Parameters
    ----------
    file : str
        The learner's file.
    allows : sequence of str
        Modules that may be imported besides the basics.
    private : sequence of str
        Folders whose files may not be read: the checks and their solutions.
    own : str
        The folder of the package, whose code may import what it likes.
    """

    def __init__(self, file: str, allows: list[str], private: list[str], own: str) -> None:
        self.file, self.allows, self.own = file, frozenset(allows), own
        hidden = [*private, *([] if "microrecur" in allows else [own])]
        self.private = tuple(os.path.join(os.path.realpath(folder), "") for folder in hidden)
        self.armed, self.late, self._asking = False, False, False
        self.told: tuple[str, int | None] | None = None  # what was refused, and in which line

    def install(self) -> None:
        """Watch from now on; it bites only while `armed`."""
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._hook)

    def find_spec(self, name: str, *_: Any) -> None:
        """Find nothing; refuse another engine, whoever asks importlib for it."""
        if self.armed and name.partition(".")[0] in ENGINES:
            frame = sys._getframe(1)
            if not self._by_package(frame):
                self._imports(name, self.line(frame))

    def importer(self) -> Callable[..., Any]:
        """The `__import__` that the learner's own lines call, for modules loaded before too."""
        plain = builtins.__import__

        def guarded(name: str, *rest: Any, **named: Any) -> Any:
            relative = rest[3] if len(rest) > 3 else named.get("level", 0)
            if not relative:
                self._imports(name, sys._getframe(1).f_lineno)
            return plain(name, *rest, **named)

        return guarded

    def refuse(self, why: str, line: int | None) -> None:
        """Remember the first refusal, whoever swallows the exception."""
        self.told = self.told or (why, line)
        raise Refused(why)

    def _imports(self, name: str, line: int | None) -> None:
        top = name.partition(".")[0]
        hidden = name.startswith(HIDDEN)
        if hidden or (top in ENGINES and top not in self.allows):
            whose = "the reference" if top == "microrecur" else "another engine"
            self.refuse(f"calls {whose}: it imports {name}, and the answer is to be your own", line)
        if top not in BASICS and top not in self.allows:
            more = f", {', '.join(sorted(self.allows))}" if self.allows else ""
            self.refuse(
                f"imports {name}; an answer may import numpy, math, itertools and the like{more}",
                line,
            )

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.armed or self._asking:
            return
        if event in _EVENTS:
            self.refuse(_EVENTS[event], self.line(self._caller()))
        elif event == "open":
            self._opens(args, self._caller())
        elif event in _INSIDE or (event == "object.__getattr__" and args[1] in _FRAMES):
            self._looks(event, args, self._caller())

    def _caller(self) -> FrameType:
        """Who did what the hook is called for; to ask is an event too."""
        self._asking = True
        frame = sys._getframe(2)
        self._asking = False
        return frame

    def read(self, tree: ast.AST) -> None:
        """Refuse a source that names what leads out of the answer, before it runs."""
        for node in ast.walk(tree):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
            text = node.value if isinstance(node, ast.Constant) else name
            if isinstance(text, str) and " " not in text:  # prose may speak of them
                for word in PRIVATE.intersection(_WORD.findall(text)):
                    self.refuse(_looking(word), getattr(node, "lineno", None))

    def _looks(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        """Frames and the collector's lists are no business of an answer; libraries may ask."""
        name = args[1] if event == "object.__getattr__" else event
        where = frame.f_code.co_filename
        evaluated = where.startswith("<") and not where.startswith("<frozen")
        asked = os.path.basename(where) == "inspect.py"  # by currentframe and the like
        if where == self.file or evaluated or asked or event.startswith("gc."):
            self.refuse(_looking(name), self.line(frame))

    def _opens(self, args: tuple[Any, ...], frame: FrameType) -> None:
        path, mode, flags = args
        writes = any(letter in mode for letter in "wax+") if mode else bool(flags & _WRITING)
        if writes:
            self.refuse("writes to a file, and an answer only computes", self.line(frame))
        if isinstance(path, int) or self._by_package(frame):
            return
        try:
            real = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):
            return
        if real.startswith(self.private):
            self.refuse("reads the reference, and the answer is to be your own", self.line(frame))

    def _by_package(self, frame: FrameType | None) -> bool:
        """Whether the package's own code asks, on behalf of a case the learner was given."""
        while frame is not None:
            code: CodeType = frame.f_code
            if code.co_filename.startswith(self.own):
                return not code.co_filename.startswith(os.path.dirname(__file__))
            if code.co_filename == self.file:
                return False
            frame = frame.f_back
        return False

    def line(self, frame: FrameType | None) -> int | None:
        """The line of the learner's file that a frame, or one that called it, is in."""
        while frame is not None:
            if frame.f_code.co_filename == self.file:
                return frame.f_lineno
            frame = frame.f_back
        return None
