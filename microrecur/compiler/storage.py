"""Where every value lies in memory, so that what is worked on together lies together.

A value of two axes (N, H) inside a sequence is kept as (H, N), and values that are computed alike
(the gates) are kept as rows of one block (k·H, N): then a part of a block is contiguous whatever
the cell's own layout. A family is a block per step, the steps one after another.

Nothing that computes relies on this: it looks at the addresses, and joins what turns out to lie
evenly spaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Spot(NamedTuple):
    """A place in memory: bytes from the start of a root array, and how to walk from there."""

    root: np.ndarray
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The array that lies here."""
        return np.ndarray(self.shape, self.root.dtype, self.root, self.offset, self.strides)


def spot_of(view: np.ndarray, root: np.ndarray) -> Spot:
    """The spot of a view into a root array."""
    offset = view.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return Spot(root, offset, view.shape, view.strides)


def new_root(count: int, dtype: np.dtype) -> np.ndarray:
    """Memory for so many numbers; zeros, so that what is never written is no garbage."""
    return np.zeros(max(count, 1), dtype)


def spacing(spots: Sequence[Spot]) -> int | None:
    """The distance in bytes from each spot to the next; None where it differs, or the shapes do."""
    first = spots[0]
    root, offset, shape, strides = first
    step = spots[1].offset - offset if len(spots) > 1 else 0
    for spot in spots:
        if (
            spot.offset != offset
            or spot.root is not root
            or spot.shape != shape
            or spot.strides != strides
        ):
            return None
        offset += step
    return step


def stacked(spots: Sequence[Spot]) -> np.ndarray | None:
    """The spots as one array with a new first axis; None where they are not evenly spaced."""
    step = spacing(spots)
    if step is None:
        return None
    first = spots[0]
    return np.ndarray(
        (len(spots), *first.shape),
        first.root.dtype,
        first.root,
        first.offset,
        (step, *first.strides),
    )


def side_by_side(spots: Sequence[Spot]) -> Spot | None:
    """The spots as one whose last axis is theirs, one after another; None where they do not touch.

    One number per spot (no axis) does not join.
    """
    first = spots[0]
    if not first.shape:
        return None
    step = spacing(spots)
    if step is None or (len(spots) > 1 and step != first.shape[-1] * first.strides[-1]):
        return None
    return Spot(
        first.root, first.offset, (*first.shape[:-1], len(spots) * first.shape[-1]), first.strides
    )


class Block:
    """Memory for several values of one shape at each of several steps.

    Parameters
    ----------
    shape, dtype
        Of one value.
    lanes : int
        How many values lie side by side at each step.
    first, last : int
        The steps; equal where one block serves all steps.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype, lanes: int, first: int, last: int
    ) -> None:
        self.shape, self.first, self.last = shape, first, last
        size = int(np.prod(shape, dtype=int))
        item = dtype.itemsize
        self.root = new_root(size * lanes * (last - first + 1), dtype)
        self.lane, self.step = max(size * item, 1), max(size * lanes * item, 1)
        turned = shape[::-1] if len(shape) == 2 else shape
        one = (lanes * turned[0], *turned[1:]) if turned else (lanes,)
        self.seen = one if last == first else (last - first + 1, *one)  # as a reader sees it
        if len(shape) == 2:
            self.strides: tuple[int, ...] = (item, shape[0] * item)  # (N, H) kept as (H, N)
        else:
            self.strides = _row_major(shape, item)

    def spot(self, lane: int, step: int) -> Spot:
        """Where this lane's value at this step lies."""
        offset = lane * self.lane + (step - self.first) * self.step
        return Spot(self.root, offset, self.shape, self.strides)


def _row_major(shape: tuple[int, ...], item: int) -> tuple[int, ...]:
    strides = []
    for n in reversed(shape):
        strides.append(item)
        item *= max(n, 1)
    return tuple(reversed(strides))


def lone_spot(shape: tuple[int, ...], dtype: np.dtype) -> Spot:
    """Memory for one value, row by row."""
    root = new_root(int(np.prod(shape, dtype=int)), dtype)
    return Spot(root, 0, shape, _row_major(shape, dtype.itemsize))


# -- who lies beside whom --------------------------------------------------------------------------


def arranged(wishes: Sequence[tuple[int, Sequence[int]]]) -> list[list[int]]:
    """Put lanes in rows so that as many wishes as possible come true, the heaviest first.

    Parameters
    ----------
    wishes : sequence of (weight, lanes)
        Lanes that should lie side by side, in whatever order.

    Returns
    -------
    list of list
        Rows of lanes; each lane in one row.
    """
    kept: list[frozenset[int]] = []
    rows: list[list[int]] = []
    for _, lanes in sorted(wishes, key=lambda w: -w[0]):
        wish = frozenset(lanes)
        if wish in kept:
            continue
        touching = [row for row in rows if not wish.isdisjoint(row)]
        inside = wish.union(*touching)
        if len(inside) > _MOST:
            continue
        sets = [k for k in kept if k <= inside] + [wish]
        order = _consecutive(sorted(inside), sets)
        if order is not None:
            kept.append(wish)
            rows = [row for row in rows if row not in touching] + [order]
    return rows


_MOST = 16


def _consecutive(lanes: list[int], sets: list[frozenset[int]]) -> list[int] | None:
    """An order in which each set lies side by side; None where there is none."""
    found: list[int] = []
    tries = 0

    def place(rest: list[int], begun: list[frozenset[int]]) -> bool:
        nonlocal tries
        if not rest:
            return True
        for lane in rest:
            tries += 1
            if tries > 2000:
                return False
            if all(lane in s for s in begun):
                found.append(lane)
                left = [other for other in rest if other != lane]
                now = [s for s in sets if not s.isdisjoint(found) and not s.isdisjoint(left)]
                if place(left, now):
                    return True
                found.pop()
        return False

    return found if place(lanes, []) else None
