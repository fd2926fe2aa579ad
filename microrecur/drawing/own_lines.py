"""The lines of a learner's own cell: conveyor and buses as in a textbook, a way for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from microrecur.drawing.anatomy import Link
from microrecur.drawing.blueprint import GAP, Home, Place, Route, onto_conveyor
from microrecur.drawing.overlaps import Box
from microrecur.drawing.routing import Router
from microrecur.drawing.scene import Point

if TYPE_CHECKING:
    from microrecur.drawing.own_layout import Desk
    from microrecur.drawing.own_regions import Regions


@dataclass
class Lines:
    """The lines of one step."""

    desk: Desk
    boxes: dict[str, Place]
    width: float

    @property
    def of(self) -> Regions:
        """What belongs where."""
        return self.desk.of

    def routes(self) -> dict[tuple[str, str], Route]:
        """Straight lines and buses as they are; a way for every other line."""
        router = Router(columns=self._free_columns(), rows=self._free_rows())
        for name, place in self.desk.places.items():
            router.shapes[name] = Box.around((place.x, place.y), place.size)
        for name, place in self.boxes.items():
            router.shapes[f"{name}#"] = Box.around((place.x, place.y), place.size)
            old = (place.x - self.width - GAP, place.y)
            router.shapes[f"{name}-"] = Box.around(old, place.size)
        known = self._own_lines() | self._buses_lines()
        for (source, target), route in known.items():
            start, end = router.shapes[source], router.shapes[target + "#" * (source == target)]
            at = [((b.left + b.right) / 2, (b.low + b.high) / 2) for b in (start, end)]
            router.keep(source, (at[0], *route.corners(*at), at[1]))
        found = dict(known)
        links = [(f"{link.source}{'-' * link.lag}", link.target) for link in self.of.anatomy.links]
        links += [(state, state) for state in self.of.states]
        waiting = [pair for pair in links if pair not in known]
        for source, target in sorted(waiting, key=lambda pair: self._reach(router, *pair)):
            into = f"{target}#" if source == target else target
            corners = router.corners(source, source, into)
            found[source, target] = self._found(router, source, into, corners)
        return found

    def _reach(self, router: Router, source: str, target: str) -> tuple[bool, float]:
        """Boxes first, then what is near."""
        one, other = router.shapes[source], router.shapes[target]
        return source != target, abs(one.left - other.left) + abs(one.low - other.low)

    def _found(self, router: Router, source: str, target: str, corners: tuple[Point, ...]) -> Route:
        """The way as a rule: columns near an end move with it, for steps and folds lie anywhere."""
        from_state = source in self.of.states
        if not corners:
            return Route(label="optional", from_op=from_state)
        (sx, _), (tx, _) = (
            ((b.left + b.right) / 2, 0.0) for b in (router.shapes[source], router.shapes[target])
        )
        first = (
            corners[0][0] - sx if source.endswith("-") and abs(corners[0][0] - sx) < 30 else None
        )

        def rule(start: Point, end: Point) -> tuple[Point, ...]:
            moved = [(x - tx + end[0], y) for x, y in corners]
            if first is not None:
                moved[0] = (start[0] + first, moved[0][1])
            return tuple(moved)

        shared = len(corners) > 1
        return Route(rule, label="optional", from_op=from_state, last_leg=shared)

    def _own_lines(self) -> dict[tuple[str, str], Route]:
        """The conveyor, and every gate's own line from its pre-activation."""
        found = {}
        if self.of.top is not None:
            first = self.of.chains[self.of.top][0]
            reach = self.desk.places[first].x - 6.0
            found[f"{self.of.top}-", first] = (
                Route(label="optional") if self.desk.single else onto_conveyor(reach)
            )
            for pair in zip(
                self.of.chains[self.of.top], self.of.chains[self.of.top][1:], strict=False
            ):
                found[pair] = Route(label="optional")
        for state in self.of.states:
            chain = self.of.chains.get(state, [state])
            if state == self.of.top:
                continue
            if state in self.desk.places and len(chain) == 1:
                found[state, state] = Route(_down, label="optional")
            elif len(chain) > 1:
                found[f"{state}-", chain[0]] = Route(label="optional", home=_left_of_end)
        for target in self.of.tail:
            if self.of.top is not None and (self.of.top, target) in self._pairs:
                found[self.of.top, target] = Route(
                    _aside, tap=True, label="optional", from_op=True, last_leg=True
                )
        for foot, owner in self.of.feet.items():
            if foot != owner:
                aside = 0.0 if self.desk.single else -self.desk.density.column * 0.3
                found[foot, owner] = Route(_up(aside)) if aside else Route()
        return found

    @cached_property
    def _pairs(self) -> set[tuple[str, str]]:
        """What feeds what within a step."""
        return {(link.source, link.target) for link in self.of.anatomy.links if not link.lag}

    def _buses_lines(self) -> dict[tuple[str, str], Route]:
        """Along a bus, then straight up: states left of the foot's middle, inputs right of it."""
        found = {}
        for foot in (*self.of.feet, *self.of.under):
            links = [link for link in self.of.anatomy.into(foot) if self._on_bus(link)]
            links.sort(key=lambda link: (link.source in self.of.inputs, link.lag != 0))
            half = self.desk.places[foot].size[0] / 2
            share = (0.74 if self.desk.by_op else 0.5) * half if len(links) > 1 else 0.0
            for number, link in enumerate(links):
                offset = -share + 2 * share * number / max(1, len(links) - 1)
                key = f"{link.source}{'-' * link.lag}", foot
                found[key] = self._leg(link, offset)
        return found

    def _on_bus(self, link: Link) -> bool:
        if link.source in self.of.under and not link.lag:
            return link.target in self.of.feet
        return link.source in self.desk.buses and (bool(link.lag) or link.source in self.of.inputs)

    def _leg(self, link: Link, offset: float) -> Route:
        if link.source in self.of.under and not link.lag:
            return Route(_leg_from_row(offset), label="optional", last_leg=True)
        row = self.desk.buses[link.source]
        on_row = link.source != self.of.top and (self.desk.single or link.source in self.of.states)
        lane = -28.0 if self.desk.inputs_first and link.source in self.of.inputs else 0.0
        route = _leg_from_row(offset) if on_row else _rail(row, offset, lane)
        home = _below_bus(row, offset) if self.desk.inputs_first and link.lag else None
        return Route(route, label="optional", last_leg=True, home=home)

    def _free_columns(self) -> list[float]:
        """Between neighbouring columns, and at both ends."""
        centres = sorted({p.x for p in self.desk.places.values() if p.x > 0.0})
        between = [(a + b) / 2 for a, b in pairwise(centres) if b - a > 30.0]
        return [6.0, *between, self.width - 8.0]

    def _free_rows(self) -> list[float]:
        top = self.desk.gate_row + (30.0 if self.desk.by_op else 42.0)
        foot = min(self.desk.affine_row, self.desk.gate_row) - (
            30.0 if not self.desk.by_op else 40.0
        )
        return [top + 6.0, top + 16.0, top + 26.0, foot - 10.0, foot - 22.0, -26.0, -38.0]


def _left_of_end(start: Point, end: Point, size: Point) -> Point:
    """Below the end of a state's line, right of all that crosses it."""
    return end[0] - 22.0 - size[0] / 2, end[1] - 6.0 - size[1] / 2


def _below_bus(row: float, offset: float) -> Home:
    """Under a state's bus, from the leg on: no line runs there."""

    def home(start: Point, end: Point, size: Point) -> Point:
        return end[0] + offset - 12.0 + size[0] / 2, row - 6.0 - size[1] / 2

    return home


def _down(start: Point, end: Point) -> tuple[Point, ...]:
    return ((start[0], end[1]),)


def _aside(start: Point, end: Point) -> tuple[Point, ...]:
    return ((end[0], start[1]),)


def _up(aside: float) -> Callable[[Point, Point], tuple[Point, ...]]:
    return lambda s, t: ((t[0] + aside, s[1]),)


def _leg_from_row(offset: float) -> Callable[[Point, Point], tuple[Point, ...]]:
    return lambda s, t: ((t[0] + offset, s[1]),)


def _rail(row: float, offset: float, lane: float) -> Callable[[Point, Point], tuple[Point, ...]]:
    return lambda s, t: ((s[0] + lane, row), (t[0] + offset, row))
