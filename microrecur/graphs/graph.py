"""The reading view of a recorded computation: nodes with roles, edges with factors, in levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from microrecur.engine.calculus import gradient_of
from microrecur.engine.errors import UnknownNode
from microrecur.engine.tensor import Tensor, ancestry, step_of
from microrecur.engine.tracing import look_at
from microrecur.graphs import ranges
from microrecur.graphs.factors import Factor, Reader
from microrecur.graphs.notation import typeset
from microrecur.graphs.roles import GRADIENT, Roles, place

LEVELS = ("step", "gate", "op", "all")


@dataclass(frozen=True, eq=False)
class Node:
    """A recorded tensor as a reader of the graph sees it.

    Attributes
    ----------
    id : str
        Stable over runs, from scope and name: "t3.f", "t0.h", "t3.cell state.mul1".
    tensor : Tensor
        The record itself.
    role : str
        "input", "state", "gate", "pre-activation", "op", "loss", "parameter" or "constant".
    step : int or None
        t, from the scope; None outside any step.
    gate : str or None
        The innermost scope after the step, such as "forget gate".
    layer : tuple of str
        The scopes before the step, such as ("layer1", "reverse").
    """

    id: str
    tensor: Tensor
    role: str
    step: int | None
    gate: str | None
    layer: tuple[str, ...]
    gradient: str | None = None

    @property
    def name(self) -> str | None:
        """The textbook name, if it was given one; of a gradient ∂y/∂x what it is."""
        return self.tensor.name if self.tensor.name is not None else self.gradient

    @property
    def op(self) -> str | None:
        """The name of the op's card; None for a leaf."""
        return self.tensor.op.name if self.tensor.op is not None else None

    @property
    def symbol(self) -> str:
        """What a picture prints for the op; empty for a leaf."""
        return self.tensor.op.symbol if self.tensor.op is not None else ""

    @property
    def kind(self) -> str:
        """The kind on the op's card; "leaf" for a leaf."""
        return self.tensor.op.kind if self.tensor.op is not None else "leaf"

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.tensor.shape

    @property
    def value(self) -> float | None:
        """The number, if the tensor is one; None otherwise."""
        return float(self.tensor._data.reshape(-1)[0]) if self.tensor.size == 1 else None


@dataclass(frozen=True, eq=False)
class Edge:
    """What leads from one node of the view to another, straight or through folded nodes.

    Attributes
    ----------
    source, target : str
        Ids, in the direction of the computation.
    factors : tuple of Factor
        What the edge multiplies by, from source to target. Empty when it folds several paths.
    paths : int
        How many paths of the recorded graph it folds.
    value : float or None
        ∂target/∂source along it, when everything on it is one number; with its sign.
    norm : float
        The sum over its paths of the products of their factors' operator norms: at least the edge's
        own norm.
    """

    source: str
    target: str
    factors: tuple[Factor, ...]
    paths: int
    value: float | None
    norm: float


class _Chain(Edge):
    """An edge of one path: its numbers are worked out when someone looks."""

    def __init__(self, source: str, target: str, chain: tuple[Factor, ...]) -> None:
        self.__dict__.update(source=source, target=target, factors=_plain(chain), paths=1)
        self.__dict__["_chain"] = chain

    @cached_property
    def value(self) -> float | None:
        return self._numbers[0]

    @cached_property
    def norm(self) -> float:
        return self._numbers[1]

    @cached_property
    def _numbers(self) -> tuple[float | None, float]:
        return _Bundle(1, self.__dict__["_chain"]).numbers()


@dataclass(slots=True)
class _Bundle:
    """All the folded paths from one kept node, so far.

    A picture of a thousand steps reads the numbers of a few: those of a single path wait in its
    factors; only where paths meet are they added up.
    """

    paths: int
    factors: tuple[Factor, ...]
    sum: tuple[float | None, float] | None = None  # value and norm of several paths

    def then(self, factor: Factor) -> _Bundle:
        if self.sum is None:
            return _Bundle(1, (*self.factors, factor))
        return _Bundle(self.paths, (), _times(self.sum, factor))

    def beside(self, other: _Bundle) -> _Bundle:
        (value, norm), (value2, norm2) = self.numbers(), other.numbers()
        known = None if value is None or value2 is None else value + value2
        return _Bundle(self.paths + other.paths, (), (known, norm + norm2))

    def numbers(self) -> tuple[float | None, float]:
        """The value, if all is one number, and the norm."""
        if self.sum is not None:
            return self.sum
        found: tuple[float | None, float] = (1.0, 1.0)
        for factor in self.factors:
            found = _times(found, factor)
        return found


def _times(numbers: tuple[float | None, float], factor: Factor) -> tuple[float | None, float]:
    value, number = numbers[0], factor.number
    known = None if value is None or number is None else value * number
    return known, numbers[1] * factor.norm


class Graph:
    """The recorded computation of one or more roots, at one level of detail.

    Made by `graph()`. Nodes and edges stand in order of creation.

    Attributes
    ----------
    roots : tuple of Tensor
        What was asked about.
    level : str
        "step" states only · "gate" a gate is its output · "op" named tensors and the ops between
        them · "all".
    nodes, edges : tuple of Node, tuple of Edge
        What there is at this level.
    """

    def __init__(self, roots: Sequence[Tensor], level: str = "all", records: Any = None) -> None:
        if level not in LEVELS:
            raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
        self.roots = tuple(roots)
        self.level = level
        self._records = records or _Records(self.roots)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of this level, oldest first."""
        every = self._records.nodes
        if self.level == "all":
            return tuple(every)
        keep = self._records.kept(self.level)
        return tuple(node for node in every if node.tensor in keep)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The edges of this level, by their target's age and then their place among its inputs."""
        return tuple(self._records.fold({node.tensor for node in self.nodes}))

    @property
    def root(self) -> Tensor:
        """The youngest root: of several that were asked about, the one no other was made from.

        Of an LSTM's (h, c) it is h, which was computed from c.
        """
        return max(self.roots, key=lambda root: root.serial)

    def at(self, level: str) -> Graph:
        """Return the same computation at another level."""
        return self if level == self.level else Graph(self.roots, level, self._records)

    def find(self, id: str) -> Node:
        """Return the node with this id, or with this short form of it: "h0" for "t0.h".

        Of layers the short form needs no name where only one has such a node; else it is
        "layer1.h0".

        Raises
        ------
        UnknownNode
            Naming those that a short form may mean, or the nearest ids there are at this level.
        """
        long = _long_form(id)
        found = self._by_id.get(id) or self._by_id.get(long)
        if found is not None:
            return found
        meant = [known for known in self._by_id if known.endswith(f".{long}")]
        if len(meant) == 1:
            return self._by_id[meant[0]]
        raise UnknownNode(id, self._by_id, like=long, meant=meant)

    def id_of(self, tensor: Tensor) -> str:
        """Return the id of a recorded tensor.

        Raises
        ------
        UnknownNode
            When the tensor is no part of this computation.
        """
        node = self._records.by_tensor.get(tensor)
        if node is None:
            raise UnknownNode(tensor._label(), self._by_id)
        return str(node.id)

    def into(self, id: str) -> tuple[Edge, ...]:
        """Return the edges that end at a node."""
        return self._into.get(self.find(id).id, ())

    def out_of(self, id: str) -> tuple[Edge, ...]:
        """Return the edges that leave a node."""
        return self._out_of.get(self.find(id).id, ())

    def factor(self, tensor: Tensor, position: int) -> Factor:
        """Return what the recorded edge from tensor.inputs[position] to tensor multiplies by."""
        return self._records.reader.factor(tensor, position)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps in which something was computed, in order."""
        return tuple(
            sorted({n.step for n in self.nodes if n.step is not None and n.op is not None})
        )

    @cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def _into(self) -> dict[str, tuple[Edge, ...]]:
        return _grouped(self.edges, [edge.target for edge in self.edges])

    @cached_property
    def _out_of(self) -> dict[str, tuple[Edge, ...]]:
        return _grouped(self.edges, [edge.source for edge in self.edges])

    def __repr__(self) -> str:
        count = f"{len(self.nodes)} nodes, {len(self.edges)} edges"
        return f"<Graph at level {self.level}: {count}, {len(self.steps)} steps>"


def _grouped(edges: Iterable[Edge], keys: Iterable[str]) -> dict[str, tuple[Edge, ...]]:
    groups: dict[str, list[Edge]] = {}
    for edge, key in zip(edges, keys, strict=True):
        groups.setdefault(key, []).append(edge)
    return {key: tuple(group) for key, group in groups.items()}


class _Records:
    """All records behind the levels of one graph: made once, read by each level."""

    def __init__(self, roots: Sequence[Tensor]) -> None:
        self.tensors = ancestry(roots)
        self.roles = Roles(self.tensors, roots)
        ids = identify(self.tensors)
        self.nodes = [self._node(tensor, ids[tensor]) for tensor in self.tensors]
        self.by_tensor = {node.tensor: node for node in self.nodes}

    def _node(self, tensor: Tensor, id: str) -> Node:
        differentiated = self.roles.differentiated(tensor)
        if differentiated is not None and tensor.op is not None:
            layer, t, inner = place(differentiated[1].scope)
            name = derivative(*differentiated)
            gate = inner[-1] if inner else None
            return Node(id, tensor, self.roles.of(tensor), t, gate, (GRADIENT, *layer), name)
        layer, t, inner = place(tensor.scope)
        return Node(id, tensor, self.roles.of(tensor), t, inner[-1] if inner else None, layer)

    @cached_property
    def interval(self) -> dict[Tensor, Any]:
        """What every record can be a priori; the numbers of initial states are known."""
        initial = [t for t in self.tensors if t.is_leaf and self.roles.of(t) == "state"]
        return ranges.intervals(self.tensors, known=initial)

    @cached_property
    def reader(self) -> Reader:
        """What names and bounds the factors of this graph."""
        return Reader(self.interval, self.roles.is_parameter, called)

    def kept(self, level: str) -> set[Tensor]:
        """The tensors that a level shows."""
        return {t for t in self.tensors if self.roles.shown(t, level)}

    def fold(self, keep: set[Tensor]) -> Iterable[Edge]:
        """Yield the edges between kept nodes, each with what is folded between them."""
        inside: dict[Tensor, dict[Tensor, _Bundle]] = {}  # folded node -> its kept sources
        for node in self.tensors:
            if node.op is None:
                continue
            straight: list[tuple[Tensor, _Bundle]] = []
            folded: dict[Tensor, _Bundle] = {}
            for k, source in enumerate(node.inputs):
                if source not in keep and source not in inside:
                    continue
                factor = self.reader.factor(node, k)
                if source in keep:
                    straight.append((source, _Bundle(1, (factor,))))
                    continue
                for origin, bundle in inside[source].items():
                    if _leaves_out(node, bundle):
                        continue
                    longer = bundle.then(factor)
                    folded[origin] = folded[origin].beside(longer) if origin in folded else longer
            if node in keep:
                yield from self._edges(node, straight, folded)
            else:
                for origin, bundle in straight:
                    folded[origin] = folded[origin].beside(bundle) if origin in folded else bundle
                if folded:
                    inside[node] = folded

    def _edges(
        self,
        node: Tensor,
        straight: list[tuple[Tensor, _Bundle]],
        folded: dict[Tensor, _Bundle],
    ) -> Iterable[Edge]:
        target = self.by_tensor[node].id
        for source, bundle in [*straight, *folded.items()]:
            id = self.by_tensor[source].id
            if bundle.sum is None:
                yield _Chain(id, target, bundle.factors)
            else:
                yield Edge(id, target, (), bundle.paths, *bundle.sum)


def _leaves_out(node: Tensor, bundle: _Bundle) -> bool:
    """Whether an index picks nothing of what came in at one place of a stack.

    The last of many stacked outputs does not depend on the others, though a recorded edge leads
    there.
    """
    if node.op is None or node.op.name != "getitem" or not bundle.factors:
        return False
    stack = bundle.factors[-1].node
    if stack.op is None or stack.op.name not in ("stack", "concatenate"):
        return False
    if stack is not node.inputs[0]:
        return False
    here = [np.full(x.shape, k == bundle.factors[-1].position) for k, x in enumerate(stack.inputs)]
    joined = getattr(np, stack.op.name)(here, axis=stack.static.get("axis", 0))
    return not np.any(joined[node.static["index"]])


def _plain(factors: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """The factors without those that only pass on; one of them when there is nothing else."""
    telling = tuple(f for f in factors if not (f.kind == "pass" and f.name == "1"))
    return telling or factors[:1]


def _long_form(id: str) -> str:
    """The id that a name and a step run together stand for: "h0" → "t0.h"."""
    layer, dot, short = id.rpartition(".")
    name = short.rstrip("0123456789")
    return f"{layer}{dot}t{short[len(name) :]}.{name}" if name and name != short else id


def identify(tensors: Sequence[Tensor]) -> dict[Tensor, str]:
    """Give every record its id, from scope and name alone: unique, and the same in every run.

    A named tensor is found by its step and name, whatever gate it was made in; an unnamed one by
    its whole scope, its op and its place among those: "t3.f", "t3.forget gate.add1". A repeated
    name gets "#2". A gradient is found by what it is taken by: "∂.t3.f".
    """
    taken: Counter[str] = Counter()
    ids: dict[Tensor, str] = {}
    for tensor in tensors:
        layer, t, inner = place(tensor.scope)
        head = [*layer, f"t{t}"] if t is not None else list(layer)
        by = _taken_by(tensor)
        stem = ".".join([*head, tensor.name or ""])
        if by is not None and by in ids:
            stem = f"{GRADIENT}.{ids[by]}"
        if tensor.name is not None or (by is not None and by in ids):
            taken[stem] += 1
            ids[tensor] = stem if taken[stem] == 1 else f"{stem}#{taken[stem]}"
        else:
            what = tensor.op.name if tensor.op is not None else "number"
            stem = ".".join([*head, *inner, what])
            taken[stem] += 1
            ids[tensor] = f"{stem}{taken[stem]}"
    return ids


def _taken_by(tensor: Tensor) -> Tensor | None:
    """The x of an unnamed record that is a gradient ∂y/∂x."""
    if tensor.scope[:1] != (GRADIENT,) or tensor.name is not None:
        return None
    found = gradient_of(tensor)
    return found[1] if found is not None else None


def derivative(y: Tensor, x: Tensor) -> str:
    """What a recorded gradient is: "∂L/∂h"; a root without a name is y."""
    outer = typeset(y.name, step_of(y.scope)) if y.name else "y"
    return f"∂{outer}/∂{called(x)[0]}" if outer[:1] != GRADIENT else f"∂({outer})/∂{called(x)[0]}"


def called(tensor: Tensor) -> tuple[str, int | None]:
    """How a formula calls a tensor, and of which step: "f", "tanh c", "1−z"; else its op."""
    if tensor.name is not None:
        return tensor.name, step_of(tensor.scope)
    if _taken_by(tensor) is not None:
        y, x = gradient_of(tensor) or (tensor, tensor)
        return derivative(y, x), step_of(x.scope)
    if tensor.op is None:
        return (f"{tensor.item():g}" if tensor.size == 1 else "constant"), None
    if len(tensor.inputs) == 1 and tensor.op.kind != "pass":
        inner, step = called(tensor.inputs[0])
        return f"{tensor.op.symbol} {inner}", step
    if len(tensor.inputs) == 1:
        return called(tensor.inputs[0])
    if tensor.op.name == "sub" and all(x.is_leaf or x.name for x in tensor.inputs):
        (left, a), (right, b) = map(called, tensor.inputs)
        return f"{left}−{right}", a if a is not None else b
    return tensor.op.symbol, step_of(tensor.scope)


def graph(y: Tensor | Sequence[Any], level: str = "all") -> Graph:
    """Return the reading view of what y was computed from.

    Parameters
    ----------
    y : Tensor, or (nested) sequence of Tensor
        A loss, a state, or the list that `unroll` returns.
    level : {"all", "op", "gate", "step"}
        How much to fold.

    Returns
    -------
    Graph

    Raises
    ------
    StaleGraphError
        When a parameter was assigned a new value since.

    Examples
    --------
    >>> import microrecur as mr
    >>> states = mr.unroll(mr.LSTMCell(1, 1, seed=0), [0.9, -0.4])
    >>> g = mr.graph(states, level="gate")
    >>> g.find("t2.f").gate
    'forget gate'
    >>> [f.kind for e in g.into("t2.f") if e.source == "t1.h" for f in e.factors]
    ['weight', 'gate slope']
    """
    roots = tuple(_flatten(y))
    for root in roots:
        look_at(root, "graph(), which shows numbers,")
    return Graph(roots, level)


def _flatten(y: Any) -> Iterable[Tensor]:
    if isinstance(y, Tensor):
        yield y
    elif isinstance(y, (list, tuple)):
        for part in y:
            yield from _flatten(part)
    else:
        raise TypeError(
            f"graph() reads recorded tensors, not {type(y).__name__}; give it a loss, a state, or "
            "what unroll() returned"
        )


__all__ = ["Edge", "Factor", "Graph", "Node", "called", "graph", "identify"]
