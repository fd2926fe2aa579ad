"""The steps of a recorded sequence: what each reads of the one before, and the gates inside it.

Everything here is read off scopes, names and cards, so any cell has steps and routes, also one that
a learner wrote.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from microrecur.engine.primitive import Elementwise
from microrecur.engine.tensor import Tensor, step_of
from microrecur.flows.sweep import Edge, Linearised, _passes
from microrecur.graphs.graph import Graph, Node
from microrecur.graphs.roles import SLOPES

Word = tuple[str, ...]  # the gates whose pre-activations a route crosses, in path order

# A cell of n slopes one after the other, each with a way around it, has 2ⁿ routes.
MOST_ROUTES = 2_000


@dataclass(frozen=True, eq=False)
class Step:
    """One step: the map from the states it reads to the states it leaves.

    Attributes
    ----------
    t : int
        Its position in the sequence.
    reads : tuple of Tensor
        The cut set: nodes of other steps that this step reads.
    leaves : tuple of Tensor
        The states it computes, oldest first.
    nodes : tuple of Tensor
        What lies between, `leaves` included, oldest first.
    marks : dict
        The nodes with a slope (σ, tanh) of a pre-activation, and what routes call them: "f".
    """

    t: int
    reads: tuple[Tensor, ...]
    leaves: tuple[Tensor, ...]
    nodes: tuple[Tensor, ...]
    marks: dict[Tensor, str]

    def follow(self, node: Tensor, word: Word) -> Word:
        """The word of a path that goes on from the node back to one of its inputs."""
        mark = self.marks.get(node)
        return word if mark is None else (mark, *word)


class Steps(dict[int, Step]):
    """The steps of a graph by t, in the order in which they were computed.

    Parameters
    ----------
    graph : Graph
        The recorded computation.

    Raises
    ------
    ValueError
        When nothing in the graph is filed in steps that read one another.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        every = graph.at("all")
        self.graph = every
        inside: dict[int, list[Node]] = defaultdict(list)
        for node in every.nodes:
            if node.step is not None and node.op is not None:
                inside[node.step].append(node)
        layers = {node.layer for nodes in inside.values() for node in nodes}
        self._several = len(layers) > 1
        outward = set(every.roots)
        for node in every.nodes:
            outward.update(x for x in node.tensor.inputs if step_of(x.scope) != node.step)
        for t, nodes in inside.items():
            step = self._step(t, nodes, outward)
            if step.reads and step.leaves:
                self[t] = step
        if not self:
            raise ValueError(
                "this graph has no steps that read one another: file a sequence with mr.unroll, or "
                'each step under scope("t=1"), scope("t=2"), … with its state named'
            )

    def at(self, t: int) -> Step:
        """Return step t.

        Raises
        ------
        ValueError
            When there is none; the message says which there are.
        """
        if t not in self:
            raise ValueError(f"there is no step {t!r}: the graph has steps {_listed(list(self))}")
        return self[t]

    def chain(self, after: int | None = None) -> list[Step]:
        """The steps from the last back to the one after `after`, each reading only the next one.

        Raises
        ------
        ValueError
            When a step reads several others, so that their Jacobians do not simply multiply.
        """
        step = max(self.values(), key=lambda step: step.leaves[-1].serial)
        chain = [step]
        while True:
            before = {step_of(x.scope) for x in step.reads}
            if len(before) > 1:
                read = ", ".join(self.graph.id_of(x) for x in step.reads)
                raise ValueError(
                    f"step {step.t} reads {read}, of different steps: the Jacobians of single "
                    "steps do not multiply to the whole; routes(at=t) and by_step() still hold"
                )
            (t,) = before
            if t == after or t not in self:
                return chain
            step = self[t]  # type: ignore[index]
            chain.append(step)

    def name(self, tensor: Tensor) -> str:
        """What routes and tables call a node of any step: its id without the step.

        With its layer where the graph has several.
        """
        node = self.graph.find(self.graph.id_of(tensor))
        inside = node.id[len(".".join([*node.layer, f"t{node.step}."])) :]
        return ".".join([*node.layer, inside]) if self._several else inside

    def layer(self, tensor: Tensor) -> str:
        """The layer of a node, where the graph has several; else ""."""
        return ".".join(self.graph.find(self.graph.id_of(tensor)).layer) if self._several else ""

    def _is_state(self, tensor: Tensor) -> bool:
        return self.graph.find(self.graph.id_of(tensor)).role == "state"

    def _step(self, t: int, nodes: list[Node], outward: Collection[Tensor]) -> Step:
        """Keep of a step's nodes those between what it reads and the states it leaves."""
        here = {node.tensor for node in nodes}
        reads = {
            x: None
            for node in nodes
            for k, x in enumerate(node.tensor.inputs)
            if x not in here and step_of(x.scope) not in (None, t) and _passes(node.tensor, k)
        }
        reached = set(reads)
        for node in nodes:
            op: Any = node.tensor.op
            if op.differentiable and not reached.isdisjoint(node.tensor.inputs):
                reached.add(node.tensor)
        moved = [n for n in nodes if n.tensor in reached]
        # The last state of a sequence without names is known only by being read outside.
        leaves = [n.tensor for n in moved if n.role == "state"] or [
            n.tensor for n in moved if n.tensor in outward
        ]
        leading = set(leaves)
        for node in reversed(nodes):
            if node.tensor in leading:
                leading.update(node.tensor.inputs)
        between = [n for n in moved if n.tensor in leading]
        marks = {
            n.tensor: self.name(n.tensor)
            for n in between
            if n.kind in SLOPES and not self._is_state(n.tensor.inputs[0])
        }
        found = sorted(reads, key=lambda x: x.serial)
        return Step(t, tuple(found), tuple(leaves), tuple(n.tensor for n in between), marks)


def _listed(found: list[int]) -> str:
    if len(found) > 6:
        return f"{found[0]} … {found[-1]}"
    return ", ".join(map(str, found))


# -- names of routes -------------------------------------------------------------------------------


def name_of(word: Word) -> str:
    """Name a route: "direct", "via f", "via r→n"."""
    return "via " + "→".join(word) if word else "direct"


def words_of(steps: Collection[Step]) -> dict[str, Word]:
    """All routes of some steps by name, in the order in which a textbook lists their gates."""
    found: dict[Word, tuple[int, ...]] = {}
    for step in steps:
        place = {mark: k for k, mark in enumerate(dict.fromkeys(step.marks.values()))}
        for word in _words(step):
            found.setdefault(word, tuple(place[mark] for mark in word))
    ordered = sorted(found, key=lambda word: (len(word), found[word]))
    return {name_of(word): word for word in ordered}


def find_route(name: str, known: Mapping[str, Word]) -> Word:
    """Return the word of a route.

    Raises
    ------
    ValueError
        When there is no such route; the message lists those there are.
    """
    if name not in known:
        raise ValueError(f"there is no route {name!r} here; the routes are: {', '.join(known)}")
    return known[name]


def _words(step: Step) -> set[Word]:
    start = {leaf: {(): True} for leaf in step.leaves}
    found = labelled(step, start, pull=lambda node, k, g: g, add=lambda a, b: a)
    return {word for words in found.values() for word in words}


# -- sweeps with labels ----------------------------------------------------------------------------


def labelled(
    step: Step,
    start: Mapping[Tensor, Mapping[Any, Any]],
    pull: Callable[[Tensor, int, Any], Any],
    add: Callable[[Any, Any], Any],
    follow: Callable[[Tensor, Any], Any] | None = None,
    without: Collection[Edge] = (),
) -> dict[Tensor, dict[Any, Any]]:
    """Carry numbers from the states a step leaves back to what it reads, apart by route.

    Parameters
    ----------
    start : mapping
        Of each state, numbers by label.
    pull : callable
        (node, k, g) → what edge k makes of g.
    add : callable
        Joins two numbers of one label that meet at a node.
    follow : callable, optional
        (node, label) → the label beyond the node; that of the route when not given.
    without : collection of (node, k)
        Edges that count 0.

    Returns
    -------
    dict
        Of each node read, the numbers by label.

    Raises
    ------
    ValueError
        When the step has more routes than can be told apart.
    """
    follow = follow or step.follow
    inside = {*step.nodes, *step.reads}
    carried: dict[Tensor, dict[Any, Any]] = {node: dict(words) for node, words in start.items()}
    for node in reversed(step.nodes):
        here = carried.pop(node, None)
        if here is None:
            continue
        if len(here) > MOST_ROUTES:
            raise ValueError(
                f"step {step.t} has more than {MOST_ROUTES:,} routes: ask for one layer at a time, "
                "or file what belongs together under fewer slopes"
            )
        beyond = {label: follow(node, label) for label in here}
        for k, source in edges_of(node, inside):
            if (node, k) in without:
                continue
            there = carried.setdefault(source, {})
            for label, g in here.items():
                part, word = pull(node, k, g), beyond[label]
                there[word] = add(there[word], part) if word in there else part
    return {read: carried[read] for read in step.reads if read in carried}


def edges_of(node: Tensor, inside: Collection[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """The edges into a node along which a derivative passes, from nodes inside."""
    for k, source in enumerate(node.inputs):
        if source in inside and _passes(node, k):
            yield k, source


# -- many rows at once -----------------------------------------------------------------------------


class Rows:
    """Pulls many cotangents through an edge at once, each flattened to a row.

    An array of one axis stands for a diagonal matrix: elementwise edges keep the rows of a state
    diagonal, so full matrices appear only where a weight mixes the units.
    """

    def __init__(self, linearised: Linearised) -> None:
        self._linearised = linearised

    def pull(self, node: Tensor, k: int, g: np.ndarray) -> np.ndarray:
        """Return the rows g, over the node's numbers, as rows over the numbers of input k."""
        source = node.inputs[k]
        if isinstance(node.op, Elementwise):
            if node.shape == source.shape:
                slope = self._linearised.partial(node, k)
                if isinstance(slope, (int, float)):
                    return g if slope == 1 else g * slope
                return g * np.broadcast_to(slope, node.shape).reshape(-1)
        elif node.op is not None and node.op.name == "matmul" and k == 0:
            weight = node.inputs[1]._data
            if weight.ndim == 0:
                return g * weight
            if weight.ndim == 2:
                if g.ndim == 1 and node.ndim == 1:
                    return g[:, None] * weight.T
                rows = full(g)
                return (rows.reshape(-1, weight.shape[1]) @ weight.T).reshape(len(rows), -1)
        shape = node.shape
        rows = full(g)
        pulled = [self._linearised.pull(node, k, row.reshape(shape)).reshape(-1) for row in rows]
        return np.stack(pulled)

    @staticmethod
    def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Add two sets of rows."""
        return a + b if a.ndim == b.ndim else full(a) + full(b)


def full(rows: np.ndarray) -> np.ndarray:
    """The rows as a matrix; one axis stands for a diagonal."""
    return np.diag(rows) if rows.ndim == 1 else rows
