"""Causes: the factors that a gradient meets on a route, each with what it makes of it.

A gate of mean ½ does not halve every gradient: units whose gate is more open keep more of it, and a
weight hardly ever meets its largest direction. So a factor's *gain* is measured on the gradient
that passes, ‖after‖ / ‖before‖, and the gains of a route multiply to what the route hands on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microrecur.engine.tensor import Tensor, step_of
from microrecur.flows.by_step import along
from microrecur.flows.routes import step_blocks, steps_of
from microrecur.flows.steps import Step, Steps, Word, edges_of
from microrecur.flows.sweep import Edge, Scaled
from microrecur.graphs import notation
from microrecur.graphs.factors import Factor
from microrecur.graphs.graph import called

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow

Place = tuple[str, int]  # an edge in any step: the name of its node, and which input


@dataclass(frozen=True, eq=False)
class Gain:
    """What one factor of a route makes of the gradient that passes.

    Attributes
    ----------
    factor : Factor
        As it stands in one of the steps.
    layer : str
        Where the graph has several, else "".
    gain : float
        ‖after‖ / ‖before‖, the geometric mean over the steps.
    sizes : dict
        Of each step, the factor's mean |entry| over all units.
    """

    factor: Factor
    layer: str
    gain: float
    sizes: dict[int, float]

    def __str__(self) -> str:
        factor, gain = self.factor, notation.number(self.gain)
        if factor.kind in ("constant", "reduction", "pass"):
            return f"×{factor.name}"
        title = notation.typeset(factor.name, factor.step if len(self.sizes) == 1 else None)
        if factor.kind in ("gate slope", "squash slope"):
            title += f" of {notation.typeset(called(factor.node.inputs[0])[0])}"
        title += f" of {self.layer}" if self.layer else ""
        if factor.kind == "weight":
            norm = f"‖{notation.typeset(factor.name)}‖ = {notation.number(factor.norm)}"
            return norm if notation.number(factor.norm) == gain else f"{title} × {gain} ({norm})"
        return self._over_steps(title, gain)

    def _over_steps(self, title: str, gain: str) -> str:
        mean = notation.number(float(np.mean(list(self.sizes.values()))))
        least = min(self.sizes, key=lambda t: self.sizes[t])
        more = [] if mean == gain else [f"mean {mean}"]
        if self.sizes[least] != max(self.sizes.values()):
            more.append(f"least {notation.number(self.sizes[least])} at step {least}")
        return f"{title} ≈ {gain} ({', '.join(more)})" if more else f"{title} = {gain}"


def gains(
    flow: Flow, chain: list[Step], views: Mapping[Tensor, Scaled], word: Word
) -> list[Gain] | None:
    """What each factor of a route makes of the gradient that takes it at every step.

    Through time a route runs round and round, from a state to the same state of the step before:
    of the ways round there are, the one that keeps most.

    Returns
    -------
    list of Gain or None
        From the state back; None when the route leads from a state to others alone, so that it
        cannot be taken twice.
    """
    steps = steps_of(flow)
    rounds = _rounds(steps, chain[len(chain) // 2], word)
    logs: dict[str, list[list[float]]] = {state: [] for state in rounds}
    carried: Mapping[Tensor, Scaled] = {leaf: views[leaf] for leaf in chain[0].leaves}
    places = [{steps.name(node): node for node in step.nodes} for step in chain]
    for step, nodes in zip(chain, places, strict=True):
        for leaf, g in carried.items():
            state = steps.name(leaf)
            if state in rounds and all(name in nodes for name, _ in rounds[state]):
                edges = [(nodes[name], k) for name, k in rounds[state]]
                found = list(_along_edges(flow, edges, g.array.reshape(leaf.shape)))
                if len(found) == len(edges):
                    logs[state].append(found)
        carried = along(carried, step_blocks(flow, step), {word})
    means = {state: np.mean(found, axis=0) for state, found in logs.items() if found}
    if not means:
        return None
    state = max(means, key=lambda state: float(means[state].sum()))
    return [
        _gain(steps, chain, places, place, math.exp(log))
        for place, log in zip(rounds[state], means[state], strict=True)
        if _tells(steps, places[0][place[0]], place[1])
    ]


def _along_edges(flow: Flow, edges: list[Edge], g: np.ndarray) -> Iterator[float]:
    """Yield ln of what each edge makes of the size of what passes, until nothing is left."""
    size = float(np.linalg.norm(g))
    for node, k in edges:
        g = flow.linearised.pull(node, k, g)
        after = float(np.linalg.norm(g))
        if after == 0 or size == 0:
            return
        yield math.log(after / size)
        g, size = g / after, 1.0  # far back numbers are small


def _tells(steps: Steps, node: Tensor, k: int) -> bool:
    factor = steps.graph.factor(node, k)
    return not (factor.kind == "pass" and factor.name in ("1", "−1"))


def _gain(
    steps: Steps, chain: list[Step], places: list[dict[str, Tensor]], place: Place, gain: float
) -> Gain:
    name, k = place
    nodes = {step.t: nodes[name] for step, nodes in zip(chain, places) if name in nodes}
    sizes = {t: steps.graph.factor(node, k).typical for t, node in nodes.items()}
    node = nodes[chain[len(chain) // 2].t]
    return Gain(steps.graph.factor(node, k), steps.layer(node), gain, sizes)


# -- paths within a step ---------------------------------------------------------------------------


def _rounds(steps: Steps, step: Step, word: Word) -> dict[str, list[Place]]:
    """The strongest path of a route from each state back to the same state of the step before."""
    found = {}
    for leaf in step.leaves:
        ends = _strongest(steps, step, leaf)
        for read in step.reads:
            if steps.name(read) == steps.name(leaf) and word in ends.get(read, {}):
                edges = ends[read][word][1]
                found[steps.name(leaf)] = [(steps.name(node), k) for node, k in edges]
    return found


Strongest = tuple[float, tuple[Edge, ...]]  # Σ ln of the factors' mean sizes, and the edges


def _strongest(steps: Steps, step: Step, leaf: Tensor) -> dict[Tensor, dict[Word, Strongest]]:
    """Of each node and route, the strongest path from a state of the step back to it."""
    inside = {*step.nodes, *step.reads}
    best: dict[Tensor, dict[Word, Strongest]] = {leaf: {(): (0.0, ())}}
    for node in reversed(step.nodes):
        for k, source in edges_of(node, inside) if node in best else ():
            log, there = size_of(steps, node, k), best.setdefault(source, {})
            for before, (sum_of_logs, path) in best[node].items():
                after = step.follow(node, before)
                if after not in there or sum_of_logs + log > there[after][0]:
                    there[after] = sum_of_logs + log, (*path, (node, k))
    return best


def size_of(steps: Steps, node: Tensor, k: int) -> float:
    """Ln of how much an edge passes on, typically: 0 counts as very small."""
    factor = steps.graph.factor(node, k)
    size = factor.norm if factor.kind in ("weight", "pass", "reduction") else factor.typical
    return math.log(size) if size > 0 else -1e6


def within(
    flow: Flow, start: Mapping[Tensor, Scaled], wrt: Tensor
) -> tuple[Tensor, list[Gain]] | None:
    """The strongest path from a state of wrt's step back to wrt, measured on what passes.

    Returns
    -------
    (Tensor, list of Gain) or None
        The state it leaves, and the factors; None when nothing leads from a state there to wrt.
    """
    steps, t = steps_of(flow), step_of(wrt.scope)
    lines = flow.linearised
    best: dict[Tensor, tuple[float, Tensor, tuple[Edge, ...]]] = {}
    for leaf, g in start.items():
        if step_of(leaf.scope) == t and np.any(g.array):
            best[leaf] = g.log2() * math.log(2), leaf, ()
    for node in reversed(lines.nodes):
        for _, k in lines.edges(node) if node in best and step_of(node.scope) == t else ():
            log, leaf, path = best[node]
            log, source = log + size_of(steps, node, k), node.inputs[k]
            if source not in best or log > best[source][0]:
                best[source] = log, leaf, (*path, (node, k))
    if wrt not in best or not best[wrt][2]:
        return None
    _, leaf, path = best[wrt]
    logs = list(_along_edges(flow, list(path), start[leaf].array.reshape(leaf.shape)))
    return leaf, [
        Gain(
            steps.graph.factor(node, k),
            steps.layer(node),
            math.exp(log),
            {t or 0: steps.graph.factor(node, k).typical},
        )
        for (node, k), log in zip(path, logs)
        if _tells(steps, node, k)
    ]
