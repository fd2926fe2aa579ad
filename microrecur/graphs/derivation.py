"""The equations of a derivative: which lines there are, what is held fixed, what each is called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from microrecur.engine.tensor import Tensor
from microrecur.graphs.algebra import Algebra
from microrecur.graphs.chain_rule import Line, Sweep, between, count_paths
from microrecur.graphs.forms import COTANGENT, NUMBERS, equations, form_of, is_scalar
from microrecur.graphs.graph import Graph, Node
from microrecur.graphs.layout import Equality
from microrecur.graphs.one_path import OnePath
from microrecur.graphs.symbols import Symbols

ARROW = r" \leftarrow "


class Derived(NamedTuple):
    """What `Page.set` prints."""

    equalities: list[Equality]
    handed: Callable[[Tensor | None], str]
    product: str


class Derivation:
    """The derivative of a graph's one root, as equations.

    Parameters
    ----------
    view : Graph
        At level "all", with one root.
    symbols : Symbols
        What records are called.
    """

    def __init__(self, view: Graph, symbols: Symbols) -> None:
        self._graph, self._symbols = view, symbols
        (self._y,) = view.roots
        self._nodes: dict[Tensor, Node] = {node.tensor: node for node in view.nodes}

    def of(self, wrt: Tensor | str, path: Any = None) -> Derived:
        """Return the equations of ∂y/∂wrt: over all paths, or the product along one.

        Raises
        ------
        ValueError
            When y does not depend on wrt, the path is none, or it would be too long to read.
        UnknownNode
            When there is no record of this id.
        """
        x = self._record(wrt)
        nodes = between(self._y, x)
        if self._y not in nodes:
            raise ValueError(
                f"latex: {self._id(self._y)} does not depend on {self._id(x)}, so that derivative "
                f"is zero; {self._advice()}"
            )
        algebra = Algebra(self._nodes, scalar=is_scalar(nodes))
        if path is None:
            held = self._held(x, nodes)
            lines = Sweep(self._y, x, algebra, self._stops(nodes), held).lines()
            return self._written(lines, algebra, lambda d: self._holding(d, held))
        one = OnePath(self._graph, path)
        if not one.ids or one.ids[0] != self._id(self._y) or one.ids[-1] != self._id(x):
            raise ValueError(
                f"latex: a path leads from {self._id(self._y)} back to {self._id(x)}, but this one "
                f"is {' ← '.join(one.ids) or 'empty'}"
            )
        lines = [Line(x, one.chains(algebra))]
        several = count_paths(nodes, self._y, x) > 1
        return self._written(lines, algebra, lambda d: self._product(one.ids) if several else d)

    def _written(
        self, lines: Sequence[Line], algebra: Algebra, last: Callable[[str], str]
    ) -> Derived:
        form = form_of(self._y, lines, algebra.scalar)

        def handed(record: Tensor | None) -> str:
            return self._partial(record, form)

        found = equations(self._y, lines, form, algebra)
        names = [handed(wrt) for wrt, _ in found]
        names[-1] = last(names[-1])
        sides = [Equality(name, e.right, e.wrt) for name, e in zip(names, found, strict=True)]
        return Derived(sides, handed, r"\cdot" if form == NUMBERS else r"\odot")

    # -- which records -----------------------------------------------------------------------------

    def _record(self, wrt: Tensor | str) -> Tensor:
        if isinstance(wrt, str):
            return self._graph.find(wrt).tensor
        if not isinstance(wrt, Tensor):
            raise TypeError(f"latex: wrt is a recorded tensor or its id, not {type(wrt).__name__}")
        if wrt not in self._nodes:
            raise ValueError(
                f"latex: {wrt._label()} is no part of what {self._id(self._y)} was computed from; "
                f"{self._advice()}"
            )
        return wrt

    def _id(self, x: Tensor) -> str:
        return self._nodes[x].id

    def _advice(self) -> str:
        named = [n for n in self._graph.nodes if n.name is not None and n.tensor is not self._y]
        telling = [n for n in named if n.role in ("state", "input")] or named
        if not telling:
            return "it was computed from nothing that has a name"
        return f"wrt is what it was computed from, such as {', '.join(n.id for n in telling[:3])}"

    def _held(self, x: Tensor, nodes: Collection[Tensor]) -> list[Tensor]:
        """The other records of x's step, where x is a state of the step before y's."""
        here, there = self._nodes[self._y], self._nodes[x]
        if there.role != "state" or there.step is None or here.step != there.step + 1:
            return []
        steps = {record: self._nodes[record].step for record in nodes if record is not x}
        return [record for record, t in steps.items() if t is not None and t <= there.step]

    def _stops(self, nodes: Collection[Tensor]) -> list[Tensor]:
        """States of the steps in between, and views of a parameter that all steps share."""
        last = self._nodes[self._y].step
        found = []
        for record in nodes:
            node = self._nodes[record]
            earlier = node.step is not None and (last is None or node.step < last)
            if (node.role == "state" and earlier) or (node.role == "parameter" and node.name):
                found.append(record)
        return found

    # -- how they are written ----------------------------------------------------------------------

    def _partial(self, x: Tensor | None, form: str) -> str:
        """∂y/∂x; x̄ where y has many numbers and the factors are no matrices."""
        y = self._y
        below = self._symbols.of(y if x is None else x)
        if form == COTANGENT and y.size > 1:
            return rf"\overline{{{below}}}"
        return rf"\frac{{\partial {self._symbols.of(y)}}}{{\partial {below}}}"

    def _holding(self, derivative: str, held: Sequence[Tensor]) -> str:
        states = [self._symbols.of(h) for h in held if self._nodes[h].role == "state"]
        return rf"\left. {derivative} \right|_{{{', '.join(states)}}}" if states else derivative

    def _product(self, ids: Sequence[str]) -> str:
        """One path among several is a product of factors, not the derivative."""
        records = [self._graph.find(id).tensor for id in ids]
        walk = [self._symbols.of(record) for record in records if record.name is not None]
        return rf"\prod_{{{ARROW.join(walk)}}}"
