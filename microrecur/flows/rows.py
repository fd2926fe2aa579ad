"""Numbers sorted by how many factors of a kind they have passed: all classes swept at once."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.primitive import Elementwise
from microrecur.flows.sweep import LEAST, MOST, Edge, Linearised
from microrecur.flows.unit_edges import coefficients, pattern

FADED = 2.0**-600  # rows this far below the largest are let go: nothing shows of them in any sum

Place = tuple[int, ...]  # how many factors of each kind


class Rows(NamedTuple):
    """The numbers array[n − low] · 2^exponent of each class n; classes outside are 0.

    Attributes
    ----------
    low : tuple of int
        The class of the first row, one number per kind.
    array : ndarray, shape (classes of the first kind, …, *numbers)
    exponent : int
    """

    low: Place
    array: np.ndarray
    exponent: int = 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many classes there are along each kind."""
        return self.array.shape[: len(self.low)]

    def moved(self, by: Place) -> Rows:
        """Return the same numbers, `by` classes further on."""
        if not any(by):
            return self
        return self._replace(low=tuple(a + b for a, b in zip(self.low, by)))

    def rescaled(self) -> Rows:
        """Return the same numbers with the largest near 1, when it is far from it."""
        top = float(np.abs(self.array).max(initial=0.0))
        if LEAST < top < MOST or top == 0 or not math.isfinite(top):
            return self
        shift = math.frexp(top)[1]
        array = np.ldexp(self.array, -shift)
        return Rows(self.low, array, self.exponent + shift)._trimmed()

    def _trimmed(self) -> Rows:
        """Without the outermost classes in which nothing is left."""
        kinds = len(self.low)
        size = np.abs(self.array.reshape(*self.lengths, -1)).max(axis=-1, initial=0.0) > FADED
        low, keep = list(self.low), []
        for axis in range(kinds):
            alive = np.flatnonzero(size.any(axis=tuple(a for a in range(kinds) if a != axis)))
            if not alive.size:
                return self
            low[axis] += int(alive[0])
            keep.append(slice(int(alive[0]), int(alive[-1]) + 1))
        return Rows(tuple(low), self.array[tuple(keep)], self.exponent)

    def plus(self, other: Rows) -> Rows:
        """Return the sum, in the scale of the larger."""
        high, low = (self, other) if self.exponent >= other.exponent else (other, self)
        if not np.any(high.array):
            return low
        added = low.array
        if low.exponent != high.exponent:
            added = np.ldexp(added, max(low.exponent - high.exponent, -4000))
        if high.low == low.low and high.lengths == low.lengths:
            return Rows(high.low, high.array + added, high.exponent)
        return self._united(high, added, low.low, low.lengths)

    @staticmethod
    def _united(high: Rows, added: np.ndarray, low: Place, lengths: Place) -> Rows:
        first = tuple(map(min, high.low, low))
        ends = [max(a + n, b + m) for a, n, b, m in zip(high.low, high.lengths, low, lengths)]
        shape = tuple(end - begin for begin, end in zip(first, ends))
        total = np.zeros(shape + high.array.shape[len(first) :])
        total[_window(high.low, high.lengths, first)] = high.array
        total[_window(low, lengths, first)] += added
        return Rows(first, total, high.exponent)

    def at(self, place: Place) -> np.ndarray:
        """Return the numbers of one class, without the exponent."""
        index = tuple(n - low for n, low in zip(place, self.low))
        if all(0 <= i < n for i, n in zip(index, self.lengths)):
            return np.asarray(self.array[index])
        return np.zeros(self.array.shape[len(self.low) :])


def _window(low: Place, lengths: Place, first: Place) -> tuple[slice, ...]:
    return tuple(slice(a - f, a - f + n) for a, n, f in zip(low, lengths, first))


def pull_rows(lines: Linearised, edge: Edge, g: np.ndarray, absolute: bool) -> np.ndarray:
    """Return every row of g times the edge's derivative, or times its absolute value.

    Parameters
    ----------
    g : ndarray, shape (rows, *node.shape)

    Returns
    -------
    ndarray, shape (rows, *source.shape)
    """
    node, k = edge
    op: Any = node.op
    source = node.inputs[k]
    if isinstance(op, Elementwise):
        partial = lines.partial(node, k)
        if type(partial) is int and abs(partial) == 1:
            part = g if absolute or partial == 1 else -g
        else:
            part = g * (abs(partial) if absolute else partial)
        return part if source.shape == node.shape else _gathered(part, source.shape)
    if op.name == "matmul" and k == 0 and source.ndim and node.inputs[1].ndim == 2:
        other = node.inputs[1]._data.T
        return np.asarray(g @ (np.abs(other) if absolute else other))
    if op.name == "cast":
        return g
    return _by_pattern(lines, edge, g, absolute)


def _by_pattern(lines: Linearised, edge: Edge, g: np.ndarray, absolute: bool) -> np.ndarray:
    """As any op has it, number by number."""
    node, k = edge
    source = node.inputs[k]
    of = pattern(edge)
    slopes = coefficients(lines, edge, of)
    slopes = np.abs(slopes) if absolute else slopes
    flat = g.reshape(len(g), -1)
    if of is None:
        part = flat * slopes[:, 0]
    else:
        slopes = slopes if of.exists is None else np.where(of.exists, slopes, 0.0)
        part = np.einsum("nsm,sm->ns", flat[:, of.outs], slopes)
    return part.reshape(len(g), *source.shape)


def _gathered(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the axes along which an operand of this shape had been repeated."""
    extra = g.ndim - 1 - len(shape)
    if extra:
        g = g.sum(axis=tuple(range(1, extra + 1)))
    repeated = tuple(a + 1 for a, (n, m) in enumerate(zip(g.shape[1:], shape)) if n != m)
    return g.sum(axis=repeated, keepdims=True) if repeated else g
