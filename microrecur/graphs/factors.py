"""What an edge multiplies by: the kind, name, value and bound of each local derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from microrecur.engine.intervals import Interval
from microrecur.engine.primitive import Elementwise, Linear
from microrecur.engine.tensor import Tensor
from microrecur.graphs import ranges

KINDS = (
    "gate slope",
    "squash slope",
    "gate value",
    "memory value",
    "weight",
    "pass",
    "reduction",
    "constant",
    "other",
)


@dataclass(frozen=True, eq=False)
class Factor:
    """One local derivative ∂node/∂input along one edge of the recorded graph.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    name : str
        What it is called: "σ′", "f", "U_f", "tanh c", "1", "−1".
    step : int or None
        The step of the operand it is named after; None for slopes, weights and constants.
    bound : float or None
        What |entry| can never exceed, whatever this run's numbers; None where nothing is known.
    node, position : Tensor, int
        The op's result, and which of its inputs the edge comes from.
    """

    kind: str
    name: str
    step: int | None
    bound: float | None
    node: Tensor
    position: int

    @cached_property
    def value(self) -> np.ndarray:
        """The derivative: entry by entry for elementwise ops, the matrix for a product with one."""
        node, k = self.node, self.position
        xs = [x._data for x in node.inputs]
        if not passes(node, k):
            return np.zeros(())
        if isinstance(node.op, Elementwise):
            return np.asarray(node.op.partial(k, node._data, xs, node.static), dtype=float)
        if node.op is not None and node.op.name == "matmul":
            return xs[1 - k]
        return np.ones(())

    @cached_property
    def number(self) -> float | None:
        """The derivative when both ends are one number, with its sign; None otherwise."""
        node, source = self.node, self.node.inputs[self.position]
        if node._data.size != 1 or source._data.size != 1:
            return None
        if isinstance(node.op, Elementwise):
            rule = node.op.partials[self.position]
            if rule is not None and not callable(rule):
                return float(rule)
        return float(self.value.item()) if self.value.size == 1 else None

    @cached_property
    def norm(self) -> float:
        """The operator 2-norm of the derivative."""
        if self.number is not None:
            return abs(self.number)
        node, source = self.node, self.node.inputs[self.position]
        if not passes(node, self.position):
            return 0.0
        if node.op is not None and node.op.name == "matmul":
            return _norm_of(node.inputs[1 - self.position])
        if isinstance(node.op, Elementwise):
            top = float(np.max(np.abs(self.value), initial=0.0))
            return top * math.sqrt(
                max(node.size // max(source.size, 1), 1)
            )  # repeated by broadcasting
        if self.kind == "reduction":
            return math.sqrt(max(node.size, source.size) / max(min(node.size, source.size), 1))
        return 1.0

    @cached_property
    def typical(self) -> float:
        """The mean |entry|."""
        return float(np.mean(np.abs(self.value)))


def passes(node: Tensor, k: int) -> bool:
    """Whether a derivative passes from the node to its k-th input at all: none into a mask."""
    card = node.op
    if isinstance(card, Elementwise):
        return card.partials[k] is not None
    return card.moves(k) if isinstance(card, Linear) else card is not None


# A weight stands on an edge of every step: its norm is computed once for each value it has.
_norms: WeakKeyDictionary[Tensor, tuple[int, float]] = WeakKeyDictionary()


def _norm_of(tensor: Tensor) -> float:
    serial, norm = _norms.get(tensor, (-1, 0.0))
    if serial != tensor.serial:
        norm = spectral_norm(tensor._data)
        _norms[tensor] = (tensor.serial, norm)
    return norm


def spectral_norm(matrix: np.ndarray) -> float:
    """The largest singular value; of a vector its length; nan or infinity stay what they are."""
    if matrix.size == 1:
        return float(np.abs(matrix).reshape(()))  # its square might overflow
    if matrix.ndim < 2:
        return float(np.linalg.norm(matrix))
    if not np.isfinite(matrix).all():
        return float(np.max(np.abs(matrix)))
    return float(np.linalg.svd(matrix, compute_uv=False).max(initial=0.0))


class Reader:
    """Reads factors off recorded nodes, given what only the whole graph knows.

    Parameters
    ----------
    interval : dict
        The a-priori interval of every node (`ranges.intervals`).
    is_parameter : callable
        Whether a node is a parameter seen through passing ops only.
    called : callable
        (node) → (name, step) for a node that a factor is named after.
    """

    def __init__(
        self,
        interval: dict[Tensor, Interval],
        is_parameter: Callable[[Tensor], bool],
        called: Callable[[Tensor], tuple[str, int | None]],
    ) -> None:
        self._interval, self._is_parameter, self._called = interval, is_parameter, called

    def factor(self, node: Tensor, position: int) -> Factor:
        """Return the factor of the edge from node.inputs[position] to node."""
        card: Any = node.op
        kind, name, step, bound = card.kind, f"{card.symbol}′", None, None
        if not passes(node, position):
            kind, name, bound = "pass", "0", 0.0
        elif kind in ("product", "weight"):
            kind, name, step, bound = self._times(node, position)
        elif kind == "pass":
            negative = isinstance(card, Elementwise) and card.partials[position] == -1
            name, bound = ("−1" if negative else "1"), 1.0
        elif kind == "reduction":
            name = card.symbol
        elif (
            card.name == "div" and position == 0 and ranges.is_number_of_the_formula(node.inputs[1])
        ):
            kind, name = "constant", f"1/{node.inputs[1].item():g}"
            bound = abs(1 / node.inputs[1].item()) if node.inputs[1].item() else None
        else:
            slope = card.slope[position] if position < len(card.slope) else None
            bound = None if slope is None else float(slope)
        return Factor(kind, name, step, bound, node, position)

    def _times(self, node: Tensor, position: int) -> tuple[str, str, int | None, float | None]:
        """The factor of an operand of a product is the other operand."""
        other = node.inputs[1 - position]
        if ranges.is_number_of_the_formula(other):
            number = other.item()
            return "constant", f"{number:g}".replace("-", "−"), None, abs(number)
        name, step = self._called(other)
        if self._is_parameter(other):
            return "weight", name, None, None
        interval = self._interval[other]
        if node.op is not None and node.op.name == "matmul":
            return "memory value", name, step, None
        # A given state that happens to lie in [0, 1] gates nothing: only what is computed does.
        gates = other.op is not None and ranges.within_unit(interval)
        kind = "gate value" if gates else "memory value"
        return kind, name, step, ranges.largest(interval)
