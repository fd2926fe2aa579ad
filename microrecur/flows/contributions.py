"""What each step adds to the gradient of a shared weight, and what truncation loses of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from microrecur.engine.tensor import Tensor, ancestry, by_step, step_of
from microrecur.flows.flow import Flow, flow, start_of
from microrecur.flows.nonfinite import refuse_overflow
from microrecur.flows.sweep import Edge, Linearised, Scaled
from microrecur.flows.tables import Table, column
from microrecur.flows.top import percent, shown
from microrecur.graphs.graph import identify


@dataclass(frozen=True, eq=False)
class Contribution:
    """What the uses of a weight in one step add to its gradient.

    Attributes
    ----------
    step : int or None
        In which step it is used; None outside any step.
    uses : int
        How many recorded edges use it there.
    term : ndarray
        Σ over those uses of ∂y/∂(op that uses it) · ∂⁺(that op)/∂W, of W's shape. ∂⁺ is the
        immediate derivative: the step's own use, with all that earlier steps left held fixed.
    share : float
        ⟨term, gradient⟩ / ‖gradient‖², signed; all shares sum to 1.
    log10 : float
        log₁₀ ‖term‖: right also where the term leaves the range of float64.
    """

    step: int | None
    uses: int
    term: np.ndarray
    share: float
    log10: float

    @property
    def norm(self) -> str:
        """The 2-norm as text."""
        return shown(np.abs(self.term), self.log10)

    @property
    def place(self) -> str:
        """The step as text."""
        return "outside" if self.step is None else str(self.step)


@dataclass(frozen=True)
class Line:
    """What a table of contributions shows of each."""

    place: str = field(metadata=column("step"))
    uses: int = field(metadata=column("uses"))
    norm: str = field(metadata=column("‖term‖"))
    share: float = field(metadata=column("share", percent))


class Contributions(Table[Contribution]):
    """The terms of a weight's gradient, one per step in order; what is outside any step last.

    Attributes
    ----------
    flow : Flow
        From y to the weight: its `gradient` is the total, ∂y/∂W.
    """

    def __init__(self, flow: Flow, rows: Iterable[Contribution]) -> None:
        super().__init__(Line, rows)  # type: ignore[arg-type]
        self.flow = flow

    @property
    def total(self) -> np.ndarray:
        """∂y/∂W, which the terms sum to."""
        return self.flow.gradient


def contributions(y: Tensor, W: Tensor | str, seed: ArrayLike | None = None) -> Contributions:
    """Split the gradient of a shared weight by the step in which it was used.

    Parameters
    ----------
    y : Tensor
        A loss or a state.
    W : Tensor or str
        A parameter, one gate's view of it ("U_f"), or any other node or id.
    seed : array_like, optional
        What the gradient starts with; needed when y has more than one number.

    Returns
    -------
    Contributions
        One row per step that uses W; none when y does not depend on it.

    Notes
    -----
    The immediate derivative of one use and the total derivative are different things: what a step
    adds is its own ∂⁺ weighed by the total gradient that reaches it. A use is an edge that leaves
    W, or what was made of W alone outside any step (a gate's slice).

    Examples
    --------
    >>> import microrecur as mr
    >>> cell = mr.RNNCell(1, 1, seed=1)
    >>> h = mr.unroll(cell, [0.9, -0.4, 1.1], mr.tensor(0.2))[-1]
    >>> terms = contributions(h, "U")
    >>> print(terms)
    step  uses  ‖term‖  share
    1        1  0.075   13.1%
    2        1  0.18    31.0%
    3        1  0.32    56.0%
    >>> bool(abs(sum(row.term for row in terms) - terms.total) < 1e-15)
    True
    """
    whole = flow(y, W, seed).checked()
    lines = whole.linearised
    if not whole.depends:
        return Contributions(whole, [])
    carriers = _carriers(lines, whole.wrt)
    if y in carriers:  # never used in any step at all
        return Contributions(whole, [_row(whole, None, 1, whole.net)])
    uses: dict[int | None, list[Edge]] = {}
    for node in lines.nodes:
        for edge in lines.edges(node) if node not in carriers else ():
            if node.inputs[edge[1]] in carriers:
                uses.setdefault(step_of(node.scope), []).append(edge)
    readers = {node for edges in uses.values() for node, _ in edges}
    reached = lines.sweep({y: Scaled(whole.seed)}, keep=readers)
    back = Linearised({node.inputs[k] for e in uses.values() for node, k in e}, [whole.wrt])
    steps = sorted(uses, key=lambda t: (t is None, t or 0))
    terms = ((t, uses[t], _term(lines, back, whole.wrt, uses[t], reached)) for t in steps)
    return Contributions(whole, [_row(whole, t, len(edges), term) for t, edges, term in terms])


def _carriers(lines: Linearised, W: Tensor) -> set[Tensor]:
    """W and what was made of it alone, outside any step: its slices, and what views them."""
    found = {W}
    for node in lines.nodes:
        if node is W or step_of(node.scope) is not None:
            continue
        edges = lines.edges(node)
        if edges and all(node.inputs[k] in found for _, k in edges):
            found.add(node)
    return found


def _term(
    lines: Linearised,
    back: Linearised,
    W: Tensor,
    uses: Sequence[Edge],
    reached: dict[Tensor, Scaled],
) -> Scaled:
    """Σ over the uses of the gradient that reaches each, times its immediate derivative by W."""
    start: dict[Tensor, Scaled] = {}
    with np.errstate(all="ignore"):
        for node, k in uses:
            if node not in reached:
                continue
            here = reached[node]
            part = Scaled(lines.pull(node, k, here.array), here.exponent).rescaled()
            source = node.inputs[k]
            start[source] = start[source].plus(part) if source in start else part
    return back.sweep(start).get(W, Scaled(np.zeros(W.shape)))


def _row(whole: Flow, step: int | None, uses: int, term: Scaled) -> Contribution:
    return Contribution(step, uses, term.value(), whole.share(term), term.log2() * math.log10(2))


# -- truncation ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Truncated:
    """The gradient of one leaf by truncated backpropagation, beside the whole one.

    Attributes
    ----------
    leaf : str
        The id of the parameter or state.
    gradient, whole : ndarray
        Truncated and not, of the leaf's shape.
    lost : float
        The share of the gradient that no longer arrives: 1 − ⟨truncated, whole⟩ / ‖whole‖², signed
        (below 0 where what was cut pulled the other way).
    error : float
        ‖truncated − whole‖ / ‖whole‖.
    log10, log10_whole : float
        log₁₀ of the two norms.
    """

    leaf: str
    gradient: np.ndarray
    whole: np.ndarray
    lost: float
    error: float
    log10: float
    log10_whole: float

    @property
    def norm(self) -> str:
        """The 2-norm of the truncated gradient as text."""
        return shown(np.abs(self.gradient), self.log10)

    @property
    def whole_norm(self) -> str:
        """The 2-norm of the whole gradient as text."""
        return shown(np.abs(self.whole), self.log10_whole)


@dataclass(frozen=True)
class TruncatedLine:
    """What a table of truncated gradients shows of each."""

    leaf: str = field(metadata=column("leaf"))
    norm: str = field(metadata=column("‖truncated‖"))
    whole_norm: str = field(metadata=column("‖whole‖"))
    lost: float = field(metadata=column("lost", percent))
    error: float = field(metadata=column("error", percent))


class Truncation(Table[Truncated]):
    """The truncated gradients of all leaves that require one; `cuts` are the steps cut before."""

    def __init__(self, rows: Iterable[Truncated], cuts: tuple[int, ...]) -> None:
        super().__init__(TruncatedLine, rows)  # type: ignore[arg-type]
        self.cuts = cuts


def truncate(y: Tensor, k: int, seed: ArrayLike | None = None) -> Truncation:
    """Return the gradients that backpropagation truncated to k steps would give, and their loss.

    The sequence is cut before every k-th step, counted from its end, as training in chunks of k
    steps does: no gradient passes from a step to the one before it there. The recorded numbers stay
    what they were.

    Parameters
    ----------
    y : Tensor
        A loss or a state of a recorded sequence.
    k : int
        How many steps are kept together.
    seed : array_like, optional
        What the gradient starts with; needed when y has more than one number.

    Returns
    -------
    Truncation
        One row per leaf that requires a gradient.

    Raises
    ------
    FloatingPointError
        When a recorded number is not finite; the message names the first node.
    ValueError
        When k is no whole number ≥ 1, or y was computed in no steps.

    Examples
    --------
    >>> import microrecur as mr
    >>> cell = mr.RNNCell(1, 1, seed=1)
    >>> h = mr.unroll(cell, [0.9, -0.4, 1.1], mr.tensor(0.2))[-1]
    >>> print(truncate(h, 2))
    leaf       ‖truncated‖  ‖whole‖   lost  error
    weight_ih  0.56         0.90     37.6%  37.6%
    weight_hh  0.50         0.57     13.1%  13.1%
    bias_ih    1.17         1.54     24.3%  24.3%
    bias_hh    1.17         1.54     24.3%  24.3%
    """
    if not isinstance(y, Tensor):
        raise TypeError(f"truncate() reads a recorded tensor (a loss), not {type(y).__name__}")
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"truncate: k is a whole number of steps ≥ 1, not {k!r}")
    start = {y: Scaled(start_of(y, seed))}
    records = ancestry([y])
    steps = (step_of(node.scope) for node in records if not node.is_leaf)
    computed = {t for t in steps if t is not None}
    if not computed:
        raise ValueError("truncate: y was computed in no steps (scopes 't=1', 't=2', …)")
    first, last = min(computed), max(computed)
    cuts = tuple(range(last - k + 1, first, -k))[::-1]
    leaves = [node for node in records if node.is_leaf and node.requires_grad]
    lines = Linearised([y], leaves)
    refuse_overflow(lines.nodes, y)
    whole = lines.sweep(start)
    kept = Linearised([y], leaves, without=_crossing(records, cuts)).sweep(start)
    ids = identify(records)
    return Truncation(
        [_compared(leaf, ids[leaf], kept.get(leaf), whole.get(leaf)) for leaf in leaves], cuts
    )


def _crossing(records: Sequence[Tensor], cuts: Sequence[int]) -> list[Edge]:
    """The edges by which a step of a layer reads another across a cut."""
    found = []
    place = {node: by_step(node.scope)[:2] for node in records}
    for node in records:
        layer, t = place[node]
        for position, source in enumerate(node.inputs):
            before, s = place[source]
            if t is None or s is None or s == t or before != layer:
                continue
            low, high = sorted((s, t))
            if any(low < cut <= high for cut in cuts):
                found.append((node, position))
    return found


def _compared(leaf: Tensor, id: str, kept: Scaled | None, whole: Scaled | None) -> Truncated:
    nothing = Scaled(np.zeros(leaf.shape))
    kept, whole = (kept or nothing).rescaled(), (whole or nothing).rescaled()
    square = Scaled(np.asarray(np.sum(whole.array * whole.array)), whole.exponent)
    missing = whole.plus(Scaled(-kept.array, kept.exponent))
    along = Scaled(np.asarray(np.sum(missing.array * whole.array)), missing.exponent)
    sizes = [Scaled(np.asarray(np.linalg.norm(s.array)), s.exponent) for s in (missing, whole)]
    return Truncated(
        id,
        kept.value(),
        whole.value(),
        float(along.over(square)),
        float(sizes[0].over(sizes[1])),
        kept.log2() * math.log10(2),
        whole.log2() * math.log10(2),
    )
