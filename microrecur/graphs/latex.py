"""The mathematics of a recorded computation as LaTeX, in the notation of a textbook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from microrecur.engine.tensor import Tensor
from microrecur.graphs.algebra import Algebra
from microrecur.graphs.chain_rule import edge_factors
from microrecur.graphs.derivation import Derivation
from microrecur.graphs.expressions import Expression
from microrecur.graphs.factors import passes
from microrecur.graphs.graph import Graph, Node, graph
from microrecur.graphs.layout import Equality, Page
from microrecur.graphs.symbols import Symbols

Place = tuple[tuple[str, ...], int | None]  # layer and step


class Latex:
    """A formula: its LaTeX source, and what each symbol in it stands for.

    Attributes
    ----------
    source : str
        LaTeX for mathematics mode, without dollars; `str()` gives the same.
    symbols : dict
        The record behind each symbol that is printed, in order of appearance.
    """

    def __init__(
        self,
        source: str,
        symbols: Mapping[str, Tensor],
        derive: Callable[[Any, Any], Latex] | None = None,
    ) -> None:
        self.source = source
        self.symbols = dict(symbols)
        self._derive = derive

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"<Latex {self.source}>"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.source}$"

    def derivative(self, wrt: Tensor | str, path: Any = None) -> Latex:
        r"""Return the chain rule from what is printed back to one of its ancestors.

        Written with row vectors: for z = h U a Jacobian has ∂z/∂h = Uᵀ, out along its rows, and φ
        acting entry by entry has diag(φ′). It holds for each row of a batch. The derivative of one
        number, a loss, is written as `backward` computes it, (∂L/∂z ⊙ φ′) Uᵀ, of the shape of wrt;
        so is that of a vector whose factors are no matrices, for any row ȳ. States of steps in
        between get a line of their own, unless the whole is one product.

        From one step back to a state of the step before, the other states of that step are held
        fixed; the formula says so where that matters.

        Parameters
        ----------
        wrt : Tensor or str
            A record, or its id ("t0.h").
        path : sequence of str, or a path of `flow.top()` or `strongest_path()`, optional
            One path of the chain rule, from the output's id back to that of wrt. Ids may leave out
            what lies between when only one way leads along them; ids that are all of one level of
            the graph stand for all that this level folds between them. The product is the
            derivative only if no other path leads there.

        Raises
        ------
        ValueError
            When what is printed does not depend on wrt, the path is none or could be several, or
            the formula would be too long to read; the message says how many paths there are.
        UnknownNode
            When there is no such id.

        Examples
        --------
        >>> import microrecur as mr
        >>> h, c = mr.LSTMCell(3, 4, seed=0)([1.0, 2.0, 3.0])
        >>> print(mr.latex(c).derivative("t0.c"))
        \frac{\partial c_t}{\partial c_{t-1}} = \operatorname{diag}(f_t)
        """
        if self._derive is None:
            raise TypeError(
                "latex: this formula is a derivative, or of several records; print one record, "
                "or the recorded gradient: mr.latex(mr.grad(y, x))"
            )
        return self._derive(wrt, path)


def latex(
    x: Any,
    depth: int | None = None,
    numbers: bool = False,
    steps: str = "symbolic",
    shapes: bool = False,
) -> Latex:
    r"""Return how a record was computed, in a textbook's notation.

    Read off the op cards and the names alone, so a learner's own cell prints with no further code.
    A bar over an axis says that it stays, with length 1; [a = b] is 1 where that holds and 0
    elsewhere; sg(a) is the numbers of a, through which no gradient passes ("stop gradient").

    Parameters
    ----------
    x : Tensor, tuple of Tensor, or cell
        What to print. A cell prints one step.
    depth : int, optional
        How many layers of named records are written out; pre-activations do not count, unless a
        derivative speaks of them, as of m in r ⊙ m. When not given, a state prints the equations of
        its whole step, anything else its own.
    numbers : bool
        Add the numbers of this run; everything printed must be one number.
    steps : {"symbolic", "numbers"}
        h_{t-1}, counted from x's own step, or h_2.
    shapes : bool
        Add of which shape each symbol is.

    Returns
    -------
    Latex
        `str()` is the source; a notebook shows it set; `.derivative(wrt)` the chain rule.

    Examples
    --------
    >>> import microrecur as mr
    >>> h, c = mr.LSTMCell(3, 4, bias=False, seed=0)([1.0, 2.0, 3.0])
    >>> print(mr.latex(c, depth=1))
    c_t = f_t \odot c_{t-1} + i_t \odot g_t
    >>> print(mr.latex(mr.RNNCell(3, 4)))
    h_t = \tanh(x_t W + b_{ih} + h_{t-1} U + b_{hh})
    """
    if steps not in ("symbolic", "numbers"):
        raise ValueError(f"latex: steps is 'symbolic' (t, t-1) or 'numbers' (3, 2), not {steps!r}")
    if depth is not None and depth < 0:
        raise ValueError(f"latex: depth counts layers of definitions, 0 or more, not {depth}")
    roots = _roots(x)
    view = graph(roots)

    def blank() -> Page:
        return Page(Symbols(view, roots[0], steps), numbers, shapes)

    def derive(wrt: Tensor | str, path: Any) -> Latex:
        page = blank()
        source = page.set(*Derivation(view, page.symbols).of(wrt, path))
        return Latex(source, page.symbols.used)

    page = blank()
    source = page.set(_Forward(view, page.symbols).equations(depth))
    return Latex(source, page.symbols.used, derive if len(roots) == 1 else None)


def _roots(x: Any) -> tuple[Tensor, ...]:
    """The records to print: x itself, those of a state, or the states of a cell's one step."""
    if isinstance(x, Tensor):
        return (x,)
    if isinstance(x, (tuple, list)) and x and all(isinstance(part, Tensor) for part in x):
        return tuple(x)
    if callable(x) and hasattr(x, "input_size"):
        return _roots(x(np.zeros(x.input_size)))
    raise TypeError(
        f"latex() prints recorded tensors, the state of one step, or a cell, not {type(x).__name__}"
    )


class _Forward:
    """Reads definitions off a graph: of its roots, or of the whole step they were computed in."""

    def __init__(self, view: Graph, symbols: Symbols) -> None:
        self._roots, self._symbols = view.roots, symbols
        self._nodes: dict[Tensor, Node] = {node.tensor: node for node in view.nodes}
        self._algebra = Algebra(self._nodes)
        self._spoken: dict[Place, frozenset[Tensor | None]] = {}

    def equations(self, depth: int | None) -> list[Equality]:
        """Return one equation per root; states without a depth bring those of their whole step."""
        if depth is None and all(self._nodes[x].role == "state" for x in self._roots):
            found = {x: self._definition(x, 1) for x in self._whole_step()}
            return [Equality(self._name(x), found[x]) for x in self._gates_first(found)]
        if depth == 0:
            return [Equality(None, self._algebra.read(x)) for x in self._roots]
        return [Equality(self._name(x), self._definition(x, depth or 1)) for x in self._roots]

    def _name(self, x: Tensor) -> str | None:
        return self._symbols.of(x) if x.name is not None and x.op is not None else None

    def _definition(self, x: Tensor, depth: int) -> Expression:
        return self._algebra.define(x, self._opens, depth)

    def _opens(self, x: Tensor, depth: int) -> int | None:
        """Parameters keep their symbols; a sum that no derivative speaks of is part of its line."""
        role = self._nodes[x].role
        if role == "parameter":
            return None
        if role == "pre-activation" and x not in self._spoken_of(self._place(x)):
            return depth
        return depth - 1 if depth > 1 else None

    def _place(self, x: Tensor) -> Place:
        return self._nodes[x].layer, self._nodes[x].step

    def _spoken_of(self, place: Place) -> frozenset[Tensor | None]:
        """The records whose symbols stand in the factors of one step, such as m in ∂(r ⊙ m)/∂r."""
        if place not in self._spoken:
            within = [x for x in self._nodes if x.op is not None and self._place(x) == place]
            edges = [(x, k) for x in within for k in range(len(x.inputs)) if passes(x, k)]
            found = (self._symbols_in(x, k) for x, k in edges)
            self._spoken[place] = frozenset().union(*found)
        return self._spoken[place]

    def _symbols_in(self, node: Tensor, k: int) -> frozenset[Tensor | None]:
        try:
            factors = edge_factors(node, k, self._algebra) or ()
        except ValueError:  # too long to be printed
            return frozenset()
        return frozenset().union(*[factor.records for factor in factors])

    def _whole_step(self) -> list[Tensor]:
        """What has a name and was computed in the step of the roots, oldest first."""
        places = set(map(self._place, self._roots))
        within = [
            node.tensor
            for node in self._nodes.values()
            if self._place(node.tensor) in places and node.name is not None and node.op is not None
        ]
        spoken = frozenset().union(*map(self._spoken_of, places))
        lines = [x for x in within if self._nodes[x].role != "pre-activation" or x in spoken]
        return lines or list(self._roots)

    def _gates_first(self, found: Mapping[Tensor, Expression]) -> list[Tensor]:
        """Gates as early as what they read allows, then the rest as it was recorded."""
        left, order = list(found), []
        while left:
            ready = [x for x in left if not found[x].records & (set(left) - {x})]
            first = next((x for x in ready if self._nodes[x].role == "gate"), ready[0])
            order.append(first)
            left.remove(first)
        return order
