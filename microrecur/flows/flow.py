"""Where the gradient goes between two recorded tensors: `flow(y, wrt)`, and all it can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from microrecur.engine.errors import ShapeError
from microrecur.engine.tensor import Tensor
from microrecur.engine.tracing import look_at
from microrecur.flows.nonfinite import refuse_nonfinite, refuse_overflow
from microrecur.flows.paths import Path, source_id
from microrecur.flows.sweep import Edge, Linearised, Scaled
from microrecur.graphs import notation
from microrecur.graphs.graph import Graph, graph

if TYPE_CHECKING:
    from microrecur.flows.by_step import ByStep, ThroughTime
    from microrecur.flows.ceiling import Ceiling
    from microrecur.flows.horizon import Lag
    from microrecur.flows.ledger import Entry
    from microrecur.flows.routes import Routes
    from microrecur.flows.spectrum import Class
    from microrecur.flows.tables import Table
    from microrecur.flows.top import Top, TopPath
    from microrecur.flows.verdict import Verdict


class Count(int):
    """How many paths there are: an exact int that prints as ≈10ⁿ when it is long.

    Examples
    --------
    >>> Count(2089), Count(5**1000), Count(5**1000) == 5**1000
    (2,089, ≈10⁶⁹⁹, True)
    """

    def __repr__(self) -> str:
        return notation.count(int(self))

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else str(self)


class Flow:
    """All that passes back from y to wrt through the recorded graph. Made by `flow()`.

    Attributes
    ----------
    y : Tensor
        Where the gradient starts.
    wrt : Tensor
        Where it arrives.
    seed : ndarray
        What it starts with, of y's shape.
    without : frozenset of (Tensor, int)
        The edges that are cut: (node, k) is the edge from node.inputs[k] to node.
    """

    def __init__(
        self, y: Tensor, wrt: Tensor, seed: np.ndarray, without: Iterable[Edge] = ()
    ) -> None:
        self.y, self.wrt, self.seed = y, wrt, seed
        self.without: frozenset[Edge] = frozenset(without)
        self._finite = False  # until looked at

    @cached_property
    def graph(self) -> Graph:
        """The whole recorded computation of y, level "all"."""
        return graph(self.y)

    @cached_property
    def linearised(self) -> Linearised:
        """The part of it that lies between wrt and y, without the edges that are cut."""
        return Linearised([self.y], [self.wrt], without=self.without)

    def __repr__(self) -> str:
        names = f"{self._called(self.y)} back to {self._called(self.wrt)}"
        if not self.depends:
            return f"<Flow from {names}: no path, the gradient is 0>"
        return f"<Flow from {names}: {self.count} path{'s' if self.count != 1 else ''}>"

    def _called(self, tensor: Tensor) -> str:
        if tensor in self.linearised.nodes or tensor is self.y:
            return self.graph.id_of(tensor)
        return tensor._label()

    def checked(self) -> Flow:
        """Return the flow itself, once it is sure that no number on the way overflowed.

        A run that overflowed has slopes 0 and nan in places, which look like causes and are none.

        Raises
        ------
        FloatingPointError
            When the seed or a recorded number is not finite; the message names the first node.
        """
        if not self._finite:
            if not np.isfinite(self.seed).all():
                raise FloatingPointError("the seed is not finite")
            refuse_overflow(self.linearised.nodes, self.y)
            self._finite = True
        return self

    # -- the sum over all paths --------------------------------------------------------------------

    @property
    def depends(self) -> bool:
        """Whether any path leads from y back to wrt; without one, count and gradient are 0."""
        return self.count > 0

    @cached_property
    def count(self) -> Count:
        """How many paths of tensors lead from y back to wrt, exactly.

        Of the graph as it was recorded: h*h has two edges, h**2 has one.
        """
        return Count(self.linearised.count({self.y: 1}).get(self.wrt, 0))

    @cached_property
    def net(self) -> Scaled:
        """The signed sum over all paths, at any depth."""
        found = self.checked()._sweep(self.seed)
        if not np.isfinite(found.array).all():
            refuse_nonfinite(self)
        return found

    @cached_property
    def everywhere(self) -> dict[Tensor, Scaled]:
        """What is carried back from y to each node on the way, `net` at wrt among it."""
        lines = self.checked().linearised
        found = lines.sweep({self.y: Scaled(self.seed)}, keep=lines.nodes)
        net = found.get(self.wrt)
        if net is not None and np.isfinite(net.array).all():
            self.__dict__.setdefault("net", net.rescaled())  # no second sweep for it
        return found

    @cached_property
    def absolute(self) -> Scaled:
        """The sum of |product| over all scalar-level paths, at any depth."""
        found = self.checked()._sweep(np.abs(self.seed), absolute=True)
        if not np.isfinite(found.array).all():
            refuse_nonfinite(self)
        return found

    def _sweep(self, start: np.ndarray, absolute: bool = False) -> Scaled:
        pull = self.linearised.pull_absolute if absolute else self.linearised.pull
        zeros = Scaled(np.zeros(self.wrt.shape))
        return self.linearised.sweep({self.y: Scaled(start)}, pull).get(self.wrt, zeros).rescaled()

    @property
    def gradient(self) -> np.ndarray:
        """∂y/∂wrt (⟨seed, ∂y/∂wrt⟩ where y has several numbers), of wrt's shape.

        Equal to what `backward()` gives. Where it leaves the range of float64 it is 0 or ±∞ here:
        see `log10_gradient`.

        Raises
        ------
        FloatingPointError
            When a recorded number or a derivative is not finite; the message names the first node.
        """
        return self.net.value()

    @property
    def log10_gradient(self) -> np.ndarray:
        """log₁₀ |gradient| by entry: right also where the gradient itself under- or overflows.

        Examples
        --------
        >>> import microrecur as mr
        >>> h0 = mr.tensor(0.0)
        >>> states = mr.unroll(mr.GRUCell(1, 1, seed=0), [0.1] * 3000, h0)
        >>> f = flow(states[-1], h0)
        >>> float(f.gradient), round(float(f.log10_gradient))
        (0.0, -513)
        """
        return self.net.log10()

    @property
    def gross(self) -> np.ndarray:
        """Σ |product| over all paths from number to number, entry by entry, of wrt's shape."""
        return self.absolute.value()

    @property
    def log10_gross(self) -> np.ndarray:
        """log₁₀ of `gross`, right also where it under- or overflows."""
        return self.absolute.log10()

    @cached_property
    def agreement(self) -> np.ndarray:
        """|gradient| / gross, entry by entry: 1 all paths agree, 0 all cancel; 0/0 = nan."""
        size = Scaled(np.abs(self.net.array), self.net.exponent)
        return np.asarray(np.minimum(size.over(self.absolute), 1.0))  # 1 + 1e-16 is rounding

    @cached_property
    def agreement_in_norm(self) -> float:
        """‖gradient‖ / ‖gross‖ in the 2-norm; 0/0 = nan."""
        net = Scaled(np.asarray(np.linalg.norm(self.net.array)), self.net.exponent)
        gross = Scaled(np.asarray(np.linalg.norm(self.absolute.array)), self.absolute.exponent)
        return float(np.minimum(net.over(gross), 1.0))

    def share(self, part: Scaled) -> float:
        """⟨part, gradient⟩ / ‖gradient‖²: signed; the shares of all paths sum to 1. 0/0 = nan."""
        net = self.net.array
        along = Scaled(np.asarray(np.sum(part.array * net)), part.exponent)
        return float(along.over(Scaled(np.asarray(np.sum(net * net)), self.net.exponent)))

    def without_edges(self, edges: Iterable[Edge]) -> Flow:
        """Return the flow with these edges cut too; the recorded numbers stay what they were."""
        return Flow(self.y, self.wrt, self.seed, self.without.union(edges))

    # -- paths one by one, and sorted by what they cross -------------------------------------------

    def top(
        self,
        k: int = 5,
        *,
        level: str = "scalar",
        budget: int = 20_000,
        entry: int | Sequence[int] | None = None,
        seed: ArrayLike | None = None,
    ) -> Top:
        """Return the k paths of largest |contribution|; see `top.top`."""
        from microrecur.flows import top

        other = self if entry is None and seed is None else self.starting(entry, seed)
        return top.top(other, k, level=level, budget=budget)

    def starting(
        self, entry: int | Sequence[int] | None = None, seed: ArrayLike | None = None
    ) -> Flow:
        """Return the flow from one entry of y, or from another seed."""
        if entry is None:
            return Flow(self.y, self.wrt, start_of(self.y, seed), self.without)
        if seed is not None:
            raise ValueError("give entry= or seed=, not both")
        chosen = np.zeros(self.y.shape)
        place = tuple(entry) if isinstance(entry, (tuple, list)) else (entry,)
        try:
            chosen[place] = 1.0
        except IndexError as error:
            raise IndexError(f"y has shape {self.y.shape}: it has no entry {entry}") from error
        if np.sum(chosen) != 1:
            raise IndexError(f"entry={entry} of a y of shape {self.y.shape} is not one number")
        return Flow(self.y, self.wrt, chosen, self.without)

    def spectrum(self, by: str | Sequence[str] = "gate slope") -> Table[Class]:
        """Return how much passed through how many factors of a kind; see `spectrum.spectrum`."""
        from microrecur.flows import spectrum

        return spectrum.spectrum(self, by)

    def ledger(self, path: Path | TopPath | None = None) -> Table[Entry]:
        """Return the factors of one path with their bounds and the running ∏.

        Parameters
        ----------
        path : Path or TopPath, optional
            One of `top()`, or of `strongest_path`; the largest from number to number when None.

        Raises
        ------
        TypeError
            When it is no path.
        ValueError
            When there is no path at all.
        """
        from microrecur.flows.ledger import ledger
        from microrecur.flows.top import TopPath

        if path is None:
            found = self.top(1)
            if not found:
                raise ValueError(f"{self!r}: there is no path, so there is no ledger")
            path = found[0]
        if not isinstance(path, (Path, TopPath)):
            raise TypeError(
                f"ledger() reads a path, not {type(path).__name__}: one of top(), as "
                "flow.ledger(flow.top(5)[2]), or of strongest_path()"
            )
        return ledger(self.checked().graph, path if isinstance(path, Path) else path.path)

    # -- steps and routes --------------------------------------------------------------------------

    def routes(self, at: int) -> Routes:
        """Return the Jacobian of a step, split by the gates it passes; see `routes.routes`."""
        from microrecur.flows import routes

        return routes.routes(self.checked(), at)

    def cut(self, route: str | Sequence[str], at: int | Iterable[int] | None = None) -> Flow:
        """Return the flow without some routes; the recorded numbers stay; see `routes.cut`."""
        from microrecur.flows import routes

        return routes.cut(self, route, at)

    def by_step(self) -> ByStep:
        """Return the norms and the routes' shares step by step; see `by_step.by_step`."""
        from microrecur.flows import by_step

        return by_step.by_step(self.checked())

    def through_time(self) -> Table[ThroughTime]:
        """Return what each route alone brings back over all steps; see `by_step.through_time`."""
        from microrecur.flows import by_step

        return by_step.through_time(self.checked())

    def lags(self, route: str | None = None) -> Table[Lag]:
        """Return ‖∂s_T/∂s_{T−k}‖ for each lag k and pair of states; see `horizon.lags`."""
        from microrecur.flows import horizon

        return horizon.lags(self.checked(), route)

    def horizon(self, eps: float = 1e-3, route: str | None = None) -> int | None:
        """Return the lag from which all later gradients stay below eps; see `horizon.horizon`."""
        from microrecur.flows import horizon

        return horizon.horizon(self.checked(), eps, route)

    def half_life(self, route: str | None = None) -> float:
        """Return in how many steps the gradient halves; see `horizon.half_life`."""
        from microrecur.flows import horizon

        return horizon.half_life(self.checked(), route)

    def lyapunov(self, route: str | None = None) -> np.ndarray:
        """Return the exponents of the product of step Jacobians; see `horizon.lyapunov`."""
        from microrecur.flows import horizon

        return horizon.lyapunov(self.checked(), route)

    def ceiling(self) -> Table[Ceiling]:
        """Return, by lag, what the cards and weights allow, and what is; see `ceiling.ceiling`."""
        from microrecur.flows import ceiling

        return ceiling.ceiling(self.checked())

    def verdict(self) -> Verdict:
        """Return sentences that name cause, step, gate and number; see `verdict.verdict`."""
        from microrecur.flows import verdict

        return verdict.verdict(self.checked())


def flow(y: Tensor, wrt: Tensor | str, seed: ArrayLike | None = None) -> Flow:
    """Return where the gradient goes from y back to wrt.

    Parameters
    ----------
    y : Tensor
        A loss or a state, computed outside `no_grad`.
    wrt : Tensor or str
        A leaf, an intermediate, a parameter, or an id of y's ancestry: "t0.h", or "h0" for short.
    seed : array_like, optional
        What the gradient starts with, of y's shape; needed when y has more than one number.

    Returns
    -------
    Flow

    Raises
    ------
    ShapeError
        When y has more than one number and no seed is given, or the shapes differ.
    UnknownNode
        When no node has the id; the nearest are named.
    ValueError
        When y is a leaf other than wrt: under `no_grad` nothing is recorded.
    StaleGraphError
        When a parameter was assigned a new value since.

    Examples
    --------
    >>> import microrecur as mr
    >>> h0 = mr.tensor(0.3)
    >>> states = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4, 1.1], (h0, mr.tensor(0.1)))
    >>> f = flow(states[-1][0], "h0")
    >>> f
    <Flow from t3.h back to t0.h: 91 paths>
    >>> print(f.gradient.round(6), f.gross.round(6), f.agreement)
    0.003052 0.003052 1.0
    """
    if not isinstance(y, Tensor):
        raise TypeError(
            f"flow() reads a recorded tensor, not {type(y).__name__}; give it a loss or a state "
            "(of what unroll() returns: states[-1], or states[-1][0])"
        )
    if not isinstance(wrt, (Tensor, str)):
        raise TypeError(f"wrt is a tensor or an id such as 't0.h', not {type(wrt).__name__}")
    look_at(y, "flow(), which gives numbers,")
    found = Flow(y, y, start_of(y, seed))
    if y.is_leaf and wrt is not y and wrt not in (y.name, found.graph.id_of(y)):
        raise ValueError(
            f"flow(): nothing was recorded of how {y._label()} was computed (it is a leaf), so "
            "nothing leads back from it; compute it outside no_grad() and without detach()"
        )
    if isinstance(wrt, Tensor):
        found.wrt = wrt
    else:
        found.wrt = found.graph.find(source_id(found.graph, wrt)).tensor
    return found


def start_of(y: Tensor, seed: ArrayLike | None) -> np.ndarray:
    """The cotangent to start from: one for one number, else what is given, of y's shape."""
    if seed is None:
        if y.size == 1:
            return np.ones(y.shape)
        raise ShapeError(
            f"flow(): {y._label()} has shape {y.shape}, {y.size} numbers, so there is no single "
            f"gradient; reduce it first (y.sum()), or pass a seed of shape {y.shape}"
        )
    given = np.array(seed._data if isinstance(seed, Tensor) else seed, float)
    if given.shape != y.shape:
        raise ShapeError(
            f"flow(): the seed given has shape {given.shape}, but {y._label()} has {y.shape}"
        )
    return given


__all__ = ["Count", "Flow", "flow", "start_of"]
