"""Sums along the sequence, made regular at its ends and gathered into one total."""

from __future__ import annotations

import numpy as np

from microrecur.compiler.families import TOTAL, Families, Family
from microrecur.compiler.program import COMPUTED, CONSTANT
from microrecur.engine import ops

# -- ends made regular -----------------------------------------------------------------------------


def even_out(families: Families) -> int:
    """Let sums that lack a term at the first or last step have it there too, as 0.

    The cotangent of a state is a sum of two terms at every step but the last, where it is one term:
    there 0 is added, so that every step does the same.
    """
    of = families.of
    done = 0
    for reader in list(families.alive.values()):
        for column in reader.columns:
            if len(column) < 2:
                continue
            for end, inner in ((-1, -2), (0, 1)):
                a, e = of.get(column[inner]), of.get(column[end])
                if a is None or e is None or a in (e, reader) or a.op is not ops.add:
                    continue
                k = _continued(a, e, column[end], end)
                if k is not None and column[inner] == a.nodes[end]:
                    _extend(families, a, k, column[end], end)
                    done += 1
    if done:
        for family in families.alive.values():
            families.refresh(family)
    return done


def _continued(total: Family, source: Family, e: int, end: int) -> int | None:
    """The operand of `total` whose next (or previous) would be e."""
    at = source.nodes.index(e)
    before = at - 1 if end == -1 else at + 1
    if not 0 <= before < len(source.nodes):
        return None
    for k, column in enumerate(total.columns):
        if column[end] == source.nodes[before]:
            return k
    return None


def _extend(families: Families, total: Family, k: int, e: int, end: int) -> None:
    program = families.program
    zero = program.add(CONSTANT, None, (), {}, program.shape[e], program.dtype[e])
    program.data[zero] = np.zeros(program.shape[e], program.dtype[e])
    t = total.steps[end] + (1 if end == -1 else -1)
    last = total.nodes[end]
    args = (e, zero) if k == 0 else (zero, e)
    n = program.add(
        COMPUTED, ops.add, args, {}, program.shape[e], program.dtype[e], t, program.place[last]
    )
    at = len(total.nodes) if end == -1 else 0
    total.nodes.insert(at, n)
    total.steps.insert(at, t)
    families.of[n] = total
    for column, a in zip(total.columns, args, strict=True):
        column.insert(at, a)
    inner = -2 if end == -1 else 1
    for family in families.alive.values():
        for column in family.columns:
            if len(column) > 1 and column[end] == e and column[inner] == last:
                reader = family.nodes[end]
                program.args[reader] = tuple([n if a == e else a for a in program.args[reader]])
                column[end] = n


# -- sums over time --------------------------------------------------------------------------------


def gather_totals(families: Families, components: list[list[Family]]) -> int:
    """Turn chains of additions along the sequence into one total of all their terms.

    A gradient of a weight is such a chain: one term per step, and only the last sum is read.
    """
    program = families.program
    uses: dict[int, int] = {}
    for family in families.alive.values():
        for column in family.columns:
            for a in column:
                uses[a] = uses.get(a, 0) + 1
    for n in program.outputs:
        uses[n] = uses.get(n, 0) + 1
    done = 0
    for component in components:
        if all(f.op is ops.add for f in component) and (
            len(component) > 1 or component[0] in families.reads(component[0])
        ):
            done += _gather(families, component, uses)
    return done + _gather_scattered(families, uses)


def _gather(families: Families, component: list[Family], uses: dict[int, int]) -> int:
    program = families.program
    inside = {n for f in component for n in f.nodes}
    within: dict[int, int] = {}
    for n in inside:
        for a in program.args[n]:
            if a in inside:
                within[a] = within.get(a, 0) + 1
    ends = [n for n in inside if uses.get(n, 0) > within.get(n, 0)]
    if any(within.get(n, 0) for n in ends) or any(
        within.get(n, 0) != 1 for n in inside if n not in ends
    ):
        return 0
    if any(program.shape[a] != program.shape[ends[0]] for n in inside for a in program.args[n]):
        return 0
    for family in component:
        del families.alive[family.number]
    for end in sorted(ends):
        _make_total(families, end, inside)
    return 1


def _make_total(families: Families, end: int, inside: set[int]) -> None:
    program = families.program
    terms: list[int] = []
    stack = list(program.args[end])
    while stack:
        a = stack.pop()
        if a in inside:
            stack.extend(program.args[a])
        else:
            terms.append(a)
    program.op[end], program.args[end], program.step[end] = TOTAL, tuple(terms), None
    program.static[end] = {}
    families.found([end], [None])


def _gather_scattered(families: Families, uses: dict[int, int]) -> int:
    """Sums of scattered parts, outside of the steps: each part is then written once, in place."""
    program, of = families.program, families.of
    done = 0
    inner: set[int] = set()
    for family in reversed(list(families.alive.values())):
        n = family.nodes[0]
        if family.op is not ops.add or family.steps[0] is not None or n in inner:
            continue
        inside, terms, stack = {n}, [], list(program.args[n])
        while stack:
            a = stack.pop()
            source = of.get(a)
            if (
                source is not None
                and source.op is ops.add
                and uses[a] == 1
                and len(source.nodes) == 1
            ):
                inside.add(a)
                stack.extend(program.args[a])
            else:
                terms.append(a)
        if all(a in of and of[a].op is ops.scatter for a in terms):
            inner |= inside
            for a in inside:
                families.alive.pop(of[a].number)
            _make_total(families, n, inside)
            done += 1
    return done
