"""Numbers sorted by how many factors of a kind they have passed: all classes swept at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from microrecur.engine.primitive import Elementwise
from microrecur.flows.sweep import Edge, Linearised, Scaled
from microrecur.flows.unit_edges import coefficients, pattern

# A class is rescaled when its numbers leave 2^±400: their squares, and the products of two
# neighbours, stay inside float64. Exponents are whole multiples of BAND, so that those of most
# classes are equal and sums of them need no shifting.
BAND = 512
LEAST, MOST = 2.0**-800, 2.0**800  # of the sum of squares
NONE = -(2**40)  # the exponent of a class that is 0: below any other

Place = tuple[int, ...]  # how many factors of each kind


class Rows(NamedTuple):
    """The numbers array[n − low] · 2^exponent[n − low] of each class n; classes outside are 0.

    Classes lie hundreds of powers of ten apart, each with its own exponent: none is lost beside
    the largest.

    Attributes
    ----------
    low : tuple of int
        The class of the first row, one number per kind.
    array : ndarray, shape (classes of the first kind, …, *numbers)
    exponent : ndarray of int, shape (classes of the first kind, …)
    """

    low: Place
    array: np.ndarray
    exponent: np.ndarray

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many classes there are along each kind."""
        return self.exponent.shape

    def moved(self, by: Place) -> Rows:
        """Return the same numbers, `by` classes further on."""
        if not any(by):
            return self
        return self._replace(low=tuple(a + b for a, b in zip(self.low, by)))

    def rescaled(self) -> Rows:
        """Return the same numbers, each class near 1 that was far from it."""
        flat = self.array.reshape(self.exponent.size, -1)
        with np.errstate(over="ignore"):
            squares = np.einsum("nj,nj->n", flat, flat)
        far = np.flatnonzero(~((squares > LEAST) & (squares < MOST)))
        if not far.size:
            return self
        top = np.abs(flat[far]).max(axis=1, initial=0.0)
        bands = np.zeros(self.exponent.size, int)
        bands[far] = BAND * np.rint(np.frexp(np.where(np.isfinite(top), top, 1.0))[1] / BAND)
        exponent = self.exponent.ravel() + bands
        exponent[far[top == 0]] = NONE
        exponent = exponent.reshape(self.lengths)
        return Rows(self.low, self._times(-bands.reshape(self.lengths)), exponent)

    def _times(self, powers: np.ndarray) -> np.ndarray:
        """The numbers of each class times its power of two."""
        moved = np.flatnonzero(powers)
        if not moved.size:
            return self.array
        flat = self.array.reshape(powers.size, -1)
        if 2 * moved.size > powers.size:
            flat = np.ldexp(flat, powers.reshape(-1, 1))
        else:
            flat = flat.copy()
            flat[moved] = np.ldexp(flat[moved], powers.flat[moved][:, None])
        return flat.reshape(self.array.shape)

    def plus(self, other: Rows) -> Rows:
        """Return the sum, each class in the scale of the larger."""
        if self.low != other.low or self.lengths != other.lengths:
            first = tuple(map(min, self.low, other.low))
            ends = [max(a + n, b + m) for a, n, b, m in zip(*_ends(self), *_ends(other))]
            lengths = tuple(end - begin for begin, end in zip(first, ends))
            return self._within(first, lengths).plus(other._within(first, lengths))
        if np.array_equal(self.exponent, other.exponent):
            return self._replace(array=self.array + other.array)
        mine, theirs = self._alive(other), other._alive(self)
        high = np.maximum(mine, theirs)
        shifts = [np.maximum(e - high, -4000) for e in (mine, theirs)]
        return Rows(self.low, self._times(shifts[0]) + other._times(shifts[1]), high)

    def _alive(self, other: Rows) -> np.ndarray:
        """The exponents; of a class that has the higher one for nothing but zeros, none."""
        above = np.flatnonzero(self.exponent > other.exponent)
        nothing = above[~self.array.reshape(self.exponent.size, -1)[above].any(axis=1)]
        if not nothing.size:
            return self.exponent
        alive = self.exponent.copy()
        alive.flat[nothing] = NONE
        return alive

    def _within(self, first: Place, lengths: Place) -> Rows:
        """The same numbers in a wider window of classes."""
        if (first, lengths) == (self.low, self.lengths):
            return self
        array = np.zeros(lengths + self.array.shape[len(lengths) :])
        exponent = np.full(lengths, NONE)
        window = _window(self.low, self.lengths, first)
        array[window], exponent[window] = self.array, self.exponent
        return Rows(first, array, exponent)

    def at(self, place: Place) -> Scaled:
        """Return the numbers of one class."""
        index = tuple(n - low for n, low in zip(place, self.low))
        inside = all(0 <= i < n for i, n in zip(index, self.lengths))
        if inside and np.any(self.array[index]):
            return Scaled(np.asarray(self.array[index]), int(self.exponent[index]))
        return Scaled(np.zeros(self.array.shape[len(self.low) :]))


def _ends(rows: Rows) -> tuple[Place, Place]:
    return rows.low, rows.lengths


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
