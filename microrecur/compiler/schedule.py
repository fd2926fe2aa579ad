"""The calls of a program in the order they run: once each, or in a loop over the steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from microrecur.compiler import lowering
from microrecur.compiler.batches import Array, Batches, Line, Loop
from microrecur.compiler.families import TOTAL, Column, Family, is_same
from microrecur.compiler.kinds import BATCH, LOOP, SINGLE
from microrecur.compiler.lowering import Call
from microrecur.compiler.places import Places
from microrecur.compiler.recurrence import Recurrence, in_order
from microrecur.compiler.storage import Spot, side_by_side, spacing
from microrecur.engine import ops


class Schedule(Batches):
    """Everything that runs at a call, as Straight and Loop pieces."""

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self._tracks: dict[Any, Any] = {}
        for unit in self._ordered():
            self._run(unit)
        lowering.forget_flips()

    # -- order -------------------------------------------------------------------------------------

    def _ordered(self) -> list[list[Family]]:
        """Units of families that run together, each after all it reads."""
        places = self.places
        units: list[list[Family]] = [list(r.families) for r in places.recurrences]
        for group in places.groups:
            if places.kind[group[0]] in (BATCH, SINGLE):
                units.append(group + [places.biased[f][0] for f in group if f in places.biased])
        taken = {f for unit in units for f in unit}
        alive = self.families.alive.values()
        units += [[f] for f in alive if f not in taken]
        ordered = self._in_order(units)
        if ordered is None:  # what could be one call depends on itself: apart, then
            loops = [list(r.families) for r in places.recurrences]
            taken = {f for unit in loops for f in unit}
            self.places.biased = {}
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
        """Write one loop for a stretch; False where its first two steps make different calls."""
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
            if len(here) > 2:
                for apart in here:  # all but one, then
                    rest = [f for f in here if f is not apart]
                    if self._joined_step(rest, t) is not None:
                        return self._step(rest, t) + self._step([apart], t)
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
