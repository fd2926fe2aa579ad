"""A schedule as the Python that runs: one call after another, its arrays by short names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

from microrecur.compiler.batches import Line, Loop, Straight

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

    def __init__(self, pieces: Sequence[Straight | Loop]) -> None:
        self.namespace: dict[str, Any] = {}
        self._named: dict[int, str] = {}
        self._used: dict[str, int] = {}
        self._taken: set[str] = {"run", "function", "arrays"}
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
        names = [
            variables[k] if variables is not None and k in variables else self._name(x)
            for k, x in enumerate(line.operands)
        ]
        function = self._function(line)
        return [f"{indent}{function}({', '.join(names)})"]

    def _function(self, line: Line) -> str:
        known = self._named.get(id(line.function))
        if known is None:
            known = self._named[id(line.function)] = self._fresh(re.sub(r"\W", "_", line.name))
            self.namespace[known] = line.function
        return known

    def _name(self, x: Any) -> str:
        known = self._named.get(id(x))
        if known is not None:
            return known
        name = self._fresh("a")
        self.namespace[name] = x
        self._named[id(x)] = name
        return name

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
                        name = known[key] = self._fresh("x")
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
        for line, mine in zip(piece.lines, per_line, strict=True):
            lines += self._call(line, "        ", mine)
        return lines

    def _table(self, piece: Straight, k: int) -> list[str]:
        name = f"calls_{k}"
        self.namespace[name] = [(line.function, tuple(line.operands)) for line in piece.lines]
        return [
            f"    for function, arrays in {name}:  # {len(piece.lines)} calls, each once",
            "        function(*arrays)",
        ]
