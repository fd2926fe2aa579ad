"""Reads a learner's own cell off its recorded graph: its parts, and which part feeds which.

A cell built from named gates needs no code to be drawn: roles say what is a gate, a state or an
input, and the edges say where every ⊙ and + belongs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microrecur.drawing.roles import Cell, after_the_states, is_chain

if TYPE_CHECKING:
    from microrecur.graphs.graph import Edge, Graph, Node

OWN = "own"  # the kind of a cell that is none of the textbook's
SLOPES = ("gate slope", "squash slope")
_MOST = 40  # parts of one step: beyond that an automatic layout is no worse


@dataclass(frozen=True, slots=True)
class Part:
    """One node of a step, the same in every step."""

    name: str
    role: str  # "input", "others" (Σ), "state", "gate", "pre-activation", "op" or "named"
    slope: bool  # whether it is a σ, tanh or relu
    title: str = ""  # the scope it was made in, such as "forget gate"


@dataclass(frozen=True, slots=True)
class Link:
    """What feeds what: `lag` steps lie between them."""

    source: str
    lag: int
    target: str
    plain: bool  # multiplies by no weight and no slope


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A step of a cell: all a grid is made from."""

    level: str
    parts: tuple[Part, ...]
    links: tuple[Link, ...]

    def named(self, *roles: str) -> tuple[str, ...]:
        """The parts that play one of these roles, in the order they were recorded."""
        return tuple(part.name for part in self.parts if part.role in roles)

    def part(self, name: str) -> Part:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def into(self, name: str) -> tuple[Link, ...]:
        """What feeds a part."""
        return tuple(link for link in self.links if link.target == name)

    def out_of(self, name: str) -> tuple[Link, ...]:
        """What a part feeds."""
        return tuple(link for link in self.links if link.source == name)


def read_own(graph: Graph) -> Cell | None:
    """Recognise an unrolled cell built from named gates; None for anything else."""
    stepped = [node for node in graph.nodes if node.step is not None]
    if graph.level not in ("op", "gate") or not stepped or len({n.layer for n in stepped}) > 1:
        return None
    tail = after_the_states(graph, stepped)
    outside = {node.id for node in graph.nodes if node.step is None} - {node.id for node in tail}
    if not is_chain(graph, tail) or stepped[0].layer[:1] == ("∂",):
        return None
    parts = {node.id: (node.step or 0, _part_name(node)) for node in stepped}
    if len(set(parts.values())) < len(parts):
        return None
    anatomy = _anatomy(graph, stepped, parts, outside)
    steps = _steps(graph, stepped)
    if anatomy is None or steps is None:
        return None
    return Cell(OWN, "", graph.level, parts, steps, tail, graph.nodes[-1], anatomy)


def _part_name(node: Node) -> str:
    """The id without layer and step: "f", "cell state.mul1"."""
    stem = ".".join([*node.layer, f"t{node.step}"])
    return node.id.removeprefix(f"{stem}.")


def _steps(graph: Graph, stepped: Iterable[Node]) -> tuple[int, ...] | None:
    """The steps that compute something, if they follow one another."""
    found = tuple(sorted({n.step for n in stepped if n.step is not None and graph.into(n.id)}))
    together = found and found == tuple(range(found[0], found[-1] + 1))
    earliest = min(n.step for n in stepped if n.step is not None)
    return found if together and earliest >= found[0] - 1 else None


def _anatomy(
    graph: Graph, stepped: list[Node], parts: dict[str, tuple[int, str]], outside: set[str]
) -> Anatomy | None:
    given: dict[str, Part] = {}
    made: dict[str, Part] = {}
    for node in stepped:
        part = _part(graph, node, outside)
        same = given if node.op is None else made
        if part is None or same.setdefault(part.name, part) != part:
            return None
    found = {name: part for name, part in given.items() if name not in made} | made
    links = _links(graph, parts)
    every = Anatomy(graph.level, tuple(found.values()), links) if links is not None else None
    if every is None or len(found) > _MOST or not every.named("gate") or not _whole(every):
        return None
    fed = {parts[e.target][1] for e in graph.edges if e.source in outside and e.target in parts}
    return every if fed <= set(every.named("input", "state")) else None


def _whole(anatomy: Anatomy) -> bool:
    """Whether every slope is a named gate, a state, or read straight from a state."""
    states = anatomy.named("state")
    hidden = [p.name for p in anatomy.parts if p.slope and p.role == "op"]
    return bool(states) and all(
        {link.source for link in anatomy.into(name)} <= set(states)
        and all(not link.lag for link in anatomy.into(name))
        for name in hidden
    )


def _part(graph: Graph, node: Node, outside: set[str]) -> Part | None:
    sources = {edge.source for edge in graph.into(node.id)}
    role = node.role
    if role == "op" and node.name:
        role = "named"
    if role != "state" and (role == "input" or sources <= outside):
        role = "others" if (node.name or "").startswith("Σ") else "input"
    known = ("input", "others", "state", "gate", "pre-activation", "op", "named")
    if role not in known or (role == "state" and not node.name):
        return None
    return Part(_part_name(node), role, node.kind in SLOPES, node.gate or "")


def _links(graph: Graph, parts: dict[str, tuple[int, str]]) -> tuple[Link, ...] | None:
    found: dict[tuple[str, int, str], bool] = {}
    for edge in graph.edges:
        if edge.source not in parts or edge.target not in parts:
            continue
        (before, source), (after, target) = parts[edge.source], parts[edge.target]
        if not 0 <= after - before <= 1 or (
            after > before and graph.find(edge.source).role != "state"
        ):
            return None
        key = source, after - before, target
        found[key] = found.get(key, True) and _is_plain(edge)
    return tuple(Link(*key, plain) for key, plain in found.items())


def _is_plain(edge: Edge) -> bool:
    kinds = {factor.kind for factor in edge.factors}
    return edge.paths == 1 and not kinds & {"weight", *SLOPES, "other", "pre-activation"}
