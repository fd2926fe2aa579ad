"""What depends on itself through time, in an order that one loop over the steps can follow."""

from __future__ import annotations

from typing import Any

from microrecur.compiler.families import Families, Family
from microrecur.compiler.lowering import VIEWS
from microrecur.engine import ops


class Recurrence:
    """Families that depend on each other through time, in an order that serves every step.

    Attributes
    ----------
    families : list of Family
        Ordered as one step computes them.
    direction : int
        +1 where later steps read earlier ones, −1 the other way.
    level : dict of Family to int
        How many families of the same step come before each at most.
    """

    def __init__(
        self, component: list[Family], direction: int, before: dict[Family, set[Family]]
    ) -> None:
        self.families = component
        self.direction = direction
        self.level: dict[Family, int] = {}
        for family in component:
            self.level[family] = max((self.level[f] + 1 for f in before[family]), default=0)


def recurrence_of(families: Families, component: list[Family]) -> Recurrence | None:
    """Order a strongly connected component; None where no loop over the steps computes it."""
    step, of = families.program.step, families.of
    members = {n for f in component for n in f.nodes}
    directions: set[bool] = set()
    before: dict[Family, set[Family]] = {f: set() for f in component}
    if any(family.steps[0] is None for family in component):
        return None
    for family in component:
        for column in family.columns:
            for a, t in zip(column, family.steps, strict=True):
                if a in members:
                    ta = step[a]
                    if ta == t:
                        before[family].add(of[a])
                    else:
                        directions.add(ta < t)
    ordered = in_order(component, before)
    if len(directions) != 1 or ordered is None:
        return None
    return Recurrence(ordered, 1 if directions.pop() else -1, before)


def in_order(items: list[Any], before: dict[Any, set[Any]]) -> list[Any] | None:
    """The items so that each comes after those before it; None where they go round."""
    rest = sorted(items, key=lambda f: f.number)
    waiting = {f: set(before[f]) for f in rest}
    after: dict[Any, list[Any]] = {f: [] for f in rest}
    for f in rest:
        for g in waiting[f]:
            after[g].append(f)
    ready = [f for f in rest if not waiting[f]]
    found = []
    for f in ready:  # grows as it goes
        found.append(f)
        for g in after[f]:
            waiting[g].discard(f)
            if not waiting[g]:
                ready.append(g)
    return found if len(found) == len(rest) else None


# -- σ as tanh -------------------------------------------------------------------------------------

_FRESH = {"exp", "sigmoid", "softplus", "cos", "sech2"}  # the same to rounding when x is
_AWAY = {"neg", "add", "sub", "mul", "matmul", "tanh", "sin", "sum", "stack", "concatenate",
         "scatter", "where", "held_max", "square", "total", "products", "copy", "relu",
         "max", "gather", "spread"} | VIEWS  # fmt: skip


def keeps_small_digits(families: Families) -> bool:
    """Whether the digits of a very small σ(z) matter to anything that is computed from it.

    ½ + ½ tanh(z/2) is as good as σ(z) absolutely, not relatively: a logarithm, a quotient or a
    comparison downstream would tell them apart.
    """
    readers = families.readers()
    stack = [f for f in families.alive.values() if f.op is ops.sigmoid]
    seen = set(stack)
    while stack:
        for reader, k in readers[stack.pop()]:
            name = reader.op.name
            if name in _FRESH:
                continue
            if name not in _AWAY and not (name == "div" and k == 0) and not _is_square(reader):
                return True
            if reader not in seen:
                seen.add(reader)
                stack.append(reader)
    return False


def _is_square(family: Family) -> bool:
    p = family.static.get("p") if family.op.name == "pow" else None
    return p is not None and float(p).is_integer() and p >= 1
