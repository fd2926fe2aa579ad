"""`microrecur doctor`: whether all that the course needs is here, and works."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from collections.abc import Callable

Finding = tuple[str, bool, str]  # what was looked at, whether it is well, what is said of it


def examine() -> list[Finding]:
    """Look at everything; a look that fails is a finding."""
    looks: tuple[tuple[str, Callable[[], tuple[bool, str]]], ...] = (
        ("Python", _python),
        ("numpy", lambda: _library("numpy", "microrecur")),
        ("JupyterLab", lambda: _library("jupyterlab", "microrecur[lessons]")),
        ("kernel", lambda: _library("ipykernel", "microrecur[lessons]")),
        ("pytest", lambda: _library("pytest", "microrecur[lessons]")),
        ("lessons", _lessons),
        ("pictures", _pictures),
        ("checks", _checks),
        ("limits", _limits),
        ("workspace", _workspace),
    )
    found = []
    for what, look in looks:
        try:
            well, said = look()
        except Exception as error:
            well, said = False, f"{type(error).__name__}: {error}"
        found.append((what, well, said))
    return found


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), sys.version.split()[0]


def _library(name: str, bundle: str) -> tuple[bool, str]:
    try:
        return True, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False, f"not installed: pip install '{bundle}'"


def _lessons() -> tuple[bool, str]:
    from microrecur.course.exercise import folder
    from microrecur.course.sources import names

    books = len(list(folder().glob("*.ipynb")))
    return bool(books), f"{books} notebooks, {len(names())} exercises"


def _pictures() -> tuple[bool, str]:
    from microrecur.drawing.draw import draw
    from microrecur.engine.ops import sigmoid
    from microrecur.engine.tensor import tensor

    begun = time.perf_counter()
    svg = str(draw(sigmoid(tensor(0.0).named("x")).named("y")).svg())
    return "<svg" in svg, f"drawn in {time.perf_counter() - begun:.1f} s"


def _checks() -> tuple[bool, str]:
    from microrecur.course.diagnose import check_source
    from microrecur.course.exercise import find
    from microrecur.course.sources import solution

    name = "e00.hello_slope"
    verdict = check_source(find(name), solution(name), "hello_slope.py")
    return verdict.passed, f"{verdict.sentence}, in {verdict.seconds:.1f} s"


def _limits() -> tuple[bool, str]:
    if os.name != "posix":
        return True, "the clock alone: this system knows no limits of memory and processor time"
    return True, "time, memory, files and output of an answer are limited"


def _workspace() -> tuple[bool, str]:
    from microrecur.course.workspace import NoWorkspace, Workspace

    try:
        root = Workspace.find().root
    except NoWorkspace:
        return True, "none here; `microrecur lab DIR --make-only` makes one"
    return os.access(root, os.W_OK), f"{root}" + (
        "" if os.access(root, os.W_OK) else " (read only)"
    )
