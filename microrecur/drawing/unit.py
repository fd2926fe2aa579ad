"""`unit=k`: the scalar graph of one hidden unit, with the numbers of the large one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from microrecur.drawing.shares import arriving
from microrecur.engine.primitive import Elementwise
from microrecur.engine.tensor import Tensor, scope_from, tensor
from microrecur.flows.sweep import Linearised, Scaled
from microrecur.graphs.ranges import is_number_of_the_formula

if TYPE_CHECKING:
    from microrecur.graphs.graph import Graph

SUM = "Σ"  # begins the name of what all other units add to a pre-activation


def zoom(whole: Graph, unit: int) -> tuple[list[Tensor], str]:
    """Record one unit's own computation anew, with the same ids and the same numbers.

    A pre-activation of the unit is W·x + U·h of the unit itself, its bias, and one leaf Σ for what
    the other units (and the inputs, where there are several) add. What follows the states, such as
    a loss over all units, is left out.

    Parameters
    ----------
    whole
        Of an unrolled cell, any level.
    unit
        Which hidden unit, from 0; of a batch, its first row.

    Returns
    -------
    states, caption
        The unit's last states, h last, and what the picture shows, in words.

    Raises
    ------
    ValueError
        When there is no such unit, or an op of the cell mixes units other than by weights.
    """
    return _Zoom(whole, unit).run()


@dataclass(slots=True)
class _Zoom:
    whole: Graph
    unit: int
    view: Graph = field(init=False)
    kept: set[Tensor] = field(init=False)
    lines: Linearised = field(init=False)
    made: dict[Tensor, Tensor] = field(default_factory=dict)
    parameters: dict[tuple[str, float], Tensor] = field(default_factory=dict)
    width: int = 0

    def __post_init__(self) -> None:
        self.view = self.whole.at("op")
        if not isinstance(self.unit, int) or isinstance(self.unit, bool):
            raise TypeError(f"unit={self.unit!r}: a whole number, counted from 0")
        states = [node.tensor for node in self.view.nodes if node.role == "state"]
        if not states or states[0].ndim == 0:
            raise ValueError("unit= zooms into an unrolled cell of several hidden units")
        self.width = states[0].shape[-1]
        if not 0 <= self.unit < self.width:
            raise ValueError(
                f"unit={self.unit}: there are {self.width}, from 0 to {self.width - 1}"
            )
        self.kept = {node.tensor for node in self.view.nodes if node.step is not None}
        given = [node.tensor for node in self.view.nodes if node.tensor.is_leaf]
        self.lines = Linearised(self.view.roots, given)

    def run(self) -> tuple[list[Tensor], str]:
        nodes = [node for node in self.view.nodes if node.step is not None]
        for node in nodes:
            made = self._leaf(node.tensor) if node.tensor.is_leaf else self._op(node.tensor)
            if made is not None:
                self.made[node.tensor] = made
        last = max(node.step for node in nodes if node.op is not None and node.step is not None)
        ends = [n.tensor for n in nodes if n.step == last and n.role == "state"]
        rows = "" if ends[0].ndim == 1 else f", row 0 of {ends[0].shape[0]}"
        caption = (
            f"unit {self.unit} of {self.width}{rows}: the same numbers; Σ is what the other units "
            "and their inputs add"
        )
        return [self.made[t] for t in sorted(ends, key=lambda t: t.name == "h")], caption

    # -- one node of the unit ----------------------------------------------------------------------

    def _leaf(self, leaf: Tensor) -> Tensor | None:
        """A state's entry, or the only input; several inputs are part of Σ."""
        place = self._place(leaf)
        if place is None:
            return None
        with scope_from(leaf.scope):
            made = tensor(leaf._data[place], requires_grad=leaf.requires_grad)
        made.scope = leaf.scope
        return made.named(leaf.name) if leaf.name else made

    def _place(self, t: Tensor) -> tuple[int, ...] | None:
        """Where the unit's number stands; None where a tensor has no number of the unit's own."""
        if t.ndim == 0:
            return ()
        if t.shape[-1] == self.width and not (t.is_leaf and t.name == "x"):
            return (0,) * (t.ndim - 1) + (self.unit,)
        return (0,) * t.ndim if t.shape[-1] == 1 else None

    def _op(self, t: Tensor) -> Tensor:
        place = self._place(t)
        own = all(x in self.made or is_number_of_the_formula(x) for x in t.inputs)
        with scope_from(t.scope):
            if own and isinstance(t.op, Elementwise) and place is not None:
                made = t.op(*(self.made.get(x, x) for x in t.inputs), **t.static)
            else:
                made = self._affine(t, place)
        return made.named(t.name) if t.name else made

    def _affine(self, t: Tensor, place: tuple[int, ...] | None) -> Tensor:
        """The sum of the unit's own terms, Σ and the bias."""
        if place is None or not t.name:
            op = t.op.name if t.op is not None else "leaf"
            raise ValueError(
                f"unit= follows one unit through ops that act entry by entry and through weights; "
                f"{self.view.id_of(t)} is a {op} that mixes units"
            )
        start = np.zeros(t.shape)
        start[place] = 1.0
        straight, folded = arriving(self.lines, t, Scaled(start), self.kept)
        parts = [(x, row) for x, rows in straight.items() for row in rows] + list(folded.items())
        own, rest, seen, mixed = [], 0.0, 0.0, False
        for source, row in parts:
            coefficients = row.value()
            added = float(np.sum(coefficients * source._data))
            seen += added
            term = self._term(t, source, coefficients)
            mixed = mixed or term is None or (source.size > 1 and term is not self.made[source])
            rest += added - (term.item() if term is not None else 0.0)
            own += [] if term is None else [term]
        mark = "m" if t.name == "m" else t.name.partition("_")[2]
        # The bias first: what is added to a parameter is read as part of the affine map.
        total = self._parameter(f"b_{mark}" if mark else "b", t._data[place].item() - seen)
        if mixed:
            others = tensor(rest, name=f"{SUM}_{mark}" if mark else SUM)
            others.scope = t.scope
            total = others + total
        for term in own:
            total = total + term
        return total

    def _term(self, t: Tensor, source: Tensor, coefficients: np.ndarray) -> Tensor | None:
        """The unit's own term of an affine map; None where all belongs to Σ."""
        if source not in self.made:
            return None
        place = self._place(source)
        assert place is not None
        weight = float(coefficients[place])
        name = self._weight_name(t, source)
        if name is None and weight == 1.0:
            return self.made[source]
        return self.made[source] @ self._parameter(name or "∂", weight)

    def _weight_name(self, t: Tensor, source: Tensor) -> str | None:
        ends = self.view.id_of(source), self.view.id_of(t)
        for edge in self.view.into(ends[1]):
            if edge.source == ends[0]:
                return next((f.name for f in edge.factors if f.kind == "weight"), None)
        return None

    def _parameter(self, name: str, value: float) -> Tensor:
        key = (name, value)
        if key not in self.parameters:
            with scope_from(()):
                self.parameters[key] = tensor(value, requires_grad=True, name=name)
        return self.parameters[key]
