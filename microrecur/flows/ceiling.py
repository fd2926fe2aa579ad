"""The ceiling: what the gradient through time can be at most, beside what it is.

Within one step the bounds of all edges add and multiply to one small matrix, ‖∂(states)‖ by
‖∂(states before)‖; the product of these matrices over the steps bounds all paths at once. The gap
to the actual norm is the lesson: a bound that allows 10⁴⁶ says nothing about a gradient of 10⁻¹⁰.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from microrecur.engine.tensor import Tensor, step_of
from microrecur.flows.bounds import Bounds, bounds
from microrecur.flows.horizon import Lag, OfSequence, lags, of_sequence, power
from microrecur.flows.routes import steps_of
from microrecur.flows.steps import Step, labelled
from microrecur.flows.sweep import Scaled
from microrecur.flows.tables import Table, column

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow

LOG10_2 = math.log10(2)


@dataclass(frozen=True)
class Ceiling:
    """Bound and truth of one block of the Jacobian over k steps.

    Attributes
    ----------
    lag, step : int
        k, and T − k.
    target, source : str
        Names of the two states.
    log10_bound : float
        log₁₀ of the bound on the 2-norm; ∞ where some edge has none.
    log10 : float
        log₁₀ of the 2-norm itself.
    """

    lag: int = field(metadata=column("lag"))
    step: int = field(metadata=column("step", str))
    target: str = field(metadata=column("of"))
    source: str = field(metadata=column("by"))
    log10_bound: float = field(metadata=column("bound", power))
    log10: float = field(metadata=column("norm", power))


def ceiling(flow: Flow) -> Table[Ceiling]:
    """Return, for each lag, the bound on ‖∂s_T/∂s_{T−k}‖ that cards and weights give, and the norm.

    Parameters
    ----------
    flow : Flow
        Of a sequence; lags run back to the step of `flow.wrt`.

    Returns
    -------
    Table of Ceiling
        One row per lag and pair of states of y's sequence; where y does not depend on `flow.wrt`,
        the table says so above.

    Examples
    --------
    >>> import microrecur as mr
    >>> from microrecur.flows.flow import flow
    >>> h0 = mr.tensor(0.0)
    >>> cell = mr.RNNCell(1, 1, nonlinearity="sigmoid", seed=1)
    >>> for row in ceiling(flow(mr.unroll(cell, [0.9, -0.4], h0)[-1], h0)):
    ...     print(row.lag, round(10**row.log10_bound, 4), round(10**row.log10, 4))
    1 0.2252 0.2015
    2 0.0507 0.0449
    """
    steps = steps_of(flow)
    chain = steps.chain(after=step_of(flow.wrt.scope))
    known = bounds(flow.graph, given=("weights",))
    actual: dict[tuple[int, str, str], Lag] = {
        (row.lag, row.target, row.source): row for row in lags(flow)
    }
    rows, product = [], None
    for k, (step, before) in enumerate(zip(chain, [*chain[1:], None]), start=1):
        columns = before.leaves if before is not None else step.reads
        matrix = step_bound(step, columns, known)
        product = _times(product, matrix)
        for i, target in enumerate(chain[0].leaves):
            for j, source in enumerate(columns):
                lag = actual[k, steps.name(target), steps.name(source)]
                log = _log10(float(product.array[i, j]), product.exponent)
                rows.append(Ceiling(k, lag.step, lag.target, lag.source, log, lag.log10))
    return OfSequence(Ceiling, rows, of_sequence(flow))


def step_bound(step: Step, columns: Sequence[Tensor], known: Bounds) -> np.ndarray:
    """Bounds on the norms of a step's blocks: a row per state it leaves, a column per one before.

    Every path counts with the product of its edges' bounds; ∞ where an edge has none.
    """

    def pull(node: Tensor, k: int, g: float) -> float:
        bound = known.edge(node, k)
        bound = math.inf if bound is None else bound
        return 0.0 if g == 0 or bound == 0 else g * bound

    start = {leaf: {leaf: 1.0} for leaf in step.leaves}
    found = labelled(step, start, pull, lambda a, b: a + b, lambda node, label: label)
    return np.array([[found.get(x, {}).get(leaf, 0.0) for x in columns] for leaf in step.leaves])


def _times(product: Scaled | None, matrix: np.ndarray) -> Scaled:
    if product is None:
        return Scaled(matrix).rescaled()
    if np.isfinite(matrix).all() and np.isfinite(product.array).all():
        return Scaled(product.array @ matrix, product.exponent).rescaled()
    a, b = product.array[:, :, None], matrix[None]
    with np.errstate(invalid="ignore"):  # 0·∞ is 0: where no path leads, no bound is needed
        return Scaled(np.where((a == 0) | (b == 0), 0.0, a * b).sum(1), product.exponent)


def _log10(value: float, exponent: int) -> float:
    if value == 0 or math.isinf(value):
        return -math.inf if value == 0 else math.inf
    return math.log10(value) + exponent * LOG10_2
