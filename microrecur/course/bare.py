"""Leave of the check files what an answer is watched by and its cases stand on, and no more.

Where cases do not travel, the learner's process has loaded the check file to build them. Before
the answer runs, references, slips and exercises are taken out again. Loaded by path, so it knows
the standard library alone.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

PACKAGE = "microrecur"
LESSONS = f"{PACKAGE}.lessons"


class Needs:
    """What some values stand on: their functions' globals, cells, defaults, classes.

    Parameters
    ----------
    values : iterable
        The observer, and the cases.

    Attributes
    ----------
    names : dict of int to set of str
        The names needed in each module of the lessons, by the identity of its namespace.
    seen : dict of int to object
        Every value that was come by.
    engine : bool
        Whether something of the package itself is among them.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        modules = [module for name, module in list(sys.modules.items()) if _within(name)]
        self.names: dict[int, set[str]] = {id(vars(module)): set() for module in modules}
        self.seen: dict[int, Any] = {}
        self.engine = False
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if id(value) not in self.seen:
                self.seen[id(value)] = value
                waiting.extend(self._parts(value))

    def __contains__(self, value: Any) -> bool:
        return id(value) in self.seen

    def _parts(self, value: Any) -> list[Any]:
        """What one value stands on."""
        if isinstance(value, FunctionType):
            return self._of_function(value)
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, partial):
            return [value.func, value.args, value.keywords]
        if isinstance(value, (staticmethod, classmethod)):
            return [value.__func__]
        if isinstance(value, property):
            return [value.fget, value.fset, value.fdel]
        if isinstance(value, Mapping):
            return [*value.keys(), *value.values()]
        if isinstance(value, (list, tuple, set, frozenset)):
            return list(value)
        kind = value if isinstance(value, type) else type(value)
        if isinstance(value, ModuleType):
            self.engine |= _package(value.__name__)
            return []
        if not _within(kind.__module__):
            self.engine |= _package(kind.__module__)
            return []
        if value is kind:
            return [*vars(kind).values(), *kind.__bases__]
        slots = (name for base in kind.__mro__ for name in vars(base).get("__slots__", ()))
        held = [getattr(value, name, None) for name in slots]
        return [kind, *held, *getattr(value, "__dict__", {}).values()]

    def _of_function(self, value: FunctionType) -> list[Any]:
        """Its defaults, its cells, and the globals that its code names."""
        cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
        found = [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        space = value.__globals__
        if id(space) not in self.names:
            self.engine |= _package(value.__module__ or "")
            return found
        for name in _named(value.__code__):
            if name in space:
                self.names[id(space)].add(name)
                found.append(space[name])
        return found


def strip(values: Iterable[Any], keep_engine: bool) -> None:
    """Take from every check file what these values do not need, and hide the files themselves.

    Parameters
    ----------
    values : iterable
        The observer, and the cases.
    keep_engine : bool
        Whether the answer may import the package; its engine then stays loaded.
    """
    needs = Needs(values)
    for name, module in list(sys.modules.items()):
        if _within(name):
            space = vars(module)
            for key in [key for key in space if key not in needs.names[id(space)]]:
                if not (key.startswith("__") and key.endswith("__")) or key == "__path__":
                    del space[key]
    hidden = (LESSONS, f"{PACKAGE}.course")
    everything = not (keep_engine or needs.engine)
    package = sys.modules[PACKAGE]
    for name in list(sys.modules):
        if name.startswith(hidden) or (everything and _package(name)):
            del sys.modules[name]
    for name in ("lessons", "course"):
        vars(package).pop(name, None)
    del package, needs
    gc.collect()  # exercises hold themselves in circles


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _named(code: CodeType) -> set[str]:
    """The names that a code and those inside it use."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_named, inner))


def _within(name: str) -> bool:
    return name == LESSONS or name.startswith(f"{LESSONS}.")


def _package(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE and not _within(name)
