"""The ledger of a path: each factor with its bound and the running product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, make_dataclass

import numpy as np

from microrecur.flows.paths import Path
from microrecur.flows.tables import Table, column
from microrecur.graphs import notation
from microrecur.graphs.graph import Edge, Factor, Graph


@dataclass(frozen=True)
class Entry:
    """One factor of a path.

    Attributes
    ----------
    step : int or None
        The step whose node the factor leads back from; None outside any step.
    edge : str
        The edge it belongs to, as the gradient walks it: "t3.h → t3.c".
    kind, symbol : str
        The factor's kind, and its name with its step: "gate value", "f₃".
    value : float
        The derivative: with its sign when both ends are one number, else its operator 2-norm.
    bound : float or None
        What |entry| can never exceed, whatever the numbers of this run; None where nothing is
        known.
    ratio : float or None
        The largest |entry| over the bound: 1 means the ceiling is reached. None without a bound, or
        where bound and entry are both 0.
    running : float
        ∏ so far, this factor included: signed when the whole path is made of numbers, else of
        norms.
    worst, typical : float or None
        The largest and the mean |entry| of a factor of several numbers; None where it is one
        number, and of an edge that folds several paths.
    """

    step: int | None = field(metadata=column("step", str))
    edge: str = field(metadata=column("edge"))
    kind: str = field(metadata=column("kind"))
    symbol: str = field(metadata=column("factor"))
    value: float = field(metadata=column("value"))
    bound: float | None = field(metadata=column("bound", lambda b: f"≤ {notation.bound(b)}"))
    ratio: float | None = field(metadata=column("of bound", lambda r: f"{r:.0%}"))
    running: float = field(metadata=column("∏"))
    worst: float | None = field(default=None, metadata=column("worst"))
    typical: float | None = field(default=None, metadata=column("typical"))


# Between single numbers a factor has no worst entry: their table goes without those columns.
_OF_NUMBERS = make_dataclass(
    "_OfNumbers",
    [(f.name, f.type, field(metadata=f.metadata)) for f in fields(Entry)[:-2]],
    frozen=True,
)


def ledger(graph: Graph, path: Path) -> Table[Entry]:
    """Return the factors of a path as a table, root first.

    An edge that folds several paths of the recorded graph has no factors of its own: it is one row,
    "2 paths", with the edge's derivative.

    Parameters
    ----------
    graph : Graph
        The graph, at the level the path runs over.
    path : Path
        As `strongest_path` returns it.

    Returns
    -------
    Table of Entry
        Its last `running` is the path's product. That is the gradient only when `path.count` is 1.

    Examples
    --------
    >>> import microrecur as mr
    >>> from microrecur.flows.paths import strongest_path
    >>> h0 = mr.tensor(0.0, requires_grad=True)
    >>> h = mr.unroll(mr.RNNCell(1, 1, seed=1), [0.9, -0.4], h0)[-1]
    >>> g = mr.graph(h, level="op")
    >>> print(ledger(g, strongest_path(g, "t0.h")))
    step  edge         kind          factor  value  bound  of bound     ∏
       2  t2.h → t2.z  squash slope  tanh′    0.88    ≤ 1       88%  0.88
       2  t2.z → t1.h  weight        U        0.90                   0.79
       1  t1.h → t1.z  squash slope  tanh′    0.96    ≤ 1       96%  0.76
       1  t1.z → t0.h  weight        U        0.90                   0.69
    """
    rows = list(_entries(graph, path))
    single = all(row.worst is None for row in rows)
    return Table(_OF_NUMBERS if single else Entry, rows)


def _entries(graph: Graph, path: Path) -> Iterator[Entry]:
    signed = all(edge.value is not None for edge in path.edges)
    before = 1.0
    for edge, after in zip(path.edges, path.running, strict=True):
        yield from _of_edge(edge, graph.find(edge.target).step, signed, before, after)
        before = after


def _of_edge(
    edge: Edge, step: int | None, signed: bool, before: float, after: float
) -> Iterator[Entry]:
    name = f"{edge.target} → {edge.source}"
    if not edge.factors:
        value = edge.value if signed and edge.value is not None else edge.norm
        yield Entry(step, name, "several", f"{edge.paths:,} paths", value, None, None, after)
    running = before
    for k, factor in enumerate(reversed(edge.factors), start=1):
        value = factor.norm if factor.number is None or not signed else factor.number
        running *= value
        # The last one closes the edge, with what its folded passing ops (a repeated operand) add.
        total = after if k == len(edge.factors) else running
        symbol = notation.typeset(factor.name, factor.step)
        spread = _spread(factor)
        yield Entry(
            step, name, factor.kind, symbol, value, factor.bound, ratio(factor), total, *spread
        )


def _spread(factor: Factor) -> tuple[float | None, float | None]:
    """The largest and the mean |entry|, where there are several."""
    if factor.number is not None or factor.value.size == 1:
        return None, None
    return float(np.max(np.abs(factor.value), initial=0.0)), factor.typical


def ratio(factor: Factor) -> float | None:
    """How much of its bound a factor uses: the largest |entry| over the bound; None without one."""
    if factor.bound is None:
        return None
    top = float(np.max(np.abs(factor.value), initial=0.0))
    if factor.bound == 0:
        return None if top == 0 else float("inf")
    return top / factor.bound
