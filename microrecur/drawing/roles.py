"""Reads from a recorded graph which textbook cell it is and which part every node plays.

Names and ops decide, step by step: `f` times the old `c` is what the cell keeps, `i` times `g` what
it writes. A graph with one node that plays no known part is no known cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microrecur.drawing.anatomy import Anatomy
    from microrecur.graphs.graph import Edge, Graph, Node

_LSTM_NAMES = frozenset({"x", "h", "c", "f", "i", "g", "o", "z_f", "z_i", "z_g", "z_o"}) | {
    f"Σ_{gate}" for gate in "figo"
}
_GRU_NAMES = frozenset({"x", "h", "r", "z", "n", "a_r", "a_z", "a_n", "m"}) | {
    f"Σ_{part}" for part in "rznm"
}
_RNN_NAMES = frozenset({"x", "h", "z", "Σ"})

# (op, the part among its inputs that tells it) -> the part it plays.
_LSTM_PARTS = (("mul", "f", "keep"), ("mul", "i", "write"), ("tanh", "c", "squash"))
_GRU_PARTS = (
    ("mul", "r", "reset"),
    ("sub", "z", "flip"),
    ("mul", "n", "new"),
    ("mul", "z", "keep"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A graph read as an unrolled textbook cell."""

    kind: str  # "lstm", "gru", "rnn" or "own"
    variant: str  # "", "peephole", "reset after" or "reset before"
    level: str
    parts: dict[str, tuple[int, str]]  # node id -> (step, part)
    steps: tuple[int, ...]  # without the initial states' step
    tail: tuple[Node, ...]  # nodes between the states and the root: a loss, a read-out
    root: Node
    anatomy: Anatomy | None = None  # of a cell that is none of the textbook's
    behind: int = 0  # how many shapes stand behind the states of a floor above

    @property
    def part_names(self) -> set[str]:
        """The parts that occur."""
        return {part for _, part in self.parts.values()}

    @property
    def has_loss(self) -> bool:
        """Whether anything follows the last state."""
        return bool(self.tail)

    def route(self, edge: Edge) -> tuple[str, str]:
        """The parts an edge joins; the source of an older step ends in "-"."""
        (from_step, source), (to_step, target) = self.parts[edge.source], self.parts[edge.target]
        return source + "-" * (to_step - from_step), target


def read_cell(graph: Graph) -> Cell | None:
    """Recognise an unrolled LSTM, GRU or RNN; None for anything else."""
    if (
        graph.level not in ("op", "gate")
        or len({node.layer for node in graph.nodes if node.step is not None}) > 1
    ):
        return None
    stepped = [node for node in graph.nodes if node.step is not None]
    tail = after_the_states(graph, stepped)
    before = [
        node for node in graph.nodes if node.step is None and node.id not in {n.id for n in tail}
    ]
    if not stepped or not is_chain(graph, tail) or _joins(graph, before) - {"x", "h", "c"}:
        return None
    kind = _kind({node.name for node in stepped if node.name})
    parts = _parts(graph, stepped, kind) if kind else None
    if kind is None or parts is None:
        return None
    # The step of the initial states computes nothing.
    computed = {node.step for node in stepped if graph.into(node.id)}
    steps = tuple(sorted({step for step, _ in parts.values() if step in computed}))
    if not steps or steps != tuple(range(steps[0], steps[-1] + 1)):
        return None
    return Cell(
        kind, _variant(graph, kind, parts), graph.level, parts, steps, tail, graph.nodes[-1]
    )


def after_the_states(graph: Graph, stepped: Iterable[Node]) -> tuple[Node, ...]:
    """Nodes of no step that a stepped node flows into, in order."""
    reached = {node.id for node in stepped}
    tail = []
    for node in graph.nodes:
        if node.step is None and any(edge.source in reached for edge in graph.into(node.id)):
            reached.add(node.id)
            tail.append(node)
    return tuple(tail)


def is_chain(graph: Graph, tail: tuple[Node, ...]) -> bool:
    """Whether the nodes after the states follow one another, the first alone fed by states."""
    ids = [node.id for node in tail]
    for before, node in zip([None, *ids], ids, strict=False):
        sources = {edge.source for edge in graph.into(node)}
        if before is not None and sources & {
            n.id for n in graph.nodes if n.step is not None or n.id in ids
        } != {before}:
            return False
    return True


def _joins(graph: Graph, before: Iterable[Node]) -> set[str | None]:
    """Names of the stepped nodes that nodes of no step feed: inputs cut from a series, states."""
    return {
        target.name
        for node in before
        for edge in graph.out_of(node.id)
        if (target := graph.find(edge.target)).step is not None
    }


def _kind(names: set[str]) -> str | None:
    for kind, known, needed in (
        ("lstm", _LSTM_NAMES, {"c", "f", "i", "g"}),
        ("gru", _GRU_NAMES, {"h", "r", "z", "n"}),
        ("rnn", _RNN_NAMES, {"h"}),
    ):
        if needed <= names <= known:
            return kind
    return None


def _parts(graph: Graph, stepped: Iterable[Node], kind: str) -> dict[str, tuple[int, str]] | None:
    parts: dict[str, tuple[int, str]] = {}
    taken: set[tuple[int, str]] = set()
    for node in stepped:
        part = node.name or _unnamed(graph, node, kind, parts)
        if node.role == "input" and not (part or "").startswith("Σ"):
            part = "x"
        assert node.step is not None
        if part is None or (node.step, part) in taken:
            return None
        parts[node.id] = (node.step, part)
        taken.add((node.step, part))
    return parts


def _unnamed(graph: Graph, node: Node, kind: str, parts: dict[str, tuple[int, str]]) -> str | None:
    inputs = {parts[edge.source][1] for edge in graph.into(node.id) if edge.source in parts}
    table = {"lstm": _LSTM_PARTS, "gru": _GRU_PARTS}.get(kind, ())
    return next((part for op, known, part in table if node.op == op and known in inputs), None)


def _variant(graph: Graph, kind: str, parts: dict[str, tuple[int, str]]) -> str:
    pairs = {
        (parts[e.source][1], parts[e.target][1])
        for e in graph.edges
        if {e.source, e.target} <= parts.keys()
    }
    if kind == "gru":
        return _reset_place(graph, pairs, parts)
    if kind == "lstm" and pairs & {
        ("c", "z_f"),
        ("c", "z_i"),
        ("c", "z_o"),
        ("c", "f"),
        ("c", "i"),
        ("c", "o"),
    }:
        gates_see_c = pairs & {("c", "z_f"), ("c", "z_i"), ("c", "z_o"), ("c", "i"), ("c", "o")}
        return "peephole" if gates_see_c else ""
    return ""


def _reset_place(
    graph: Graph, pairs: set[tuple[str, str]], parts: dict[str, tuple[int, str]]
) -> str:
    """Where the reset stands: before Uⁿ (it scales h) or after it (it scales h Uⁿ)."""
    if ("h", "m") in pairs or ("m", "n") in pairs:
        return "reset after"
    if ("h", "reset") in pairs:
        return "reset before"
    for edge in graph.edges:
        if (parts.get(edge.source, (0, ""))[1], parts.get(edge.target, (0, ""))[1]) == ("h", "n"):
            kinds = [
                factor.kind for factor in edge.factors if factor.kind in ("weight", "gate value")
            ]
            return "reset after" if kinds[:1] == ["weight"] else "reset before"
    return ""
