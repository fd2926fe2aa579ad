"""Forward functions that NumPy does not have: plain arrays in, plain arrays out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


class _Constants:
    """Numbers as 0-d arrays of one dtype: NumPy takes twice as long over a Python number."""

    def __init__(self, dtype: type, far: float) -> None:
        self.zero: np.ndarray = np.array(0, dtype)
        self.one: np.ndarray = np.array(1, dtype)
        self.minus: np.ndarray = np.array(-1, dtype)
        self.half: np.ndarray = np.array(0.5, dtype)
        self.quarter: np.ndarray = np.array(0.25, dtype)
        self.far: np.ndarray = np.array(far, dtype)


# cosh overflows past 710 (float32: 88), where sech² is below the smallest normal number.
_DOUBLE, _SINGLE = _Constants(np.float64, 710.0), _Constants(np.float32, 88.0)
_OF: dict[Any, _Constants] = {np.dtype(np.float32): _SINGLE}


def _constants(x: Any) -> _Constants:
    return _OF.get(getattr(x, "dtype", None), _DOUBLE)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ), without overflow on either side."""
    c = _constants(x)
    below = np.exp(np.copysign(x, c.minus))  # e^−|x| ≤ 1
    below += c.one
    top = np.exp(np.minimum(x, c.zero))  # 1 where x ≥ 0
    top /= below
    return top


def sech2(x: Any) -> Any:
    """1 / cosh² x of array or float, accurate where 1 − tanh² x has long rounded to 0."""
    if type(x) is float:
        return sech2_of_number(x)
    c = _constants(x)
    r = np.minimum(np.abs(x), c.far)
    if type(r) is np.ndarray:  # in place: half of the time over small arrays is in making new ones
        np.cosh(r, r)
        np.divide(c.one, r, r)
    else:
        r = c.one / np.cosh(r)
    r *= r
    return r


def sigmoid_slope(x: Any) -> Any:
    """¼ sech²(x/2) of array or float."""
    if type(x) is float:
        return sech2_of_number(x * 0.5) * 0.25
    c = _constants(x)
    s = sech2(x * c.half)
    s *= c.quarter
    return s


def sigmoid_of_number(x: float) -> float:
    """1 / (1 + e⁻ˣ) of a Python float."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    e = math.exp(x)
    return e / (1 + e)


def sech2_of_number(x: float) -> float:
    """1 / cosh² x of a Python float."""
    r = 1 / math.cosh(710.0 if x > 710.0 or x < -710.0 else x)
    return r * r


def power(x: np.ndarray, *, p: float) -> np.ndarray:
    """Return x to a constant power."""
    if p < 0 and np.asarray(x).dtype.kind in "iu":
        raise TypeError(
            f"pow: whole numbers to the power {p} are fractions; make the tensor a float"
        )
    return np.square(x) if p == 2 else np.power(x, p)


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + eˣ), without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def held_max(x: np.ndarray, *, axis: Any) -> np.ndarray:
    """The greatest entry, 0 where it is not finite: it shifts the numbers, not the function."""
    top = np.max(x, axis=axis, keepdims=True)
    return np.where(np.isfinite(top), top, np.zeros((), top.dtype))


def share_of_greatest(x: np.ndarray, *, axis: Any) -> np.ndarray:
    """What part of the greatest entry each entry is: 1, or 1/k where k of them tie."""
    chosen = np.equal(x, np.max(x, axis=axis, keepdims=True)) | np.isnan(x)
    return chosen / np.sum(chosen, axis=axis, keepdims=True).astype(x.dtype)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b; one number times anything multiplies, so that one-number cells read alike."""
    if type(a) is np.ndarray and type(b) is np.ndarray and a.ndim and b.ndim:
        # Up to two axes they are the same, and `dot` takes half the time over small ones.
        return a.dot(b) if a.ndim < 3 and b.ndim < 3 else np.matmul(a, b)
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return np.matmul(a, b)


def scatter(g: np.ndarray, *, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of this shape with g added at the index: the transpose of x[index]."""
    out = np.zeros(shape, np.asarray(g).dtype)
    if is_basic(index):
        out[index] = g
    else:
        np.add.at(out, index, g)  # an index that repeats gathers every one of its contributions
    return out


def is_basic(index: Any) -> bool:
    """Whether an index picks each entry at most once: numbers, slices, None and Ellipsis."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is ... or isinstance(p, (int, np.integer, slice)) for p in parts)


def reduced_shape(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """Return the shape that is left when these axes are summed away."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    gone = {a % len(shape) for a in axes} if shape else set()
    return tuple(n for a, n in enumerate(shape) if a not in gone)


class _Place:
    """Stands in an index for the numbers of an operand."""

    def __repr__(self) -> str:
        return "#"


PLACE = _Place()


def filled(index: tuple[Any, ...], places: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """Return an index whose PLACEs are these arrays, in turn."""
    left = iter(places)
    return tuple(next(left) if part is PLACE else part for part in index)
