"""Who lies beside whom: which computations are joined, and the memory of every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microrecur.compiler.families import (
    COPY,
    PRODUCTS,
    TOTAL,
    Column,
    Families,
    Family,
    is_same,
)
from microrecur.compiler.lowering import can_stack, is_view, view_of
from microrecur.compiler.program import COMPUTED, CONSTANT, INPUT
from microrecur.compiler.recurrence import Recurrence
from microrecur.compiler.storage import Block, Spot, arranged, lone_spot, spot_of
from microrecur.engine import kernels, ops

VIEW, LOOP, BATCH, SINGLE, ABSORBED = "view", "loop", "batch", "single", "absorbed"


class Places:
    """Sorts the families of a program by how they are computed, and gives each value its place.

    Attributes
    ----------
    kind : dict of Family to str
        VIEW (no work), LOOP (step by step), BATCH (all steps at once), SINGLE (once, outside of the
        steps) or ABSORBED (never stored: part of a product over all steps).
    groups : list of list of Family
        Families to be computed in one call where they lie side by side, in the order they do.
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
        self.groups: list[list[Family]] = []
        self.group_of: dict[Family, int] = {}
        self._wishes: list[tuple[int, list[Family]]] = []
        self._find_groups()
        self._lay_out()
        self._pack_weights()
        self._place_rest()

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
        covered = np.zeros(program.shape[n], np.int8)
        for a in program.args[n]:
            source = self.families.of.get(a)
            if source is None or source.op is not ops.scatter or a in self.outputs:
                return False
            index = program.static[a]["index"]
            if not kernels.is_basic(index):
                return False
            covered[index] += 1
            if len(program.args[n]) <= 64 and covered.max(initial=0) > 1:
                return False
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
        self._parent[self.root(family)] = self.root(found[0])

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

    # -- what is computed alike --------------------------------------------------------------------

    def _find_groups(self) -> None:
        for recurrence in self.recurrences:
            self._group_products([f for f in recurrence.families if self.kind[f] == LOOP], 20)
            self._group_elementwise(recurrence)
        batch = [f for f, kind in self.kind.items() if kind == BATCH]
        self._group_products(batch, 3)
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
            self._wishes.append((weight * len(roots), roots))

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
                    self._add_group(group, 10)
                    for k in range(len(group[0].columns)):
                        lanes = [of.get(f.columns[k][0]) for f in group]
                        if all(f is not None for f in lanes) and len(set(lanes)) == len(lanes):
                            self._wish(8, lanes)

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

    # -- memory ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        members: dict[Family, list[Family]] = {}
        for family, kind in self.kind.items():
            if kind in (LOOP, BATCH):
                members.setdefault(self.root(family), []).append(family)
        numbered = {f.number: f for f in members}
        like: dict[Any, list[tuple[int, list[int]]]] = {}
        program = self.program
        for weight, roots in self._wishes:
            kinds = {(program.shape[f.nodes[0]], program.dtype[f.nodes[0]]) for f in roots}
            if len(kinds) == 1:
                like.setdefault(kinds.pop(), []).append((weight, [f.number for f in roots]))
        rows = [row for wishes in like.values() for row in arranged(wishes)]
        laid = {number for row in rows for number in row}
        rows += [[number] for number in numbered if number not in laid]
        rows = self._same_order(rows)
        self.lane: dict[Family, int] = {}
        for row in rows:
            self._lay([numbered[number] for number in row], members)
        order = {f: self.lane.get(self.root(f), 0) for f in self.kind}
        for group in self.groups:
            if group[0].op is TOTAL:
                group.sort(key=self._lane_of_total)
                n = group[0].nodes[0]
                block = Block(program.shape[n], program.dtype[n], len(group), 0, 0)
                for lane, total in enumerate(group):
                    self.spots[total.nodes[0]] = block.spot(lane, 0)
            else:
                group.sort(key=lambda f: order[f])

    def _same_order(self, rows: list[list[int]]) -> list[list[int]]:
        """Put operands in the order of results, where a row holds nothing but them."""
        row_of = {number: row for row in rows for number in row}
        for group in self.groups:
            if self.kind[group[0]] != LOOP or group[0].op is ops.matmul:
                continue
            outs = [self.root(f).number for f in group]
            for k in range(len(group[0].columns)):
                sources = [self.families.of.get(f.columns[k][0]) for f in group]
                if any(s is None or self.kind.get(s) not in (LOOP, BATCH) for s in sources):
                    continue
                operands = [self.root(s).number for s in sources if s is not None]
                row, mine = row_of[operands[0]], row_of[outs[0]]
                if row is mine or len(set(operands)) != len(operands):
                    continue
                for follower, others, leader, leads in (
                    (row, operands, mine, outs),
                    (mine, outs, row, operands),
                ):
                    if set(follower) == set(others) and set(leads) <= set(leader):
                        follower.sort(
                            key=lambda n, a=others, b=leads, c=leader: c.index(b[a.index(n)])
                        )
                        break
        return rows

    def _lane_of_total(self, total: Family) -> int:
        (part,) = self.families.reads(total)
        source = self.families.of.get(part.columns[-1][0])
        return self.lane.get(self.root(source), 0) if source is not None else 0

    def _lay(self, row: list[Family], members: dict[Family, list[Family]]) -> None:
        program = self.program
        every = [f for root in row for f in members[root]]
        local = all(self.is_local(f) for f in every)
        steps = [t for f in every for t in (f.steps[0], f.steps[-1])]
        ends = [(f, s, mine) for (f, s), (_, mine) in self._ends.items() if f in set(every)]
        steps += [f.steps[0] - 1 if s < 0 else f.steps[-1] + 1 for f, s, _ in ends]
        n = row[0].nodes[0]
        first, last = (0, 0) if local else (min(steps), max(steps))
        block = Block(program.shape[n], program.dtype[n], len(row), first, last)
        for lane, root in enumerate(row):
            self.lane[root] = lane
            for family in members[root]:
                spots = self.spots
                for node, t in zip(family.nodes, family.steps, strict=True):
                    spots[node] = block.spot(lane, 0 if local else t)
                for f, s, mine in ends:
                    if f is family:
                        t = f.steps[0] - 1 if s < 0 else f.steps[-1] + 1
                        spots[mine] = block.spot(lane, t)

    def _pack_weights(self) -> None:
        """Weights that are used side by side are copied side by side, once per call."""
        for group in self.groups:
            if group[0].op is ops.matmul:
                self._pack([(f, 1) for f in group], 1)
        for family, kind in list(self.kind.items()):
            if family.op is PRODUCTS and kind == LOOP:
                half = len(family.columns) // 2
                xs, ws = family.columns[:half], family.columns[half:]
                sources = [self.families.of.get(x[0]) for x in xs]
                lanes = [-1 if f is None else self.lane.get(self.root(f), -1) for f in sources]
                order = sorted(range(half), key=lanes.__getitem__)
                columns = [xs[k] for k in order] + [ws[k] for k in order]
                self.families.rewrite(family, PRODUCTS, columns)
                self._pack([(family, half + k) for k in range(half)], 0)

    def _pack(self, readers: list[tuple[Family, int]], axis: int) -> None:
        program = self.program
        weights = [f.columns[k][0] for f, k in readers]
        shape, dtype = program.shape[weights[0]], program.dtype[weights[0]]
        if any(program.shape[w] != shape or program.dtype[w] != dtype for w in weights):
            return
        count, item = len(weights), dtype.itemsize
        block = Block(shape, dtype, count, 0, 0)
        for lane, ((family, k), w) in enumerate(zip(readers, weights, strict=True)):
            source = self.families.of.get(w)
            private = (
                source is not None
                and self.kind[source] == SINGLE
                and w not in self.spots
                and len(self.readers[source]) == 1
                and w not in self.outputs
            )
            n = w if private else self.copy_of(w)
            if axis == 1:
                self.spots[n] = block.spot(lane, 0)
            else:  # one below the other, kept turned: (K₁ + K₂ + …, H) as (H, K₁ + K₂ + …)
                offset, strides = lane * shape[0] * item, (item, count * shape[0] * item)
                self.spots[n] = Spot(block.root, offset, shape, strides)
            if n != w:
                self.families.rewrite(
                    family,
                    family.op,
                    [[n] * len(c) if i == k else c for i, c in enumerate(family.columns)],
                    family.static,
                )

    def _place_rest(self) -> None:
        """Everything else row by row; views where what they look at lies."""
        program = self.program
        for n, kind in enumerate(program.kind):
            if n in self.spots:
                if kind == CONSTANT:
                    self.spots[n].array()[...] = program.data[n]
            elif kind == INPUT:
                self.spots[n] = lone_spot(program.shape[n], program.dtype[n])
            elif kind == CONSTANT:
                data = np.array(program.data[n], order="C")
                self.spots[n] = spot_of(data, data)
        for family in self._by_need():
            kind = self.kind[family]
            if kind == ABSORBED:
                continue
            for n in family.nodes:
                if n not in self.spots and not (kind in (VIEW, SINGLE) and self._look(family, n)):
                    self.spots[n] = lone_spot(program.shape[n], program.dtype[n])
                    if kind == VIEW:
                        self.kind[family] = SINGLE

    def _by_need(self) -> list[Family]:
        """Families so that a view comes after what it looks at."""
        found: list[Family] = []
        seen: set[Family] = set()
        for family in list(self.families.alive.values()):
            stack = [family]
            while stack:
                top = stack[-1]
                if top in seen:
                    stack.pop()
                    continue
                below: list[Family] = []
                if self.kind[top] in (VIEW, SINGLE) and top.op is not TOTAL:
                    below = [
                        f
                        for f in self.families.reads(top)
                        if f not in seen and f is not top and self.kind[f] in (VIEW, SINGLE)
                    ]
                if below and len(stack) < 100_000:
                    stack += below
                else:
                    seen.add(top)
                    found.append(stack.pop())
        return found

    def _look(self, family: Family, n: int) -> bool:
        """Place a view; False where it takes a copy after all."""
        source = self.spots.get(self.program.args[n][0]) if self.program.args[n] else None
        if source is None:
            return False
        name = family.op.name
        if name not in ("getitem", "transpose", "broadcast_to", "reshape", "cast"):
            return False
        view = view_of(family.op, self.program.static[n], [source.array()])
        if view is None:
            return False
        self.spots[n] = spot_of(view, source.root)
        return True
