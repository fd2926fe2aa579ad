"""A grid for a learner's own cell, made from its anatomy: states on straight lines, gates in a row.

The state that passes only ⊙ and + from step to step is the conveyor on top; gates stand in columns
below it, inputs and the other states run on buses below the gates. Each ⊙ and + stands where its
operands say: on the conveyor, between gates and conveyor, below the gate it feeds, or to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from statistics import mean

from microrecur.drawing.anatomy import Anatomy
from microrecur.drawing.blueprint import CIRCLE, GAP, INPUT, STATE, Blueprint, GatePanel, Place
from microrecur.drawing.own_lines import Lines
from microrecur.drawing.own_regions import Regions

_FLIP = (42.0, 42.0)  # the circle of 1−f
_APART = 46.0  # between neighbours on the conveyor


@dataclass(frozen=True, slots=True)
class _Density:
    """Lengths of one level: alone a cell has room, unrolled steps stand close."""

    column: float  # of a gate
    gap: float
    between: float  # column of a ⊙ that feeds a gate
    start: float
    tail: float  # from the last gate to what makes the other states
    edge: float
    rows: tuple[float, float, float, float]  # ⊙ below the conveyor, next, gates below it, affine
    bus: float  # from the gates' feet to the first bus
    next_bus: float


_OP_ONE = _Density(142.0, 14.0, 92.0, 30.0, 66.0, 60.0, (-78.0, -62.0, -94.0, -92.0), 92.0, 50.0)
_OP = _Density(100.0, 6.0, 66.0, 10.0, 52.0, 34.0, (-78.0, -62.0, -94.0, -92.0), 92.0, 50.0)
_GATE_ONE = _Density(124.0, 26.0, 80.0, 40.0, 60.0, 50.0, (-62.0, -56.0, -84.0, 0.0), 116.0, 64.0)
_GATE = _Density(50.0, 6.0, 46.0, 14.0, 42.0, 12.0, (-62.0, -56.0, -84.0, 0.0), 106.0, 62.0)
WIDEST = 118.0  # column of a gate among several steps, by gate


@lru_cache(maxsize=256)
def own_cell(anatomy: Anatomy, single: bool, column: float = 0.0, path: bool = False) -> Blueprint:
    """The grid of one step.

    Parameters
    ----------
    anatomy
        What there is, and what feeds what.
    single
        Whether one step stands for the cell.
    column
        Width of a gate's column; 0 for the least that is legible.
    path
        Whether a path is drawn: its labels stand below the buses of states, free of other lines.
    """
    return Desk(Regions(anatomy), single, column, path and not single).blueprint()


def column(anatomy: Anatomy, spare: float) -> float:
    """How wide a gate's column may be when each of several steps has some length to spare."""
    least, most = (_OP.column, _OP_ONE.column) if anatomy.level == "op" else (_GATE.column, WIDEST)
    of = Regions(anatomy)
    growing = len(of.owners) + 0.9 * len(of.under) + 0.8
    steps = int(max(0.0, spare) / growing / 8.0)  # in eights: few grids to work out
    return min(most, least + 8.0 * steps)


@dataclass
class Desk:
    """A grid in the making."""

    of: Regions
    single: bool
    column: float
    path: bool = False
    places: dict[str, Place] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)  # columns of gates and what feeds them

    @cached_property
    def by_op(self) -> bool:
        """Whether pre-activations are drawn."""
        return self.of.anatomy.level == "op"

    @cached_property
    def density(self) -> _Density:
        """The lengths of this level, with columns as wide as asked for."""
        one, many = (_OP_ONE, _OP) if self.by_op else (_GATE_ONE, _GATE)
        found = one if self.single else many
        if self.column <= found.column:
            return found
        wider = self.column / found.column
        values = {**{name: getattr(found, name) for name in found.__slots__}, "column": self.column}
        values["between"] = found.between * min(wider, 1.6)
        return _Density(**values)

    # ------------------------------------------------------------ rows

    @cached_property
    def gate_row(self) -> float:
        """The row of the gates: below all that stands under the conveyor."""
        if self.of.top is None:
            return -42.0
        first, more, last, _ = self.density.rows
        levels = max(self.of.depth.values(), default=0)
        return (first + more * (levels - 1) + last) if levels else first + last

    @cached_property
    def affine_row(self) -> float:
        """The row of the pre-activations."""
        apart = any(foot != owner for foot, owner in self.of.feet.items())
        return self.gate_row + (self.density.rows[3] or (-84.0 if apart else 0.0))

    @cached_property
    def under_row(self) -> float:
        """The row of what feeds pre-activations."""
        return self.affine_row - (58.0 if self.by_op else 74.0)

    @cached_property
    def buses(self) -> dict[str, float]:
        """The row on which each state, then each input, runs to the gates."""
        feeding = [
            s
            for s in (*self.of.states, *self.of.inputs)
            if s in self.of.fed_from or s != self.of.top
        ]
        row = (self.under_row + 36.0 if self.of.under else self.affine_row) - self.density.bus
        found: dict[str, float] = {}
        if self.inputs_first:
            row += self.density.bus - 54.0
        for source in sorted(feeding, key=self._bus_order):
            if found and self.inputs_first and source not in self.of.inputs:
                row = min(row, self.affine_row - 54.0 - self.density.bus)
            found[source] = row
            near = self.inputs_first and source in self.of.inputs
            row -= 14.0 if near else self.density.next_bus
        return found

    @cached_property
    def inputs_first(self) -> bool:
        """Whether inputs run above the states' buses, so that nothing crosses below those."""
        return self.path and not self.by_op and not self.of.under

    def _bus_order(self, source: str) -> tuple[bool, bool]:
        return (source in self.of.inputs) != self.inputs_first, source == self.of.top

    # ------------------------------------------------------------ places

    def blueprint(self) -> Blueprint:
        """Places first, then the lines between them."""
        self._set_columns()
        right = self._set_tail(self._set_gates())
        width = right + self.density.edge
        beyond = width + GAP / 2
        rows = {
            state: 0.0 if state == self.of.top else self.buses[state] for state in self.of.states
        }
        boxes = {state: Place(beyond, row, STATE, "state") for state, row in rows.items()}
        lowest = self._set_inputs()
        self._set_conveyor(width)
        low = lowest - (24.0 if self.single else 26.0)
        return Blueprint(
            places=self.places,
            boxes=boxes,
            routes=Lines(self, boxes, width).routes(),
            panels=self._panels() if self.by_op else (),
            width=width,
            pitch=width + GAP,
            low=low,
            high=46.0 if self.single else 52.0 if self.by_op else 62.0,
            name="cell",
            conveyor=self._conveyor_pairs(),
            loss_rail=low - 20.0,
            level=0 if self.single or self.by_op else 1,
            caption_low=not self.single and not self.by_op,
            initial=dict(boxes),
        )

    def _set_columns(self) -> None:
        density = self.density
        x = density.start + (35.0 if self.path and not self.by_op else 0.0)
        for owner in self.of.owners:
            for name in [op for op, at in self.of.under.items() if at == owner]:
                self.at[name] = x + density.between / 2
                x += density.between + density.gap
            self.at[owner] = x + density.column / 2
            x += density.column + density.gap

    def _set_gates(self) -> float:
        """Gates, pre-activations and what feeds them; returns where the last column ends."""
        wide = self.density.column - (14.0 if self.by_op else 0.0)
        for foot, owner in self.of.feet.items():
            x = self.at[owner]
            if foot != owner:
                size = (min(wide, 104.0), 30.0)
                self.places[foot] = Place(x, self.affine_row, size, "affine")
            if self.of.anatomy.part(owner).role == "pre-activation":
                self.places[owner] = Place(x, self.affine_row, (min(wide, 104.0), 30.0), "affine")
            elif self.by_op:
                self.places[owner] = Place(x, self.gate_row, (min(wide, 96.0), 46.0), "slope")
            else:
                size = (min(wide, 78.0 if self.single else 50.0), 60.0)
                self.places[owner] = Place(x, self.gate_row, size, "stacked")
        for name in self.of.under:
            self.places[name] = self._op(name, self.at[name], self.under_row)
        return max(self.at[owner] for owner in self.of.owners) + self.density.column / 2

    def _op(self, name: str, x: float, row: float) -> Place:
        part = self.of.anatomy.part(name)
        if part.role == "named":
            return Place(x, row, (min(self.density.column, 84.0), 30.0), "affine")
        if part.slope:
            return Place(x, row, (62.0 if self.single else 54.0, 40.0), "slope")
        return Place(x, row, _FLIP if ".sub" in f".{name}" else CIRCLE, "op")

    def _set_tail(self, right: float) -> float:
        """What makes the states below: rows from the conveyor down; returns the last column."""
        if not self.of.tail:
            return right + 14.0 - self.density.edge
        x = right + self.density.tail
        if any(len(self.of.chains.get(name, ())) > 1 for name in self.of.tail):
            x += 0.0 if self.single else 30.0
        for state in [name for name in self.of.tail if name in self.of.states]:
            chain = self.of.chains.get(state, [state])
            before = self.of.before(state)
            above = [
                n for n in self.of.tail if n in before and n not in chain and n not in self.places
            ]
            for name in chain[:-1]:
                self.places[name] = self._op(name, x, self.buses[state])
                x += _APART + 8.0
            row = self.buses[state] if len(chain) > 1 else self.gate_row
            self.places[state] = self._op(state, x, row)
            for number, name in enumerate(reversed(above), 1):
                y = row - row * number / (len(above) + 1)
                self.places[name] = self._op(name, x, y)
            x += _APART + 14.0
        return x - _APART - 14.0

    def _set_inputs(self) -> float:
        """Inputs at the left of their bus, or below it; returns the lowest row."""
        lowest = min(self.buses.values(), default=self.affine_row)
        first = self.at[self.of.owners[0]]
        x = first if len(self.of.owners) < 2 else mean((first, self.at[self.of.owners[-1]]))
        if self.inputs_first:
            lowest -= 32.0
            x = self.density.start + 36.0 + 45.0 * (len(self.of.inputs) - 1)
        for number, name in enumerate(self.of.inputs):
            row = self.buses[name]
            if self.single:
                self.places[name] = Place(-GAP / 2, row, STATE, "state")
            else:
                side = x + (number - (len(self.of.inputs) - 1) / 2) * 90.0
                self.places[name] = Place(side, lowest - 32.0, INPUT, "input")
        return lowest if self.single or not self.of.inputs else lowest - 32.0

    def _set_conveyor(self, width: float) -> None:
        """⊙ and + of the conveyor above what feeds them; then the middle, between its ends."""
        if self.of.top is None:
            return
        chain = self.of.chains[self.of.top]
        x = self.density.start + 6.0 - _APART / 2
        for name in chain:
            wanted = [c for link in self._side_inputs(name, chain) for c in self._above(link)]
            x = max([x + _APART, mean(wanted)] if wanted else [x + _APART])
            self.places[name] = self._op(name, min(x, width - 24.0), 0.0)
        first, more, _, _ = self.density.rows
        for name in sorted(self.of.middle, key=lambda n: self.of.depth[n]):
            after = [self.places[t].x for t in self._targets(name) if t in self.places]
            own = self._above(name)
            x = mean([*after, *own[:1]]) if len(own) == 1 else mean(own or after)
            if after and abs(after[0] - x) < _APART / 2:
                x = after[0]
            self.places[name] = self._op(name, x, first + more * (self.of.depth[name] - 1))
        self._spread_middle()

    def _targets(self, name: str) -> list[str]:
        return [link.target for link in self.of.anatomy.out_of(name) if not link.lag]

    def _side_inputs(self, name: str, chain: list[str]) -> list[str]:
        """What an op of the conveyor reads besides the conveyor, nearest first."""
        return [
            link.source
            for link in self.of.anatomy.into(name)
            if not link.lag and link.source not in chain
        ]

    def _above(self, name: str) -> list[float]:
        """Columns of the gates that a part is made from, without passing through gates."""
        if name in self.at:
            return [self.at[name]]
        found: list[float] = []
        for link in self.of.anatomy.into(name):
            if not link.lag and link.source in (*self.at, *self.of.middle):
                found += self._above(link.source)
        return sorted(set(found))

    def _spread_middle(self) -> None:
        """Move apart what would stand on one another in a row."""
        for level in set(self.of.depth.values()):
            row = sorted(
                (n for n in self.of.middle if self.of.depth[n] == level),
                key=lambda n: self.places[n].x,
            )
            for left, name in pairwise(row):
                place, least = self.places[name], self.places[left].x + _APART
                if place.x < least:
                    self.places[name] = Place(least, place.y, place.size, place.look)

    def _conveyor_pairs(self) -> frozenset[tuple[str, str]]:
        if self.of.top is None:
            return frozenset()
        chain = self.of.chains[self.of.top]
        names = [f"{self.of.top}-", *chain, self.of.top]
        return frozenset(pairwise(names))

    def _panels(self) -> tuple[GatePanel, ...]:
        """A panel behind each gate and its pre-activation."""
        found = []
        for foot, owner in self.of.feet.items():
            if foot == owner:
                continue
            x, half = self.at[owner], self.density.column / 2
            low, high = self.affine_row - 50.0, self.gate_row + 30.0
            label = (x, self.affine_row - 38.0)
            title = self.of.anatomy.part(owner).title or owner
            title = title if self.single else title.removesuffix(" gate")
            found.append(GatePanel((owner, foot), (x - half, low), (x + half, high), title, label))
        return tuple(found)
