"""Recordings of one-number tensors as straight Python over floats, with `math`.

A one-number LSTM takes a NumPy call per multiplication as an array program, thirty times what the
multiplication takes in Python. Arrays may come in (packed weights) and go out (their gradients):
they are taken apart and put together; whatever computes on them as arrays is no case for this file.

Where `math` raises (overflow, a logarithm of 0) NumPy gives inf or nan: the run is then done again
by the recorded ops themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

import numpy as np

from microrecur.compiler.program import COMPUTED, CONSTANT, Program
from microrecur.engine import kernels

# How each op reads over Python floats; {0} may stand twice, so operands are names or numbers where
# it does. What is left out is computed by arrays.
FORMS = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "div": "({0} / {1})",
    "neg": "(-{0})",
    "matmul": "({0} * {1})",
    "exp": "exp({0})",
    "log": "log({0})",
    "log1p": "log1p({0})",
    "sqrt": "sqrt({0})",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "tanh": "tanh({0})",
    "sigmoid": "(1.0 / (1.0 + exp(-{0})))",
    "abs": "abs({0})",
    "relu": "(0.0 if {0} <= 0.0 else {0})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "where": "({1} if {0} else {2})",
}
_TWICE = {"relu", "pow"}
_SAME = {"sum", "reshape", "transpose", "broadcast_to", "cast", "getitem", "max"}
_MOVED = {"getitem", "reshape", "transpose", "broadcast_to", "stack", "concatenate"}
_MOST_NUMBERS = 20_000
_DEEPEST = 12
_NAMES = ("exp", "log", "log1p", "sqrt", "sin", "cos", "tanh", "inf", "nan")
ZERO = -1


class ScalarSource:
    """The source of a program of numbers, and how arrays go in and out of it.

    Attributes
    ----------
    source : str
        `def run(...)` over lists of floats, one per input.
    count : int
        How many operations it has.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.parts: dict[int, np.ndarray] = {}  # an array as the numbers it consists of
        self._taken = len(program)
        self.sums: list[tuple[int, int, int]] = []
        self.elements: dict[int, str] = {}
        self._arrays: dict[int, str] = {}
        self._used: dict[str, int] = dict.fromkeys((*_NAMES, "power", "run"), 1)
        self.fits = self._read()

    def _fresh(self, base: str) -> str:
        """A name that no other number has."""
        used = self._used
        if not base.isidentifier() or iskeyword(base):
            base = re.sub(r"\W", "_", f"v_{base}")
        name = base
        while name in used:
            used[base] += 1
            name = f"{base}_{used[base]}"
        used[name] = 1
        return name

    def _variable(self, n: int) -> str:
        """What the recording calls it, and its step."""
        program = self.program
        name, t = program.names[n], program.step[n]
        if name is None:
            name = program.op[n].name
        return self._fresh(name if t is None else f"{name}_{t}")

    # -- which numbers there are -------------------------------------------------------------------

    def _read(self) -> bool:
        """Take every array apart; False where something computes on arrays."""
        program = self.program
        total = 0
        for n, kind in enumerate(program.kind):
            shape, dtype = program.shape[n], program.dtype[n]
            if kind != COMPUTED:
                total += math.prod(shape)
                if (dtype != np.float64 and shape != ()) or dtype.kind not in "fb":
                    return False
                if dtype.kind == "f" and dtype != np.float64:
                    return False
                if total > _MOST_NUMBERS:
                    return False
                if shape:
                    self.parts[n] = self._numbers(n, shape)
                continue
            if dtype != np.float64 and not (dtype == np.bool_ and shape == ()):
                return False
            if not (self._is_number(n) or self._is_array(n)):
                return False
        return True

    def _numbers(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        found = np.empty(shape, np.int64)
        flat = found.reshape(-1)
        name = self._arrays[n] = self._fresh(self.program.names[n] or "number")
        for k in range(flat.size):
            flat[k] = self._taken
            self.elements[self._taken] = self._fresh(f"{name}_{k}")
            self._taken += 1
        return found

    def _is_number(self, n: int) -> bool:
        program = self.program
        if program.shape[n]:
            return False
        name, args = program.op[n].name, program.args[n]
        if name == "getitem" and args[0] in self.parts:
            return True
        if any(program.shape[a] for a in args):
            return False
        if name == "pow":
            return program.dtype[n] == np.float64
        if name in ("sigmoid", "relu") and program.dtype[args[0]] != np.float64:
            return False
        if name == "neg" and program.dtype[args[0]] != np.float64:
            return False
        if name in ("add", "mul") and program.dtype[n] == np.bool_:
            return False
        return name in FORMS or name in _SAME

    def _is_array(self, n: int) -> bool:
        program, parts = self.program, self.parts
        op, args, static = program.op[n], program.args[n], program.static[n]
        name = op.name
        if name == "scatter" and not program.shape[args[0]] and kernels.is_basic(static["index"]):
            found = np.full(program.shape[n], ZERO, np.int64)
            found[static["index"]] = args[0]
            parts[n] = found
            return True
        if name in _MOVED:
            if name == "getitem" and not kernels.is_basic(static["index"]):
                return False
            given = [parts.get(a, np.asarray(a)) for a in args]
            if any(program.dtype[a] != np.float64 for a in args):
                return False
            parts[n] = op.forward(*given, **static)
            return True
        if name == "add" and all(program.shape[a] == program.shape[n] for a in args):
            a, b = (parts[a] for a in args)
            found = np.where(a == ZERO, b, a)
            both = (a != ZERO) & (b != ZERO)
            for place in zip(*np.nonzero(both)):
                self.sums.append((self._taken, int(a[place]), int(b[place])))
                found[place] = self._taken
                self._taken += 1
            parts[n] = found
            return True
        return False

    # -- the source --------------------------------------------------------------------------------

    def write(self) -> str:
        """Return the source of `run`, which takes one flat list of floats per input."""
        program = self.program
        uses = self._uses()
        text: dict[int, str] = {ZERO: "0.0"}
        depth: dict[int, int] = {}
        text.update(self.elements)
        lines = self._head(text)
        self.count = 0
        for n, kind in enumerate(program.kind):
            if kind == CONSTANT and not program.shape[n]:
                text[n] = _literal(program.data[n].item())
            if kind != COMPUTED or program.shape[n]:
                continue
            args = self._operands(n)
            if program.op[n].name in _SAME:
                text[n] = text[args[0]]
                depth[n] = depth.get(args[0], 0)
                continue
            self.count += 1
            self._write(n, args, uses.get(n, 0), text, depth, lines)
        for made, a, b in self.sums:
            self.count += 1
            name = self._fresh("total")
            lines.append(f"    {name} = {text[a]} + {text[b]}")
            text[made] = name
        lines.append(f"    return {self._results(text)}")
        return "\n".join([*lines, ""])

    def _operands(self, n: int) -> list[int]:
        program = self.program
        if program.op[n].name == "getitem":
            a = program.args[n][0]
            if a in self.parts:
                index = program.static[n]["index"]
                return [int(self.parts[a][index])]
            return [a]
        return list(program.args[n])

    def _uses(self) -> dict[int, int]:
        program = self.program
        uses: dict[int, int] = {}
        for n, kind in enumerate(program.kind):
            if kind == COMPUTED and not program.shape[n]:
                more = 2 if program.op[n].name in _TWICE else 1
                for a in self._operands(n):
                    uses[a] = uses.get(a, 0) + more
                if program.op[n].name in _SAME:
                    uses[self._operands(n)[0]] += 1
        for _, a, b in self.sums:
            uses[a], uses[b] = uses.get(a, 0) + 1, uses.get(b, 0) + 1
        for n in program.outputs:
            for a in self.parts[n].reshape(-1).tolist() if program.shape[n] else [n]:
                uses[a] = uses.get(a, 0) + 1
        return uses

    def _write(
        self,
        n: int,
        args: list[int],
        uses: int,
        text: dict[int, str],
        depth: dict[int, int],
        lines: list[str],
    ) -> None:
        program = self.program
        given = [text[a] for a in args]
        name = program.op[n].name
        form = _power(program.static[n]["p"]) if name == "pow" else FORMS[name]
        said = form.format(*given)
        deep = 1 + max((depth.get(a, 0) for a in args), default=0)
        if uses == 1 and deep < _DEEPEST:
            text[n], depth[n] = said, deep
            return
        variable = self._variable(n)
        if said[0] == "(" and said[-1] == ")" and form[0] == "(":
            said = said[1:-1]
        lines.append(f"    {variable} = {said}")
        text[n], depth[n] = variable, 0

    def _head(self, text: dict[int, str]) -> list[str]:
        program = self.program
        names = []
        lines = []
        for n in dict.fromkeys(program.inputs):
            name = self._arrays.get(n) or self._fresh(program.names[n] or "x")
            names.append(name)
            if program.shape[n]:
                given = [self.elements[e] for e in self.parts[n].reshape(-1).tolist()]
            else:
                text[n] = name
                given = [name]
            if given:
                lines.append(f"    {', '.join(given)}, = {name}")
        for n, kind in enumerate(program.kind):
            if kind == CONSTANT and program.shape[n]:
                values = program.data[n].reshape(-1).tolist()
                for e, value in zip(self.parts[n].reshape(-1).tolist(), values, strict=True):
                    text[e] = _literal(value)
        return [f"def run({', '.join(names)}):", *lines]

    def _results(self, text: dict[int, str]) -> str:
        program = self.program
        said = []
        for n in program.outputs:
            if program.shape[n]:
                inner = ", ".join(text[e] for e in self.parts[n].reshape(-1).tolist())
                said.append(f"[{inner}]")
            else:
                said.append(text[n])
        return f"({', '.join(said)},)" if said else "()"


def _literal(value: float | bool) -> str:
    if isinstance(value, bool):
        return repr(value)
    said = repr(float(value))
    return f"({said})" if said.startswith("-") else said


def _power(p: float) -> str:
    return "({0} * {0})" if p == 2 else f"power({{0}}, {float(p)!r})"


def _power_of(x: float, p: float) -> float:
    """X to the power p, where all is finite; beyond, NumPy has ways of its own."""
    y = math.pow(x, p)
    if y - y != 0.0 or x - x != 0.0:
        raise OverflowError
    return y


class ScalarPlan:
    """Runs a program of numbers.

    Parameters
    ----------
    program : Program
        Its computations.
    source : ScalarSource
        What was written for it.
    """

    def __init__(self, program: Program, source: ScalarSource) -> None:
        self.program = program
        self.source = source.write()
        self.count = source.count
        namespace: dict[str, Any] = {name: getattr(math, name) for name in _NAMES}
        namespace["power"] = _power_of
        exec(compile(self.source, "<microrecur plan>", "exec"), namespace)
        self._run: Callable[..., tuple[Any, ...]] = namespace["run"]
        self.namespace = namespace
        seen: dict[int, int] = {}
        for k, n in enumerate(program.inputs):
            seen.setdefault(n, k)
        self._given = list(seen.values())
        self._shapes = [(program.shape[n], program.dtype[n]) for n in program.outputs]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return fresh outputs."""
        given = [np.asarray(arrays[k]).reshape(-1).tolist() for k in self._given]
        try:
            results = self._run(*given)
        except (OverflowError, ValueError, ZeroDivisionError):
            return by_recorded_ops(self.program, arrays)
        return [
            np.array(value, dtype).reshape(shape)
            for value, (shape, dtype) in zip(results, self._shapes, strict=True)
        ]


def by_recorded_ops(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the recorded ops themselves give, one after another, inf and nan as NumPy has them."""
    values: dict[int, Any] = {n: np.asarray(a) for n, a in zip(program.inputs, arrays, strict=True)}
    with np.errstate(all="ignore"):
        for n, kind in enumerate(program.kind):
            if kind == CONSTANT:
                values[n] = program.data[n]
            elif kind == COMPUTED:
                given = [values[a] for a in program.args[n]]
                values[n] = np.asarray(program.op[n].forward(*given, **program.static[n]))
    return [np.array(values[n]) for n in program.outputs]


__all__ = ["ScalarPlan", "ScalarSource", "by_recorded_ops"]
