"""What a recording took for granted, and whether it still holds.

Numbers, arrays, attributes of modules: a function may read all of these without being given them.
They are found by looking at what the function closes over, at the globals that it and the functions
it calls name, and at the modules that ran; each is compared at every call. What has changed makes
the function be recorded anew, so nothing that is found is ever stale.
"""

from __future__ import annotations

import dis
import functools
import os
import random
import sys
import types
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from microrecur.compiler.effects import is_iterator, position
from microrecur.engine.tensor import Tensor
from microrecur.engine.tracing import CompileError
from microrecur.nn.module import Module
from microrecur.nn.simple import Dropout

_ATOMS = (int, float, bool, str, bytes, type(None), complex)
_SIMPLE = (*_ATOMS, tuple)
_HELD = (Tensor, np.ndarray, Module, types.FunctionType, list, tuple, dict, set, deque)
_MISSING = object()
_STANDARD = os.path.dirname(os.__file__)
_OURS = __name__.partition(".")[0]


class Watch:
    """What is watched for one recording.

    Parameters
    ----------
    roots : iterable
        The function, and the modules among its arguments.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self._cells: list[tuple[Any, Any, str]] = []
        self._entries: list[tuple[dict[str, Any], str, Any, Any, str]] = []
        self._lists: list[tuple[list[Any] | deque[Any], tuple[Any, ...], str]] = []
        self._keys: list[tuple[set[Any] | dict[Any, Any], frozenset[Any], str]] = []
        self._arrays: list[tuple[np.ndarray, np.ndarray, str]] = []
        self._flags: list[tuple[Tensor, bool]] = []
        self._generators: list[tuple[Any, str, str]] = []
        self._slots: list[tuple[Any, str, Any, str]] = []
        self._iterators: list[tuple[Any, Any, str]] = []
        self._seen: dict[int, Any] = {}
        for root in roots:
            self.look_into(root, "an argument")
        self._drawn = _global_randomness()

    # -- what there is -----------------------------------------------------------------------------

    def look_into(self, value: Any, label: str) -> None:
        """Watch a value, and whatever can be reached from it."""
        if type(value) in _ATOMS or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, np.ndarray):
            if value.dtype.kind in "biuf":
                self._arrays.append((value, value.copy(order="C"), label))
        elif isinstance(value, Tensor):
            self._flags.append((value, value.requires_grad))
        elif isinstance(value, types.FunctionType):
            self._look_into_function(value)
        elif isinstance(value, types.MethodType):
            self.look_into(value.__func__, label)
            self.look_into(value.__self__, label)
        elif isinstance(value, functools.partial):
            self.look_into([value.func, *value.args, *value.keywords.values()], label)
        elif isinstance(value, (list, deque, tuple, set, dict)):
            self._look_into_container(value, label)
        elif isinstance(value, (np.random.Generator, np.random.RandomState)):
            self._generators.append((value, _state(value), label))
        elif is_iterator(value) and _without_numbers(value):
            if position(value) is not None:
                self._iterators.append((value, position(value), label))
        elif hasattr(value, "__dict__") and not _without_numbers(value):
            self._look_into_object(value)
        elif _slots_of(value) and not _without_numbers(value):
            self._look_into_slots(value)

    def _look_into_function(self, f: types.FunctionType) -> None:
        name = f.__qualname__
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
            held = _contents(cell)
            if held is _MISSING:
                continue
            self._cells.append((cell, held, f"{variable}, which {name} closes over,"))
            self._look_into_named(held, variable)
        for default in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self.look_into(default, f"a default of {name}")
        if _installed(f.__code__.co_filename) or _is_ours(f.__module__):
            return
        for variable in sorted(_globals_named(f.__code__)):
            held = f.__globals__.get(variable, _MISSING)
            if isinstance(held, types.ModuleType):
                self._look_into_module(held, f.__code__)
            if held is _MISSING or isinstance(held, types.ModuleType):
                continue
            label = f"the global {variable}"
            self._entries.append((f.__globals__, variable, _MISSING, held, label))
            self._look_into_named(held, label)

    def _look_into_named(self, held: Any, label: str) -> None:
        """What a function names is used: an iterator that does not say where it stands as well."""
        if is_iterator(held) and _without_numbers(held) and position(held) is None:
            self._iterators.append((held, None, label))
        self.look_into(held, label)

    def _look_into_module(self, module: types.ModuleType, code: types.CodeType) -> None:
        """Watch the attributes of an imported file of one's own that the code may name."""
        if _installed(getattr(module, "__file__", None) or _STANDARD) or _is_ours(module.__name__):
            return
        for name in sorted(_attributes_named(code) & vars(module).keys()):
            held = vars(module)[name]
            if not isinstance(held, types.ModuleType):
                label = f"{module.__name__}.{name}"
                self._entries.append((vars(module), name, _MISSING, held, label))
                self.look_into(held, label)

    def _look_into_container(self, value: Any, label: str) -> None:
        if isinstance(value, (list, deque)):
            self._lists.append((value, tuple(value), label))
        if isinstance(value, (set, dict)):
            self._keys.append((value, frozenset(value), label))
        if isinstance(value, dict):
            for key, held in value.items():
                self._entries.append((value, key, _MISSING, held, f"{label}[{key!r}]"))
        for held in value.values() if isinstance(value, dict) else value:
            self.look_into(held, label)

    def _look_into_object(self, value: Any) -> None:
        kind, attributes = type(value), vars(value)
        if isinstance(value, Module):
            before = attributes.get("training", True)
            self._entries.append(
                (attributes, "training", True, before, f"{kind.__name__}.training")
            )
        chosen = getattr(kind, "_watched", tuple(attributes))
        for name in chosen:
            held = attributes[name]
            counts = isinstance(value, Dropout) and name == "calls"
            if counts or name in ("_views", "training"):
                continue
            label = f"{kind.__name__}.{name}"
            self._entries.append((attributes, name, _MISSING, held, label))
            # Of objects that are no modules only what they hold themselves: not all there is.
            known = isinstance(value, Module) or chosen != tuple(attributes)
            if known or isinstance(held, _HELD) or is_iterator(held):
                self.look_into(held, label)
        self._look_into_slots(value)

    def _look_into_slots(self, value: Any) -> None:
        """Watch what an object holds besides its dict, and the classes that it is of."""
        kind = type(value)
        for name in _slots_of(value):
            held, label = getattr(value, name, _MISSING), f"{kind.__name__}.{name}"
            self._slots.append((value, name, held, label))
            if isinstance(held, _HELD):
                self.look_into(held, label)
        for base in kind.__mro__:
            if base is not object and not _is_ours(base.__module__):
                self._look_into_class(base)

    def _look_into_class(self, kind: type) -> None:
        """Watch its methods, and the numbers that are attributes of the class."""
        if id(kind) in self._seen:
            return
        self._seen[id(kind)] = kind
        attributes: Any = vars(kind)
        for name, held in attributes.items():
            number = type(held) in _ATOMS and not name.startswith("__")
            if number or isinstance(held, (Tensor, np.ndarray, list, types.FunctionType)):
                label = f"{kind.__name__}.{name}"
                self._entries.append((attributes, name, _MISSING, held, label))
                self.look_into(held, label)

    # -- whether it still holds --------------------------------------------------------------------

    def changed(self) -> str | None:
        """Say what has changed; None while the recording holds."""
        for cell, held, label in self._cells:
            now = _contents(cell)
            if now is not held and not _same(now, held):
                return label
        for entries, name, default, held, label in self._entries:
            now = entries.get(name, default)
            if now is not held and not _same(now, held):
                return label
        for owner, name, held, label in self._slots:
            now = getattr(owner, name, _MISSING)
            if now is not held and not _same(now, held):
                return label
        for tensor, flag in self._flags:
            if tensor.requires_grad is not flag:
                return f"{tensor._label()}.requires_grad"
        for values, held, label in self._lists:
            if len(values) != len(held) or any(
                a is not b and not _same(a, b) for a, b in zip(values, held)
            ):
                return label
        for keyed, keys, label in self._keys:
            if keyed.keys() != keys if isinstance(keyed, dict) else keyed != keys:
                return label
        for array, copy, label in self._arrays:
            if not _same_bits(array, copy):
                return f"the array {label}"
        return None

    def after_recording(
        self, name: str, read: Iterable[np.ndarray], ran: Iterable[Module], unseeded: bool = False
    ) -> None:
        """Refuse a function that changed what it was recorded from; watch what it read besides.

        Raises
        ------
        CompileError
            The function has an effect or draws at random, which later calls would not.
        """
        changed = self.changed()
        if changed is not None:
            raise CompileError(
                f"{name} changes {changed} while it runs: it is recorded once, so no later call "
                "would. Return the new value, and keep it outside"
            )
        drew = [label for generator, state, label in self._generators if _state(generator) != state]
        if self._drawn != _global_randomness():
            drew.append("numpy.random or random")
        if unseeded:
            drew.append("of a generator made without a seed")
        if drew:
            raise CompileError(
                f"{name} draws random numbers ({drew[0]}): it is recorded once, so every call "
                "would get the same. Draw outside and give the numbers as an array; a mr.Dropout "
                "draws anew at every call"
            )
        for iterator, before, label in self._iterators:
            if before is None or position(iterator) != before:
                raise CompileError(
                    f"{name} reads {label}, a {type(iterator).__name__}, which every reading moves "
                    "on: it is recorded once, so every call would get the same. Take the next one "
                    "outside, and give it as an argument"
                )
        for array in read:
            self.look_into(array, "that was read")
        for module in ran:
            self.look_into(module, type(module).__name__)

    def tensors(self) -> list[Tensor]:
        """The tensors that the function can reach by itself."""
        return [tensor for tensor, _ in self._flags]

    def arrays(self) -> list[tuple[str, int]]:
        """What is compared number by number at every call: label and count."""
        lists = [(label, len(held)) for _, held, label in self._lists]
        return [(label, array.size) for array, _, label in self._arrays] + lists


def _slots_of(value: Any) -> list[str]:
    """The attributes that a class of one's own keeps in slots, as they are called in the object."""
    found = []
    for base in type(value).__mro__:
        file = getattr(sys.modules.get(base.__module__), "__file__", None) or ""
        if base is object or _is_ours(base.__module__) or _installed(file):
            continue
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet, or no more
        return _MISSING


def _without_numbers(value: Any) -> bool:
    """Whether it is a class, a module, or an object of Python's own, such as a lock or a logger."""
    kind = type(value)
    own = kind.__module__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}
    if kind.__name__ in ("SimpleNamespace", "Namespace"):  # settings, those of argparse too
        return False
    return own or isinstance(value, (type, types.ModuleType))


def _is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] == _OURS


def _installed(file: str) -> bool:
    """Whether it was not written by who compiles: what it holds does not change."""
    return file.startswith(_STANDARD) or "site-packages" in file or "dist-packages" in file


def _attributes_named(code: types.CodeType) -> set[str]:
    nested = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*map(_attributes_named, nested))


def _globals_named(code: types.CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _globals_named(constant)
    return names


def _same(now: Any, before: Any) -> bool:
    """Whether two objects are the same number or text; nan is itself, −0.0 is not 0.0."""
    if type(now) is not type(before) or not isinstance(now, _SIMPLE):
        return False
    if isinstance(now, tuple):
        return len(now) == len(before) and all(a is b or _same(a, b) for a, b in zip(now, before))
    return repr(now) == repr(before)


def _same_bits(now: np.ndarray, before: np.ndarray) -> bool:
    if now.shape != before.shape or now.dtype != before.dtype:
        return False
    bits = f"u{before.itemsize}"
    if before.itemsize > 8:
        return bool(np.array_equal(now, before, equal_nan=True))
    return np.array_equal(np.asarray(now, order="C").view(bits), before.view(bits))


def _state(generator: Any) -> str:
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    return repr(generator.get_state(legacy=False))


def _global_randomness() -> tuple[Any, ...]:
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 (asked, not drawn from)
    state = legacy["state"]
    return state["pos"], state["key"].tobytes(), random.getstate()
