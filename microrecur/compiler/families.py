"""What a recording repeats: computations of the same place, gathered over the steps.

A computation's role is its place outside of time: its scope before and after the step, its op, and
what it reads, told by roles too. Those of one role at t = 1, 2, … are a family. Families are the
few things the passes think about, however long the sequence is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from microrecur.compiler.program import BACKWARD, COMPUTED, CONSTANT, Program, static_key
from microrecur.engine import kernels, ops


class Op:
    """An op that only plans know."""

    forward = None

    def __init__(self, name: str) -> None:
        self.name = name


TOTAL = Op("total")  # the sum of all it reads
PRODUCTS = Op("products")  # x₁ @ W₁ + x₂ @ W₂ + …: all the x, then all the W
COPY = Op("copy")

Column = list[int]


class Family:
    """The computations of one role; a lone computation is a family of one."""

    __slots__ = ("columns", "nodes", "number", "op", "static", "steps")

    def __init__(
        self, number: int, op: Any, static: dict[str, Any], nodes: Column, steps: list[Any]
    ) -> None:
        self.number, self.op, self.static = number, op, static
        self.nodes, self.steps = nodes, steps
        self.columns: list[Column] = []

    def __repr__(self) -> str:
        return f"<{self.op.name if self.op else 'leaf'} ×{len(self.nodes)} #{self.number}>"


class Families:
    """All families of a program.

    Attributes
    ----------
    of : dict of int to Family
        The family of each computation.
    alive : dict of int to Family
        By number; passes remove and add.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.of: dict[int, Family] = {}
        self.alive: dict[int, Family] = {}
        self._count = 0
        self.numbers: Sequence[int] = ()
        for nodes, steps in _by_role(program):
            self.found(nodes, steps)

    def found(self, nodes: Column, steps: list[Any]) -> Family:
        """Make a family of these computations, which are already in the program."""
        program, first = self.program, nodes[0]
        family = Family(self._count, program.op[first], program.static[first], nodes, steps)
        self._count += 1
        self.alive[family.number] = family
        of = self.of
        for n in nodes:
            of[n] = family
        self.refresh(family)
        return family

    def refresh(self, family: Family) -> None:
        """Read the columns anew: what its computations read, position by position."""
        args = self.program.args
        first = args[family.nodes[0]]
        if len(family.nodes) == 1:
            family.columns = [[a] for a in first]
        else:
            family.columns = [list(c) for c in zip(*[args[n] for n in family.nodes], strict=True)]

    def rewrite(
        self, family: Family, op: Any, columns: Sequence[Column], static: Any = None
    ) -> None:
        """Let the family's computations be another op of other operands."""
        program = self.program
        for i, n in enumerate(family.nodes):
            program.op[n] = op
            program.static[n] = static or {}
            program.args[n] = tuple([c[i] for c in columns])
        family.op, family.static, family.columns = op, static or {}, [list(c) for c in columns]

    def apply(self, op: Any, columns: Sequence[Column], like: Family, static: Any = None) -> Column:
        """Compute op of the columns: a new family with the steps of another, as a column.

        What is the same at every step becomes one computation outside of them.
        """
        program = self.program
        length = len(like.nodes)
        first = [c[0] for c in columns]
        shape = np.broadcast_shapes(*[program.shape[a] for a in first])
        dtype = np.result_type(*[program.dtype[a] for a in first])
        place = program.place[like.nodes[0]]
        static = static or {}
        if all(is_same(c) for c in columns):
            n = program.add(COMPUTED, op, tuple(first), static, shape, dtype, None, place)
            self.found([n], [None])
            return [n] * length
        nodes = [
            program.add(COMPUTED, op, args, static, shape, dtype, t, place)
            for args, t in zip(zip(*columns, strict=True), like.steps, strict=True)
        ]
        self.found(nodes, list(like.steps))
        return nodes

    def number_constant(self, value: float, dtype: np.dtype[Any], length: int) -> Column:
        """A column of one number."""
        return [self.program.constant(np.array(value, dtype))] * length

    def reads(self, family: Family) -> set[Family]:
        """The families it reads."""
        of, found = self.of.get, set[Any]()
        for column in family.columns:
            found.update(map(of, column))
        found.discard(None)
        return found

    def readers(self) -> dict[Family, list[tuple[Family, int]]]:
        """For each family who reads any of it, and at which position."""
        of = self.of.get
        found: dict[Family, list[tuple[Family, int]]] = {f: [] for f in self.alive.values()}
        for family in self.alive.values():
            for k, column in enumerate(family.columns):
                for source in set(map(of, column)):
                    if source is not None:
                        found[source].append((family, k))
        return found

    def forget_details(self) -> None:
        """Keep of which family each computation is, in little memory."""
        numbers = array("i", [-1]) * len(self.program.kind)
        for n, family in self.of.items():
            numbers[n] = family.number if self.alive.get(family.number) is family else -1
        self.numbers = numbers
        self.of = {}

    def remove_dead(self) -> None:
        """Forget what no output needs."""
        of = self.of
        needed: set[Family] = set()
        stack = [of[n] for n in self.program.outputs if n in of]
        while stack:
            family = stack.pop()
            if family not in needed:
                needed.add(family)
                stack.extend(self.reads(family))
        for number, family in list(self.alive.items()):
            if family not in needed:
                del self.alive[number]


def is_same(column: Column) -> bool:
    """Whether the column is one value at every step."""
    return column[0] == column[-1] and column.count(column[0]) == len(column)


# -- roles -----------------------------------------------------------------------------------------

_FAR = -1
_BACK = -2
_NEXT = "next"
# Their arguments say where in a sequence they are, so they are no part of a role.
_PLACED = {"getitem", "scatter"}


def _by_role(program: Program) -> list[tuple[Column, list[Any]]]:
    """(computations, their steps) of each role, oldest first."""
    kind, step, args, place = program.kind, program.step, program.args, program.place
    op, static = program.op, program.static
    # Shape and dtype as one number: an operand from elsewhere is only alike where these are too.
    likes: dict[Any, int] = {}
    both = zip(program.shape, program.dtype, strict=True)
    like = [likes.setdefault(found, len(likes)) for found in both]
    backward = [before[:1] == (BACKWARD,) for before, _ in program.places]
    lasting = _lasting(program)
    role: dict[int, int] = {}
    roles: dict[Any, int] = {}
    statics: dict[int, Any] = {}
    gathered: dict[int, tuple[Column, list[Any]]] = {}
    taken: set[tuple[int, int]] = set()
    for n in range(len(kind)):
        if kind[n] != COMPUTED:
            continue
        t = step[n]
        if t is None:
            gathered[-1 - n] = ([n], [None])
            continue
        back = backward[place[n]]
        key: list[Any] = [place[n], op[n], like[n]]
        given = static[n]
        if given and op[n].name in _PLACED:
            key.append(kernels.is_basic(given["index"]))
        elif given:
            said = statics.get(id(given))
            if said is None:
                said = statics[id(given)] = static_key(given)
            key.append(said)
        for a in args[n]:
            ta = step[a]
            if ta is None:
                key.append(a if a in lasting else (_FAR, like[a]))
            elif ta != t or kind[a] != COMPUTED:
                key.append((_FAR, like[a]))
            elif back and backward[place[a]] and not (op[n] is ops.add and a == args[n][1]):
                # What was gathered before differs at the ends; what is added now does not.
                key.append((_BACK, like[a]))
            else:
                key.append(-3 - role[a])
        asked: Any = tuple(key)
        mine = roles.setdefault(asked, len(roles))
        while (mine, t) in taken:  # the next of its role within one step
            asked = (asked, _NEXT)
            mine = roles.setdefault(asked, len(roles))
        taken.add((mine, t))
        group = gathered.get(mine)
        if group is None:
            gathered[mine] = ([n], [t])
        else:
            group[0].append(n)
            group[1].append(t)
        role[n] = mine
    return [part for group in gathered.values() for part in _in_order(*group)]


def _in_order(nodes: Column, steps: list[Any]) -> Iterable[tuple[Column, list[Any]]]:
    """By growing t; apart again where a t occurs twice or is left out."""
    if len(nodes) == 1:
        return [(nodes, steps)]
    if steps[0] > steps[-1]:
        nodes, steps = nodes[::-1], steps[::-1]
    if steps == list(range(steps[0], steps[0] + len(steps))):
        return [(nodes, steps)]
    return [([n], [t]) for n, t in zip(nodes, steps, strict=True)]


def _lasting(program: Program) -> set[int]:
    """What is computed outside of the steps and read at more than one of them."""
    step, kind = program.step, program.kind
    read_at: dict[int, int] = {}
    lasting: set[int] = {
        n for n in range(len(kind)) if kind[n] == CONSTANT and not program.shape[n]
    }
    for n, args in enumerate(program.args):
        t = step[n]
        if t is not None:
            for a in args:
                if step[a] is None and read_at.setdefault(a, t) != t:
                    lasting.add(a)
    return lasting


# -- cycles ----------------------------------------------------------------------------------------


def cycles(families: Families) -> list[list[Family]]:
    """The strongly connected components, each after all it reads; nothing recurses."""
    reads = {f: sorted(families.reads(f), key=lambda g: g.number) for f in families.alive.values()}
    index: dict[Family, int] = {}
    low: dict[Family, int] = {}
    open_: dict[Family, None] = {}
    found: list[list[Family]] = []
    for root in families.alive.values():
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_[root] = None
        work = [(root, iter(reads[root]))]
        while work:
            family, rest = work[-1]
            for source in rest:
                if source not in index:
                    index[source] = low[source] = len(index)
                    open_[source] = None
                    work.append((source, iter(reads[source])))
                    break
                if source in open_:
                    low[family] = min(low[family], index[source])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[family])
                if low[family] == index[family]:
                    component = []
                    while True:
                        last, _ = open_.popitem()
                        component.append(last)
                        if last is family:
                            break
                    found.append(component)
    return found
