"""The memory of every value: what is computed together lies together."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from microrecur.compiler.families import PRODUCTS, TOTAL, Families, Family
from microrecur.compiler.groups import Groups
from microrecur.compiler.kinds import ABSORBED, BATCH, LOOP, SINGLE, VIEW
from microrecur.compiler.lowering import view_of
from microrecur.compiler.program import CONSTANT, INPUT
from microrecur.compiler.recurrence import Recurrence
from microrecur.compiler.storage import Block, Spot, arranged, lone_spot, spot_of
from microrecur.engine import ops


class Places(Groups):
    """Gives each value its place.

    Attributes
    ----------
    spots : dict of int to Spot
        Where each computation's result lies.
    whole_weights : dict of Family to Spot
        Weights and biases of a group of products, by its first family.
    """

    def __init__(self, families: Families, recurrences: Sequence[Recurrence]) -> None:
        super().__init__(families, recurrences)
        self.whole_weights: dict[Family, Spot] = {}
        self.blocks: dict[int, Block] = {}  # by the id of their memory
        self._lay_out()
        self._pack_weights()
        self._place_rest()

    def forget_details(self) -> None:
        """Let go of the spots and of what families read."""
        self.spots = {}
        self.blocks = {}
        self.readers = {}
        self.whole_weights = {}
        families = self.families
        for family in self.kind:
            family.columns = []
            family.nodes = array("i", family.nodes)  # type: ignore[assignment]
            family.steps = [family.steps[0], family.steps[-1]]
        families.forget_details()

    def _lay_out(self) -> None:
        members: dict[Family, list[Family]] = {}
        for family, kind in self.kind.items():
            if kind in (LOOP, BATCH):
                members.setdefault(self.root(family), []).append(family)
        numbered = {f.number: f for f in members}
        like: dict[Any, list[tuple[int, list[int]]]] = {}
        program = self.program
        for weight, roots in self.wishes:
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
                block = self.block(program.shape[n], program.dtype[n], len(group), 0, 0)
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
                        place = {a: leader.index(b) for a, b in zip(others, leads, strict=True)}
                        follower.sort(key=place.__getitem__)
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
        block = self.block(program.shape[n], program.dtype[n], len(row), first, last)
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
            if group[0] in self.biased:
                self._pack_with_biases(group)
            elif group[0].op is ops.matmul:
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
        block = self.block(shape, dtype, count, 0, 0)
        if not axis:
            block.seen, block.lane = (shape[1], count * shape[0]), shape[0] * dtype.itemsize
        for lane, (family, k) in enumerate(readers):
            if axis == 1:
                self._put(family, k, block.spot(lane, 0))
            else:  # one below the other, kept turned: (K₁ + K₂ + …, H) as (H, K₁ + K₂ + …)
                offset, strides = lane * shape[0] * item, (item, count * shape[0] * item)
                self._put(family, k, Spot(block.root, offset, shape, strides))

    def _pack_with_biases(self, group: list[Family]) -> None:
        """Below each weight its bias as one row more, all of it kept turned."""
        program = self.program
        w = group[0].columns[1][0]
        (K, H), dtype = program.shape[w], program.dtype[w]
        item, rows = dtype.itemsize, K + 1
        block = self.block((rows, H), dtype, len(group), 0, 0)
        root = block.root
        for lane, family in enumerate(group):
            start = lane * H * rows * item
            self._put(family, 1, Spot(root, start, (K, H), (item, rows * item)))
            total, k = self.biased[family]
            self._put(total, k, Spot(root, start + K * item, (H,), (rows * item,)))
        whole = Spot(root, 0, (rows, len(group) * H), (item, rows * item))
        self.whole_weights[group[0]] = whole

    def block(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], lanes: int, first: int, last: int
    ) -> Block:
        """Memory for several values side by side, which a reader is told of."""
        block = Block(shape, dtype, lanes, first, last)
        self.blocks[id(block.root)] = block
        return block

    def _put(self, family: Family, k: int, spot: Spot) -> None:
        """Let the operand lie here: itself where nobody else reads it, else a copy."""
        w = family.columns[k][0]
        source = self.families.of.get(w)
        private = (
            source is not None
            and self.kind[source] == SINGLE
            and w not in self.spots
            and len(self.readers[source]) == 1
            and w not in self.outputs
        )
        n = w if private else self.copy_of(w)
        self.spots[n] = spot
        if n != w:
            columns = [[n] * len(c) if j == k else c for j, c in enumerate(family.columns)]
            self.families.rewrite(family, family.op, columns, family.static)

    def _place_rest(self) -> None:
        """Everything else row by row; views where what they look at lies."""
        program = self.program
        for n, made in enumerate(program.kind):
            if n in self.spots:
                if made == CONSTANT:
                    self.spots[n].array()[...] = program.data[n]
            elif made == INPUT:
                self.spots[n] = lone_spot(program.shape[n], program.dtype[n])
            elif made == CONSTANT:
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
