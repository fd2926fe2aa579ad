"""The gradient step by step: how much arrives at each state, and by which route it leaves.

Two numbers go by the name "the gradient at c_t". The *total*, ∂L/∂c_t, is what `.grad` holds. One
step's *view* holds the other states of the step fixed: it is what arrives from later steps, and
what the step's Jacobian multiplies. Both are given, under their names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, make_dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.engine.tensor import Tensor, step_of
from microrecur.flows.horizon import of_sequence, power
from microrecur.flows.routes import Block, share, step_blocks, steps_of
from microrecur.flows.steps import Rows, Step, Steps, Word, labelled, words_of
from microrecur.flows.sweep import Linearised, Scaled
from microrecur.flows.tables import Table, column
from microrecur.graphs.notation import typeset

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow

LOG10_2 = float(np.log10(2))


@dataclass(frozen=True, eq=False)
class Arrived:
    """The gradient at one state.

    Attributes
    ----------
    total : Scaled
        ∂L/∂state, as `.grad` has it.
    view : Scaled
        The same with the other states of its step held fixed.
    """

    total: Scaled
    view: Scaled


class ByStep(Table[Any]):
    """One row per step; the columns are named after the states and routes of the cell.

    Attributes
    ----------
    states : dict
        Of each state's name, the columns with log₁₀ of the norms of its total gradient and of one
        step's view: ``("total_h", "view_h")``.
    routes : dict
        Of each route's name, the column of its share: ``{"via f": "share_f"}``.
    note : str
        What stands above it: that y does not depend on what was asked about, so that the figures
        are of y's sequence alone; else "".

    Notes
    -----
    With several layers it shows as one table per layer, and one of the routes from layer to layer.
    """

    def __init__(
        self,
        of: type,
        rows: Iterable[Any],
        states: dict[str, tuple[str, str]],
        routes: dict[str, str],
        note: str = "",
    ) -> None:
        super().__init__(of, rows)
        self.states, self.routes, self.note = states, routes, note

    def __str__(self) -> str:
        return self._joined([f"{title}{part}" for title, part in self._parts()])

    def __repr__(self) -> str:
        return self._joined([f"{title}{part!r}" for title, part in self._parts()])

    def _repr_html_(self) -> str:
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        parts = (
            f"<p>{escape(title.strip())}</p>{part._repr_html_()}" if title else part._repr_html_()
            for title, part in self._parts()
        )
        return note + "\n".join(parts)

    def _joined(self, parts: Iterable[str]) -> str:
        return "\n\n".join([*([self.note] if self.note else []), *parts])

    def _parts(self) -> list[tuple[str, Table[Any]]]:
        """Tables that fit a screen, each with its heading: as many as there are layers, and more.

        A name of several layers starts with its layer: "layer1.c", "via layer0.g→layer1.i".
        """
        layers = list(dict.fromkeys(name.rpartition(".")[0] for name in self.states))
        if len(layers) < 2:
            return [("", _Part(self.of, self, None))]
        parts: list[tuple[str, Table[Any]]] = []
        left = dict(self.routes)
        for layer in layers:
            states = [c for name, pair in self.states.items() for c in pair if _in(layer, name)]
            routes = [name for name in left if _within(layer, name)]
            chosen = [*states, *(left.pop(name) for name in routes)]
            parts.append((f"{layer}\n", _Part(self.of, self, chosen)))
        groups: dict[str, list[str]] = {}
        for name, place in left.items():
            groups.setdefault(name.removeprefix("via ").split("→")[0], []).append(place)
        for start, chosen in groups.items():
            title = f"{start}, in all layers" if start == "direct" else f"{start} → other layers"
            parts.append((f"{title}\n", _Part(self.of, self, chosen)))
        return parts


class _Part(Table[Any]):
    """Some columns of a table, beside the step; all of them when none are given."""

    def __init__(self, of: type, rows: Iterable[Any], chosen: list[str] | None) -> None:
        super().__init__(of, rows)
        self._chosen = chosen

    def _columns(self) -> list[tuple[str, str, Callable[[Any], str]]]:
        every = super()._columns()
        return [c for c in every if self._chosen is None or c[0] in ("step", *self._chosen)]


def _in(layer: str, name: str) -> bool:
    return name.rpartition(".")[0] == layer


def _within(layer: str, route: str) -> bool:
    """Whether all gates of a route are of this layer."""
    marks = route.removeprefix("via ").split("→")
    return route != "direct" and all(_in(layer, mark) for mark in marks)


def by_step(flow: Flow) -> ByStep:
    """Return the gradient's norms at the states of each step, and each route's share of it.

    Norms are kept as log₁₀, since they leave floating point in long sequences. A route's share at
    step t is its part in what step t hands to the one before: ⟨part, whole⟩ / ‖whole‖², signed, so
    that they sum to 1.

    Parameters
    ----------
    flow : Flow
        Of a sequence that was filed in steps.

    Returns
    -------
    ByStep
        From the last step back to that of `flow.wrt`. The figures are those of y's sequence: where
        y does not depend on `wrt` they are the same, and the table says so above.

    Examples
    --------
    >>> import microrecur as mr
    >>> from microrecur.flows.flow import flow
    >>> h0 = mr.tensor(0.3)
    >>> last = mr.unroll(mr.GRUCell(1, 1, seed=0), [0.9, -0.4, 1.1], h0)[-1]
    >>> print(by_step(flow(last, h0)))
    step  ‖∂/∂hₜ‖  direct  via z  via n  via r→n
       3     1.00    0.80   0.16  0.033    0.008
       2     0.78    0.80  0.028   0.13    0.041
       1     0.76    0.77   0.17  0.052    0.012
       0     0.69
    """
    steps = steps_of(flow)
    first = step_of(flow.wrt.scope)
    found = arrivals(flow)
    places: dict[int, dict[str, Arrived]] = {}
    for state, arrived in found.items():
        t = step_of(state.scope)
        if t is not None and (first is None or t >= first):
            places.setdefault(t, {})[steps.name(state)] = arrived
    names = sorted({name for row in places.values() for name in row})
    order = [name for name in _in_order(steps) if name in names]
    words = words_of([steps[t] for t in places if t in steps])
    return _table(order, words, places, _shares(flow, found, words), of_sequence(flow))


def _in_order(steps: Steps) -> list[str]:
    """The states by the order in which a step reads them: h before c, as an LSTM gives them."""
    every = (steps.name(x) for step in steps.values() for x in (*step.reads, *step.leaves))
    return list(dict.fromkeys(every))


def _table(
    states: list[str],
    words: dict[str, Word],
    places: dict[int, dict[str, Arrived]],
    shares: dict[int, dict[Word, float]],
    note: str,
) -> ByStep:
    views = "view" if len(states) > 1 else "total"  # a state alone has nothing to hold fixed
    of_states = {name: (f"total_{_plain(name)}", f"{views}_{_plain(name)}") for name in states}
    of_routes = {name: f"share_{_plain('_'.join(words[name]) or name)}" for name in words}
    columns: list[Any] = [("step", int, field(metadata=column("step", str)))]
    for name, (total, view) in of_states.items():
        letter = typeset(name, "t")
        kinds = ((total, " total"), (view, " view")) if view != total else ((total, ""),)
        for norm, kind in kinds:
            columns.append((norm, float, field(metadata=column(f"‖∂/∂{letter}‖{kind}", power))))
    for name, share_column in of_routes.items():
        columns.append((share_column, float | None, field(metadata=column(name))))
    of = make_dataclass("AtStep", columns, frozen=True)
    rows = []
    for t in sorted(places, reverse=True):
        arrived = [places[t].get(name) for name in states]
        norms = [log for a in arrived for log in _norms(a)[: 2 if len(states) > 1 else 1]]
        rows.append(of(t, *norms, *(shares.get(t, {}).get(word) for word in words.values())))
    return ByStep(of, rows, of_states, of_routes, note)


def _norms(arrived: Arrived | None) -> tuple[float | None, float | None]:
    if arrived is None:
        return None, None
    return arrived.total.log2() * LOG10_2, arrived.view.log2() * LOG10_2


def _plain(name: str) -> str:
    """A name as part of a Python identifier."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


# -- sweeps ----------------------------------------------------------------------------------------


def arrivals(flow: Flow) -> dict[Tensor, Arrived]:
    """The gradient at every state of the sequence, total and as one step sees it."""
    steps = steps_of(flow)
    inside = {node for step in steps.values() for node in step.nodes}
    sources = {x for step in steps.values() for x in step.reads if x not in inside}
    states = sources.union(*(step.leaves for step in steps.values()))
    lines = Linearised([flow.y], sources, without=flow.without)
    zero = {state: Scaled(np.zeros(state.shape)) for state in states}
    found = {state: Arrived(zero[state], zero[state]) for state in states}
    # Two sums per node: what has crossed no state of its own step yet, and what has.
    fresh: dict[Tensor, Scaled] = {flow.y: Scaled(flow.seed)}
    crossed: dict[Tensor, Scaled] = {}
    for node in reversed(lines.nodes):
        new, old = fresh.pop(node, None), crossed.pop(node, None)
        total = _plus(new, old)
        if total is None:
            continue
        if node in states:
            found[node] = Arrived(total, new or zero[node])
            new, old = None, total
        t = step_of(node.scope)
        for _, k in lines.edges(node):
            source = node.inputs[k]
            if step_of(source.scope) != t:
                _send(fresh, source, lines, node, k, total)
            else:
                _send(fresh, source, lines, node, k, new)
                _send(crossed, source, lines, node, k, old)
    return found


def _send(
    carried: dict[Tensor, Scaled],
    source: Tensor,
    lines: Linearised,
    node: Tensor,
    k: int,
    here: Scaled | None,
) -> None:
    if here is None:
        return
    part = Scaled(lines.pull(node, k, here.array), here.exponent).rescaled()
    total = _plus(carried.get(source), part)
    if total is not None:
        carried[source] = total.rescaled()


def _plus(a: Scaled | None, b: Scaled | None) -> Scaled | None:
    if a is None or b is None:
        return a if b is None else b
    return a.plus(b)


def _shares(
    flow: Flow, found: dict[Tensor, Arrived], words: dict[str, Word]
) -> dict[int, dict[Word, float]]:
    """Each route's share in what a step hands on, by step."""
    shares = {}
    for t, step in steps_of(flow).items():
        parts = handed_on(flow, step, {leaf: found[leaf].view for leaf in step.leaves})
        whole: Any = sum(parts.values())
        shares[t] = {
            word: share(parts[word], whole) if word in parts else 0.0 for word in words.values()
        }
    return shares


def handed_on(flow: Flow, step: Step, views: dict[Tensor, Scaled]) -> dict[Word, np.ndarray]:
    """What a step makes of the gradient at its states, by route: over all it reads, in a row.

    The numbers share one power of two, which is left out.
    """
    rows = Rows(flow.linearised)
    exponent = max((s.exponent for s in views.values() if np.any(s.array)), default=0)
    start = {
        leaf: {(): np.ldexp(s.array, max(s.exponent - exponent, -4000)).reshape(1, -1)}
        for leaf, s in views.items()
    }
    found = labelled(step, start, rows.pull, rows.add, without=flow.without)
    words = dict.fromkeys(word for labels in found.values() for word in labels)
    return {
        word: np.concatenate(
            [
                found.get(read, {}).get(word, np.zeros((1, read.size))).reshape(-1)
                for read in step.reads
            ]
        )
        for word in words
    }


# -- one route at every step -----------------------------------------------------------------------


@dataclass(frozen=True)
class ThroughTime:
    """What arrives when the gradient may take one route only, at every step.

    Attributes
    ----------
    route : str
        "direct", "via f", …; "all" for all of them together.
    steps : int
        Over how many steps.
    per_step : float
        The factor per step, as a geometric mean: (‖arrived‖ / ‖set out‖)^(1/steps).
    log10 : float
        log₁₀ of the 2-norm of what arrives, over all states.
    """

    route: str = field(metadata=column("route"))
    steps: int = field(metadata=column("steps"))
    per_step: float = field(metadata=column("per step"))
    log10: float = field(metadata=column("arrives", power))


def through_time(flow: Flow) -> Table[ThroughTime]:
    """Return what becomes of the last step's gradient on its way to `flow.wrt`, along each route.

    What enters on the way (a loss that reads the states of several steps) is left out: it has not
    travelled as far. The first row, "all", takes every route; the others do not sum to it, since
    most paths change routes on the way.

    Raises
    ------
    ValueError
        When the graph has no steps, or they do not follow one another.
    """
    views = {state: arrived.view for state, arrived in arrivals(flow).items()}
    chain = chain_of(flow, views)
    words = words_of(chain)
    sets = {"all": set(words.values())} | {name: {word} for name, word in words.items()}
    return Table(ThroughTime, carried_back(flow, chain, views, sets))


def chain_of(flow: Flow, views: Mapping[Tensor, Scaled]) -> list[Step]:
    """The steps from the last that gets any gradient back to the one after that of `wrt`."""
    chain = steps_of(flow).chain(after=step_of(flow.wrt.scope))
    while len(chain) > 1 and not any(np.any(views[leaf].array) for leaf in chain[0].leaves):
        chain = chain[1:]
    return chain


def carried_back(
    flow: Flow,
    chain: list[Step],
    views: Mapping[Tensor, Scaled],
    sets: Mapping[str, Collection[Word]],
) -> list[ThroughTime]:
    """Carry the first step's gradient back along the chain, once for each set of routes."""
    start = {leaf: views[leaf] for leaf in chain[0].leaves}
    begun = _log10_of(list(start.values()))
    carried = dict.fromkeys(sets, start)
    for step in chain:
        blocks = step_blocks(flow, step)
        for name, words in sets.items():
            carried[name] = along(carried[name], blocks, words)
    ends = {name: _log10_of(list(there.values())) for name, there in carried.items()}
    n = len(chain)
    return [ThroughTime(name, n, 10 ** ((end - begun) / n), end) for name, end in ends.items()]


def along(
    here: Mapping[Tensor, Scaled],
    blocks: Mapping[Block, np.ndarray],
    words: Collection[Word],
) -> dict[Tensor, Scaled]:
    """What the gradient at some states becomes along some routes of one step."""
    there: dict[Tensor, Scaled] = {}
    for (leaf, read, word), block in blocks.items():
        if word in words and leaf in here:
            g = here[leaf]
            part = Scaled(g.array.reshape(-1) @ block, g.exponent).rescaled()
            there[read] = there[read].plus(part).rescaled() if read in there else part
    return there


def entering(flow: Flow, chain: list[Step]) -> list[int]:
    """The steps of the chain whose states y reads otherwise than through later steps."""
    lines = flow.linearised
    nodes = {node: step.t for step in chain for node in step.nodes}
    within = [(node, k) for node in nodes for k in range(len(node.inputs))]
    straight = lines.sweep({flow.y: Scaled(flow.seed)}, without=within, keep=nodes)
    return sorted({nodes[node] for node, found in straight.items() if np.any(found.array)})


def _log10_of(parts: list[Scaled]) -> float:
    """log₁₀ of the 2-norm over several states."""
    logs = np.array([part.log2() for part in parts] or [-np.inf])
    top = float(logs.max())
    if not np.isfinite(top):
        return top
    return (top + float(np.log2(np.sum(4.0 ** (logs - top)))) / 2) * LOG10_2
