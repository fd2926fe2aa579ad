"""The program of a plan as a person reads it: named buffers, slices, loops over t.

What runs has every slice resolved beforehand: a call takes arrays that were made once. This writes
the same calls, in the same order on the same memory, as a function of NumPy by itself: what it
returns is what the plan returns, digit by digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from microrecur.compiler.batches import Line, Loop, Straight
from microrecur.compiler.names import Names
from microrecur.compiler.views import View, index_text, seen_as

HEAD = '''"""What one call of the plan computes, call by call.

In the plan the buffers are made once, and each slice below is an array that is at hand.
"""
'''


class Reading:
    """Writes the readable program.

    Attributes
    ----------
    source : str
        Python that defines `run`, of the inputs; it returns the outputs.
    namespace : dict
        What `source` needs besides NumPy: recorded ops that NumPy has no function for, and
        constants that are too long to be written out.
    """

    def __init__(self, names: Names, pieces: Sequence[Straight | Loop]) -> None:
        self.names = names
        self.namespace: dict[str, Any] = {"np": np}
        self._roots: dict[int, np.ndarray] = {}
        self._functions: dict[int, str] = {}
        self._aliases: dict[str, str] = {}
        self._scope: Any = None
        body: list[str] = []
        for piece in pieces:
            body += self._loop(piece) if isinstance(piece, Loop) else self._straight(piece)
        returned = ", ".join(self._said(x) for x in names.outputs)
        if len(names.outputs) == 1:
            returned += ","
        asked = ", ".join(name for name, _ in names.inputs)
        lines = ["import numpy as np", *self._imports(), "", "", f"def run({asked}):"]
        lines += self._inputs()
        self.source = HEAD + "\n".join([*lines, *body, f"    return ({returned})", ""])

    # -- what there is -----------------------------------------------------------------------------

    def _imports(self) -> list[str]:
        used = [n for n in ("sigmoid", "sech2") if n in self.namespace]
        return [f"from microrecur.engine.kernels import {', '.join(used)}"] if used else []

    def _inputs(self) -> list[str]:
        """What is given, and where it goes if it is not used where it is."""
        lines = [f"    # {name}: {array.shape}, {array.dtype}" for name, array in self.names.inputs]
        moved = [(name, self._said(array)) for name, array in self.names.inputs]
        starts = self._buffer_starts()
        lines += [*starts, *(f"    {name} = {said}" for name, said in self._aliases.items())]
        return lines + [f"    {_assigned(said, name)}" for name, said in moved if said != name]

    def _buffer_starts(self) -> list[str]:
        lines = []
        for key, root in self._roots.items():
            name = self.names.root_name(root)
            if key in self.names.given:
                continue
            shape, dtype = self.names.shape(root), f"np.{root.dtype}"
            if dtype == "np.bool":
                dtype = "bool"
            constant = self.names.constants.get(key)
            if constant is not None:
                lines.append(f"    {name} = {self._constant(name, constant)}")
                continue
            if key in self.names.ones:
                made = f"np.ones({_tuple(shape)}, {dtype})"
            else:
                made = f"np.zeros({_tuple(shape)}, {dtype})"
            note = self.names.note(root)
            lines.append(f"    {name} = {made}" + (f"  # {note}" if note else ""))
        for key in self._roots:
            for view in self.names.partly.get(key, ()):  # the buffer itself begins as zeros
                if np.any(view):
                    lines.append(
                        f"    {_assigned(self._said(view), self._constant('start', view))}"
                    )
        return lines

    def _constant(self, name: str, data: np.ndarray) -> str:
        dtype = "bool" if data.dtype == bool else f"np.{data.dtype}"
        if data.size and np.all(data == data.flat[0]):
            return f"np.full({_tuple(data.shape)}, {_number(data.flat[0])}, {dtype})"
        if data.size <= 16 and np.all(np.isfinite(data)):
            return f"np.array({data.tolist()}, {dtype})"
        name = self.names.fresh(f"{name}_numbers")
        self.namespace[name] = data
        return f"{name}.copy()  # {data.size:,} constant numbers of the recording"

    # -- calls -------------------------------------------------------------------------------------

    def _straight(self, piece: Straight) -> list[str]:
        lines = []
        for line in piece.lines:
            lines += self._comment(line, "    ")
            said = self._call(line, [self._said(x) for x in line.operands])
            lines.append(f"    {said}{self._made(line)}")
        return lines

    def _loop(self, piece: Loop) -> list[str]:
        first, last = piece.steps[0], piece.steps[-1]
        way = 1 if last >= first else -1
        ends = f"{first}, {last + way}" + ("" if way > 0 else ", -1")
        lines = [f"    for t in range({ends}):"]
        self._scope = None
        for line in piece.lines:
            said = [
                self._track(x, first, way) if isinstance(x, list) else self._said(x)
                for x in line.operands
            ]
            lines += self._comment(line, "        ")
            lines.append(f"        {self._call(line, said)}{self._made(line)}")
        self._scope = None
        return lines

    def _comment(self, line: Line, indent: str) -> list[str]:
        scope = self.names.scope_of(line.made[0])
        if scope == self._scope:
            return []
        self._scope = scope
        return [f"{indent}# {scope or 'outside of the steps'}"]

    def _made(self, line: Line) -> str:
        """What several values that are computed at once are called."""
        said = [self.names.program.names[n] for n in line.made] if len(line.made) > 1 else []
        distinct = dict.fromkeys(name for name in said if name is not None)
        return f"  # {', '.join(distinct)}" if len(distinct) > 1 else ""

    def _call(self, line: Line, said: list[str]) -> str:
        *xs, out = said
        function = line.function
        form = getattr(function, "text", None)
        if form is not None:
            for name, helper in getattr(function, "needs", {}).items():
                self.namespace[name] = helper
            return form.format(*xs, out=out, into=_written(out), xs=", ".join(xs))
        if line.name == "copyto":
            return _assigned(said[0], said[1])
        if isinstance(function, np.ufunc):
            *xs, out = _without_reshape(said, line.operands)
        if isinstance(function, np.ufunc) or function in (np.dot, np.matmul):
            return f"np.{function.__name__}({', '.join(xs)}, out={out})"
        known = self._functions.get(id(function))
        if known is None:
            known = self._functions[id(function)] = self.names.fresh(line.name)
            self.namespace[known] = function
        return f"{known}({', '.join(said)})"

    # -- operands ----------------------------------------------------------------------------------

    def _said(self, x: np.ndarray) -> str:
        """An array as an expression of named buffers."""
        number = self.names.number(x)
        if number is not None:
            return _number(number)
        alias = self.names.alias_of(x)
        if alias is not None:
            name, array, turned = alias
            if name not in self._aliases:
                self._aliases[name] = self._view(array).text()
            return f"{name}.T" if turned else name
        return self._view(x).text()

    def _view(self, x: np.ndarray) -> View:
        root = self.names.root_of(x)
        self._roots.setdefault(id(root), root)
        view = seen_as(x, root, self.names.root_name(root), self.names.shape(root))
        lane = None if view.cuts is None else self.names.lane_of(root, view.cuts)
        if lane is not None and view.cuts is not None:
            view.root, axis, part = lane
            self._aliases.setdefault(view.root, part)
            rows = view.cuts[axis][1] - view.cuts[axis][0]  # type: ignore[index]
            view.whole = (*view.whole[:axis], rows, *view.whole[axis + 1 :])
            view.cuts = [*view.cuts[:axis], (0, rows, 1), *view.cuts[axis + 1 :]]
        return view

    def _track(self, xs: list[Any], first: int, way: int) -> str:
        one, two = self._view(xs[0]), self._view(xs[1])
        return index_text(one, two, first, way)


def _without_reshape(said: list[str], operands: list[Any]) -> list[str]:
    """The operands as they are, where all are parted alike: number by number it is the same."""
    ends = {
        s[s.rindex(".reshape(") :] if s.endswith(")") and ".reshape(" in s else ""
        for s, x in zip(said, operands, strict=True)
        if isinstance(x, list) or x.ndim
    }
    (end,) = ends if len(ends) == 1 else ("",)
    return [s.removesuffix(end) for s in said]


def _assigned(out: str, x: str) -> str:
    for end in (".T", ".transpose(0, 2, 1)"):
        if out.endswith(end):
            out = out.removesuffix(end)
            x = x.removesuffix(end) if x.endswith(end) else x + end
    return f"{_written(out)} = {x}"


def _written(said: str) -> str:
    """What stands left of an assignment into an array."""
    return said if said.endswith("]") else f"{said}[...]"


def _tuple(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _number(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if value != value else ("np.inf" if value > 0 else "-np.inf")
    return repr(value)


__all__ = ["Reading"]
