"""Interval arithmetic: the range that a card declares is a function of its operands' intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """All numbers from lo to hi, ends included."""

    lo: float
    hi: float


EVERYTHING = Interval(-math.inf, math.inf)

Range = Callable[..., Interval]


def between(lo: float, hi: float) -> Range:
    """Declare a range that holds whatever the operands are."""
    return lambda *operands: Interval(lo, hi)


def increasing(f: Callable[..., Any]) -> Range:
    """Declare the range of a non-decreasing function of one operand: the image of its ends."""

    def of(x: Interval) -> Interval:
        with np.errstate(over="ignore"):
            return Interval(float(f(np.float64(x.lo))), float(f(np.float64(x.hi))))

    return of


def corners(f: Callable[[float, float], float]) -> Range:
    """Declare the range of a function monotone in each of two operands: its extreme corners."""

    def of(a: Interval, b: Interval) -> Interval:
        values = [f(x, y) for x in a for y in b]
        return Interval(min(values), max(values))

    return of


def even(f: Callable[[float], float]) -> Range:
    """Declare the range of an even function that grows away from 0."""

    def of(x: Interval) -> Interval:
        ends = (f(abs(x.lo)), f(abs(x.hi)))
        low = f(0.0) if x.lo <= 0 <= x.hi else min(ends)
        return Interval(low, max(ends))

    return of


def times(x: float, y: float) -> float:
    """x·y, where 0·∞ is 0: a bound times what is zero."""
    return 0.0 if x == 0 or y == 0 else x * y


def quotient(a: Interval, b: Interval) -> Interval:
    """The range of a / b; everything when b may be 0."""
    if b.lo <= 0 <= b.hi:
        return EVERYTHING
    return corners(times)(a, Interval(1 / b.hi, 1 / b.lo))


def power_of(x: Interval, *, p: float) -> Interval:
    """The range of x to a constant power."""
    whole = p == int(p) if math.isfinite(p) else False
    if p <= 0 or not (whole or x.lo >= 0):
        return EVERYTHING

    def raised(v: float) -> float:
        with np.errstate(over="ignore"):
            return float(np.power(v, float(p)))

    if whole and int(p) % 2 == 0:
        return even(raised)(x)
    return Interval(raised(x.lo), raised(x.hi))


def flip(x: Interval) -> Interval:
    """The range of −x."""
    return Interval(-x.hi, -x.lo)


def hull(*xs: Interval, **static: Any) -> Interval:
    """The least interval that holds them all."""
    return Interval(min(x.lo for x in xs), max(x.hi for x in xs))


def same(x: Interval, **static: Any) -> Interval:
    """The range of an op that only moves numbers."""
    return x
