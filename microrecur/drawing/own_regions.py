"""Which region of its grid each part of a learner's own cell belongs to.

Gates (and states that are slopes) have columns. The rest are ⊙ and +: on the conveyor, between
conveyor and gates, below the gate they feed, or to the right of all, where the other states form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from microrecur.drawing.anatomy import Anatomy


@dataclass
class Regions:
    """An anatomy, sorted."""

    anatomy: Anatomy

    @cached_property
    def states(self) -> tuple[str, ...]:
        """What a step leaves for the next."""
        return self.anatomy.named("state")

    @cached_property
    def ops(self) -> set[str]:
        """What stands apart from the columns of gates: ⊙, +, tanh of a state."""
        return set(self.anatomy.named("op", "named"))

    @cached_property
    def owners(self) -> list[str]:
        """What has a column: gates, states that are slopes, pre-activations of neither."""
        found = []
        for part in self.anatomy.parts:
            if (
                part.role == "gate"
                or (part.role == "state" and self._is_slope_state(part.name))
                or (part.role == "pre-activation" and self._owner_of(part.name) == part.name)
            ):
                found.append(part.name)
        return found

    def _is_slope_state(self, name: str) -> bool:
        return self.anatomy.part(name).slope

    def _owner_of(self, pre: str) -> str:
        """The gate whose pre-activation this is; itself if there is none."""
        for link in self.anatomy.out_of(pre):
            part = self.anatomy.part(link.target)
            if not link.lag and part.slope and part.role in ("gate", "state"):
                return link.target
        return pre

    @cached_property
    def feet(self) -> dict[str, str]:
        """Where lines from below land -> the owner of that column."""
        found: dict[str, str] = {}
        for owner in self.owners:
            pres = [
                link.source
                for link in self.anatomy.into(owner)
                if self.anatomy.part(link.source).role == "pre-activation"
            ]
            found |= dict.fromkeys(pres[:1] or [owner], owner)
        return found

    @cached_property
    def chains(self) -> dict[str, list[str]]:
        """State -> the ⊙ and + on its straight line from step to step, itself last."""
        found: dict[str, list[str]] = {}
        for state in self.states:
            chain = self._chain(state)
            if chain and state not in self.owners:
                found[state] = chain
        return found

    def _chain(self, state: str) -> list[str]:
        ways = [[link.target] for link in self.anatomy.out_of(state) if link.lag and link.plain]
        while ways:
            way = ways.pop(0)
            if way[-1] == state:
                return way
            if way[-1] in self.ops:
                ways += [
                    [*way, link.target]
                    for link in self.anatomy.out_of(way[-1])
                    if link.plain and not link.lag and link.target not in way
                ]
        return []

    @cached_property
    def top(self) -> str | None:
        """The conveyor: of several, one that no other state of the same step is made into."""
        free = [s for s in self.chains if not self._reads_states(s)]
        return next(iter(free or self.chains), None)

    def _reads_states(self, state: str) -> bool:
        return bool(self.before(state) & (set(self.states) - {state}))

    def before(self, name: str) -> set[str]:
        """All that a part is made from within the step."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for link in self.anatomy.into(waiting.pop()):
                if not link.lag and link.source not in found:
                    found.add(link.source)
                    waiting.append(link.source)
        return found

    @cached_property
    def under(self) -> dict[str, str]:
        """⊙ and + on the way into a gate -> the owner of the column they stand beside."""
        found: dict[str, str] = {}
        for foot, owner in self.feet.items():
            waiting = [foot]
            while waiting:
                for link in self.anatomy.into(waiting.pop()):
                    if not link.lag and link.source in self.ops and link.source not in found:
                        found[link.source] = owner
                        waiting.append(link.source)
        return found

    @cached_property
    def middle(self) -> list[str]:
        """What stands between the gates and the conveyor."""
        if self.top is None:
            return []
        before = self.before(self.top) - set(self.chains[self.top]) - set(self.under)
        return [name for name in self.anatomy.named("op", "named") if name in before]

    @cached_property
    def tail(self) -> list[str]:
        """What makes the other states, to the right of all gates, in the order of recording."""
        placed = {*self.middle, *self.under, *(self.chains.get(self.top or "", ()))}
        return [
            part.name
            for part in self.anatomy.parts
            if part.name not in placed
            and (
                part.name in self.ops or (part.name in self.states and part.name not in self.owners)
            )
        ]

    @cached_property
    def depth(self) -> dict[str, int]:
        """How far below the conveyor each part of the middle stands."""
        found: dict[str, int] = {}
        for name in reversed(self.middle):
            after = [link.target for link in self.anatomy.out_of(name) if not link.lag]
            found[name] = 1 + max((found.get(target, 0) for target in after), default=0)
        return found

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """What comes in from outside."""
        return self.anatomy.named("input")

    @cached_property
    def fed_from(self) -> set[str]:
        """The states and inputs that gates, or what leads to gates, read."""
        targets = {*self.feet, *self.under}
        return {
            link.source
            for link in self.anatomy.links
            if link.target in targets and (link.lag or link.source in self.inputs)
        }
