"""Verdicts: what becomes of a gradient, in sentences that name the cause with its step and number.

There are no absolute thresholds. Over n steps a gradient "vanishes" when less than 1/n of what sets
out arrives, so that the far end has less than an even share; it "grows" when more than n times as
much arrives, and "holds" in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from microrecur.engine.tensor import Tensor, step_of
from microrecur.engine.tensor import by_step as by_step_of
from microrecur.flows.by_step import ByStep, ThroughTime, by_step, through_time
from microrecur.flows.horizon import power
from microrecur.flows.routes import steps_of
from microrecur.flows.steps import Step, Steps, Word, edges_of, words_of
from microrecur.flows.sweep import Scaled
from microrecur.graphs import notation
from microrecur.graphs.factors import Factor
from microrecur.graphs.graph import called

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow


class Verdict(tuple[str, ...]):
    """Sentences, one per finding; they show one per line."""

    def __str__(self) -> str:
        return "\n".join(self)

    __repr__ = __str__


def verdict(flow: Flow) -> Verdict:
    """Say what becomes of the gradient on its way, and why.

    Parameters
    ----------
    flow : Flow
        From a loss or state back to whatever is asked about.

    Returns
    -------
    Verdict
        The first sentence says what happens; the others name the routes, gates, weights and steps
        that make it so.

    Examples
    --------
    >>> import microrecur as mr
    >>> from microrecur.flows.flow import flow
    >>> zero = mr.tensor(0.0), mr.tensor(0.0)
    >>> h, c = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9], zero)[-1]
    >>> print(verdict(flow(h, "t1.f")))
    ∂h₁/∂f₁ is exactly 0: zero because c₀ = 0, not dead.
    """
    if not flow.depends:
        return Verdict([_independent(flow)])
    if not np.any(flow.net.array):
        return Verdict([_why_zero(flow)])
    try:
        steps = steps_of(flow)
        chain = steps.chain(after=step_of(flow.wrt.scope))
    except ValueError:
        return Verdict([_sum_of_paths(flow)])
    if step_of(flow.wrt.scope) is not None and chain[0].t <= (step_of(flow.wrt.scope) or 0):
        return Verdict([_sum_of_paths(flow)])  # within one step: nothing has travelled yet
    table, alone = by_step(flow), through_time(flow)
    return Verdict(
        [_what_happens(chain, alone[0]), *_routes(flow, chain, table, alone), *_zero_gates(flow)]
    )


def _independent(flow: Flow) -> str:
    y, x = _titled(flow.y), _titled(flow.wrt)
    cut = " once those edges are cut" if flow.without else ""
    return f"{y} does not depend on {x}{cut}: no path leads back to it, the gradient is 0."


def _sum_of_paths(flow: Flow) -> str:
    size = power(flow.net.log2() * math.log10(2))
    if flow.count == 1:
        return f"‖{_derivative(flow)}‖ = {size}, over the one path there is."
    agree = f"they agree to {flow.agreement_in_norm:.0%}"
    return f"‖{_derivative(flow)}‖ = {size}, over {flow.count} paths; {agree}."


# -- over the steps --------------------------------------------------------------------------------


def _what_happens(chain: list[Step], whole: ThroughTime) -> str:
    """The first sentence: vanishes, holds or grows, with its figure per step."""
    last, first = chain[0].t, step_of(chain[-1].reads[0].scope)
    n, rate = whole.steps, whole.per_step
    if whole.log10 == -math.inf:
        return f"The gradient is lost: exactly 0 arrives at step {first}."
    gained, even = n * math.log10(rate), math.log10(max(n, 2))
    verb = "vanishes" if gained < -even else "grows" if gained > even else "holds"
    begun = power(whole.log10 - gained)
    pace = math.log(2) / abs(math.log(rate)) if rate != 1 else math.inf
    often = "step" if pace <= 1 else f"{pace:.1f} steps" if pace < 20 else f"{pace:.0f} steps"
    lost = f" ({'half is lost' if rate < 1 else 'it doubles'} every {often})" if pace < 1e6 else ""
    return (
        f"The gradient {verb}: {notation.number(rate)} per step, from {begun} at step {last} to "
        f"{power(whole.log10)} at step {first}{lost}."
    )


def _routes(flow: Flow, chain: list[Step], table: ByStep, alone: list[ThroughTime]) -> list[str]:
    """The route that carries most, and the one that would carry furthest, with their causes."""
    means = {
        route: _mean([getattr(r, name) for r in table]) for route, name in table.routes.items()
    }
    rate = {row.route: row.per_step for row in alone[1:]}
    most = max(means, key=lambda route: means[route])
    furthest = max(rate, key=lambda route: rate[route])
    words = words_of(chain)
    found = [
        f"Most of it goes {most} ({means[most]:.0%} of what each step hands on): alone "
        f"{notation.number(rate[most])} per step, because {_cause(flow, chain, words[most])}."
    ]
    if furthest != most:
        found.append(
            f"Furthest reaches {furthest}: alone {notation.number(rate[furthest])} per step, "
            f"because {_cause(flow, chain, words[furthest])}."
        )
    return found


def _mean(shares: list[float | None]) -> float:
    """The mean of the shares there are; −∞ where there is none (nothing was handed on)."""
    known = [s for s in shares if s is not None and not math.isnan(s)]
    return sum(known) / len(known) if known else -math.inf


def _cause(flow: Flow, chain: list[Step], word: Word) -> str:
    """The factors along a route, each with its mean over the steps or its norm."""
    steps = steps_of(flow)
    middle = chain[len(chain) // 2]
    telling = [
        factor
        for factor in _factors(steps, middle, word)
        if not (factor.kind == "pass" and factor.name in ("1", "−1"))
    ]
    return (
        " · ".join(_over_steps(steps, chain, factor) for factor in telling) or "all factors are 1"
    )


def _over_steps(steps: Steps, chain: list[Step], factor: Factor) -> str:
    """One factor: a weight with its norm, anything else with its mean and its extreme step."""
    if factor.kind == "weight":
        return f"‖{notation.typeset(factor.name)}‖ = {notation.number(factor.norm)}"
    if factor.kind in ("constant", "reduction", "pass"):
        return f"×{factor.name}"
    name = steps.name(factor.node)
    sizes = {
        step.t: steps.graph.factor(node, factor.position).typical
        for step in chain
        for node in step.nodes
        if steps.name(node) == name
    }
    title = notation.typeset(factor.name)
    if factor.kind in ("gate slope", "squash slope"):
        title += f" of {notation.typeset(_short(factor.node.inputs[0]))}"
    mean = notation.number(float(np.mean(list(sizes.values()))))
    least = min(sizes, key=lambda t: sizes[t])
    if len(sizes) == 1 or sizes[least] == max(sizes.values()):
        return f"{title} = {mean}"
    return f"{title} ≈ {mean} (least {notation.number(sizes[least])} at step {least})"


def _factors(steps: Steps, step: Step, word: Word) -> list[Factor]:
    """The factors of a route's strongest path in a step, from the state it leaves back."""
    inside = {*step.nodes, *step.reads}
    best: dict[Tensor, dict[Word, tuple[float, tuple[Factor, ...]]]] = {
        leaf: {(): (0.0, ())} for leaf in step.leaves
    }
    for node in reversed(step.nodes):
        for k, source in edges_of(node, inside):
            if node not in best:
                continue
            factor = steps.graph.factor(node, k)
            log = math.log(factor.norm) if factor.norm > 0 else -1e12
            there = best.setdefault(source, {})
            for before, (sum_of_logs, path) in best[node].items():
                after = step.follow(node, before)
                if after not in there or sum_of_logs + log > there[after][0]:
                    there[after] = sum_of_logs + log, (*path, factor)
    found = [best[read][word] for read in step.reads if word in best.get(read, {})]
    return list(max(found, key=lambda pair: pair[0])[1]) if found else []


# -- zeros -----------------------------------------------------------------------------------------


def _why_zero(flow: Flow) -> str:
    """Name the factor at which the gradient becomes exactly 0: the one nearest to wrt."""
    start = f"{_derivative(flow)} is exactly 0"
    lines = flow.linearised
    kept = list(lines.nodes)
    carried = lines.sweep({flow.y: Scaled(flow.seed)}, keep=kept)
    for node in kept:  # oldest first
        g = carried.get(node)
        if g is None or not np.any(g.array):
            continue
        for _, k in lines.edges(node):
            if not np.any(lines.pull(node, k, g.array)):
                return f"{start}: {_zero_factor(flow, node, k)}."
    return f"{start}: its paths cancel."


def _zero_factor(flow: Flow, node: Tensor, k: int) -> str:
    factor = flow.graph.factor(node, k)
    if factor.kind in ("memory value", "gate value", "weight"):
        dead = ", not dead" if _is_state(flow, node.inputs[1 - k]) else ""
        return f"zero because {notation.typeset(factor.name, factor.step)} = 0{dead}"
    if factor.kind in ("gate slope", "squash slope"):
        return (
            f"zero because {factor.name} of {_titled(node.inputs[0])} is 0: it is saturated or off"
        )
    return f"zero because ∂{_titled(node)}/∂{_titled(node.inputs[k])} is 0"


def _is_state(flow: Flow, tensor: Tensor) -> bool:
    return flow.graph.find(flow.graph.id_of(tensor)).role == "state"


def _zero_gates(flow: Flow) -> Iterator[str]:
    """Gates that get no gradient since what they multiply is 0: at t = 1, the forget gate."""
    for step in steps_of(flow).values():
        readers: dict[Tensor, list[tuple[Tensor, int]]] = {}
        for node in step.nodes:
            for k, source in enumerate(node.inputs):
                readers.setdefault(source, []).append((node, k))
        for gate in step.marks:
            if len(readers.get(gate, ())) != 1:
                continue
            ((node, k),) = readers[gate]
            factor = flow.graph.factor(node, k)
            if factor.kind not in ("memory value", "gate value") or np.any(factor.value):
                continue
            if _is_state(flow, node.inputs[1 - k]):
                zero = notation.typeset(factor.name, factor.step)
                layer, _, _ = by_step_of(gate.scope)
                whose = f"{_titled(gate)} of {'.'.join(layer)}" if layer else _titled(gate)
                yield (
                    f"At step {step.t} {whose} gets no gradient: zero because {zero} = 0, not dead."
                )


# -- names -----------------------------------------------------------------------------------------


def _derivative(flow: Flow) -> str:
    return f"∂{_titled(flow.y)}/∂{_titled(flow.wrt)}"


def _titled(tensor: Tensor) -> str:
    """A tensor as a formula calls it: f₁, c₀, L."""
    name, step = called(tensor)
    return notation.typeset(name, step_of(tensor.scope) if tensor.name else step)


def _short(tensor: Tensor) -> str:
    return called(tensor)[0]
