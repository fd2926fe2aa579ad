"""The largest paths of a flow, one by one: what each contributes, and what it is the product of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.flows.paths import Path
from microrecur.flows.sweep import Scaled
from microrecur.flows.tables import Table, column
from microrecur.flows.tensor_paths import search
from microrecur.flows.unit_paths import UnitPaths, UnitStep
from microrecur.graphs import notation
from microrecur.graphs.factors import Factor
from microrecur.graphs.graph import Edge

if TYPE_CHECKING:
    from microrecur.flows.flow import Flow

LEVELS = ("scalar", "tensor")


@dataclass(frozen=True, eq=False)
class UnitFactor(Factor):
    """One local derivative between two numbers: a factor of which only one entry counts."""

    at: float

    @cached_property
    def value(self) -> np.ndarray:
        """The derivative."""
        return np.asarray(self.at)

    @property
    def number(self) -> float | None:
        """The derivative."""
        return self.at

    @cached_property
    def norm(self) -> float:
        """Its size."""
        return abs(self.at)


@dataclass(frozen=True)
class Hop:
    """One recorded edge of a path; between two numbers, which they are and the derivative."""

    node: Tensor
    position: int
    unit: int | None = None
    source_unit: int | None = None
    slope: float | None = None

    @property
    def source(self) -> Tensor:
        """What the edge comes from."""
        return self.node.inputs[self.position]


@dataclass(frozen=True, eq=False)
class TopPath:
    """One path of the chain rule, with its part in the gradient.

    Attributes
    ----------
    contribution : float or ndarray
        What it adds to the gradient: seed times ∏. A number at scalar level; at tensor level of
        wrt's shape.
    share : float
        ⟨contribution, gradient⟩ / ‖gradient‖², signed; the shares of all paths sum to 1.
    log10 : float
        log₁₀ ‖contribution‖: right also where the contribution leaves the range of float64.
    way : str
        The named nodes on it, or the first and last of them, as text.
    """

    contribution: Any
    share: float
    log10: float
    # A field, so that a data frame has it; a property, since ids of a long run take their time.
    way: str = field(init=False, default=property(lambda path: path._way()))  # type: ignore[assignment]
    flow: InitVar[Flow]
    hops: InitVar[Sequence[Hop]]
    start: InitVar[int | None] = None

    def __post_init__(self, flow: Flow, hops: Sequence[Hop], start: int | None) -> None:
        # Not fields: a table of paths turns into a data frame of their numbers.
        object.__setattr__(self, "_flow", flow)
        object.__setattr__(self, "_hops", tuple(hops))
        object.__setattr__(self, "_start", start)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The ids of the nodes, from y back to wrt."""
        graph = self._flow.graph  # type: ignore[attr-defined]
        return tuple(graph.id_of(node) for node in self.tensors)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The recorded nodes, from y back to wrt."""
        hops: tuple[Hop, ...] = self._hops  # type: ignore[attr-defined]
        flow: Flow = self._flow  # type: ignore[attr-defined]
        return (flow.y, *(hop.source for hop in hops))

    @property
    def entries(self) -> tuple[tuple[int, ...], ...]:
        """Which number of each node the path runs through; () of a single number, or of tensors."""
        units = [self._start, *(hop.source_unit for hop in self._hops)]  # type: ignore[attr-defined]
        return tuple(
            () if unit is None else tuple(int(i) for i in np.unravel_index(unit, node.shape))
            for unit, node in zip(units, self.tensors, strict=True)
        )

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What the path multiplies by, from y back to wrt, without factors 1 that only pass on."""
        return tuple(f for f in map(self._factor, self._hops) if _tells(f))  # type: ignore[attr-defined]

    @property
    def product(self) -> float:
        """∏ of the factors; of their norms where a node has several numbers."""
        return _multiply(_size(f) for f in map(self._factor, self._hops))  # type: ignore[attr-defined]

    @cached_property
    def path(self) -> Path:
        """The path over the nodes that level "op" shows, as `ledger` reads it.

        What only passes on is folded into what multiplies.
        """
        flow: Flow = self._flow  # type: ignore[attr-defined]
        graph = flow.graph
        shown = {node.tensor for node in graph.at("op").nodes}
        edges, held, target = [], [], flow.y
        for hop in self._hops:  # type: ignore[attr-defined]
            held.append(self._factor(hop))
            if hop.source is flow.wrt or (hop.source in shown and any(map(_tells, held))):
                edges.append(_edge(graph.id_of(hop.source), graph.id_of(target), held))
                held, target = [], hop.source
        ids = (graph.id_of(flow.y), *(edge.source for edge in edges))
        return Path(ids, tuple(edges), flow.count)

    @property
    def recorded(self) -> Path:
        """The path over every recorded node, edge by edge; a picture folds it as its level does."""
        flow: Flow = self._flow  # type: ignore[attr-defined]
        ids = self.nodes
        hops = zip(ids[1:], ids[:-1], self._hops, strict=True)  # type: ignore[attr-defined]
        edges = (_edge(source, target, [self._factor(hop)]) for source, target, hop in hops)
        return Path(ids, tuple(edges), flow.count)

    def _factor(self, hop: Hop) -> Factor:
        flow: Flow = self._flow  # type: ignore[attr-defined]
        read = flow.graph.factor(hop.node, hop.position)
        if hop.slope is None:
            return read
        return UnitFactor(
            read.kind, read.name, read.step, read.bound, hop.node, hop.position, hop.slope
        )

    # -- how a table shows it ----------------------------------------------------------------------

    @property
    def adds(self) -> str:
        """The contribution as text: its norm where it is no single number."""
        return shown(self.contribution, self.log10)

    def _way(self) -> str:
        """The named nodes on it, or the first and last of them."""
        tensors = self.tensors
        ends = (tensors[0], tensors[-1])
        places = [
            f"{id}[{', '.join(map(str, entry))}]" if entry else id
            for id, entry, tensor in zip(self.nodes, self.entries, tensors, strict=True)
            if tensor.name or tensor in ends
        ]
        if len(places) > 9:
            places = [*places[:4], "…", *places[-4:]]
        return " → ".join(places)


def shown(value: Any, log10: float) -> str:
    """Set a number, or the 2-norm of an array; by its power of ten where it leaves float64."""
    single = np.ndim(value) == 0
    sign = "−" if single and math.copysign(1.0, value) < 0 and log10 > -math.inf else ""
    if log10 == -math.inf or abs(log10) < 300:
        return sign + notation.number(10.0**log10)
    return sign + notation.power_of_ten(math.floor(log10))


def percent(share: float) -> str:
    """Set a share: in percent; as a power of ten where that would read 0.0% or above 1,000%.

    Examples
    --------
    >>> percent(0.447), percent(-2e-7), percent(-237.63), percent(math.nan)
    ('44.7%', '−2.0·10⁻⁷', '−2.4·10²', '–')
    """
    if math.isnan(share):
        return "–"
    if math.isinf(share) or (abs(share) < 5e-4 and share):
        return notation.number(share)
    if abs(share) >= 10:
        digits, exponent = f"{share:.1e}".replace("-", "−").split("e")
        return f"{digits}·{notation.power_of_ten(int(exponent))}"
    return f"{share:.1%}".replace("-", "−")


@dataclass(frozen=True)
class Line:
    """What a table of paths shows of each: its columns are attributes of `TopPath`."""

    adds: str = field(metadata=column("contribution"))
    share: float = field(metadata=column("share", percent))
    way: str = field(metadata=column("path"))


class Top(Table[TopPath]):
    """Paths, largest first, and whether any other can be larger.

    Attributes
    ----------
    exact : bool
        Whether these are surely the largest.
    missed_at_most : float or None
        Where a budget ended the search: what the largest path not found can be at most.
    log10_missed_at_most : float or None
        Its log₁₀, right also where it leaves the range of float64.
    """

    def __init__(self, paths: Iterable[TopPath], log2_missed: float | None = None) -> None:
        super().__init__(Line, paths)  # type: ignore[arg-type]
        self.exact = log2_missed is None
        self.log10_missed_at_most = None if log2_missed is None else log2_missed * math.log10(2)
        self.missed_at_most = None if log2_missed is None else _power(log2_missed)

    def _text(self, rows: Sequence[TopPath]) -> str:
        text = super()._text(rows)
        if self.exact:
            return text
        assert self.missed_at_most is not None
        missed = notation.number(self.missed_at_most)
        return f"{text}\nthe budget ended the search: a path not found is at most {missed}"


def top(flow: Flow, k: int = 5, *, level: str = "scalar", budget: int = 20_000) -> Top:
    """Return the k paths of largest |contribution|, equal ones (to 1e-9) in graph order.

    Graph order is read from wrt on: at each node the edge into the older node comes first. Paths
    whose product is 0 come last; where not all fit, which of them is not laid down.

    Parameters
    ----------
    flow : Flow
        Between which tensors.
    k : int
        How many; all there are when there are fewer.
    level : {"scalar", "tensor"}
        Paths from number to number, always exact; or paths from tensor to tensor, best first, by
        the norm of what they contribute.
    budget : int
        At tensor level, how many branchings to follow. When it is spent, the largest paths met so
        far are returned, with `exact` False and `missed_at_most`.

    Returns
    -------
    Top

    Examples
    --------
    >>> import microrecur as mr
    >>> h0, c0 = mr.tensor(0.3), mr.tensor(0.1)
    >>> (h, c), = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9], (h0, c0))
    >>> print(mr.flow(h, h0).top(3))
    contribution  share  path
    0.012         44.7%  t1.h → t1.c → t1.g → t1.z_g → t0.h
    0.010         38.8%  t1.h → t1.o → t1.z_o → t0.h
    0.003         10.4%  t1.h → t1.c → t1.i → t1.z_i → t0.h
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"top(k): k is a whole number ≥ 1, not {k!r}")
    _ = flow.absolute  # refuses what is not finite
    if level == "scalar":
        unit_paths = UnitPaths(flow.linearised, flow.y, flow.wrt, flow.seed, int(k))
        return Top(_of_units(flow, unit, steps) for unit, steps in unit_paths.best())
    found = search(flow.linearised, flow.y, flow.wrt, flow.seed, int(k), budget)
    return Top(
        [
            _weighed(flow, path.contribution, [Hop(*edge) for edge in reversed(path.edges)])
            for path in found.paths
        ],
        found.missed,
    )


def _of_units(flow: Flow, unit: int, steps: tuple[UnitStep, ...]) -> TopPath:
    start = steps[-1].unit if steps else unit
    product = Scaled(np.array(flow.seed.flat[start]))
    for step in reversed(steps):
        product = Scaled(product.array * step.slope, product.exponent).rescaled()
    here = np.zeros(flow.wrt.shape)
    here.flat[unit] = product.array
    hops = [Hop(s.node, s.position, s.unit, s.source_unit, s.slope) for s in reversed(steps)]
    weighed = flow.share(Scaled(here, product.exponent))
    return TopPath(float(product.value()), weighed, float(product.log10()), flow, hops, start)


def _weighed(flow: Flow, part: Scaled, hops: Sequence[Hop]) -> TopPath:
    value = part.value()
    size = part.log2() * math.log10(2)
    return TopPath(value if value.ndim else float(value), flow.share(part), size, flow, hops)


def _edge(source: str, target: str, held: Sequence[Factor]) -> Edge:
    """Fold factors, given from y's side on, into one edge."""
    chain = tuple(reversed(held))
    numbers = [f.number for f in chain]
    known = None if None in numbers else _multiply(n for n in numbers if n is not None)
    telling = tuple(f for f in chain if _tells(f)) or chain[:1]
    return Edge(source, target, telling, 1, known, _multiply(f.norm for f in chain))


def _tells(factor: Factor) -> bool:
    return not (factor.kind == "pass" and factor.name == "1")


def _size(factor: Factor) -> float:
    return factor.norm if factor.number is None else factor.number


def _multiply(numbers: Iterable[float]) -> float:
    return reduce(lambda a, b: a * b, numbers, 1.0)


def _power(log2: float) -> float:
    return 0.0 if log2 == -math.inf else float(np.ldexp(2.0 ** (log2 % 1), math.floor(log2)))
