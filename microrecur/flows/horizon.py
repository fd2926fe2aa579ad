"""How far back a gradient reaches: norms by lag, horizon, half-life and Lyapunov exponents.

All are read off the Jacobians of single steps, multiplied one after the other with a power of two
kept apart. Never off a singular value decomposition of the product: its small directions are lost
to rounding after a few steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from microrecur.engine.tensor import Tensor, step_of
from microrecur.flows.routes import step_map, steps_of
from microrecur.flows.steps import Step, Steps, find_route, words_of
from microrecur.flows.sweep import Scaled
from microrecur.flows.tables import SHOWN, Table, column
from microrecur.graphs import notation

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow

LN10, LN2 = math.log(10), math.log(2)


def power(log10: float) -> str:
    """Set a number given by its logarithm: "0.85", "3.1·10⁻²⁰⁰¹", at any depth.

    Examples
    --------
    >>> power(-2001.5), power(-0.5), power(float("-inf"))
    ('3.2·10⁻²⁰⁰²', '0.32', '0')
    """
    if math.isnan(log10) or abs(log10) < 4 or math.isinf(log10):
        return notation.number(10**log10)
    exponent = math.floor(log10)
    digits = f"{10 ** (log10 - exponent):.1f}"
    if digits == "10.0":
        digits, exponent = "1.0", exponent + 1
    return f"{digits}·{notation.power_of_ten(exponent)}"


@dataclass(frozen=True)
class Lag:
    """How much a state of the last step moves with one of k steps before.

    Attributes
    ----------
    lag : int
        k.
    step : int
        T − k.
    target, source : str
        Names of the two states: "h" of the last step by "c" of k steps before.
    log10 : float
        log₁₀ of the 2-norm of ∂target/∂source; −∞ where it is 0. Kept as a logarithm since the norm
        itself leaves floating point after a few hundred steps.
    """

    lag: int = field(metadata=column("lag"))
    step: int = field(metadata=column("step", str))
    target: str = field(metadata=column("of"))
    source: str = field(metadata=column("by"))
    log10: float = field(metadata=column("norm", power))

    @property
    def norm(self) -> float:
        """The 2-norm; 0 or ∞ where it leaves floating point."""
        return float(np.power(10.0, self.log10)) if self.log10 < 308 else math.inf


class Link(NamedTuple):
    """One step in the chain: its Jacobian by the states before it."""

    step: Step
    before: tuple[Tensor, ...]
    jacobian: np.ndarray


class OfSequence(Table[Any]):
    """A table of figures that belong to y's sequence, whatever is asked about.

    Attributes
    ----------
    note : str
        What stands above it: that y does not depend on what was asked about; else "".
    """

    def __init__(self, of: type, rows: Iterable[Any], note: str) -> None:
        super().__init__(of, rows)
        self.note = note

    def __str__(self) -> str:
        return self._noted(super().__str__())

    def __repr__(self) -> str:
        return self._noted(super().__repr__() if len(self) > SHOWN else super().__str__())

    def _repr_html_(self) -> str:
        return (f"<p>{escape(self.note)}</p>" if self.note else "") + super()._repr_html_()

    def _noted(self, text: str) -> str:
        return f"{self.note}\n{text}" if self.note else text


def of_sequence(flow: Flow) -> str:
    """Say of figures by step that they are not those of wrt, where y does not depend on it."""
    if flow.depends:
        return ""
    y, wrt = flow._called(flow.y), flow._called(flow.wrt)
    return f"{y} does not depend on {wrt}: these are the figures of {y}'s own sequence."


def links(flow: Flow, route: str | None = None) -> Iterator[Link]:
    """Yield the Jacobians of the steps from the last back to the first after `wrt`.

    Parameters
    ----------
    route : str, optional
        Only this route's part of each; the whole when not given.

    Raises
    ------
    ValueError
        When there is no such route, no step, or the steps do not follow one another.
    """
    chain = steps_of(flow).chain(after=step_of(flow.wrt.scope))
    word = find_route(route, words_of(chain)) if route is not None else None
    for step, before in zip(chain, [*chain[1:], None]):
        columns = before.leaves if before is not None else step.reads
        yield Link(step, columns, step_map(flow, step, columns, word))


def lags(flow: Flow, route: str | None = None) -> Table[Lag]:
    """Return ‖∂s_T/∂s_{T−k}‖ for each lag k and each pair of states, s the states of a step.

    Parameters
    ----------
    flow : Flow
        Of a sequence; lags run back to the step of `flow.wrt`.
    route : str, optional
        Along this route at every step, all others cut.

    Returns
    -------
    Table of Lag
        Lag 0 is left out. The norms are those of y's sequence; where y does not depend on
        `flow.wrt`, the table says so above.
    """
    steps = steps_of(flow)
    rows: list[Lag] = []
    for k, (targets, sources, product) in enumerate(_products(flow, route), start=1):
        t = step_of(sources[0].scope)
        columns = _named_places(steps, sources)
        for target, a in _named_places(steps, targets):
            for source, b in columns:
                size = _log10_norm(Scaled(product.array[a, b], product.exponent))
                rows.append(Lag(k, t or 0, target, source, size))
    return OfSequence(Lag, rows, of_sequence(flow))


def _products(
    flow: Flow, route: str | None
) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor], Scaled]]:
    """The product of the last k Jacobians, for each k, with the states at its two ends."""
    product: Scaled | None = None
    last: Sequence[Tensor] = ()
    for step, before, jacobian in links(flow, route):
        if product is None:
            last, product = step.leaves, Scaled(jacobian).rescaled()
        else:
            product = Scaled(product.array @ jacobian, product.exponent).rescaled()
        yield last, before, product


def _named_places(steps: Steps, states: Sequence[Tensor]) -> list[tuple[str, slice]]:
    """Where each state's numbers stand, by its name."""
    places, end = [], 0
    for state in states:
        places.append((steps.name(state), slice(end, end + state.size)))
        end += state.size
    return places


def _log10_norm(block: Scaled) -> float:
    """log₁₀ of the 2-norm.

    Once one direction is left (after some hundred steps it is), the length of all entries is the
    norm, and no eigenvalue is needed.
    """
    top = float(np.max(np.abs(block.array), initial=0.0))
    if top == 0 or not np.isfinite(top):
        return -math.inf if top == 0 else math.nan
    a = block.array / top
    squares = a @ a.T if a.shape[0] <= a.shape[1] else a.T @ a
    trace = float(np.trace(squares))
    if float(np.vdot(squares, squares)) < (1 - 1e-14) * trace * trace:
        trace = float(np.linalg.eigvalsh(squares)[-1])
    return math.log10(top) + math.log10(trace) / 2 + block.exponent * math.log10(2)


def horizon(flow: Flow, eps: float = 1e-3, route: str | None = None) -> int | None:
    """Return the smallest lag from which on ‖∂s_T/∂s_{T−k}‖ stays below eps.

    Parameters
    ----------
    eps : float
        The share of a change that counts as lost.
    route : str, optional
        Along this route at every step, all others cut.

    Returns
    -------
    int or None
        Of y's sequence, also where y does not depend on `flow.wrt` (`flow.depends` tells). None
        when the recorded sequence is too short to tell: its last lag is not below eps.

    Raises
    ------
    ValueError
        When eps is not positive.
    """
    if not eps > 0:
        raise ValueError(f"horizon: eps is a positive number, not {eps!r}")
    below = [_is_below(product, math.log10(eps)) for _, _, product in _products(flow, route)]
    last = max((k for k, fell in enumerate(below, start=1) if not fell), default=0)
    return last + 1 if last < len(below) else None


def _is_below(product: Scaled, log10: float) -> bool:
    """Whether the 2-norm is below; the length of all entries (it is no less) tells most."""
    length = product.log2() * math.log10(2)
    if length < log10 or length - math.log10(len(product.array)) / 2 >= log10:
        return length < log10
    return _log10_norm(product) < log10


def lyapunov(flow: Flow, route: str | None = None) -> np.ndarray:
    """Return the finite-time Lyapunov exponents: the mean growth per step of each direction.

    They are ln σ_i / T of the singular values σ_i of the product of T step Jacobians, without ever
    forming it: a QR factorisation at every step keeps the directions apart, and sweeps to and fro
    over the triangular factors turn them towards the singular directions. (QR at every tenth step
    gives small exponents that are rounding.)

    Parameters
    ----------
    route : str, optional
        Along this route at every step, all others cut.

    Returns
    -------
    ndarray
        Natural logarithms per step, greatest first, one per number of the state; −∞ for a direction
        that is lost to below rounding in some step. Of y's sequence, whatever `flow.wrt`.

    Raises
    ------
    ValueError
        When the steps keep states of different sizes.
    """
    maps = [link.jacobian for link in links(flow, route)][::-1]
    if any(jacobian.shape != (len(maps[0]),) * 2 for jacobian in maps):
        shapes = ", ".join(sorted({"×".join(map(str, j.shape)) for j in maps}))
        raise ValueError(f"lyapunov: the steps' Jacobians differ in shape ({shapes})")
    return exponents(maps)


# Sweeps end when no exponent moves by more than SETTLED. Over many steps the directions part at
# once (3 sweeps); over few, where two are close, it takes long, and each sweep costs little.
SETTLED, MOST_FACTORISATIONS = 1e-10, 30_000


def exponents(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Ln σ_i / T of the product maps[-1] ⋯ maps[0], greatest first."""
    before = np.full(len(maps[0]), np.nan)
    for _ in range(10 + MOST_FACTORISATIONS // len(maps)):
        total, factors = _triangular(maps)
        found = np.sort(total / len(maps))[::-1]
        # The product's transpose has the same singular values, and its factors are nearer to them.
        maps = [R.T for R in reversed(factors)]
        if np.allclose(found, before, rtol=0, atol=SETTLED):
            break
        before = found
    return found


def _triangular(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """QR at every step: the sums of ln |diagonal|, and the triangular factors."""
    n = len(maps[0])
    Q, total, factors = np.eye(n), np.zeros(n), []
    for jacobian in maps:
        Q, R = np.linalg.qr(jacobian @ Q)
        factors.append(R)
        growth = np.abs(np.diag(R))
        lost = growth <= n * np.finfo(float).eps * np.max(growth, initial=0.0)
        with np.errstate(divide="ignore"):
            total += np.log(np.where(lost, 0.0, growth))
    return total, factors


def half_life(flow: Flow, route: str | None = None) -> float:
    """Return after how many steps half is left: ln 2 / −λ₁, λ₁ the greatest Lyapunov exponent.

    Parameters
    ----------
    route : str, optional
        Along this route at every step, all others cut.

    Returns
    -------
    float
        Steps; ∞ when it does not shrink, 0 when nothing is left after one. Of y's sequence, also
        where y does not depend on `flow.wrt` (`flow.depends` tells).

    Notes
    -----
    It is that of the direction that lasts longest, which this run's gradient need not have: what
    becomes of that stands in `verdict()`, as a factor per step.
    """
    greatest = float(lyapunov(flow, route)[0])
    if greatest >= 0:
        return math.inf
    return LN2 / -greatest
