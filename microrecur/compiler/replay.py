"""The recorded computations themselves, one after another: what a plan is held against.

A plan reorders sums and products. Where numbers are finite that is the same to rounding; where they
are not, ∞ − ∞ may turn up in one order and not in the other. The recording decides then, so it is
kept, in some tens of bytes per computation.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from microrecur.compiler.program import COMPUTED, CONSTANT, Program, static_key

ROUNDING = 4096  # how many roundings a plan's results may be apart: 1e-12 in float64


class Replay:
    """A program before any pass, as it was recorded.

    Parameters
    ----------
    program : Program
        Its computations; read here, and no more afterwards.
    """

    def __init__(self, program: Program) -> None:
        known: dict[Any, int] = {}
        self._ways: list[tuple[Any, dict[str, Any]]] = []
        self._computed, self._way = array("i"), array("i")
        self._args, self._ends = array("i"), array("i")
        for n, kind in enumerate(program.kind):
            if kind != COMPUTED:
                continue
            op, static = program.op[n], program.static[n]
            key = (op, static_key(static)) if static else op
            way = known.setdefault(key, len(known))
            if way == len(self._ways):
                self._ways.append((op, static))
            self._computed.append(n)
            self._way.append(way)
            self._args.extend(program.args[n])
            self._ends.append(len(self._args))
        self._count = len(program)
        self._constants = {n: program.data[n] for n, k in enumerate(program.kind) if k == CONSTANT}
        self._inputs, self._outputs = list(program.inputs), list(program.outputs)
        floats = {d for d in program.dtype if d.kind == "f"}
        self._eps = max((float(np.finfo(d).eps) for d in floats), default=0.0)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for these inputs, with the recording's own digits; fresh arrays."""
        values: list[Any] = [None] * self._count
        for n, constant in self._constants.items():
            values[n] = constant
        for n, given in zip(self._inputs, arrays, strict=True):
            values[n] = np.asarray(given)
        last = self._last_readers()
        start = 0
        with np.errstate(all="ignore"):
            for n, way, end in zip(self._computed, self._way, self._ends, strict=True):
                op, static = self._ways[way]
                read = self._args[start:end]
                values[n] = np.asarray(op.forward(*[values[a] for a in read], **static))
                for a in read:
                    if last[a] == n:
                        values[a] = None
                start = end
        return [np.array(values[n]) for n in self._outputs]

    def _last_readers(self) -> array[int]:
        last = array("i", [-1]) * self._count
        start = 0
        for n, end in zip(self._computed, self._ends, strict=True):
            for a in self._args[start:end]:
                last[a] = n
            start = end
        for n in self._outputs:
            last[n] = self._count
        return last

    def difference(self, got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> str | None:
        """Say how a plan's results differ from the recorded ones; None where they do not."""
        for k, (g, e) in enumerate(zip(got, expected, strict=True)):
            if g.shape != e.shape or g.dtype != e.dtype:
                return f"output {k} is {g.dtype} {g.shape}, recorded as {e.dtype} {e.shape}"
            if e.dtype.kind != "f":
                if not np.array_equal(g, e):
                    return f"output {k} differs"
                continue
            finite = np.isfinite(e)
            if not np.array_equal(g[~finite], e[~finite], equal_nan=True):
                return f"output {k} is finite elsewhere"
            apart = np.abs(g[finite] - e[finite]).max(initial=0.0)
            if not apart <= ROUNDING * self._eps * np.abs(e[finite]).max(initial=1.0):
                return f"output {k} is {apart:.1e} away"
        return None


def are_finite(arrays: Sequence[np.ndarray]) -> bool:
    """Whether no number is inf or nan: one dot product each, a closer look where that is not."""
    return all(math.isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all()) for a in arrays)
