"""Forward functions that NumPy does not have: plain arrays in, plain arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ), without overflow on either side."""
    e = np.exp(-np.abs(x))  # ≤ 1
    return np.where(np.less(x, 0), e, np.ones((), e.dtype)) / (1 + e)


def sech2(x: np.ndarray) -> np.ndarray:
    """1 / cosh² x, accurate where 1 − tanh² x has long rounded to 0."""
    # cosh overflows past 710 (float32: 88), where sech² is below the smallest normal number.
    limit = 88.0 if getattr(x, "dtype", None) == np.float32 else 710.0
    r = 1 / np.cosh(np.minimum(np.abs(x), limit))
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
