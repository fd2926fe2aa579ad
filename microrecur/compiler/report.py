"""What became of a recording: counts, and the way of a single node."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from microrecur.compiler.batches import Loop, Straight
from microrecur.compiler.families import TOTAL, Family
from microrecur.compiler.kinds import ABSORBED, BATCH, LOOP, VIEW
from microrecur.compiler.places import Places
from microrecur.compiler.program import CONSTANT, INPUT, Program
from microrecur.engine.errors import UnknownNode


def report_of(
    program: Program, places: Places, pieces: Sequence[Straight | Loop], why: str | None = None
) -> Report:
    """A table of what was merged, hoisted, batched and joined, of calls and of memory."""
    loops = [p for p in pieces if isinstance(p, Loop)]
    once = sum(len(p.lines) for p in pieces if isinstance(p, Straight))
    kinds = places.kind
    batched = [f for f in kinds if kinds[f] == BATCH]
    absorbed = [f for f in kinds if kinds[f] == ABSORBED]
    roots = {id(s.root): s.root.nbytes for s in places.spots.values()}
    rows: list[tuple[str, str]] = [
        ("recorded computations", f"{program.recorded:,}"),
        ("merged with an equal one", f"{program.merged:,}"),
        ("calls once per run", f"{once:,}"),
    ]
    for loop in loops:
        first, last = loop.steps[0], loop.steps[-1]
        rows.append(
            (f"calls per step, t = {first} … {last}", f"{len(loop.lines)} × {len(loop.steps):,}")
        )
    calls = once + sum(len(p.lines) * len(p.steps) for p in loops)
    rows += [
        ("calls per run", f"{calls:,}"),
        ("hoisted or batched over all steps", f"{len(batched)} ({_count(batched):,} computations)"),
        (
            "gathered into one product over all steps",
            f"{len(absorbed)} ({_count(absorbed):,} computations)",
        ),
        ("computed side by side in one call", _joined(places)),
        ("buffers", f"{len(roots):,}"),
        ("bytes", f"{sum(roots.values()):,}"),
    ]
    return table([*rows, *not_folded(why)])


def not_folded(why: str | None) -> list[tuple[str, str]]:
    """The row that says why everything is computed in the recorded order, where it is."""
    return [] if why is None else [("in the recorded order, since folded over time", why)]


class Report(str):
    """A table in text; in a notebook as one."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = [[part.strip() for part in line.rsplit("  ", 1)] for line in self.splitlines()]
        cells = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(a)}</th>'
            f'<td style="text-align:right">{escape(b)}</td></tr>'
            for a, b in rows
        )
        return f"<table>{cells}</table>"


def table(rows: Sequence[tuple[str, str]]) -> Report:
    """Two columns, the second to the right."""
    left = max(len(a) for a, _ in rows)
    right = max(len(b) for _, b in rows)
    return Report("\n".join(f"{a:<{left}}  {b:>{right}}" for a, b in rows))


def _count(families: Sequence[Family]) -> int:
    return sum(len(f.nodes) for f in families)


def _joined(places: Places) -> str:
    groups = [g for g in places.groups if g[0].op is not TOTAL]
    return f"{sum(map(len, groups))} in {len(groups)}"


def node_called(program: Program, asked: str) -> int:
    """The number of a node by its id, such as "t3.f".

    Raises
    ------
    UnknownNode
        When no node is called so; the message names the nearest.
    """
    found = program.numbers_by_id()
    if asked in found:
        return found[asked]
    raise UnknownNode(asked, found)


def way_of(program: Program, places: Places | None, asked: str) -> str:
    """Say in one sentence or two how a node is computed."""
    n = node_called(program, asked)
    if program.kind[n] == INPUT:
        return f"{asked} is given at every call."
    if program.kind[n] == CONSTANT:
        return f"{asked} is a constant: it was computed once, when the plan was made."
    if places is None:
        return f"{asked} is one number, computed by itself in straight Python."
    family = places.families.alive.get(places.families.numbers[n])
    kind = None if family is None else places.kind.get(family)
    if family is None or kind is None:
        return (
            f"{asked} is not computed by itself: what reads it takes it in (a sum over the steps, "
            "a product with a coefficient computed for all steps at once, or a scaled weight)."
        )
    said = f"{asked} ({family.op.name}) "
    if kind == VIEW:
        said += "takes no work: it is a view of what it reads."
    elif kind == LOOP:
        first, last = family.steps[0], family.steps[-1]
        said += f"is computed step by step, in a loop over t = {first} … {last}."
    elif kind == BATCH:
        said += f"does not recur: it is computed for all {len(family.nodes)} steps in one call."
    elif kind == ABSORBED:
        said += (
            f"is part of one product over all {len(family.nodes)} steps, never stored by itself."
        )
    else:
        said += "is computed once per call, outside of any loop."
    group = places.group_of.get(family)
    if group is not None and len(places.groups[group]) > 1:
        beside = [_name(program, f, n, family) for f in places.groups[group] if f is not family]
        said += f" Side by side with {', '.join(beside)}."
    return said


def _name(program: Program, other: Family, n: int, family: Family) -> str:
    at = family.nodes.index(n)
    m = other.nodes[min(at, len(other.nodes) - 1)]
    return program.label(m)
