"""A schedule as Python source: what runs, and what a person reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

from microrecur.compiler.batches import Line, Loop, Straight
from microrecur.compiler.places import Places
from microrecur.compiler.program import BACKWARD

_MOST_LINES = 3000  # a longer piece is a table of calls rather than text: text is compiled slowly


class Writer:
    """Writes the source and the names in it.

    Attributes
    ----------
    source : str
        `def run():` and all its calls.
    namespace : dict
        What its names stand for.
    """

    def __init__(self, places: Places, pieces: Sequence[Straight | Loop]) -> None:
        self.program = places.program
        self._lying = self._names_by_address(places)
        self.namespace: dict[str, Any] = {}
        self._named: dict[int, str] = {}
        self._used: dict[str, int] = {}
        self._taken: set[str] = {"run", "function", "arrays"}
        self._scope: Any = None
        for piece in pieces:
            for line in piece.lines:
                self._function(line)  # functions keep their names; values step aside
        lines = ["def run():"]
        for k, piece in enumerate(pieces):
            if isinstance(piece, Loop):
                lines += self._loop(piece, k)
            elif len(piece.lines) > _MOST_LINES:
                lines += self._table(piece, k)
            else:
                for line in piece.lines:
                    lines += self._call(line, "    ", None)
        self.source = "\n".join([*lines, "    return None", ""])

    def compiled(self) -> Callable[[], None]:
        """The function that runs everything."""
        code = compile(self.source, "<microrecur plan>", "exec")
        exec(code, self.namespace)
        run: Callable[[], None] = self.namespace["run"]
        return run

    def _call(self, line: Line, indent: str, variables: dict[int, str] | None) -> list[str]:
        lines = []
        scope = self._where(line)
        if scope != self._scope:
            self._scope = scope
            lines.append(f"{indent}# {scope or 'outside of any step'}")
        names = [
            variables[k] if variables is not None and k in variables else self._name(x, line)
            for k, x in enumerate(line.operands)
        ]
        function = self._function(line)
        return [*lines, f"{indent}{function}({', '.join(names)})"]

    def _where(self, line: Line) -> str:
        program, n = self.program, line.made[0]
        before, after = program.places[program.place[n]]
        t = program.step[n]
        return "/".join([*before, *([] if t is None else ["t"]), *after])

    def _function(self, line: Line) -> str:
        known = self._named.get(id(line.function))
        if known is None:
            known = self._named[id(line.function)] = self._fresh(re.sub(r"\W", "_", line.name))
            self.namespace[known] = line.function
        return known

    def _name(self, x: Any, line: Line) -> str:
        known = self._named.get(id(x))
        if known is not None:
            return known
        base = self._base(x, line)
        name = self._fresh(base)
        self.namespace[name] = x
        self._named[id(x)] = name
        return name

    def _names_by_address(self, places: Places) -> dict[int, str]:
        """What lies where: the name of each value by its address, a few steps of each family."""
        program = self.program
        starts: dict[int, int] = {}
        found: dict[int, str] = {}
        values = list(program.inputs)
        for family in places.kind:
            values += [*family.nodes[:2], *family.nodes[-2:]]
        for n in values:
            spot = places.spots.get(n)
            if spot is not None:
                start = starts.get(id(spot.root))
                if start is None:
                    start = starts[id(spot.root)] = _address(spot.root)
                name = self._called(n)
                if program.names[n] is not None:
                    found[start + spot.offset] = name
                else:
                    found.setdefault(start + spot.offset, name)
        for n, data in program.data.items():
            if not data.ndim and n in places.spots:
                value = data.item()
                said = {0.5: "half", 1: "one", 2: "two", 0: "zero"}.get(value, f"number_{value}")
                found[_address(places.spots[n].root)] = re.sub(r"\W", "_", said)
        return found

    def _called(self, n: int) -> str:
        """A value's textbook name; else d_ and the name of the gate it is a gradient in."""
        program = self.program
        name = program.names[n]
        if name is None:
            before, after = program.places[program.place[n]]
            if before[:1] == (BACKWARD,):
                name = "_".join(("d", *after))
            else:
                op = program.op[n]
                name = "_".join(after) or (op.name if op is not None else "number")
        return re.sub(r"\W", "_", name)

    def _base(self, x: Any, line: Line) -> str:
        if x is line.operands[-1] or (line.name == "copyto" and x is line.operands[0]):
            return self._called(line.made[0]) + ("s" if len(line.made) > 1 else "")
        known = self._lying.get(_address(x))
        return known or "v"

    def _fresh(self, base: str) -> str:
        """A name nothing else has."""
        name = base if base.isidentifier() and not iskeyword(base) else f"v_{base}"
        while name in self._taken:
            self._used[base] = count = self._used.get(base, 1) + 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def _loop(self, piece: Loop, k: int) -> list[str]:
        tracks: list[list[Any]] = []
        names: list[str] = []
        known: dict[tuple[int, ...], str] = {}
        per_line: list[dict[int, str]] = []
        for line in piece.lines:
            mine: dict[int, str] = {}
            for j, x in enumerate(line.operands):
                if isinstance(x, list):
                    key = (id(x[0]), id(x[1]), id(x[-1]))
                    name = known.get(key)
                    if name is None:
                        name = known[key] = self._fresh(self._track_name(line, j))
                        tracks.append(x)
                        names.append(name)
                    mine[j] = name
            per_line.append(mine)
        first, last = piece.steps[0], piece.steps[-1]
        lines = [f"    # t = {first} … {last}"]
        table = f"steps_{k}"
        if len(tracks) == 1:
            self.namespace[table] = tracks[0]
            lines.append(f"    for {names[0]} in {table}:")
        else:
            self.namespace[table] = list(zip(*tracks, strict=True))
            lines.append(f"    for {', '.join(names)} in {table}:")
        self._scope = None
        for line, mine in zip(piece.lines, per_line, strict=True):
            lines += self._call(line, "        ", mine)
        self._scope = None
        return lines

    def _track_name(self, line: Line, j: int) -> str:
        x = line.operands[j]
        if j == len(line.operands) - 1:
            return self._called(line.made[0]) + ("s" if len(line.made) > 1 else "")
        # The second step's: what a loop reads first may come from before it, as h₀ does.
        return self._lying.get(_address(x[1])) or self._lying.get(_address(x[0]), "v")

    def _table(self, piece: Straight, k: int) -> list[str]:
        name = f"calls_{k}"
        self.namespace[name] = [(line.function, tuple(line.operands)) for line in piece.lines]
        return [
            f"    for function, arrays in {name}:  # {len(piece.lines)} calls, each once",
            "        function(*arrays)",
        ]


def _address(x: Any) -> int:
    address: int = x.__array_interface__["data"][0]
    return address
