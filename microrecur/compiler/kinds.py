"""How each family is computed, and over whose memory it may write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microrecur.compiler.families import COPY, TOTAL, Column, Families, Family
from microrecur.compiler.lowering import can_stack, is_view
from microrecur.compiler.program import COMPUTED, CONSTANT, INPUT
from microrecur.compiler.recurrence import Recurrence
from microrecur.compiler.storage import Spot
from microrecur.engine import kernels, ops

VIEW, LOOP, BATCH, SINGLE, ABSORBED = "view", "loop", "batch", "single", "absorbed"


class Kinds:
    """Sorts the families of a program by how they are computed.

    Attributes
    ----------
    kind : dict of Family to str
        VIEW (no work), LOOP (step by step), BATCH (all steps at once), SINGLE (once, outside of the
        steps) or ABSORBED (never stored: part of a product over all steps).
    """

    def __init__(self, families: Families, recurrences: Sequence[Recurrence]) -> None:
        self.families, self.program = families, families.program
        self.recurrences = recurrences
        self.loop_of = {f: r for r in recurrences for f in r.families}
        self.spots: dict[int, Spot] = {}
        self.outputs = set(self.program.outputs)
        self.kind = {f: self._kind(f) for f in families.alive.values()}
        self.readers = families.readers()
        self._absorb()
        self.level = {f: k for r in recurrences for f, k in r.level.items()}
        self._parent: dict[Family, Family] = {}
        for family in list(families.alive.values()):
            self._write_over(family)
        self._ends: dict[tuple[Family, int], tuple[int, int]] = {}
        for family in list(families.alive.values()):
            if self.kind[family] in (VIEW, BATCH, ABSORBED) and family not in self.loop_of:
                for column in family.columns:
                    self._extend_to(family, column)

    # -- how each is computed ----------------------------------------------------------------------

    def _kind(self, family: Family) -> str:
        n = family.nodes[0]
        if is_view(
            family.op,
            family.static,
            [self.program.shape[a] for a in self.program.args[n]],
            self.program.dtype[self.program.args[n][0]] if self.program.args[n] else None,
        ):
            return VIEW
        if family in self.loop_of:
            return LOOP
        if len(family.nodes) > 1 and can_stack(family.op, family.static):
            dtype = self.program.dtype
            if family.op.name not in ("sum", "max") or (
                dtype[n] == dtype[family.columns[0][0]] and dtype[n].kind == "f"
            ):
                return BATCH
        return SINGLE

    def _absorb(self) -> None:
        """Products and sums over the batch whose only reader is a total over time."""
        patched = {f for f in self.kind if f.op is TOTAL and self._is_patchwork(f)}
        while True:
            left = {
                f
                for f in patched
                if all(r in patched for g in self.families.reads(f) for r, _ in self.readers[g])
            }
            if left == patched:
                break
            patched = left
        for family in patched:
            for part in self.families.reads(family):
                self.kind[part] = ABSORBED
        for family, kind in self.kind.items():
            readers = self.readers[family]
            if kind != BATCH or len(readers) == 0 or not self.outputs.isdisjoint(family.nodes):
                continue
            reader = readers[0][0]
            if reader.op is not TOTAL or any(r is not reader for r, _ in readers):
                continue
            terms = self.program.args[reader.nodes[0]]
            if len(set(terms)) == len(terms) and self._contracts(family):
                self.kind[family] = ABSORBED

    def _is_patchwork(self, total: Family) -> bool:
        """Whether a total's terms are parts that do not overlap."""
        program, (n,) = self.program, total.nodes
        covered = np.zeros(program.shape[n], np.int32)
        for a in program.args[n]:
            source = self.families.of.get(a)
            if source is None or source.op is not ops.scatter or a in self.outputs:
                return False
            index = program.static[a]["index"]
            if not kernels.is_basic(index):
                return False
            covered[index] += 1
        return covered.max(initial=0) <= 1

    def _contracts(self, family: Family) -> bool:
        shape = self.program.shape
        shapes = [shape[c[0]] for c in family.columns]
        if family.op is ops.matmul:
            return all(len(s) == 2 for s in shapes)
        if family.op is ops.mul:
            return all(len(s) == 2 for s in shapes) and shapes[0][1] == 1 and shapes[1][0] == 1
        return (
            family.op is ops.summed
            and len(shapes[0]) == 2
            and family.static["axis"] in (0, (0,))
            and not family.static["keepdims"]
        )

    # -- results written over what nobody reads any more -------------------------------------------

    def root(self, family: Family) -> Family:
        """The family in whose memory this one lies."""
        while family in self._parent:
            family = self._parent[family]
        return family

    def _write_over(self, family: Family) -> None:
        if self.kind[family] not in (LOOP, BATCH) or not isinstance(family.op.forward, np.ufunc):
            return
        program, n = self.program, family.nodes[0]
        found: list[Family] = []
        for column in family.columns:
            source = self.families.of.get(column[0])
            if (
                source is not None
                and source.nodes == column
                and source.steps == family.steps
                and self.kind.get(source) in (LOOP, BATCH)
                and program.shape[source.nodes[0]] == program.shape[n]
                and program.dtype[source.nodes[0]] == program.dtype[n]
                and len(self.readers[source]) == 1
                and self.outputs.isdisjoint(column)
            ):
                found.append(source)
        if not found:
            return
        local = self.is_local(family)
        found.sort(key=lambda f: (self.kind[f] == BATCH) == local)
        self.overwrite(family, found[0])

    def overwrite(self, family: Family, source: Family) -> None:
        """Let the family be written over what it reads."""
        self._parent[self.root(family)] = self.root(source)

    def is_local(self, family: Family) -> bool:
        """Whether the family is read in the same step of its own loop alone."""
        if self.kind[family] != LOOP or not self.outputs.isdisjoint(family.nodes):
            return False
        loop = self.loop_of[family]
        for reader, k in self.readers[family]:
            if self.kind[reader] != LOOP or self.loop_of[reader] is not loop:
                return False
            t = self.program.step
            for a, s in zip(reader.columns[k], reader.steps, strict=True):
                if self.families.of.get(a) is family and t[a] != s:
                    return False
        return True

    # -- the value before the first step, after the last -------------------------------------------

    def _extend_to(self, reader: Family, column: Column) -> None:
        """Let h₀ lie before h₁, h₂, … where all of them are read as one."""
        if len(column) < 2:
            return
        of, program = self.families.of, self.program
        for end, inner, step in ((0, 1, -1), (-1, -2, 1)):
            a, e = of.get(column[inner]), column[end]
            if a is None or self.kind.get(a) not in (LOOP, BATCH) or of.get(e) is a:
                continue
            if column[inner] != a.nodes[end] or self.is_local(a):
                continue
            known = self._ends.get((a, step))
            if known is not None:
                if known[0] == e:
                    self._replace(reader, column, end, known[1])
                continue
            if self._occupied(a, a.steps[end] + step):
                continue
            n = a.nodes[0]
            if program.shape[e] != program.shape[n] or program.dtype[e] != program.dtype[n]:
                continue
            mine = self._own(e)
            self._ends[a, step] = (e, mine)
            if mine != e:
                self._replace(reader, column, end, mine)
                self._replace_everywhere(a, e, mine, (end, inner))

    def _replace_everywhere(self, a: Family, e: int, mine: int, at: tuple[int, int]) -> None:
        """Let all who read e beside a read what lies there, loops too unless they make e."""
        end, inner = at
        made_in = self.loop_of.get(self.families.of.get(e))  # type: ignore[arg-type]
        for family in self.families.alive.values():
            if made_in is not None and self.loop_of.get(family) is made_in:
                continue
            for column in family.columns:
                if len(column) > 1 and column[end] == e and column[inner] == a.nodes[end]:
                    self._replace(family, column, end, mine)

    def _occupied(self, family: Family, t: int) -> bool:
        """Whether what shares the family's memory has a value at this step."""
        root = self.root(family)
        sharing = [f for f in self.kind if self.root(f) is root]
        if any(f.steps[0] <= t <= f.steps[-1] for f in sharing):
            return True
        return any(
            f in sharing and t == (f.steps[0] - 1 if s < 0 else f.steps[-1] + 1)
            for f, s in self._ends
        )

    def _own(self, e: int) -> int:
        """The value itself where it may be placed at will, else a copy of it."""
        program, taken = self.program, {mine for _, mine in self._ends.values()}
        if program.kind[e] == CONSTANT:
            clone = program.add(CONSTANT, None, (), {}, program.shape[e], program.dtype[e])
            program.data[clone] = program.data[e]
            return clone
        source = self.families.of.get(e)
        free = program.kind[e] == INPUT or (
            source is not None and self.kind[source] == SINGLE and len(source.nodes) == 1
        )
        return e if free and e not in taken else self.copy_of(e)

    def copy_of(self, e: int) -> int:
        """A copy of a value, as a computation of its own."""
        program = self.program
        n = program.add(COMPUTED, COPY, (e,), {}, program.shape[e], program.dtype[e])
        family = self.families.found([n], [None])
        self.kind[family] = SINGLE
        self.readers[family] = []
        return n

    def _replace(self, reader: Family, column: Column, end: int, n: int) -> None:
        k = next(k for k, c in enumerate(reader.columns) if c is column)
        node = reader.nodes[end]
        args = list(self.program.args[node])
        args[k] = n
        self.program.args[node] = tuple(args)
        column[end] = n
