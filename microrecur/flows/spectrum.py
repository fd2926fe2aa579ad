"""How much of the gradient passed through how many factors of a kind.

Paths are sorted into classes by the number n of their factors of that kind; a class has its count,
its net and its gross sum, all three swept at once, no path followed by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.flows.flow import Count, Flow
from microrecur.flows.rows import Place, Rows, pull_rows
from microrecur.flows.sweep import Edge
from microrecur.flows.tables import Table, column
from microrecur.flows.top import percent, shown
from microrecur.graphs import notation
from microrecur.graphs.factors import KINDS
from microrecur.graphs.roles import SLOPES

MOST_CLASSES = 20_000  # of two kinds at once: beyond, the grid of sums outgrows memory and use

ROUNDING = 1e-15  # of the largest class: what a sum of classes cannot tell from 0

# Exact counts of T classes have T digits each and are carried T steps: beyond this many bits they
# take minutes where the sums take seconds, so they are made only when asked for.
MOST_BITS = 2**25


@dataclass(frozen=True, eq=False)
class Class:
    """All paths with n factors of a kind.

    Attributes
    ----------
    n : int or tuple of int
        How many; of each kind, where there are two.
    count : int or None
        How many such paths of tensors there are, exactly. None where the sequence is so long (an
        LSTM of 4,000 steps) that counting takes minutes: `Spectrum.counts()` then does.
    net, gross : float or ndarray
        Their signed sum, and their sum of |product|, of wrt's shape.
    share : float
        ⟨net, gradient⟩ / ‖gradient‖², signed; all shares sum to 1. nan where the classes cancel to
        below their rounding (`Spectrum.cancels`), and where the gradient is 0.
    log10_net, log10_gross : float
        log₁₀ of the 2-norms: right also where the sums leave the range of float64.
    """

    n: Any
    count: int | None
    net: Any
    gross: Any
    share: float
    log10_net: float
    log10_gross: float

    @property
    def net_shown(self) -> str:
        """The net sum as text: its norm where it is no single number."""
        return shown(self.net, self.log10_net)

    @property
    def gross_shown(self) -> str:
        """The gross sum as text: its norm where it is no single number."""
        return shown(self.gross, self.log10_gross)


@dataclass(frozen=True)
class Line:
    """What a table of classes shows of each: its columns are attributes of `Class`."""

    n: Any = field(metadata=column("n"))
    count: int | None = field(metadata=column("paths", notation.count))
    net_shown: str = field(metadata=column("net"))
    gross_shown: str = field(metadata=column("gross"))
    share: float = field(metadata=column("share", percent))


class Spectrum(Table[Class]):
    """Classes of paths, by how many factors of the kinds `by` they have.

    Attributes
    ----------
    flow : Flow
        Whose paths they are.
    by : tuple of str
        The kinds.
    cancels : bool
        Whether the classes cancel so far that the gradient is smaller than the rounding of the
        largest: no digit of a share would be right, so all of them are nan.
    """

    def __init__(self, classes: Sequence[Class], flow: Flow, by: tuple[str, ...]) -> None:
        self.flow, self.by = flow, by
        self._largest = max((row.log10_net for row in classes), default=-math.inf)
        self._whole = flow.net.log2() * math.log10(2)
        self.cancels = self._largest + math.log10(ROUNDING) > self._whole
        if self.cancels:
            classes = [replace(row, share=math.nan) for row in classes]
        super().__init__(Line, classes)  # type: ignore[arg-type]

    def _text(self, rows: Sequence[Class]) -> str:
        text = super()._text(rows)
        return f"{text}\n{self._cancelling()}" if self.cancels else text

    def _repr_html_(self) -> str:
        html = super()._repr_html_()
        return f"{html}\n<p>{self._cancelling()}</p>" if self.cancels else html

    def _cancelling(self) -> str:
        largest, whole = (
            "0" if log10 == -math.inf else notation.power_of_ten(round(log10))
            for log10 in (self._largest, self._whole)
        )
        return (
            f"no shares: the classes cancel, the largest ≈ {largest} beside a gradient ≈ {whole}, "
            "which leaves them no digits"
        )

    def counts(self) -> dict[Any, int]:
        """Return how many paths each class has, exactly, however long that takes; by n."""
        if not self:
            return {}
        counted = _Steps(self.flow, self.by).counts()
        return {_n(place): Count(count) for place, count in counted.items()}


def spectrum(flow: Flow, by: str | Sequence[str] = "gate slope") -> Spectrum:
    """Sort all paths by how many factors of a kind they pass, or of two kinds.

    Parameters
    ----------
    flow : Flow
        Between which tensors.
    by : str or pair of str
        "gate slope", "squash slope", "weight", or any other kind of factor.

    Returns
    -------
    Spectrum
        Classes in order of n; counts, nets and grosses sum to those of the flow.

    Raises
    ------
    ValueError
        When there is no such kind, or two kinds make more than 20,000 classes: it says how many.

    Examples
    --------
    >>> import microrecur as mr
    >>> h0, c0 = mr.tensor(0.3), mr.tensor(0.1)
    >>> h, c = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4], (h0, c0))[-1]
    >>> print(mr.flow(h, h0).spectrum(by="gate slope"))
    n  paths  net    gross  share
    0      2  0.011  0.011  64.1%
    1      8  0.005  0.005  29.3%
    2      9  0.001  0.001   6.6%
    """
    kinds = _kinds(by)
    flow.net, flow.absolute  # noqa: B018 (they refuse what is not finite)
    if not flow.depends:
        return Spectrum([], flow, kinds)
    steps = _Steps(flow, kinds)
    places = steps.classes()
    if len(kinds) > 1 and len(places) > MOST_CLASSES:
        raise ValueError(
            f"spectrum by {' and '.join(kinds)} has {len(places):,} classes, more than "
            f"{MOST_CLASSES:,}; sort by one kind, or take a shorter sequence"
        )
    few = len(places) * flow.count.bit_length() <= MOST_BITS
    counts = steps.counts() if few else {}
    net, gross = steps.sums(flow.seed, False), steps.sums(np.abs(flow.seed), True)
    rows = [_class(flow, place, counts.get(place), net, gross) for place in places]
    return Spectrum(rows, flow, kinds)


def _kinds(by: str | Sequence[str]) -> tuple[str, ...]:
    kinds = (by,) if isinstance(by, str) else tuple(by)
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(
                f"spectrum: {kind!r} is no kind of factor; there are {', '.join(KINDS)}"
            )
    if len(kinds) not in (1, 2) or len(set(kinds)) < len(kinds):
        raise ValueError(f"spectrum sorts by one kind or by two different ones, not by {kinds}")
    return kinds


def _n(place: Place) -> Any:
    return place[0] if len(place) == 1 else place


def _class(flow: Flow, place: Place, count: int | None, net: Rows, gross: Rows) -> Class:
    sums = [net.at(place), gross.at(place)]
    values = [s.value() if s.array.ndim else float(s.value()) for s in sums]
    logs = [s.log2() * math.log10(2) for s in sums]
    exact = None if count is None else Count(count)
    return Class(_n(place), exact, values[0], values[1], flow.share(sums[0]), logs[0], logs[1])


class _Steps:
    """The sweeps of one spectrum: which edge moves a path into which class."""

    def __init__(self, flow: Flow, kinds: tuple[str, ...]) -> None:
        self._lines, self._y, self._wrt = flow.linearised, flow.y, flow.wrt
        self._kinds = kinds
        self._still = (0,) * len(kinds)
        self._unit = [tuple(int(a == b) for b in range(len(kinds))) for a in range(len(kinds))]
        self._factor = flow.graph.factor if set(kinds) - set(SLOPES) else None
        # A row of the packed grid holds every n of the second kind.
        self._stride = 1 if len(kinds) == 1 else 1 + self._most(1)

    def _by(self, edge: Edge) -> Place:
        """How many classes further the edge leads, along each kind."""
        node, k = edge
        kind = self._factor(node, k).kind if self._factor else node.op.kind  # type: ignore[union-attr]
        return self._unit[self._kinds.index(kind)] if kind in self._kinds else self._still

    def classes(self) -> list[Place]:
        """Return the classes that have paths, in order."""
        low, reached = self._packed(1, lambda a, b: a | b)
        return [self._place(low, k) for k, bit in enumerate(reversed(f"{reached:b}")) if bit == "1"]

    def counts(self) -> dict[Place, int]:
        """Return exactly how many paths each class has."""
        largest = max(self._lines.count({self._y: 1}).values())
        size = -(-largest.bit_length() // 8)  # of one class, in bytes
        low, packed = self._packed(8 * size, lambda a, b: a + b)
        raw = packed.to_bytes(-(-packed.bit_length() // (8 * size)) * size, "little")
        digits = (int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size))
        return {self._place(low, k): digit for k, digit in enumerate(digits) if digit}

    def _place(self, low: Place, offset: int) -> Place:
        away = (offset,) if len(low) == 1 else divmod(offset, self._stride)
        return tuple(a + b for a, b in zip(low, away))

    def _most(self, axis: int) -> int:
        """The most factors of one kind that any path has."""
        most = {self._y: 0}
        for node in reversed(self._lines.nodes):
            for edge in self._lines.edges(node) if node in most else ():
                source = node.inputs[edge[1]]
                most[source] = max(most.get(source, 0), most[node] + self._by(edge)[axis])
        return max(most.values())

    def _packed(self, width: int, join: Callable[[int, int], int]) -> tuple[Place, int]:
        """Sweep one number per class, all classes packed into one int of `width` bits each.

        Adding such ints adds class by class: no sum of paths is wider than `width`.
        """
        carried: dict[Tensor, tuple[Place, int]] = {self._y: (self._still, 1)}
        for node in reversed(self._lines.nodes):
            if node not in carried:
                continue
            low, packed = carried[node] if node is self._wrt else carried.pop(node)
            for edge in self._lines.edges(node):
                source = node.inputs[edge[1]]
                here = tuple(a + b for a, b in zip(low, self._by(edge)))
                if source not in carried:
                    carried[source] = (here, packed)
                    continue
                there, other = carried[source]
                first = tuple(map(min, here, there))
                ours = _shifted(packed, width * self._offset(here, first))
                theirs = _shifted(other, width * self._offset(there, first))
                carried[source] = (first, join(ours, theirs))
        return carried[self._wrt]

    def _offset(self, place: Place, first: Place) -> int:
        away = [a - b for a, b in zip(place, first)]
        return away[0] if len(away) == 1 else away[0] * self._stride + away[1]

    def sums(self, seed: np.ndarray, absolute: bool) -> Rows:
        """Return the net or gross sum of each class."""
        one = (1,) * len(self._kinds)
        start = np.asarray(seed, float).reshape(one + seed.shape)
        carried = {self._y: Rows(self._still, start, np.zeros(one, int))}
        for node in reversed(self._lines.nodes):
            if node not in carried:
                continue
            rows = carried[node] if node is self._wrt else carried.pop(node)
            if node.op is not None and node.op.kind != "pass":
                rows = rows.rescaled()  # before it multiplies: products of two never leave float64
            flat = rows.array.reshape(-1, *node.shape)
            for edge in self._lines.edges(node):
                source = node.inputs[edge[1]]
                part = pull_rows(self._lines, edge, flat, absolute)
                array = part.reshape(rows.lengths + source.shape)
                moved = Rows(rows.low, array, rows.exponent).moved(self._by(edge))
                before = carried.get(source)
                carried[source] = moved if before is None else before.plus(moved)
        return carried[self._wrt]


def _shifted(packed: int, bits: int) -> int:
    return packed << bits if bits else packed  # shifting by nothing copies a long int
