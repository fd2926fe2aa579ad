"""What is computed alike, and so should lie side by side and be one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microrecur.compiler.families import COPY, PRODUCTS, TOTAL, Families, Family, is_same
from microrecur.compiler.kinds import ABSORBED, BATCH, LOOP, SINGLE, Kinds
from microrecur.compiler.program import COMPUTED
from microrecur.compiler.recurrence import Recurrence
from microrecur.engine import ops


class Groups(Kinds):
    """Finds the families that one call can compute, and who should lie beside whom for it.

    Attributes
    ----------
    groups : list of list of Family
        Families to be computed in one call where they lie side by side, in the order they do.
    group_of : dict of Family to int
        The group of a family.
    biased : dict of Family to (Family, int)
        For a product x W of all steps the sum x W + b it is read by, and where b stands in it: one
        product with [x 1] does both.
    """

    def __init__(self, families: Families, recurrences: Sequence[Recurrence]) -> None:
        super().__init__(families, recurrences)
        self.groups: list[list[Family]] = []
        self.group_of: dict[Family, int] = {}
        self.wishes: list[tuple[int, list[Family]]] = []
        self.biased: dict[Family, tuple[Family, int]] = {}
        self._find_groups()

    # -- what is computed alike --------------------------------------------------------------------

    def _find_groups(self) -> None:
        for recurrence in self.recurrences:
            self._group_products([f for f in recurrence.families if self.kind[f] == LOOP], 20)
            self._group_elementwise(recurrence)
        batch = [f for f, kind in self.kind.items() if kind == BATCH]
        self._group_products(batch, 3)
        self._find_biases(batch)
        self._group_totals()
        for family, kind in self.kind.items():
            if family.op is PRODUCTS and kind == LOOP:
                half = len(family.columns) // 2
                self._wish(20, [self.families.of.get(c[0]) for c in family.columns[:half]])

    def _add_group(self, group: list[Family], weight: int) -> None:
        for family in group:
            self.group_of[family] = len(self.groups)
        self.groups.append(group)
        self._wish(weight, group)

    def _wish(self, weight: int, lanes: Sequence[Family | None]) -> None:
        if len(lanes) < 2 or any(f is None or self.kind.get(f) not in (LOOP, BATCH) for f in lanes):
            return
        roots = [self.root(f) for f in lanes if f is not None]
        if len(set(roots)) == len(roots):
            self.wishes.append((weight * len(roots), roots))

    def _group_products(self, candidates: Sequence[Family], weight: int) -> None:
        """Products of one value with several weights."""
        found: dict[Any, list[Family]] = {}
        shape = self.program.shape
        for family in candidates:
            if family.op is not ops.matmul:
                continue
            x, w = family.columns
            home = self.loop_of.get(self.families.of.get(w[0]))  # type: ignore[arg-type]
            if home is not None and home is self.loop_of.get(family):
                continue
            if is_same(w) and len(shape[w[0]]) == 2 and len(shape[x[0]]) in (1, 2):
                key = (
                    tuple(x),
                    shape[w[0]],
                    self.program.dtype[family.nodes[0]],
                    self.program.dtype[w[0]],
                )
                found.setdefault(key, []).append(family)
        for group in found.values():
            if len(group) > 1:
                self._add_group(group, weight)

    def _find_biases(self, batch: Sequence[Family]) -> None:
        for family in batch:
            if family.op is ops.matmul and is_same(family.columns[1]):
                found = self._bias(family)
                if found is not None:
                    self.biased[family] = found
                    if family not in self.group_of:
                        self._add_group([family], 0)
        for group in self.groups:
            if not all(f in self.biased for f in group):
                for family in group:
                    self.biased.pop(family, None)

    def _bias(self, family: Family) -> tuple[Family, int] | None:
        shape, readers = self.program.shape, self.readers[family]
        if len(readers) != 1 or len(shape[family.columns[0][0]]) != 2:
            return None
        reader, k = readers[0]
        if reader.op is not ops.add or reader.columns[k] != family.nodes:
            return None
        if self.root(reader) is not self.root(family) or is_same(family.columns[0]):
            return None
        b = reader.columns[1 - k]
        n, w = family.nodes[0], family.columns[1][0]
        dtype = self.program.dtype
        if (
            not is_same(b)
            or shape[b[0]] != shape[n][-1:]
            or len({dtype[b[0]], dtype[w], dtype[n]}) > 1
        ):
            return None
        return reader, 1 - k

    def _group_elementwise(self, recurrence: Recurrence) -> None:
        """In one step of a loop: one op on values that lie side by side or are the same."""
        program, of = self.program, self.families.of
        middle = (
            min(f.steps[0] for f in recurrence.families)
            + max(f.steps[-1] for f in recurrence.families)
        ) // 2
        for level in sorted({self.level[f] for f in recurrence.families}):
            found: dict[Any, list[Family]] = {}
            for family in recurrence.families:
                if self.level[family] != level or self.kind[family] != LOOP:
                    continue
                if not isinstance(family.op.forward, np.ufunc):
                    continue
                n = family.nodes[0]
                key: list[Any] = [family.op, program.shape[n], program.dtype[n]]
                for column in family.columns:
                    source = of.get(column[0])
                    if is_same(column):
                        key.append(("same", column[0]))
                    elif (
                        source in self.group_of
                        and source.nodes == column
                        and self.loop_of.get(source) is recurrence
                    ):
                        key.append(("group", self.group_of[source]))
                    elif (
                        source is not None
                        and source in self.loop_of
                        and (self.loop_of[source] is recurrence)
                    ):
                        t = middle - family.steps[0]
                        key.append(("column", column[t] if 0 <= t < len(column) else tuple(column)))
                    else:
                        key.append(("apart", program.shape[column[0]], program.dtype[column[0]]))
                found.setdefault(tuple(key), []).append(family)
            for group in found.values():
                if len(group) > 1:
                    for k in range(len(group[0].columns)):
                        self._copy_what_stays(group, k)
                    self._add_group(group, 10)
                    for k in range(len(group[0].columns)):
                        lanes = [of.get(f.columns[k][0]) for f in group]
                        if all(f is not None for f in lanes) and len(set(lanes)) == len(lanes):
                            self._wish(8, lanes)

    def _copy_what_stays(self, group: list[Family], k: int) -> None:
        """Where most write over their operand, let the others do so too, over a copy of it.

        Then results lie as operands do, and one call does all of them.
        """
        sources = [self.families.of.get(f.columns[k][0]) for f in group]
        over = [s is not None and self.root(f) is self.root(s) for f, s in zip(group, sources)]
        if sum(over) < 2 or all(over):
            return
        for family, source, already in zip(group, sources, over, strict=True):
            if already or source is None or self.kind.get(source) not in (LOOP, BATCH):
                continue
            if self.root(family) is not family or is_same(family.columns[k]):
                continue
            if any(self.root(f) is family for f in self.kind if f is not family):
                continue
            program = self.program
            nodes = [
                program.add(COMPUTED, COPY, (a,), {}, program.shape[a], program.dtype[a], t,
                            program.place[family.nodes[0]])
                for a, t in zip(family.columns[k], family.steps, strict=True)
            ]  # fmt: skip
            copies = self.families.found(nodes, list(family.steps))
            self.kind[copies] = BATCH
            self.readers[copies] = [(family, k)]
            columns = [nodes if j == k else c for j, c in enumerate(family.columns)]
            self.families.rewrite(family, family.op, columns, family.static)
            self.overwrite(family, copies)

    def _group_totals(self) -> None:
        """Gradients of several weights of one value: one product over all steps."""
        found: dict[Any, list[Family]] = {}
        for family, kind in list(self.kind.items()):
            if family.op is not TOTAL or kind != SINGLE:
                continue
            parts = self.families.reads(family)
            part = next(iter(parts))
            if len(parts) != 1 or self.kind[part] != ABSORBED:
                continue
            key = (part.op, tuple(part.columns[0]) if len(part.columns) == 2 else None)
            found.setdefault((key, self.program.shape[family.nodes[0]]), []).append(family)
        for group in found.values():
            if len(group) > 1:
                lanes = []
                for family in group:
                    (part,) = self.families.reads(family)
                    lanes.append(self.families.of.get(part.columns[-1][0]))
                self._add_group(group, 0)
                self._wish(2, lanes)
