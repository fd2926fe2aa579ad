"""Routes: the Jacobian of one step split by the gates that the gradient passes on its way.

A route is the word of pre-activations that a path crosses inside a step: "direct", "via f",
"via r→n". The parts of all routes sum to the whole, so a share of the gradient has a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.flows.steps import (
    Rows,
    Step,
    Steps,
    Word,
    edges_of,
    find_route,
    full,
    labelled,
    name_of,
    words_of,
)
from microrecur.flows.sweep import Edge
from microrecur.flows.tables import Table, column
from microrecur.graphs.factors import spectral_norm

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow


@dataclass(frozen=True, eq=False)
class Route:
    """What one route adds to one block of a step's Jacobian.

    Attributes
    ----------
    step : int
        t.
    target, source : str
        Ids of the block's two states: "t3.c" and "t2.h".
    route : str
        "direct", "via f", "f→o".
    norm : float
        The part's 2-norm.
    share : float
        ⟨part, block⟩ / ‖block‖², signed: all shares of a block sum to 1; nan where the block is 0.
    value : float or None
        The part, when both states are one number.
    part : ndarray
        ∂target/∂source along this route alone, one row per number of the target.
    """

    step: int = field(metadata=column("step", str))
    target: str = field(metadata=column("of"))
    source: str = field(metadata=column("by"))
    route: str = field(metadata=column("route"))
    norm: float = field(metadata=column("norm"))
    share: float = field(metadata=column("share"))
    value: float | None = field(metadata=column("∂"))
    part: np.ndarray = field(
        repr=False, metadata=column("shape", lambda p: "×".join(map(str, p.shape)))
    )


class Routes(Table[Route]):
    """The parts of one step's Jacobian, as a table.

    Attributes
    ----------
    names : tuple of str
        The routes there are.
    """

    def __init__(self, of: type[Route], rows: Iterable[Route], names: Iterable[str]) -> None:
        super().__init__(of, rows)
        self.names = tuple(names)

    def jacobian(self, target: str, source: str, route: str | None = None) -> np.ndarray:
        """Return ∂target/∂source of the step: of all routes together, or of one.

        Parameters
        ----------
        target, source : str
            States by id ("t3.c", "t2.h") or by name ("c", "h").
        route : str, optional
            One of `names`.

        Returns
        -------
        ndarray
            Of shape (numbers of target, numbers of source); zeros where no such route leads.

        Raises
        ------
        ValueError
            When there is no such block or no such route; the message lists those there are.
        """
        if route is not None and route not in self.names:
            find_route(route, dict.fromkeys(self.names, ()))
        block = [row for row in self if _is(row.target, target) and _is(row.source, source)]
        if not block:
            blocks = dict.fromkeys(f"{row.target} by {row.source}" for row in self)
            raise ValueError(f"no block {target} by {source} here; there are: {', '.join(blocks)}")
        parts = [row.part for row in block if route in (None, row.route)]
        return sum(parts, np.zeros_like(block[0].part))


def _is(id: str, asked: str) -> bool:
    return asked in (id, id.rpartition(".")[2])


def routes(flow: Flow, at: int) -> Routes:
    """Split the Jacobian of step `at` by route; what the flow has cut counts 0.

    Each block is ∂(a state after the step)/∂(a state it reads), the other states read held fixed.

    Parameters
    ----------
    flow : Flow
        Of a sequence that was filed in steps.
    at : int
        t.

    Returns
    -------
    Routes
        One row per block and route.

    Raises
    ------
    ValueError
        When the graph has no such step.
    """
    steps = steps_of(flow)
    step = steps.at(at)
    known = words_of([step])
    blocks = step_blocks(flow, step)
    rows: list[Route] = []
    for leaf in step.leaves:
        for read in step.reads:
            parts = {name: blocks.get((leaf, read, word)) for name, word in known.items()}
            found = {name: part for name, part in parts.items() if part is not None}
            whole: Any = sum(found.values(), np.zeros((leaf.size, read.size)))
            ends = steps.graph.id_of(leaf), steps.graph.id_of(read)
            rows += [_row(at, *ends, name, part, whole) for name, part in found.items()]
    used = {row.route for row in rows}
    return Routes(Route, rows, [name for name in known if name in used])


def _row(t: int, target: str, source: str, name: str, part: np.ndarray, whole: np.ndarray) -> Route:
    value = float(part[0, 0]) if part.size == 1 else None
    return Route(t, target, source, name, spectral_norm(part), share(part, whole), value, part)


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """⟨part, whole⟩ / ‖whole‖², signed: the shares of parts that sum to the whole sum to 1."""
    top = float(np.max(np.abs(whole), initial=0.0))
    if top == 0:
        return float("nan")
    unit = whole / top  # squares of tiny numbers would underflow
    return float(np.vdot(part / top, unit) / np.vdot(unit, unit))


# -- blocks and maps -------------------------------------------------------------------------------

Block = tuple[Tensor, Tensor, Word]


def steps_of(flow: Flow) -> Steps:
    """The steps of a flow's graph, found once per flow."""
    found = flow.__dict__.get("_steps")
    if found is None:
        found = flow.__dict__["_steps"] = Steps(flow.graph)
    return found


def step_blocks(flow: Flow, step: Step) -> dict[Block, np.ndarray]:
    """∂leaf/∂read of a step along each route: a matrix per (leaf, read, word)."""
    rows = Rows(flow.linearised)
    start = {leaf: {(leaf, ()): np.ones(leaf.size)} for leaf in step.leaves}

    def follow(node: Tensor, label: tuple[Tensor, Word]) -> tuple[Tensor, Word]:
        return label[0], step.follow(node, label[1])

    found = labelled(step, start, rows.pull, rows.add, follow, flow.without)
    return {
        (leaf, read, word): full(part)
        for read, labels in found.items()
        for (leaf, word), part in labels.items()
    }


def step_map(
    flow: Flow, step: Step, columns: Sequence[Tensor], route: Word | None = None
) -> np.ndarray:
    """The Jacobian of all a step leaves by the states in `columns`, whole or of one route.

    Returns
    -------
    ndarray
        One row per number of the states left, oldest state first, one column per number of the
        columns.
    """
    above, left = _places(step.leaves), _places(columns)
    whole = np.zeros((above[None].stop, left[None].stop))
    rows = Rows(flow.linearised)
    start: dict[Tensor, dict[Any, Any]] = {
        leaf: {(leaf, ()): np.ones(leaf.size)} for leaf in step.leaves
    }
    if route is None:  # one label per state: half the work where nobody asks for routes
        found = labelled(step, start, rows.pull, rows.add, lambda node, label: label, flow.without)
        parts = {(leaf, x): g for x, labels in found.items() for (leaf, _), g in labels.items()}
    else:
        parts = {(b[0], b[1]): g for b, g in step_blocks(flow, step).items() if b[2] == route}
    for (leaf, read), part in parts.items():
        if read in left:
            whole[above[leaf], left[read]] = full(part)
    return whole


def _places(states: Sequence[Tensor]) -> dict[Tensor | None, slice]:
    """Where each state's numbers stand among those of all; under None the whole."""
    places: dict[Tensor | None, slice] = {}
    end = 0
    for state in states:
        places[state] = slice(end, end + state.size)
        end += state.size
    places[None] = slice(0, end)
    return places


# -- cutting ---------------------------------------------------------------------------------------


def cut_edges(
    flow: Flow, route: str | Sequence[str], at: int | Iterable[int] | None = None
) -> frozenset[Edge]:
    """The edges whose paths all belong to the given routes, so that cutting them cuts just those.

    Parameters
    ----------
    route : str or sequence of str
        "via o"; several are cut together.
    at : int or iterable of int, optional
        In which steps; in all when not given.

    Raises
    ------
    ValueError
        When there is no such route (the message lists those there are) or no such step, or when a
        route shares every edge with one that is to stay.
    """
    steps = steps_of(flow)
    asked = [at] if isinstance(at, int) else steps if at is None else list(at)
    chosen = [steps.at(t) for t in asked]
    known = words_of(chosen)
    names = [route] if isinstance(route, str) else list(route)
    wanted = {find_route(name, known) for name in names}
    edges: set[Edge] = set()
    for step in chosen:
        edges |= _edges_of_words(step, wanted)
    return frozenset(edges)


def _edges_of_words(step: Step, wanted: set[Word]) -> set[Edge]:
    """The edges of a step on which only paths of the wanted words run, nearest to what it reads.

    Nearest to there, so that what the gates themselves get (their weights, their inputs) stays.
    """
    onward = _onward(step)
    inside = {*step.nodes, *step.reads}
    behind: dict[Tensor, set[Word]] = {read: {()} for read in step.reads}
    edges: set[Edge] = set()
    for node in step.nodes:
        mark = step.marks.get(node)
        found: set[Word] = set()
        for k, source in edges_of(node, inside):
            before = behind[source]
            here = {word if mark is None else (*word, mark) for word in before}
            if here and {(*word, *rest) for word in here for rest in onward[node]} <= wanted:
                edges.add((node, k))
            else:
                found |= here
        behind[node] = found
    left = {word for leaf in step.leaves for word in behind[leaf]}
    if not wanted.isdisjoint(left):
        asked, all_of_them = (
            ", ".join(sorted(map(name_of, words))) for words in (wanted, _together(step, wanted))
        )
        raise ValueError(
            f"step {step.t}: {asked} shares edges with other routes, so no edge can be cut for it "
            f"alone; these can be cut together: {all_of_them}"
        )
    return edges


def _together(step: Step, wanted: set[Word]) -> set[Word]:
    """The wanted words and all that leave what the step reads by the same edges."""
    onward = _onward(step)
    reads = set(step.reads)
    first = [
        {word if node not in step.marks else (step.marks[node], *word) for word in onward[node]}
        for node in step.nodes
        for _ in edges_of(node, reads)
    ]
    found, before = set(wanted), 0
    while len(found) > before:
        before = len(found)
        found.update(*(words for words in first if not found.isdisjoint(words)))
    return found


def _onward(step: Step) -> dict[Tensor, set[Word]]:
    """Of each node, the words of the paths that lead from it to the states the step leaves."""
    inside = {*step.nodes, *step.reads}
    words: dict[Tensor, set[Word]] = {node: set() for node in inside}
    for leaf in step.leaves:
        words[leaf].add(())
    for node in reversed(step.nodes):
        mark = step.marks.get(node)
        onward = words[node] if mark is None else {(mark, *word) for word in words[node]}
        for _, source in edges_of(node, inside):
            words[source] |= onward
    return words


def cut(flow: Flow, route: str | Sequence[str], at: int | Iterable[int] | None = None) -> Flow:
    """Return the flow with these routes cut: their edges count 0, the forward pass is untouched.

    Parameters
    ----------
    flow : Flow
        What to cut in; what it has cut already stays cut.
    route : str or sequence of str
        "via o"; several are cut together.
    at : int or iterable of int, optional
        In which steps; in all when not given.

    Returns
    -------
    Flow
        Its `gradient`, `by_step()`, `top()` … are those without the routes.

    Raises
    ------
    ValueError
        When there is no such route or step, or a route has no edge of its own.
    """
    return flow.without_edges(cut_edges(flow, route, at))
