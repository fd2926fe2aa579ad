"""Verdicts: what becomes of a gradient, in sentences that name the cause with its step and number.

There are no absolute thresholds. Over n steps a gradient "vanishes" when less than 1/n of what sets
out arrives, so that the far end has less than an even share; it "grows" when more than n times as
much arrives, and "holds" in between. Over one step there is no trend to speak of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from microrecur.engine.primitive import Elementwise
from microrecur.engine.tensor import Tensor, step_of
from microrecur.engine.tensor import by_step as by_step_of
from microrecur.flows.by_step import (
    Arrived,
    ByStep,
    ThroughTime,
    arrivals,
    by_step,
    carried_back,
    chain_of,
    entering,
    through_time,
)
from microrecur.flows.causes import gains, within
from microrecur.flows.contributions import contributions
from microrecur.flows.horizon import half_life, power
from microrecur.flows.routes import steps_of
from microrecur.flows.steps import Step, Word, words_of
from microrecur.flows.sweep import Scaled
from microrecur.graphs import notation

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow

# A half-life takes a factorisation of each step's Jacobian; beyond this many entries it takes
# seconds, and is left to who asks for it.
MOST_ENTRIES = 2_000_000

SHUT = 0.1  # a gate that lets less than this part of a gradient pass …
SHUT_COSTS = 2.0  # … and without which its route would keep this many times what any route keeps

MOST_TOGETHER = 5  # routes of which every selection is tried, when none alone grows


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
    found: dict[Tensor, Arrived] = {}
    try:
        found = arrivals(flow)
        views = {state: arrived.view for state, arrived in found.items()}
        chain = chain_of(flow, views)
    except ValueError:
        return Verdict([_sum_of_paths(flow)])
    t = step_of(flow.wrt.scope)
    if t is not None and chain[0].t <= t:  # within one step: nothing has travelled yet
        return Verdict([_sum_of_paths(flow)])
    if not any(np.any(views[leaf].array) for leaf in chain[0].leaves):
        return Verdict([_sum_of_paths(flow)])  # y reads no state at all
    table, alone = by_step(flow), through_time(flow)
    return Verdict(
        [
            _what_happens(flow, chain, alone[0]),
            *_entering(flow, chain, found),
            *_own(flow, chain, found),
            *_routes(flow, chain, views, table, alone),
            *_zero_gates(flow),
        ]
    )


def _independent(flow: Flow) -> str:
    y, x = _titled(flow, flow.y), _titled(flow, flow.wrt)
    cut = " once those edges are cut" if flow.without else ""
    return f"{y} does not depend on {x}{cut}: no path leads back to it, the gradient is 0."


def _sum_of_paths(flow: Flow) -> str:
    size = power(flow.net.log2() * math.log10(2))
    if flow.count == 1:
        return f"‖{_derivative(flow)}‖ = {size}, over the one path there is."
    agree = f"they agree to {flow.agreement_in_norm:.0%}"
    return f"‖{_derivative(flow)}‖ = {size}, over {flow.count} paths; {agree}."


# -- over the steps --------------------------------------------------------------------------------


def _what_happens(flow: Flow, chain: list[Step], whole: ThroughTime) -> str:
    """The first sentence: vanishes, holds or grows, with its figure per step."""
    last, first = chain[0].t, step_of(chain[-1].reads[0].scope)
    n, rate = whole.steps, whole.per_step
    what = "gradient" if _is_read(flow, chain) else "gradient through the states"
    if whole.log10 == -math.inf:
        return f"The {what} is lost: of what sets out at step {last}, exactly 0 arrives at {first}."
    gained, even = n * math.log10(rate), math.log10(max(n, 2))
    ends = (
        f"from {power(whole.log10 - gained)} at step {last} to {power(whole.log10)} at step {first}"
    )
    if n == 1:
        return f"Over one step the {what} is multiplied by {notation.number(rate)}: {ends}."
    verb = "vanishes" if gained < -even else "grows" if gained > even else "holds"
    return (
        f"The {what} {verb}: {notation.number(rate)} per step, {ends} "
        f"(×{power(gained)} over {n} steps)."
    )


def _is_read(flow: Flow, chain: list[Step]) -> bool:
    """Whether the gradient asked for is that at a state at the end of the chain."""
    return flow.wrt in chain[-1].reads


def _entering(flow: Flow, chain: list[Step], found: Mapping[Tensor, Arrived]) -> Iterator[str]:
    """Where y reads the states of several steps, say so: more arrives than has come all the way."""
    places = entering(flow, chain)
    if len(places) < 2:
        return
    first = step_of(chain[-1].reads[0].scope)
    every = "every step" if len(places) == len(chain) else f"{len(places)} of {len(chain)} steps"
    arrives = power(_log10(*(found[read].view for read in chain[-1].reads)))
    yield (
        f"{_titled(flow, flow.y)} enters at {every}; the figures are of what enters at step "
        f"{chain[0].t}. With what enters on the way, {arrives} arrives at step {first}."
    )


def _log10(*parts: Scaled) -> float:
    """log₁₀ of the 2-norm over several arrays."""
    logs = [part.log2() * math.log10(2) for part in parts]
    top = max(logs)
    if not math.isfinite(top):
        return top
    return top + math.log10(sum(100 ** (log - top) for log in logs)) / 2


# -- at wrt itself ---------------------------------------------------------------------------------


def _own(flow: Flow, chain: list[Step], found: Mapping[Tensor, Arrived]) -> Iterator[str]:
    """What arrives at wrt itself, where the sentence before does not tell."""
    size = f"‖{_derivative(flow)}‖ = {power(flow.net.log2() * math.log10(2))}"
    if _is_read(flow, chain):
        if len(chain[-1].reads) > 1:
            others = ", ".join(
                _titled(flow, read) + _of_layer(flow, read)
                for read in chain[-1].reads
                if read is not flow.wrt
            )
            yield f"{size}; the rest of what arrives there is at {others}."
    elif step_of(flow.wrt.scope) is not None:
        way = within(flow, {state: arrived.view for state, arrived in found.items()}, flow.wrt)
        if way is None:
            yield f"{size}."
        else:
            leaf, factors = way
            reaches = power(found[leaf].view.log2() * math.log10(2))
            times = "".join(f" · {gain}" for gain in factors)
            yield (
                f"{size}, most of it by way of {_titled(flow, leaf)}: the {reaches} that arrives "
                f"there{times}."
            )
    else:
        yield f"{size}{_by_uses(flow)}."


def _by_uses(flow: Flow) -> str:
    """Which uses of a shared weight bring its gradient."""
    if flow.without:
        return ""
    terms = [row for row in contributions(flow.y, flow.wrt, flow.seed) if row.step is not None]
    if len(terms) < 2:
        return ""
    ranked = sorted(terms, key=lambda row: -row.share)
    start = f", the sum over its uses in {len(terms)} steps: "
    for n in (1, 2, 3):
        total = sum(row.share for row in ranked[:n])
        if total >= 0.5:
            found = _listed(sorted(row.step for row in ranked[:n] if row.step is not None))
            which = f"step {found} alone brings" if n == 1 else f"steps {found} bring"
            return f"{start}{which} {total:.0%} of it"
    return f"{start}no step brings more than {ranked[0].share:.0%} (step {ranked[0].step})"


def _listed(items: Sequence[int | str]) -> str:
    names = list(map(str, items))
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


# -- routes ----------------------------------------------------------------------------------------


def _routes(
    flow: Flow,
    chain: list[Step],
    views: Mapping[Tensor, Scaled],
    table: ByStep,
    alone: list[ThroughTime],
) -> Iterator[str]:
    """The route that carries most, and the one that would carry furthest, with their causes."""
    words = words_of(chain)
    steps = {step.t for step in chain}
    means = {
        route: _mean([getattr(row, name) for row in table if row.step in steps])
        for route, name in table.routes.items()
        if route in words
    }
    rate = {row.route: row.per_step for row in alone[1:]}
    most = max(means, key=lambda route: means[route])
    furthest = max(rate, key=lambda route: rate[route])
    if len(chain) == 1:  # no route is taken twice
        yield f"Most of it goes {most} ({means[most]:.0%} of what the step hands on)."
        return
    yield (
        f"Most of it goes {most} ({means[most]:.0%} of what each step hands on): "
        f"{_alone(flow, chain, views, most, rate[most])}"
    )
    if furthest != most:
        yield f"Furthest reaches {furthest}: {_alone(flow, chain, views, furthest, rate[furthest])}"
    if alone[0].per_step > 1 and rate[furthest] <= 1:
        yield f"No route alone grows: {_together(flow, chain, views, rate)}"
    yield from _shut(flow, chain, views, rate)


def _mean(shares: list[float | None]) -> float:
    """The mean of the shares there are; −∞ where there is none (nothing was handed on)."""
    known = [s for s in shares if s is not None and not math.isnan(s)]
    return sum(known) / len(known) if known else -math.inf


def _alone(
    flow: Flow, chain: list[Step], views: Mapping[Tensor, Scaled], route: str, rate: float
) -> str:
    """What a route would do by itself, and why."""
    factors = gains(flow, chain, views, words_of(chain)[route])
    if factors is None:
        return "alone it ends, since it leads from one state to another and not on from there."
    cause = " · ".join(map(str, factors)) or "all factors are 1"
    half = _half_life(flow, chain, route)
    return f"alone {notation.number(rate)} per step{half}, because {cause}."


def _shut(
    flow: Flow, chain: list[Step], views: Mapping[Tensor, Scaled], rate: Mapping[str, float]
) -> Iterator[str]:
    """The gate that keeps closed a route which, open, would reach further than all others do."""
    best = SHUT_COSTS * max(rate.values())
    sentence = ""
    for route, word in words_of(chain).items():
        for cause in gains(flow, chain, views, word) or ():
            if cause.factor.kind != "gate value" or not 0 < cause.gain < SHUT:
                continue
            opened = rate[route] / cause.gain
            if opened > best:
                best = opened
                sentence = (
                    f"A gate is shut: {route} keeps {notation.number(rate[route])} per step, "
                    f"because {cause}; with that gate at 1 it would keep about "
                    f"{notation.number(opened)}."
                )
    if sentence:
        yield sentence


def _half_life(flow: Flow, chain: list[Step], route: str) -> str:
    """The half-life along a route, as `half_life(route)` gives it: of what lasts longest."""
    entries = len(chain) * sum(leaf.size for leaf in chain[0].leaves) ** 2
    if entries > MOST_ENTRIES:
        return ""
    try:
        half = half_life(flow, route)
    except ValueError:
        return ""
    if not 0 < half < math.inf:
        return ""
    return f" (half-life of what lasts longest {half:.1f} steps)"


def _together(
    flow: Flow, chain: list[Step], views: Mapping[Tensor, Scaled], rate: Mapping[str, float]
) -> str:
    """The fewest routes that grow together, of those that reach furthest."""
    words = words_of(chain)
    leading = sorted(rate, key=lambda route: -rate[route])[:MOST_TOGETHER]
    for size in range(2, len(leading) + 1):
        sets: dict[str, set[Word]] = {
            _listed(names): {words[name] for name in names}
            for names in combinations([name for name in words if name in leading], size)
        }
        best = max(carried_back(flow, chain, views, sets), key=lambda row: row.per_step)
        if best.per_step > 1:
            return f"{best.route} together do, {notation.number(best.per_step)} per step."
    return f"more than {len(leading)} of them do together."


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
                return f"{start}{_zero_factor(flow, node, k)}."
    return f"{start}: its paths cancel."


def _zero_factor(flow: Flow, node: Tensor, k: int) -> str:
    """Why nothing passes an edge; nothing is said where no more than that is known."""
    factor, source = flow.graph.factor(node, k), node.inputs[k]
    if factor.kind in ("memory value", "gate value", "weight"):
        dead = ", not dead" if _is_state(flow, node.inputs[1 - k]) else ""
        other = node.inputs[1 - k]
        name = notation.typeset(factor.name, factor.step)
        return f": zero because {name if _has_a_name(other) else _titled(flow, other)} = 0{dead}"
    if factor.kind in ("gate slope", "squash slope"):
        return (
            f": zero because {factor.name} of {_titled(flow, source)} is 0: it is saturated or off"
        )
    if factor.kind == "constant":
        return f": zero because {_titled(flow, node)} is ×{factor.name} of {_titled(flow, source)}"
    if isinstance(node.op, Elementwise):
        at = f" = {notation.number(source.item())}" if source.size == 1 else ""
        return f": zero because {node.op.symbol} is flat at {_titled(flow, source)}{at}"
    return ""


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
                whose = (
                    f"{_titled(flow, gate)} of {'.'.join(layer)}" if layer else _titled(flow, gate)
                )
                yield (
                    f"At step {step.t} {whose} gets no gradient: zero because {zero} = 0, not dead."
                )


# -- names -----------------------------------------------------------------------------------------


def _derivative(flow: Flow) -> str:
    return f"∂{_titled(flow, flow.y)}/∂{_titled(flow, flow.wrt)}"


def _titled(flow: Flow, tensor: Tensor) -> str:
    """A tensor as a formula calls it, f₁, c₀, L; by its id where it has no name."""
    if tensor.name is None:
        return flow._called(tensor)
    return notation.typeset(tensor.name, step_of(tensor.scope))


def _of_layer(flow: Flow, tensor: Tensor) -> str:
    """Its layer, where the graph has several."""
    layer = steps_of(flow).layer(tensor)
    return f" of {layer}" if layer else ""


def _has_a_name(tensor: Tensor) -> bool:
    """Whether a formula can name it: by itself, or by what it is a function of (tanh c)."""
    while tensor.name is None and len(tensor.inputs) == 1:
        tensor = tensor.inputs[0]
    return tensor.name is not None
