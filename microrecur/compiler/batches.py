"""Calls that run once: on single values, and on all steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microrecur.compiler import lowering
from microrecur.compiler.families import COPY, PRODUCTS, Column, Family, is_same
from microrecur.compiler.kinds import ABSORBED
from microrecur.compiler.lowering import Call
from microrecur.compiler.places import Places
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


class Batches:
    """Writes the calls of what does not recur, one after another, into `pieces`."""

    def __init__(self, places: Places) -> None:
        self.places, self.families = places, places.families
        self.program, self.spots = places.program, places.spots
        self.pieces: list[Straight | Loop] = []
        self._arrays: dict[Any, Array] = {}
        self._flats: dict[Any, Array] = {}
        self._temporary: dict[Any, Block] = {}
        self.ones: set[int] = set()  # arrays that begin as ones, by id

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
        if op.name == "stack" and program.static[n]["axis"] == 0:
            whole = stacked([self.spots[a] for a in args])
            if whole is not None:
                return [lowering.copy(whole, out)]
        if op is PRODUCTS:
            return self._products(family, [self.spots[a] for a in args], n)
        return lowering.calls_of(op, program.static[n], xs, out)

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
            block = self.places.block(out.shape, out.root.dtype, 1, 0, 0)
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
        """All steps' values as one array, steps first; gathered where they lie apart."""
        spots = [self.spots[a] for a in column]
        found = stacked(spots)
        if found is not None:
            return found
        key = tuple(column)
        if key in self._flats:
            return self._flats[key]
        block = self.places.block(spots[0].shape, spots[0].root.dtype, 1, 0, len(spots) - 1)
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
        if first in self.places.biased:
            group = [f for f in unit if f in self.places.biased]
            outs = self._side_by_side_over_time([f.nodes for f in group])
            if outs is not None and first in self.places.whole_weights:
                x = self._with_ones(first.columns[0])
                whole = self._at(self.places.whole_weights[first])
                call = lowering.matmul_over_steps(x, whole, outs, (2, 2), (True, False))
                self._add([call], [f.nodes[0] for f in group])
                return
        elif len(unit) > 1 and first.op is ops.matmul:
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

    def _with_ones(self, column: Column) -> Array:
        """[x 1] of all steps, the ones a last column; (steps, N, K) kept as (steps, K, N)."""
        key = ("ones", *column)
        known = self._flats.get(key)
        if known is None:
            x = self._stack(column)
            L, N, K = x.shape
            ones = np.ones((L, K + 1, N), x.dtype)
            self.ones.add(id(ones))
            known = ones.transpose(0, 2, 1)
            self._add([lowering.copy(x, known[..., :K])], column[:1])
            self._flats[key] = known
        return known

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
        if family.op is COPY:
            self._add([lowering.copy(xs[0], out)], family.nodes)
            return
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
                target = self._at(self.places.block(out.shape, out.dtype, 1, 0, 0).spot(0, 0))
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


def _one_below_the_other(spots: list[Spot]) -> Spot | None:
    """Matrices as one with all their rows; None where they do not touch."""
    step = spacing(spots)
    first = spots[0]
    if step is None or (len(spots) > 1 and step != first.shape[0] * first.strides[0]):
        return None
    return Spot(
        first.root, first.offset, (len(spots) * first.shape[0], first.shape[1]), first.strides
    )
