"""The calls of a program in the order they run: once each, or in a loop over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from microrecur.compiler import lowering
from microrecur.compiler.families import COPY, PRODUCTS, TOTAL, Column, Family, is_same
from microrecur.compiler.lowering import Call
from microrecur.compiler.places import ABSORBED, BATCH, LOOP, SINGLE, VIEW, Places
from microrecur.compiler.recurrence import Recurrence, in_order
from microrecur.compiler.storage import Block, Spot, side_by_side, spacing, spot_of, stacked
from microrecur.engine import ops

Array = np.ndarray


@dataclass
class Line:
    """One call; in a loop, an operand that changes from step to step is a list."""

    name: str
    function: Any
    operands: list[Any]
    made: Column  # what it computes, for names and comments


@dataclass
class Straight:
    """Calls that run once."""

    lines: list[Line]


@dataclass
class Loop:
    """Calls that run once per step."""

    steps: list[int]
    lines: list[Line]


class Schedule:
    """Everything that runs at a call, as Straight and Loop pieces."""

    def __init__(self, places: Places) -> None:
        self.places, self.families = places, places.families
        self.program, self.spots = places.program, places.spots
        self.pieces: list[Straight | Loop] = []
        self._arrays: dict[Any, Array] = {}
        self._flats: dict[Any, Array] = {}
        self._temporary: dict[Any, Block] = {}
        self._tracks: dict[Any, Any] = {}
        for unit in self._ordered():
            self._run(unit)
        lowering.forget_flips()

    # -- order -------------------------------------------------------------------------------------

    def _ordered(self) -> list[list[Family]]:
        """Units of families that run together, each after all it reads."""
        places = self.places
        units: list[list[Family]] = [list(r.families) for r in places.recurrences]
        units += [g for g in places.groups if places.kind[g[0]] in (BATCH, SINGLE)]
        taken = {f for unit in units for f in unit}
        alive = self.families.alive.values()
        units += [[f] for f in alive if f not in taken]
        ordered = self._in_order(units)
        if ordered is None:  # what could be one call depends on itself: apart, then
            loops = [list(r.families) for r in places.recurrences]
            taken = {f for unit in loops for f in unit}
            self.places.groups = [g for g in places.groups if places.kind[g[0]] == LOOP]
            ordered = self._in_order(loops + [[f] for f in alive if f not in taken])
        assert ordered is not None, "a recording is without cycles"
        return ordered

    def _in_order(self, units: list[list[Family]]) -> list[list[Family]] | None:
        keyed = [_Unit(min(f.number for f in unit), unit) for unit in units]
        unit_of = {f: u for u in keyed for f in u.families}
        before = {
            u: {unit_of[g] for f in u.families for g in self.families.reads(f)} - {u} for u in keyed
        }
        found = in_order(keyed, before)
        return None if found is None else [u.families for u in found]

    def _run(self, unit: list[Family]) -> None:
        first = unit[0]
        recurrence = self.places.loop_of.get(first)
        kind = self.places.kind[first]
        if recurrence is not None:
            self._loop(recurrence)
        elif first.op is TOTAL:
            self._totals(unit)
        elif kind == BATCH:
            self._batch(unit)
        elif kind == SINGLE:
            for n in first.nodes:
                if n in self.spots and not self._is_a_view(first, n):
                    self._add(self._single(first, n), [n])

    def _is_a_view(self, family: Family, n: int) -> bool:
        """Whether a reshape turned out to take no work."""
        if family.op.name != "reshape":
            return False
        return self.spots[n].root is self.spots[self.program.args[n][0]].root

    def _add(self, calls: Sequence[Call], made: Column) -> None:
        if not self.pieces or not isinstance(self.pieces[-1], Straight):
            self.pieces.append(Straight([]))
        for call in calls:
            self.pieces[-1].lines.append(
                Line(call.name, call.function, list(call.arrays), list(made))
            )

    # -- arrays ------------------------------------------------------------------------------------

    def _at(self, spot: Spot) -> Array:
        """The array at a spot: the same object for the same spot."""
        key = (id(spot.root), spot.offset, spot.shape, spot.strides)
        found = self._arrays.get(key)
        if found is None:
            found = self._arrays[key] = spot.array()
        return found

    def _value(self, n: int) -> Array:
        return self._at(self.spots[n])

    # -- once --------------------------------------------------------------------------------------

    def _single(self, family: Family, n: int) -> list[Call]:
        program = self.program
        op, args = program.op[n], program.args[n]
        out = self._value(n)
        xs = [self._value(a) for a in args]
        if op is COPY:
            return [lowering.copy(xs[0], out)]
        if op is PRODUCTS:
            return self._products(family, [self.spots[a] for a in args], n)
        return lowering.calls_of(op, program.static[n], xs, out)

    # -- step by step ------------------------------------------------------------------------------

    def _loop(self, recurrence: Recurrence) -> None:
        places = self.places
        body: dict[Any, list[Family]] = {}
        for family in recurrence.families:
            if places.kind[family] == LOOP:
                group = places.group_of.get(family)
                key = (places.level[family], -1 - family.number if group is None else group)
                body.setdefault(key, []).append(family)
        for key, unit in body.items():
            if key[1] >= 0:
                order = {f: k for k, f in enumerate(places.groups[key[1]])}
                unit.sort(key=lambda f, order=order: order[f])  # type: ignore[misc]
        units = [body[key] for key in sorted(body, key=lambda k: (k[0], abs(k[1])))]
        for steps in self._stretches(recurrence):
            if len(steps) < 3 or not self._fold(units, steps):
                for t in steps:
                    for call, made in self._calls_at(units, t):
                        self._add([call], made)

    def _calls_at(self, units: list[list[Family]], t: int) -> list[tuple[Call, Column]]:
        return [c for unit in units for c in self._step(unit, t)]

    def _stretches(self, recurrence: Recurrence) -> list[list[int]]:
        """The steps in order, cut where a family begins or ends or its values lie elsewhere.

        Within a stretch every value lies as far from its predecessor as that from its own.
        """
        spots, cuts = self.spots, set[int]()
        for family in recurrence.families:
            first = family.steps[0]
            cuts.update((first, family.steps[-1] + 1))
            for column in (*family.columns, family.nodes):
                if len(column) > 1 and column[0] == column[-1] and is_same(column):
                    continue
                cuts.update(first + k for k in _bends([spots[a] for a in column]))
        edges = sorted(cuts)
        found = [list(range(a, b)) for a, b in pairwise(edges)]
        if recurrence.direction < 0:
            found = [steps[::-1] for steps in reversed(found)]
        return found

    def _fold(self, units: list[list[Family]], steps: list[int]) -> bool:
        """Write one loop for a stretch; False where its first two steps differ in more than place."""
        one, two = (self._calls_at(units, t) for t in steps[:2])
        if [(c.function, len(c.arrays)) for c, _ in one] != [
            (c.function, len(c.arrays)) for c, _ in two
        ]:
            return False
        lines = []
        for (call, made), (after, _) in zip(one, two, strict=True):
            operands = []
            for a, b in zip(call.arrays, after.arrays, strict=True):
                if a is not b and (
                    a.base is None or a.base is not b.base or a.strides != b.strides
                ):
                    return False
                operands.append(self._track(a, b, len(steps)))
            lines.append(Line(call.name, call.function, operands, made))
        self.pieces.append(Loop(steps, lines))
        return True

    def _track(self, a: Array, b: Array, count: int) -> Any:
        """The arrays that go on as a and b do; a alone where they are one."""
        if a is b:
            return a
        key = (id(a), id(b), count)
        known = self._tracks.get(key)
        if known is not None:
            return known[2]
        step = b.__array_interface__["data"][0] - a.__array_interface__["data"][0]
        if not step:
            return a
        root = a.base
        assert root is not None, "what changes from step to step is a part of a block"
        ahead = a.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        furthest = ahead + step * (count - 1)
        assert 0 <= furthest < root.nbytes, "a stretch stays inside its block"
        whole = np.lib.stride_tricks.as_strided(a, (count, *a.shape), (step, *a.strides))
        parts = list(whole) if a.ndim else [whole[k, ...] for k in range(count)]
        self._tracks[key] = (a, b, parts)
        return parts

    def _step(self, unit: list[Family], t: int) -> list[tuple[Call, Column]]:
        """The calls of a unit at one step: one for all its families where they lie right."""
        here = [f for f in unit if f.steps[0] <= t <= f.steps[-1]]
        if not here:
            return []
        if len(here) > 1:
            joined = self._joined_step(here, t)
            if joined is not None:
                return [(joined, [f.nodes[t - f.steps[0]] for f in here])]
        found = []
        for family in here:
            n = family.nodes[t - family.steps[0]]
            found += [(call, [n]) for call in self._single(family, n)]
        return found

    def _joined_step(self, here: list[Family], t: int) -> Call | None:
        spots = self.spots
        outs = [spots[f.nodes[t - f.steps[0]]] for f in here]
        operands = [
            [spots[f.columns[k][t - f.steps[0]]] for f in here] for k in range(len(here[0].columns))
        ]
        return self._joined(here[0].op, operands, outs)

    def _joined(self, op: Any, operands: list[list[Spot]], outs: list[Spot]) -> Call | None:
        if op is ops.matmul:
            xs, ws = operands
            out, w = side_by_side(outs), side_by_side(ws)
            if out is None or w is None or not _all_same(xs):
                return None
            return lowering.matmul(self._at(xs[0]), self._at(w), self._at(out))
        ndim = len(outs[0].shape)
        out = _lanes(outs, ndim)
        if out is None or out.strides[0] == 0:
            return None
        given = []
        for lanes in operands:
            spot = lanes[0] if _all_same(lanes) else _lanes(lanes, ndim)
            if spot is None:
                return None
            given.append(self._at(spot))
        return lowering.elementwise(op.forward, given, self._at(out))

    def _products(self, family: Family, spots: list[Spot], n: int) -> list[Call]:
        """x₁ @ W₁ + x₂ @ W₂ + …: one product where the x and the W lie side by side."""
        half = len(spots) // 2
        xs, ws = spots[:half], spots[half:]
        out = self.spots[n]
        x, w = side_by_side(xs), _one_below_the_other(ws)
        if x is not None and w is not None:
            return [lowering.matmul(self._at(x), self._at(w), self._at(out))]
        block = self._temporary.get(family)
        if block is None:
            block = Block(out.shape, out.root.dtype, 1, 0, 0)
            self._temporary[family] = block
        part = self._at(block.spot(0, 0))
        result = self._at(out)
        calls = [lowering.matmul(self._at(xs[0]), self._at(ws[0]), result)]
        for a, b in zip(xs[1:], ws[1:], strict=True):
            calls.append(lowering.matmul(self._at(a), self._at(b), part))
            calls.append(lowering.elementwise(np.add, (result, part), result))
        return calls

    # -- all steps at once -------------------------------------------------------------------------

    def _stack(self, column: Column) -> Array:
        """All steps' values as one array, its first axis the steps; gathered where they lie apart."""
        spots = [self.spots[a] for a in column]
        found = stacked(spots)
        if found is not None:
            return found
        key = tuple(column)
        if key in self._flats:
            return self._flats[key]
        block = Block(spots[0].shape, spots[0].root.dtype, 1, 0, len(spots) - 1)
        whole = stacked([block.spot(0, k) for k in range(len(spots))])
        assert whole is not None
        start = 0
        while start < len(spots):
            end = start + 1
            while end < len(spots) and spacing(spots[start : end + 1]) is not None:
                end += 1
            part = stacked(spots[start:end])
            assert part is not None
            self._add(
                [lowering.Call("copyto", np.copyto, (whole[start:end], part))], column[start:end]
            )
            start = end
        self._flats[key] = whole
        return whole

    def _batch(self, unit: list[Family]) -> None:
        first = unit[0]
        if len(unit) > 1 and first.op is ops.matmul:
            outs = self._side_by_side_over_time([f.nodes for f in unit])
            w = side_by_side([self.spots[f.columns[1][0]] for f in unit])
            if outs is not None and w is not None:
                x = self._stack(first.columns[0])
                ndims = (x.ndim - 1, 2)
                call = lowering.matmul_over_steps(x, self._at(w), outs, ndims, (True, False))
                self._add([call], [f.nodes[0] for f in unit])
                return
        for family in unit:
            self._batch_of_one(family)

    def _batch_of_one(self, family: Family) -> None:
        program = self.program
        moves = [not is_same(c) for c in family.columns]
        xs = [
            self._stack(c) if m else self._value(c[0])
            for c, m in zip(family.columns, moves, strict=True)
        ]
        out = stacked([self.spots[n] for n in family.nodes])
        assert out is not None, "a family lies evenly spaced"
        ndim = len(program.shape[family.nodes[0]])
        if family.op is ops.matmul:
            ndims = tuple(len(program.shape[c[0]]) for c in family.columns)
            call = lowering.matmul_over_steps(xs[0], xs[1], out, ndims, tuple(moves))  # type: ignore[arg-type]
            self._add([call], family.nodes)
            return
        if family.op.name in ("sum", "max"):
            if not moves[0]:
                xs = [np.broadcast_to(xs[0], (len(family.nodes), *xs[0].shape))]
        else:
            xs = [lowering.padded(x, ndim) if m else x for x, m in zip(xs, moves, strict=True)]
        self._add(lowering.calls_of(family.op, family.static, xs, out, 1), family.nodes)

    def _side_by_side_over_time(self, lanes: list[Column]) -> Array | None:
        """The lanes of all steps as one array: (steps, …, lanes side by side)."""
        joined = []
        for nodes in zip(*lanes, strict=True):
            spot = side_by_side([self.spots[n] for n in nodes])
            if spot is None:
                return None
            joined.append(spot)
        return stacked(joined)

    # -- sums over time ----------------------------------------------------------------------------

    def _totals(self, unit: list[Family]) -> None:
        if len(unit) > 1:
            parts = [next(iter(self.families.reads(f))) for f in unit]
            out = side_by_side([self.spots[f.nodes[0]] for f in unit])
            ordered = all(p.steps == parts[0].steps for p in parts)
            rows = self._rows([p.columns[-1] for p in parts], turned=True) if ordered else None
            if out is not None and rows is not None:
                self._contract(parts[0], rows, self._at(out), [f.nodes[0] for f in unit])
                return
        for family in unit:
            self._total(family)

    def _total(self, family: Family) -> None:
        n = family.nodes[0]
        out, of = self._value(n), self.families.of
        terms = self.program.args[n]
        if all(a in of and self.places.kind[of[a]] == ABSORBED for a in terms) and (
            of[terms[0]].op is ops.scatter
        ):
            self._scattered(n)
            return
        sources: dict[Family | None, Column] = {}
        for a in terms:
            sources.setdefault(of.get(a), []).append(a)
        written = False
        for source, column in sources.items():
            target = out
            if written:
                target = self._at(Block(out.shape, out.dtype, 1, 0, 0).spot(0, 0))
            if source is not None and self.places.kind[source] == ABSORBED:
                rows = self._rows([source.columns[-1]], turned=True)
                assert rows is not None
                self._contract(source, rows, target, [n])
            else:
                ordered = column if source is None else sorted(column, key=source.nodes.index)
                stack = self._stack(ordered)
                self._add([Call("sum", lowering.sum_of_steps, (stack, target))], [n])
            if written:
                self._add([lowering.elementwise(np.add, (out, target), out)], [n])
            written = True

    def _contract(self, part: Family, rows: Array, out: Array, made: Column) -> None:
        """Σ_t a_t @ b_t as one product; `rows` has all b as (columns, steps · batch)."""
        if part.op is ops.summed:
            self._add([Call("sum", lowering.sum_of_columns, (rows, out))], made)
            return
        left = self._rows([part.columns[0]], turned=False)
        assert left is not None
        self._add([lowering.matmul(left, rows.T, out)], made)

    def _rows(self, columns: list[Column], turned: bool) -> Array | None:
        """Values of all steps beside each other: (F, steps · N), from (F, N) or, turned, (N, F)."""
        key = (turned, *[tuple(c) for c in columns])
        if key in self._flats:
            return self._flats[key]
        if len(columns) == 1:
            stack = self._stack(columns[0])
        else:
            found = self._side_by_side_over_time(columns)
            if found is None:
                return None
            stack = found
        whole = stack.swapaxes(1, 2) if turned else stack
        L, F, N = whole.shape
        s_l, s_f, s_n = whole.strides
        if N == 1 or s_l == N * s_n or L == 1:
            step = s_l if N == 1 else s_n
            flat = np.lib.stride_tricks.as_strided(whole, (F, L * N), (s_f, step))
        else:
            made = np.zeros((F, L, N), whole.dtype)
            self._add([Call("copyto", np.copyto, (made, whole.transpose(1, 0, 2)))], columns[0])
            flat = made.reshape(F, L * N)
        self._flats[key] = flat
        return flat

    def _scattered(self, n: int) -> None:
        """Write each part where it belongs; parts do not overlap."""
        program, of = self.program, self.families.of
        out = self._value(n)
        terms = program.args[n]
        if sum(int(np.prod(program.shape[program.args[a][0]])) for a in terms) < out.size:
            self._add([Call("fill", lowering.fill, (np.zeros((), out.dtype), out))], [n])
        sources: dict[Family, Column] = {}
        for a in terms:
            sources.setdefault(of[a], []).append(a)
        for source, column in sources.items():
            ordered = sorted(column, key=source.nodes.index) if len(column) > 1 else column
            parts = [lowering.part_of(out, program.static[a]["index"]) for a in ordered]
            whole = stacked([spot_of(part, self.spots[n].root) for part in parts])
            given = [program.args[a][0] for a in ordered]
            if len(parts) > 1 and whole is not None:
                self._add([lowering.copy(self._stack(given), whole)], [n])
                continue
            for a, part in zip(given, parts, strict=True):
                self._add([lowering.copy(self._value(a), part)], [n])


class _Unit:
    """Families that run together, as one thing to put in order."""

    def __init__(self, number: int, families: list[Family]) -> None:
        self.number, self.families = number, families


def _bends(spots: list[Spot]) -> list[int]:
    """Where a sequence of spots stops going on evenly: each is the first of a new stretch."""
    found = []
    step: int | None = None
    before = spots[0]
    for k in range(1, len(spots)):
        spot = spots[k]
        apart = spot.offset - before.offset
        if spot.root is not before.root or spot.strides != before.strides:
            found.append(k)
            step = None
        elif step is None:
            step = apart
        elif apart != step:
            found.append(k)
            step = None
        before = spot
    return found


def _all_same(spots: list[Spot]) -> bool:
    first = spots[0]
    return all(
        s.offset == first.offset
        and s.root is first.root
        and s.strides == first.strides
        and s.shape == first.shape
        for s in spots
    )


def _lanes(spots: list[Spot], ndim: int) -> Spot | None:
    """The spots as one with a new first axis, their own axes filled up to `ndim`."""
    step = spacing(spots)
    if step is None:
        return None
    first = spots[0]
    more = (1,) * (ndim - len(first.shape))
    return Spot(
        first.root,
        first.offset,
        (len(spots), *more, *first.shape),
        (step, *(0 for _ in more), *first.strides),
    )


def _one_below_the_other(spots: list[Spot]) -> Spot | None:
    """Matrices as one with all their rows; None where they do not touch."""
    step = spacing(spots)
    first = spots[0]
    if step is None or (len(spots) > 1 and step != first.shape[0] * first.strides[0]):
        return None
    return Spot(
        first.root, first.offset, (len(spots) * first.shape[0], first.shape[1]), first.strides
    )


__all__ = ["VIEW", "Line", "Loop", "Schedule", "Straight"]
